from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from keras_lrscan import InvalidOptionError
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.explanation.handbook import CODES, page
from keras_lrscan.reading.shapes import SHAPE_RULES
from keras_lrscan.reading.traits import TRAIT_RULES

if TYPE_CHECKING:
    from keras_lrscan.causes.cause import Cause

HEADINGS = [
    "## What you see",
    "## What it means",
    "## Why (evidence)",
    "## What it does not mean",
    "## What to try, in order",
    "## Could also be",
    "## Learn more",
]


def test_every_rule_has_a_page() -> None:
    assert set(CODES) == {rule.code for table in (SHAPE_RULES, TRAIT_RULES, CAUSES) for rule in table}


@pytest.mark.parametrize("code", CODES)
def test_a_page_has_the_headings_in_order_and_no_open_slot(code: str) -> None:
    lines = page(code).splitlines()
    assert lines[0].startswith(f"# {code} ")
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == [heading for heading in HEADINGS if heading in headings]
    assert "## Why (evidence)" in headings
    assert "{" not in page(code)


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)
def test_the_page_of_a_cause_prints_every_weight_and_source(cause: Cause) -> None:
    text = page(cause.code, level="expert")
    assert all(f"| {clue.weight:+.1f} |" in text for clue in cause.clues)
    assert all(source in text for source in cause.sources)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("level", ["beginner", "full"])
def test_only_an_expert_is_shown_log_odds(code: str, level: str) -> None:
    text = page(code, level=level)
    assert "log odds" not in text
    assert "…" not in text
    assert not re.search(r"\| [+-]\d", text)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"must be one of .*'expert'.*Received: level='child'"):
        page("LRS301", level="child")


def test_an_unknown_code_is_refused_with_codes_near_it() -> None:
    with pytest.raises(InvalidOptionError, match=r"Received: code='LRS1O1'\. Near: 'LRS"):
        page("LRS1O1")
