"""Tests whether simple models predict real labels better than shuffled labels.

The models are kernel ridge regressions. If even the best of them does no better on the real labels, then inputs and
labels do not belong together, or their relation is too complex for such models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.curves.loss_names import REGRESSION_LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "MAX_SAMPLES",
    "MIN_SAMPLES",
    "Dependence",
    "are_keys",
    "labels_follow_inputs",
    "measure_dependence",
    "numbers_of",
]

MIN_SAMPLES = 100
"""Samples needed to conclude that labels do not depend on inputs."""

MAX_SAMPLES = 300
"""Samples that models are fitted to."""

MAX_COLUMNS = 2048
"""Columns of the inputs. If there are more, neighbors are averaged."""

MAX_TARGETS = 64
"""Numbers of a target that are used."""

WORD_BUCKETS = 512
"""Columns that counts of word indices are hashed into."""

MAX_KEYS = 4
"""Looked-up whole numbers of a sample up to which they count as keys and not as words of a text."""

NUM_SHUFFLES = 49
"""Copies with shuffled labels. Labels without relation beat all of them once in fifty times, but rarely clearly."""

CLEAR = 1.5
"""Factor by which the real labels must beat the best shuffled copy. Without it, one conclusion in fifty is wrong."""

PENALTIES = (1e-3, 3e-2, 1.0)
"""Ridge penalties to try, as shares of the kernel's largest eigenvalue."""


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """How well simple models predict labels from inputs, on samples that they were not fitted to.

    Attributes:
        num_samples: Samples used.
        explained: Share of the labels' variance that the best model explains. Zero or negative if it explains none.
        by_luck: Highest share that the same models explain on shuffled labels, of 49 copies.
        typical_luck: The 95th percentile of that share over the copies.
        accuracy: Accuracy of the best model; `None` if the labels are not classes.
        majority: Share of the most frequent class; `None` if the labels are not classes.
    """

    num_samples: int
    explained: float
    by_luck: float
    typical_luck: float
    accuracy: float | None
    majority: float | None

    @property
    def depends(self) -> bool | None:
        """Whether the labels depend on the inputs; `None` if the test is inconclusive."""
        if self.explained > CLEAR * max(self.by_luck, 0.0):
            return True
        return False if self.num_samples >= MIN_SAMPLES and self.explained <= self.typical_luck else None


def labels_follow_inputs(
    loss: str | None, inputs: Sequence[NDArray[Any]], labels: NDArray[Any], *, are_words: bool
) -> bool | None:
    """Returns whether simple models predict labels better than shuffled labels.

    Args:
        loss: Keras's name of the loss.
        inputs: Arrays of shape `(n, ...)`.
        labels: Array of shape `(n, ...)`.
        are_words: Whether whole numbers among the inputs are word indices, which have no meaningful size.

    Returns:
        The answer, or `None` if the test is inconclusive or does not apply to this loss or these data. Keys that are
        looked up, such as those of a user and an item, can belong together in ways that simple models do not see.

    Example:
    >>> x = np.random.default_rng(0).normal(size=(400, 4))
    >>> labels_follow_inputs("binary_crossentropy", [x], x[:, 0] > 0, are_words=False)
    True
    """
    name = loss or ""
    is_sparse, is_classifier = name.startswith("sparse_categorical"), "crossentropy" in name
    if not inputs or not (is_classifier or name in REGRESSION_LOSSES) or (is_sparse and labels.size != len(labels)):
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
    depends = measure_dependence(columns, target, classes=is_classifier).depends
    return None if depends is False and are_words and are_keys(inputs) else depends


def are_keys(inputs: Sequence[NDArray[Any]]) -> bool:
    """Returns whether looked-up inputs are a few keys, such as a user and an item, whose effects need not add up.

    Args:
        inputs: Arrays of shape `(n, ...)`.
    """
    keys = [array.reshape(len(array), -1) for array in inputs]
    columns = sum(array.shape[1] for array in keys)
    return 1 < columns <= MAX_KEYS and all((array == np.floor(array)).all() for array in keys)


