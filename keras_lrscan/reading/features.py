"""Computes a few dimensionless numbers that describe a curve: `CurveFeatures`.

Rules test only these features, the context, and facts derived from both. Each feature has its printed name next to its
definition, so that a rule can print the feature that it tested.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from keras_lrscan.curves.context import chance_loss, has_far_targets, uniform_loss
from keras_lrscan.curves.detect_averaging import MIN_POINTS, correlations_of_differences
from keras_lrscan.curves.noise import correlation, difference_noise, rank_correlation, trend_of
from keras_lrscan.formatting import COUNT, RATIO, measured
from keras_lrscan.reading.divergence import Recoveries, early_explosion, first_settled, plateau_start, share_near
from keras_lrscan.reading.references import SMALLEST_REFERENCE, References
from keras_lrscan.reading.spacing import linear_spacing
from keras_lrscan.reading.start_state import (
    StartState,
    are_mixed,
    is_untrained,
    judged_outputs,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from keras_lrscan._typing import Array
    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.reading.landmarks import Landmark, Landmarks
    from keras_lrscan.reading.smoothing import SmoothedCurve

__all__ = [
    "EXPLODED",
    "MIN_FOR_START",
    "PENALTY_CHANGE",
    "WITHOUT_FLOOR",
    "CurveFeatures",
    "Record",
    "Reference",
    "breaks",
    "compute_features",
]

EXPLODED = 5.0
"""Multiple of the untouched model's loss, or of the chance level, from which the loss exploded at the first rates.

Scans of digits whose first rate breaks training reach 10 to 1e9. In `benchmarks/causes`, fits in batches of one sample
reach 3.3, and models that recover from the first steps of a fresh Adam 2.1.
"""

WITHOUT_FLOOR = 1e4
"""Depth below zero, in units of the first losses and their noise, of losses that only run away.

