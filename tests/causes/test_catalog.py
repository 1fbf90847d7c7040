from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.reading.shapes import SHAPE_RULES
from keras_lrscan.reading.traits import TRAIT_RULES
from tests.support.catalog import PAIRS, analysis_of

if TYPE_CHECKING:
    from keras_lrscan import Analysis

CODES = [row.code for table in (SHAPE_RULES, TRAIT_RULES, CAUSES) for row in table]
TRAIT_CODES = {rule.name: rule.code for rule in TRAIT_RULES}


def fired(analysis: Analysis) -> set[str]:
    traits = {TRAIT_CODES[name] for name in analysis.verdict.traits}
    return {analysis.verdict.code, *traits, *(finding.code for finding in analysis.findings)}


def test_every_code_has_a_pair_of_curves() -> None:
    assert sorted(PAIRS) == sorted(CODES)


@pytest.mark.parametrize("code", PAIRS)
def test_each_code_fires_on_its_curve(code: str) -> None:
    assert code in fired(analysis_of(code))


@pytest.mark.parametrize("code", PAIRS)
def test_no_code_fires_on_its_near_miss(code: str) -> None:
    assert code not in fired(analysis_of(code, near_miss=True))
