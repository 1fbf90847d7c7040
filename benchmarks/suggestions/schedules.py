"""Computes the rates and the batches of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

WARM_UP, START_FACTOR, END_FACTOR = 0.25, 1 / 25, 1e-5
"""fastai's one-cycle: from peak / 25 up to the peak in a quarter of the steps, then down to peak / 1e5, by cosines."""


def one_cycle(steps: int) -> Array:
    """Returns the rate of each step as a fraction of the peak."""
    up = round(WARM_UP * steps)

    def cosine(first: float, last: float, count: int) -> Array:
        return last + (first - last) * (1 + np.cos(np.pi * np.arange(count) / count)) / 2

    return np.append(cosine(START_FACTOR, 1.0, up), cosine(1.0, END_FACTOR, steps - up))


def batches(count: int, size: int, steps: int, seed: int) -> Array:
    """Returns the example indices of each batch, shuffled every epoch and without a smaller last batch."""
    rng = np.random.default_rng(seed)
    size = min(size, count)
    whole = count // size * size
    epochs = -(-steps * size // whole)
    order = [rng.permutation(count)[:whole] for _ in range(epochs)]
    return np.concatenate(order)[: steps * size].reshape(steps, size).astype(np.int32)
