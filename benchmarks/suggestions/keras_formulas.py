"""Implements Keras's losses and optimizers, with their formulas and defaults, from parts of optax.

The learning rate multiplies the gradient before the momentum, as in Keras. For a changing rate, the order matters.
Nadam equals Keras's except for its momentum schedule.
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
    """Describes a Keras loss.

    Args:
        each: (outputs, targets) → loss of each example, or of each position.
        constant: (targets) → loss of the best constant prediction.
        units: Number of outputs per target.
    """

    each: Callable[[jax.Array, jax.Array], jax.Array]
    constant: Callable[[Array], float]
    units: int = 1


def entropy(y: Array) -> float:
    """Returns the entropy of the label frequencies, in nats."""
    shares = np.unique(y, return_counts=True)[1] / y.size
    return float(-(shares * np.log(shares)).sum())


def binary_entropy(y: Array) -> float:
    """Returns the mean binary entropy over the columns of the targets, which are between 0 and 1."""
    p = np.clip(y.reshape(len(y), -1).mean(0, dtype=float), 1e-12, 1 - 1e-12)
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())


def huber_constant(y: Array) -> float:
    """Returns the smallest Huber loss of a constant prediction, averaged over the outputs."""

    def lowest(column: Array) -> float:
        def loss(level: float) -> float:
            error = np.abs(column - level)
            return float(np.where(error <= 1, error**2 / 2, error - 0.5).mean())

        return float(minimize_scalar(loss, bounds=(column.min(), column.max()), method="bounded").fun)

    return float(np.mean([lowest(column) for column in y.astype(float).T]))


def cosine_constant(y: Array) -> float:
    """Returns the negative norm of the mean of the normalized targets."""
    length = np.linalg.norm(y, axis=1, keepdims=True)
    return float(-np.linalg.norm((y / np.maximum(length, 1e-12)).mean(0)))


def normal_loss(outputs: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the negative log-likelihood of a normal distribution, without its constant.

    The outputs are the mean and the log variance.
    """
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
    """Describes a Keras optimizer with its defaults.

    Args:
        keras: Name of the Keras class.
        default: Keras's default learning rate.
        make: learning rate → gradient transformation.
        momentum: Keras's `momentum`.
        evaluated: (state of the optimizer, weights) → weights to evaluate.
    """

    keras: str
    default: float
    make: Callable[[jax.Array], optax.GradientTransformation]
    momentum: float = 0.0
    evaluated: Callable[[Any, Any], Any] = lambda _, weights: weights


EPSILON = 1e-7


def scaled(*parts: optax.GradientTransformation) -> Callable[[jax.Array], optax.GradientTransformation]:
    """Returns a function that creates an optimizer, which multiplies by the learning rate last."""
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
