"""Recovers the losses of single batches from the averages that other tools store.

Each average is a chain of stages, and each stage combines a new value with its previous result, so each stage can be
inverted. The inversion costs digits: the stored numbers are rounded, and it multiplies their rounding errors by about
the length of the average.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.curves.noise import neighbor_noise
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, unknown_option

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AVERAGES",
    "UNKNOWN_AVERAGE",
    "Average",
    "Undone",
    "get_average",
    "moving_average",
    "seeded_moving_average",
    "undo_averaging",
    "undo_losses",
    "without_start_bias",
]

Stage = Callable[[int, float | None], tuple[Array, Array]]
"""Function of (number of points, batches per epoch) that returns `gain` and `carry`, each of shape `(n,)`.

The inverse of the stage is `before[t] = gain[t] * after[t] - carry[t] * after[t - 1]`.
"""

FLOAT32_ROUNDING = 2.0**-24
"""Largest relative rounding error in float32, the precision in which Keras, torch and fastai keep their averages."""

MIN_FOR_DIGITS = 20
"""Smallest number of values whose decimal digits are counted: a few values may all be short by chance."""

MAX_DIGITS = 17
"""Number of decimal digits that distinguishes any two float64 numbers."""

ROUNDING_TO_NOISE = 0.3
"""A recovered loss is kept if its rounding error is below this share of the noise, which it raises by 5 % at most."""

ROUNDING_TO_LEVEL = 0.01
"""It is also kept if that error is below this share of the median loss, for curves without noise."""

MIN_KEPT = 10
"""A record is refused if fewer losses than this can be recovered."""


BIASED_POINTS = 1000
"""Number of first points whose bias is removed; 0.98 to that power is 2e-9."""

MIN_FOR_BIAS, MAX_FOR_BIAS = 8, 30
"""Number of first losses that are compared with a bias; at most a quarter of all."""

MAX_LEFT_OUT = 20
"""Largest number of first points that a record may lack; tools leave ten out of their plots."""

UNEXPLAINED, UNEXPLAINED_IF_UNKNOWN = 0.25, 0.1
"""Share of the squared logarithms of the first losses, over their later level, that a bias may leave unexplained, for a
known average and for one of unknown origin.

