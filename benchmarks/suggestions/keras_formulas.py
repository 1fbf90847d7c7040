"""Losses and optimizers by Keras's formulas and with its defaults, from optax's parts.

The rate multiplies the gradient before the momentum, as in Keras: with a rate that changes, that is not the same as
after it. Nadam is Keras's up to its schedule of the momentum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.optimize import minimize_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Loss(NamedTuple):
    """A loss of Keras.

    Args:
        each: (outputs, targets) → loss of each example, or of each place.
        constant: (targets) → loss of the best constant prediction.
        units: Outputs for each target.
    """

    each: Callable[[jax.Array, jax.Array], jax.Array]
    constant: Callable[[Array], float]
    units: int = 1


def entropy(y: Array) -> float:
    """Returns the entropy of the label frequencies, in nats."""
    shares = np.unique(y, return_counts=True)[1] / y.size
    return float(-(shares * np.log(shares)).sum())


def binary_entropy(y: Array) -> float:
    """Returns the mean entropy of the outputs, whose targets are 0 and 1 or in between."""
    p = np.clip(y.reshape(len(y), -1).mean(0, dtype=float), 1e-12, 1 - 1e-12)
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())


def huber_constant(y: Array) -> float:
    """Returns the mean over outputs of the smallest Huber loss of a constant."""

    def lowest(column: Array) -> float:
        def loss(level: float) -> float:
            error = np.abs(column - level)
            return float(np.where(error <= 1, error**2 / 2, error - 0.5).mean())

        return float(minimize_scalar(loss, bounds=(column.min(), column.max()), method="bounded").fun)

    return float(np.mean([lowest(column) for column in y.astype(float).T]))


def cosine_constant(y: Array) -> float:
    """Returns minus the length of the mean of the targets' directions."""
    length = np.linalg.norm(y, axis=1, keepdims=True)
    return float(-np.linalg.norm((y / np.maximum(length, 1e-12)).mean(0)))


def normal_loss(outputs: jax.Array, y: jax.Array) -> jax.Array:
    """Returns minus the log density of a normal distribution, without its constant: outputs are mean, log variance."""
    mean, log_variance = jnp.split(outputs, 2, axis=-1)
    return (0.5 * (log_variance + (y - mean) ** 2 * jnp.exp(-log_variance))).mean(-1)


def binary_loss(outputs: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the binary cross-entropy of logits."""
    targets = y.reshape(outputs.shape).astype(outputs.dtype)
    return optax.sigmoid_binary_cross_entropy(outputs, targets).mean(-1)


LOSSES = {
    "SparseCategoricalCrossentropy": Loss(optax.softmax_cross_entropy_with_integer_labels, entropy),
    "BinaryCrossentropy": Loss(binary_loss, binary_entropy),
    "MeanSquaredError": Loss(lambda out, y: ((out - y) ** 2).mean(-1), lambda y: float(y.var(0, dtype=float).mean())),
    "MeanAbsoluteError": Loss(
        lambda out, y: jnp.abs(out - y).mean(-1), lambda y: float(np.abs(y - np.median(y, 0)).mean(dtype=float))
    ),
    "Huber": Loss(lambda out, y: optax.huber_loss(out, y).mean(-1), huber_constant),
    "CosineSimilarity": Loss(lambda out, y: -optax.cosine_similarity(out, y, epsilon=1e-12), cosine_constant),
    "GaussianNLL": Loss(normal_loss, lambda y: float((0.5 * (np.log(y.var(0, dtype=float)) + 1)).mean()), units=2),
}


class Optimizer(NamedTuple):
    """An optimizer of Keras with its defaults.

    Args:
        keras: Name of the class.
        default: Keras's default rate.
        make: rate → transformation of gradients.
        momentum: Keras's `momentum`.
    """

    keras: str
    default: float
    make: Callable[[jax.Array], optax.GradientTransformation]
    momentum: float = 0.0


EPSILON = 1e-7


def scaled(*parts: optax.GradientTransformation) -> Callable[[jax.Array], optax.GradientTransformation]:
    """Returns a maker of an optimizer that multiplies by the rate last."""
    return lambda rate: optax.chain(*parts, optax.scale(-rate))


OPTIMIZERS = {
    "SGD": Optimizer("SGD", 1e-2, scaled()),
    "Momentum": Optimizer("SGD", 1e-2, lambda rate: optax.chain(optax.scale(-rate), optax.trace(0.9)), 0.9),
    "Adam": Optimizer("Adam", 1e-3, scaled(optax.scale_by_adam(eps=EPSILON))),
    "AdamW": Optimizer("AdamW", 1e-3, scaled(optax.scale_by_adam(eps=EPSILON), optax.add_decayed_weights(0.004))),
    "RMSprop": Optimizer("RMSprop", 1e-3, scaled(optax.scale_by_rms(0.9, eps=EPSILON, eps_in_sqrt=True))),
    "Nadam": Optimizer("Nadam", 1e-3, scaled(optax.scale_by_adam(eps=EPSILON, nesterov=True))),
    "Lion": Optimizer("Lion", 1e-3, scaled(optax.scale_by_lion(0.9, 0.99))),
    "Adagrad": Optimizer("Adagrad", 1e-3, scaled(optax.scale_by_rss(0.1, EPSILON))),
}
