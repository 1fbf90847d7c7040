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

MIN_CLASSES = 5
"""Fewest classes among which wrong labels can be told from classes that overlap."""

OVERLAPPING = 0.2
"""Share of the pairs of classes that may overlap, so that contradictions between them do not count.

It is at least the share of neighbors among ordered classes, such as ratings.
"""

VOTERS, SEPARATE = 10, 0.76
"""Number of neighbors whose most frequent label is the likely one, and the share of samples whose neighbors must agree
on likely labels: only then do the classes lie apart.

In eight draws each, this share is 0.79 or more in the digits with up to four tenths of the labels drawn at random, and
0.76 or more in five Gaussian clusters 5 apart, with or without wrong labels. It is 0.75 or less if the same clusters
are 3.6 or 2.2 apart, and 0.34 or less in ratings from one to five by eight inputs. Ratings by two inputs reach 0.88:
they contradict only neighbors, whose pairs do not count.
"""


def suspect_share(inputs: Sequence[Array], classes: Array) -> float | None:
    """Returns the share of labels that are wrong most likely, because all similar samples have another one.

    Classes that overlap, such as shirts and T-shirts, contradict each other as well, but only in a few pairs. Labels
    that were drawn by mistake contradict all others alike. So the contradictions of the fifth of the pairs with most of
    them do not count, and the rest is scaled up to all pairs. In 400 samples of Fashion-MNIST, the nearest neighbors of
    7 to 8 % contradict the label, and this share is at most 1.3 %. With a tenth of the labels drawn at random, it is
    2.2 to 5.3 %. Where most classes overlap, wrong labels cannot be told from right ones.

    Args:
        inputs: Arrays of shape `(n, ...)`.
        classes: Class of each sample. Array of shape `(n,)`.

    Returns:
        The share, or `None` if there are too few samples or classes, if most classes overlap, or if the inputs are not
        numbers.

    References:
        Wilson (1972), "Asymptotic properties of nearest neighbor rules using edited data".

    Example:
    >>> x = np.linspace(0, 1, 400)[:, None]
    >>> labels = (10 * x[:, 0]).astype(int)
    >>> suspect_share([x], labels)
    0.0
    >>> chosen = slice(None, None, 8)
    >>> labels[chosen] = np.random.default_rng(0).integers(0, 10, 50)
    >>> round(suspect_share([x], labels), 2)
    0.05
    """
    if not inputs or any(array.dtype.kind not in "fiub" or len(array) != len(classes) for array in inputs):
        return None
    rows = even_rows(len(classes), MAX_SAMPLES)
    table = np.concatenate([np.asarray(array[rows].reshape(len(rows), -1), float) for array in inputs], axis=1)
    kept = np.isfinite(table).all(1)
    table, labels = table[kept], np.unique(classes[rows][kept], return_inverse=True)[1].reshape(-1)
    num_classes = int(labels.max(initial=-1)) + 1
    if len(table) < MIN_SAMPLES or num_classes < MIN_CLASSES:
        return None
    spread = table.std(0)
    table = (table - table.mean(0))[:, spread > 0] / spread[spread > 0]
    squares = np.square(table).sum(1)
    distances = squares[:, None] + squares[None, :] - 2 * table @ table.T
    np.fill_diagonal(distances, np.inf)
    nearest = np.argpartition(distances, np.arange(VOTERS), axis=1)[:, :VOTERS]
    likely = _votes(labels[nearest], num_classes).argmax(1)
    if float((_votes(likely[nearest[:, :NEIGHBORS]], num_classes).max(1) >= AGREE).mean()) < SEPARATE:
        return None
    votes = _votes(labels[nearest[:, :NEIGHBORS]], num_classes)
    voted = votes.argmax(1)
    suspect = (votes.max(1) >= AGREE) & (voted != labels)
    pairs = np.zeros((num_classes, num_classes))
    np.add.at(pairs, (np.minimum(voted, labels)[suspect], np.maximum(voted, labels)[suspect]), 1)
    counts = np.sort(pairs[np.triu_indices(num_classes, 1)])
    scattered = counts[: min(int((1 - OVERLAPPING) * counts.size), counts.size - (num_classes - 1))]
    return float(scattered.sum() / scattered.size * counts.size / len(labels))


def _votes(labels: Array, num_classes: int) -> Array:
    """Returns how often each class occurs in each row of labels."""
    return np.asarray((labels[:, :, None] == np.arange(num_classes)).sum(1))
