"""Provides the host of this test run, small models for it, and reference losses of plain training."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

IS_TF_KERAS = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
"""Whether the host is tf_keras instead of Keras 3 on the backend given by `KERAS_BACKEND`."""
BACKEND = "tensorflow" if IS_TF_KERAS else os.environ.get("KERAS_BACKEND", "tensorflow")
"""Name of the backend."""

Arrays = list["NDArray[Any]"]


@functools.cache
def stop_tuning_pipelines() -> None:
    """Switches off the thread that tunes the parallelism of each `tf.data` pipeline, in all later iterators.

    When an iterator is destroyed, TensorFlow waits for this thread, which sometimes sleeps on for up to a minute. The
    waits add up to a third of the time of all tests. What a pipeline yields does not depend on it.
    """
    tf = importlib.import_module("tensorflow")
    untuned = tf.data.Options()
    untuned.autotune.enabled = False
    iterate = tf.data.Dataset.__iter__
    tf.data.Dataset.__iter__ = lambda dataset: iterate(dataset.with_options(untuned))


def digits(num_samples: int = 200, *, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns points in eight dimensions from ten classes that a small network can separate."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, num_samples)
    centers = np.random.default_rng(99).normal(size=(10, 8))
    return (centers[labels] + 0.5 * random.normal(size=(num_samples, 8))).astype("float32"), labels.astype("int32")


def classifier(keras: Any, *, seed: int = 1, rich: bool = False, given_input: bool = True) -> Any:
    """Builds a dense network for `digits`. `rich` adds dropout and batch normalization."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    stack = [layers.InputLayer(input_shape=(8,)) if IS_TF_KERAS else layers.Input((8,))] if given_input else []
    stack.append(layers.Dense(16, activation="relu"))
    if rich:
        stack += [layers.BatchNormalization(), layers.Dropout(0.3)]
    stack.append(layers.Dense(10, activation="softmax"))
    return keras.Sequential(stack)


def compiled(keras: Any, optimizer: Any = None, *, model: Any = None, lazily: bool = False, **options: Any) -> Any:
    """Compiles `model`, or a `classifier`, for `digits`. Metrics, which take a third of the tracing, are left out.

    The optimizer gets its variables here, because TensorFlow traces a step twice if the step creates them. `lazily`
    leaves them to the step, as users do.
    """
    model = classifier(keras) if model is None else model
    optimizer = keras.optimizers.Adam(1e-3) if optimizer is None else optimizer
    model.compile(optimizer=optimizer, **{"loss": "sparse_categorical_crossentropy", **options})
    if BACKEND == "tensorflow" and not lazily and model.built and hasattr(model.optimizer, "build"):
        model.optimizer.build(model.trainable_variables)
    return model


def light(keras: Any, **options: Any) -> Any:
    """Compiles a model with SGD, which hosts trace in half the time of Adam."""
    return compiled(keras, keras.optimizers.SGD(0.05), **options)


@functools.cache
def lent(keras: Any) -> Any:
    """Returns a `light` model, which all tests that leave it as it was share: each new one would be traced again."""
    return light(keras)


@functools.cache
def _trained(keras: Any) -> tuple[Any, Arrays]:
    model = light(keras)
    return model, weights(model)


def twin(keras: Any, start: Arrays | None = None) -> Any:
    """Returns a model like `lent` that tests may train: the next test gets its first weights back, or those given."""
    model, first = _trained(keras)
    for variable, value in zip(model.variables, first if start is None else start, strict=True):
        variable.assign(value)
    return model


def given_input(keras: Any, shape: tuple[int, ...], dtype: str = "float32") -> Any:
    """Returns the input layer of a sequential model."""
    layers = keras.layers
    return layers.InputLayer(input_shape=shape, dtype=dtype) if IS_TF_KERAS else layers.Input(shape, dtype=dtype)


def stacked(
    keras: Any, shape: tuple[int, ...], layers: Callable[[Any], list[Any]], loss: Any = "mse", dtype: str = "float32"
) -> Any:
    """Builds and compiles a sequential model from the layers that `layers(keras.layers)` returns."""
    model = keras.Sequential([given_input(keras, shape, dtype), *layers(keras.layers)])
    return compiled(keras, keras.optimizers.SGD(), model=model, loss=loss)


def poked(array: Any, at: Any, value: float) -> Any:
    """Returns a copy of `array` with `value` at the positions `at`."""
    changed = array.astype("float64")
    changed[at] = value
    return changed


def array_of(variable: Any) -> NDArray[Any]:
    """Returns a copy of a variable's value."""
    value = variable.numpy() if IS_TF_KERAS or BACKEND == "tensorflow" else variable.value
    return np.array(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def state(model: Any) -> Arrays:
    """Returns copies of all variables of the model and its optimizer."""
    optimizer = model.optimizer
    variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
    return [array_of(variable) for variable in [*model.variables, *variables]]


def weights(model: Any) -> Arrays:
    """Returns copies of all variables of the model."""
    return [array_of(variable) for variable in model.variables]


def same_bits(first: Arrays, second: Arrays) -> bool:
    """Returns whether all arrays are equal to the last bit."""
    return len(first) == len(second) and all(
        a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True)
    )


def batches_of(*arrays: NDArray[Any], size: int, epochs: int) -> list[tuple[NDArray[Any], ...]]:
    """Returns the batches of an unshuffled `fit` on `arrays`."""
    starts = range(0, len(arrays[0]), size)
    return [tuple(array[start : start + size] for array in arrays) for _ in range(epochs) for start in starts]


def replayed_losses(
    model: Any,
    batches: Iterable[Sequence[Any]],
    update_rates: Iterable[float],
) -> list[float]:
    """Trains on each batch alone, at its own rate, and returns the losses before the updates."""
    losses: list[float] = []
    for batch, rate in zip(batches, update_rates, strict=False):
        model.reset_metrics()
        model.optimizer.learning_rate = rate
        losses.append(float(model.train_on_batch(*batch, return_dict=True)["loss"]))
    return losses
