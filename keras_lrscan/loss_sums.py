"""What a loss adds up: the samples of a batch, the outputs of a sample, or nothing, found by giving it twice as much.

The mean of two halves is the mean of the whole; a sum over the whole is twice as large. So it is with the outputs of a
sample and the same outputs twice over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["NOTHING", "OUTPUTS", "SAMPLES", "adds_up"]

NOTHING, OUTPUTS, SAMPLES = "nothing", "outputs", "samples"
MAX_ROWS = 64
"""Samples that the loss is asked about."""
DOUBLE = 1.9
"""A loss that grows by this much is a sum; what is weighted or cut off on the way keeps it from being 2."""
SAME = 1.1
OFF_ONE = 1e-3
"""Targets of a sample that add up to one, as near as this, are shares of classes: to double them makes no sense."""


def adds_up(loss: Callable[[Array, Array], Array], labels: Array, predicted: Array) -> str | None:
    """Returns `"samples"`, `"outputs"` or `"nothing"`; `None` where that cannot be told.

    Args:
        loss: Takes labels and predictions; returns one number, or one for each sample.
        labels: Array of shape `(n, ...)`; of numbers of classes `(n, places)`, where there are several places.
        predicted: Predictions that are not all right. Array of shape `(n, ...)`.

    Example:
    >>> y, p = np.ones((8, 3)), np.zeros((8, 3))
    >>> [adds_up(loss, y, p) for loss in (lambda a, b: ((a - b) ** 2).sum(), lambda a, b: ((a - b) ** 2).sum(-1))]
    ['samples', 'outputs']
    >>> adds_up(lambda a, b: ((a - b) ** 2).mean(), y, p)
    'nothing'
    """
    half = min(MAX_ROWS, len(labels)) // 2
    truth, said = labels[: 2 * half], predicted[: 2 * half]
    if not half:
        return None
    whole = loss(truth, said)
    growth = 1.0
    if not whole.ndim:
        parts = float(loss(truth[:half], said[:half])), float(loss(truth[half:], said[half:]))
        growth = _growth(sum(parts) / 2, float(whole))
    if growth >= DOUBLE:
        return SAMPLES
    if growth > SAME or not np.isfinite(growth):
        return None
    axis = _axis_of_outputs(truth, said)
    if axis is not None:
        twice = loss(np.concatenate([truth, truth], axis=axis), np.concatenate([said, said], axis=axis))
        growth = _growth(float(whole.mean()), float(twice.mean()))
    return OUTPUTS if growth >= DOUBLE else (NOTHING if growth <= SAME else None)


def _axis_of_outputs(truth: Array, said: Array) -> int | None:
    """Returns the axis along which a sample has several outputs: of amounts the last, of classes that of the places."""
    if truth.ndim > 1 and truth.shape == said.shape and not np.allclose(truth.sum(-1), 1.0, atol=OFF_ONE):
        return -1
    has_places = truth.ndim > 1 and said.ndim == 3 and truth.shape[1] == said.shape[1]  # noqa: PLR2004 - the classes last
    return 1 if has_places else None


def _growth(before: float, after: float) -> float:
    return after / before if before else float("nan")
