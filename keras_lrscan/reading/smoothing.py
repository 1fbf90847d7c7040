"""Smooths a recorded curve without lag.

The default smoother is a natural cubic smoothing spline of the raw losses over log10(rate). Generalized
cross-validation chooses its smoothness, so users need not set a coefficient. Its derivative is exact, so the slope does
not depend on differences of noisy numbers. A spline is symmetric: unlike a moving average, it does not shift landmarks
to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import (
    OUTLIER_SIGMA,
    difference_noise,
    local_noise,
    neighbor_noise,
    precision,
    pull_back_outliers,
)
from keras_lrscan.errors import InvalidCurveError, unknown_option
from keras_lrscan.files.decoding import Floats, Indices, Number
from keras_lrscan.reading.adaptive_smoother import adaptive_hat
from keras_lrscan.reading.linear_smoothers import Bottom, Hat, identity_hat, local_hat, spline_hat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from keras_lrscan.curves.curve import LRCurve

__all__ = ["LINEAR_SMOOTHERS", "SMOOTHERS", "Fit", "SmoothedCurve", "smooth"]

MAX_KNOTS = 250
"""Number of points above which they are first averaged in equal bins of log10(rate), for a cost linear in points."""

MIN_POINTS = 4
"""Smallest number of points that are smoothed, since a cubic has four coefficients."""

EXPLOSION = 3.0
"""Multiple of the depth below the start by which an exploding loss exceeds the start."""

NEIGHBORS = 7
"""Number of neighboring points, or bins, with the losses that bound the smoothed curve."""

OVERSHOOT = 20.0
"""Largest excess of a spline over its values on the asinh scale, against overflow at absurd scales."""

SLACK = 1e-3
"""Share of the fall by which the curve may leave its bounds where points were averaged, since it rounds off valleys."""

SMALLEST_SCALE = 1e-200
"""Difference below which losses count as constant, since dividing by less would leave the range of a float."""

MAX_DECADES = 101.0
"""Largest size of log10 of a rate, since rates lie between 1e-100 and 1e100."""

EMA_KEEP = 0.98
"""Decay of the moving average in the plots of fastai, Lightning and ktrain."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SmoothedCurve:
    """Holds a smoothed curve over the points with a finite loss.

    Attributes:
        log10_lr: log10 of the rates (decades). Array of shape `(n,)`.
        loss: Smoothed loss (the model's unit). Array of shape `(n,)`.
        slope: d loss / d log10(rate) (loss per decade). Array of shape `(n,)`.
        noise: Standard deviation of one batch's loss about the smoothed loss. Array of shape `(n,)`.
        standard_error: Standard deviation of the smoothed loss itself. Array of shape `(n,)`.
        method: Name of the smoother.
        window: Width of the smoother's kernel (steps).
        outliers: Indices of isolated outliers that were pulled back toward their neighbors.
    """

    log10_lr: Floats
    loss: Floats
    slope: Floats
    noise: Floats
    standard_error: Floats
    method: str
    window: Number
    outliers: Indices

    def __post_init__(self) -> None:
        """Makes the arrays read-only and checks their consistency."""
        lines = (self.log10_lr, self.loss, self.slope, self.noise, self.standard_error)
        for array in (*lines, self.outliers):
            array.setflags(write=False)
        sizes = [array.size for array in lines]
        if len(set(sizes)) > 1 or (self.outliers >= sizes[0]).any():
            msg = f"Expected five arrays of the same length, and outliers within it. Received: lengths={sizes}."
            raise InvalidCurveError(msg)
        finite = all(np.isfinite(array).all() for array in lines)
        if not (finite and (np.abs(self.log10_lr) <= MAX_DECADES).all() and (np.diff(self.log10_lr) > 0).all()):
            msg = (
                f"Expected finite numbers, and increasing rates within {MAX_DECADES:g} decades. Received: other values."
            )
            raise InvalidCurveError(msg)


