"""`peek`: looks at the next batch on its way into a train function, and can make that batch come again."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_lrscan._typing import FitData, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Peeked", "peek"]


class Peeked(NamedTuple):
    """The next batch of a source.

    Attributes:
        batch: The batch, nested as the source nests it.
        source: Yields this batch and then, where the source can go on, the others; stands in the place of the source.
        again: Makes one more source of the same kind, with this batch alone.
    """

    batch: Any
    source: Any
    again: Callable[[], Any]


def peek(source: FitData) -> Peeked | None:
    """Returns the next batch of `source`, or `None` where there is none, or none that can be made again.

    Args:
        source: The last argument of a train function: a list with one batch on torch, an iterator elsewhere.
    """
    if isinstance(source, (list, tuple)):  # torch
        return Peeked(source[0], source, lambda: source) if source else None
    if not hasattr(source, "element_spec"):  # an iterator of Python
        batch = next(source, None)
        return None if batch is None else Peeked(batch, itertools.chain([batch], source), lambda: iter([batch]))
    return _peek_pipeline(source)


def _peek_pipeline(source: FitData) -> Peeked | None:
    """Takes a batch out of a pipeline, and makes iterators of the same kind that have it alone.

    They have the same element spec, so that nothing is traced anew.
    """
    tensorflow = sys.modules["tensorflow"]
    specs = tensorflow.nest.flatten(source.element_spec)
    if not isinstance(source, tensorflow.data.Iterator) or not all(map(_can_be_made_again, specs)):
        return None
    try:
        batch = source.get_next()
    except tensorflow.errors.OutOfRangeError:
        return None
    shapes = tensorflow.nest.map_structure(lambda spec: spec.shape[1:], source.element_spec)
    size = tensorflow.nest.flatten(batch)[0].shape[0]
    slices = tensorflow.data.Dataset.from_tensor_slices(batch)
    dataset = slices.padded_batch(size, shapes, drop_remainder=specs[0].shape[0] is not None)
    return Peeked(batch, iter(dataset), lambda: iter(dataset))


def _can_be_made_again(spec: Tensor) -> bool:
    shape = getattr(spec, "shape", None)
    return type(spec).__name__ == "TensorSpec" and shape is not None and bool(shape.rank)
