"""Implements optimizers that Keras lacks, as users write them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["LARS", "Fromage"]


@keras.saving.register_keras_serializable("zoo")
class LARS(keras.optimizers.Optimizer):
    """Scales each weight's momentum update to a fraction of the weight's norm.

    Args:
        learning_rate: Learning rate.
        momentum: Decay of the velocity.
        trust: Fraction of a weight's norm that one update moves at a learning rate of 1.
        name: Name of the optimizer.
        **kwargs: Arguments of the base optimizer.

    References:
        You, Gitman and Ginsburg, "Large Batch Training of Convolutional Networks", 2017, algorithm 1.
    """

    def __init__(
        self,
        learning_rate: float = 1.0,
        momentum: float = 0.9,
        trust: float = 0.001,
        *,
        name: str = "lars",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum, self.trust = momentum, trust

    def build(self, variables: list[Any]) -> None:
        """Creates a velocity for each weight."""
        if not self.built:
            super().build(variables)
            self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight, without scaling if the weight or its gradient is zero."""
        length, slope = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, gradient))
        share = ops.where((length > 0) & (slope > 0), self.trust * length / (slope + 1e-9), 1.0)
        velocity = self.velocities[self._get_variable_index(variable)]
        rate = ops.cast(learning_rate, variable.dtype) * share
        self.assign(velocity, self.momentum * velocity + rate * gradient)
        self.assign_sub(variable, velocity)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "momentum": self.momentum, "trust": self.trust}


@keras.saving.register_keras_serializable("zoo")
class Fromage(keras.optimizers.Optimizer):
    """Moves each weight by the learning rate times its norm, then rescales it to rotate it.

    Args:
        learning_rate: Learning rate.
        name: Name of the optimizer.
        **kwargs: Arguments of the base optimizer.

    References:
        Bernstein, Vahdat, Yue and Liu, "On the distance between two neural networks and the stability of learning",
        2020, algorithm 1.
    """

    def __init__(self, learning_rate: float = 0.01, *, name: str = "fromage", **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight, without scaling if the weight or its gradient is zero."""
        length, slope = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, gradient))
        share = ops.where((length > 0) & (slope > 0), length / (slope + 1e-9), 1.0)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign(variable, (variable - rate * share * gradient) / ops.sqrt(1 + ops.square(rate)))
