"""How far the weights moved from where a scan began, from its snapshot and what they are now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["movement_facts"]

BLOCK = 2**16
"""Numbers that are looked at in one go, so that no second copy of a large weight is made."""
MATRIX = 2
"""Axes of a kernel; biases and scales have fewer, and may begin at zero, of which nothing is a share."""


def movement_facts(pairs: Iterable[tuple[Array, Array]]) -> dict[str, Any]:
    """Returns how far weights moved, by fields of the context.

    Lengths are Euclidean. A share is `None` where it is not a finite number.

    Args:
        pairs: Each weight as it was and as it is. Arrays of the same shape.

    Example:
    >>> movement_facts([(np.array([3.0, 4.0]), np.array([3.0, 4.5]))])
    {'weight_change': 0.1, 'still_share': 0.5, 'layer_change_ratio': None}
    >>> kernel = np.ones((2, 2))
    >>> movement_facts([(kernel, 1.5 * kernel), (kernel, 2 * kernel)])["layer_change_ratio"]
    0.5
    """
    moved = length = 0.0
    still = size = 0
    shares: list[float] = []
    for before, after in pairs:
        step, own, same = _compare(before.reshape(-1), after.reshape(-1))
        moved, length, still, size = moved + step, length + own, still + same, size + before.size
        share = _share(step, own)
        shares += [share] if before.ndim >= MATRIX and share is not None else []
    return {
        "weight_change": _share(moved, length),
        "still_share": still / size if size else None,
        "layer_change_ratio": min(shares) / max(shares) if len(shares) > 1 and max(shares) > 0 else None,
    }


def _compare(old: Array, new: Array) -> tuple[float, float, int]:
    """Returns the squared length of the change, that of the weight as it was, and how many numbers did not change."""
    moved = length = 0.0
    still = 0
    for start in range(0, old.size, BLOCK):
        a, b = old[start : start + BLOCK], new[start : start + BLOCK]
        still += int(np.count_nonzero((a == b) | ((a != a) & (b != b))))  # noqa: PLR0124 - NaN and NaN are the same
        wide = a.astype(np.float64)
        length += float(np.dot(wide, wide))
        with np.errstate(invalid="ignore", over="ignore"):
            step = b.astype(np.float64) - wide
            moved += float(np.dot(step, step))
    return moved, length, still


def _share(moved: float, length: float) -> float | None:
    return math.sqrt(moved / length) if length > 0 and math.isfinite(moved) and math.isfinite(length) else None
