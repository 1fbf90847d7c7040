"""Fits a line that is smooth where a curve is straight, and flexible where it bends.

The noise of a scan and the bend of its loss change along the curve: the loss is flat for decades, bends within a few
batches, and is wild where training breaks. A spline with one smoothness for the whole curve passes over the fall, or
follows the noise of the flat part. `benchmarks/smoothing` compares both.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import NORMAL_MAD
from keras_lrscan.reading.linear_smoothers import Bottom, Hat, best_score, errors_and_dof

__all__ = ["adaptive_hat"]

DOF_COST = 1.2
"""Cost of a degree of freedom in the cross-validation score; values above 1 prevent undersmoothing by chance.

Kim and Gu (2004), "Smoothing spline Gaussian regression: more scalable computation via efficient approximation", find
1.2 to 1.4 best.
"""

MIN_FREE = 0.1
"""Smallest share of the values that must remain after the cost of the degrees of freedom."""

PENALTIES = np.logspace(-2, 7, 19)
"""Candidates for the penalty on roughness, for places one unit apart and weights around 1."""

ROUNDS = 5
"""Fits in a row. Each takes the bend and the outliers of the one before into account.

On 33 recorded scans, a sixth fit moves the line by a fiftieth of the batch-to-batch noise (median), at most by a tenth.
"""

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


def adaptive_hat(x: Array, weights: Array, y: Array, _bottom: Bottom | None = None) -> Hat:
    """Fits a line with locally adaptive smoothness, chosen by generalized cross-validation.

    The line minimizes ``sum w (y - f)^2 + penalty * sum v (D f)^2``. D holds second divided differences, and v falls
    with the bend ``c`` of the line before, as ``(0.1 + c / median(c))^-2``. The penalty minimizes
    ``RSS / (m - 1.2 dof)^2``.
    Values far from the line before count less, by Huber's weights.

    Args:
        x: Places, increasing. Array of shape `(m,)`, at least four.
        weights: Weights, the inverse variances of the values. Array of shape `(m,)`.
        y: Values, in units of the fall. Array of shape `(m,)`.

    References:
        Eilers (2003), "A perfect smoother".
        Storlie, Bondell and Reich (2010), "A locally adaptive penalty for estimation of functions with varying
        roughness".
    """
    own = weights / np.median(weights)
    differences = _second_differences(x)
    penalties, trusted = np.ones(x.size - 2), np.ones(x.size)
    hat = Hat(matrix=np.eye(x.size), dof=float(x.size))
    for _ in range(ROUNDS):
        hat = _best_penalized(differences, own * trusted, penalties, y)
        line = hat.matrix @ y
        penalties, trusted = _penalties_for(differences, line), _trust(np.abs(y - line) * np.sqrt(own))
    return hat


def _second_differences(x: Array) -> Array:
    """Returns the coefficients of the second divided differences, for places one unit apart. Shape `(3, m - 2)`."""
    gaps = np.clip(np.diff(x) / np.median(np.diff(x)), 1 / MAX_GAP, MAX_GAP)
    left, right = 1 / gaps[:-1], 1 / gaps[1:]
    return np.stack([left, -(left + right), right])


def _best_penalized(differences: Array, weights: Array, penalties: Array, y: Array) -> Hat:
    """Returns the penalized line whose penalty has the best score."""
    rough, found = _banded(differences, penalties), []
    for penalty in PENALTIES:
        equations = penalty * rough
        equations[2] += weights
        found.append(solveh_banded(equations, np.diag(weights)))
    residual, dof = errors_and_dof(found, weights, y)
    best = best_score(residual, dof, y.size, cost=DOF_COST, min_free=MIN_FREE)
    return Hat(matrix=found[best], dof=float(dof[best]))


def _banded(differences: Array, penalties: Array) -> Array:
    """Returns ``D' diag(penalties) D`` as the three upper diagonals that SciPy's banded solver takes."""
    left, middle, right = differences
    bands = np.zeros((3, left.size + 2))
    bands[2, :-2] += penalties * left**2
    bands[2, 1:-1] += penalties * middle**2
    bands[2, 2:] += penalties * right**2
    bands[1, 1:-1] += penalties * left * middle
    bands[1, 2:] += penalties * middle * right
    bands[0, 2:] += penalties * left * right
    return bands


def _penalties_for(differences: Array, line: Array) -> Array:
    """Returns the penalty on each second difference, lower where the line bends, with a geometric mean of 1."""
    bend = np.abs(np.einsum("ij,ij->j", differences, np.lib.stride_tricks.sliding_window_view(line, 3).T))
    reach = BEND_WEIGHTS.size // 2
    around = np.sqrt(np.convolve(np.pad(bend**2, reach, mode="edge"), BEND_WEIGHTS, "valid"))
    usual = float(np.median(around))
    if usual <= 0:
        return np.ones_like(around)
    penalties = (BEND_FLOOR + around / usual) ** -BEND_POWER
    return np.asarray(np.clip(penalties / np.exp(np.log(penalties).mean()), 1 / MAX_CONTRAST, MAX_CONTRAST))


def _trust(residual: Array) -> Array:
    """Returns Huber's weights of residuals in units of their noise."""
    reach = HUBER * NORMAL_MAD * float(np.median(residual))
    return np.ones_like(residual) if reach <= 0 else np.minimum(1.0, reach / np.maximum(residual, 1e-300))
