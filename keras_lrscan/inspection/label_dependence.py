"""Whether labels can be told from inputs at all: a small kernel ridge regression against itself on shuffled labels.

Where even the best of several simple rules does no better on the real labels than on shuffled ones, inputs and labels
do not belong together, or what ties them is too involved for a rule that simple.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.inspection.labels import REGRESSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


__all__ = ["MAX_SAMPLES", "MIN_SAMPLES", "Dependence", "labels_follow_inputs", "measure_dependence", "numbers_of"]

MIN_SAMPLES = 100
"""With fewer samples, that no rule was found says nothing."""

MAX_COLUMNS = 2048
"""Columns of the inputs; of more, neighbors are averaged."""

MAX_TARGETS = 64
"""Numbers of a target that are looked at."""

NUM_SHUFFLES = 49
"""Copies with shuffled labels; chance beats all of them once in fifty times, but hardly ever clearly."""

CLEAR = 1.5
"""A rule must foretell this many times what the luckiest of the shuffled copies does, or one in fifty is wrong."""

PENALTIES = (1e-3, 3e-2, 1.0)
"""Ridge penalties that are tried, as shares of the largest eigenvalue of the kernel."""


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """How well simple rules tell labels from inputs, each sample foretold by a rule that has not seen it.

    Attributes:
        num_samples: Samples looked at.
        explained: Share of the variance of the labels that the best rule foretells; at or below 0 for none.
        by_luck: The most that the same rules get on labels that were shuffled, of 49 tries.
        typical_luck: What nineteen of twenty of those tries stay below.
        accuracy: Share of samples whose class the best rule names; `None` where the labels are no classes.
        majority: Share of the most frequent class; `None` where the labels are no classes.
    """

    num_samples: int
    explained: float
    by_luck: float
    typical_luck: float
    accuracy: float | None
    majority: float | None

    @property
    def depends(self) -> bool | None:
        """Whether labels hang on inputs; `None` where that cannot be told."""
        if self.explained > CLEAR * max(self.by_luck, 0.0):
            return True
        return False if self.num_samples >= MIN_SAMPLES and self.explained <= self.typical_luck else None


def measure_dependence(inputs: NDArray[Any], labels: NDArray[Any], *, classes: bool, seed: int = 0) -> Dependence:
    """Fits ridge regressions with a linear and with a Gaussian kernel, and foretells each sample without it.

    The residual of a sample that a ridge regression has not seen is ``(t - f) / (1 - h)``, with its fit ``f`` and the
    diagonal ``h`` of the hat matrix, so no rule is fitted twice.

    Args:
        inputs: Finite numbers. Array of shape `(n, ...)`.
        labels: Numbers of classes, of shape `(n,)`; or targets of any shape `(n, ...)`.
        classes: Whether the labels are numbers of classes, or one column for each class.
        seed: Seed of the shuffles.

    References:
        Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter", 1979.

    Example:
    >>> random = np.random.default_rng(0)
    >>> x = random.normal(size=(200, 5))
    >>> measure_dependence(x, (x[:, 0] > 0).astype(int), classes=True).depends
    True
    >>> measure_dependence(x, random.integers(0, 2, 200), classes=True).depends
    False
    """
    columns = _columns(np.asarray(inputs, float).reshape(len(inputs), -1))
    given = _numbers(np.asarray(labels), classes=classes)
    targets = given - given.mean(0)
    random = np.random.default_rng(seed)
    orders = [np.arange(len(targets)), *(random.permutation(len(targets)) for _ in range(NUM_SHUFFLES))]
    copies = np.stack([targets[order] for order in orders])
    unseen = _score(np.zeros_like(copies), 1 / len(targets), copies)[0][0]
    best, kept = np.full(len(copies), -np.inf), targets * 0.0
    for fit, own in _hats(columns):
        explained, foretold = _score(fit @ copies, own, copies)
        explained = 1 - explained / unseen
        kept = foretold if explained[0] > best[0] else kept
        best = np.maximum(best, explained)
    majority = float(np.bincount(given.argmax(1)).max() / len(given)) if classes and targets.shape[1] > 1 else None
    named = (kept + given.mean(0)).argmax(1) == given.argmax(1)
    accuracy = float(named.mean()) if best[0] > 0 else majority  # a rule no better than none names the most frequent
    return Dependence(
        num_samples=len(targets),
        explained=float(best[0]),
        by_luck=float(best[1:].max()),
        typical_luck=float(np.quantile(best[1:], 0.95)),
        accuracy=None if majority is None else accuracy,
        majority=majority,
    )


def _columns(inputs: Array) -> Array:
    """Returns columns of mean 0 and standard deviation 1, neighbors averaged where there are too many."""
    group = -(-inputs.shape[1] // MAX_COLUMNS)
    starts = np.arange(0, inputs.shape[1], group)
    means = np.asarray(np.add.reduceat(inputs, starts, axis=1), float) / group
    centered = means - means.mean(0)
    spread = centered.std(0)
    return np.asarray(centered[:, spread > 0] / spread[spread > 0])


def _numbers(labels: NDArray[Any], *, classes: bool) -> Array:
    """Returns one column for each class or number."""
    flat = labels.reshape(len(labels), -1)
    if classes and flat.shape[1] == 1:
        _, codes = np.unique(flat, return_inverse=True)
        flat = np.eye(int(codes.max()) + 1)[codes.reshape(-1)]
    return np.asarray(flat[:, :MAX_TARGETS], float)


def _hats(columns: Array) -> Iterator[tuple[Array, Array]]:
    """Yields the hat matrices of all rules without their mean, each with its whole diagonal."""
    n = len(columns)
    products = columns @ columns.T
    squares = np.diag(products)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0)
    scale = float(np.median(distances)) or 1.0
    for kernel in (products, np.exp(-distances / scale)):
        centered = kernel - kernel.mean(0) - kernel.mean(1)[:, None] + kernel.mean()
        values, vectors = np.linalg.eigh(centered)
        values = np.maximum(values, 0.0)
        for penalty in PENALTIES:
            kept = values / (values + penalty * max(float(values[-1]), 1e-12))
            hat = (vectors * kept) @ vectors.T
            yield hat, np.diag(hat) + 1 / n


def _score(fits: Array, own: Array | float, copies: Array) -> tuple[Array, Array]:
    """Returns the sum of squares of each copy's residuals, and what was foretold of the first, unseen."""
    share = np.reshape(np.maximum(1 - np.asarray(own), 1e-6), (-1, 1))
    residuals = (copies - fits) / share
    return np.square(residuals).sum(axis=(1, 2)), copies[0] - residuals[0]