def smooth(curve: LRCurve, *, method: str = "spline") -> SmoothedCurve:
    """Smooths the finite points of a curve.

    Args:
        curve: The recorded curve.
        method: String. One of `SMOOTHERS`.

    Returns:
        A `SmoothedCurve` over the points with a finite loss; its arrays are empty if there are none.

    Raises:
        InvalidOptionError: If `method` is not one of `SMOOTHERS`.

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
    fit = Fit.of(curve, method=method)
    if fit is not None:
        return fit.smoothed()
    finite = np.isfinite(curve.loss)
    x, y = np.log10(curve.lr[finite]), curve.loss[finite]
    return _unsmoothed(method, x, y) if x.size < MIN_POINTS else ema(x, y)


def ema(x: Array, y: Array) -> SmoothedCurve:
    """Returns the moving average that other tools plot, for comparison only: it lags, which shifts all landmarks.

    It is ``m[t] = 0.98 m[t-1] + 0.02 y[t]``, divided by ``1 - 0.98^(t+1)``, as in fastai and ktrain. On a scan of 100
    steps over eight decades, its steepest point lies 0.7 decade too far right.

    Args:
        x: log10 of the rates, increasing. Array of shape `(n,)`.
        y: Finite losses. Array of shape `(n,)`.

    References:
        Howard and Gugger (2020), "fastai: A Layered API for Deep Learning", `Recorder.smooth_loss`.
    """
    weight = 1 - EMA_KEEP ** np.arange(1, y.size + 1)
    fresh = ((1 - EMA_KEEP) * y).tolist()
    loss = np.array(list(accumulate(fresh, lambda average, new: new + EMA_KEEP * average))) / weight
    noise = local_noise(y - loss)
    return SmoothedCurve(
        log10_lr=x.copy(),
        loss=loss,
        slope=np.gradient(loss, x),
        noise=noise,
        standard_error=noise * np.sqrt((1 - EMA_KEEP) / (1 + EMA_KEEP) * (2 - weight) / weight),
        method="ema",
        window=(1 + EMA_KEEP) / (1 - EMA_KEEP),
        outliers=np.zeros(0, dtype=np.intp),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prepared:
    """Prepares losses for a linear smoother: pulls back outliers, compresses an explosion and averages many points.

    If the loss explodes, the smoother is fitted to ``asinh((y - start) / scale)``. A divergence to 1e6 times the start
    is then a few units high and does not determine the smoothness of the rest, and the noise, which grows with the
    loss, stays comparable. Each point is weighted by the inverse variance of the noise around it, since the noise of a
    scan is not uniform.
    """

    start: float
    scale: float
    exploded: bool
    knots: Array
    values: Array
    noise: Array
    weights: Array
    bottom: Bottom | None
    bin_width: float
    bounds: tuple[Array, Array]
    outliers: Indices

    @classmethod
    def of(cls, x: Array, y: Array) -> _Prepared:
        cleaned, outliers = pull_back_outliers(y)
        start, scale = _level_and_scale(cleaned)
        z = (cleaned - start) / scale
        exploded = bool(z.max() > EXPLOSION)
        z = np.arcsinh(z) if exploded else z
        knots, values, counts = _thin(x, z)
        noise, width = neighbor_noise(values), NEIGHBORS * -(-x.size // MAX_KNOTS)
        slack = SLACK * scale if knots.size < x.size else 0.0
        return cls(
            start=start,
            scale=scale,
            exploded=exploded,
            knots=knots,
            values=values,
            noise=noise,
            weights=counts * precision(noise * np.sqrt(counts)),
            bottom=Bottom.of(values),
            bin_width=float(x[-1] - x[0]) / MAX_KNOTS if knots.size < x.size else 0.0,
            bounds=(minimum_filter1d(cleaned, width) - slack, maximum_filter1d(cleaned, width) + slack),
            outliers=outliers,
        )

    def hat(self, method: str) -> Hat:
        return identity_hat(self.values) or LINEAR_SMOOTHERS[method](self.knots, self.weights, self.values, self.bottom)

    def line(self, x: Array, fitted: Array) -> tuple[Array, Array, Array]:
        """Returns the loss, the slope and the loss per unit of the fit, at `x`.

        The loss is bounded by the losses around each point, since a spline would swing far below zero near an
        explosion.
        """
        from scipy.interpolate import CubicSpline

        curve = CubicSpline(self.knots, fitted, bc_type="natural")
        if self.bin_width:  # the mean over a bin exceeds its middle where the curve is convex
            bent = fitted - self.bin_width**2 / 24 * curve(self.knots, 2)
            curve = CubicSpline(self.knots, bent, bc_type="natural")
        z = np.clip(curve(x), self.values.min() - OVERSHOOT, self.values.max() + OVERSHOOT)
        height, stretch = (np.sinh(z), np.cosh(z)) if self.exploded else (z, np.ones_like(z))
        loss = self.start + self.scale * height
        return (
            np.clip(loss, *self.bounds),
            self.scale * stretch * curve(x, 1),
            self.scale * stretch,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Holds a fitted linear smoother and its data, and computes the smoothed curve and noise-resampled copies.

    Attributes:
        method: A key of `LINEAR_SMOOTHERS`.
        x: log10 of the rates. Array of shape `(n,)`.
        y: Finite losses. Array of shape `(n,)`.
    """

    method: str
    x: Array
    y: Array
    _prepared: _Prepared
    _hat: Hat

    @classmethod
    def of(cls, curve: LRCurve, *, method: str = "spline") -> Fit | None:
        """Fits the finite points of a curve; `None` for fewer than four points or a method that is not linear."""
        finite = np.isfinite(curve.loss)
        if finite.sum() < MIN_POINTS or method not in LINEAR_SMOOTHERS:
            return None
        x, y = np.log10(curve.lr[finite]), curve.loss[finite]
        prepared = _Prepared.of(x, y)
        return cls(method=method, x=x, y=y, _prepared=prepared, _hat=prepared.hat(method))

    def smoothed(self) -> SmoothedCurve:
        """Returns the smoothed curve."""
        prepared, hat = self._prepared, self._hat
        loss, slope, stretch = prepared.line(self.x, hat.matrix @ prepared.values)
        spread = np.sqrt(hat.matrix**2 @ prepared.noise**2)
        return SmoothedCurve(
            log10_lr=self.x.copy(),
            loss=loss,
            slope=slope,
            noise=local_noise(self.y - loss),
            standard_error=stretch * np.interp(self.x, prepared.knots, spread),
            method=self.method,
            window=self.x.size / hat.dof,
            outliers=prepared.outliers.copy(),
        )

    def copies(self, num_copies: int, *, seed: int = 0) -> Iterator[SmoothedCurve]:
        """Yields the smoothed curves of copies of the curve that differ only in their noise (a residual bootstrap).

        A copy is the smoothed curve plus residuals drawn with replacement. Each residual is scaled to the noise at its
        place, and the copy is smoothed with the same smoothness.

        Args:
            num_copies: Number of copies.
            seed: Seed of the random draw.

        References:
            Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 9.
        """
        prepared, smoothed = self._prepared, self.smoothed()
        fitted = self._hat.matrix @ prepared.values
        usual = np.maximum(prepared.noise, 1e-12 + 1e-3 * float(prepared.noise.max()))
        residual = np.clip((prepared.values - fitted) / usual, -OUTLIER_SIGMA, OUTLIER_SIGMA)
        rng = np.random.default_rng(seed)
        for _ in range(num_copies):
            copy = fitted + usual * rng.choice(residual, residual.size)
            loss, slope, _ = prepared.line(self.x, self._hat.matrix @ copy)
            yield replace(smoothed, loss=loss, slope=slope)