Of the 2,640 recorded scans of single batches in `benchmarks/suggestions`, `causes` and `finetuning`, none is that close
to the bias of Lightning (the closest leaves 0.48). Of their Lightning averages, 85 % and 76 % are, and of averages by
other tools 1 to 3 % and 0.1 to 1 %.
"""


@dataclass(frozen=True, kw_only=True)
class Average:
    """Describes and inverts one kind of average over the losses of a scan.

    Attributes:
        name: Key of the average in `AVERAGES`.
        words: Description of the average and the tools that store it, to follow "each stored loss is ".
        stages: Functions that invert the stages of the average, the last stage first.
        lag: Mean age of the averaged losses once the average has filled up, in batches; `None` means half an epoch.
        needs_epoch: Whether the average restarts at every epoch, so that the number of batches per epoch must be known.
    """

    name: str
    words: str
    stages: tuple[Stage, ...]
    lag: float | None = None
    needs_epoch: bool = False

    def undo(self, stored: Array, steps_per_epoch: float | None = None) -> tuple[Array, Array]:
        """Returns the losses of single batches, and the error of each per unit of relative rounding error.

        Args:
            stored: Averaged losses, one per batch, from the first batch of an epoch on. Array of shape `(n,)`.
            steps_per_epoch: Batches per epoch; see `undo_averaging`.
        """
        values, growth = stored, np.abs(stored)
        with np.errstate(invalid="ignore", over="ignore"):
            for stage in self.stages:
                gain, carry = stage(values.size, steps_per_epoch)
                values = gain * values - _times_previous(carry, values)
                growth = np.hypot(gain * growth, _times_previous(carry, growth))
        return values, growth

    def apply(self, losses: Array, steps_per_epoch: float | None = None) -> Array:
        """Returns the averages that the tool would have stored. Array of shape `(n,)`."""
        values = np.array(losses, dtype=np.float64)
        for stage in reversed(self.stages):
            gain, carry = stage(values.size, steps_per_epoch)
            for t in range(values.size):
                values[t] = (values[t] + (carry[t] * values[t - 1] if carry[t] else 0.0)) / gain[t]
        return values


@dataclass(frozen=True, kw_only=True, eq=False)
class Undone:
    """Holds the losses of single batches that were recovered from averages.

    Attributes:
        loss: One loss per batch; the last may be non-finite. Array of shape `(m,)`, `m <= n`.
        rounding: Standard error of each loss due to the rounding of the stored numbers. Array of shape `(m,)`.
        dropped: Number of stored values after the last recovered loss.
    """

    loss: Array
    rounding: Array
    dropped: int


def moving_average(beta: float, *, late: int = 0) -> Stage:
    """Returns the stage of an exponential moving average from zero, divided by `1 - beta ** (t + late)` at batch `t`.

    Args:
        beta: Weight of the previous average at each batch.
        late: Offset in the exponent of the bias correction; 0 corrects the bias exactly.

    References:
        Kingma and Ba (2015), "Adam: A method for stochastic optimization", section 3, for the correction.
    """

    def stage(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:  # noqa: ARG001 - never restarts
        t = np.arange(1, num_points + 1)
        correction = -np.expm1((t + late) * math.log(beta))
        carry = beta * np.concatenate([[0.0], correction[:-1]]) / (1 - beta)
        return correction / (1 - beta), carry

    return stage


def seeded_moving_average(share: float) -> Stage:
    """Returns the stage of a moving average that starts at the first loss and gives later losses the weight `share`."""

    def stage(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:  # noqa: ARG001 - never restarts
        first = np.arange(num_points) == 0
        return np.where(first, 1.0, 1 / share), np.where(first, 0.0, (1 - share) / share)

    return stage


def _epoch_mean(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:
    whole = num_points if steps_per_epoch is None else math.ceil(steps_per_epoch)
    before = np.arange(num_points) % whole
    weight = np.where(before == whole - 1, 1.0 if steps_per_epoch is None else steps_per_epoch - whole + 1, 1.0)
    return (before + weight) / weight, before / weight


def _inflated(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:  # noqa: ARG001 - never restarts
    return -np.expm1(np.arange(1, num_points + 1) * math.log(0.98)), np.zeros(num_points)


def _table(*averages: Average) -> Mapping[str, Average]:
    return MappingProxyType({average.name: average for average in averages})


AVERAGES: Mapping[str, Average] = _table(
    Average(
        name="running-mean",
        words='the mean of all batches since the epoch began, which Keras reports as `logs["loss"]`',
        stages=(_epoch_mean,),
        needs_epoch=True,
    ),
    Average(
        name="ktrain",
        words="a moving average (0.98) of the mean of all batches since the epoch began: ktrain averages an average",
        stages=(moving_average(0.98), _epoch_mean),
        needs_epoch=True,
    ),
    Average(
        name="ema-0.98",
        words="a bias-corrected moving average with a decay of 0.98, as fastai stores it",
        stages=(moving_average(0.98),),
        lag=49,
    ),
    Average(
        name="lightning",
        words="a moving average with a decay of 0.98 that starts at half the loss, as Lightning stores it",
        stages=(moving_average(0.98, late=1),),
        lag=49,
    ),
    Average(
        name="ema-seeded-0.05",
        words="a moving average that starts at the first loss and gives each later loss a weight of 0.05, as "
        "torch-lr-finder and ignite store it",
        stages=(seeded_moving_average(0.05),),
        lag=19,
    ),
    Average(
        name="keras-one-cycle",
        words="the loss of one batch over 1 - 0.98 ** t, as keras-one-cycle stores it: the first are far too high",
        stages=(_inflated,),
        lag=0,
    ),
)
"""Name → average that other tools store, with its inverse."""


UNKNOWN_AVERAGE = "of an unknown kind"
"""Stands in the context for an average that is none of `AVERAGES`, or of which only its tools are known."""


def get_average(averaging: str | Average) -> Average:
    """Returns the average with the given name, or the given average itself.

    Raises:
        InvalidOptionError: If the name is not a key of `AVERAGES`.
    """
    if isinstance(averaging, Average):
        return averaging
    if averaging not in AVERAGES:
        raise unknown_option("averaging", averaging, AVERAGES)
    return AVERAGES[averaging]


def without_start_bias(curve: LRCurve, averaging: str, *, is_known: bool = True) -> LRCurve:
    """Returns a curve of averages without the bias of those tools whose first averages are too small or too large.

    Each stored number is divided by the average that the tool would store for losses of one. The averages of the other
    tools have no bias and are returned as they are, and so is a curve whose first losses do not follow the bias, also
    of later points if the first ones were left out.

    Args:
        curve: A curve of averages, one per batch.
        averaging: A key of `AVERAGES`, or any other word for an unknown average.
        is_known: Whether the curve is known to hold this average from its origin or its numbers.

    Example:
    >>> stored = AVERAGES["lightning"].apply(np.full(40, 2.0))
    >>> stored[:6].round(2).tolist()
    [1.01, 1.35, 1.52, 1.62, 1.68, 1.73]
    >>> curve = LRCurve(lr=np.logspace(-5, 0, 40), loss=stored)
    >>> without_start_bias(curve, "lightning").loss[:6].round(9).tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    average = AVERAGES.get(averaging)
    if average is None or average.needs_epoch:
        return curve
    of_ones = np.ones(len(curve) + MAX_LEFT_OUT)
    of_ones[:BIASED_POINTS] = average.apply(of_ones[:BIASED_POINTS])
    starts = range(MAX_LEFT_OUT + 1 if is_known else 1)
    left = [_unexplained(curve.loss, of_ones[start : start + len(curve)]) for start in starts]
    start = int(np.argmin(left))
    if left[start] >= (UNEXPLAINED if is_known else UNEXPLAINED_IF_UNKNOWN):
        return curve
    return dataclasses.replace(curve, loss=curve.loss / of_ones[start : start + len(curve)])


