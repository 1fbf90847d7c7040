"""Finds and ranks the likely causes of a curve: facts → `Finding`s.

The causes are defined in six tables, one for each area. This file joins the tables and ranks the findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_lrscan.causes.batches import CAUSES_OF_FEEDING
from keras_lrscan.causes.cause import Cause, CauseStatus, Finding, judge
from keras_lrscan.causes.data import CAUSES_OF_DATA
from keras_lrscan.causes.labels import CAUSES_OF_LABELS
from keras_lrscan.causes.model import CAUSES_OF_MODEL
from keras_lrscan.causes.scan_settings import CAUSES_OF_RANGE
from keras_lrscan.causes.start import CAUSES_OF_START
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.reading.features import MIN_FOR_START

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["CAUSES", "find_causes"]

CAUSES: tuple[Cause, ...] = tuple(
    sorted(
        (*CAUSES_OF_START, *CAUSES_OF_DATA, *CAUSES_OF_LABELS, *CAUSES_OF_FEEDING, *CAUSES_OF_MODEL, *CAUSES_OF_RANGE),
        key=lambda cause: cause.code,
    )
)
"""Every cause, in the order of the codes."""

EXPLAIN_THE_END = frozenset({"nan-in-data", "loss-outside-domain", "float16-overflow"})
"""Names of the causes that are judged on fewer losses too if a loss or a weight is not finite: they end a scan."""

EXCLUDED = frozenset({CauseStatus.RULED_OUT, CauseStatus.NOT_APPLICABLE})


def find_causes(facts: Mapping[str, Any]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Returns the causes that the facts support, ranked, and those that they exclude.

    Likely causes that the user should fix come first, then all others. Within both groups, the likeliest come first. A
    record of one or two losses supports no cause, except those that explain why a loss or a weight is not finite.

    Args:
        facts: Features and context of one curve, by name; see `keras_lrscan.reading.facts`.
    """
    judged = [finding for cause in _candidates(facts) if (finding := judge(cause, facts)) is not None]
    found = [finding for finding in judged if finding.status not in EXCLUDED]
    excluded = tuple(finding for finding in judged if finding.status in EXCLUDED)
    return tuple(sorted(found, key=_rank)), excluded


def _candidates(facts: Mapping[str, Any]) -> tuple[Cause, ...]:
    if facts["num_points"] >= MIN_FOR_START:
        return CAUSES
    is_finite = facts["finite_share"] is None and facts["stop"] != StopReason.NON_FINITE_WEIGHTS
    return () if is_finite else tuple(cause for cause in CAUSES if cause.name in EXPLAIN_THE_END)


def _rank(finding: Finding) -> tuple[bool, float]:
    return not (finding.alarm and finding.is_sure), -finding.likelihood
