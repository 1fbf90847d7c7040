"""Losses, and what is done to a model before it is scanned."""

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
    """Returns the squared errors, added up over the whole batch."""
    return ops.sum(ops.square(ops.cast(truth, said.dtype) - said))


def summed_over_outputs(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the squared errors of a sample, added up over its outputs."""
    return ops.sum(ops.square(ops.cast(truth, said.dtype) - said), axis=-1)


def divergence_by_hand(truth: Tensor, said: Tensor) -> Tensor:
    """Returns a Kullback-Leibler divergence that takes the logarithm of zero where a class is not the true one."""
    wanted = ops.one_hot(ops.cast(ops.reshape(truth, (-1,)), "int32"), said.shape[-1])
    return ops.sum(wanted * (ops.log(wanted) - ops.log(said)), axis=-1)


def relative_error(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the error as a share of the target, which is zero over zero where the target is zero."""
    return ops.mean(ops.abs(truth - said) / truth, axis=-1)


def probabilities_as_logits(truth: Tensor, said: Tensor) -> Tensor:
    """Returns TensorFlow's own cross-entropy, which wants logits, whatever it is given."""
    import tensorflow as tf

    labels = tf.cast(tf.reshape(truth, (-1,)), tf.int32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=said)


def share_of_errors(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the share of wrong answers to a yes or no, counted with a sign: what one wants, but without a slope."""
    return ops.mean(ops.abs(ops.cast(truth, said.dtype) - (ops.sign(said - 0.5) + 1) / 2), axis=-1)


def summed_crossentropy(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the cross-entropy of one-hot labels as the formula has it, added up over the whole batch."""
    return -ops.sum(truth * ops.log(said + 1e-7))


def summed_over_places(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the cross-entropy of a sequence, added up over its places."""
    return ops.sum(ops.sparse_categorical_crossentropy(truth, said), axis=-1)


def summed_over_labels(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the binary cross-entropy of a sample, added up over its labels."""
    return ops.sum(ops.binary_crossentropy(truth, said), axis=-1)


def squares_within_bounds(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the squared error of answers that were cut off where no target can be."""
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


# What is done before the scan ----------------------------------------------------------------------------------------


def frozen(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes the whole model."""
    model.trainable = False
    compiled()


def frozen_body(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all but the last layer."""
    for layer in model.layers:
        layer.trainable = layer.name.startswith("head")
    compiled()


def frozen_but_normalization(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers that are no normalization, whose statistics go on moving."""
    for layer in model.layers:
        layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
    compiled()


def frozen_kernels(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Leaves nothing but the bias of the last layer to train."""
    for layer in model.layers:
        layer.trainable = layer.name == "head"
    model.get_layer("head").kernel.trainable = False
    compiled()


def frozen_but_last(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers but the last in the list, which may be one without weights."""
    for layer in model.layers[:-1]:
        layer.trainable = False
    compiled()


def frozen_inside(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes the backbone of a model written as a class, which holds the last layer as well."""
    model.inside.trainable = False
    compiled()


def frozen_by_name(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes all layers but those of a name that no layer has."""
    for layer in model.layers:
        layer.trainable = layer.name.startswith("classifier")
    compiled()


def unfrozen_too_late(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Trains a frozen model for a moment, then unfreezes it without compiling again."""
    model.trainable = False
    compiled()
    model.fit(ready.x[:BATCH_SIZE], ready.y[:BATCH_SIZE], verbose=0)
    model.trainable = True


def detached(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Freezes nothing; used where the body of the table does what has to be done."""
    compiled()


TWISTS: Mapping[str | None, Callable[..., None]] = {
    None: detached,
    "frozen": frozen,
    "frozen body": frozen_body,
    "frozen but normalization": frozen_but_normalization,
    "frozen kernels": frozen_kernels,
    "frozen but last": frozen_but_last,
    "unfrozen too late": unfrozen_too_late,
    "frozen inside": frozen_inside,
    "frozen by name": frozen_by_name,
}
