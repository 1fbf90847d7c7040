"""Smoothing without lag: `LRCurve` → `SmoothedCurve`.

The default is a natural cubic smoothing spline through the raw losses over log10(rate). Its smoothness is chosen by
generalized cross-validation, so no coefficient is asked of the user, and its derivative is exact, so the slope needs no
differences of noisy numbers. A spline is symmetric: unlike a moving average it moves no landmark to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

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
from keras_lrscan.reading.linear_smoothers import Bottom, Hat, identity_hat, local_hat, spline_hat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from keras_lrscan.curves.curve import LRCurve

Array = Floats

__all__ = ["LINEAR_SMOOTHERS", "SMOOTHERS", "Fit", "SmoothedCurve", "smooth"]

MAX_KNOTS = 250
"""Points beyond this many are averaged in equal steps of log10(rate) first; the cost is then linear in the points."""

MIN_POINTS = 4
"""A cubic has four coefficients; fewer points are their own best line."""

EXPLOSION = 3.0
"""A loss explodes when it rises above its start by more than this many times what happens below the start."""

NEIGHBORS = 7
"""The smooth line stays within the losses of this many neighbors, or of the points in as many averages."""

OVERSHOOT = 20.0
"""A spline leaves the values that it goes through by less, but at absurd scales, where asinh would have no way back."""

SLACK = 1e-3
"""Where points were averaged it may leave them by this share of the fall, as it does by rounding off a valley."""

SMALLEST_SCALE = 1e-200
"""Losses that differ by less are one constant: dividing by less would leave the range of a float."""

MAX_DECADES = 101.0
"""log10 of a rate is no further from zero: rates are from 1e-100 to 1e100."""

EMA_KEEP = 0.98
"""Share of the average that each batch keeps in the average that fastai, Lightning and ktrain draw."""


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
        outliers: Indices of lone batches that stood far off their neighbors and were pulled back.
    """

    log10_lr: Array
    loss: Array
    slope: Array
    noise: Array
    standard_error: Array
    method: str
    window: Number
    outliers: Indices

    def __post_init__(self) -> None:
        """Makes the arrays read-only and checks that they belong together."""
        lines = (self.log10_lr, self.loss, self.slope, self.noise, self.standard_error)
        for array in (*lines, self.outliers):
            array.setflags(write=False)
        sizes = [array.size for array in lines]
        if len(set(sizes)) > 1 or (self.outliers >= sizes[0]).any():
            msg = f"Expected five arrays of one length, and outliers in it. Received: lengths={sizes}."
            raise InvalidCurveError(msg)
        finite = all(np.isfinite(array).all() for array in lines)
        if not (finite and (np.abs(self.log10_lr) <= MAX_DECADES).all() and (np.diff(self.log10_lr) > 0).all()):
            msg = f"Expected finite numbers, and rates that rise within {MAX_DECADES:g} decades. Received: others."
            raise InvalidCurveError(msg)


def smooth(curve: LRCurve, *, method: str = "spline") -> SmoothedCurve:
    """Smooths the finite points of a curve.

    Args:
        curve: The recorded curve.
        method: String. One of `SMOOTHERS`.

    Returns:
        A `SmoothedCurve` over the points whose loss is finite; with none of them, its arrays are empty.

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
    """The moving average that other tools draw, for comparison only: it lags, so no landmark of it can be trusted.

    ``m[t] = 0.98 m[t-1] + 0.02 y[t]``, divided by ``1 - 0.98^(t+1)``: fastai's and ktrain's smoothing. On a scan of 100
    steps over eight decades its steepest fall stands 0.7 decade too far right.

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
    """Losses made ready for a linear smoother: outliers pulled back, an explosion folded, many points averaged.

    Where the loss explodes, the fit is made on ``asinh((y - start) / scale)``: a divergence to 1e6 times the start is
    then a few units high and does not decide how the rest is smoothed, and the noise, which grows with the loss, stays
    comparable. Each point weighs by the inverse of the noise variance found around it, since the noise of a scan
    changes along it.
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
        """Returns loss, slope and what one unit of the fit is worth in loss, at `x`.

        The line is kept within the losses around each point: beside an explosion a spline would swing far below zero.
        """
        from scipy.interpolate import CubicSpline

        curve = CubicSpline(self.knots, fitted, bc_type="natural")
        if self.bin_width:  # the mean over a bin is above its middle where the curve bends up
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
    """One linear smoother at its best smoothness, and what it was fitted to: makes the line, and copies of it.

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
        """Fits the finite points of a curve; `None` for fewer than four of them, or a method that is not linear."""
        finite = np.isfinite(curve.loss)
        if finite.sum() < MIN_POINTS or method not in LINEAR_SMOOTHERS:
            return None
        x, y = np.log10(curve.lr[finite]), curve.loss[finite]
        prepared = _Prepared.of(x, y)
        return cls(method=method, x=x, y=y, _prepared=prepared, _hat=prepared.hat(method))

    def smoothed(self) -> SmoothedCurve:
        """Returns the smooth line through the curve."""
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
        """Yields the smooth lines of copies of the curve that differ in the luck of the batches only.

        A copy is the smooth line plus residuals drawn with replacement, each scaled to the noise at its place, smoothed
        again with the same smoothness: a residual bootstrap.

        Args:
            num_copies: How many copies.
            seed: Seed of the draw.

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
    """Returns the first level of the loss and the size of what happens below it, or of the noise if that is larger."""
    head = max(3, y.size // 25)
    start = float(np.median(y[:head]))
    low = float(np.percentile(y, 2))
    bulk = float(np.percentile(y, 75) - np.percentile(y, 5))
    scale = max(start - low, 5 * difference_noise(y), bulk / 2) or float(np.ptp(y))
    return start, scale if scale > SMALLEST_SCALE else 1.0


def _thin(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Averages many points in at most `MAX_KNOTS` equal bins of x; returns bin centers, means and numbers of points."""
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
    {"spline": spline_hat, "local": local_hat}
)
"""Name → function of (places, weights, values, bottom). These do not lag."""

SMOOTHERS = (*LINEAR_SMOOTHERS, "ema")
"""Names of all smoothers. `ema` lags and is there to compare with."""
