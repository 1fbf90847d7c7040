"""Few, dimensionless numbers that say what a curve looks like: curve and landmarks → `CurveFeatures`.

Every rule of this package tests these numbers and nothing else. Each is named in words beside its definition, so that a
rule can print what it tested.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.curves.context import chance_loss, uniform_loss
from keras_lrscan.curves.detect_averaging import MIN_POINTS, memory
from keras_lrscan.curves.noise import correlation, rank_correlation, trend_of
from keras_lrscan.formatting import RATIO, measured
from keras_lrscan.reading.divergence import num_recoveries, plateau_start, share_near

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.curves.context import ScanContext
    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.reading.landmarks import Landmark, Landmarks
    from keras_lrscan.reading.smoothing import SmoothedCurve

    Array = NDArray[np.float64]

__all__ = [
    "BETTER_THAN_CHANCE",
    "WORSE_THAN_CHANCE",
    "CurveFeatures",
    "StartState",
    "breaks",
    "compute_features",
    "start_reference",
]

BETTER_THAN_CHANCE = 0.8
"""A first loss below this share of the chance level is better than chance.

Recorded fine-tuned models start at 0.01 to 0.36 of it, fresh ones and new heads at 0.95 to 1.26.
"""

WORSE_THAN_CHANCE = 1.4
"""A first loss above this multiple of the chance level is worse than chance: confident and wrong."""

PLATEAU_SHARE = 0.1
"""A plateau's loss stays within this share of the fall."""

VALLEY_DEPTH = 0.25
"""A further valley reaches at least this share of the first fall below the top the first one began from."""

MIN_FOR_NOISE = 8
"""The noise is taken from at least this many points, even where the loss rises sooner."""

FEW_BATCHES = 5
"""So many batches at either end are one level."""

SMALLEST_REFERENCE = 1e-200
"""A first loss below this is nothing to measure against: shares of it would leave the range of a float."""

NORMAL_90 = 3.29
"""Width of the middle 90 % of a normal variable, in standard deviations."""


class StartState(StrEnum):
    """The first loss against the loss of guessing."""

    AT_CHANCE = "at-chance"
    BETTER_THAN_CHANCE = "better-than-chance"
    WORSE_THAN_CHANCE = "worse-than-chance"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class CurveFeatures:
    """What the rules test of a curve; each feature is named in words beside it.

    Lengths along the rate are in decades, losses are in shares of the reference loss (the chance level where it is
    known, the first loss otherwise) or of the fall. A feature that the curve does not show, or that needs unknown
    context, is `None`, and no rule holds on it.
    """

    num_points: int = measured("recorded batches with a finite loss", "{:d}", 0)
    points_per_decade: float | None = measured("points in one decade", "{:.0f}")
    decades: float = measured("decades from the first to the last rate", "{:.1f}", 0.0)
    stop: str = measured("reason the scan ended", "{}", "unknown")
    start_state: str = measured("first loss against guessing", "{}", "unknown")
    start_ratio: float | None = measured("first loss over the chance level, regularization taken off", RATIO)
    regularization_share: float | None = measured("regularization's share of the first loss", "{:.0%}")
    fall: float = measured("fall to the first valley, as a share of the reference loss", "{:.0%}", 0.0)
    fall_in_noise: float | None = measured("fall over the noise of one batch", RATIO)
    fall_decades: float | None = measured("decades from the start of the fall to the minimum", "{:.1f}")
    flat_decades: float | None = measured("decades before anything happens", "{:.1f}")
    rise: float = measured("rise after the minimum, as a share of the reference loss", "{:.0%}", 0.0)
    rise_over_fall: float | None = measured("rise after the first valley over the fall to it")
    end_rise: float | None = measured("last loss over the flat level, as a share of the reference loss", "{:.0%}")
    calm_share: float | None = measured("share of the planned range before the loss rises", "{:.0%}")
    drift: float | None = measured("rank correlation of the smooth loss with the rate", "{:.2f}")
    trend: float | None = measured("rise of a straight line through all losses, as a share of the reference", "{:.1%}")
    trend_in_errors: float | None = measured("that rise over its standard error", "{:.1f}")
    noise: float | None = measured("noise of one batch, as a share of the reference loss", "{:.0%}")
    noise_over_fall: float | None = measured("noise of one batch over the fall", "{:.0%}")
    num_valleys: int = measured("valleys", "{:d}", 0)
    num_recoveries: int = measured("times that training broke and came back", "{:d}", 0)
    plateau_decades: float | None = measured("decades at the right end at one high level", "{:.1f}")
    plateau_ratio: float | None = measured("that level over the chance level", RATIO)
    end_ratio: float | None = measured("level of the last batches over the chance level", RATIO)
    guessing_share: float | None = measured(
        "share of the batches after the break that cost what guessing does", "{:.0%}"
    )
    first_jump: float | None = measured("rise by the very first updates, as a share of the reference loss", "{:.0%}")
    early_slope: float | None = measured("slope over the first 0.2 decade over the steepest slope", "{:.0%}")
    startup_bump: float | None = measured("rise before the fall, over the fall", "{:.0%}")
    slope_mean: float | None = measured("mean slope from steepest to elbow, in falls per decade")
    slope_sd: float | None = measured("standard deviation of that slope, in falls per decade")
    lone_batches: int = measured("lone batches far off their neighbors", "{:d}", 0)
    spike: float | None = measured("farthest lone batch off the smooth line, over the noise of one batch", "{:.0f}")
    finite_share: float | None = measured("share of the planned range before the first non-finite loss", "{:.0%}")
    rise_before_nonfinite: float | None = measured("rise over the first loss before that", "{:.0%}")
    peak: float | None = measured("largest loss above the start, in falls or reference losses", "{:.3g}")
    epoch_pattern: float | None = measured("correlation of the losses one epoch apart, trend taken off", "{:.2f}")
    neighbor_correlation: float | None = measured("correlation of neighboring changes of the loss", "{:+.2f}")
    linear_spacing: float | None = measured("how much straighter the rates are than their logarithms", "{:.2f}")


