"""Computes statistics of large arrays in bounded time: range, spread, values that are not finite, and order.

Large arrays are sampled in evenly spread rows, the same ones on each call, so each function takes milliseconds at any
size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["Range", "even_rows", "nonfinite_share", "range_of", "run_share", "serial_correlation", "thinned"]

MAX_CHECKED = 4_000_000
"""Numbers of an array that are checked for extremes and NaN."""

MAX_NUMBERS = 1_000_000
"""Numbers of an array used for the mean, the standard deviation and counts of labels."""

MAX_SPREAD = 200_000
"""Numbers of an array used for the standard deviation of each column."""

MIN_ROWS = 16
"""Rows that are used however large they are."""

IDLE = 0.9
"""Columns with one value in more than this share of the rows have no meaningful scale, such as an image's corner."""


class Range:
    """The range and spread of the numbers in an array.

    Attributes:
        low: Smallest finite number.
        high: Largest finite number.
        mean: Mean of the finite numbers.
        std: Standard deviation of the finite numbers.
        spread_ratio: Largest over smallest standard deviation of the columns, without columns that are nearly constant.
            `None` with fewer than two columns.
    """

    def __init__(self, array: Array) -> None:
        self.low, self.high = _extremes(thinned(array, MAX_CHECKED))
        sample = _finite(thinned(array, MAX_NUMBERS))
        self.mean, self.std = float(sample.mean()), float(sample.std())
        self.spread_ratio = _spread_ratio(thinned(array, MAX_SPREAD))

    @property
    def size(self) -> float:
        """Largest absolute value."""
        return max(abs(self.low), abs(self.high))


def range_of(array: Array) -> Range | None:
    """Returns the range of the numbers in an array, or `None` if none of them is finite."""
    return Range(array) if np.isfinite(thinned(array)).any() else None


def even_rows(size: int, num: int) -> Array:
    """Returns `num` indices below `size`, the same ones on each call.

    Divides the range into `num` equal parts and draws one index from each. A regular step could follow a pattern in
    the data.

    Example:
    >>> even_rows(3, 5).tolist(), even_rows(10**9, 3).size
    ([0, 1, 2], 3)
    """
    if num >= size:
        return np.arange(size)
    return ((np.arange(num) + np.random.default_rng(0).random(num)) * (size / num)).astype(np.int64)


def thinned(array: Array, max_numbers: int = MAX_NUMBERS) -> Array:
    """Returns `array`, or evenly spread rows of it that hold about `max_numbers` numbers in total."""
    if array.size <= max_numbers:
        return array
    num = max(MIN_ROWS, max_numbers // max(1, array[0].size))
    return array[even_rows(len(array), num)]


def nonfinite_share(arrays: Sequence[Array]) -> float | None:
    """Returns the share of samples that contain a NaN or an infinite number.

    Args:
        arrays: Arrays of shape `(n, ...)`.

    Returns:
        The share, or `None` without arrays or if they differ in length.

    Example:
    >>> nonfinite_share([np.array([[1.0, 2.0], [np.nan, 0.0]]), np.array([1, 2])])
    0.5
    """
    if not arrays or len({len(array) for array in arrays}) != 1:
        return None
    width = sum(array[0].size for array in arrays)
    rows = even_rows(len(arrays[0]), max(MIN_ROWS, MAX_CHECKED // max(1, width)))
    bad = np.zeros(len(rows), bool)
    for array in arrays:
        part = array if len(rows) == len(array) else array[rows]
        if not (math.isfinite(part.min()) and math.isfinite(part.max())):
            bad |= ~np.isfinite(part).reshape(len(part), -1).all(1)
    return float(bad.mean())


def run_share(labels: Array) -> float | None:
    """Returns how far labels are sorted into runs: 0 in a random order, 1 for one class after another.

    Compares the share of equal neighbors with the share expected in a random order, which is the sum of the squared
    class frequencies.

    Args:
        labels: Labels in the order of the data. Array of shape `(n,)`, or `(n, classes)` with one probability each.

    Returns:
        The share, or `None` if all labels are equal or there are too few of them.

    Example:
    >>> run_share(np.repeat([0, 1], 1000)) > 0.99, run_share(np.tile([0, 1], 1000))
    (True, 0.0)
    """
    if len(labels) < MIN_ROWS:
        return None
    at = even_rows(len(labels) - 1, MAX_NUMBERS // max(1, labels[0].size))
    first, second = (part if part.ndim == 1 else part.argmax(1) for part in (labels[at], labels[at + 1]))
    counts = np.unique(first, return_counts=True)[1]
    if len(counts) <= 1:
        return None
    expected = float(((counts / counts.sum()) ** 2).sum())
    return max(0.0, (float((first == second).mean()) - expected) / (1 - expected))


def serial_correlation(amounts: Array) -> float | None:
    """Returns how similar neighbors are: 0 in a random order, close to 1 for sorted or slowly varying values.

    This is one minus half of von Neumann's ratio, the mean square of the steps over the variance. Negative values are
    returned as 0.

    Args:
        amounts: Values in the order of the data. Array of shape `(n, ...)`.

    Returns:
        The correlation, or `None` if all values are equal or there are too few of them.

    References:
        von Neumann (1941), "Distribution of the ratio of the mean square successive difference to the variance".

    Example:
    >>> round(serial_correlation(np.arange(1000.0)), 3), serial_correlation(np.tile([0.0, 1.0], 500))
    (1.0, 0.0)
    """
    if len(amounts) < MIN_ROWS:
        return None
    at = even_rows(len(amounts) - 1, MAX_NUMBERS // max(1, amounts[0].size))
    first, second = (part.reshape(len(at), -1).astype(np.float64) for part in (amounts[at], amounts[at + 1]))
    finite = np.isfinite(first).all(1) & np.isfinite(second).all(1)
    first, second = first[finite], second[finite]
    variance = float(first.var(axis=0).sum()) if len(first) else 0.0
    if variance <= 0:
        return None
    return max(0.0, 1 - float(np.square(second - first).sum(axis=1).mean()) / (2 * variance))


def _extremes(array: Array) -> tuple[float, float]:
    low, high = float(array.min()), float(array.max())
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = _finite(array)
    return float(finite.min()), float(finite.max())


def _finite(array: Array) -> Array:
    wide = array.astype(np.float64).reshape(-1)
    return wide[np.isfinite(wide)] if array.dtype.kind == "f" else wide


def _spread_ratio(array: Array) -> float | None:
    if array.ndim == 1 or array.shape[-1] == 1:
        return None
    table = array.reshape(-1, array.shape[-1]).astype(np.float64)
    table = table[np.isfinite(table).all(1)]
    if len(table) < MIN_ROWS:
        return None
    busy = (table == np.median(table, axis=0)).mean(0) <= IDLE
    widths = [width for width in table[:, busy].std(0).tolist() if width > 0]
    return max(widths) / min(widths) if len(widths) > 1 else None
