"""Builds model bodies with branches, such as residual blocks, bidirectional layers and several inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras import layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from arrays import Data

__all__ = ["bidirectional", "residual", "separable", "towers", "wide_and_deep"]

Tensor = Any


def residual(inputs: Tensor, data: Data, *, width: int = 64, blocks: int = 2, normalize: bool = True) -> Tensor:
    """Applies dense layers in residual blocks, with optional batch normalization."""
    features = layers.Dense(width)(layers.Flatten()(inputs))
    for _ in range(blocks):
        inner = layers.BatchNormalization()(features) if normalize else features
        inner = layers.Dense(width, activation="relu")(inner)
        features = layers.Add()([features, layers.Dense(width)(inner)])
    return layers.BatchNormalization()(features) if normalize else features


def separable(
    inputs: Tensor,
    data: Data,
    *,
    filters: tuple[int, ...] = (16, 32),
    normalize: bool = False,
    **options: Any,
) -> Tensor:
    """Applies strided separable convolutions to an image."""
    features = layers.Reshape((*inputs.shape[1:], 1))(inputs)
    for width in filters:
        features = layers.SeparableConv2D(width, 3, strides=2, padding="same", **options)(features)
        features = layers.BatchNormalization()(features) if normalize else features
        features = layers.LeakyReLU()(features)
    return layers.Flatten()(features)


def bidirectional(
    inputs: Tensor,
    data: Data,
    *,
    units: int = 16,
    cell: str = "LSTM",
    sequences: bool = False,
    **options: Any,
) -> Tensor:
    """Applies a bidirectional recurrent layer."""
    features = layers.Embedding(data.tokens[0], 16)(inputs) if data.tokens else inputs
    inner = getattr(layers, cell)(units, return_sequences=sequences, **options)
    return layers.Bidirectional(inner)(features)


def wide_and_deep(
    inputs: Tensor,
    data: Data,
    *,
    units: tuple[int, ...] = (64, 32),
    **options: Any,
) -> Tensor:
    """Concatenates the inputs and their dense features."""
    flat = layers.Flatten()(inputs)
    deep = flat
    for width in units:
        deep = layers.Dense(width, activation="relu", **options)(deep)
    return layers.Concatenate()([flat, deep])


def towers(
    inputs: Sequence[Tensor],
    data: Data,
    *,
    units: tuple[int, ...] = (32, 32),
    activation: str = "relu",
    **options: Any,
) -> Tensor:
    """Applies one dense layer to each of two inputs and another to both."""
    first = [layers.Dense(units[0], activation=activation, **options)(part) for part in inputs]
    return layers.Dense(units[1], activation=activation, **options)(layers.Concatenate()(first))
