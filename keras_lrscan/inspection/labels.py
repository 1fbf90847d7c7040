"""Describes the labels of a single output: distribution, order, and labels outside the model's classes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.curves.loss_names import REGRESSION_LOSSES
from keras_lrscan.inspection.array_statistics import range_of, run_share, serial_correlation, thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["SUM_TOLERANCE", "label_facts"]

SUM_TOLERANCE = 1e-3
"""Class probabilities may sum to one within this."""


def label_facts(loss_name: str | None, labels: Array, width: int | None, ignored: int | None = None) -> dict[str, Any]:
    """Returns facts about labels, keyed by fields of `ScanContext`.

    Args:
        loss_name: Keras's name of the loss.
        labels: Array of shape `(n, ...)`, in the order of the data.
        width: Length of the last axis of the model's output, or `None` if it is unknown.
        ignored: Label that the loss ignores.

    Returns:
        The facts. Empty if the loss does not determine the kind of label.

    Example:
    >>> label_facts("sparse_categorical_crossentropy", np.array([0, 1, 1, 3]), 3)["bad_labels"]
    0.25
    >>> label_facts("mean_squared_error", np.array([2.0, 4.0]), 1)["target_mean"]
    3.0
    """
    if loss_name in REGRESSION_LOSSES:
        return _regression_facts(labels)
    reader = READERS.get(loss_name or "")
    if reader is None:
        return {}
    classes, is_class = reader(thinned(labels), width, ignored)
    good, are_several = classes[is_class], _are_several(loss_name or "", labels)
    bad = 1 - good.size / is_class.size if is_class.size else None
    return {
        "bad_labels": 0.0 if are_several and _are_indicators(labels) else bad,
        "majority_share": None if are_several else _largest_share(good),
        "multi_label_share": float(np.mean(labels.sum(axis=1) != 1)) if are_several else None,
        "label_runs": _runs(loss_name or "", labels),
    }


def _are_several(loss_name: str, labels: Array) -> bool:
    """Returns whether a sample can have several labels, as in a binary loss, or by rows of zeros and several ones."""
    if labels.ndim != 2 or labels.shape[1] == 1:
        return False
    if loss_name.startswith("binary"):
        return True
    return _are_indicators(labels) and bool((labels.sum(axis=1) > 1).any())


def _are_indicators(labels: Array) -> bool:
    return bool(((labels == 0) | (labels == 1)).all())


def _largest_share(classes: Array) -> float | None:
    """Returns the share of the most frequent class, or `None` without classes."""
    counts = np.unique(classes, return_counts=True)[1]
    return float(counts.max() / counts.sum()) if counts.size else None


def _regression_facts(labels: Array) -> dict[str, Any]:
    found = range_of(labels)
    if found is None:
        return {}
    return {
        "target_low": found.low,
        "target_high": found.high,
        "target_mean": found.mean,
        "target_std": found.std,
        "label_runs": serial_correlation(labels),
    }


def _runs(loss_name: str, labels: Array) -> float | None:
    """Returns how far the data are sorted by class, or `None` if a sample has several labels."""
    if labels.ndim == 2 and loss_name.startswith("categorical"):
        return run_share(labels)
    return run_share(labels.reshape(-1)) if labels.size == len(labels) else None


def _class_indices(labels: Array, width: int | None, ignored: int | None) -> tuple[Array, Array]:
    """Reads labels that are class indices."""
    sample = labels.reshape(-1)
    sample = sample if ignored is None else sample[sample != ignored]
    with np.errstate(invalid="ignore"):
        is_class = (sample >= 0) & (sample == np.floor(sample))
    return sample, is_class & (sample < width) if width is not None and width > 1 else is_class


def _distributions(labels: Array, width: int | None, ignored: int | None) -> tuple[Array, Array]:  # noqa: ARG001 - signature of `READERS`
    """Reads labels with one probability per class."""
    sample = labels.reshape(-1, labels.shape[-1] if labels.ndim > 1 else 1)
    if width is not None and sample.shape[1] != width:
        return sample.argmax(1), np.zeros(len(sample), bool)
    is_class = (np.abs(sample.sum(1, dtype=np.float64) - 1) <= SUM_TOLERANCE) & (sample >= 0).all(1)
    return sample.argmax(1), is_class


def _independent(labels: Array, width: int | None, ignored: int | None) -> tuple[Array, Array]:  # noqa: ARG001 - signature of `READERS`
    """Reads labels that are independent probabilities."""
    sample = labels.reshape(-1)
    return sample >= 0.5, (sample >= 0) & (sample <= 1)  # noqa: PLR2004 - one half


READERS: Mapping[str, Callable[[Array, int | None, int | None], tuple[Array, Array]]] = MappingProxyType(
    {
        "sparse_categorical_crossentropy": _class_indices,
        "categorical_crossentropy": _distributions,
        "categorical_focal_crossentropy": _distributions,
        "binary_crossentropy": _independent,
        "binary_focal_crossentropy": _independent,
    }
)
"""Loss → a function that returns the class of each label, and whether the model has that class."""
