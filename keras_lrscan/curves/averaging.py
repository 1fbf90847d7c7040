"""Averages that other tools store in place of the losses, and the way back to the losses of single batches.

Every one of them is a chain of steps that each mix a new value into the one before it, so every one can be run
backwards. What is lost is digits: the stored numbers are rounded, and going back multiplies that by the length of the
average.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.curves.noise import neighbor_noise
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, unknown_option

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AVERAGES",
    "Average",
    "Undone",
    "get_average",
    "moving_average",
    "seeded_moving_average",
    "undo_averaging",
    "undo_losses",
]

Array = NDArray[np.float64]
Stage = Callable[[int, float | None], tuple[Array, Array]]
"""Function of (number of points, batches per epoch) that returns `gain` and `carry`, each of shape `(n,)`.

The stage runs backwards as `before[t] = gain[t] * after[t] - carry[t] * after[t - 1]`.
"""

FLOAT32_ROUNDING = 2.0**-24
"""Largest relative error of a number in float32; Keras, torch and fastai keep their averages in it."""

MIN_TO_COUNT = 20
"""Numbers from which on their decimal digits are counted."""

MAX_DIGITS = 17
"""Decimal digits that tell any two float64 apart."""

ROUNDING_TO_NOISE = 0.3
"""A loss is trusted while its rounding error is below this share of the noise around it: it adds a twentieth then."""

ROUNDING_TO_LEVEL = 0.01
"""... or below this share of the median loss, where there is no noise to compare with."""


@dataclass(frozen=True, kw_only=True)
class Average:
    """One way of averaging losses along a scan.

    Attributes:
        name: Its key in `AVERAGES`.
        words: What it is and who stores it, to follow "each stored loss is ".
        stages: Functions that undo its steps, the last step first.
        lag: Mean age of what is averaged once the average has filled up, in batches; half an epoch where it is `None`.
        needs_epoch: Whether it starts anew at every epoch, so that the number of batches in one must be known.
    """

    name: str
    words: str
    stages: tuple[Stage, ...]
    lag: float | None = None
    needs_epoch: bool = False

    def undo(self, stored: Array, steps_per_epoch: float | None = None) -> tuple[Array, Array]:
        """Returns the losses of single batches, and the factor that one relative rounding error grows by.

        Args:
            stored: Averaged losses, one a batch, from the first batch of an epoch on. Array of shape `(n,)`.
            steps_per_epoch: Batches in an epoch; see `undo_averaging`.
        """
        values, growth = stored, np.abs(stored)
        with np.errstate(invalid="ignore", over="ignore"):
            for stage in self.stages:
                gain, carry = stage(values.size, steps_per_epoch)
                values = gain * values - _times_previous(carry, values)
                growth = np.hypot(gain * growth, _times_previous(carry, growth))
        return values, growth

    def apply(self, losses: Array, steps_per_epoch: float | None = None) -> Array:
        """Returns what the tool would have stored, of shape `(n,)`."""
        values = np.array(losses, dtype=np.float64)
        for stage in reversed(self.stages):
            gain, carry = stage(values.size, steps_per_epoch)
            for t in range(values.size):
                values[t] = (values[t] + (carry[t] * values[t - 1] if carry[t] else 0.0)) / gain[t]
        return values


@dataclass(frozen=True, kw_only=True, eq=False)
class Undone:
    """Losses of single batches that were recovered from an average.

    Attributes:
        loss: One loss a batch; may end in one that is not finite. Array of shape `(m,)`, `m <= n`.
        rounding: Standard error of each loss from the digits that the stored numbers had, of shape `(m,)`.
        dropped: Stored values after the last one that could be recovered.
    """

    loss: Array
    rounding: Array
    dropped: int


def moving_average(beta: float, *, late: int = 0) -> Stage:
    """Returns the stage of an exponential moving average from zero, divided by `1 - beta ** (t + late)` at batch `t`.

    Args:
        beta: What the average keeps of itself at every batch.
        late: By how much the exponent of the correction is off; 0 corrects the bias.

    References:
        Kingma and Ba (2015), "Adam: A method for stochastic optimization", section 3, for the correction.
    """

    def stage(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:  # noqa: ARG001 - runs on
        t = np.arange(1, num_points + 1)
        correction = -np.expm1((t + late) * math.log(beta))
        carry = beta * np.concatenate([[0.0], correction[:-1]]) / (1 - beta)
        return correction / (1 - beta), carry

    return stage


def seeded_moving_average(share: float) -> Stage:
    """Returns the stage of a moving average that begins at the first loss and takes `share` of each later one."""

    def stage(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:  # noqa: ARG001 - runs on
        first = np.arange(num_points) == 0
        return np.where(first, 1.0, 1 / share), np.where(first, 0.0, (1 - share) / share)

    return stage


def _epoch_mean(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:
    whole = num_points if steps_per_epoch is None else math.ceil(steps_per_epoch)
    before = np.arange(num_points) % whole
    weight = np.where(before == whole - 1, 1.0 if steps_per_epoch is None else steps_per_epoch - whole + 1, 1.0)
    return (before + weight) / weight, before / weight


def _inflated(num_points: int, steps_per_epoch: float | None) -> tuple[Array, Array]:  # noqa: ARG001 - runs on
    return -np.expm1(np.arange(1, num_points + 1) * math.log(0.98)), np.zeros(num_points)


def _table(*averages: Average) -> Mapping[str, Average]:
    return MappingProxyType({average.name: average for average in averages})


AVERAGES: Mapping[str, Average] = _table(
    Average(
        name="running-mean",
        words='the mean of all batches since the epoch began, which is what Keras hands out as `logs["loss"]`',
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
        words="a moving average that keeps 0.98 of itself, corrected for its start, which is what fastai stores",
        stages=(moving_average(0.98),),
        lag=49,
    ),
    Average(
        name="lightning",
        words="a moving average that keeps 0.98 of itself and begins at half the loss, which is what Lightning stores",
        stages=(moving_average(0.98, late=1),),
        lag=49,
    ),
    Average(
        name="ema-seeded-0.05",
        words="a moving average that begins at the first loss and takes 0.05 of each later one, which is what "
        "torch-lr-finder and ignite store",
        stages=(seeded_moving_average(0.05),),
        lag=19,
    ),
    Average(
        name="keras-one-cycle",
        words="the loss of one batch over 1 - 0.98 ** t, which keras-one-cycle stores: the first are far too high",
        stages=(_inflated,),
        lag=0,
    ),
)
"""Name → what other tools store, and how to undo it."""


def get_average(averaging: str | Average) -> Average:
    """Returns the average of that name.

    Raises:
        InvalidOptionError: If there is none.
    """
    if isinstance(averaging, Average):
        return averaging
    if averaging not in AVERAGES:
        raise unknown_option("averaging", averaging, AVERAGES)
    return AVERAGES[averaging]


def undo_averaging(
    curve: LRCurve, *, averaging: str | Average | None = None, steps_per_epoch: float | None = None
) -> LRCurve:
    """Recovers the losses of single batches from a curve of averaged ones.

    The curve must hold every batch of the scan from its first on. It is cut where the digits of the stored numbers no
    longer tell single losses apart, and at the first loss that is not finite; a note in the context says so.

    Args:
        curve: A curve of averaged losses.
        averaging: A key of `AVERAGES`, or an `Average`; `curve.context.averaging` by default.
        steps_per_epoch: Batches in an epoch, for averages that start anew at each; `curve.context.steps_per_epoch` by
            default. Where the last batch of an epoch is smaller, pass samples / batch size: Keras weighs batches by
            their size. `56.16` means 57 batches, the last of them 0.16 full.

    Returns:
        A curve whose `context.averaging` is `None`, with the same rates.

    Raises:
        InvalidOptionError: If no average was named, its name is unknown, or the batches per epoch are missing or below
            1.
        InvalidCurveError: If too few digits were stored to recover even the first losses.

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
    """Recovers the losses of single batches, and drops those that rounding has destroyed.

    Raises:
        InvalidOptionError: If the average needs the batches per epoch, and they are missing or below 1.
        InvalidCurveError: If too few digits were stored to recover even the first losses.
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
            f"Expected averaged losses with enough digits to recover those of single batches. Received: "
            f"loss[{at}]={stored[at]}, which leaves the loss of that batch open by {rounding[at]:.2g}. Export them "
            "with all their digits, or read the curve as it is."
        )
        raise InvalidCurveError(msg)
    end = int(lost[0]) if lost.size else min(finite + 1, stored.size)
    if end == finite + 1:
        loss[finite] = stored[finite]
    return Undone(loss=loss[:end], rounding=rounding[:end], dropped=stored.size - end)


MIN_KEPT = 10
"""A record of which fewer losses can be recovered is not worth reading."""


def undo_notes(average: Average, undone: Undone, lr: Array) -> tuple[str, ...]:
    """Returns what a reader should know of losses that were recovered; `lr` holds the rates of the stored ones."""
    largest = 3 * float(np.max(undone.rounding[np.isfinite(undone.rounding)], initial=0.0))
    first = (
        f"The record held averages: each stored loss is {average.words}. The losses of the single batches were "
        f"recovered from them, to within {largest:.1g}."
    )
    if not undone.dropped:
        return (first,)
    where = (
        f"the last {undone.dropped} of {lr.size} points, from a rate of {lr[undone.loss.size]:.2g} on, were left out"
    )
    broken = not np.isfinite(undone.loss[-1])
    why = "an average that is not finite says nothing more" if broken else "rounding has destroyed them"
    return (first, f"{where[0].upper()}{where[1:]}: {why}.")


def stored_precision(stored: Array) -> float:
    """Returns half a unit in the last decimal digit that any of the numbers has, relative to 1.

    Of a handful of numbers nothing is concluded: all of them may be short by chance.

    Example:
    >>> import numpy as np
    >>> float(stored_precision(np.linspace(0.501, 0.693, 193).round(3)))
    0.005
    """
    values = stored[np.isfinite(stored)].tolist()
    if len(values) < MIN_TO_COUNT:
        return 0.0
    digits = next((d for d in range(1, MAX_DIGITS) if all(float(f"{v:.{d}g}") == v for v in values)), MAX_DIGITS)
    return 0.5 * 10.0 ** (1 - digits)


def _tolerated(loss: Array) -> Array:
    level = np.full(loss.size, ROUNDING_TO_LEVEL * float(np.median(np.abs(loss))) if loss.size else 0.0)
    return level if loss.size < 3 else np.maximum(ROUNDING_TO_NOISE * neighbor_noise(loss), level)


def _check_steps(average: Average, steps_per_epoch: float | None) -> None:
    if steps_per_epoch is None or not steps_per_epoch >= 1:
        msg = (
            f"Argument `steps_per_epoch` must be at least 1 to undo averaging={average.name!r}, which starts anew at "
            f"every epoch. Received: steps_per_epoch={steps_per_epoch}. It is the number of batches in an epoch, or "
            "any larger number when the record ends within the first."
        )
        raise InvalidOptionError(msg)


def _times_previous(carry: Array, values: Array) -> Array:
    product = np.zeros_like(values)
    later = carry[1:] != 0
    product[1:][later] = carry[1:][later] * values[:-1][later]
    return product