def _level_and_scale(y: Array) -> tuple[float, float]:
    """Returns the first level of the loss, and the depth of the loss below it or the size of the noise, if larger."""
    head = max(3, y.size // 25)
    start = float(np.median(y[:head]))
    low = float(np.percentile(y, 2))
    bulk = float(np.percentile(y, 75) - np.percentile(y, 5))
    scale = max(start - low, 5 * difference_noise(y), bulk / 2) or float(np.ptp(y))
    return start, scale if scale > SMALLEST_SCALE else 1.0


def _thin(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Averages points in at most `MAX_KNOTS` equal bins of x; returns bin centers, means and counts."""
    if x.size <= MAX_KNOTS:
        return x, y, np.ones_like(x)
    edges = np.linspace(x[0], x[-1], MAX_KNOTS + 1)
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, MAX_KNOTS - 1)
    counts = np.bincount(place, minlength=MAX_KNOTS).astype(float)
    full = counts > 0
    centers = np.bincount(place, weights=x, minlength=MAX_KNOTS)[full] / counts[full]
    means = np.bincount(place, weights=y, minlength=MAX_KNOTS)[full] / counts[full]
    return centers, means, counts[full]


def _unsmoothed(method: str, x: Array, y: Array) -> SmoothedCurve:
    return SmoothedCurve(
        log10_lr=x.copy(),
        loss=y.copy(),
        slope=np.gradient(y, x) if x.size > 1 else np.zeros_like(y),
        noise=np.zeros_like(y),
        standard_error=np.zeros_like(y),
        method=method,
        window=1.0,
        outliers=np.zeros(0, dtype=np.intp),
    )


LINEAR_SMOOTHERS: Mapping[str, Callable[[Array, Array, Array, Bottom | None], Hat]] = MappingProxyType(
    {"spline": spline_hat, "local": local_hat, "adaptive": adaptive_hat}
)
"""Name → smoother without lag: a function of (places, weights, values, bottom)."""

SMOOTHERS = (*LINEAR_SMOOTHERS, "ema")
"""Names of all smoothers; `ema` lags and serves for comparison only."""
