from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.reading.facts import MEASURES, Condition
from keras_lrscan.reading.shapes import SHAPE_RULES
from keras_lrscan.reading.traits import TRAIT_RULES

if TYPE_CHECKING:
    from keras_lrscan.causes.cause import Clue

EVERY_CLUE = [clue for cause in CAUSES for clue in (*cause.when, *cause.clues, *cause.not_for, *cause.rules_out)]
EVERY_CONDITION = sorted(
    {
        *(condition for rule in SHAPE_RULES for conditions in rule.when for condition in conditions),
        *(condition for rule in TRAIT_RULES for condition in rule.when),
        *(condition for clue in EVERY_CLUE for condition in clue.when),
    },
    key=repr,
)
NUMERIC = [condition for condition in EVERY_CONDITION if isinstance(condition.threshold, (int, float))]
STEP = 1e-9


@pytest.mark.parametrize("condition", NUMERIC, ids=str)
def test_each_condition_turns_exactly_at_its_threshold(condition: Condition) -> None:
    assert isinstance(condition.threshold, (int, float))
    threshold = float(condition.threshold)
    below, at, above = (
        condition.holds({condition.feature: value}) for value in (threshold - STEP, threshold, threshold + STEP)
    )
    expected = {
        ">": (False, False, True),
        ">=": (False, True, True),
        "<": (True, False, False),
        "<=": (True, True, False),
        "==": (False, True, False),
    }
    assert (below, at, above) == expected[condition.op]


@pytest.mark.parametrize("condition", EVERY_CONDITION, ids=str)
def test_no_condition_holds_on_what_is_unknown(condition: Condition) -> None:
    assert not condition.holds({condition.feature: None})
    assert "unknown" in condition.evidence({condition.feature: None})


def test_a_condition_says_what_it_saw_and_what_it_asked() -> None:
    condition = Condition("fall_decades", "<", 1.5)
    assert condition.evidence({"fall_decades": 0.84}) == (
        "decades from the start of the fall to the minimum: 0.8 (rule: below 1.5)"
    )


@pytest.mark.parametrize("clue", EVERY_CLUE, ids=lambda clue: clue.says[:40])
def test_a_clue_that_holds_prints_every_number_it_names(clue: Clue) -> None:
    facts = dict.fromkeys(MEASURES) | {condition.feature: condition.threshold for condition in clue.when}
    assert "{" not in clue.sentence(facts)


def test_codes_are_unique_and_in_their_ranges() -> None:
    tables = {
        "LRS1": [rule.code for rule in SHAPE_RULES],
        "LRS2": [rule.code for rule in TRAIT_RULES],
        "LRS3": [cause.code for cause in CAUSES],
    }
    for prefix, codes in tables.items():
        assert len(set(codes)) == len(codes)
        assert all(code.startswith(prefix) and len(code) == 6 for code in codes)
