"""What a few looks at large arrays tell: ranges, spread, values that are not finite, order.

Every look is bounded: of large arrays evenly spread rows are taken, always the same ones, so that it costs
milliseconds whatever the size.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Nest, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = [
    "ARRAYS",
    "NoArrayError",
    "Range",
    "array_of",
    "even_rows",
    "joined",
    "leaves",
    "nonfinite_share",
    "parts_of",
    "range_of",
    "run_share",
    "select",
    "serial_correlation",
    "standardized",
    "thinned",
    "to_arrays",
]

ARRAYS = frozenset({"numpy", "pandas", "tensorflow", "jax", "jaxlib", "torch"})
"""Libraries whose arrays hold their values in memory."""
MAX_CHECKED = 4_000_000
"""Numbers of an array that are checked for their extremes and for NaN."""
MAX_NUMBERS = 1_000_000
"""Numbers of an array that mean and standard deviation, or counts of labels, are taken from."""
MAX_SPREAD = 200_000
"""Numbers of an array that the standard deviation of each column is taken from."""
MIN_ROWS = 16
"""Rows that are looked at whatever their size."""
IDLE = 0.9
"""A column with one value in more than this share of its rows says nothing of its scale: a corner of a picture."""


class Range:
    """Where the numbers of an array lie.

    Attributes:
        low: Smallest finite number.
        high: Largest finite number.
        mean: Mean of the finite numbers.
        std: Standard deviation of the finite numbers.
        spread_ratio: Largest over smallest standard deviation of the columns, those left out that hardly ever change;
            `None` with fewer than two columns.
    """

    def __init__(self, array: Array) -> None:
        self.low, self.high = _extremes(thinned(array, MAX_CHECKED))
        sample = _finite(thinned(array, MAX_NUMBERS))
        self.mean, self.std = float(sample.mean()), float(sample.std())
        self.spread_ratio = _spread_ratio(thinned(array, MAX_SPREAD))

    @property
    def size(self) -> float:
        """Largest number, sign left off."""
        return max(abs(self.low), abs(self.high))


def array_of(value: Value) -> Array | None:
    """Returns the numbers of any library's array, without a copy where that can be; `None` for anything else."""
    if type(value).__module__.partition(".")[0] not in ARRAYS or not hasattr(value, "__array__"):
        return None
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    array = np.asarray(value)
    return array if array.dtype.kind in "fiub" and array.ndim and array.size else None


def parts_of(value: Value) -> list[Any]:
    """Returns the parts of nested tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [part for item in value for part in parts_of(item)]
    return [] if value is None else [value]


def mapped(function: Callable[[Any], Any], value: Value) -> Nest:
    """Returns `value` with `function` applied to each part of its nested tuples, lists and dicts."""
    if isinstance(value, dict):
        return {name: mapped(function, item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mapped(function, item) for item in value]
    return None if value is None else function(value)


def even_rows(size: int, num: int) -> Array:
    """Returns `num` of `size` places: one in each of as many equal stretches, always the same ones.

    Example:
    >>> even_rows(3, 5).tolist(), even_rows(10**9, 3).size
    ([0, 1, 2], 3)
    """
    if num >= size:
        return np.arange(size)
    return ((np.arange(num) + np.random.default_rng(0).random(num)) * (size / num)).astype(np.int64)


def thinned(array: Array, max_numbers: int = MAX_NUMBERS) -> Array:
    """Returns `array`, or evenly spread rows of it that hold about `max_numbers` numbers in all."""
    if array.size <= max_numbers:
        return array
    num = max(MIN_ROWS, max_numbers // max(1, array[0].size))
    return array[even_rows(len(array), num)]


def range_of(array: Array) -> Range | None:
    """Returns where the numbers of an array lie, or `None` where none of them is finite."""
    return Range(array) if np.isfinite(thinned(array)).any() else None


def nonfinite_share(arrays: Sequence[Array]) -> float | None:
    """Returns the share of samples with a number that is not finite; `None` without arrays of one length.

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
    """Returns how far labels are in runs: 0 in a random order, 1 for one class after the other.

    The share of neighbors that are alike is set against what a random order would give, the sum of the squared shares
    of the classes. `None` where all labels are alike.

    Args:
        labels: The labels in the order of the data. Array of shape `(n,)`, or `(n, classes)` with a probability each.

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
    """Returns how alike neighbors are: 0 in a random order, close to 1 where amounts are sorted or follow each other.

    One minus half of von Neumann's ratio, the mean square of the steps over the variance; below zero it counts as 0.
    `None` where all amounts are alike.

    Args:
        amounts: The amounts in the order of the data. Array of shape `(n, ...)`.

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


