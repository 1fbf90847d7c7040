"""Measures how far the weights of a model moved between two points of training."""

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
"""Numbers compared at a time, to avoid a second copy of a large weight."""

KERNEL_AXES = 2
"""Axes of a kernel. Biases and scales have fewer and may start at zero, where a relative change is undefined."""


def movement_facts(pairs: Iterable[tuple[Array, Array]]) -> dict[str, Any]:
    """Returns the relative change of the weights, keyed by fields of `ScanContext`.

    Lengths are Euclidean. A ratio is `None` if it is not finite.

    Args:
        pairs: Each weight before and after. Arrays of the same shape.

    Example:
    >>> movement_facts([(np.array([3.0, 4.0]), np.array([3.0, 4.5]))])
    {'weight_change': 0.1, 'still_share': 0.5, 'layer_change_ratio': None}
    >>> kernel = np.ones((2, 2))
    >>> movement_facts([(kernel, 1.5 * kernel), (kernel, 2 * kernel)])["layer_change_ratio"]
    0.5
    """
    moved = length = 0.0
    still = size = 0
    changes: list[float] = []
    for before, after in pairs:
        step, own, same = _compare(before.reshape(-1), after.reshape(-1))
        moved, length, still, size = moved + step, length + own, still + same, size + before.size
        change = _relative_change(step, own)
        changes += [change] if before.ndim >= KERNEL_AXES and change is not None else []
    return {
        "weight_change": _relative_change(moved, length),
        "still_share": still / size if size else None,
        "layer_change_ratio": min(changes) / max(changes) if len(changes) > 1 and max(changes) > 0 else None,
    }


def _compare(old: Array, new: Array) -> tuple[float, float, int]:
    """Returns the squared length of the change, the squared length of `old`, and the number of unchanged entries."""
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


def _relative_change(moved: float, length: float) -> float | None:
    """Returns the change as a share of the length, from the squares of both."""
    return math.sqrt(moved / length) if length > 0 and math.isfinite(moved) and math.isfinite(length) else None