def _unexplained(loss: Array, bias: Array) -> float:
    """Returns how far the first losses lie from their later level without a bias, as a share of how far with it."""
    num = min(MAX_FOR_BIAS, loss.size // 4)
    first = loss[:num]
    if num < MIN_FOR_BIAS or not (np.isfinite(first).all() and (first > 0).all()):
        return math.inf
    with_bias, without = (np.log(values / np.median(values[num // 2 :])) for values in (first, first / bias[:num]))
    return float(np.sum(without**2) / max(np.sum(with_bias**2), 1e-12))


def undo_averaging(
    curve: LRCurve, *, averaging: str | Average | None = None, steps_per_epoch: float | None = None
) -> LRCurve:
    """Recovers the losses of single batches from a curve of averaged losses.

    The curve must contain every batch of the scan from the first on. It is cut after the first non-finite loss, and
    where the stored digits no longer suffice to recover single losses; a note in the context reports the cut.

    Args:
        curve: A curve of averaged losses.
        averaging: A key of `AVERAGES`, or an `Average`; `curve.context.averaging` by default.
        steps_per_epoch: Batches per epoch, for averages that restart at every epoch; `curve.context.steps_per_epoch` by
            default. If the last batch of an epoch is smaller, pass samples / batch size, since Keras weights batches by
            their size: `56.16` means 57 batches, the last of them 0.16 full.

    Returns:
        A curve of the recovered losses at their original rates, with `context.averaging=None`.

    Raises:
        InvalidOptionError: If no average is given, its name is unknown, or the batches per epoch are missing or below
            1.
        InvalidCurveError: If the stored digits do not suffice to recover even the first losses.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> from keras_lrscan.curves.averaging import undo_averaging
    >>> losses = np.array([2.3, 2.1, 2.2, 0.4, 0.3, 9.0])
    >>> mean = np.cumsum(losses) / np.arange(1, 7)
    >>> curve = LRCurve(lr=np.logspace(-5, 0, 6), loss=mean)
    >>> undo_averaging(curve, averaging="running-mean", steps_per_epoch=100).loss.round(9).tolist()
    [2.3, 2.1, 2.2, 0.4, 0.3, 9.0]
    """
    declared = averaging if averaging is not None else curve.context.averaging
    if declared is None:
        known = ", ".join(repr(name) for name in AVERAGES)
        msg = f"Argument `averaging` must be one of {known}. Received: averaging=None."
        raise InvalidOptionError(msg)
    average = get_average(declared)
    steps = steps_per_epoch if steps_per_epoch is not None else curve.context.steps_per_epoch
    undone = undo_losses(curve.loss, average, steps)
    notes = (*curve.context.notes, *undo_notes(average, undone, curve.lr))
    context = dataclasses.replace(curve.context, averaging=None, undone_averaging=average.name, notes=notes)
    return LRCurve(lr=curve.lr[: undone.loss.size], loss=undone.loss, stop=curve.stop, context=context)


def undo_losses(stored: Array, average: Average, steps_per_epoch: float | None) -> Undone:
    """Recovers the losses of single batches, up to the first non-finite loss or the first loss lost to rounding.

    Raises:
        InvalidOptionError: If the average needs the batches per epoch and they are missing or below 1.
        InvalidCurveError: If the stored digits do not suffice to recover even the first losses.
    """
    if average.needs_epoch:
        _check_steps(average, steps_per_epoch)
    loss, growth = average.undo(stored, steps_per_epoch)
    rounding = growth * max(stored_precision(stored), FLOAT32_ROUNDING) / math.sqrt(3)
    broken = np.flatnonzero(~np.isfinite(stored))
    finite = int(broken[0]) if broken.size else stored.size
    lost = np.flatnonzero(rounding[:finite] > _tolerated(loss[:finite]))
    if lost.size and lost[0] < min(MIN_KEPT, stored.size):
        at = int(lost[0])
        msg = (
            f"Expected averaged losses with enough digits to recover the losses of single batches. Received: "
            f"loss[{at}]={stored[at]}, which determines the loss of that batch only to within {rounding[at]:.2g}. "
            "Export the losses with all their digits, or analyze the averaged curve as it is."
        )
        raise InvalidCurveError(msg)
    end = int(lost[0]) if lost.size else min(finite + 1, stored.size)
    if end == finite + 1:
        loss[finite] = stored[finite]
    return Undone(loss=loss[:end], rounding=rounding[:end], dropped=stored.size - end)


def undo_notes(average: Average, undone: Undone, lr: Array) -> tuple[str, ...]:
    """Returns notes on recovered losses and on those left out; `lr` holds the rates of the stored losses."""
    largest = 3 * float(np.max(undone.rounding[np.isfinite(undone.rounding)], initial=0.0))
    first = (
        f"The record contained averages: each stored loss is {average.words}. The losses of single batches were "
        f"recovered from them to within {largest:.1g}."
    )
    if not undone.dropped:
        return (first,)
    broken = not np.isfinite(undone.loss[-1])
    why = "a non-finite average cannot be undone" if broken else "their digits do not suffice to recover the losses"
    where = f"from a learning rate of {lr[undone.loss.size]:.2g} on"
    return (first, f"The last {undone.dropped} of {lr.size} points, {where}, were left out: {why}.")


def stored_precision(stored: Array) -> float:
    """Returns the relative rounding error of the numbers: half a unit in the last digit that any of them has.

    Fewer than `MIN_FOR_DIGITS` numbers count as exact.

    Example:
    >>> import numpy as np
    >>> float(stored_precision(np.linspace(0.501, 0.693, 193).round(3)))
    0.005
    """
    values = stored[np.isfinite(stored)].tolist()
    if len(values) < MIN_FOR_DIGITS:
        return 0.0
    digits = next((d for d in range(1, MAX_DIGITS) if all(float(f"{v:.{d}g}") == v for v in values)), MAX_DIGITS)
    return 0.5 * 10.0 ** (1 - digits)


def _tolerated(loss: Array) -> Array:
    level = np.full(loss.size, ROUNDING_TO_LEVEL * float(np.median(np.abs(loss))) if loss.size else 0.0)
    return level if loss.size < 3 else np.maximum(ROUNDING_TO_NOISE * neighbor_noise(loss), level)


def _check_steps(average: Average, steps_per_epoch: float | None) -> None:
    if steps_per_epoch is None or not steps_per_epoch >= 1:
        msg = (
            f"Argument `steps_per_epoch` must be at least 1 to undo averaging={average.name!r}, which restarts at "
            f"every epoch. Received: steps_per_epoch={steps_per_epoch}. Pass the number of batches per epoch, or any "
            "larger number if the record ends within the first epoch."
        )
        raise InvalidOptionError(msg)


def _times_previous(carry: Array, values: Array) -> Array:
    product = np.zeros_like(values)
    later = carry[1:] != 0
    product[1:][later] = carry[1:][later] * values[:-1][later]
    return product
