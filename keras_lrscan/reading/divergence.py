"""What losses do once training has broken: come back to the lowest level, or stay at a high one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter, minimum_filter1d

from keras_lrscan.curves.noise import difference_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.curves.curve import LRCurve

    Array = NDArray[np.float64]

__all__ = ["num_recoveries", "plateau_start", "share_near", "trim"]

NEAR = 0.1
"""A batch costs what guessing does where its loss is off that level by less than this share, or than the noise."""

FELL = 0.25
"""Training can break and recover once the loss has fallen by this share of its start."""

JUMP = 0.4
"""A loss that stands above its lowest level by more than this share of its fall has broken."""

BACK = 0.15
"""It is back once it stands above that level by less than this share of the fall.

The last three were set on the fits of `catapult` in `benchmarks/causes`, whose breaks last two to six batches.
"""


def plateau_start(loss: Array, minimum: int, tolerance: float, half: float) -> int | None:
    """Returns where the last stretch at one level begins, if that level is above `half` and right of the minimum.

    Args:
        loss: The smooth line. Array of shape `(n,)`.
        minimum: Index of its minimum.
        tolerance: How far the line may be off the level.
        half: What the level must be above.

    Example:
    >>> plateau_start(np.array([2.0, 1.0, 1.9, 2.0, 2.0, 2.0]), 1, tolerance=0.2, half=1.5)
    2
    """
    high = np.maximum.accumulate(loss[::-1])[::-1]
    low = np.minimum.accumulate(loss[::-1])[::-1]
    begin = int(np.argmax(high - low <= 2 * tolerance))
    return begin if minimum < begin < loss.size - 1 and float(np.median(loss[begin:])) > half else None


def share_near(loss: Array, level: float, noise: float) -> float:
    """Returns the share of losses that are about as large as `level`.

    Args:
        loss: Finite losses. Array of shape `(n,)`, not empty.
        level: The level, in the unit of the loss.
        noise: Standard deviation of the loss of one batch, in the same unit.

    Example:
    >>> share_near(np.array([2.3, 2.4, 9.0, 2.2]), 2.3, noise=0.0)
    0.75
    """
    return float((np.abs(loss - level) < max(NEAR * abs(level), noise)).mean())


def num_recoveries(loss: Array, noise: float) -> int:
    """Returns how often the loss jumped far above its lowest level so far, and came back to it.

    Levels are medians of seven batches and jumps medians of three, so that single odd batches do not count.

    Args:
        loss: Finite losses. Array of shape `(n,)`.
        noise: Standard deviation of the loss of one batch, in the unit of the loss.

    Example:
    >>> num_recoveries(np.repeat([2.0, 1.0, 5.0, 1.0, 9.0], 10), noise=0.01)
    1
    """
    if not loss.size:
        return 0
    level = np.minimum.accumulate(median_filter(loss, size=7, mode="nearest"))
    now, start = median_filter(loss, size=3, mode="nearest"), float(level[0])
    fall = start - level
    fell = fall > max(FELL * abs(start), 3 * noise)
    is_off = fell & (now - level > np.maximum(JUMP * fall, 6 * noise))
    is_back = fell & (now - level < np.maximum(BACK * fall, 2 * noise))
    turns = np.where(is_off, 1, np.where(is_back, -1, 0))
    changes = np.diff(turns[turns != 0])
    return int(min(np.count_nonzero(changes > 0), np.count_nonzero(changes < 0)))


BEYOND = 100.0
"""Losses above the start by more than this many times the fall are beyond reading; a view squashed by 20 is not."""

LASTING = 5
"""Losses in a row that must be beyond: the last of them is the last that is kept."""

MIN_POINTS = 30
"""Of fewer points none is cut off: their first quarter is too short to tell a level and its noise."""

NOISE_SHARE = 5.0
"""Without a fall, what happens below the start counts as at least this many standard deviations of one batch."""

REFERENCE_SHARE = 0.2
"""Nor does it count as less than this share of the reference loss, where one is known."""


def trim(curve: LRCurve, *, reference: float | None = None) -> LRCurve:
    """Returns the curve up to where its loss is beyond reading for good.

    Args:
        curve: The recorded curve.
        reference: The chance level or the first loss (the model's unit), where it is known.

    Returns:
        The same curve where nothing is cut off.

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
