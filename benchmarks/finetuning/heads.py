"""Sweeps the rates of a new last layer on a frozen body in JAX, with all rates, seeds and roles in one loop.

The outputs of the body are inputs here. Losses and optimizers are Keras's, as in `benchmarks/suggestions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from keras_formulas import LOSSES, OPTIMIZERS

if TYPE_CHECKING:
    from data import Part
    from numpy.typing import NDArray

    Array = NDArray[Any]

NAMES = {"Adam": "Adam", "AdamW": "AdamW", "SGD": "Momentum"}
"""Optimizer of a task → key of `OPTIMIZERS`."""
EACH = LOSSES["SparseCategoricalCrossentropy"].each


class Lanes(NamedTuple):
    """Holds what differs between trainings, one row each.

    Args:
        kernel: Weights of the last layer before training, shape `(lanes, features, classes)`.
        bias: Biases before training, shape `(lanes, classes)`.
        chosen: Samples of each batch, shape `(lanes, steps, batch size)`.
        rates: Learning rate of each step, shape `(lanes, steps)`.
    """

    kernel: Array
    bias: Array
    chosen: Array
    rates: Array


def sweep(train: Part, validation: Part, lanes: Lanes, optimizer: str) -> Array:
    """Returns the validation loss after each training, shape `(lanes,)`.

    Args:
        train: Outputs of the body, shape `(samples, features)`, and classes.
        validation: The same of the validation samples.
        lanes: The trainings.
        optimizer: Key of `NAMES`.
    """
    x, y = jnp.asarray(train.x), jnp.asarray(train.y)
    make = OPTIMIZERS[NAMES[optimizer]].make

    def loss(weights: Any, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        return EACH(inputs @ weights["kernel"] + weights["bias"], targets).mean()

    def train_one(lane: Lanes) -> jax.Array:
        def step(carry: tuple[Any, Any], now: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            (weights, memory), (rate, rows) = carry, now
            slopes = jax.grad(loss)(weights, x[rows], y[rows])
            change, memory = make(rate).update(slopes, memory, weights)
            return (optax.apply_updates(weights, change), memory), None

        weights = {"kernel": lane.kernel, "bias": lane.bias}
        begin = (weights, make(jnp.zeros(())).init(weights))
        (after, _), _ = jax.lax.scan(step, begin, (lane.rates, lane.chosen))
        return loss(after, jnp.asarray(validation.x), jnp.asarray(validation.y))

    single = Lanes(
        *(jnp.asarray(one) for one in lanes[:2]), jnp.asarray(lanes.chosen), jnp.asarray(lanes.rates, "float32")
    )
    return np.asarray(jax.jit(jax.vmap(train_one))(single))
