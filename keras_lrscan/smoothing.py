"""Smoothing without lag: `LRCurve` → `SmoothedCurve`.

The default is a natural cubic smoothing spline through the raw losses over log10(rate). Its smoothness is chosen by
generalised cross-validation, so no coefficient is asked of the user, and its derivative is exact, so the slope needs no
differences of noisy numbers. A spline is symmetric: unlike a moving average it moves no landmark to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import eigh, solve
from scipy.ndimage import median_filter

from keras_lrscan.errors import unknown_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from keras_lrscan.curve import LRCurve

    Array = NDArray[np.float64]

__all__ = ["NORMAL_MAD", "SMOOTHERS", "SmoothedCurve", "resample", "smooth"]

MAX_KNOTS = 250
"""Points beyond this many are averaged in equal steps of log10(rate) first; the cost is then linear in the points."""

FEWEST_POINTS = 4
"""A cubic has four coefficients; fewer points are their own best line."""

DOF_COST = 2.0
"""Price of a degree of freedom in the cross-validation score: above 1 it guards against chance undersmoothing.

Kim and Gu (2004), "Smoothing spline Gaussian regression: more scalable computation via efficient approximation", find
1.2 to 1.4 best for even noise. The noise of a scan is uneven: on 12 scans of a fresh digits classifier, 2 keeps the
valley of each, 1.4 splits one in two; on 180 synthetic scans of strong pure noise, 2 leaves a false valley in 11.
"""

OUTLIER_SIGMA = 6.0
"""A batch further than this many standard deviations from the median of its neighbours is pulled back to that line."""

EXPLOSION = 3.0
"""A loss explodes when it rises above its start by more than this many times what happens below the start."""

SMALLEST_SCALE = 1e-200
"""Losses that differ by less are one constant: dividing by less would leave the range of a float."""

NOISE_WIDTH = 31
"""Points over which the noise around one point is taken."""

LARGEST_CONTRAST = 2.0
"""The noise around a point counts as at most this many times more or less than usual: it is known only roughly."""

NORMAL_MAD = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SmoothedCurve:
    """A curve with its noise taken off. Only points with a finite loss are in it.

    Attributes:
        log10_lr: log10 of the rates (decades). Array of shape `(n,)`.
        loss: Smoothed loss (the model's unit). Array of shape `(n,)`.
        slope: d loss / d log10(rate) (loss per decade). Array of shape `(n,)`.
        noise: Standard deviation of one batch's loss about the smooth line. Array of shape `(n,)`.
        standard_error: Standard deviation of the smooth line itself. Array of shape `(n,)`.
        method: Name of the smoother.
        window: Width of the smoother's kernel (steps).
        outliers: Indices of lone batches that stood far off their neighbours and were pulled back.
    """

    log10_lr: Array
    loss: Array
    slope: Array
    noise: Array
    standard_error: Array
    method: str
    window: float
    outliers: NDArray[np.intp]

    def __post_init__(self) -> None:
        """Makes the arrays read-only."""
        for array in (self.log10_lr, self.loss, self.slope, self.noise, self.standard_error, self.outliers):
            array.setflags(write=False)


def smooth(curve: LRCurve, *, method: str = "spline") -> SmoothedCurve:
    """Smooths the finite points of a curve.

    Args:
        curve: The recorded curve.
        method: String. A key of `SMOOTHERS`.

    Returns:
        A `SmoothedCurve` over the points whose loss is finite; with none of them, its arrays are empty.

    Raises:
        InvalidOptionError: If `method` is not a key of `SMOOTHERS`.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> lr = np.logspace(-6, 0, 60)
    >>> line = smooth(LRCurve(lr=lr, loss=3.0 - 0.1 * np.log10(lr)))
    >>> bool(np.allclose(line.slope, -0.1))
    True
    """
    if method not in SMOOTHERS:
        raise unknown_option("method", method, SMOOTHERS)
    finite = np.isfinite(curve.loss)
    return SMOOTHERS[method](np.log10(curve.lr[finite]), curve.loss[finite])


def spline(x: Array, y: Array) -> SmoothedCurve:
    """Natural cubic smoothing spline, smoothness by generalised cross-validation, robust to single bad batches.

    The spline minimises ``sum w (y - f)^2 + penalty * integral f''^2``. With the eigenvectors of the weighted roughness
    matrix, the fit and its degrees of freedom for every penalty are one product away, and the penalty that minimises
    ``RSS / (n - 2 dof)^2`` is found on a grid.

    Where the loss explodes, the fit is made on ``asinh((y - start) / scale)``: a divergence to 1e6 times the start is
    then a few units high and does not decide how the rest is smoothed, and the noise, which grows with the loss, stays
    comparable. Each point weighs by the inverse of the noise variance found around it, since the noise of a scan
    changes along it.

    Args:
        x: log10 of the rates, increasing. Array of shape `(n,)`.
        y: Finite losses. Array of shape `(n,)`.

    Returns:
        A `SmoothedCurve` at the same `n` points.

    References:
        Green and Silverman (1994), "Nonparametric Regression and Generalized Linear Models", chapters 2 and 3.
        Craven and Wahba (1978), "Smoothing noisy data with spline functions".
    """
    return _unsmoothed(x, y) if x.size < FEWEST_POINTS else _SplineFit.of(x, y).at(x, y)


def resample(x: Array, y: Array, smoothed: SmoothedCurve, *, num_copies: int, seed: int = 0) -> Iterator[SmoothedCurve]:
    """Yields the smooth lines of copies of the curve that differ in the luck of the batches only.

    A copy is the smooth line plus residuals drawn with replacement, each scaled to the noise at its place, smoothed
    again with the same penalty: a residual bootstrap.

    Args:
        x: log10 of the rates. Array of shape `(n,)`.
        y: Finite losses. Array of shape `(n,)`.
        smoothed: What `spline` made of them.
        num_copies: How many copies; of fewer than four points there is one, the curve itself.
        seed: Seed of the draw.

    References:
        Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 9.
    """
    if x.size < FEWEST_POINTS:
        yield smoothed
        return
    fit = _SplineFit.of(x, y)
    rng = np.random.default_rng(seed)
    for _ in range(num_copies):
        loss, slope, _ = fit.line(x, fit.smoothed_again(rng))
        yield replace(smoothed, loss=loss, slope=slope)


@dataclass(frozen=True, kw_only=True, eq=False)
class _SplineFit:
    """One smoothing spline, with what is needed to smooth other losses at the same rates in the same way."""

    start: float
    scale: float
    exploded: bool
    knots: Array
    values: Array
    fitted: Array
    spread: Array
    noise: Array
    root: Array
    vectors: Array
    shrink: Array
    outliers: NDArray[np.intp]

    @classmethod
    def of(cls, x: Array, y: Array) -> _SplineFit:
        cleaned, outliers = _pull_back_outliers(y)
        start, scale = _level_and_scale(cleaned)
        z = (cleaned - start) / scale
        exploded = bool(z.max() > EXPLOSION)
        z = np.arcsinh(z) if exploded else z
        knots, values, counts = _thin(x, z)
        noise = _noise_of_neighbours(values)
        root = np.sqrt(counts * _precision(noise * np.sqrt(counts)))
        vectors, shrink, variance = _choose(_roughness(knots), root, values)
        return cls(
            start=start,
            scale=scale,
            exploded=exploded,
            knots=knots,
            values=values,
            fitted=vectors @ (shrink * (vectors.T @ (root * values))) / root,
            spread=np.sqrt(variance * (vectors**2 @ shrink**2)) / root,
            noise=noise,
            root=root,
            vectors=vectors,
            shrink=shrink,
            outliers=outliers,
        )

    def line(self, x: Array, fitted: Array) -> tuple[Array, Array, Array]:
        """Returns loss, slope and what one unit of the fit is worth in loss, at `x`."""
        curve = CubicSpline(self.knots, fitted, bc_type="natural")
        z = curve(x)
        height, stretch = (np.sinh(z), np.cosh(z)) if self.exploded else (z, np.ones_like(z))
        return self.start + self.scale * height, self.scale * stretch * curve(x, 1), self.scale * stretch

    def at(self, x: Array, y: Array) -> SmoothedCurve:
        """Returns the smooth line at `x`, with its noise about `y`."""
        loss, slope, stretch = self.line(x, self.fitted)
        return SmoothedCurve(
            log10_lr=x.copy(),
            loss=loss,
            slope=slope,
            noise=_local_noise(y - loss),
            standard_error=stretch * np.interp(x, self.knots, self.spread),
            method="spline",
            window=x.size / float(self.shrink.sum()),
            outliers=self.outliers.copy(),
        )

    def smoothed_again(self, rng: np.random.Generator) -> Array:
        usual = np.maximum(self.noise, 1e-12 + 1e-3 * float(self.noise.max()))
        residual = np.clip((self.values - self.fitted) / usual, -OUTLIER_SIGMA, OUTLIER_SIGMA)
        copy = self.fitted + usual * rng.choice(residual, residual.size)
        return np.asarray(self.vectors @ (self.shrink * (self.vectors.T @ (self.root * copy))) / self.root)


def _choose(roughness: Array, root: Array, y: Array) -> tuple[Array, Array, float]:
    """Returns eigenvectors, their shrinkage at the best penalty, and the variance of a point of weight one."""
    penalties, vectors = eigh(roughness / np.outer(root, root))
    penalties = np.maximum(penalties, 0.0)
    penalties[:2] = 0.0  # constants and straight lines cost nothing
    grid = np.logspace(-4, 4, 97)[:, None] / max(float(np.median(penalties[2:])), 1e-300)
    shrink = 1.0 / (1.0 + grid * penalties)
    dof = shrink.sum(axis=1)
    residual = ((1.0 - shrink) ** 2 * (vectors.T @ (root * y)) ** 2).sum(axis=1)
    free = y.size - DOF_COST * dof
    score = np.where(free > 0, residual / np.maximum(free, 1.0) ** 2, np.inf)
    best = int(np.argmin(score))
    return vectors, shrink[best], float(residual[best] / max(y.size - dof[best], 1.0))


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


def _noise_of_neighbours(y: Array) -> Array:
    """Returns the noise along the curve from second differences, in which a smooth curve all but cancels."""
    rough = np.abs(np.diff(y, 2)) / math.sqrt(6)
    around = median_filter(np.pad(rough, 1, mode="edge"), size=min(NOISE_WIDTH, y.size), mode="nearest")
    return np.asarray(NORMAL_MAD * around)


def _precision(noise: Array) -> Array:
    """Returns weights that fall with the noise variance, within a factor of `LARGEST_CONTRAST` to either side."""
    usual = float(np.median(noise))
    if usual <= 0:
        return np.ones_like(noise)
    inverse = 1.0 / np.clip(noise / usual, 1 / LARGEST_CONTRAST, LARGEST_CONTRAST) ** 2
    return np.asarray(inverse / inverse.max())


def _pull_back_outliers(y: Array) -> tuple[Array, NDArray[np.intp]]:
    """Returns the losses with lone far-off batches moved to the edge of what is usual there, and their indices."""
    width = min(7, y.size - (1 - y.size % 2))
    middle = median_filter(y, size=width, mode="nearest")
    away = y - middle
    usual = NORMAL_MAD * median_filter(np.abs(away), size=min(61, y.size), mode="nearest")
    low, high = np.percentile(middle, [5, 75])
    reach = OUTLIER_SIGMA * np.maximum(usual, 0.02 * (high - low))
    far = np.abs(away) > reach
    alone = far & ~np.roll(far, 1) & ~np.roll(far, -1)
    alone[[0, -1]] = False
    return np.where(alone, middle + np.sign(away) * reach, y), np.flatnonzero(alone)


def _level_and_scale(y: Array) -> tuple[float, float]:
    """Returns the first level of the loss and the size of what happens below it, or of the noise if that is larger."""
    head = max(3, y.size // 25)
    start = float(np.median(y[:head]))
    low = float(np.percentile(y, 2))
    noise = NORMAL_MAD * float(np.median(np.abs(np.diff(y, 2)))) / math.sqrt(6)
    bulk = float(np.percentile(y, 75) - np.percentile(y, 5))
    scale = max(start - low, 5 * noise, bulk / 2) or float(np.ptp(y))
    return start, scale if scale > SMALLEST_SCALE else 1.0


def _thin(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Averages many points in at most `MAX_KNOTS` equal bins of x; returns bin centres, means and numbers of points."""
    if x.size <= MAX_KNOTS:
        return x, y, np.ones_like(x)
    edges = np.linspace(x[0], x[-1], MAX_KNOTS + 1)
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, MAX_KNOTS - 1)
    counts = np.bincount(place, minlength=MAX_KNOTS).astype(float)
    full = counts > 0
    centres = np.bincount(place, weights=x, minlength=MAX_KNOTS)[full] / counts[full]
    means = np.bincount(place, weights=y, minlength=MAX_KNOTS)[full] / counts[full]
    return centres, means, counts[full]


def _local_noise(residual: Array) -> Array:
    """Returns the standard deviation of one batch along the curve, from the median size of the residuals near it."""
    num_parts = int(np.clip(residual.size // 15, 1, 20))
    parts = np.array_split(np.abs(residual), num_parts)
    centres = np.cumsum([0, *[part.size for part in parts[:-1]]]) + np.array([part.size / 2 for part in parts])
    levels = [NORMAL_MAD * float(np.median(part)) for part in parts]
    return np.interp(np.arange(residual.size), centres, levels)


def _unsmoothed(x: Array, y: Array) -> SmoothedCurve:
    return SmoothedCurve(
        log10_lr=x.copy(),
        loss=y.copy(),
        slope=np.gradient(y, x) if x.size > 1 else np.zeros_like(y),
        noise=np.zeros_like(y),
        standard_error=np.zeros_like(y),
        method="spline",
        window=1.0,
        outliers=np.zeros(0, dtype=np.intp),
    )


SMOOTHERS: Mapping[str, Callable[[Array, Array], SmoothedCurve]] = MappingProxyType({"spline": spline})
"""Name → function of (log10 rates, finite losses)."""
