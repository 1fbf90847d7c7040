"""Reads the next batch before a train function does, and makes it available again."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_lrscan._typing import FitData, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NextBatch", "peek"]


class NextBatch(NamedTuple):
    """Holds the next batch of a source.

    Attributes:
        batch: The batch, nested as in the source.
        source: Replacement for the source. It yields this batch first, and then the remaining batches if the source is
            an iterator of Python.
        repeat: Function that returns a new source of the same kind with this batch only.
    """

    batch: Any
    source: Any
    repeat: Callable[[], Any]


def peek(source: FitData) -> NextBatch | None:
    """Returns the next batch of `source`, or `None` if there is none or if it cannot be repeated.

    Args:
        source: The last argument of a train function: a list with one batch on torch, an iterator otherwise.
    """
    if isinstance(source, (list, tuple)):  # torch
        return NextBatch(source[0], source, lambda: source) if source else None
    if not hasattr(source, "element_spec"):  # a Python iterator
        batch = next(source, None)
        return None if batch is None else NextBatch(batch, itertools.chain([batch], source), lambda: iter([batch]))
    return _peek_pipeline(source)


def _peek_pipeline(source: FitData) -> NextBatch | None:
    """Takes one batch from a `tf.data` iterator, and creates iterators with this batch only.

    They have the same element spec, so that the train function is not traced again.
    """
    tensorflow = sys.modules["tensorflow"]
    specs = tensorflow.nest.flatten(source.element_spec)
    if not isinstance(source, tensorflow.data.Iterator) or not all(map(_can_be_repeated, specs)):
        return None
    try:
        batch = source.get_next()
    except tensorflow.errors.OutOfRangeError:
        return None
    shapes = tensorflow.nest.map_structure(lambda spec: spec.shape[1:], source.element_spec)
    size = tensorflow.nest.flatten(batch)[0].shape[0]
    slices = tensorflow.data.Dataset.from_tensor_slices(batch)
    dataset = slices.padded_batch(size, shapes, drop_remainder=specs[0].shape[0] is not None)
    return NextBatch(batch, iter(dataset), lambda: iter(dataset))


def _can_be_repeated(spec: Tensor) -> bool:
    shape = getattr(spec, "shape", None)
    return type(spec).__name__ == "TensorSpec" and shape is not None and bool(shape.rank)
