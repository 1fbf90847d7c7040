"""Fits a line that is stiff in the quiet part of a scan and as flexible as necessary after it.

A scan is quiet for decades, then its loss bends within a few batches, and it is wild where training breaks. A line with
one smoothness for the whole curve passes over the fall, or follows the noise of the quiet part. So the end of the quiet
part is found first. After it, the line is flexible where it bends. `benchmarks/smoothing` compares lines.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded, solveh_banded

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import NORMAL_MAD, difference_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Hat", "adaptive_hat", "identity_hat", "quiet_end"]

NOISELESS = 1e-4
"""Noise, as a share of the range of the values, below which they are not smoothed: that would only bias them."""

FOURTH_DIFFERENCE = math.sqrt(70)
"""Ratio of the standard deviation of fourth differences of independent values to that of the values."""

QUIET_PENALTY = 1e5
"""Penalty on roughness in the quiet part, for places one unit apart. 1e4 and 1e6 leave the errors below the same."""

QUIET_SIGMA = 4.0
"""Change of level that ends the quiet part, in standard errors of the difference of two medians."""

NEXT = 7
"""Number of values whose median is compared with that of all values before."""

FIRST = 5
"""Smallest number of values before them."""

LEAD = 2
"""Number of values before the change of level that no longer belong to the quiet part."""

MEDIAN_ERROR = 1.2533
"""Ratio of the standard error of a median of normal values to that of their mean."""

DOF_COST = 1.1
"""Cost of a degree of freedom in the cross-validation score; values above 1 prevent undersmoothing by chance.

Kim and Gu (2004), "Smoothing spline Gaussian regression: more scalable computation via efficient approximation", find
1.2 to 1.4 best for a single penalty. On every twelfth scan of `benchmarks/smoothing`, 1.1 has the smallest errors, and
1.4 adds a third to those in the valley.
"""

MIN_FREE = 0.55
"""Smallest share of the values that must remain after the cost of the degrees of freedom.

With 0.1, cross-validation lets the line pass through every batch of some scans whose noise explodes with the loss. On
every sixteenth scan of `benchmarks/smoothing`, the error in the valley is 1.21 with 0.1, 1.18 with 0.4 and 1.14 with
0.55; elsewhere they agree.
"""

PENALTIES = np.logspace(-2, 7, 19)
"""Candidates for the penalty on roughness, for places one unit apart and weights around 1."""

MIN_SHARE = 0.02
"""Smallest share of a penalty in the mean line, relative to the best one; it limits the number of matrices to solve."""

ROUNDS = 5
"""Fits in a row. Each takes the bend and the outliers of the one before into account.

