"""Predictions that look at no input, of which the best is guessing, and the labels to try them on.

Of classes they are the shares of the classes, of amounts the mean, the median and the like. Of many labels a few stand
for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.inspection.arrays import even_rows
from keras_lrscan.inspection.targets import UnknownTargetError, loss_function_name, loss_setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from keras_lrscan.inspection.targets import Target

    Array = NDArray[Any]

__all__ = ["NOTHING", "OUTPUTS", "SAMPLES", "adds_up", "are_codes", "are_distributions", "of_codes", "of_targets"]

MAX_ROWS = 2000
"""Samples on which the loss is evaluated."""
MAX_NUMBERS = 500_000
"""Numbers in the predictions made for that; what is large gets fewer samples, but `MIN_ROWS`."""
MIN_ROWS = 64
MAX_COUNTED = 1_000_000
"""Labels that are counted; of more, as many are taken at even distances, with a random place in each."""
FLOOR = 1e-7
"""Least probability of a class in logits, Keras's own."""


def are_codes(labels: Array, shape: tuple[int | None, ...]) -> bool:
    """Whether labels are numbers of classes, for outputs with one number for each class."""
    classes, inner = shape[-1], len(shape) - 2
    if classes is None or classes <= 1 or not (labels.ndim - 1 == inner or labels.shape[1 + inner :] == (1,)):
        return False
    if labels.ndim == len(shape) and labels.shape[-1] == classes:
        return False
    whole = labels.dtype.kind in "iub" or bool((labels == np.floor(labels)).all())
    return whole and int(labels.min()) >= 0 and int(labels.max()) < classes


def are_distributions(labels: Array) -> bool:
    """Whether labels are ones and zeros, or sum to one over the classes."""
    sums = labels.sum(-1)
    return bool(np.isin(labels, (0, 1)).all() or (labels.shape[-1] > 1 and np.allclose(sums, 1.0, atol=1e-3)))


def of_codes(target: Target) -> tuple[Array, None, list[Array], float]:
    """Returns labels that stand for all, no weights, the constants, and the mean weight.

    A label stands for its share of all labels, in order of how common it is, so that few of them give the mean.
    """
    classes = int(target.shape[-1] or 0)
    labels = target.labels.reshape(len(target.labels), -1).astype(np.int64)
    weights = None if target.weights is None else np.repeat(target.weights, labels.shape[1])
    flat, weights = _thinned(labels.reshape(-1), weights)
    counts = np.bincount(flat, weights, minlength=classes)
    if np.count_nonzero(counts) <= 1:
        msg = "they are all of one class"
        raise UnknownTargetError(msg)
    num = min(MAX_ROWS, max(MIN_ROWS, MAX_NUMBERS // classes), flat.size)
    order = np.argsort(counts, kind="stable")
    places = (np.arange(num) + 0.5) / num * counts.sum()
    picked = order[np.searchsorted(np.cumsum(counts[order]), places, side="right")]
    prior = counts / counts.sum()
    constants = [prior] if target.has_closed_form else [prior, np.full(classes, 1 / classes)]
    if target.logits:
        constants = [np.log(np.maximum(constant, FLOOR)) for constant in constants]
    ones = (1,) * (target.labels.ndim - 1)
    scale = 1.0 if weights is None or target.loss.reduction == "mean_with_sample_weight" else float(weights.mean())
    inner = (1,) * (len(target.shape) - 2)
    kept = picked.reshape(num, *ones).astype(target.labels.dtype)
    return kept, None, [constant.reshape(1, *inner, classes) for constant in constants], scale


def _thinned(labels: Array, weights: Array | None) -> tuple[Array, Array | None]:
    if labels.size <= MAX_COUNTED:
        return labels, weights
    kept = even_rows(labels.size, MAX_COUNTED)
    return labels[kept], None if weights is None else weights[kept]


def of_targets(target: Target) -> tuple[Array, Array | None, list[Array]]:
    """Returns a sample of the labels, its weights, and the constants."""
    labels = target.labels
    labels = labels[:, None] if labels.ndim == 1 and not target.shape[1:-1] else labels
    if labels.ndim != len(target.shape):
        msg = f"their shape {labels.shape} does not go with that of the output, {target.shape}"
        raise UnknownTargetError(msg)
    num = min(MAX_ROWS, max(MIN_ROWS, MAX_NUMBERS // max(1, labels[0].size)))
    rows = even_rows(len(labels), num)
    labels = labels[rows].astype(float)
    weights = None if target.weights is None else target.weights[rows]
    if not np.isfinite(labels).all() or (labels == labels[:1]).all():
        msg = "they are all alike, or some are not finite"
        raise UnknownTargetError(msg)
    shared = labels[0].ndim > 1 and labels.shape[-1] > 1 and are_distributions(labels)
    axes = tuple(range(labels.ndim - 1)) if shared else (0,)
    spread = None if weights is None else np.broadcast_to(weights.reshape(-1, *(1,) * (labels.ndim - 1)), labels.shape)
    mean = _smoothed(np.average(labels, axis=axes, weights=spread), target)
    length = np.linalg.norm(labels, axis=-1, keepdims=True)
    direction = np.mean(labels / np.maximum(length, FLOOR), axis=axes)
    constants = [mean, np.median(labels, axis=axes), direction, np.zeros_like(mean)]
    if mean.min() >= 0 and mean.max() <= 1:
        constants += _probabilities(mean, logits=target.logits)
    elif mean.size == 1:
        constants += [labels.min(keepdims=True).reshape(mean.shape), labels.max(keepdims=True).reshape(mean.shape)]
    inner = (1,) * (labels.ndim - mean.ndim)
    return labels, weights, [constant.reshape(*inner, *mean.shape) for constant in constants]


def _smoothed(mean: Array, target: Target) -> Array:
    """Returns the mean of the labels as the loss smooths them: towards all classes alike, or towards one half."""
    share = loss_setting(target.loss, "label_smoothing") or 0.0
    classes = 2 if "binary" in loss_function_name(target.loss) else mean.shape[-1]
    return (1 - share) * mean + share / classes


def _probabilities(mean: Array, *, logits: bool) -> list[Array]:
    """Constants for a loss that takes the labels for probabilities, of one class each or of all together."""
    if not logits:
        return [np.full_like(mean, 1 / max(2, mean.shape[-1])), np.full_like(mean, 0.5)]
    kept = np.clip(mean, FLOOR, 1 - FLOOR)
    return [np.log(kept), np.log(kept / (1 - kept))]


NOTHING, OUTPUTS, SAMPLES = "nothing", "outputs", "samples"
MAX_SUMMED_ROWS = 64
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
    half = min(MAX_SUMMED_ROWS, len(labels)) // 2
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
    has_places = truth.ndim > 1 and said.ndim == 3 and truth.shape[1] == said.shape[1]
    return 1 if has_places else None


def _growth(before: float, after: float) -> float:
    return after / before if before else float("nan")
