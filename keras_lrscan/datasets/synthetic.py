"""Generates synthetic curves of known shapes, for tests, documentation and benchmarks.

A curve is a noise-free loss over log10(rate), plus normal noise. The losses are those of a classifier of ten classes,
so the chance level is ln 10.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve, StopReason
from keras_lrscan.errors import InvalidOptionError, unknown_option
from keras_lrscan.reading.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


__all__ = ["SYNTHETIC_LOSSES", "synthetic_curve"]

CHANCE = math.log(10)


def _step(x: Array, center: float, width: float) -> Array:
    """Returns a smooth step from 0 to 1."""
    return np.asarray(0.5 * (1 + np.tanh((x - center) / width)))


def _break(x: Array, onset: float, growth: float = 6.0) -> Array:
    """Returns a rise that starts at `onset` and quickly exceeds the range of a plot."""
    return np.asarray(growth * np.maximum(x - onset, 0.0) ** 2)


SYNTHETIC_LOSSES: Mapping[Shape, Callable[[Array], Array]] = MappingProxyType(
    {
        Shape.U_SHAPED: lambda x: CHANCE - 1.8 * _step(x, -2.5, 0.6) + _break(x, -1),
        Shape.MONOTONE_FROM_PRETRAINED: lambda x: 0.2 - 0.01 * _step(x, -3, 0.6) + _break(x, -1.5),
        Shape.FLAT_AT_CHANCE: lambda x: CHANCE + _break(x, -0.8),
        Shape.FLAT: lambda x: np.full_like(x, CHANCE),
        Shape.STILL_FALLING: lambda x: CHANCE - 1.9 * _step(x, -0.5, 0.8),
        Shape.DIVERGES_AT_ONCE: lambda x: CHANCE + _break(x, -7, 40.0),
        Shape.VALLEY_THEN_PLATEAU: lambda x: CHANCE - 1.8 * (_step(x, -3.5, 0.6) - _step(x, -1.5, 0.2)),
        Shape.SEVERAL_VALLEYS: lambda x: (
            CHANCE - 1.0 * np.exp(-((x + 3.5) ** 2) / 0.6) - 1.6 * np.exp(-((x + 1.2) ** 2) / 0.3) + _break(x, -0.4)
        ),
        Shape.FALLS_TO_CHANCE: lambda x: CHANCE * (3.0 - 2.0 * _step(x, -2.5, 0.6)),
        Shape.UPWARD_DRIFT: lambda x: 1.6 + 0.05 * (x + 7),
    }
)
"""Shape → its noise-free loss as a function of log10(rate), from -7 to 1."""


def synthetic_curve(
    shape: str, *, num_steps: int = 200, noise: float = 0.02, seed: int = 0, stop_above: float = 5.0
) -> LRCurve:
    """Returns a curve of a known shape over learning rates from 1e-7 to 10.

    Args:
        shape: A key of `SYNTHETIC_LOSSES`.
        num_steps: Integer. Number of points of the whole ramp.
        noise: Float. Standard deviation of one batch's loss.
        seed: Integer. Seed of the noise.
        stop_above: Float. The record ends at the first noise-free loss that exceeds the first loss by more than this.

    Raises:
        InvalidOptionError: If `shape` is unknown, `num_steps` is below 2, or `noise` is negative.

    Example:
    >>> curve = synthetic_curve("u-shaped", num_steps=100)
    >>> str(curve.stop), curve.context.num_classes
    ('diverged', 10)
    """
    if shape not in list(SYNTHETIC_LOSSES):
        raise unknown_option("shape", shape, SYNTHETIC_LOSSES)
    if num_steps < 2:
        msg = f"Argument `num_steps` must be at least 2. Received: num_steps={num_steps}."
        raise InvalidOptionError(msg)
    if noise < 0:
        msg = f"Argument `noise` must be >= 0. Received: noise={noise}."
        raise InvalidOptionError(msg)
    x = np.linspace(-7, 1, num_steps)
    loss = SYNTHETIC_LOSSES[Shape(shape)](x)
    above = np.flatnonzero(loss > loss[0] + stop_above)
    end = int(above[0]) + 1 if above.size else num_steps
    noisy = loss + noise * np.random.default_rng(seed).standard_normal(num_steps)
    return LRCurve(
        lr=10.0 ** x[:end],
        loss=noisy[:end],
        stop=StopReason.DIVERGED if above.size else StopReason.END_LR,
        context=ScanContext(
            start_lr=1e-7,
            end_lr=10.0,
            num_steps=num_steps,
            loss_name="sparse_categorical_crossentropy",
            num_classes=10,
        ),
    )