def start_reference(curve: LRCurve) -> float | None:
    """Returns the first losses less regularization; `None` for a loss that starts at or below zero.

    Where the chance level is not known, falls and rises are measured against this.
    """
    finite = curve.loss[np.isfinite(curve.loss)][:5]
    start = float(np.median(finite)) - (curve.context.regularization_loss or 0.0) if finite.size else 0.0
    return start if start > SMALLEST_REFERENCE else None


def reference_loss(curve: LRCurve) -> float | None:
    """Returns what falls and rises are measured against: the chance level, else the first losses, if positive.

    A loss that can fall below zero has no zero to measure from.
    """
    chance = chance_loss(curve.context)
    return chance if chance is not None and chance > 0 else start_reference(curve)


def breaks(curve: LRCurve) -> bool:
    """Returns whether the record ends in a loss that is not finite, which is as high as a loss can rise."""
    return not bool(np.isfinite(curve.loss[-1]))


def compute_features(curve: LRCurve, smoothed: SmoothedCurve, marks: Landmarks) -> CurveFeatures:
    """Measures one curve.

    Args:
        curve: The recorded curve.
        smoothed: The same curve, smoothed.
        marks: Its landmarks.
    """
    x, loss = smoothed.log10_lr, smoothed.loss
    if marks.start is None or marks.minimum is None:
        return CurveFeatures(stop=str(curve.stop), finite_share=0.0, rise_before_nonfinite=0.0)
    low, top = marks.minimum, _top_before(marks, marks.start)
    fall = max(top - low.loss, 0.0) if marks.valleys else 0.0
    reference = reference_loss(curve) or max(fall, float(np.ptp(loss)), 1e-12)
    noise = _batch_noise(curve, smoothed, marks)
    next_top = max((peak.loss for peak in marks.peaks if peak.index > low.index), default=low.loss)
    rise = max(next_top - low.loss, 0.0) if marks.elbow is not None else 0.0
    rise = max(rise, reference) if breaks(curve) else rise
    calm_to = marks.descent_start or marks.elbow
    lone = smoothed.outliers[smoothed.outliers < (x.size if marks.elbow is None else marks.elbow.index)]
    return CurveFeatures(
        num_points=x.size,
        points_per_decade=(x.size - 1) / float(x[-1] - x[0]) if x.size > 1 else None,
        decades=float(x[-1] - x[0]),
        stop=str(curve.stop),
        fall=fall / reference,
        fall_in_noise=fall / noise if fall > 0 and noise > 0 else None,
        rise=rise / reference,
        rise_over_fall=rise / fall if fall > 0 else None,
        noise=noise / reference,
        noise_over_fall=noise / fall if fall > 0 else None,
        flat_decades=float((x[-1] if calm_to is None else x[calm_to.index]) - x[0]),
        num_valleys=sum(valley.loss < top - VALLEY_DEPTH * fall for valley in marks.valleys),
        lone_batches=lone.size,
        spike=_spike(curve, smoothed, lone),
        peak=(float(loss.max()) - marks.start.loss) / max(fall, reference),
        **_start(curve.context, marks.start.loss),
        **_without_fall(curve, smoothed, marks, reference),
        **_with_fall(smoothed, marks, top, chance_loss(curve.context)),
        **_whole_record(curve, smoothed, marks),
        **_ends(curve, reference),
        **_after_the_break(curve, marks, noise),
    )