On 33 recorded scans, a sixth fit moves the line by a fiftieth of the batch-to-batch noise (median), at most by a tenth.
"""

NEARBY = 3
"""Number of candidates to either side of the last penalty that a later fit tries."""

BEND_POWER = 2.0
"""The penalty falls with this power of the bend."""

BEND_FLOOR = 0.1
"""Bend, as a share of the usual one, below which the penalty no longer rises."""

BEND_WEIGHTS = np.hanning(11)[1:-1] / np.hanning(11)[1:-1].sum()
"""Weights of neighboring places in the bend around a place."""

MAX_CONTRAST = 1e3
"""Largest ratio of a penalty to the usual one, so that the equations stay solvable."""

MAX_GAP = 10.0
"""Largest ratio of a gap between two places to the usual one, for the same reason."""

HUBER = 2.5
"""Residual, in standard deviations, from which a value counts less (Huber's weights)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Hat:
    """Holds the matrix that turns values into a line.

    Attributes:
        matrix: Array of shape `(m, m)`.
        dof: Degrees of freedom, the trace of the matrix.
    """

    matrix: Array
    dof: float


def identity_hat(y: Array) -> Hat | None:
    """Returns the hat that keeps all values, for values without noise; `None` for values with noise.

    Cross-validation cannot choose this hat, since its cost of a degree of freedom forbids a line through every value.
    Fourth differences estimate the noise, because they remove smooth curves even better than second differences.
    """
    rough = np.diff(y, 4)
    noise = NORMAL_MAD * float(np.median(np.abs(rough))) / FOURTH_DIFFERENCE if rough.size else 0.0
    return Hat(matrix=np.eye(y.size), dof=float(y.size)) if noise <= NOISELESS * float(np.ptp(y)) else None


def adaptive_hat(x: Array, weights: Array, y: Array) -> Hat:
    """Fits a line with locally adaptive smoothness, weighted by generalized cross-validation.

    The line is a mean of lines that minimize ``sum w (y - f)^2 + sum v (D f)^2``. D holds second divided differences.
    In the quiet part, v is 1e5. After it, v is a penalty times a factor that falls with the bend ``c`` of the line
    before, as ``(0.1 + c / median(c))^-2``. Values far from the line before count less, by Huber's weights.

    Each penalty has a share in proportion to ``score^(-m/2)``, with its score ``RSS / (m - 1.1 dof)^2``. The best score
    alone would make the line depend on chance where several penalties are about as good: from pictures, whose losses
    are off by a pixel, the mean gives the shape of the recorded losses in 88 % (`benchmarks/pictures`, 555 pictures),
    and the line of the best score in 85 %.

    Args:
        x: Places, increasing. Array of shape `(m,)`, at least four.
        weights: Weights, the inverse variances of the values. Array of shape `(m,)`.
        y: Values. Array of shape `(m,)`.

    References:
        Buckland, Burnham and Augustin (1997), "Model selection: an integral part of inference".
        Eilers (2003), "A perfect smoother".
        Storlie, Bondell and Reich (2010), "A locally adaptive penalty for estimation of functions with varying
        roughness".
    """
    own = weights / np.median(weights)
    differences, flexible = _second_differences(x), np.arange(1, x.size - 1) >= quiet_end(y)
    factors, trusted, candidates = np.ones(x.size - 2), np.ones(x.size), range(PENALTIES.size)
    now, fixed, bands, shares = own, np.zeros((3, x.size)), np.zeros((3, x.size)), np.ones(PENALTIES.size)
    for _ in range(ROUNDS):
        now = own * trusted
        fixed = _banded(differences, np.where(flexible, 0.0, QUIET_PENALTY))
        fixed[2] += now
        bands = _banded(differences, np.where(flexible, factors, 0.0))
        shares, line = _mean_line(fixed, bands, now, y, candidates)
        best = int(np.argmax(shares))
        candidates = range(max(0, best - NEARBY), min(PENALTIES.size, best + NEARBY + 1))
        factors, trusted = _factors_for(differences, line, flexible), _trust(np.abs(y - line) * np.sqrt(own))
    matrix = np.zeros((x.size, x.size))
    for index in np.flatnonzero(shares):
        matrix += shares[index] * solveh_banded(fixed + PENALTIES[index] * bands, np.diag(now))
    return Hat(matrix=matrix, dof=float(np.trace(matrix)))


def quiet_end(y: Array) -> int:
    """Returns the index of the first value after the quiet part, in which the values keep one level.

    The part ends where the median of the next seven values differs from that of all values before.

    Example:
    >>> noise = np.random.default_rng(0).standard_normal(100)
    >>> quiet_end(noise), quiet_end(noise + 9.0 * (np.arange(100) >= 60))
    (100, 55)
    """
    noise = difference_noise(y) * MEDIAN_ERROR
    before = sorted(y[:FIRST].tolist())
    for i in range(FIRST, y.size - NEXT // 2):
        level = (before[(i - 1) // 2] + before[i // 2]) / 2
        change = abs(float(np.median(y[i : i + NEXT])) - level)
        if change > QUIET_SIGMA * noise * math.sqrt(1 / NEXT + 1 / i):
            return max(0, i - LEAD)
        insort(before, float(y[i]))
    return y.size


def _second_differences(x: Array) -> Array:
    """Returns the coefficients of the second divided differences, for places one unit apart. Shape `(3, m - 2)`."""
    gaps = np.clip(np.diff(x) / np.median(np.diff(x)), 1 / MAX_GAP, MAX_GAP)
    left, right = 1 / gaps[:-1], 1 / gaps[1:]
    return np.stack([left, -(left + right), right])


def _mean_line(fixed: Array, bands: Array, weights: Array, y: Array, candidates: range) -> tuple[Array, Array]:
    """Returns the share of every penalty, which is 0 for those that are no candidates, and the mean line.

    Args:
        fixed: The equations without the penalty. Array of shape `(3, m)`.
        bands: The part of the equations that is multiplied by the penalty. Array of shape `(3, m)`.
        weights: Weights of the values. Array of shape `(m,)`.
        y: Values. Array of shape `(m,)`.
        candidates: Indices of `PENALTIES`.

    Returns:
        Arrays of shapes `(19,)` and `(m,)`.
    """
    factors = [cholesky_banded(fixed + PENALTIES[index] * bands, lower=False) for index in candidates]
    lines = np.array([cho_solve_banded((factor, False), weights * y) for factor in factors])
    free = y.size - DOF_COST * (_inverse_diagonals(np.array(factors)) @ weights)
    allowed = free > MIN_FREE * y.size
    allowed[-1] |= not allowed.any()  # the stiffest one, for four values
    scores = np.maximum((y - lines[allowed]) ** 2 @ weights / np.maximum(free[allowed], 1.0) ** 2, np.finfo(float).tiny)
    likely = (scores.min() / scores) ** (y.size / 2)
    likely[likely < MIN_SHARE] = 0.0
    shares = np.zeros(PENALTIES.size)
    shares[np.array(candidates)[allowed]] = likely / likely.sum()
    return shares, shares[np.array(candidates)] @ lines


def _inverse_diagonals(factors: Array) -> Array:
    """Returns the diagonal of the inverse of ``U' U`` for banded factors U of shape `(k, 3, m)`. Shape `(k, m)`.

    References:
        Hutchinson and de Hoog (1985), "Smoothing noise data with spline functions".
    """
    num, _, size = factors.shape
    scale = factors[:, 2]
    next_one, next_two = np.zeros((2, num, size))
    next_one[:, :-1], next_two[:, :-2] = factors[:, 1, 1:] / scale[:, :-1], factors[:, 0, 2:] / scale[:, :-2]
    diagonal, beside = np.zeros((num, size + 2)), np.zeros((num, size + 1))
    for i in range(size - 1, -1, -1):
        one, two = next_one[:, i], next_two[:, i]
        beside[:, i] = -one * diagonal[:, i + 1] - two * beside[:, i + 1]
        far = -one * beside[:, i + 1] - two * diagonal[:, i + 2]
        diagonal[:, i] = scale[:, i] ** -2.0 - one * beside[:, i] - two * far
    return diagonal[:, :size]


def _banded(differences: Array, factors: Array) -> Array:
    """Returns ``D' diag(factors) D`` as the three upper diagonals that SciPy's banded solver takes."""
    left, middle, right = differences
    bands = np.zeros((3, left.size + 2))
    bands[2, :-2] += factors * left**2
    bands[2, 1:-1] += factors * middle**2
    bands[2, 2:] += factors * right**2
    bands[1, 1:-1] += factors * left * middle
    bands[1, 2:] += factors * middle * right
    bands[0, 2:] += factors * left * right
    return bands


def _factors_for(differences: Array, line: Array, flexible: NDArray[np.bool_]) -> Array:
    """Returns the factor of the penalty at each place, lower where the line bends, with a geometric mean of 1."""
    bend = np.abs(np.einsum("ij,ij->j", differences, np.lib.stride_tricks.sliding_window_view(line, 3).T))
    reach = BEND_WEIGHTS.size // 2
    around = np.sqrt(np.convolve(np.pad(bend**2, reach, mode="edge"), BEND_WEIGHTS, "valid"))
    usual = float(np.median(around[flexible])) if flexible.any() else 0.0
    if usual <= 0:
        return np.ones_like(around)
    factors = (BEND_FLOOR + around / usual) ** -BEND_POWER
    return np.asarray(np.clip(factors / np.exp(np.log(factors[flexible]).mean()), 1 / MAX_CONTRAST, MAX_CONTRAST))


def _trust(residual: Array) -> Array:
    """Returns Huber's weights of residuals in units of their noise."""
    reach = HUBER * NORMAL_MAD * float(np.median(residual))
    return np.ones_like(residual) if reach <= 0 else np.minimum(1.0, reach / np.maximum(residual, 1e-300))