MAX_BATCHES = 20
"""Batches that the spread of the inputs is taken from."""


class NoArrayError(TypeError):
    """Something is no array that NumPy knows, such as a ragged tensor; the message names its type."""


def leaves(nest: Nest) -> Iterator[Any]:
    """Yields the arrays in a nest of lists, tuples and dicts."""
    if isinstance(nest, dict):
        yield from itertools.chain.from_iterable(leaves(nest[name]) for name in sorted(nest, key=str))
    elif isinstance(nest, (list, tuple)):
        yield from itertools.chain.from_iterable(map(leaves, nest))
    elif nest is not None:
        yield nest


def _mapped(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """Returns the nest with `function` of each array in its place, asked in the order of `leaves`."""
    if isinstance(nest, dict):
        return {name: _mapped(function, nest[name]) for name in sorted(nest, key=str)}
    if isinstance(nest, (list, tuple)):
        return type(nest)([_mapped(function, value) for value in nest])
    return None if nest is None else function(nest)


def to_arrays(nest: Nest) -> Nest:
    """Returns the nest with arrays of NumPy.

    Raises:
        NoArrayError: If something in it is no array, such as a ragged tensor.
    """
    return _mapped(_to_array, nest)


def select(nest: Nest, rows: Array) -> Nest:
    """Returns these rows of each array."""
    return _mapped(lambda value: _to_array(value)[rows], nest)


def joined(nests: Sequence[Any]) -> Nest:
    """Returns one nest with the rows of all, one below the other."""
    arrays = [list(leaves(to_arrays(nest))) for nest in nests]
    if not arrays[0]:
        return None
    columns = iter([np.concatenate(parts) for parts in zip(*arrays, strict=True)])
    return _mapped(lambda _: next(columns), nests[0])


def standardized(batches: Sequence[tuple[Any, Any, Any]]) -> tuple[list[Any], list[tuple[float, float]]]:
    """Returns batches with each column of their inputs brought to mean 0 and standard deviation 1.

    Returns:
        The batches, of single precision, and the range of each array that was changed, before it was.

    Raises:
        NoArrayError: If an input is no array, or if none holds measurements; those are floats and bytes.
    """
    everything = joined([batch[0] for batch in batches[:MAX_BATCHES]])
    tables = [leaf for leaf in leaves(everything) if _is_measured(leaf)]
    if not tables:
        msg = "the inputs hold no measurements that could be scaled"
        raise NoArrayError(msg)
    shifts = [(table.mean(0), np.where(table.std(0) > 0, table.std(0), 1.0)) for table in map(_wide, tables)]
    spans = [(float(np.nanmin(table)), float(np.nanmax(table))) for table in tables]
    wanted = [_is_measured(leaf) for leaf in leaves(everything)]

    def scaled(nest: Nest) -> Nest:
        flags, moves = iter(wanted), iter(shifts)

        def scale(value: Value) -> Nest:
            if not next(flags):
                return value
            mean, spread = next(moves)
            return ((_to_array(value) - mean) / spread).astype(np.float32)

        return _mapped(scale, nest)

    return [(scaled(x), y, weights) for x, y, weights in batches], spans


def _wide(table: Array) -> Array:
    return table.astype(np.float64)


def _is_measured(leaf: Array) -> bool:
    return leaf.dtype.kind == "f" or leaf.dtype == np.uint8


def _to_array(value: Value) -> Array:
    value = value.detach().cpu() if hasattr(value, "detach") else value
    if not hasattr(value, "shape") or hasattr(value, "row_splits") or hasattr(value, "dense_shape"):
        msg = f"the data hold something that is no plain array: {type(value).__name__}"
        raise NoArrayError(msg)
    return np.asarray(value)
