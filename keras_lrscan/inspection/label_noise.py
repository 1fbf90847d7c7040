"""Finds labels that contradict the labels of all similar samples: `suspect_share`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.inspection.array_statistics import even_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["suspect_share"]

MAX_SAMPLES = 400
"""Most samples to compare with each other."""

MIN_SAMPLES = 100
"""Fewest samples whose neighbors tell anything."""

NEIGHBORS, AGREE = 5, 4
"""Number of nearest neighbors, and how many of them must share a label that contradicts the one of the sample."""


def suspect_share(inputs: Sequence[Array], classes: Array) -> float | None:
    """Returns the share of samples whose nearest neighbors agree on another label.

    Wrong labels raise this share, but so do classes that overlap: from the data alone, the two cannot be told apart if
    there are only two classes. A rare class raises it at most by its own share.

    Args:
        inputs: Arrays of shape `(n, ...)`.
        classes: Class of each sample. Array of shape `(n,)`.

    Returns:
        The share, or `None` if there are too few samples or the inputs are not numbers.

    References:
        Wilson (1972), "Asymptotic properties of nearest neighbor rules using edited data".

    Example:
    >>> x = np.linspace(0, 1, 200)[:, None]
    >>> labels = (x[:, 0] > 0.5).astype(int)
    >>> suspect_share([x], labels)
    0.0
    >>> labels[::10] = 1 - labels[::10]
    >>> round(suspect_share([x], labels), 1)
    0.1
    """
    if not inputs or any(array.dtype.kind not in "fiub" or len(array) != len(classes) for array in inputs):
        return None
    rows = even_rows(len(classes), MAX_SAMPLES)
    table = np.concatenate([np.asarray(array[rows].reshape(len(rows), -1), float) for array in inputs], axis=1)
    kept = np.isfinite(table).all(1)
    table, labels = table[kept], np.unique(classes[rows][kept], return_inverse=True)[1].reshape(-1)
    if len(table) < MIN_SAMPLES:
        return None
    spread = table.std(0)
    table = (table - table.mean(0))[:, spread > 0] / spread[spread > 0]
    squares = np.square(table).sum(1)
    distances = squares[:, None] + squares[None, :] - 2 * table @ table.T
    np.fill_diagonal(distances, np.inf)
    nearest = labels[np.argpartition(distances, NEIGHBORS, axis=1)[:, :NEIGHBORS]]
    votes = (nearest[:, :, None] == np.arange(labels.max() + 1)).sum(1)
    suspect = (votes.max(1) >= AGREE) & (votes.argmax(1) != labels)
    return float(suspect.mean())
