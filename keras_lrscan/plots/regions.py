"""Divides the learning rates of a scan into named regions, such as "learning" and "breaking".

The regions end at the landmarks. A curve without a readable shape has no regions.
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
"""Regions narrower than this share of the scan (in decades) are left out."""

UNREADABLE = frozenset({Shape.NOISY, Shape.TOO_SHORT, Shape.UNCLEAR})
"""Shapes without regions, because naming them would claim more than the curve shows."""


class RegionKind(StrEnum):
    """The effect of the learning rates of one region; the value is its name on the plot."""

    SMALL = "too small to matter"
    """The loss has not started to fall, and does so later."""
    LEVEL = "no visible change"
    """The loss never falls, and has not started to rise."""
    DRIFTING = "slowly getting worse"
    LEARNING = "learning"
    FALLING = "falling"
    """The loss falls, but only to the cost of guessing."""
    BREAKING = "breaking"
    BROKEN = "broken"
    """The loss stays at one high level until the end of the scan."""


THROUGHOUT: Mapping[Shape, RegionKind] = MappingProxyType(
    {Shape.UPWARD_DRIFT: RegionKind.DRIFTING, Shape.DIVERGES_AT_ONCE: RegionKind.BREAKING}
)
"""Shape → the kind of the first region, which then covers the whole scan."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """One range of learning rates with the same effect.

    Attributes:
        kind: The effect; its value is the name of the region.
        low: First learning rate.
        high: Last learning rate.
    """

    kind: RegionKind
    low: float
    high: float


def regions(analysis: PureAnalysis) -> tuple[Region, ...]:
    """Returns the regions of a scan from left to right; each starts at the end of the one before it.

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
    boundaries = [(analysis.curve.lr[0], _first_kind(analysis)), *_later_regions(analysis)]
    ends = [lr for lr, _ in boundaries[1:]] + [analysis.curve.lr[-1]]
    min_width = (analysis.curve.lr[-1] / analysis.curve.lr[0]) ** NARROWEST
    return tuple(
        Region(kind=kind, low=float(low), high=float(high))
        for (low, kind), high in zip(boundaries, ends, strict=True)
        if high >= low * min_width
    )


def _first_kind(analysis: PureAnalysis) -> RegionKind:
    if analysis.landmarks.descent_start is not None:
        return RegionKind.SMALL
    return THROUGHOUT.get(analysis.verdict.shape, RegionKind.LEVEL)


def _later_regions(analysis: PureAnalysis) -> Iterable[tuple[float, RegionKind]]:
    marks, features = analysis.landmarks, analysis.features
    if marks.descent_start is not None:
        learns = analysis.verdict.shape != Shape.FALLS_TO_CHANCE
        yield marks.descent_start.lr, RegionKind.LEARNING if learns else RegionKind.FALLING
    if marks.elbow is not None and analysis.verdict.shape not in THROUGHOUT:
        yield marks.elbow.lr, RegionKind.BREAKING
        if analysis.verdict.shape == Shape.VALLEY_THEN_PLATEAU and features.plateau_decades is not None:
            plateau = 10.0 ** (float(analysis.smoothed.log10_lr[-1]) - features.plateau_decades)
            yield max(plateau, marks.elbow.lr), RegionKind.BROKEN
