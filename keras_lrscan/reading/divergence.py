"""Cuts off the record after an explosion of the loss, and measures the losses after training breaks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter, minimum_filter1d

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import difference_noise

if TYPE_CHECKING:
    from keras_lrscan.curves.curve import LRCurve

__all__ = ["Recoveries", "early_explosion", "first_settled", "plateau_start", "share_near", "trim"]

BEYOND = 100.0
"""A record is cut off where losses exceed the start by more than this many times the fall; 20 times is still read."""

LASTING = 5
"""Number of consecutive losses that must be that high; the last of them is the last one that is kept."""

MIN_POINTS = 30
"""Shorter records are not cut off, since their first quarter is too short to estimate a level and its noise."""

NOISE_SHARE = 5.0
"""Smallest fall in that comparison, in standard deviations of one batch, for curves without a fall."""

REFERENCE_SHARE = 0.2
"""Smallest fall in that comparison, as a share of the reference loss, if that is known."""

NEAR_SHARE = 0.1
"""A loss is near a level if it differs from it by less than this share of the level, or by less than the noise."""

FALLEN_SHARE = 0.02
"""A loss that fell to a level from far above is near it if it differs by less than this share of the fall, too.

Set on the 178 scans of the first sample in `benchmarks/shapes`.
"""

SETTLED_SHARE = 0.9
"""Share of the losses up to the end that must be near a level if the loss has settled there."""

PLATEAU_SLOPE = 0.3
"""Largest slope of a plateau, as a share of the mean slope between the minimum and the plateau.

In `docs/curves`, it is 0.02 for a collapse, and 0.7 and 1.3 for two losses that rise slowly to the end.
"""

FALL_SHARE = 0.25
"""Training can break and recover once the loss has fallen by this share of its start, if that is positive."""

BREAK_SHARE = 0.4
"""Training has broken where the loss exceeds its lowest level by more than this share of its fall."""

RECOVERY_SHARE = 0.15
"""Training has recovered where the loss exceeds that level by less than this share of the fall.

The last three were set on the fits of `catapult` in `benchmarks/causes`, whose breaks last two to six batches.
"""


EARLY_DECADES = 0.5
"""An explosion within this distance from the first rate is early: every good rate lies below the first one."""

EARLY_POINTS = 9
"""Smallest number of losses in that distance, the first included."""

EXPLOSION_NOISE = 5.0
"""Smallest rise of an explosion, in standard deviations of one batch after it.

