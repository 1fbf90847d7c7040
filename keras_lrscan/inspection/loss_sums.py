"""Detects whether a loss sums over samples or outputs, by evaluating it on doubled data.

A mean stays the same when the data are doubled. A sum doubles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.inspection.labels import SUM_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["NOTHING", "OUTPUTS", "SAMPLES", "adds_up"]

NOTHING, OUTPUTS, SAMPLES = "nothing", "outputs", "samples"

MAX_ROWS = 64
"""Samples that the loss is evaluated on."""

SUM_GROWTH = 1.9
"""Growth at which a loss counts as a sum. Weights and clipping inside a loss can keep the growth below 2."""

MAX_SUM_GROWTH = 2.1
"""Growth up to which a loss counts as a sum. CTC, which aligns the outputs with a sequence of labels, grows by more."""

MEAN_GROWTH = 1.1
"""Growth up to which a loss counts as a mean."""


def adds_up(loss: Callable[[Array, Array], Array], labels: Array, predicted: Array) -> str | None:
    """Returns whether `loss` sums over `"samples"`, over `"outputs"` of a sample, or over `"nothing"`.

    Args:
        loss: A function of labels and predictions. Returns a scalar, or one number per sample.
        labels: Array of shape `(n, ...)`. Class indices have shape `(n, places)` where a sample has several places.
        predicted: Predictions that are not all correct. Array of shape `(n, ...)`.

    Returns:
        One of these three strings, or `None` if the loss behaves neither as a sum nor as a mean.

    Example:
    >>> y, p = np.ones((8, 3)), np.zeros((8, 3))
    >>> [adds_up(loss, y, p) for loss in (lambda a, b: ((a - b) ** 2).sum(), lambda a, b: ((a - b) ** 2).sum(-1))]
    ['samples', 'outputs']
    >>> adds_up(lambda a, b: ((a - b) ** 2).mean(), y, p)
    'nothing'
    """
    half = min(MAX_ROWS, len(labels)) // 2
    truth, predictions = labels[: 2 * half], predicted[: 2 * half]
    if not half:
        return None
    whole = loss(truth, predictions)
    growth = 1.0
    if not whole.ndim:
        parts = float(loss(truth[:half], predictions[:half])), float(loss(truth[half:], predictions[half:]))
        growth = _growth(sum(parts) / 2, float(whole))
    if SUM_GROWTH <= growth <= MAX_SUM_GROWTH:
        return SAMPLES
    if growth > MEAN_GROWTH or not np.isfinite(growth):
        return None
    axis = _output_axis(truth, predictions)
    if axis is not None:
        doubled = [np.concatenate([array, array], axis=axis) for array in (truth, predictions)]
        growth = _growth(float(whole.mean()), float(loss(*doubled).mean()))
    if SUM_GROWTH <= growth <= MAX_SUM_GROWTH:
        return OUTPUTS
    return NOTHING if growth <= MEAN_GROWTH else None


def _output_axis(truth: Array, predictions: Array) -> int | None:
    """Returns the axis along which a sample has several outputs, or `None`.

    For real-valued targets this is the last axis, for class indices the axis of the places. Targets that sum to one
    are class probabilities, which cannot be doubled.
    """
    if truth.ndim > 1 and truth.shape == predictions.shape and not _sums_to_one(truth):
        return -1
    has_places = truth.ndim > 1 and predictions.ndim == 3 and truth.shape[1] == predictions.shape[1]
    return 1 if has_places else None


def _sums_to_one(truth: Array) -> bool:
    return bool(np.allclose(truth.sum(-1), 1.0, atol=SUM_TOLERANCE))


def _growth(before: float, after: float) -> float:
    return after / before if before else float("nan")
