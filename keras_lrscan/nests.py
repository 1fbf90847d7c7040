"""Arrays of any library, in nests of lists, tuples and dicts as Keras takes them: looked at as arrays of NumPy."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["NoArrayError", "joined", "leaves", "select", "standardized", "to_arrays"]


MOST_BATCHES = 20
"""Batches that the spread of the inputs is taken from."""


class NoArrayError(TypeError):
    """Something is no array that NumPy knows, such as a ragged tensor; the message names its type."""


def leaves(nest: Any) -> Iterator[Any]:  # noqa: ANN401 - arrays of any library in lists, tuples and dicts
    """Yields the arrays in a nest of lists, tuples and dicts."""
    if isinstance(nest, dict):
        yield from itertools.chain.from_iterable(leaves(nest[name]) for name in sorted(nest, key=str))
    elif isinstance(nest, (list, tuple)):
        yield from itertools.chain.from_iterable(map(leaves, nest))
    elif nest is not None:
        yield nest


def _mapped(function: Callable[[Any], Any], nest: Any) -> Any:  # noqa: ANN401
    """Returns the nest with `function` of each array in its place, asked in the order of `leaves`."""
    if isinstance(nest, dict):
        return {name: _mapped(function, nest[name]) for name in sorted(nest, key=str)}
    if isinstance(nest, (list, tuple)):
        return type(nest)([_mapped(function, value) for value in nest])
    return None if nest is None else function(nest)


def to_arrays(nest: Any) -> Any:  # noqa: ANN401
    """Returns the nest with arrays of NumPy.

    Raises:
        NoArrayError: If something in it is no array, such as a ragged tensor.
    """
    return _mapped(_to_array, nest)


def select(nest: Any, rows: Array) -> Any:  # noqa: ANN401
    """Returns these rows of each array."""
    return _mapped(lambda value: _to_array(value)[rows], nest)


def joined(nests: Sequence[Any]) -> Any:  # noqa: ANN401
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
    everything = joined([batch[0] for batch in batches[:MOST_BATCHES]])
    tables = [leaf for leaf in leaves(everything) if _is_measured(leaf)]
    if not tables:
        msg = "the inputs hold no measurements that could be scaled"
        raise NoArrayError(msg)
    shifts = [(table.mean(0), np.where(table.std(0) > 0, table.std(0), 1.0)) for table in map(_wide, tables)]
    spans = [(float(np.nanmin(table)), float(np.nanmax(table))) for table in tables]
    wanted = [_is_measured(leaf) for leaf in leaves(everything)]

    def scaled(nest: Any) -> Any:  # noqa: ANN401
        flags, moves = iter(wanted), iter(shifts)

        def scale(value: Any) -> Any:  # noqa: ANN401
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


def _to_array(value: Any) -> Array:  # noqa: ANN401
    value = value.detach().cpu() if hasattr(value, "detach") else value
    if not hasattr(value, "shape") or hasattr(value, "row_splits") or hasattr(value, "dense_shape"):
        msg = f"the data hold something that is no plain array: {type(value).__name__}"
        raise NoArrayError(msg)
    return np.asarray(value)
