"""What other tools suggest on the same scan, each with its own smoothing and its own rule to stop, faults included.

Every function takes the rates and the losses of single batches of a scan that ran to its end, non-finite losses and
all, and returns the rate that the tool would have suggested, or `None` where it raises or returns nothing. The code was
written anew from the published rules; each fault that is kept is named.

The rates are those of the *update of the same batch*, as all of these tools pair them; `own_rates` makes them from the
rates of an `LRCurve`, where a loss stands at the rate of the update before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Peer = Callable[["Array", "Array"], "float | None"]
"""`(rates, shape (n,), batch losses, shape (n,)) -> rate or None`."""


def own_rates(lr: Array) -> Array:
    """Returns, for each loss, the rate of the update that its own batch made: the next one of the ramp.

    The batch after the last is not on record; the ramp is taken to go on by one more step.

    >>> own_rates(np.array([1e-3, 1e-2, 1e-1])).round(6).tolist()
    [0.01, 0.1, 1.0]
    """
    return np.append(lr[1:], lr[-1] ** 2 / lr[-2])


def ema(loss: Array, beta: float, *, ahead: int = 0) -> Array:
    """Exponential average with bias correction, the exponent of which may be too large by `ahead`.

    >>> ema(np.array([2.0, 2.0]), 0.98).round(3).tolist(), ema(np.array([2.0]), 0.98, ahead=1).round(2).tolist()
    ([2.0, 2.0], [1.01])
    """
    average, averages = 0.0, []
    for step, value in enumerate(loss.tolist(), start=1):
        average = beta * average + (1 - beta) * value
        averages.append(average / (1 - beta ** (step + ahead)))
    return np.array(averages)


def seeded_ema(loss: Array, alpha: float) -> Array:
    """Exponential average that starts at the first loss.

    >>> seeded_ema(np.array([2.0, 0.0]), 0.05).tolist()
    [2.0, 1.9]
    """
    averages = [float(loss[0])]
    for value in loss[1:].tolist():
        averages.append(alpha * value + (1 - alpha) * averages[-1])
    return np.array(averages)


def running_mean(loss: Array) -> Array:
    """What `logs["loss"]` of Keras holds: the mean since the epoch began. The scan is taken to be one epoch.

    >>> running_mean(np.array([3.0, 1.0])).tolist()
    [3.0, 2.0]
    """
    mean: Array = np.cumsum(loss) / np.arange(1, loss.size + 1)
    return mean


def recorded(smooth: Array, factor: float, *, first: int = 0, stops_at_nan: bool = False) -> int:
    """Number of points on record where a scan stops at the first loss above `factor` times the lowest so far.

    Comparisons with NaN are false, so most tools run on through it. Below zero the bound turns round: a negative loss
    is above four times itself, and every one of these tools then stops at once.

    Args:
        smooth: The tool's smoothed losses.
        factor: Its bound.
        first: First step that it looks at. Tools that look at step 0 take that step's own loss into the lowest.
        stops_at_nan: Whether NaN stops it too.

    >>> recorded(np.array([2.0, 1.0, 3.0, 5.0, 9.0]), 4.0), recorded(np.array([-1.0, -1.0, -1.0]), 4.0, first=1)
    (4, 2)
    """
    best = np.inf
    for step, value in enumerate(smooth.tolist()):
        lowest = min(best, value) if first == 0 else best
        if step >= first and (value > factor * lowest or (stops_at_nan and np.isnan(value))):
            return step + 1
        best = min(best, value)
    return smooth.size


# ---------------------------------------------------------------------------------------------------------------------
# fastai 2: fastai/callback/schedule.py, `lr_find` with its default of 100 steps.
# https://github.com/fastai/fastai/blob/main/fastai/callback/schedule.py


def _fastai(lr: Array, loss: Array) -> tuple[Array, Array]:
    """The stretch that fastai reads: without its first tenth and last five points, up to the first NaN."""
    smooth = ema(loss, 0.98)
    kept = slice(loss.size // 10, max(0, recorded(smooth, 4.0) - 5))
    lr, smooth = lr[kept], smooth[kept]
    nans = np.flatnonzero(np.isnan(smooth))
    end = int(nans[0]) if nans.size else smooth.size
    return lr[:end], smooth[:end]


def longest_valley(lr: Array, loss: Array) -> float | None:
    """The rule that fastai and ktrain call valley.

    Fault: the longest decreasing *subsequence* may skip points, but its start is reckoned as if it did not, one point
    too early besides; a curve that falls over its first two points only gets index -1, the last and largest rate.

    >>> rates = 10.0 ** np.arange(-6.0, 1.0)
    >>> float(longest_valley(rates, np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 9.0])))
    0.0001
    >>> float(longest_valley(rates, np.array([2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0])))
    1.0
    """
    if not loss.size:
        return None
    lengths = np.ones(loss.size, dtype=int)
    for at in range(1, loss.size):
        above = lengths[:at][loss[:at] > loss[at]]
        lengths[at] = 1 + above.max(initial=0)
    end = int(np.argmax(lengths))
    start = end - int(lengths[end]) if end else 0
    third = (end - start) / 3
    return float(lr[start + int(third) + int(third / 2)])


def fastai_valley(lr: Array, loss: Array) -> float | None:
    """`valley`, the default of fastai since 2.3.1."""
    return longest_valley(*_fastai(lr, loss))


def fastai_slide(lr: Array, loss: Array) -> float | None:
    """`slide`: an interval of 15 points moves left until the slopes at its ends are alike.

    Faults: the bound, 0.005 of loss a point, hangs on the unit of the loss and the number of points; fewer than 16
    points raise an IndexError.
    """
    lr, smooth = _fastai(lr, loss)
    right, left = -1, -16
    if smooth.size < -left:
        return None
    slope = np.gradient(smooth)
    rate = lr[left]
    while left >= -smooth.size and abs(slope[right] - slope[left]) > 0.005:
        rate = lr[left]
        right, left = right - 1, left - 1
    return float(rate)


def fastai_minimum(lr: Array, loss: Array) -> float | None:
    """`minimum`: a tenth of the rate of the lowest smoothed loss."""
    lr, smooth = _fastai(lr, loss)
    return float(lr[np.argmin(smooth)]) / 10 if smooth.size else None


def fastai_steep(lr: Array, loss: Array) -> float | None:
    """`steep`: the rate of the steepest fall. Fault: the average lags, so it lies most of a decade to the right."""
    lr, smooth = _fastai(lr, loss)
    return float(lr[np.argmin(np.diff(smooth) / np.diff(np.log(lr)))]) if smooth.size > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# torch-lr-finder 0.2.2: `range_test`, then `plot(suggest_lr=True)`.
# https://github.com/davidtvs/pytorch-lr-finder/blob/master/torch_lr_finder/lr_finder.py


def torch_lr_finder(lr: Array, loss: Array) -> float | None:
    """Steepest fall between the tenth point and the fifth from the end. Fault: where a slope is NaN, that is argmin."""
    smooth = seeded_ema(loss, 0.05)
    kept = slice(10, max(0, recorded(smooth, 5.0) - 5))
    return _steepest_index(lr[kept], smooth[kept])


def _steepest_index(lr: Array, smooth: Array) -> float | None:
    """The rate of the steepest fall per point; `np.gradient` raises for fewer than two."""
    return float(lr[np.argmin(np.gradient(smooth))]) if smooth.size > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# Lightning: `Tuner.lr_find`, then `suggestion()`.
# https://github.com/Lightning-AI/pytorch-lightning/blob/master/src/lightning/pytorch/tuner/lr_finder.py


def _lightning(lr: Array, loss: Array) -> tuple[Array, Array]:
    """The stretch that Lightning reads, without non-finite losses.

    Fault: the exponent of the bias correction is one too large, so the first smoothed loss is half of the first loss,
    and the bound of four times the lowest is about two times.
    """
    smooth = ema(loss, 0.98, ahead=1)
    kept = slice(10, max(0, recorded(smooth, 4.0, first=1) - 1))
    lr, smooth = lr[kept], smooth[kept]
    finite = np.isfinite(smooth)
    return lr[finite], smooth[finite]


def lightning_before_2_5_3(lr: Array, loss: Array) -> float | None:
    """Steepest fall per point."""
    return _steepest_index(*_lightning(lr, loss))


def lightning_from_2_5_3(lr: Array, loss: Array) -> float | None:
    """Steepest fall per unit of the rate.

    Fault: on a ramp that is even in log rate, that is the slope over the rate, which is largest at the left end:
    https://github.com/Lightning-AI/pytorch-lightning/issues/21141
    """
    lr, smooth = _lightning(lr, loss)
    return float(lr[np.argmin(np.gradient(smooth, lr))]) if smooth.size > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# ktrain 0.41: `learner.lr_find()`, then `learner.lr_estimate()`.
# https://github.com/amaiya/ktrain/blob/master/ktrain/lroptimize/lrfinder.py


def _ktrain(lr: Array, loss: Array) -> tuple[Array, Array]:
    """All that ktrain records. Fault: it smooths Keras's mean since the epoch began, not the losses of batches."""
    smooth = ema(running_mean(loss), 0.98)
    end = recorded(smooth, 4.0, first=1)
    return lr[:end], smooth[:end]


