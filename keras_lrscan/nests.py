"""Arrays of any library, in nests of lists, tuples and dicts as Keras takes them: looked at as arrays of NumPy."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["NoArrayError", "joined", "leaves", "select", "to_arrays"]


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


def _to_array(value: Any) -> Array:  # noqa: ANN401
    value = value.detach().cpu() if hasattr(value, "detach") else value
    if not hasattr(value, "shape") or hasattr(value, "row_splits") or hasattr(value, "dense_shape"):
        msg = f"the data hold something that is no plain array: {type(value).__name__}"
        raise NoArrayError(msg)
    return np.asarray(value)
