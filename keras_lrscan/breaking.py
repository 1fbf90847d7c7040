"""What losses do once training has broken: come back to the lowest level, or stay at a high one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["num_recoveries", "plateau_start", "share_near"]

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
