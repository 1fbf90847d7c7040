"""Builds small models as lists of layers.

Weights and moving averages are lists with one entry per layer, so that the last layer can be replaced and the others
frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
from layers import (
    Layer,
    Mode,
    attention_block,
    batch_normalization,
    convolution,
    dense,
    dropout,
    embedding,
    factorization,
    flatten,
    layer_normalization,
    mean_over_steps,
    pool,
    position_embedding,
    recurrent,
    relu,
    with_channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from layers import Key, Moving, Shape, Weights

NORMALIZATIONS = {"none": list, "batch": lambda: [batch_normalization()], "layer": lambda: [layer_normalization()]}


class Plan(NamedTuple):
    """Holds the settings that a model builder needs.

    Args:
        shape: Shape of one input.
        tokens: Size of the vocabulary, or (rows, columns).
        outputs: Number of outputs.
        normalization: "none", "batch" or "layer".
        dropout: Dropout rate before the output layer.
        features: Size of an embedding, and of each step of a transformer.
    """

    shape: Shape
    tokens: Shape
    outputs: int
    normalization: str = "none"
    dropout: float = 0.0
    features: int = 16

    def hidden(self, layer: Layer) -> list[Layer]:
        """Returns the layer with its normalization and activation."""
        return [layer, *NORMALIZATIONS[self.normalization](), relu]

    def head(self) -> list[Layer]:
        """Returns the output layer, with dropout before it if any."""
        return [*([dropout(self.dropout)] if self.dropout else []), dense(self.outputs)]

    def steps(self) -> list[Layer]:
        """Returns an embedding if the inputs are tokens, and no layer otherwise."""
        return [embedding(self.tokens[0], self.features)] if self.tokens else []


def linear_model(plan: Plan) -> list[Layer]:
    """Builds a single dense layer."""
    return [flatten, *plan.head()]


def dense_model(plan: Plan, *, units: tuple[int, int] = (48, 32)) -> list[Layer]:
    """Builds a network with two hidden layers."""
    return [flatten, *plan.hidden(dense(units[0])), *plan.hidden(dense(units[1])), *plan.head()]


def bag_model(plan: Plan, *, units: int = 32) -> list[Layer]:
    """Builds a mean of word embeddings with a hidden layer."""
    return [*plan.steps(), mean_over_steps, *plan.hidden(dense(units)), *plan.head()]


def cnn_model(plan: Plan, *, channels: tuple[int, int] = (8, 16)) -> list[Layer]:
    """Builds two convolutions over images or sequences."""
    if len(plan.shape) == 2 and plan.shape[0] == plan.shape[1]:
        first = convolution(channels[0], 3, 2, stride=plan.shape[0] // 7)
        second = convolution(channels[1], 3, 2)
        return [with_channel, *plan.hidden(first), *plan.hidden(second), pool(2), flatten, *plan.head()]
    body = [*plan.hidden(convolution(16, 5, 1)), pool(1), *plan.hidden(convolution(16, 3, 1)), mean_over_steps]
    return [*plan.steps(), *body, *plan.head()]


def recurrent_model(plan: Plan, *, gated: bool, every: bool = False, units: int = 24) -> list[Layer]:
    """Builds a recurrent layer."""
    return [
        *plan.steps(),
        recurrent(units, gated=gated, every=every),
        *NORMALIZATIONS[plan.normalization](),
        *plan.head(),
    ]


def transformer_model(plan: Plan, *, every: bool = False) -> list[Layer]:
    """Builds one attention block."""
    normalized = plan.normalization == "layer"
    block = attention_block(2, causal=every, normalized=normalized)
    ends = [*NORMALIZATIONS[plan.normalization](), *([] if every else [mean_over_steps])]
    return [*(plan.steps() or [dense(plan.features)]), position_embedding(), block, *ends, *plan.head()]


def autoencoder_model(plan: Plan, *, units: int = 48) -> list[Layer]:
    """Builds an autoencoder with a bottleneck of 12 units."""
    return [flatten, *plan.hidden(dense(units)), dense(12), *plan.hidden(dense(units)), *plan.head()]


def factorization_model(plan: Plan) -> list[Layer]:
    """Builds a matrix factorization with eight factors."""
    return [factorization(*plan.tokens, 8)]


MODELS: dict[str, Callable[[Plan], list[Layer]]] = {
    "linear": linear_model,
    "dense": dense_model,
    "bag of words": bag_model,
    "CNN": cnn_model,
    "simple RNN": lambda plan: recurrent_model(plan, gated=False),
    "GRU": lambda plan: recurrent_model(plan, gated=True),
    "transformer": transformer_model,
    "autoencoder": autoencoder_model,
    "factorisation": factorization_model,  # spelled as in the recorded results
    "GRU language model": lambda plan: recurrent_model(plan, gated=True, every=True),
    "transformer language model": lambda plan: transformer_model(plan, every=True),
    "wide dense": lambda plan: dense_model(plan, units=(256, 256)),
    "wider dense": lambda plan: dense_model(plan, units=(512, 512)),
    "widest dense": lambda plan: dense_model(plan, units=(1024, 1024)),
    "wide bag of words": lambda plan: bag_model(plan._replace(features=128), units=256),
    "wide CNN": lambda plan: cnn_model(plan, channels=(64, 128)),
    "wide GRU": lambda plan: recurrent_model(plan._replace(features=128), gated=True, units=192),
    "wide transformer": lambda plan: transformer_model(plan._replace(features=128)),
    "wide autoencoder": lambda plan: autoencoder_model(plan, units=256),
}
"""Name → builder. Wide models have 10 to 100 times the weights of the others."""


def start(layers: Sequence[Layer], shape: Shape, key: Key) -> tuple[list[Weights], list[Moving]]:
    """Returns fresh weights and moving averages."""
    weights, moving = [], []
    for layer, one in zip(layers, jax.random.split(key, len(layers)), strict=True):
        now, averages, shape = layer.init(one, shape)
        weights.append(now)
        moving.append(averages)
    return weights, moving


def apply(
    layers: Sequence[Layer], weights: Sequence[Weights], moving: Sequence[Moving], x: jax.Array, mode: Mode
) -> tuple[jax.Array, list[Moving]]:
    """Returns the outputs and the updated moving averages."""
    after = []
    for i, layer in enumerate(layers):
        here = Mode(mode.train and i >= mode.frozen, jax.random.fold_in(mode.key, i))
        x, averages = layer.apply(weights[i], moving[i], x, here)
        after.append(averages)
    return x, after
