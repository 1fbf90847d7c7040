"""Builds a small model with a custom `train_step` and configurable logs, and the same model with Keras's own step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.support.hosts import BACKEND, IS_TF_KERAS, given_input

if TYPE_CHECKING:
    from collections.abc import Callable

    Book = Callable[[Any, "Batch"], dict[str, Any]]

WEIGHT = 0.3


class Batch(NamedTuple):
    """Holds the loss of a batch, its two parts, and the data and predictions that it was computed from."""

    loss: Any
    main: Any
    other: Any
    size: Any
    x: Any
    y: Any
    predicted: Any


def numbers(num_samples: int = 96) -> tuple[Any, Any]:
    """Returns regression data with large differences between batches."""
    random = np.random.default_rng(3)
    x = (random.normal(size=(num_samples, 4)) * np.linspace(0.3, 2.0, num_samples)[:, None]).astype("float32")
    return x, (x @ np.array([[1.0], [-2.0], [0.5], [1.5]]) + 0.2 * random.normal(size=(num_samples, 1))).astype(
        "float32"
    )


def stack(keras: Any, *extra: Any) -> Any:
    """Builds the layers, with `extra` ones before the last."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    return keras.Sequential([given_input(keras, (4,)), layers.Dense(6, activation="tanh"), *extra, layers.Dense(1)])


def ops(keras: Any) -> Any:
    """Returns tensor operations with the names of `keras.ops`."""
    if not IS_TF_KERAS:
        return keras.ops
    import tensorflow as tf

    class Ops:
        mean, square, cast, convert_to_tensor = tf.reduce_mean, tf.square, tf.cast, tf.convert_to_tensor

    return Ops


def losses(keras: Any, y: Any, predicted: Any, added: Any = ()) -> tuple[Any, Any, Any]:
    """Returns the loss and the two parts of its sum. `added` contains the losses of layers."""
    lib = ops(keras)
    main = sum(added, lib.mean(lib.square(predicted - y)))
    other = WEIGHT * lib.mean(lib.square(predicted))
    return main + other, main, other


def custom(
    keras: Any, book: Book, prepare: Callable[[Any], None] | None = None, *, extra: tuple[Any, ...] = (), **options: Any
) -> Any:
    """Builds and compiles a model that trains on `losses`.

    Args:
        keras: The host's Keras.
        book: Function of the model and a `Batch` that returns the logs.
        prepare: Called with the new model, to add trackers.
        extra: Additional layers.
        options: Options of `compile`.
    """

    class Custom(keras.Model):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner
            if prepare is not None:
                prepare(self)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.inner(inputs, training=training)

        def weighed(self, gradients: Any) -> Any:
            """Returns the gradients to apply in this step."""
            return gradients

        train_step = STEPS[BACKEND](keras, book)

    model = Custom(stack(keras, *extra))
    model.compile(**{"optimizer": keras.optimizers.SGD(1e-3), **options})
    model(np.zeros((1, 4), "float32"))
    model.optimizer.build(model.trainable_variables)
    return model


def _tensorflow_step(keras: Any, book: Book) -> Any:
    import tensorflow as tf

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        x, y = data[:2]
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            found = losses(keras, y, predicted, self.losses)
            share = found[0] / tf.distribute.get_strategy().num_replicas_in_sync
        gradients = self.weighed(tape.gradient(share, self.trainable_variables))
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return book(self, Batch(found[0], found[1], found[2], tf.shape(x)[0], x, y, predicted))

    return train_step


def _torch_step(keras: Any, book: Book) -> Any:
    import torch

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        x, y = (torch.as_tensor(part) for part in data[:2])
        self.zero_grad()
        predicted = self(x, training=True)
        found = losses(keras, y, predicted, self.losses)
        found[0].backward()
        with torch.no_grad():
            gradients = self.weighed([v.value.grad for v in self.trainable_variables])
            self.optimizer.apply(gradients, self.trainable_variables)
        loss, main, other = (part.detach() for part in found)
        return book(self, Batch(loss, main, other, x.shape[0], x, y, predicted.detach()))

    return train_step


def _jax_step(keras: Any, book: Book) -> Any:
    import jax

    def train_step(self: Any, state: Any, data: Any) -> tuple[dict[str, Any], Any]:
        trainable, other, optimizer, metrics = state
        x, y = data[:2]

        def compute(trainable: Any, other: Any) -> Any:
            predicted, other, added = self.stateless_call(trainable, other, x, training=True, return_losses=True)
            found = losses(keras, y, predicted, added)
            return found[0], (found, other, predicted)

        (_, (found, other, predicted)), gradients = jax.value_and_grad(compute, has_aux=True)(trainable, other)
        ours = [*self.non_trainable_variables, *self.metrics_variables]
        with keras.StatelessScope(state_mapping=list(zip(ours, [*other, *metrics], strict=True))) as scope:
            gradients = self.weighed(gradients)
            logs = book(self, Batch(found[0], found[1], found[2], x.shape[0], x, y, predicted))
        values = [scope.get_current_value(variable) for variable in ours]
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        return logs, (trainable, values[: len(other)], optimizer, values[len(other) :])

    return train_step


STEPS = {"tensorflow": _tensorflow_step, "jax": _jax_step, "torch": _torch_step}


def loss_function(keras: Any) -> Any:
    """Returns the same loss as `losses`, for `compile`."""
    lib = ops(keras)

    def loss(y: Any, predicted: Any) -> Any:
        return lib.square(predicted - y) + WEIGHT * lib.square(predicted)

    return loss


def standard(keras: Any, *, extra: tuple[Any, ...] = (), **options: Any) -> Any:
    """Builds the same model with Keras's own train step."""
    model = stack(keras, *extra)
    model.compile(**{"optimizer": keras.optimizers.SGD(1e-3), "loss": loss_function(keras), **options})
    return model
