"""Reimplements the suggestions of other tools, with their smoothing, stopping rules and faults.

Every function takes the rates and the batch losses of a scan that ran to its end, including non-finite losses. It
returns the rate that the tool would have suggested, or `None` if the tool raises an error or returns nothing. The code
was written from the published rules, and each fault that it reproduces is documented.

The rates belong to the *update of the same batch*, as in all of these tools. `own_rates` computes them from the rates
of an `LRCurve`, which pairs each loss with the rate of the previous update.
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
    """Returns, for each loss, the rate of its own batch's update, which is the next rate of the ramp.

    The last rate is extrapolated by one step of the ramp.

    >>> own_rates(np.array([1e-3, 1e-2, 1e-1])).round(6).tolist()
    [0.01, 0.1, 1.0]
    """
    return np.append(lr[1:], lr[-1] ** 2 / lr[-2])


def ema(loss: Array, beta: float, *, ahead: int = 0) -> Array:
    """Computes an exponential average with bias correction, whose exponent may be too large by `ahead`.

    >>> ema(np.array([2.0, 2.0]), 0.98).round(3).tolist(), ema(np.array([2.0]), 0.98, ahead=1).round(2).tolist()
    ([2.0, 2.0], [1.01])
    """
    average, averages = 0.0, []
    for step, value in enumerate(loss.tolist(), start=1):
        average = beta * average + (1 - beta) * value
        averages.append(average / (1 - beta ** (step + ahead)))
    return np.array(averages)


def seeded_ema(loss: Array, alpha: float) -> Array:
    """Computes an exponential average that starts at the first loss.

    >>> seeded_ema(np.array([2.0, 0.0]), 0.05).tolist()
    [2.0, 1.9]
    """
    averages = [float(loss[0])]
    for value in loss[1:].tolist():
        averages.append(alpha * value + (1 - alpha) * averages[-1])
    return np.array(averages)


def running_mean(loss: Array) -> Array:
    """Computes Keras's `logs["loss"]`, the mean since the start of the epoch, for a scan of one epoch.

    >>> running_mean(np.array([3.0, 1.0])).tolist()
    [3.0, 2.0]
    """
    mean: Array = np.cumsum(loss) / np.arange(1, loss.size + 1)
    return mean


def recorded(smooth: Array, factor: float, *, first: int = 0, stops_at_nan: bool = False) -> int:
    """Returns the number of points that a tool records if it stops above `factor` times the lowest loss so far.

    Comparisons with NaN are false, so most tools continue past NaN. For negative losses the bound is reversed: a
    negative loss is above four times itself, so all of these tools stop at once.

    Args:
        smooth: The tool's smoothed losses.
        factor: The tool's bound.
        first: First step that the tool checks. Tools that check step 0 include its own loss in the lowest.
        stops_at_nan: Whether the tool also stops at NaN.

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
    """Returns the points that fastai uses: without the first tenth and the last five, up to the first NaN."""
    smooth = ema(loss, 0.98)
    kept = slice(loss.size // 10, max(0, recorded(smooth, 4.0) - 5))
    lr, smooth = lr[kept], smooth[kept]
    nans = np.flatnonzero(np.isnan(smooth))
    end = int(nans[0]) if nans.size else smooth.size
    return lr[:end], smooth[:end]


def longest_valley(lr: Array, loss: Array) -> float | None:
    """Applies the rule that fastai and ktrain call valley.

    Faults: the longest decreasing *subsequence* may skip points, but its start is computed as if it did not, and one
    point too early. A curve that falls only over its first two points gets index -1, the last and largest rate.

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
    """Applies `valley`, fastai's default since 2.3.1."""
    return longest_valley(*_fastai(lr, loss))


def fastai_slide(lr: Array, loss: Array) -> float | None:
    """Applies `slide`, which moves an interval of 15 points left until the slopes at its ends are similar.

    Faults: the bound of 0.005 per point depends on the unit of the loss and the number of points. Fewer than 16 points
    raise an IndexError.
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
    """Applies `minimum`, a tenth of the rate of the lowest smoothed loss."""
    lr, smooth = _fastai(lr, loss)
    return float(lr[np.argmin(smooth)]) / 10 if smooth.size else None


def fastai_steep(lr: Array, loss: Array) -> float | None:
    """Applies `steep`, the rate of the steepest fall. Fault: the average lags by most of a decade."""
    lr, smooth = _fastai(lr, loss)
    return float(lr[np.argmin(np.diff(smooth) / np.diff(np.log(lr)))]) if smooth.size > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# torch-lr-finder 0.2.2: `range_test`, then `plot(suggest_lr=True)`.
# https://github.com/davidtvs/pytorch-lr-finder/blob/master/torch_lr_finder/lr_finder.py


def torch_lr_finder(lr: Array, loss: Array) -> float | None:
    """Finds the steepest fall between the tenth point and the fifth from the end. Fault: argmin selects a NaN slope."""
    smooth = seeded_ema(loss, 0.05)
    kept = slice(10, max(0, recorded(smooth, 5.0) - 5))
    return _steepest_index(lr[kept], smooth[kept])


def _steepest_index(lr: Array, smooth: Array) -> float | None:
    """Returns the rate of the steepest fall per point, or `None` where `np.gradient` raises for fewer than two."""
    return float(lr[np.argmin(np.gradient(smooth))]) if smooth.size > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# Lightning: `Tuner.lr_find`, then `suggestion()`.
# https://github.com/Lightning-AI/pytorch-lightning/blob/master/src/lightning/pytorch/tuner/lr_finder.py


def _lightning(lr: Array, loss: Array) -> tuple[Array, Array]:
    """Returns the points that Lightning uses, without non-finite losses.

    Fault: the exponent of the bias correction is one too large. The first smoothed loss is half of the first loss, so
    the bound of four times the lowest is about two times.
    """
    smooth = ema(loss, 0.98, ahead=1)
    kept = slice(10, max(0, recorded(smooth, 4.0, first=1) - 1))
    lr, smooth = lr[kept], smooth[kept]
    finite = np.isfinite(smooth)
    return lr[finite], smooth[finite]


def lightning_before_2_5_3(lr: Array, loss: Array) -> float | None:
    """Finds the steepest fall per point."""
    return _steepest_index(*_lightning(lr, loss))


def lightning_from_2_5_3(lr: Array, loss: Array) -> float | None:
    """Finds the steepest fall per unit of the rate.

    Fault: on a log-spaced ramp, this is the slope divided by the rate, which is largest at the left end:
    https://github.com/Lightning-AI/pytorch-lightning/issues/21141
    """
    lr, smooth = _lightning(lr, loss)
    return float(lr[np.argmin(np.gradient(smooth, lr))]) if smooth.size > 1 else None


# ---------------------------------------------------------------------------------------------------------------------
# ktrain 0.41: `learner.lr_find()`, then `learner.lr_estimate()`.
# https://github.com/amaiya/ktrain/blob/master/ktrain/lroptimize/lrfinder.py


def _ktrain(lr: Array, loss: Array) -> tuple[Array, Array]:
    """Returns the points that ktrain records. Fault: ktrain smooths Keras's running mean instead of batch losses."""
    smooth = ema(running_mean(loss), 0.98)
    end = recorded(smooth, 4.0, first=1)
    return lr[:end], smooth[:end]


def ktrain_gradient(lr: Array, loss: Array) -> float | None:
    """Finds the steepest fall before the minimum.

    Faults: the slopes start at point 32, but their index is used as if they started at point 0. NaN counts as the
    minimum.
    """
    lr, smooth = _ktrain(lr, loss)
    kept = smooth[32 : int(np.argmin(smooth))]
    return float(lr[np.argmin(np.gradient(kept))]) if kept.size > 1 else None


def ktrain_minimum(lr: Array, loss: Array) -> float | None:
    """Takes a tenth of the rate of the lowest smoothed loss. Fault: NaN counts as the minimum."""
    lr, smooth = _ktrain(lr, loss)
    return float(lr[np.argmin(smooth)]) / 10


def ktrain_valley(lr: Array, loss: Array) -> float | None:
    """Applies the valley rule to all points, without cutting either end."""
    return longest_valley(*_ktrain(lr, loss))


# ---------------------------------------------------------------------------------------------------------------------
# keras_lr_finder 0.2 and its forks: `find`, then `get_best_lr(sma=20)`, the moving average that its README shows.
# https://github.com/surmenok/keras_lr_finder/blob/master/keras_lr_finder/lr_finder.py


def keras_lr_finder(lr: Array, loss: Array) -> float | None:
    """Finds the largest fall over 20 points of the batch losses, which old versions of Keras logged.

    Fault: the difference belongs to the middle of the 20 points but is assigned to their right end.
    """
    sma = 20
    end = recorded(loss, 4.0, first=6, stops_at_nan=True)
    change = np.zeros(end)
    change[sma:] = (loss[sma:end] - loss[: max(0, end - sma)]) / sma
    kept = slice(10, max(0, end - 5))
    return float(lr[kept][np.argmin(change[kept])]) if change[kept].size else None


def keras_lr_finder_on_means(lr: Array, loss: Array) -> float | None:
    """Applies the same rule to Keras's running mean, which TensorFlow logs since version 2.2."""
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
"""Name → function that returns the tool's suggestion for a scan."""

FIXED: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "optimizer default": lambda default_lr: default_lr,
        "3e-4": lambda _: 3e-4,
    }
)
"""Name → function that returns a rate from the optimizer's default rate, without a scan."""
