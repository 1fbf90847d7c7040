"""Measures the noise of single batches about a curve, finds isolated outliers, and tests for trends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter

from keras_lrscan._typing import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "NORMAL_MAD",
    "correlation",
    "difference_noise",
    "local_noise",
    "lone_outliers",
    "neighbor_noise",
    "precision",
    "rank_correlation",
    "trend_of",
]

NORMAL_MAD = 1.4826
"""Ratio of the standard deviation of a normal variable to its median absolute deviation."""

OUTLIER_SIGMA = 6.0
"""A batch further than this many standard deviations from its neighbors' median is an outlier."""

OUTLIER_SHARE = 0.02
"""Smallest standard deviation for that test, as a share of the range of the lower losses, for calm neighbors."""

MIDDLE_WIDTH = 7
"""Batches in the running median that outliers are compared with."""

NOISE_WIDTH = 31
"""Points from which the noise around one point is estimated."""

LARGEST_CONTRAST = 2.0
"""Limit of the ratio between local and median noise in the weights, since local noise is known only roughly."""

MIN_FOR_TREND = 4
"""Smallest number of points for which the standard error of a straight line is estimated."""

SECOND_DIFFERENCE = math.sqrt(6)
"""Ratio of the standard deviation of second differences of independent values to that of the values."""


def difference_noise(y: Array) -> float:
    """Returns the standard deviation of single values about a smooth line, from their second differences.

    Second differences remove straight lines completely and smooth curves almost completely. The median limits the
    influence of outliers.

    Example:
    >>> import numpy as np
    >>> y = np.linspace(0, 5, 2000) + 0.1 * np.random.default_rng(0).standard_normal(2000)
    >>> round(difference_noise(y), 2)
    0.1

    References:
        Gasser, Sroka and Jennen-Steinmetz (1986), "Residual variance and residual pattern in nonlinear regression".
    """
    return NORMAL_MAD * float(np.median(np.abs(np.diff(y, 2)))) / SECOND_DIFFERENCE if y.size > 2 else 0.0


def neighbor_noise(y: Array) -> Array:
    """Returns the noise around each point, from second differences of its neighbors. Array of shape `(n,)`."""
    rough = np.abs(np.diff(y, 2)) / SECOND_DIFFERENCE
    around = median_filter(np.pad(rough, 1, mode="edge"), size=min(NOISE_WIDTH, y.size), mode="nearest")
    return np.asarray(NORMAL_MAD * around)


def local_noise(residual: Array) -> Array:
    """Returns the noise of one batch at each point, from the median size of nearby residuals. Array of shape `(n,)`."""
    num_parts = int(np.clip(residual.size // 15, 1, 20))
    parts = np.array_split(np.abs(residual), num_parts)
    centers = np.cumsum([0, *[part.size for part in parts[:-1]]]) + np.array([part.size / 2 for part in parts])
    levels = [NORMAL_MAD * float(np.median(part)) for part in parts]
    return np.interp(np.arange(residual.size), centers, levels)


def precision(noise: Array) -> Array:
    """Returns inverse-variance weights, with noise limited to a factor of `LARGEST_CONTRAST` around its median."""
    usual = float(np.median(noise))
    if usual <= 0:
        return np.ones_like(noise)
    inverse = 1.0 / np.clip(noise / usual, 1 / LARGEST_CONTRAST, LARGEST_CONTRAST) ** 2
    return np.asarray(inverse / inverse.max())


def lone_outliers(y: Array) -> NDArray[np.intp]:
    """Returns the indices of isolated losses far outside the usual range of their neighbors."""
    middle = median_filter(y, size=min(MIDDLE_WIDTH, y.size - (1 - y.size % 2)), mode="nearest")
    away = np.abs(y - middle)
    usual = NORMAL_MAD * median_filter(away, size=min(2 * NOISE_WIDTH - 1, y.size), mode="nearest")
    low, high = np.percentile(middle, [5, 75])
    far = away > OUTLIER_SIGMA * np.maximum(usual, OUTLIER_SHARE * (high - low))
    alone = far & ~np.roll(far, 1) & ~np.roll(far, -1)
    alone[[0, -1]] = False
    return np.flatnonzero(alone)


def trend_of(x: Array, loss: Array) -> tuple[float, float]:
    """Returns the rise of a straight line through the losses, and the standard error of that rise.

    Correlated residuals, such as those of averaged losses, carry less information than independent ones: they count as
    ``n (1 - r) / (1 + r)`` independent residuals, where r is the correlation of neighbors.
    """
    if x.size < MIN_FOR_TREND or np.ptp(loss) <= 0:
        return 0.0, 0.0
    line = np.polynomial.Polynomial.fit(x, loss, 1)
    residual = loss - line(x)
    together = min(max(correlation(residual[:-1], residual[1:]), 0.0), 0.999)
    alone = max(x.size * (1 - together) / (1 + together), 3.0)
    return float(line(x[-1]) - line(x[0])), float(np.sqrt(12 / alone) * residual.std())


def correlation(a: Array, b: Array) -> float:
    """Returns the correlation of two arrays, or 0 if one of them is constant."""
    spread = float(np.std(a) * np.std(b))
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 0 else 0.0


def rank_correlation(a: Array, b: Array) -> float:
    """Returns Spearman's rank correlation of two non-constant arrays; equal values get their mean rank.

    Example:
    >>> import numpy as np
    >>> round(rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 8.0, 8.0, 90.0])), 3)
    0.949
    """
    return float(np.asarray(np.corrcoef(np.column_stack([_ranks(a), _ranks(b)]), rowvar=False))[1, 0])


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])
