"""Smooths a recorded curve without lag.

The smoothed curve is a penalized line through the losses over log10(rate), on a scale on which their noise is even.
Generalized cross-validation weighs its smoothness, so users need not set a coefficient; see
`keras_lrscan.reading.adaptive_smoother`. The line is symmetric: unlike a moving average, it does not shift landmarks to
the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import (
    OUTLIER_SIGMA,
    difference_noise,
    local_noise,
    lone_outliers,
    neighbor_noise,
    precision,
)
from keras_lrscan.errors import InvalidCurveError, unknown_option
from keras_lrscan.files.decoding import Floats, Indices, Number
from keras_lrscan.reading.adaptive_smoother import Hat, adaptive_hat, identity_hat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keras_lrscan.curves.curve import LRCurve

__all__ = ["SMOOTHERS", "Fit", "SmoothedCurve", "smooth"]

MAX_KNOTS = 250
"""Number of points above which they are first averaged in equal bins of log10(rate), for a cost linear in points."""

MIN_POINTS = 4
"""Smallest number of points that are smoothed, since a cubic has four coefficients."""

LOW_PERCENT = 2
"""Percentile of the losses that stands for the lowest of them."""

LOW_SHARE = 1e-3
"""Smallest such loss, as a share of the median, since a logarithmic scale has no place for a loss of zero."""

MOST_STEADY = 100.0
"""Largest fall that the scale is linear over, in units of the scatter of the bulk of losses that can be negative.

