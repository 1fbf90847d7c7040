"""Implements layers in plain JAX, with Keras's formulas and initializers.

A layer creates its weights from a random key and its input shape, and applies them to a batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Shape = tuple[int, ...]
    Key = jax.Array
    Weights = dict[str, Any]
    Moving = dict[str, jax.Array]

GLOROT = jax.nn.initializers.glorot_uniform()
ORTHOGONAL = jax.nn.initializers.orthogonal()
NORMALIZATION_EPSILON = 1e-3
"""Keras's epsilon of both normalizations."""
MOVING_MOMENTUM = 0.9
"""Momentum of batch normalization. With Keras's 0.99, a fifth of the initial average remains after 150 steps."""


class Mode(NamedTuple):
    """Holds the mode in which layers are applied.

    Args:
        train: Whether layers run in training mode.
        key: Random key for dropout.
        frozen: Number of bottom layers that always run in inference mode.
    """

    train: bool
    key: Key
    frozen: int = 0


class Layer(NamedTuple):
    """Describes a layer by two functions.

    Args:
        init: (key, input shape without the batch) → (weights, moving averages, output shape).
        apply: (weights, moving averages, inputs, mode) → (outputs, moving averages).
    """

    init: Callable[[Key, Shape], tuple[Weights, Moving, Shape]]
    apply: Callable[[Weights, Moving, jax.Array, Mode], tuple[jax.Array, Moving]]


def plain(apply: Callable[[jax.Array], jax.Array], shape: Callable[[Shape], Shape] = lambda shape: shape) -> Layer:
    """Returns a layer without weights."""
    return Layer(lambda _, before: ({}, {}, shape(before)), lambda _, moving, x, __: (apply(x), moving))


def weighted(
    init: Callable[[Key, Shape], tuple[Weights, Shape]], apply: Callable[[Weights, jax.Array], jax.Array]
) -> Layer:
    """Returns a layer with weights but no moving averages, which is the same in training and inference."""

    def start(key: Key, before: Shape) -> tuple[Weights, Moving, Shape]:
        weights, after = init(key, before)
        return weights, {}, after

    return Layer(start, lambda weights, moving, x, _: (apply(weights, x), moving))


def affine(key: Key, before: int, after: int) -> Weights:
    """Returns the initial weights of a dense layer: a Glorot uniform kernel and a zero bias."""
    return {"kernel": GLOROT(key, (before, after)), "bias": jnp.zeros(after)}


def linear(weights: Weights, x: jax.Array) -> jax.Array:
    """Returns the outputs of a dense layer."""
    return x @ weights["kernel"] + weights["bias"]


def dense(units: int) -> Layer:
    """Returns a dense layer on the last axis."""
    return weighted(lambda key, before: (affine(key, before[-1], units), (*before[:-1], units)), linear)


relu = plain(jax.nn.relu)
flatten = plain(lambda x: x.reshape(len(x), -1), lambda shape: (math.prod(shape),))
mean_over_steps = plain(lambda x: x.mean(1), lambda shape: shape[1:])
with_channel = plain(lambda x: x[..., None], lambda shape: (*shape, 1))


def patches(x: jax.Array, size: int, stride: int, axes: Sequence[int]) -> jax.Array:
    """Returns all patches of `size` at every `stride` along the axes, with their values in the last axis.

    A convolution then becomes one matrix product, which is faster on a CPU than XLA's convolution for few channels.
    """
    for axis in axes:
        last = x.shape[axis] - size
        shifted = [jax.lax.slice_in_dim(x, i, i + last + 1, stride=stride, axis=axis) for i in range(size)]
        x = jnp.concatenate(shifted, axis=-1)
    return x


