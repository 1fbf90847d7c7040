"""How far the weights moved from where a scan began, from its snapshot and what they are now."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["movement"]

BLOCK = 2**16
"""Numbers that are looked at in one go, so that no second copy of a large weight is made."""


def movement(pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> tuple[float | None, float | None]:
    """Returns how far weights moved, and how many of them did not.

    Args:
        pairs: Each weight as it was and as it is. Arrays of the same shape.

    Returns:
        The Euclidean length of the change as a share of the length of the weights as they were, `None` where that is
        not a finite number; and the share of the scalars that did not change, `None` where there are none.

    Example:
    >>> movement([(np.array([3.0, 4.0]), np.array([3.0, 4.5]))])
    (0.1, 0.5)
    >>> movement([(np.array([3.0, 4.0]), np.array([3.0, np.nan]))])
    (None, 0.5)
    """
    moved = length = 0.0
    still = size = 0
    for before, after in pairs:
        old, new = before.reshape(-1), after.reshape(-1)
        size += old.size
        for start in range(0, old.size, BLOCK):
            a, b = old[start : start + BLOCK], new[start : start + BLOCK]
            still += int(np.count_nonzero((a == b) | ((a != a) & (b != b))))  # noqa: PLR0124 - NaN and NaN are the same
            wide = a.astype(np.float64)
            length += float(np.dot(wide, wide))
            with np.errstate(invalid="ignore", over="ignore"):
                step = b.astype(np.float64) - wide
                moved += float(np.dot(step, step))
    share = math.sqrt(moved / length) if length > 0 and math.isfinite(moved) and math.isfinite(length) else None
    return share, still / size if size else None
