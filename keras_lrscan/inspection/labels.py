"""What the labels of a single output tell: how they are spread and ordered, and whether the model has such classes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.inspection.arrays import range_of, run_share, serial_correlation, thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["label_facts"]

OFF_ONE = 1e-3
"""Rows of probabilities may be this far off one."""

REGRESSIONS = frozenset(
    {
        "huber",
        "log_cosh",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_error",
        "mean_squared_logarithmic_error",
        "poisson",
    }
)
"""Losses of Keras between amounts."""


def label_facts(loss_name: str | None, labels: Array, width: int | None, ignored: int | None = None) -> dict[str, Any]:
    """Returns what labels tell, by fields of the context; empty where the loss does not say what they are.

    Args:
        loss_name: Keras's name of the loss.
        labels: Array of shape `(n, ...)`, in the order of the data.
        width: Length of the last axis of the model's output, `None` where it is not known.
        ignored: A label that the loss leaves out.

    Example:
    >>> label_facts("sparse_categorical_crossentropy", np.array([0, 1, 1, 3]), 3)["bad_labels"]
    0.25
    >>> label_facts("mean_squared_error", np.array([2.0, 4.0]), 1)["target_mean"]
    3.0
    """
    if loss_name in REGRESSIONS:
        return _of_amounts(labels)
    reader = READERS.get(loss_name or "")
    if reader is None:
        return {}
    classes, is_class = reader(thinned(labels), width, ignored)
    good = classes[is_class]
    counts = np.unique(good, return_counts=True)[1]
    return {
        "bad_labels": 1 - good.size / is_class.size if is_class.size else None,
        "majority_share": float(counts.max() / counts.sum()) if counts.size else None,
        "label_runs": _runs(loss_name or "", labels),
    }


def _of_amounts(labels: Array) -> dict[str, Any]:
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
    """How far the data are sorted by class; `None` where a sample has more than one."""
    if labels.ndim == 2 and loss_name.startswith("categorical"):
        return run_share(labels)
    return run_share(labels.reshape(-1)) if labels.size == len(labels) else None


def _numbered(labels: Array, width: int | None, ignored: int | None) -> tuple[Array, Array]:
    """Labels that are numbers of classes."""
    sample = labels.reshape(-1)
    sample = sample if ignored is None else sample[sample != ignored]
    with np.errstate(invalid="ignore"):
        is_class = (sample >= 0) & (sample == np.floor(sample))
    return sample, is_class & (sample < width) if width is not None and width > 1 else is_class


def _one_hot(labels: Array, width: int | None, ignored: int | None) -> tuple[Array, Array]:  # noqa: ARG001 - one form
    """Labels that are a probability for each class."""
    sample = labels.reshape(-1, labels.shape[-1] if labels.ndim > 1 else 1)
    if width is not None and sample.shape[1] != width:
        return sample.argmax(1), np.zeros(len(sample), bool)
    is_class = (np.abs(sample.sum(1, dtype=np.float64) - 1) <= OFF_ONE) & (sample >= 0).all(1)
    return sample.argmax(1), is_class


def _yes_or_no(labels: Array, width: int | None, ignored: int | None) -> tuple[Array, Array]:  # noqa: ARG001 - one form
    """Labels that are probabilities, each by itself."""
    sample = labels.reshape(-1)
    return sample >= 0.5, (sample >= 0) & (sample <= 1)  # noqa: PLR2004 - one half


READERS: Mapping[str, Callable[[Array, int | None, int | None], tuple[Array, Array]]] = MappingProxyType(
    {
        "sparse_categorical_crossentropy": _numbered,
        "categorical_crossentropy": _one_hot,
        "categorical_focal_crossentropy": _one_hot,
        "binary_crossentropy": _yes_or_no,
        "binary_focal_crossentropy": _yes_or_no,
    }
)
"""Loss → what reads the classes off its labels, and whether there are such classes."""
