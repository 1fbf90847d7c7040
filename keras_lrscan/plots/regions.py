"""What the rates of a scan did, stretch by stretch and in words: an `Analysis` → `Region`s.

The stretches are bounded by the landmarks. A curve that cannot be read has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.reading.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["Region", "RegionKind", "regions"]

NARROWEST = 0.03
"""A stretch narrower than this share of the scan, in decades, is not worth a name."""

UNREADABLE = frozenset({Shape.NOISY, Shape.TOO_SHORT, Shape.UNCLEAR})
"""Shapes on which to name a stretch would claim more than the curve shows."""


class RegionKind(StrEnum):
    """What the rates of one stretch did; the value is its name on the plot."""

    SMALL = "too small to matter"
    """The loss later falls, and has not begun to."""
    LEVEL = "no visible change"
    """The loss never falls, and has not begun to rise."""
    DRIFTING = "slowly getting worse"
    LEARNING = "learning"
    BREAKING = "breaking"
    BROKEN = "broken"
    """The loss stays at one high level to the end."""


THROUGHOUT: Mapping[Shape, RegionKind] = MappingProxyType(
    {Shape.UPWARD_DRIFT: RegionKind.DRIFTING, Shape.DIVERGES_AT_ONCE: RegionKind.BREAKING}
)
"""Shape → what all rates of such a scan did."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """One stretch of rates.

    Attributes:
        kind: What happened there; the value is its name.
        low: First rate.
        high: Last rate.
    """

    kind: RegionKind
    low: float
    high: float


def regions(analysis: PureAnalysis) -> tuple[Region, ...]:
    """Returns the stretches of a scan from left to right, each beginning where the one before it ends.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> [str(region.kind) for region in regions(analyze(synthetic_curve("u-shaped")))]
    ['too small to matter', 'learning', 'breaking']
    >>> [str(region.kind) for region in regions(analyze(synthetic_curve("flat-at-chance")))]
    ['no visible change', 'breaking']
    """
    if analysis.verdict.shape in UNREADABLE or not analysis.smoothed.loss.size:
        return ()
    borders = [(analysis.curve.lr[0], _first_kind(analysis)), *_later(analysis)]
    ends = [lr for lr, _ in borders[1:]] + [analysis.curve.lr[-1]]
    least = (analysis.curve.lr[-1] / analysis.curve.lr[0]) ** NARROWEST
    return tuple(
        Region(kind=kind, low=float(low), high=float(high))
        for (low, kind), high in zip(borders, ends, strict=True)
        if high >= low * least
    )


def _first_kind(analysis: PureAnalysis) -> RegionKind:
    if analysis.landmarks.descent_start is not None:
        return RegionKind.SMALL
    return THROUGHOUT.get(analysis.verdict.shape, RegionKind.LEVEL)


def _later(analysis: PureAnalysis) -> Iterable[tuple[float, RegionKind]]:
    marks, features = analysis.landmarks, analysis.features
    if marks.descent_start is not None:
        yield marks.descent_start.lr, RegionKind.LEARNING
    if marks.elbow is not None and analysis.verdict.shape not in THROUGHOUT:
        yield marks.elbow.lr, RegionKind.BREAKING
        if analysis.verdict.shape == Shape.VALLEY_THEN_PLATEAU and features.plateau_decades is not None:
            plateau = 10.0 ** (float(analysis.smoothed.log10_lr[-1]) - features.plateau_decades)
            yield max(plateau, marks.elbow.lr), RegionKind.BROKEN