def _top_before(marks: Landmarks, start: Landmark) -> float:
    """Returns the loss that the fall begins from: the last peak before the first valley, else the start."""
    before = [peak.loss for peak in marks.peaks if marks.valleys and peak.index < marks.valleys[0].index]
    return before[-1] if before else start.loss


def _batch_noise(curve: LRCurve, smoothed: SmoothedCurve, marks: Landmarks) -> float:
    """Returns the noise of one batch before the loss rises, from second differences, wide enough for a heavy tail."""
    end = smoothed.loss.size if marks.elbow is None else max(marks.elbow.index, MIN_FOR_NOISE)
    rough = np.diff(curve.loss[np.isfinite(curve.loss)][:end], 2) / math.sqrt(6)
    return float(np.subtract(*np.percentile(rough, [95, 5]))) / NORMAL_90 if rough.size else 0.0


def _spike(curve: LRCurve, smoothed: SmoothedCurve, lone: NDArray[np.intp]) -> float | None:
    finite = curve.loss[np.isfinite(curve.loss)]
    if not lone.size or finite.size != smoothed.loss.size:
        return None
    noise = np.maximum(smoothed.noise[lone], SMALLEST_REFERENCE)
    return float((np.abs(finite - smoothed.loss)[lone] / noise).max())


def _start(context: ScanContext, start: float) -> dict[str, Any]:
    chance, regularization = chance_loss(context), context.regularization_loss
    share = None if regularization is None or start <= 0 else regularization / start
    if not chance:
        return {"regularization_share": share}
    level = start - (regularization or 0.0)
    ratio = 1 + (level - chance) / abs(chance)  # also above 1 for a worse start below zero
    fresh = max(WORSE_THAN_CHANCE, WORSE_THAN_CHANCE * (uniform_loss(context) or 0.0) / abs(chance))
    at_least = StartState.WORSE_THAN_CHANCE if ratio > fresh else StartState.AT_CHANCE
    state = StartState.BETTER_THAN_CHANCE if ratio < BETTER_THAN_CHANCE else at_least
    return {"start_ratio": ratio, "start_state": state, "regularization_share": share}