def ktrain_gradient(lr: Array, loss: Array) -> float | None:
    """Steepest fall before the minimum.

    Faults: the slopes start at point 32 but their index is used as if they started at point 0; NaN is taken for the
    minimum.
    """
    lr, smooth = _ktrain(lr, loss)
    kept = smooth[32 : int(np.argmin(smooth))]
    return float(lr[np.argmin(np.gradient(kept))]) if kept.size > 1 else None


def ktrain_minimum(lr: Array, loss: Array) -> float | None:
    """A tenth of the rate of the lowest smoothed loss. Fault: NaN is taken for the minimum."""
    lr, smooth = _ktrain(lr, loss)
    return float(lr[np.argmin(smooth)]) / 10


def ktrain_valley(lr: Array, loss: Array) -> float | None:
    """The valley rule on all points, with no point cut off at either end."""
    return longest_valley(*_ktrain(lr, loss))


# ---------------------------------------------------------------------------------------------------------------------
# keras_lr_finder 0.2 and its forks: `find`, then `get_best_lr(sma=20)`, the moving average that its README shows.
# https://github.com/surmenok/keras_lr_finder/blob/master/keras_lr_finder/lr_finder.py


def keras_lr_finder(lr: Array, loss: Array) -> float | None:
    """Largest fall over 20 points of the batch losses, as under the Keras of its time.

    Fault: the difference belongs to the middle of the 20 points but is read at their right end.
    """
    sma = 20
    end = recorded(loss, 4.0, first=6, stops_at_nan=True)
    change = np.zeros(end)
    change[sma:] = (loss[sma:end] - loss[: max(0, end - sma)]) / sma
    kept = slice(10, max(0, end - 5))
    return float(lr[kept][np.argmin(change[kept])]) if change[kept].size else None


def keras_lr_finder_on_means(lr: Array, loss: Array) -> float | None:
    """The same since TensorFlow 2.2, the logs of which hold the mean since the epoch began."""
    return keras_lr_finder(lr, running_mean(loss))


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "fastai valley": fastai_valley,
        "fastai slide": fastai_slide,
        "fastai minimum/10": fastai_minimum,
        "fastai steep": fastai_steep,
        "torch-lr-finder": torch_lr_finder,
        "Lightning < 2.5.3": lightning_before_2_5_3,
        "Lightning >= 2.5.3": lightning_from_2_5_3,
        "ktrain gradient": ktrain_gradient,
        "ktrain minimum/10": ktrain_minimum,
        "ktrain valley": ktrain_valley,
        "keras_lr_finder": keras_lr_finder,
        "keras_lr_finder, means": keras_lr_finder_on_means,
    }
)
"""Name → what the tool suggests on a scan."""

FIXED: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "optimizer default": lambda default_lr: default_lr,
        "3e-4": lambda _: 3e-4,
    }
)
"""Name → a rate that looks at no scan, from the optimizer's default rate."""
