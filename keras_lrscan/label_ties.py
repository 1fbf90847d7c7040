"""Whether the labels that `fit` was given can be foretold from the inputs, as far as a few hundred samples tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.dependence import measure_dependence
from keras_lrscan.label_facts import REGRESSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["MOST_SAMPLES", "labels_follow_inputs", "numbers_of"]

MOST_SAMPLES = 300
"""Samples that rules are fitted to."""

WORD_BUCKETS = 512
"""Columns that counts of word numbers are sorted into."""


def labels_follow_inputs(loss: str | None, inputs: Sequence[Array], labels: Array, *, are_words: bool) -> bool | None:
    """Returns whether simple rules foretell labels; `None` where that cannot be told.

    Args:
        loss: Keras's name of the loss.
        inputs: Arrays of shape `(n, ...)`.
        labels: Array of shape `(n, ...)`.
        are_words: Whether whole numbers among the inputs are numbers of words, whose size means nothing.

    Example:
    >>> x = np.random.default_rng(0).normal(size=(400, 4))
    >>> labels_follow_inputs("binary_crossentropy", [x], x[:, 0] > 0, are_words=False)
    True
    """
    name = loss or ""
    sparse = name.startswith("sparse_categorical")
    if not inputs or not (name in REGRESSIONS or "crossentropy" in name) or (sparse and labels.size != len(labels)):
        return None
    rows = slice(None, None, max(1, len(labels) // MOST_SAMPLES))
    table = [
        numbers_of(array[rows][:MOST_SAMPLES], are_words=are_words) for array in inputs if array.dtype.kind in "fiub"
    ]
    target = labels[rows][:MOST_SAMPLES]
    if not table or target.dtype.kind not in "fiub":
        return None
    columns = np.concatenate(table, axis=1)
    finite = np.isfinite(columns).all(1) & np.isfinite(target.reshape(len(target), -1).astype(float)).all(1)
    columns, target = columns[finite], target[finite]
    if len(target) < MOST_SAMPLES // 10 or np.ptp(target.astype(float)) == 0 or not np.ptp(columns, axis=0).any():
        return None
    return measure_dependence(columns, target, classes=sparse or "crossentropy" in name).depends


def numbers_of(array: Array, *, are_words: bool) -> Array:
    """Returns one row of numbers for each sample: of word numbers, how often each comes."""
    flat = array.reshape(len(array), -1)
    if not are_words or (flat != np.floor(flat)).any():
        return np.asarray(flat, float)
    counts = np.zeros((len(flat), WORD_BUCKETS))
    np.add.at(counts, (np.arange(len(flat))[:, None], flat.astype(np.int64) % WORD_BUCKETS), 1.0)
    return np.sqrt(counts)
