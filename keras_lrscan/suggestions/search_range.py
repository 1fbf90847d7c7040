"""Reads the range of learning rates that a hyper-parameter search should cover off a curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.errors import unknown_option
from keras_lrscan.suggestions.suggest import NEVER, WHY_NONE, why_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from keras_lrscan.causes.cause import Finding
    from keras_lrscan.reading.reading import Reading

__all__ = ["RangeKind", "SearchRange", "search_range"]

STEEPEST_FACTOR = 10.0
"""Factor from the steepest fall to the ends of the range, as proposed for hyper-parameter searches."""

BELOW_ELBOW = 100.0
"""Factor from the elbow down to the lower end of the range for a loss that never falls.

In `benchmarks/suggestions`, at a constant rate, 90 % of these ranges contain a rate with a regret of at most 0.05. Of
ranges one and a half decades wide, 78 % do.
"""


class RangeKind(StrEnum):
    """Kinds of range to search."""

    TO_ELBOW = "to-elbow"
    """From a tenth of the rate of the steepest fall to the elbow."""
    AROUND_STEEPEST = "around-steepest"
    """From a tenth of the rate of the steepest fall to ten times that rate."""


@dataclass(frozen=True, kw_only=True)
class SearchRange:
    """Holds a range of learning rates to search on a log axis, or the reason why the curve gives none.

    Attributes:
        low: Lowest rate; `None` if the curve gives no range.
        high: Highest rate; `None` if the curve gives no range.
        kind: Kind of the range.
        reason: Origin of the two ends, or the reason for no range.
    """

    low: float | None
    high: float | None
    kind: RangeKind
    reason: str

    @property
    def decades(self) -> float | None:
        """Width of the range in decades, or `None` without a range."""
        return None if self.low is None or self.high is None else math.log10(self.high / self.low)


Ends = tuple[float, float, str] | str
"""Lowest rate, highest rate and their origin, or the reason for no range."""


def search_range(reading: Reading, *, kind: str = RangeKind.TO_ELBOW, findings: Sequence[Finding] = ()) -> SearchRange:
    """Returns the range of learning rates that a hyper-parameter search should cover.

    Args:
        reading: The reading of the curve.
        kind: One of `"to-elbow"`, `"around-steepest"`.
        findings: Causes that the curve points to. There is no range if one of those that stop all learning is likely.

    Raises:
        InvalidOptionError: If `kind` is unknown.

    References:
        A proposal in the fast.ai forum, thread 38331, "AutoLRFinder": search from a tenth of the rate of the steepest
        fall to the elbow, or to ten times that rate.
    """
    if kind not in list(RangeKind):
        raise unknown_option("kind", kind, RangeKind)
    shape, hidden = reading.verdict.shape, why_hidden(reading, findings)
    ends: Ends = NO_RANGE + WHY_NONE[shape] if shape in NEVER else ENDS[RangeKind(kind)](reading)
    if hidden is not None and not isinstance(ends, str):
        ends = NO_RANGE + hidden
    if isinstance(ends, str):
        return SearchRange(low=None, high=None, kind=RangeKind(kind), reason=ends)
    low, high, reason = ends
    return SearchRange(low=low, high=high, kind=RangeKind(kind), reason=reason)


def _to_elbow(reading: Reading) -> Ends:
    steepest, elbow = reading.landmarks.steepest, reading.landmarks.elbow
    if steepest is not None:
        low = steepest.lr / STEEPEST_FACTOR
        if elbow is not None:
            return low, elbow.lr, "From a tenth of the rate of the steepest fall to where the loss starts to rise."
        last = float(10.0 ** reading.smoothed.log10_lr[-1])
        return (
            low,
            last,
            "From a tenth of the rate of the steepest fall to the last rate of the test: the loss does not rise.",
        )
    if elbow is None:
        return NO_RANGE + "the loss neither falls nor rises."
    reason = "The two decades below the rate at which the loss starts to rise, because it never falls."
    return elbow.lr / BELOW_ELBOW, elbow.lr, reason


def _around_steepest(reading: Reading) -> Ends:
    steepest = reading.landmarks.steepest
    if steepest is None:
        return NO_RANGE + 'the loss never falls, so there is no steepest fall. Search "to-elbow" instead.'
    reason = "From a tenth of the rate of the steepest fall to ten times that rate."
    return steepest.lr / STEEPEST_FACTOR, steepest.lr * STEEPEST_FACTOR, reason


NO_RANGE = "There is no range to search: "

ENDS: Mapping[RangeKind, Callable[[Reading], Ends]] = MappingProxyType(
    {RangeKind.TO_ELBOW: _to_elbow, RangeKind.AROUND_STEEPEST: _around_steepest}
)
"""Kind → function that returns its two ends, or the reason for no range."""