def _without_fall(curve: LRCurve, smoothed: SmoothedCurve, marks: Landmarks, reference: float) -> dict[str, Any]:
    if marks.valleys:
        return {}
    x, loss = smoothed.log10_lr, smoothed.loss
    end = x.size - 1 if marks.elbow is None else marks.elbow.index
    tail = max(1, x.size // 50)
    level = float(np.median(loss[: end + 1]))
    trend, error = trend_of(x, curve.loss[np.isfinite(curve.loss)])
    rank = rank_correlation(x, loss) if np.ptp(loss) > 0 else None
    return {
        "end_rise": (float(np.median(loss[-tail:])) - level) / reference,
        "calm_share": None if marks.elbow is None else float(x[end] - x[0]) / _planned_decades(curve),
        "drift": rank,
        "trend": trend / reference,
        "trend_in_errors": trend / error if error > 0 else None,
    }


def _with_fall(smoothed: SmoothedCurve, marks: Landmarks, top: float, chance: float | None) -> dict[str, Any]:
    if marks.minimum is None or marks.descent_start is None or marks.steepest is None:
        return {}
    x, loss, slope = smoothed.log10_lr, smoothed.loss, smoothed.slope
    fall = top - marks.minimum.loss
    if fall <= 0 or slope[marks.steepest.index] == 0:  # by rounding
        return {}
    first = slice(0, max(2, int(np.searchsorted(x, x[0] + 0.2))))
    elbow = x.size - 1 if marks.elbow is None else marks.elbow.index
    between = slope[marks.steepest.index : elbow + 1] / fall
    plateau = plateau_start(loss, marks.minimum.index, PLATEAU_SHARE * fall, top - fall / 2)
    level = None if plateau is None else float(np.median(loss[plateau:]))
    return {
        "fall_decades": float(x[marks.minimum.index] - x[marks.descent_start.index]),
        "early_slope": float(slope[first].mean() / slope[marks.steepest.index]),
        "startup_bump": (top - float(loss[0])) / fall,
        "slope_mean": float(between.mean()),
        "slope_sd": float(between.std()),
        "plateau_decades": 0.0 if plateau is None else float(x[-1] - x[plateau]),
        "plateau_ratio": level / chance if level is not None and chance else None,
    }


def _planned_decades(curve: LRCurve) -> float:
    recorded = math.log10(curve.lr[-1] / curve.lr[0])
    if curve.context.start_lr is None or curve.context.end_lr is None:
        return max(recorded, 1e-9)
    return max(recorded, math.log10(curve.context.end_lr / curve.context.start_lr), 1e-9)


def _ends(curve: LRCurve, reference: float) -> dict[str, Any]:
    """Measures what the first updates and the last batches show before any smoothing."""
    loss, chance = curve.loss[np.isfinite(curve.loss)], chance_loss(curve.context)
    if loss.size <= 2 * FEW_BATCHES:
        return {}
    jump = float(np.median(loss[1 : 1 + FEW_BATCHES]) - loss[0]) / reference
    return {"first_jump": jump, "end_ratio": float(np.median(loss[-FEW_BATCHES:])) / chance if chance else None}


def _after_the_break(curve: LRCurve, marks: Landmarks, noise: float) -> dict[str, Any]:
    loss, chance = curve.loss[np.isfinite(curve.loss)], chance_loss(curve.context)
    found: dict[str, Any] = {"num_recoveries": num_recoveries(loss, noise)}
    if chance and marks.valleys and marks.elbow is not None and loss.size > marks.elbow.index + FEW_BATCHES:
        after = loss[marks.elbow.index + 1 :] - (curve.context.regularization_loss or 0.0)
        found["guessing_share"] = share_near(after, chance, noise)
    return found


def _whole_record(curve: LRCurve, smoothed: SmoothedCurve, marks: Landmarks) -> dict[str, Any]:
    found: dict[str, Any] = {}
    finite = np.isfinite(curve.loss)
    if not finite.all():
        first = int(np.argmin(finite))
        found["finite_share"] = math.log10(curve.lr[first] / curve.lr[0]) / _planned_decades(curve)
        start = curve.loss[0] if first else np.nan
        found["rise_before_nonfinite"] = float(curve.loss[first - 1] / start - 1) if first and start > 0 else 0.0
    period = curve.context.steps_per_epoch
    end = smoothed.loss.size if marks.elbow is None else marks.elbow.index
    if period is not None and 2 <= period <= end // 2:
        residual = (curve.loss[finite] - smoothed.loss)[:end]
        found["epoch_pattern"] = correlation(residual[:-period], residual[period:])
    together = memory(curve.loss[finite])[0] if finite.sum() >= MIN_POINTS else math.nan
    found["neighbor_correlation"] = None if math.isnan(together) else together
    steps = np.arange(curve.lr.size, dtype=float)
    if curve.lr.size > 2:
        found["linear_spacing"] = correlation(curve.lr, steps) - correlation(np.log10(curve.lr), steps)
    return found
