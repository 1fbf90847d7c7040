"""Builds constant predictions to evaluate a loss on, and a small sample of labels that represents all of them.

The best constant prediction defines the chance level. For classes it is the class frequencies, for real-valued targets
the mean, the median or a similar statistic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.inspection.array_statistics import even_rows
from keras_lrscan.inspection.labels import SUM_TOLERANCE
from keras_lrscan.inspection.targets import UnknownTargetError, loss_function_name, loss_setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.inspection.targets import Target

    Array = NDArray[Any]

__all__ = ["are_codes", "are_distributions", "of_codes", "of_targets"]

MAX_ROWS = 2000
"""Samples that the loss is evaluated on."""

MAX_NUMBERS = 500_000
"""Numbers in the predictions for those samples. Larger outputs get fewer samples, but at least `MIN_ROWS`."""

MIN_ROWS = 64

MAX_COUNTED = 1_000_000
"""Labels that are counted. Of more labels, this many are drawn from evenly spaced strata."""

EPSILON = 1e-7
"""Lowest probability that is converted to a logit, and lowest length that is divided by. Keras's own epsilon."""


def are_codes(labels: Array, shape: tuple[int | None, ...]) -> bool:
    """Returns whether `labels` are class indices for an output of this shape, which has one number per class."""
    classes, inner = shape[-1], len(shape) - 2
    if classes is None or classes <= 1 or not (labels.ndim - 1 == inner or labels.shape[1 + inner :] == (1,)):
        return False
    if labels.ndim == len(shape) and labels.shape[-1] == classes:
        return False
    whole = labels.dtype.kind in "iub" or bool((labels == np.floor(labels)).all())
    return whole and int(labels.min()) >= 0 and int(labels.max()) < classes


def are_distributions(labels: Array) -> bool:
    """Returns whether `labels` are zeros and ones, or sum to one over the classes."""
    sums = labels.sum(-1)
    return bool(np.isin(labels, (0, 1)).all() or (labels.shape[-1] > 1 and np.allclose(sums, 1.0, atol=SUM_TOLERANCE)))


def of_codes(target: Target) -> tuple[Array, None, list[Array], float]:
    """Returns a sample of class indices and the constant predictions for them.

    The sample holds each class as often as its share of all labels, weights included, so a mean over the sample
    approximates the mean over all labels.

    Args:
        target: An output with class indices as labels.

    Returns:
        The sample, no weights, the constants, and the factor to multiply a loss on the sample by: the mean weight, or 1
        for a loss that divides by the weights itself.

    Raises:
        UnknownTargetError: If all labels belong to one class.
    """
    classes = int(target.shape[-1] or 0)
    labels = target.labels.reshape(len(target.labels), -1).astype(np.int64)
    weights = None if target.weights is None else np.repeat(target.weights, labels.shape[1])
    flat, weights = _thinned(labels.reshape(-1), weights)
    counts = np.bincount(flat, weights, minlength=classes)
    if np.count_nonzero(counts) <= 1:
        msg = "they all belong to one class"
        raise UnknownTargetError(msg)
    num = min(MAX_ROWS, max(MIN_ROWS, MAX_NUMBERS // classes), flat.size)
    order = np.argsort(counts, kind="stable")
    places = (np.arange(num) + 0.5) / num * counts.sum()
    picked = order[np.searchsorted(np.cumsum(counts[order]), places, side="right")]
    prior = counts / counts.sum()
    constants = [prior] if target.has_closed_form else [prior, np.full(classes, 1 / classes)]
    if target.logits:
        constants = [np.log(np.maximum(constant, EPSILON)) for constant in constants]
    ones = (1,) * (target.labels.ndim - 1)
    scale = 1.0 if weights is None or target.loss.reduction == "mean_with_sample_weight" else float(weights.mean())
    inner = (1,) * (len(target.shape) - 2)
    sample = picked.reshape(num, *ones).astype(target.labels.dtype)
    return sample, None, [constant.reshape(1, *inner, classes) for constant in constants], scale


def of_targets(target: Target) -> tuple[Array, Array | None, list[Array]]:
    """Returns a sample of labels that are not class indices, their weights, and the constant predictions for them.

    Raises:
        UnknownTargetError: If the shape of the labels does not match the output, if all labels are equal, or if a
            label is not finite.
    """
    labels = target.labels
    labels = labels[:, None] if labels.ndim == 1 and not target.shape[1:-1] else labels
    if labels.ndim != len(target.shape):
        msg = f"their shape {labels.shape} does not match the output shape {target.shape}"
        raise UnknownTargetError(msg)
    num = min(MAX_ROWS, max(MIN_ROWS, MAX_NUMBERS // max(1, labels[0].size)))
    rows = even_rows(len(labels), num)
    labels = labels[rows].astype(float)
    weights = None if target.weights is None else target.weights[rows]
    if not np.isfinite(labels).all() or (labels == labels[:1]).all():
        msg = "they are all equal, or some are not finite"
        raise UnknownTargetError(msg)
    shared = labels[0].ndim > 1 and labels.shape[-1] > 1 and are_distributions(labels)
    axes = tuple(range(labels.ndim - 1)) if shared else (0,)
    spread = None if weights is None else np.broadcast_to(weights.reshape(-1, *(1,) * (labels.ndim - 1)), labels.shape)
    mean = _smoothed(np.average(labels, axis=axes, weights=spread), target)
    length = np.linalg.norm(labels, axis=-1, keepdims=True)
    direction = np.mean(labels / np.maximum(length, EPSILON), axis=axes)
    constants = [mean, np.median(labels, axis=axes), direction, np.zeros_like(mean)]
    if mean.min() >= 0 and mean.max() <= 1:
        constants += _probabilities(mean, logits=target.logits)
    elif mean.size == 1:
        constants += [labels.min(keepdims=True).reshape(mean.shape), labels.max(keepdims=True).reshape(mean.shape)]
    inner = (1,) * (labels.ndim - mean.ndim)
    return labels, weights, [constant.reshape(*inner, *mean.shape) for constant in constants]


def _thinned(labels: Array, weights: Array | None) -> tuple[Array, Array | None]:
    if labels.size <= MAX_COUNTED:
        return labels, weights
    rows = even_rows(labels.size, MAX_COUNTED)
    return labels[rows], None if weights is None else weights[rows]


def _smoothed(mean: Array, target: Target) -> Array:
    """Applies the label smoothing of the loss to the mean: towards all classes equally, or towards one half."""
    share = loss_setting(target.loss, "label_smoothing") or 0.0
    classes = 2 if "binary" in loss_function_name(target.loss) else mean.shape[-1]
    return (1 - share) * mean + share / classes


def _probabilities(mean: Array, *, logits: bool) -> list[Array]:
    """Returns further constants for labels that may be probabilities, of exclusive or of independent classes."""
    if not logits:
        return [np.full_like(mean, 1 / max(2, mean.shape[-1])), np.full_like(mean, 0.5)]
    clipped = np.clip(mean, EPSILON, 1 - EPSILON)
    return [np.log(clipped), np.log(clipped / (1 - clipped))]
