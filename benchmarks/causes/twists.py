"""Defines the losses of the conditions and the changes applied to a model before its scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from arrays import Data

__all__ = ["BATCH_SIZE", "LOSSES", "TWISTS"]

Tensor = Any
BATCH_SIZE = 32

# Losses --------------------------------------------------------------------------------------------------------------


def _kind(data: Data) -> str:
    if data.classes is None:
        return "MeanSquaredError"
    return "BinaryCrossentropy" if data.units == 1 else "SparseCategoricalCrossentropy"


def summed_by_hand(truth: Tensor, said: Tensor) -> Tensor:
    """Sums the squared errors over the whole batch."""
    return ops.sum(ops.square(ops.cast(truth, said.dtype) - said))


def summed_over_outputs(truth: Tensor, said: Tensor) -> Tensor:
    """Sums the squared errors of each sample over its outputs."""
    return ops.sum(ops.square(ops.cast(truth, said.dtype) - said), axis=-1)


def divergence_by_hand(truth: Tensor, said: Tensor) -> Tensor:
    """Computes a Kullback-Leibler divergence that takes the logarithm of zero for every wrong class."""
    wanted = ops.one_hot(ops.cast(ops.reshape(truth, (-1,)), "int32"), said.shape[-1])
    return ops.sum(wanted * (ops.log(wanted) - ops.log(said)), axis=-1)


def relative_error(truth: Tensor, said: Tensor) -> Tensor:
    """Divides the error by the target, which is not finite for zero targets."""
    return ops.mean(ops.abs(truth - said) / truth, axis=-1)


def probabilities_as_logits(truth: Tensor, said: Tensor) -> Tensor:
    """Passes probabilities to TensorFlow's own cross-entropy, which expects logits."""
    import tensorflow as tf

    labels = tf.cast(tf.reshape(truth, (-1,)), tf.int32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=said)


def share_of_errors(truth: Tensor, said: Tensor) -> Tensor:
    """Computes the binary error rate from a sign, whose gradient is zero."""
    return ops.mean(ops.abs(ops.cast(truth, said.dtype) - (ops.sign(said - 0.5) + 1) / 2), axis=-1)


def summed_crossentropy(truth: Tensor, said: Tensor) -> Tensor:
    """Computes the cross-entropy of one-hot labels from its formula, summed over the whole batch."""
    return -ops.sum(truth * ops.log(said + 1e-7))


def summed_over_places(truth: Tensor, said: Tensor) -> Tensor:
    """Sums the cross-entropy of a sequence over its positions."""
    return ops.sum(ops.sparse_categorical_crossentropy(truth, said), axis=-1)


def summed_over_labels(truth: Tensor, said: Tensor) -> Tensor:
    """Sums the binary cross-entropy of each sample over its labels."""
    return ops.sum(ops.binary_crossentropy(truth, said), axis=-1)


def squares_within_bounds(truth: Tensor, said: Tensor) -> Tensor:
    """Computes the squared error of predictions clipped to a plausible range."""
    return ops.mean(ops.square(truth - ops.clip(said, 3.0, 6.0)), axis=-1)


LOSSES: Mapping[str, Callable[[Data], Any]] = {
    "auto": lambda data: keras.losses.get(_kind(data)),
    "logits": lambda data: getattr(keras.losses, _kind(data))(from_logits=True),
    "sum": lambda data: getattr(keras.losses, _kind(data))(reduction="sum"),
    "summed by hand": lambda _: summed_by_hand,
    "summed over outputs": lambda _: summed_over_outputs,
    "divergence by hand": lambda _: divergence_by_hand,
    "relative error": lambda _: relative_error,
    "probabilities as logits": lambda _: probabilities_as_logits,
    "share of errors": lambda _: share_of_errors,
    "summed crossentropy": lambda _: summed_crossentropy,
    "summed over places": lambda _: summed_over_places,
    "summed over labels": lambda _: summed_over_labels,
    "squares within bounds": lambda _: squares_within_bounds,
    "summed absolute": lambda _: keras.losses.MeanAbsoluteError(reduction="sum"),
    "focal": lambda _: keras.losses.BinaryFocalCrossentropy(),
    "smoothed": lambda _: keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
}


# Changes applied before the scan -------------------------------------------------------------------------------------


def frozen(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes the whole model."""
    model.trainable = False
    compiled()


def frozen_body(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers except the head."""
    for layer in model.layers:
        layer.trainable = layer.name.startswith("head")
    compiled()


def frozen_but_normalization(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers except batch normalization, whose statistics keep changing."""
    for layer in model.layers:
        layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
    compiled()


def frozen_kernels(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all weights except the bias of the head."""
    for layer in model.layers:
        layer.trainable = layer.name == "head"
    model.get_layer("head").kernel.trainable = False
    compiled()


def frozen_but_last(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers except the last one, which may have no weights."""
    for layer in model.layers[:-1]:
        layer.trainable = False
    compiled()


def frozen_inside(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes the backbone of a subclassed model, which contains the head too."""
    model.inside.trainable = False
    compiled()


def frozen_by_name(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers except those with a name that no layer has."""
    for layer in model.layers:
        layer.trainable = layer.name.startswith("classifier")
    compiled()


def unfrozen_too_late(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Trains a frozen model on one batch, then unfreezes it without compiling it again."""
    model.trainable = False
    compiled()
    model.fit(ready.x[:BATCH_SIZE], ready.y[:BATCH_SIZE], verbose=0)
    model.trainable = True


def unchanged(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Compiles the model without changing it."""
    compiled()


TWISTS: Mapping[str | None, Callable[..., None]] = {
    None: unchanged,
    "frozen": frozen,
    "frozen body": frozen_body,
    "frozen but normalization": frozen_but_normalization,
    "frozen kernels": frozen_kernels,
    "frozen but last": frozen_but_last,
    "unfrozen too late": unfrozen_too_late,
    "frozen inside": frozen_inside,
    "frozen by name": frozen_by_name,
}
