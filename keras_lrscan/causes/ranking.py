"""Why a curve looks the way it does: facts → `Finding`s.

The causes stand in five tables, by where they lie; this file puts them together and ranks what is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_lrscan.causes.batches import CAUSES_OF_FEEDING
from keras_lrscan.causes.cause import Cause, CauseStatus, Finding, judge
from keras_lrscan.causes.data import CAUSES_OF_DATA
from keras_lrscan.causes.model import CAUSES_OF_MODEL
from keras_lrscan.causes.scan_settings import CAUSES_OF_RANGE
from keras_lrscan.causes.start import CAUSES_OF_START

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["CAUSES", "find_causes"]

CAUSES: tuple[Cause, ...] = tuple(
    sorted(
        (*CAUSES_OF_START, *CAUSES_OF_DATA, *CAUSES_OF_FEEDING, *CAUSES_OF_MODEL, *CAUSES_OF_RANGE),
        key=lambda cause: cause.code,
    )
)
"""Every cause, by its code."""

EXCLUDED = frozenset({CauseStatus.RULED_OUT, CauseStatus.NOT_APPLICABLE})


def find_causes(facts: Mapping[str, Any]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Returns the causes that the facts point to, ranked, and those that they exclude.

    Likely causes that should be mended stand first, then all others; within both, the likeliest first.

    Args:
        facts: Features and context of one curve, by name; see `keras_lrscan.reading.facts`.
    """
    judged = [finding for cause in CAUSES if (finding := judge(cause, facts)) is not None]
    found = [finding for finding in judged if finding.status not in EXCLUDED]
    excluded = tuple(finding for finding in judged if finding.status in EXCLUDED)
    return tuple(sorted(found, key=_rank)), excluded


def _rank(finding: Finding) -> tuple[bool, float]:
    return not (finding.alarm and finding.status == CauseStatus.LIKELY), -finding.likelihood
