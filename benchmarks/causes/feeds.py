"""How `fit` is given the data: arrays, generators, pipelines and datasets of Keras, sound ones and broken ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from twists import BATCH_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from arrays import Data

__all__ = ["FEEDS", "STEPS"]

STEPS = 100


def _batches(data: Data, size: int) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(data.x), size):
        yield data.x[start : start + size], data.y[start : start + size]


def _slices(*arrays: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])


class Batches(keras.utils.PyDataset):
    """Batches by number, in a new order after every epoch.

    Args:
        data: What it gives.
        size: Samples a batch.
        late: How many batches late the targets come.
        mixes: Whether the inputs of a batch are shuffled, and its targets are not.
    """

    def __init__(self, data: Data, size: int, *, late: int = 0, mixes: bool = False) -> None:
        super().__init__()
        self.data, self.size, self.late, self.mixes = data, size, late, mixes
        self.order = np.arange(len(data.x))

    def __len__(self) -> int:
        return len(self.order) // self.size

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        first, second = (self._rows((number - late) % len(self)) for late in (0, self.late))
        first = np.random.permutation(first) if self.mixes else first
        return self.data.x[first], self.data.y[second]

    def _rows(self, number: int) -> Any:
        return self.order[number * self.size : (number + 1) * self.size]

    def on_epoch_end(self) -> None:
        """Draws another order."""
        np.random.shuffle(self.order)


def _epochs(data: Data, options: dict[str, Any], size: int) -> None:
    options.setdefault("epochs", -(-options["num_steps"] // max(1, -(-len(data.x) // size))))


def from_arrays(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arrays in memory, for as many epochs as the scan needs."""
    _epochs(data, options, options.setdefault("batch_size", BATCH_SIZE))
    return (data.x, data.y), options


def from_generator(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A generator that goes through the data once."""
    return (_batches(data, options.pop("batch_size", BATCH_SIZE)),), options


def from_batches(data: Data, options: dict[str, Any], *, late: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A dataset of Keras, for as many epochs as the scan needs."""
    size = options.pop("batch_size", BATCH_SIZE)
    _epochs(data, options, size)
    return (Batches(data, size, late=late),), options


def from_late_targets(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same with a fault: a batch has the targets of the one before it."""
    return from_batches(data, options, late=1)


def from_dataset(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline that does not shuffle."""
    return (_slices(data.x, data.y).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_small_buffer(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline that shuffles no further than a hundred samples."""
    return (_slices(data.x, data.y).shuffle(100).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_zip(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Two tf.data pipelines, inputs and targets, each shuffled for itself before they are joined."""
    import tensorflow as tf

    parts = tuple(_slices(array).shuffle(len(array)) for array in (data.x, data.y))
    return (tf.data.Dataset.zip(parts).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_filter(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline whose length is not known, since it filters."""
    kept = _slices(data.x, data.y).filter(lambda x, y: y >= 0)
    return (kept.shuffle(len(data.x)).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_shards(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline whose length is not known, since it opens one shard after another."""
    import tensorflow as tf

    shards = _slices(data.x, data.y).batch(100)
    opened = shards.flat_map(lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)))
    return (opened.shuffle(1000).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_python(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline around a generator of Python, whose length TensorFlow cannot know."""
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in (data.x, data.y))
    size = options.pop("batch_size", BATCH_SIZE)
    return (tf.data.Dataset.from_generator(lambda: _batches(data, size), output_signature=signature),), options


def from_repeated(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline that repeats a few samples without end."""
    endless = _slices(data.x, data.y).shuffle(len(data.x)).repeat().batch(options.pop("batch_size", BATCH_SIZE))
    return (endless,), {"steps_per_epoch": STEPS, **options}


def from_mixed_inputs(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A dataset of Keras whose augmentation mixes the inputs of a batch and forgets the targets."""
    size = options.pop("batch_size", BATCH_SIZE)
    _epochs(data, options, size)
    return (Batches(data, size, mixes=True),), options


def from_shuffled(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline as it should be: shuffled, batched, fetched ahead."""
    size = options.pop("batch_size", BATCH_SIZE)
    _epochs(data, options, size)
    return (_slices(data.x, data.y).shuffle(len(data.x)).batch(size).prefetch(2),), options


def from_two(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Two arrays of inputs, for a model with two inputs."""
    _epochs(data, options, options.setdefault("batch_size", BATCH_SIZE))
    return ([data.x[:, : data.split], data.x[:, data.split :]], data.y), options


def from_taken(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline cut to three batches while the code was tried out, and repeated without end."""
    kept = _slices(data.x, data.y).batch(options.pop("batch_size", BATCH_SIZE)).take(3).cache().repeat()
    return (kept,), {"steps_per_epoch": options["num_steps"], **options}


def from_interleaved(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline over one file a class, which takes a whole batch of each in turn."""
    size = options.pop("batch_size", BATCH_SIZE)
    files = _slices(np.arange(data.classes or 0, dtype=data.y.dtype))
    samples = _slices(data.x, data.y)
    opened = files.interleave(
        lambda number: samples.filter(lambda x, y: y == number).repeat(),
        cycle_length=data.classes,
        block_length=size,
        deterministic=True,
    )
    return (opened.batch(size),), {"steps_per_epoch": options["num_steps"], **options}


def from_windows(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline whose length is not known, since it cuts windows as tutorials on series do."""
    import tensorflow as tf

    size = options.pop("batch_size", BATCH_SIZE)
    windows = _slices(data.x, data.y).shuffle(len(data.x)).window(size, drop_remainder=True)
    return (windows.flat_map(lambda x, y: tf.data.Dataset.zip((x.batch(size), y.batch(size)))),), options


FEEDS: Mapping[str, Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "arrays": from_arrays,
    "generator": from_generator,
    "batches": from_batches,
    "late targets": from_late_targets,
    "dataset": from_dataset,
    "small buffer": from_small_buffer,
    "zip": from_zip,
    "filter": from_filter,
    "shards": from_shards,
    "python": from_python,
    "repeated": from_repeated,
    "mixed inputs": from_mixed_inputs,
    "shuffled": from_shuffled,
    "two inputs": from_two,
    "taken": from_taken,
    "interleaved": from_interleaved,
    "windows": from_windows,
}
"""Ways by name: (data, options of `fit` and `num_steps`) → (arguments of `fit`, its options)."""
