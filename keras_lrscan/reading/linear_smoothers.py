"""Fits linear smoothers, whose smoothness is chosen by generalized cross-validation.

A linear smoother is a matrix that turns values into smoothed values. Each smoother returns this matrix as a `Hat`. The
matrix determines the smoothed curve, its standard error and the smoothed curves of noise-resampled copies, so no other
code depends on the choice of the smoother.

If a short fall ends in wild losses, these dominate the cross-validation, and its choice is so smooth that it passes
over the fall. Therefore the smoothed curve must reach the `Bottom` of the losses before they first rise above their
start.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, solve
from scipy.ndimage import median_filter

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import NORMAL_MAD, difference_noise

__all__ = ["Bottom", "Hat", "best_score", "errors_and_dof", "identity_hat", "local_hat", "spline_hat"]

DOF_COST = 2.0
"""Cost of a degree of freedom in the cross-validation score; values above 1 prevent undersmoothing by chance.

Kim and Gu (2004), "Smoothing spline Gaussian regression: more scalable computation via efficient approximation", find
1.2 to 1.4 best for uniform noise. The noise of a scan is not uniform: on 12 scans of a fresh digits classifier, 2 keeps
each valley while 1.4 splits one of them; on 180 synthetic scans of strong pure noise, 2 leaves a false valley in 11.
"""

NOISELESS = 1e-4
"""Noise, in units of the fall, below which values are not smoothed, since smoothing would only bias them."""

FOURTH_DIFFERENCE = math.sqrt(70)
"""Ratio of the standard deviation of fourth differences of independent values to that of the values."""

LOCAL_WIDTHS = np.geomspace(0.05, 1.0, 24)
"""Candidates for the half-width of the local smoother, as shares of the whole range."""

MIN_NEIGHBORS = 5
"""Smallest number of neighbors in a local parabola, which has three coefficients and would repeat fewer values."""

ABOVE = 0.5
"""Height of the median of three batches above the start, as a share of the fall, that ends the search for a bottom."""

BOTTOM_WIDTH = 5
"""Number of batches whose median is a bottom; fewer batches may be low by chance."""

MIN_SHARE = 3
"""A loss that rises above its start within the first third of the points has no fall before that."""

FAR_OFF = 0.3
"""Height above the bottom, as a share of the fall, from which a smoothed curve misses the bottom."""

FAR_OFF_NOISE = 4.0
"""Smallest such height, in standard deviations of one batch."""

CLOSE = 0.15
"""Height above the bottom, as a share of the fall, to which a curve that misses it must come down."""

POINTS_FOR_ONE = 2.5
"""Smallest number of points per degree of freedom of such a curve.

