"""Passes data to `fit` as arrays, generators, tf.data pipelines or PyDatasets, some of them with a mistake."""

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
    """Returns batches by index, reshuffled after every epoch.

    Args:
        data: Inputs and targets.
        size: Number of samples per batch.
        late: Number of batches by which the targets lag behind the inputs.
        mixes: Whether to shuffle the inputs of a batch but not its targets.
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
        """Shuffles the order of the samples."""
        np.random.shuffle(self.order)


def _epochs(data: Data, options: dict[str, Any], size: int) -> None:
    options.setdefault("epochs", -(-options["num_steps"] // max(1, -(-len(data.x) // size))))


def from_arrays(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes arrays, for as many epochs as the scan needs."""
    _epochs(data, options, options.setdefault("batch_size", BATCH_SIZE))
    return (data.x, data.y), options


def from_generator(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a generator that yields the data once."""
    return (_batches(data, options.pop("batch_size", BATCH_SIZE)),), options


def from_batches(data: Data, options: dict[str, Any], *, late: int = 0) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a PyDataset, for as many epochs as the scan needs."""
    size = options.pop("batch_size", BATCH_SIZE)
    _epochs(data, options, size)
    return (Batches(data, size, late=late),), options


def from_late_targets(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a PyDataset that returns the targets of the previous batch."""
    return from_batches(data, options, late=1)


def from_dataset(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline that does not shuffle."""
    return (_slices(data.x, data.y).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_small_buffer(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline with a shuffle buffer of only a hundred samples."""
    return (_slices(data.x, data.y).shuffle(100).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_zip(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Zips two tf.data pipelines, inputs and targets, after shuffling them separately."""
    import tensorflow as tf

    parts = tuple(_slices(array).shuffle(len(array)) for array in (data.x, data.y))
    return (tf.data.Dataset.zip(parts).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_filter(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline of unknown length because it filters."""
    kept = _slices(data.x, data.y).filter(lambda x, y: y >= 0)
    return (kept.shuffle(len(data.x)).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_shards(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline of unknown length because it opens one shard after another."""
    import tensorflow as tf

    shards = _slices(data.x, data.y).batch(100)
    opened = shards.flat_map(lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)))
    return (opened.shuffle(1000).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_python(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline of unknown length because it wraps a Python generator."""
    import tensorflow as tf

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in (data.x, data.y))
    size = options.pop("batch_size", BATCH_SIZE)
    return (tf.data.Dataset.from_generator(lambda: _batches(data, size), output_signature=signature),), options


def from_repeated(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline that repeats a few samples endlessly."""
    endless = _slices(data.x, data.y).shuffle(len(data.x)).repeat().batch(options.pop("batch_size", BATCH_SIZE))
    return (endless,), {"steps_per_epoch": STEPS, **options}


def from_mixed_inputs(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a PyDataset that shuffles the inputs of a batch but not its targets."""
    size = options.pop("batch_size", BATCH_SIZE)
    _epochs(data, options, size)
    return (Batches(data, size, mixes=True),), options


def from_shuffled(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a correct tf.data pipeline: shuffled, batched and prefetched."""
    size = options.pop("batch_size", BATCH_SIZE)
    _epochs(data, options, size)
    return (_slices(data.x, data.y).shuffle(len(data.x)).batch(size).prefetch(2),), options


def from_two(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes two input arrays to a model with two inputs."""
    _epochs(data, options, options.setdefault("batch_size", BATCH_SIZE))
    return ([data.x[:, : data.split], data.x[:, data.split :]], data.y), options


def from_taken(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline that repeats its first three batches endlessly, left over from debugging."""
    kept = _slices(data.x, data.y).batch(options.pop("batch_size", BATCH_SIZE)).take(3).cache().repeat()
    return (kept,), {"steps_per_epoch": options["num_steps"], **options}


def from_interleaved(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Passes a tf.data pipeline that interleaves one file per class in blocks of a whole batch."""
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
    """Passes a tf.data pipeline of unknown length because it cuts windows, as tutorials on series do."""
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
"""Functions by name: (data, options of `fit` and `num_steps`) → (arguments of `fit`, options of `fit`)."""