In `benchmarks/causes`, batches of one or two samples reach 3.4 standard deviations.
"""

BEYOND_NOISE = 20.0
"""Multiple of the first level from which an explosion needs no comparison with the noise, which explodes with it."""


def trim(curve: LRCurve, *, reference: float | None = None) -> LRCurve:
    """Returns the curve up to the point where the loss explodes for good.

    Args:
        curve: The recorded curve.
        reference: The chance level or the first loss (the model's unit), if known.

    Returns:
        The shortened curve, or the same curve if nothing is cut off.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> loss = np.concatenate([np.linspace(2, 1, 50), np.full(50, 1e6)])
    >>> len(trim(LRCurve(lr=np.logspace(-6, 0, 100), loss=loss)))
    55
    """
    loss = np.where(np.isfinite(curve.loss), curve.loss, np.inf)
    num = loss.size
    level = float(np.median(loss[: max(3, num // 25)]))
    early = loss[: max(3, num // 4)]
    if num < MIN_POINTS or not np.isfinite(early).all():
        return curve
    fall = level - float(median_filter(loss, size=LASTING, mode="nearest").min())
    scale = max(fall, NOISE_SHARE * difference_noise(early), REFERENCE_SHARE * (reference or 0.0))
    lowest_ahead = minimum_filter1d(loss, LASTING, origin=-(LASTING // 2), mode="nearest")
    beyond = np.flatnonzero(lowest_ahead[: num - LASTING] > level + BEYOND * scale)
    if scale <= 0 or not beyond.size:
        return curve
    keep = slice(int(beyond[0]) + LASTING)
    return dataclasses.replace(curve, lr=curve.lr[keep], loss=curve.loss[keep])


def early_explosion(x: Array, loss: Array, level: float) -> float:
    """Returns the height of an explosion at the first rates from which the loss comes back, and 0 without one.

    The loss of the first batch precedes all updates, so it belongs to the untouched model. A loss that explodes with
    the first updates and falls afterwards recovers, and does not learn.

    Args:
        x: log10 of the learning rates.
        loss: Losses of single batches, all finite.
        level: The loss of the untouched model or the chance level, the higher of both.

    Returns:
        The largest median of three consecutive losses within the first rates, as a multiple of `level`. It is 0 if the
        loss does not come back to half of that height, or if the batch-to-batch noise after it could explain it.

    Example:
    >>> import numpy as np
    >>> loss = np.concatenate([[2.3, 90.0, 70.0, 20.0, 4.0], np.full(25, 2.3)])
    >>> round(early_explosion(np.linspace(0, 2, 30), loss, 2.3), 1)
    30.4
    """
    end = max(EARLY_POINTS, int(np.searchsorted(x, x[0] + EARLY_DECADES)))
    if level <= 0 or loss.size < end + 2 * LASTING:
        return 0.0
    medians = median_filter(loss[1:], size=3, mode="nearest")[1:-1]
    at = int(medians[: end - 2].argmax())
    peak, after = float(medians[at]), loss[at + 4 :]
    comes_back = float(medians[at + 3 :].min()) < peak / 2
    is_noise = peak < BEYOND_NOISE * level and peak - level < EXPLOSION_NOISE * difference_noise(after)
    if not comes_back or is_noise:
        return 0.0
    return peak / level


def plateau_start(x: Array, loss: Array, minimum: int, tolerance: float, half: float) -> int | None:
    """Returns the index at which the final plateau begins, or `None` without a high plateau right of the minimum.

    A loss that goes on rising at nearly the same pace, however slow, has no plateau.

    Args:
        x: Logarithms of the learning rates to base 10, rising. Array of shape `(n,)`.
        loss: The smoothed loss. Array of shape `(n,)`.
        minimum: Index of its minimum.
        tolerance: Largest deviation of the smoothed loss from the level of the plateau.
        half: Level that the plateau must exceed.

    Example:
    >>> x = np.arange(6.0)
    >>> plateau_start(x, np.array([2.0, 1.0, 1.9, 2.0, 2.0, 2.0]), 1, tolerance=0.2, half=1.5)
    2
    >>> plateau_start(x, np.array([2.0, 1.0, 1.3, 1.6, 1.9, 2.2]), 1, tolerance=0.2, half=1.5)
    """
    high = np.maximum.accumulate(loss[::-1])[::-1]
    low = np.minimum.accumulate(loss[::-1])[::-1]
    begin = int(np.argmax(high - low <= 2 * tolerance))
    if not minimum < begin < loss.size - 1 or float(np.median(loss[begin:])) <= half:
        return None
    rise = (loss[begin] - loss[minimum]) / (x[begin] - x[minimum])
    return begin if loss[-1] - loss[begin] <= PLATEAU_SLOPE * rise * (x[-1] - x[begin]) else None


def share_near(loss: Array, level: float, noise: float) -> float:
    """Returns the share of losses that are near `level`.

    Args:
        loss: Finite losses. Array of shape `(n,)`, not empty.
        level: The level, in the unit of the loss.
        noise: Standard deviation of the loss of one batch, in the same unit.

    Example:
    >>> share_near(np.array([2.3, 2.4, 9.0, 2.2]), 2.3, noise=0.0)
    0.75
    """
    return float((np.abs(loss - level) < max(NEAR_SHARE * abs(level), noise)).mean())


def first_settled(loss: Array, level: float) -> int | None:
    """Returns the first index from which on nearly all losses are near `level`, or `None` if the loss ends elsewhere.

    Args:
        loss: Finite losses. Array of shape `(n,)`.
        level: The level, in the unit of the loss.

    Example:
    >>> first_settled(np.array([9.0, 5.0, 2.3, 2.4, 2.2, 2.3]), 2.3)
    2
    """
    fallen = float(np.median(loss[:LASTING])) - level
    near = np.abs(loss - level) < max(NEAR_SHARE * abs(level), FALLEN_SHARE * fallen)
    share = np.cumsum(near[::-1])[::-1] / np.arange(loss.size, 0, -1)
    settled = np.flatnonzero((share >= SETTLED_SHARE) & near)
    return int(settled[0]) if settled.size else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Recoveries:
    """Counts how often the loss jumped far above its lowest level so far and came back to that level.

    Levels are medians of seven batches and jumps medians of three, so that single outliers do not count.

    Attributes:
        level: Lowest level up to each batch. Array of shape `(n,)`.
        now: Loss around each batch. Array of shape `(n,)`.
    """

    level: Array
    now: Array

    @classmethod
    def of(cls, loss: Array) -> Recoveries:
        """Takes the levels of finite losses, an array of shape `(n,)`."""
        if not loss.size:
            return cls(level=loss, now=loss)
        level = np.minimum.accumulate(median_filter(loss, size=7, mode="nearest"))
        return cls(level=level, now=median_filter(loss, size=3, mode="nearest"))

    def count(self, noise: float) -> int:
        """Returns the number of recoveries, given the standard deviation of the loss of one batch.

        Example:
        >>> Recoveries.of(np.repeat([2.0, 1.0, 5.0, 1.0, 9.0], 10)).count(noise=0.01)
        1
        """
        if not self.level.size:
            return 0
        start = float(self.level[0])
        fall, above = start - self.level, self.now - self.level
        fell = fall > max(FALL_SHARE * start, 3 * noise)
        is_off = fell & (above > np.maximum(BREAK_SHARE * fall, 6 * noise))
        is_back = fell & (above < np.maximum(RECOVERY_SHARE * fall, 2 * noise))
        turns = np.where(is_off, 1, np.where(is_back, -1, 0))
        changes = np.diff(turns[turns != 0])
        return int(min(np.count_nonzero(changes > 0), np.count_nonzero(changes < 0)))