The last four were set on `fresh-start/fashion-cnn-momentum`, `collapse/mnist-deep-relu-momentum`,
`catapult/mnist-deep-linear-squared-sgd` and `fresh-adam/digits-wide-trained-adam` of `benchmarks/causes`.
"""


@dataclass(frozen=True, kw_only=True)
class Bottom:
    """Holds the place and the depth that a smoothed curve must reach.

    Attributes:
        index: Index of the bottom.
        far: Value at this index above which a smoothed curve misses the bottom.
        close: Value that a smoothed curve must reach if it misses the bottom.
    """

    index: int
    far: float
    close: float

    @classmethod
    def of(cls, y: Array) -> Bottom | None:
        """Finds the bottom of values before they first rise above their start, which is zero, in units of the fall.

        Example:
        >>> Bottom.of(np.repeat([0.0, -1.0, 3.0], 20)).index
        20
        """
        above = np.flatnonzero(median_filter(y, size=3, mode="nearest") > ABOVE)
        before = y[: int(above[0])] if above.size else y
        if before.size < max(BOTTOM_WIDTH, y.size / MIN_SHARE):
            return None
        middle = np.median(np.lib.stride_tricks.sliding_window_view(before, BOTTOM_WIDTH), axis=1)
        lowest = int(np.argmin(middle))
        low, noise = float(middle[lowest]), difference_noise(before)
        return cls(index=lowest + BOTTOM_WIDTH // 2, far=low + max(FAR_OFF, FAR_OFF_NOISE * noise), close=low + CLOSE)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hat:
    """Holds the matrix of a linear smoother with the chosen smoothness.

    Attributes:
        matrix: Matrix that turns values into smoothed values. Array of shape `(m, m)`.
        dof: Degrees of freedom, the trace of the matrix.
    """

    matrix: Array
    dof: float


def identity_hat(y: Array) -> Hat | None:
    """Returns the hat that keeps all values, for values without noise; `None` for values with noise.

    Cross-validation cannot choose this hat, since its cost of a degree of freedom forbids a curve through every value.
    The noise is estimated from fourth differences, which remove smooth curves even better than second differences.
    """
    rough = np.diff(y, 4)
    noise = NORMAL_MAD * float(np.median(np.abs(rough))) / FOURTH_DIFFERENCE if rough.size else 0.0
    return Hat(matrix=np.eye(y.size), dof=float(y.size)) if noise < NOISELESS else None


def spline_hat(x: Array, weights: Array, y: Array, bottom: Bottom | None = None) -> Hat:
    """Returns the hat of a natural cubic smoothing spline; generalized cross-validation chooses its penalty.

    The spline minimizes ``sum w (y - f)^2 + penalty * integral f''^2``. The eigenvectors of the weighted roughness
    matrix reduce the fit and its degrees of freedom to one product for every penalty. A grid search finds the penalty
    that minimizes ``RSS / (m - 2 dof)^2``.

    Args:
        x: Places, increasing. Array of shape `(m,)`, at least four.
        weights: Weights, the inverse variances of the values up to a factor. Array of shape `(m,)`.
        y: Values, in units of the fall. Array of shape `(m,)`.
        bottom: Bottom that the smoothed values must reach, if any.

    References:
        Green and Silverman (1994), "Nonparametric Regression and Generalized Linear Models", chapters 2 and 3.
        Craven and Wahba (1978), "Smoothing noisy data with spline functions".
    """
    root = np.sqrt(weights)
    penalties, vectors = eigh(_roughness(x) / np.outer(root, root))
    penalties = np.maximum(penalties, 0.0)
    penalties[:2] = 0.0  # constants and straight lines cost nothing
    grid = np.logspace(-4, 4, 97)[:, None] / max(float(np.median(penalties[2:])), 1e-300)
    shrink = 1.0 / (1.0 + grid * penalties)
    dof = shrink.sum(axis=1)
    shares = vectors.T @ (root * y)
    residual = ((1.0 - shrink) ** 2 * shares**2).sum(axis=1)
    level = None if bottom is None else shrink @ (vectors[bottom.index] * shares) / root[bottom.index]
    best = _best(residual, dof, y.size, level, bottom)
    matrix = vectors @ (shrink[best][:, None] * vectors.T) * root / root[:, None]
    return Hat(matrix=matrix, dof=float(dof[best]))


def local_hat(x: Array, weights: Array, y: Array, bottom: Bottom | None = None) -> Hat:
    """Returns the hat of local parabolas with a tricube kernel; generalized cross-validation chooses its width.

    Args:
        x: Places, increasing. Array of shape `(m,)`, at least four.
        weights: Weights, the inverse variances of the values up to a factor. Array of shape `(m,)`.
        y: Values, in units of the fall. Array of shape `(m,)`.
        bottom: Bottom that the smoothed values must reach, if any.

    References:
        Cleveland and Devlin (1988), "Locally weighted regression: an approach to regression analysis by local fitting".
    """
    away = (x[None, :] - x[:, None]) / (x[-1] - x[0])
    nearest = np.sort(np.abs(away), axis=1)[:, min(MIN_NEIGHBORS, x.size - 1)]
    candidates = [_local_matrix(away, np.maximum(reach, 1.01 * nearest), weights) for reach in LOCAL_WIDTHS]
    residual, dof = errors_and_dof(candidates, weights, y)
    level = None if bottom is None else np.array([float(matrix[bottom.index] @ y) for matrix in candidates])
    best = _best(residual, dof, y.size, level, bottom)
    return Hat(matrix=candidates[best], dof=float(dof[best]))


def errors_and_dof(matrices: Sequence[Array], weights: Array, y: Array) -> tuple[Array, Array]:
    """Returns the weighted sum of squared residuals and the degrees of freedom of each candidate."""
    residual = np.array([float(weights @ (y - matrix @ y) ** 2) for matrix in matrices])
    return residual, np.array([float(np.trace(matrix)) for matrix in matrices])


def best_score(residual: Array, dof: Array, num: int, *, cost: float, min_free: float = 0.0) -> int:
    """Returns the candidate with the lowest generalized cross-validation score ``RSS / (num - cost * dof)^2``.

    Args:
        residual: Weighted sum of squared residuals of each candidate. Array of shape `(k,)`.
        dof: Degrees of freedom of each candidate. Array of shape `(k,)`.
        num: Number of values.
        cost: Cost of a degree of freedom.
        min_free: Share of the values that must remain after that cost, or the candidate is left out.
    """
    free = num - cost * dof
    return int(np.argmin(np.where(free > min_free * num, residual / np.maximum(free, 1.0) ** 2, np.inf)))


def _best(residual: Array, dof: Array, num: int, level: Array | None, bottom: Bottom | None) -> int:
    """Returns the candidate with the best score, or the smoothest one that reaches the bottom if the best does not."""
    best = best_score(residual, dof, num, cost=DOF_COST)
    if level is None or bottom is None or level[best] <= bottom.far:
        return best
    allowed = np.flatnonzero((level <= bottom.close) & (dof > dof[best]) & (POINTS_FOR_ONE * dof < num))
    return int(allowed[np.argmin(dof[allowed])]) if allowed.size else best


def _roughness(x: Array) -> Array:
    """Returns K with ``f' K f = integral f''^2`` for the natural cubic spline through f (Green and Silverman, 2.1)."""
    n, h = x.size, np.diff(x)
    q = np.zeros((n, n - 2))
    inner = np.arange(n - 2)
    q[inner, inner] = 1 / h[:-1]
    q[inner + 1, inner] = -1 / h[:-1] - 1 / h[1:]
    q[inner + 2, inner] = 1 / h[1:]
    r = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    k = q @ solve(r, q.T, assume_a="pos")
    return np.asarray((k + k.T) / 2)


def _local_matrix(away: Array, reach: Array, weights: Array) -> Array:
    """Returns the matrix of weighted parabolas around every place, evaluated at that place."""
    t = away / reach[:, None]
    kernel = weights * np.clip(1 - np.abs(t) ** 3, 0, None) ** 3
    basis = np.stack([np.ones_like(t), t, t**2], axis=-1)
    weighted = kernel[..., None] * basis
    normal = np.einsum("ija,ijb->iab", weighted, basis)
    first = np.linalg.solve(normal, np.broadcast_to(np.eye(3)[:, :1], (t.shape[0], 3, 1)))[..., 0]
    return np.asarray(np.einsum("ia,ija->ij", first, weighted))