A loss without a lowest value can fall to -1e20 in the last batches, beside which all others would look alike.
"""

SMALLEST_SCALE = 1e-200
"""Difference below which losses count as constant, since dividing by less would leave the range of a float."""

MAX_DECADES = 101.0
"""Largest size of log10 of a rate, since rates lie between 1e-100 and 1e100."""

SLOPE_DECADES = 0.25
"""Width over which the slope is averaged to find the steepest point, so that two batches cannot make it."""

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
        outliers: Indices of isolated outliers, which the line passes over.
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

    @cached_property
    def mean_slope(self) -> Array:
        """Slope around each point, averaged over `SLOPE_DECADES` (loss per decade). Array of shape `(n,)`."""
        x, loss = self.log10_lr, self.loss
        left, right = np.maximum(x - SLOPE_DECADES / 2, x[0]), np.minimum(x + SLOPE_DECADES / 2, x[-1])
        return np.asarray((np.interp(right, x, loss) - np.interp(left, x, loss)) / (right - left))


def smooth(curve: LRCurve, *, method: str = "adaptive", fit: Fit | None = None) -> SmoothedCurve:
    """Smooths the finite points of a curve.

    Args:
        curve: The recorded curve.
        method: String. One of `SMOOTHERS`.
        fit: The `Fit` of the curve, if it exists already.

    Returns:
        A `SmoothedCurve` over the points with a finite loss; its arrays are empty if there are none.

    Raises:
        InvalidOptionError: If `method` is not one of `SMOOTHERS`.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> lr = np.logspace(-6, 0, 60)
    >>> line = smooth(LRCurve(lr=lr, loss=3.0 - 0.1 * np.log10(lr)))
    >>> bool(np.allclose(line.slope, -0.1, atol=0.002))
    True
    """
    if method not in SMOOTHERS:
        raise unknown_option("method", method, SMOOTHERS)
    fit = fit or Fit.of(curve)
    if fit is None:
        finite = np.isfinite(curve.loss)
        return _unsmoothed(method, np.log10(curve.lr[finite]), curve.loss[finite])
    return fit.smoothed() if method == "adaptive" else ema(fit.x, fit.y)


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


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Puts losses on a scale on which the noise is even: ``asinh((loss - zero) / unit)``.

    The noise of a batch grows with its loss. Losses that are all positive are compared with zero, so the scale is
    logarithmic but for the lowest of them. Other losses are compared with their start, in units of the fall. In both
    cases, a divergence to 1e6 times the start is a few units high and does not determine the line elsewhere.

    Attributes:
        zero: Loss at the middle of the scale (the model's unit).
        unit: Distance from there within which the scale is about linear (the model's unit).
    """

    zero: float
    unit: float

    @classmethod
    def of(cls, y: Array) -> Scale:
        """Chooses the scale for the losses of one curve."""
        low, middle = (float(level) for level in np.percentile(y, [LOW_PERCENT, 50]))
        if y.min() >= 0 and middle > SMALLEST_SCALE:
            return cls(zero=0.0, unit=2 * max(low, LOW_SHARE * middle))
        start = float(np.median(y[: max(3, y.size // 25)]))
        bulk = float(np.percentile(y, 75) - np.percentile(y, 5))
        steady = max(5 * difference_noise(y), bulk / 2)
        unit = max(min(start - low, MOST_STEADY * steady), steady) or float(np.ptp(y))
        return cls(zero=start, unit=unit if unit > SMALLEST_SCALE else 1.0)

    def to(self, y: Array) -> Array:
        """Returns losses on this scale."""
        return np.arcsinh((y - self.zero) / self.unit)

    def back(self, z: Array) -> tuple[Array, Array]:
        """Returns the losses of values on this scale, and the losses per unit of the scale."""
        return self.zero + self.unit * np.sinh(z), self.unit * np.cosh(z)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prepared:
    """Holds the values that the line is fitted to: the losses on their scale, averaged in bins if there are many.

    Each value is weighted by the inverse variance of the noise around it, since the noise of a scan is not uniform.
    Isolated outliers are replaced by the mean of their neighbors, since one unusual batch is not a trend.
    """

    scale: Scale
    knots: Array
    values: Array
    noise: Array
    weights: Array
    bin_width: float
    outliers: Indices

    @classmethod
    def of(cls, x: Array, y: Array) -> _Prepared:
        scale, outliers = Scale.of(y), lone_outliers(y)
        z = scale.to(y)
        z[outliers] = (z[outliers - 1] + z[outliers + 1]) / 2
        knots, values, counts = _thin(x, z)
        noise = neighbor_noise(values)
        return cls(
            scale=scale,
            knots=knots,
            values=values,
            noise=noise,
            weights=counts * precision(noise * np.sqrt(counts)),
            bin_width=float(x[-1] - x[0]) / MAX_KNOTS if knots.size < x.size else 0.0,
            outliers=outliers,
        )

    def hat(self) -> Hat:
        """Fits the line."""
        return identity_hat(self.values) or adaptive_hat(self.knots, self.weights, self.values)

    def line(self, x: Array, fitted: Array) -> tuple[Array, Array, Array]:
        """Returns the loss, the slope and the loss per unit of the scale, at `x`."""
        from scipy.interpolate import CubicSpline

        if self.bin_width:  # the mean over a bin exceeds its middle where the curve is convex
            bend = CubicSpline(self.knots, fitted, bc_type="natural")(self.knots, 2)
            fitted = fitted - self.bin_width**2 / 24 * bend
        fitted = np.clip(fitted, self.values.min(), self.values.max())
        curve = CubicSpline(self.knots, fitted, bc_type="natural")
        loss, stretch = self.scale.back(curve(x))
        return loss, stretch * curve(x, 1), stretch


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Holds a fitted line and its data, and computes the smoothed curve and noise-resampled copies.

    Attributes:
        x: log10 of the rates. Array of shape `(n,)`.
        y: Finite losses. Array of shape `(n,)`.
    """

    x: Array
    y: Array
    _prepared: _Prepared
    _hat: Hat

    @classmethod
    def of(cls, curve: LRCurve) -> Fit | None:
        """Fits the finite points of a curve; `None` for fewer than four points."""
        finite = np.isfinite(curve.loss)
        if finite.sum() < MIN_POINTS:
            return None
        x, y = np.log10(curve.lr[finite]), curve.loss[finite]
        prepared = _Prepared.of(x, y)
        return cls(x=x, y=y, _prepared=prepared, _hat=prepared.hat())

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
            method="adaptive",
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


SMOOTHERS = ("adaptive", "ema")
"""Names of all smoothers; `ema` lags and serves for comparison only."""