Critics of two classes of pictures reach 1e5 to 1e15, losses below zero in the recorded benchmarks at most 2.
"""

PLATEAU_SHARE = 0.1
"""Largest deviation of a plateau from its level, as a share of the fall."""

MIN_FOR_NOISE = 8
"""Smallest number of points for estimating the noise, even if the loss rises earlier."""

FEW_BATCHES = 5
"""Number of batches at either end whose median is the level there."""

PENALTY_CHANGE = 0.05
"""Share of the regularization by which it changes over the first batches, so that a loss of zero can look negative."""

MIN_FOR_START = 3
"""Smallest number of points from which start, traits and causes are read: one or two batches can be far from them."""

NORMAL_90 = 3.29
"""Width of the central 90 % of a normal distribution, in standard deviations."""


class Reference(StrEnum):
    """Names the loss that is the unit of falls, rises and noise."""

    CHANCE = "chance level"
    START = "first losses"
    NONE = "none"
    """The loss has no natural zero. The unit is the fall, or the range of the losses without a fall."""


@dataclass(frozen=True, kw_only=True)
class CurveFeatures:
    """Holds the features of a curve, each with its printed name.

    Distances between learning rates are in decades. Losses are shares of the fall or of the reference loss, which is
    the chance level if known, and the first loss otherwise. A loss that can fall below zero has no reference loss:
    falls and rises are then in units of the fall, or of the range of the losses without a fall, and ratios to the
    chance level are unknown. A feature is `None` if the curve does not show it or if it needs an unknown field of the
    context; rules never hold for such a feature.
    """

    num_points: int = measured("recorded batches with a finite loss", "{:d}", 0)
    points_per_decade: float | None = measured("points per decade", COUNT)
    decades: float = measured("decades from the first to the last learning rate", "{:.1f}", 0.0)
    stop: str = measured("reason why the scan ended", "{}", "unknown")
    reference: str = measured("reference loss", "{}", str(Reference.NONE))
    start_state: str = measured("loss at the start compared with the chance level", "{}", "unknown")
    start_ratio: float | None = measured(
        "ratio of the loss at the start, less regularization, to the chance level", RATIO
    )
    depth_below_zero: float | None = measured(
        "depth of the lowest loss below zero, as a multiple of the first losses and their noise", RATIO
    )
    lowest_ratio: float | None = measured("ratio of the lowest loss to the chance level", RATIO)
    regularization_share: float | None = measured("share of regularization in the loss at the start", "{:.0%}")
    fall: float = measured("fall to the first minimum, as a share of the reference loss", "{:.0%}", 0.0)
    fall_in_noise: float | None = measured("ratio of the fall to the batch-to-batch noise", RATIO)
    fall_decades: float | None = measured("decades from the start of the fall to the minimum", "{:.1f}")
    minimum_decades: float | None = measured("decades from the first rate to the minimum of the fall", "{:.1f}")
    flat_decades: float | None = measured("decades before the first fall or rise", "{:.1f}")
    rise: float = measured("rise after the minimum, as a share of the reference loss", "{:.0%}", 0.0)
    rise_over_fall: float | None = measured("ratio of the rise after the first minimum to the fall")
    end_rise: float | None = measured(
        "rise of the last losses above the flat level, as a share of the reference loss", "{:.0%}"
    )
    calm_share: float | None = measured("share of the planned decades before the loss rises", "{:.0%}")
    drift: float | None = measured("rank correlation of the smoothed loss with the learning rate", "{:.2f}")
    trend: float | None = measured(
        "rise of a straight line through all losses, as a share of the reference loss", "{:.1%}"
    )
    trend_in_errors: float | None = measured("ratio of the straight line's rise to its standard error", "{:.1f}")
    noise: float | None = measured("batch-to-batch noise, as a share of the reference loss", "{:.0%}")
    noise_over_fall: float | None = measured("batch-to-batch noise, as a share of the whole fall", "{:.0%}")
    noise_over_start: float | None = measured("batch-to-batch noise, as a share of the loss at the start", "{:.0%}")
    num_valleys: int = measured("number of valleys", "{:d}", 0)
    num_recoveries: int = measured("number of breaks from which training recovered", "{:d}", 0)
    plateau_decades: float | None = measured("decades on a high plateau at the end", "{:.1f}")
    plateau_ratio: float | None = measured("ratio of the plateau to the chance level", RATIO)
    end_ratio: float | None = measured("ratio of the last losses to the chance level", RATIO)
    chance_end_decades: float | None = measured(
        "decades at the end over which the loss is at the chance level", "{:.1f}"
    )
    chance_share: float | None = measured(
        "share of batches after the elbow with a loss near the chance level", "{:.0%}"
    )
    first_jump: float | None = measured("rise over the first updates, as a share of the reference loss", "{:.0%}")
    early_explosion: float = measured(
        "highest loss at the first rates, as a multiple of the untouched model's, if it comes back",
        RATIO,
        0.0,
    )
    early_slope: float | None = measured("slope in the first 0.2 decade, as a share of the steepest slope", "{:.0%}")
    startup_bump: float | None = measured("rise before the fall, as a share of the fall", "{:.0%}")
    slope_mean: float | None = measured("mean slope from the steepest point to the elbow, in falls per decade")
    slope_sd: float | None = measured(
        "standard deviation of the slope from the steepest point to the elbow, in falls per decade"
    )
    lone_batches: int = measured("number of isolated outliers", "{:d}", 0)
    spike: float | None = measured(
        "distance of the farthest isolated outlier from the smoothed curve, in units of the noise", "{:.0f}"
    )
    finite_share: float | None = measured("share of the planned decades before the first non-finite loss", "{:.0%}")
    rise_before_nonfinite: float | None = measured(
        "relative rise from the first loss to the loss before the first non-finite one", "{:.0%}"
    )
    peak: float | None = measured(
        "height of the largest loss above the start, in units of the larger of fall and reference loss", "{:.3g}"
    )
    epoch_pattern: float | None = measured(
        "correlation of losses one epoch apart, less the mean over an epoch", "{:.2f}"
    )
    neighbor_correlation: float | None = measured("correlation of successive changes of the loss", "{:+.2f}")
    linear_spacing: float | None = measured(
        "excess linearity of the learning rates over that of their logarithms", "{:.2f}"
    )


def breaks(curve: LRCurve) -> bool:
    """Returns whether the record ends in a non-finite loss, which counts as the highest possible rise."""
    return not bool(np.isfinite(curve.loss[-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """Holds everything that depends on the recorded losses alone, so that all copies of a curve share it.

    Attributes:
        curve: The recorded curve.
        loss: Its finite losses. Array of shape `(n,)`.
        references: The losses that the others are compared with.
        features: The features that no smoothed curve is needed for.
        recoveries: What shows in these losses whether training broke and recovered.
    """

    curve: LRCurve
    loss: Array
    references: References
    features: Mapping[str, Any]
    recoveries: Recoveries

    @classmethod
    def of(cls, curve: LRCurve) -> Record:
        """Computes what the copies of a curve share."""
        finite, references = np.isfinite(curve.loss), References.of(curve)
        loss, chance = curve.loss[finite], references.chance
        found: dict[str, Any] = {"early_explosion": _early_explosion(curve, loss, references)}
        if chance and loss.size:
            x = np.log10(curve.lr[finite])
            settled = first_settled(loss - (curve.context.regularization_loss or 0.0), chance)
            found["chance_end_decades"] = 0.0 if settled is None else float(x[-1] - x[settled])
        together = correlations_of_differences(loss)[0] if loss.size >= MIN_POINTS else math.nan
        found["neighbor_correlation"] = None if math.isnan(together) else together
        found["linear_spacing"] = linear_spacing(curve)
        found["depth_below_zero"] = None if references.natural_zero else _depth_below_zero(loss)
        found |= _ends(loss, references)
        recoveries = Recoveries.of(loss)
        return cls(curve=curve, loss=loss, references=references, features=found, recoveries=recoveries)


def compute_features(record: Record, smoothed: SmoothedCurve, marks: Landmarks) -> CurveFeatures:
    """Computes the features of a curve.

    Args:
        record: What the copies of the curve share.
        smoothed: The smoothed curve, or a copy of it.
        marks: The landmarks of the smoothed curve.
    """
    curve, references = record.curve, record.references
    x, loss = smoothed.log10_lr, smoothed.loss
    if marks.start is None or marks.minimum is None:
        return CurveFeatures(stop=str(curve.stop), finite_share=0.0, rise_before_nonfinite=0.0)
    low, top = marks.minimum, _top_before(marks, marks.start)
    fall = max(top - low.loss, 0.0) if marks.valleys else 0.0
    deepest = max((top - valley.loss for valley in marks.valleys), default=0.0)
    reference = references.loss or max(fall or float(np.ptp(loss)), 1e-12)
    noise = _batch_noise(record.loss, marks)
    next_top = max((peak.loss for peak in marks.peaks if peak.index > low.index), default=low.loss)
    rise = max(next_top - low.loss, 0.0) if marks.elbow is not None else 0.0
    rise = max(rise, reference) if breaks(curve) else rise
    calm_to = marks.descent_start or marks.elbow
    exploded = record.features["early_explosion"] >= EXPLODED
    start = float(curve.loss[0]) if exploded else marks.start.loss
    lone = smoothed.outliers[smoothed.outliers < (x.size if marks.elbow is None else marks.elbow.index)]
    return CurveFeatures(
        num_points=x.size,
        points_per_decade=(x.size - 1) / float(x[-1] - x[0]) if x.size > 1 else None,
        decades=float(x[-1] - x[0]),
        stop=str(curve.stop),
        reference=_reference_name(references),
        fall=fall / reference,
        fall_in_noise=fall / noise if fall > 0 and noise > 0 else None,
        rise=rise / reference,
        rise_over_fall=rise / fall if fall > 0 else None,
        noise=noise / reference,
        noise_over_fall=noise / deepest if deepest > 0 else None,
        noise_over_start=noise / start if start > 0 and references.natural_zero else None,
        flat_decades=float((x[-1] if calm_to is None else x[calm_to.index]) - x[0]),
        num_valleys=len(marks.valleys),
        lone_batches=lone.size,
        spike=_spike(record.loss, smoothed, lone),
        peak=(float(loss.max()) - marks.start.loss) / max(fall, reference),
        **record.features,
        **_start(record, start, min([low.loss, *(valley.loss for valley in marks.valleys)]), exploded=exploded),
        **_without_fall(record, smoothed, marks, reference),
        **_with_fall(smoothed, marks, top, references.chance),
        **_whole_record(record, smoothed, marks, noise),
        **_after_the_break(record, marks, noise),
    )


def _early_explosion(curve: LRCurve, loss: Array, references: References) -> float:
    """Returns the height of an explosion at the first rates.

    It is 0 for averages, whose first losses are not of batches, and for targets with outliers, whose losses jump.
    """
    context = curve.context
    if has_far_targets(context):
        return 0.0
    averaged = context.averaging is not None or context.undone_averaging is not None
    if averaged or not np.isfinite(curve.loss[0]) or not references.natural_zero:
        return 0.0
    level = max(float(curve.loss[0]), chance_loss(context) or 0.0)
    return early_explosion(np.log10(curve.lr[np.isfinite(curve.loss)]), loss, level)


def _reference_name(references: References) -> str:
    if references.chance is not None:
        return str(Reference.CHANCE)
    return str(Reference.NONE if references.start is None else Reference.START)


def _top_before(marks: Landmarks, start: Landmark) -> float:
    """Returns the loss at which the fall begins: the last peak before the first valley, or else the start."""
    before = [peak.loss for peak in marks.peaks if marks.valleys and peak.index < marks.valleys[0].index]
    return before[-1] if before else start.loss


def _batch_noise(loss: Array, marks: Landmarks) -> float:
    """Returns the noise of one batch before the loss rises, from percentiles of second differences for heavy tails."""
    end = loss.size if marks.elbow is None else max(marks.elbow.index, MIN_FOR_NOISE)
    rough = np.diff(loss[:end], 2) / math.sqrt(6)
    return float(np.subtract(*np.percentile(rough, [95, 5]))) / NORMAL_90 if rough.size else 0.0


def _spike(recorded: Array, smoothed: SmoothedCurve, lone: NDArray[np.intp]) -> float | None:
    if not lone.size or recorded.size != smoothed.loss.size:
        return None
    noise = np.maximum(smoothed.noise[lone], SMALLEST_REFERENCE)
    return float((np.abs(recorded - smoothed.loss)[lone] / noise).max())


def _start(record: Record, start: float, lowest: float, *, exploded: bool) -> dict[str, Any]:
    if record.loss.size < MIN_FOR_START or not record.references.natural_zero:
        return {}
    context, chance = record.curve.context, record.references.chance
    regularization = context.regularization_loss or 0.0
    level = start - regularization
    if level < -PENALTY_CHANGE * regularization:
        return {}
    level = max(level, 0.0)
    is_given = context.regularization_loss is not None and start > 0
    found: dict[str, Any] = {"regularization_share": 1 - level / start if is_given else None}
    if chance is None:
        return found
    state = state_of(level, chance, uniform_loss(context))
    if state == StartState.BETTER_THAN_CHANCE and is_untrained(context):
        return found
    if not exploded and are_mixed(judged_outputs(context)):
        state = StartState.MIXED
    without = lowest - regularization
    found["lowest_ratio"] = _ratio(without if without >= 0 else lowest, chance)  # the penalty shrank if negative
    return found | {"start_ratio": level / chance, "start_state": state}


def _ratio(loss: float | None, chance: float | None) -> float | None:
    """Returns the ratio of a loss to the chance level, or `None` if one of them is unknown or the loss is negative."""
    return None if loss is None or chance is None or loss < 0 else loss / chance


def _relative_rise(first: float, last: float, noise: float, *, natural: bool) -> float | None:
    """Returns the rise from one loss to another as a share of the first; without a natural zero, 0 or `None`."""
    if natural and first > 0:
        return last / first - 1
    return 0.0 if last - first <= noise else None


def _without_fall(record: Record, smoothed: SmoothedCurve, marks: Landmarks, reference: float) -> dict[str, Any]:
    if marks.valleys:
        return {}
    x, loss = smoothed.log10_lr, smoothed.loss
    end = x.size - 1 if marks.elbow is None else marks.elbow.index
    tail = max(1, x.size // 50)
    level = float(np.median(loss[: end + 1]))
    trend, error = trend_of(x, record.loss)
    rank = rank_correlation(x, loss) if np.ptp(loss) > 0 else None
    return {
        "startup_bump": _bump(loss, marks, end),
        "end_rise": (float(np.median(loss[-tail:])) - level) / reference,
        "calm_share": None if marks.elbow is None else float(x[end] - x[0]) / _planned_decades(record.curve),
        "drift": rank,
        "trend": trend / reference,
        "trend_in_errors": trend / error if error > 0 else None,
    }


def _bump(loss: Array, marks: Landmarks, end: int) -> float | None:
    """Returns the height of the first peak before `end`, as a share of the fall after it, or `None` without a peak."""
    peak = next((peak.index for peak in marks.peaks if 0 < peak.index < end), None)
    if peak is None:
        return None
    fall = float(loss[peak] - loss[peak : end + 1].min())
    return float(loss[peak] - loss[0]) / fall if fall > 0 else None


def _with_fall(smoothed: SmoothedCurve, marks: Landmarks, top: float, chance: float | None) -> dict[str, Any]:
    if marks.minimum is None or marks.descent_start is None or marks.steepest is None:
        return {}
    x, loss, slope = smoothed.log10_lr, smoothed.loss, smoothed.mean_slope
    fall = top - marks.minimum.loss
    if fall <= 0 or slope[marks.steepest.index] == 0:  # by rounding
        return {}
    first = slice(0, max(2, int(np.searchsorted(x, x[0] + 0.2))))
    elbow = x.size - 1 if marks.elbow is None else marks.elbow.index
    between = slope[marks.steepest.index : elbow + 1] / fall
    plateau = plateau_start(x, loss, marks.minimum.index, PLATEAU_SHARE * fall, top - fall / 2)
    level = None if plateau is None else float(np.median(loss[plateau:]))
    return {
        "fall_decades": float(x[marks.minimum.index] - x[marks.descent_start.index]),
        "minimum_decades": float(x[marks.minimum.index] - x[0]),
        "early_slope": float(slope[first].mean() / slope[marks.steepest.index]),
        "startup_bump": (top - float(loss[0])) / fall,
        "slope_mean": float(between.mean()),
        "slope_sd": float(between.std()),
        "plateau_decades": 0.0 if plateau is None else float(x[-1] - x[plateau]),
        "plateau_ratio": _ratio(level, chance),
    }


def _planned_decades(curve: LRCurve) -> float:
    recorded = math.log10(curve.lr[-1] / curve.lr[0])
    if curve.context.start_lr is None or curve.context.end_lr is None:
        return max(recorded, 1e-9)
    return max(recorded, math.log10(curve.context.end_lr / curve.context.start_lr), 1e-9)


def _depth_below_zero(loss: Array) -> float | None:
    """Returns how deep losses run away below zero; 0 if the lowest is less than ten times those of the last quarter."""
    quarter = max(FEW_BATCHES, loss.size // 4)
    if loss.size < 2 * quarter:
        return None
    first, depth = loss[:quarter], max(0.0, -float(loss.min()))
    size = max(abs(float(np.median(first))), difference_noise(first))
    if size <= SMALLEST_REFERENCE:
        return None
    return depth / size if depth >= 10 * abs(float(np.median(loss[-quarter:]))) else 0.0


def _ends(loss: Array, references: References) -> dict[str, Any]:
    """Computes the features of the first updates and the last batches, without smoothing."""
    if loss.size <= 2 * FEW_BATCHES:
        return {}
    unit = references.loss
    jump = None if unit is None else float(np.median(loss[1 : 1 + FEW_BATCHES]) - loss[0]) / unit
    return {"first_jump": jump, "end_ratio": _ratio(float(np.median(loss[-FEW_BATCHES:])), references.chance)}


def _after_the_break(record: Record, marks: Landmarks, noise: float) -> dict[str, Any]:
    loss, chance = record.loss, record.references.chance
    found: dict[str, Any] = {"num_recoveries": record.recoveries.count(noise)}
    if chance and marks.valleys and marks.elbow is not None and loss.size > marks.elbow.index + FEW_BATCHES:
        after = loss[marks.elbow.index + 1 :] - (record.curve.context.regularization_loss or 0.0)
        found["chance_share"] = share_near(after, chance, noise)
    return found


def _whole_record(record: Record, smoothed: SmoothedCurve, marks: Landmarks, noise: float) -> dict[str, Any]:
    found: dict[str, Any] = {}
    curve, finite = record.curve, np.isfinite(record.curve.loss)
    if not finite.all():
        first = int(np.argmin(finite))
        found["finite_share"] = math.log10(curve.lr[first] / curve.lr[0]) / _planned_decades(curve)
        ends = (float(curve.loss[0]), float(curve.loss[first - 1])) if first else (0.0, 0.0)
        rise = _relative_rise(*ends, noise, natural=record.references.natural_zero)
        found["rise_before_nonfinite"] = rise
    updates = curve.context.updates_per_epoch
    period = None if updates is None or updates % 1 else int(updates)
    end = smoothed.loss.size if marks.elbow is None else marks.elbow.index
    if period is not None and 2 <= period <= end // 2:
        before = record.loss[:end]  # the mean over a whole epoch holds no pattern that repeats every epoch
        residual = before - uniform_filter1d(before, period, mode="nearest")
        found["epoch_pattern"] = correlation(residual[:-period], residual[period:])
    return found