def measure_dependence(inputs: NDArray[Any], labels: NDArray[Any], *, classes: bool, seed: int = 0) -> Dependence:
    """Fits ridge regressions with a linear and a Gaussian kernel, and scores them by leave-one-out.

    The leave-one-out residual of a ridge regression is ``(t - f) / (1 - h)``, with the fit ``f`` and the diagonal ``h``
    of the hat matrix, so each model is fitted once.

    Args:
        inputs: Array of finite numbers, of shape `(n, ...)`.
        labels: Class indices of shape `(n,)`, or targets of any shape `(n, ...)`.
        classes: Whether the labels are class indices, or hold one column per class.
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
    columns = _input_columns(np.asarray(inputs, float).reshape(len(inputs), -1))
    given = _target_columns(np.asarray(labels), classes=classes)
    targets = given - given.mean(0)
    random = np.random.default_rng(seed)
    orders = [np.arange(len(targets)), *(random.permutation(len(targets)) for _ in range(NUM_SHUFFLES))]
    copies = np.stack([targets[order] for order in orders], axis=1)
    total = _score(np.zeros_like(copies), 1 / len(targets), copies)[0][0]
    best, predictions = np.full(len(orders), -np.inf), targets * 0.0
    for hat, diagonal in _hats(columns):
        fits = (hat @ copies.reshape(len(targets), -1)).reshape(copies.shape)  # one product is faster than one per copy
        squares, predicted = _score(fits, diagonal, copies)
        explained = 1 - squares / total
        predictions = predicted if explained[0] > best[0] else predictions
        best = np.maximum(best, explained)
    majority = float(np.bincount(given.argmax(1)).max() / len(given)) if classes and targets.shape[1] > 1 else None
    is_correct = (predictions + given.mean(0)).argmax(1) == given.argmax(1)
    accuracy = float(is_correct.mean()) if best[0] > 0 else majority  # without a model, the most frequent class
    return Dependence(
        num_samples=len(targets),
        explained=float(best[0]),
        by_luck=float(best[1:].max()),
        typical_luck=float(np.quantile(best[1:], 0.95)),
        accuracy=None if majority is None else accuracy,
        majority=majority,
    )


def numbers_of(array: NDArray[Any], *, are_words: bool) -> NDArray[Any]:
    """Returns one row of numbers per sample. Word indices become the square roots of their counts."""
    flat = array.reshape(len(array), -1)
    if not are_words or (flat != np.floor(flat)).any():
        return np.asarray(flat, float)
    counts = np.zeros((len(flat), WORD_BUCKETS))
    np.add.at(counts, (np.arange(len(flat))[:, None], flat.astype(np.int64) % WORD_BUCKETS), 1.0)
    return np.sqrt(counts)


def _input_columns(inputs: Array) -> Array:
    """Scales columns to mean 0 and standard deviation 1, and averages neighbors if there are too many columns."""
    group = -(-inputs.shape[1] // MAX_COLUMNS)
    starts = np.arange(0, inputs.shape[1], group)
    means = np.asarray(np.add.reduceat(inputs, starts, axis=1), float) / group
    centered = means - means.mean(0)
    spread = centered.std(0)
    return np.asarray(centered[:, spread > 0] / spread[spread > 0])


def _target_columns(labels: NDArray[Any], *, classes: bool) -> Array:
    """Returns one column per class or number of a target."""
    flat = labels.reshape(len(labels), -1)
    if classes and flat.shape[1] == 1:
        _, codes = np.unique(flat, return_inverse=True)
        flat = np.eye(int(codes.max()) + 1)[codes.reshape(-1)]
    return np.asarray(flat[:, :MAX_TARGETS], float)


def _hats(columns: Array) -> Iterator[tuple[Array, Array]]:
    """Yields the hat matrix of each model for centered targets, and its diagonal with the part of the mean added."""
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


def _score(fits: Array, diagonal: Array | float, copies: Array) -> tuple[Array, Array]:
    """Returns each copy's sum of squared leave-one-out residuals, and the predictions behind them for the first.

    Fits and copies have the shape `(n, copies, columns)`.
    """
    share = np.reshape(np.maximum(1 - np.asarray(diagonal), 1e-6), (-1, 1, 1))
    residuals = (copies - fits) / share
    return np.square(residuals).sum(axis=(0, 2)), copies[:, 0] - residuals[:, 0]
