"""Converts, maps and joins arrays of any library, alone or in nested lists, tuples and dictionaries.

Dictionaries are always visited in the sorted order of their keys, as Keras does.
"""

from __future__ import annotations

import itertools
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
    "array_of",
    "joined",
    "leaves",
    "mapped",
    "parts_of",
    "select",
    "standardized",
    "to_arrays",
]

ARRAYS = frozenset({"numpy", "pandas", "tensorflow", "jax", "jaxlib", "torch"})
"""Libraries whose arrays hold their values in memory."""

MAX_BATCHES = 20
"""Batches used to compute the mean and standard deviation of the inputs."""


class NoArrayError(TypeError):
    """Raised when a value cannot become a NumPy array, such as a ragged tensor. The message names its type."""


def array_of(value: Value) -> Array | None:
    """Returns the numbers in an array of any library, without a copy if possible. Returns `None` for other values."""
    if type(value).__module__.partition(".")[0] not in ARRAYS or not hasattr(value, "__array__"):
        return None
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    array = np.asarray(value)
    return array if array.dtype.kind in "fiub" and array.ndim and array.size else None


def leaves(nest: Nest) -> Iterator[Any]:
    """Yields the arrays in a nest. Skips `None`.

    Example:
    >>> list(leaves({"b": [1, None], "a": (2, 3)}))
    [2, 3, 1]
    """
    if isinstance(nest, dict):
        yield from itertools.chain.from_iterable(leaves(nest[name]) for name in sorted(nest, key=str))
    elif isinstance(nest, (list, tuple)):
        yield from itertools.chain.from_iterable(map(leaves, nest))
    elif nest is not None:
        yield nest


def parts_of(nest: Nest) -> list[Any]:
    """Returns the arrays in a nest as a list."""
    return list(leaves(nest))


def mapped(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """Returns `nest` with `function` applied to each array, in the order of `leaves`. Keeps `None`.

    Example:
    >>> mapped(abs, {"b": [-1, None], "a": (-2, 3)})
    {'a': (2, 3), 'b': [1, None]}
    """
    if isinstance(nest, dict):
        return {name: mapped(function, nest[name]) for name in sorted(nest, key=str)}
    if isinstance(nest, (list, tuple)):
        parts = [mapped(function, value) for value in nest]
        return tuple(parts) if isinstance(nest, tuple) else parts
    return None if nest is None else function(nest)


def to_arrays(nest: Nest) -> Nest:
    """Converts each array in a nest to a NumPy array.

    Raises:
        NoArrayError: If a value cannot be converted, such as a ragged tensor.
    """
    return mapped(_to_array, nest)


def select(nest: Nest, rows: Array) -> Nest:
    """Returns the given rows of each array, as NumPy arrays.

    Raises:
        NoArrayError: If a value cannot be converted, such as a ragged tensor.
    """
    return mapped(lambda value: _to_array(value)[rows], nest)


def joined(nests: Sequence[Any]) -> Nest:
    """Concatenates nests of the same structure along the first axis. Returns `None` if they hold no arrays.

    Raises:
        NoArrayError: If a value cannot be converted, such as a ragged tensor.
    """
    arrays = [list(leaves(to_arrays(nest))) for nest in nests]
    if not arrays[0]:
        return None
    columns = iter([np.concatenate(parts) for parts in zip(*arrays, strict=True)])
    return mapped(lambda _: next(columns), nests[0])


def standardized(batches: Sequence[tuple[Any, Any, Any]]) -> tuple[list[Any], list[tuple[float, float]]]:
    """Scales each column of the inputs to mean 0 and standard deviation 1.

    Only floats and bytes count as measurements. Other inputs stay as they are.

    Args:
        batches: Triples of inputs, targets and sample weights.

    Returns:
        The batches, with the scaled inputs in single precision, and the range of each scaled array before scaling.

    Raises:
        NoArrayError: If an input is not an array, or if no input holds measurements.
    """
    everything = joined([batch[0] for batch in batches[:MAX_BATCHES]])
    tables = [leaf for leaf in leaves(everything) if _is_measured(leaf)]
    if not tables:
        msg = "the inputs contain no measurements that could be scaled"
        raise NoArrayError(msg)
    moments = [(table.mean(0), np.where(table.std(0) > 0, table.std(0), 1.0)) for table in map(_wide, tables)]
    spans = [(float(np.nanmin(table)), float(np.nanmax(table))) for table in tables]
    flags = [_is_measured(leaf) for leaf in leaves(everything)]

    def scaled(nest: Nest) -> Nest:
        is_measured, moment = iter(flags), iter(moments)

        def scale(value: Value) -> Nest:
            if not next(is_measured):
                return value
            mean, spread = next(moment)
            return ((_to_array(value) - mean) / spread).astype(np.float32)

        return mapped(scale, nest)

    return [(scaled(x), y, weights) for x, y, weights in batches], spans


def _wide(table: Array) -> Array:
    return table.astype(np.float64)


def _is_measured(leaf: Array) -> bool:
    return leaf.dtype.kind == "f" or leaf.dtype == np.uint8


def _to_array(value: Value) -> Array:
    value = value.detach().cpu() if hasattr(value, "detach") else value
    if not hasattr(value, "shape") or hasattr(value, "row_splits") or hasattr(value, "dense_shape"):
        msg = f"the data contain a value that is not a plain array: {type(value).__name__}"
        raise NoArrayError(msg)
    return np.asarray(value)