MAX_SAMPLES = 300
"""Samples that rules are fitted to."""

WORD_BUCKETS = 512
"""Columns that counts of word numbers are sorted into."""


def labels_follow_inputs(
    loss: str | None, inputs: Sequence[NDArray[Any]], labels: NDArray[Any], *, are_words: bool
) -> bool | None:
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
    rows = slice(None, None, max(1, len(labels) // MAX_SAMPLES))
    table = [
        numbers_of(array[rows][:MAX_SAMPLES], are_words=are_words) for array in inputs if array.dtype.kind in "fiub"
    ]
    target = labels[rows][:MAX_SAMPLES]
    if not table or target.dtype.kind not in "fiub":
        return None
    columns = np.concatenate(table, axis=1)
    finite = np.isfinite(columns).all(1) & np.isfinite(target.reshape(len(target), -1).astype(float)).all(1)
    columns, target = columns[finite], target[finite]
    if len(target) < MAX_SAMPLES // 10 or np.ptp(target.astype(float)) == 0 or not np.ptp(columns, axis=0).any():
        return None
    return measure_dependence(columns, target, classes=sparse or "crossentropy" in name).depends


def numbers_of(array: NDArray[Any], *, are_words: bool) -> NDArray[Any]:
    """Returns one row of numbers for each sample: of word numbers, how often each comes."""
    flat = array.reshape(len(array), -1)
    if not are_words or (flat != np.floor(flat)).any():
        return np.asarray(flat, float)
    counts = np.zeros((len(flat), WORD_BUCKETS))
    np.add.at(counts, (np.arange(len(flat))[:, None], flat.astype(np.int64) % WORD_BUCKETS), 1.0)
    return np.sqrt(counts)
