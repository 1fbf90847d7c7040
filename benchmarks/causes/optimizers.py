"""Optimizers that Keras does not have, as people write them by hand."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["LARS", "Fromage"]


@keras.saving.register_keras_serializable("zoo")
class LARS(keras.optimizers.Optimizer):
    """Momentum whose step in each weight is a share of that weight's own length.

    Args:
        learning_rate: The rate.
        momentum: What the velocity keeps of itself.
        trust: Share of the length that a rate of 1 moves.
        name: Name of the optimizer.
        **kwargs: Options of all optimizers.

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
        """Makes a velocity for each weight."""
        if not self.built:
            super().build(variables)
            self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight; one that is all zeros moves by the rate itself."""
        length, slope = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, gradient))
        share = ops.where((length > 0) & (slope > 0), self.trust * length / (slope + 1e-9), 1.0)
        velocity = self.velocities[self._get_variable_index(variable)]
        rate = ops.cast(learning_rate, variable.dtype) * share
        self.assign(velocity, self.momentum * velocity + rate * gradient)
        self.assign_sub(variable, velocity)

    def get_config(self) -> dict[str, Any]:
        """Returns the settings."""
        return {**super().get_config(), "momentum": self.momentum, "trust": self.trust}


@keras.saving.register_keras_serializable("zoo")
class Fromage(keras.optimizers.Optimizer):
    """Turns each weight by an angle: a step as long as the rate times the weight, then back to its length.

    Args:
        learning_rate: The rate.
        name: Name of the optimizer.
        **kwargs: Options of all optimizers.

    References:
        Bernstein, Vahdat, Yue and Liu, "On the distance between two neural networks and the stability of learning",
        2020, algorithm 1.
    """

    def __init__(self, learning_rate: float = 0.01, *, name: str = "fromage", **kwargs: Any) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight; one that is all zeros moves by the rate itself."""
        length, slope = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, gradient))
        share = ops.where((length > 0) & (slope > 0), length / (slope + 1e-9), 1.0)
        rate = ops.cast(learning_rate, variable.dtype)
        self.assign(variable, (variable - rate * share * gradient) / ops.sqrt(1 + ops.square(rate)))
