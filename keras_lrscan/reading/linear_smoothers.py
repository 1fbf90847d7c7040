"""Linear smoothers: a line that is one matrix times the values, with its degree of smoothness found by the data.

The two share one score, generalized cross-validation, and one result, a `Hat`. From the matrix come the smooth line,
its standard error and the lines of noise-resampled copies, so nothing else needs to know which smoother it was.

Where a short fall ends in wild losses, cross-validation sees mostly these, and picks a line so smooth that it passes
over the fall. So the line must come down to the `Bottom` of the losses before they first stand above their start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh, solve
from scipy.ndimage import median_filter

from keras_lrscan.curves.noise import NORMAL_MAD, difference_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Bottom", "Hat", "identity_hat", "local_hat", "spline_hat"]

DOF_COST = 2.0
"""Price of a degree of freedom in the cross-validation score: above 1 it guards against chance undersmoothing.

Kim and Gu (2004), "Smoothing spline Gaussian regression: more scalable computation via efficient approximation", find
1.2 to 1.4 best for even noise. The noise of a scan is uneven: on 12 scans of a fresh digits classifier, 2 keeps the
valley of each, 1.4 splits one in two; on 180 synthetic scans of strong pure noise, 2 leaves a false valley in 11.
"""

NOISELESS = 1e-4
"""Values with less noise than this, in units of the fall, are the line: to smooth them would only move it."""

FOURTH_DIFFERENCE = math.sqrt(70)
"""Standard deviation of the fourth difference of independent values over their own."""

LOCAL_WIDTHS = np.geomspace(0.05, 1.0, 24)
"""Reach of the local smoother to either side, as shares of the whole range."""

MIN_NEIGHBORS = 5
"""A local parabola has three coefficients; with fewer neighbors than this it would only repeat them."""


ABOVE = 0.5
"""The loss stands above its start from this share of the fall on, by the median of three batches."""

BOTTOM_WIDTH = 5
"""Batches whose median makes a bottom: fewer may be low by luck."""

MIN_SHARE = 3
"""A loss that stands above its start within the first third of the points has no fall before that."""

FAR_OFF = 0.3
"""A line that stays above the bottom by more than this share of the fall passes over it."""

FAR_OFF_NOISE = 4.0
"""Nor does it where this many standard deviations of one batch are more."""

CLOSE = 0.15
"""It then gets as much freedom as it needs to come as close as this share of the fall."""

POINTS_FOR_ONE = 2.5
"""Points for each degree of freedom that it may get for that.

The last four were set on the zoo's `fresh-start/fashion-cnn-momentum`, `collapse/mnist-deep-relu-momentum`,
`catapult/mnist-deep-linear-squared-sgd` and `fresh-adam/digits-wide-trained-adam` (`benchmarks/causes`).
"""


@dataclass(frozen=True, kw_only=True)
class Bottom:
    """How low a line must come down, and where.

    Attributes:
        index: Place of the bottom.
        far: A line above this at that place passes over the bottom.
        close: One that does has to come down to this.
    """

    index: int
    far: float
    close: float

    @classmethod
    def of(cls, y: Array) -> Bottom | None:
        """Finds the bottom of values before they first stand above zero, their start, in units of the fall.

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
    """A linear smoother at its best degree of smoothness.

    Attributes:
        matrix: The smooth line is this times the values. Array of shape `(m, m)`.
        dof: Degrees of freedom, the trace of the matrix.
    """

    matrix: Array
    dof: float


def identity_hat(y: Array) -> Hat | None:
    """Returns the hat that leaves values alone, for values without noise; `None` for all others.

    Cross-validation cannot find it: its price of a degree of freedom forbids a line through every value. The noise is
    taken from fourth differences, of which a smooth curve leaves even less than of second ones.
    """
    rough = np.diff(y, 4)
    noise = NORMAL_MAD * float(np.median(np.abs(rough))) / FOURTH_DIFFERENCE if rough.size else 0.0
    return Hat(matrix=np.eye(y.size), dof=float(y.size)) if noise < NOISELESS else None


def spline_hat(x: Array, weights: Array, y: Array, bottom: Bottom | None = None) -> Hat:
    """Natural cubic smoothing spline with its penalty chosen by generalized cross-validation.

    The spline minimizes ``sum w (y - f)^2 + penalty * integral f''^2``. With the eigenvectors of the weighted roughness
    matrix, the fit and its degrees of freedom for every penalty are one product away, and the penalty that minimizes
    ``RSS / (m - 2 dof)^2`` is found on a grid.

    Args:
        x: Places, increasing. Array of shape `(m,)`, at least four.
        weights: Weights, inverse to the variances of the values. Array of shape `(m,)`.
        y: Values, in units of the fall. Array of shape `(m,)`.
        bottom: What the line must come down to.

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
    """Local parabolas under a symmetric tricube kernel, its reach chosen by generalized cross-validation.

    Args:
        x: Places, increasing. Array of shape `(m,)`, at least four.
        weights: Weights, inverse to the variances of the values. Array of shape `(m,)`.
        y: Values, in units of the fall. Array of shape `(m,)`.
        bottom: What the line must come down to.

    References:
        Cleveland and Devlin (1988), "Locally weighted regression: an approach to regression analysis by local fitting".
    """
    away = (x[None, :] - x[:, None]) / (x[-1] - x[0])
    nearest = np.sort(np.abs(away), axis=1)[:, min(MIN_NEIGHBORS, x.size - 1)]
    candidates = [_local_matrix(away, np.maximum(reach, 1.01 * nearest), weights) for reach in LOCAL_WIDTHS]
    dof = np.array([float(np.trace(matrix)) for matrix in candidates])
    residual = np.array([float(weights @ (y - matrix @ y) ** 2) for matrix in candidates])
    level = None if bottom is None else np.array([float(matrix[bottom.index] @ y) for matrix in candidates])
    best = _best(residual, dof, y.size, level, bottom)
    return Hat(matrix=candidates[best], dof=float(dof[best]))


def _best(residual: Array, dof: Array, num: int, level: Array | None, bottom: Bottom | None) -> int:
    """Returns the candidate with the best score, or the smoothest that reaches the bottom if that one does not."""
    free = num - DOF_COST * dof
    best = int(np.argmin(np.where(free > 0, residual / np.maximum(free, 1.0) ** 2, np.inf)))
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
    """Returns the matrix of weighted parabolas around every place, read at that place."""
    t = away / reach[:, None]
    kernel = weights * np.clip(1 - np.abs(t) ** 3, 0, None) ** 3
    basis = np.stack([np.ones_like(t), t, t**2], axis=-1)
    weighted = kernel[..., None] * basis
    normal = np.einsum("ija,ijb->iab", weighted, basis)
    first = np.linalg.solve(normal, np.broadcast_to(np.eye(3)[:, :1], (t.shape[0], 3, 1)))[..., 0]
    return np.asarray(np.einsum("ia,ija->ij", first, weighted))