def convolution(units: int, size: int, rank: int, stride: int = 1) -> Layer:
    """Returns a convolution without padding over `rank` axes."""
    axes = range(1, rank + 1)

    def init(key: Key, before: Shape) -> tuple[Weights, Shape]:
        inside = before[-1] * size**rank
        limit = math.sqrt(6 / (inside + units * size**rank))
        kernel = jax.random.uniform(key, (inside, units), minval=-limit, maxval=limit)
        after = (*((length - size) // stride + 1 for length in before[:rank]), units)
        return {"kernel": kernel, "bias": jnp.zeros(units)}, after

    return weighted(init, lambda weights, x: linear(weights, patches(x, size, stride, axes)))


def pooled(x: jax.Array, rank: int) -> jax.Array:
    """Returns the maximum of each pair of neighbors along each axis, without an odd last value."""
    for axis in range(1, rank + 1):
        even = x.shape[axis] // 2 * 2
        pair = [jax.lax.slice_in_dim(x, i, even, stride=2, axis=axis) for i in (0, 1)]
        x = jnp.maximum(*pair)
    return x


def pool(rank: int) -> Layer:
    """Returns a max-pooling layer of size two along `rank` axes."""
    return plain(lambda x: pooled(x, rank), lambda shape: (*(n // 2 for n in shape[:rank]), *shape[rank:]))


def standardized(x: jax.Array, mean: jax.Array, variance: jax.Array, weights: Weights) -> jax.Array:
    """Returns normalized inputs, scaled and shifted by learned weights."""
    return (x - mean) * jax.lax.rsqrt(variance + NORMALIZATION_EPSILON) * weights["gamma"] + weights["beta"]


def batch_normalization() -> Layer:
    """Returns a layer that normalizes each feature by the batch in training and by moving averages in inference."""

    def init(_: Key, before: Shape) -> tuple[Weights, Moving, Shape]:
        ones, zeros = jnp.ones(before[-1]), jnp.zeros(before[-1])
        return {"gamma": ones, "beta": zeros}, {"mean": zeros, "variance": ones}, before

    def apply(weights: Weights, moving: Moving, x: jax.Array, mode: Mode) -> tuple[jax.Array, Moving]:
        if not mode.train:
            return standardized(x, moving["mean"], moving["variance"], weights), moving
        axes = tuple(range(x.ndim - 1))
        now = {"mean": x.mean(axes), "variance": x.var(axes)}
        moved = {name: MOVING_MOMENTUM * moving[name] + (1 - MOVING_MOMENTUM) * now[name] for name in moving}
        return standardized(x, now["mean"], now["variance"], weights), moved

    return Layer(init, apply)


def layer_normalization() -> Layer:
    """Returns a layer that normalizes each example over its last axis."""
    return weighted(
        lambda _, before: ({"gamma": jnp.ones(before[-1]), "beta": jnp.zeros(before[-1])}, before),
        lambda weights, x: standardized(x, x.mean(-1, keepdims=True), x.var(-1, keepdims=True), weights),
    )


def dropout(rate: float) -> Layer:
    """Returns a layer that zeroes a share of the inputs in training and scales up the others."""

    def apply(_: Weights, moving: Moving, x: jax.Array, mode: Mode) -> tuple[jax.Array, Moving]:
        if not mode.train:
            return x, moving
        return jnp.where(jax.random.bernoulli(mode.key, 1 - rate, x.shape), x / (1 - rate), 0), moving

    return Layer(lambda _, before: ({}, {}, before), apply)


def embedding(tokens: int, units: int) -> Layer:
    """Returns a layer that maps each token index to a vector."""

    def init(key: Key, before: Shape) -> tuple[Weights, Shape]:
        return {"table": jax.random.uniform(key, (tokens, units), minval=-0.05, maxval=0.05)}, (*before, units)

    return weighted(init, lambda weights, x: weights["table"][x])


def simple_cell(weights: Weights, h: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the next state of an Elman network."""
    return jnp.tanh(x + h @ weights["recurrent"])


def gated_cell(weights: Weights, h: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the next state of a gated recurrent unit, with the reset after the product, as in Keras."""
    inner = h @ weights["recurrent"] + weights["recurrent_bias"]
    (x_update, x_reset, x_new), (update, reset, new) = jnp.split(x, 3, -1), jnp.split(inner, 3, -1)
    z = jax.nn.sigmoid(x_update + update)
    return z * h + (1 - z) * jnp.tanh(x_new + jax.nn.sigmoid(x_reset + reset) * new)


def recurrent(units: int, *, gated: bool, every: bool = False) -> Layer:
    """Returns a recurrent layer over axis 1.

    Args:
        units: Size of the state.
        gated: Whether the cell is a gated recurrent unit instead of an Elman cell.
        every: Whether to return every state instead of only the last one.
    """
    gates = 3 if gated else 1
    cell = gated_cell if gated else simple_cell

    def init(key: Key, before: Shape) -> tuple[Weights, Shape]:
        outer, inner = jax.random.split(key)
        weights = affine(outer, before[-1], gates * units)
        weights["recurrent"] = ORTHOGONAL(inner, (units, gates * units))
        weights["recurrent_bias"] = jnp.zeros(gates * units)
        return weights, (before[0], units) if every else (units,)

    def apply(weights: Weights, x: jax.Array) -> jax.Array:
        inputs = jnp.swapaxes(linear(weights, x), 0, 1)

        def step(h: jax.Array, now: jax.Array) -> tuple[jax.Array, jax.Array | None]:
            h = cell(weights, h, now)
            return h, h if every else None

        last, states = jax.lax.scan(step, jnp.zeros((len(x), units)), inputs)
        return jnp.swapaxes(states, 0, 1) if every else last

    return weighted(init, apply)


def position_embedding() -> Layer:
    """Returns a layer that adds a learned vector to each position of a sequence."""
    return weighted(
        lambda key, before: ({"table": 0.05 * jax.random.normal(key, before)}, before),
        lambda weights, x: x + weights["table"],
    )


def attention_block(heads: int, *, causal: bool, normalized: bool) -> Layer:
    """Returns self-attention and two dense layers in residual blocks, with optional pre-normalization."""
    norm = layer_normalization()

    def init(key: Key, before: Shape) -> tuple[Weights, Shape]:
        width = before[-1]
        keys = jax.random.split(key, 4)
        sizes = {"mix": (width, 3 * width), "out": (width, width), "up": (width, 2 * width), "down": (2 * width, width)}
        weights: Weights = {name: affine(k, *size) for k, (name, size) in zip(keys, sizes.items(), strict=True)}
        if normalized:
            weights |= {"first": norm.init(key, before)[0], "second": norm.init(key, before)[0]}
        return weights, before

    def normal(weights: Weights, name: str, x: jax.Array) -> jax.Array:
        if not normalized:
            return x
        return standardized(x, x.mean(-1, keepdims=True), x.var(-1, keepdims=True), weights[name])

    def apply(weights: Weights, x: jax.Array) -> jax.Array:
        batch, length, width = x.shape
        mixed = linear(weights["mix"], normal(weights, "first", x))
        query, key, value = jnp.split(mixed.reshape(batch, length, heads, -1), 3, axis=-1)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(width / heads)
        if causal:
            scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
        read = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), value).reshape(x.shape)
        x = x + linear(weights["out"], read)
        return x + linear(weights["down"], jax.nn.relu(linear(weights["up"], normal(weights, "second", x))))

    return weighted(init, apply)


def factorization(rows: int, columns: int, units: int) -> Layer:
    """Returns a layer that multiplies the vectors of a row and a column and adds a bias of each."""

    def init(key: Key, _: Shape) -> tuple[Weights, Shape]:
        first, second = jax.random.split(key)
        weights = {
            "row_table": jax.random.uniform(first, (rows, units), minval=-0.05, maxval=0.05),
            "column_table": jax.random.uniform(second, (columns, units), minval=-0.05, maxval=0.05),
            "row_bias": jnp.zeros(rows),
            "column_bias": jnp.zeros(columns),
        }
        return weights, (1,)

    def apply(weights: Weights, x: jax.Array) -> jax.Array:
        row, column = x[:, 0], x[:, 1]
        product = (weights["row_table"][row] * weights["column_table"][column]).sum(-1)
        return (product + weights["row_bias"][row] + weights["column_bias"][column])[:, None]

    return weighted(init, apply)
