"""Detects running averages in a recorded loss curve.

Each step draws a new batch, so the losses of single batches scatter independently about the curve, and successive
differences correlate at -1/2. An average depends on earlier losses, so its differences do not. Undoing the right
average restores the differences of single losses. Undoing a wrong one does not, or it leaves noise that grows or
shrinks along the start of the scan, where the rates are still too small to change anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from keras_lrscan._typing import Array
from keras_lrscan.curves.averaging import AVERAGES, FLOAT32_ROUNDING, Average, get_average, stored_precision
from keras_lrscan.curves.noise import NORMAL_MAD

if TYPE_CHECKING:
    from keras_lrscan.curves.curve import LRCurve

__all__ = ["MIN_POINTS", "DetectedAveraging", "correlations_of_differences", "detect_averaging", "scatter_as_batches"]

MIN_POINTS = 40
"""Smallest number of points for a decision: in shorter records, raw losses look averaged by chance."""

MAX_POINTS = 4000
"""Number of points that are analyzed, from the first on."""

RAW_CORRELATIONS = (-0.66, -0.25)
"""Correlations of successive differences that single batches may have; pure noise has -1/2.

Set on 230 scans of four kinds of model on three sets of data, with batches of 4 to 64: nine in ten have -0.56 to -0.26.
Of moving averages of the same losses, nine in ten have -0.31 to 0.04, and of ktrain's averages 0.05 to 0.41.
"""

MAX_SECOND_CORRELATION = 0.3
"""Largest correlation of differences two steps apart that single batches may have; pure noise has 0."""

NEGATIVE_SHARE = 0.02
"""Positive averages are assumed not to come from losses below minus this share of the median average."""

DOUBT = 0.8
"""To prove raw losses, the correlation of a part of n points must be below the upper limit by this over sqrt(n)."""

PARTS = (0.3, 0.6, 1.0)
"""Shares of a record that are tested: where the curve is steep and calm, its own course hides the noise."""

MIN_PART = 24
"""Points of the shortest part."""

START_SHARE = 0.6
"""Share of a record in which each loss is predicted from the losses before it."""

CALM_SHARE = 0.35
"""Share of a record in which the noise is assumed constant, since rates this small change nothing."""

CLEAR = 5.0
"""Log-likelihood by which one average must exceed the next to be named."""

CLEAR_EACH = 0.15
"""Log-likelihood per loss of the calm start that is also needed, against noise that grows or shrinks by itself.

Set on the running mean of a scan of a text encoder whose noise grew while its rates were still tiny: a moving average
exceeds the right average by 0.12 there.
"""

CLEAR_PREDICTION = 10.0
"""Log-likelihood by which some average must predict each loss better than single batches do."""

CLEAR_RESTART = 6.0
"""Log-likelihood by which a mean that restarts every epoch must exceed a mean that never restarts."""

SAME_LOSSES = 0.25
"""Two averages count as one if their recovered losses differ by less than this share of the noise."""

NOISE_TO_ROUNDING = 5.0
"""Smallest ratio of the noise of recovered losses to their rounding error."""

LOGIT = 1.0
"""Assumed size of logits: float32 rounds a small loss, the difference of two logits, by as much as the logits."""

TREND_WIDTH = 7
"""Differences in the running mean that is subtracted from each difference to remove the course of the curve."""

LINE_POINTS = 8
"""Losses in the straight line that predicts the next loss."""

SCALE_WIDTH = 31
"""Differences in the running median that estimates their usual size."""

MAX_DIFFERENCE = 4.0
"""Limit of a difference, in units of the usual size, so that the explosion does not dominate."""

MAX_DEVIATION = 10.0
"""Limit of the deviation of the first losses, in units of the noise; their likelihood is at its floor there."""

DEGREES_OF_FREEDOM = 2.0
"""Degrees of freedom of Student's distribution of the differences: heavy tails, for outliers."""

NUM_FIRST = 3
"""Number of first losses, which show how an average begins."""

NO_NOISE = 1e-9
"""Differences below this share of the loss are float64 rounding rather than noise."""

LOG_NORMAL = (-0.24, 1.11)
"""Mean and standard deviation of the log of a normal deviate over the median deviate."""

RESTART_SHARE = 0.8
"""The change after an epoch of n batches should be n ** 0.8 times the changes before it; larger ones count as that."""

SHORTEST_EPOCH = 4
"""Smallest epoch length that is searched: a mean over fewer batches moves no landmark by more than two steps."""

MAX_LENGTHS = 12
"""Number of epoch lengths that are tested closely."""

CLEAR_JUMPS = 2.0
"""Log-likelihood by which the changes at the ends of epochs must exceed the changes before them."""

LOG_FLOOR = 1e-200
"""Lower limit of arguments of logarithms and of divisors."""


@dataclass(frozen=True, kw_only=True)
class DetectedAveraging:
    """Holds the averaging that was detected in a record.

    Attributes:
        averaged: Whether the losses are averages.
        averaging: The average, a key of `AVERAGES`; `None` for single batches and for averages without a clear match.
        steps_per_epoch: Batches per epoch, for averages that restart at every epoch: read from the restarts, or one
            more than the number of points if the record ends within the first epoch. `None` if unknown.
        evidence: Sentences with the numbers behind the decision.
    """

    averaged: bool
    averaging: str | None
    steps_per_epoch: float | None
    evidence: tuple[str, ...]


def detect_averaging(curve: LRCurve) -> DetectedAveraging:
    """Detects whether the losses of a curve are averages, and which of `AVERAGES` they are.

    An average that the context declares is taken as given. Otherwise the decision is cautious: a record without noise,
    such as that of a scan over full batches, counts as not averaged.

    Args:
        curve: A complete curve, without omitted points.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> from keras_lrscan.curves.averaging import AVERAGES
    >>> from keras_lrscan.curves.detect_averaging import detect_averaging
    >>> losses = 2.3 + 0.1 * np.random.default_rng(0).standard_normal(300)
    >>> curve = LRCurve(lr=np.logspace(-7, 0, 300), loss=AVERAGES["lightning"].apply(losses))
    >>> detect_averaging(curve).averaging
    'lightning'
    >>> detect_averaging(LRCurve(lr=curve.lr, loss=losses)).averaged
    False
    """
    if curve.context.averaging is not None:
        return _declared(curve.context.averaging, curve.context.steps_per_epoch)
    stored = _finite_start(curve.without_dust().loss)
    if stored.size < MIN_POINTS:
        return _raw(f"{stored.size} points are too few to distinguish averages from single losses")
    found = [correlations_of_differences(stored[part])[0] for part in _parts(stored)]
    if any(math.isnan(one) for one in found):
        return _raw("the losses have no noise that would distinguish averages from single losses")
    doubts = [1 / math.sqrt(stored[part].size) for part in _parts(stored)]
    for one, doubt in zip(found, doubts, strict=True):
        if one <= RAW_CORRELATIONS[1] - DOUBT * doubt:
            return _raw(f"successive differences correlate at {one:.2f}, as those of single batches do")
    plain = _Candidate(average=_NO_AVERAGE, losses=stored, log_gain=np.zeros(stored.size))
    candidates = [candidate for candidate in _candidates(stored) if _looks_raw(candidate, stored)]
    first = f"successive differences correlate at {found[-1]:+.2f}, those of single batches at about -0.45"
    if not any(plain.surprise - candidate.surprise > CLEAR_PREDICTION for candidate in candidates):
        return _raw(f"{first}, but no known average explains this")
    return _choose(candidates, first, whole=stored.size < MAX_POINTS)


def scatter_as_batches(losses: Array, *, doubt: float = DOUBT) -> bool:
    """Returns whether successive differences correlate as clearly negatively as those of single batches do.

    Args:
        losses: Finite losses; fewer than `MIN_POINTS` prove nothing.
        doubt: See `DOUBT`; larger if other evidence says that they are averages.
    """
    if losses.size < MIN_POINTS:
        return False
    return correlations_of_differences(losses)[0] <= RAW_CORRELATIONS[1] - doubt / math.sqrt(losses.size)


def correlations_of_differences(losses: Array) -> tuple[float, float]:
    """Returns the correlations of differences one and two steps apart, each scaled by the usual size around it.

    Both are NaN for losses without noise. Only the first `MAX_POINTS` count.
    """
    losses = losses[:MAX_POINTS]
    steps = np.diff(losses)
    steps -= uniform_filter1d(steps, TREND_WIDTH, mode="nearest")
    usual = median_filter(np.abs(steps), size=min(SCALE_WIDTH, steps.size), mode="nearest")
    if np.median(usual) <= NO_NOISE * np.median(np.abs(losses)):
        return math.nan, math.nan
    z = np.clip(steps / np.maximum(usual, LOG_FLOOR), -MAX_DIFFERENCE, MAX_DIFFERENCE)
    power = float(z @ z)
    return float(z[1:] @ z[:-1]) / power, float(z[2:] @ z[:-2]) / power


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    """Holds the losses that undoing one average gives, and judges them by their likelihood.

    Attributes:
        average: The average.
        losses: The recovered losses. Array of shape `(n,)`.
        log_gain: Log of the factor by which the inversion enlarges each value, which likelihoods must include. Array of
            shape `(n,)`.
        epoch: Batches per epoch, for a mean with detected restarts.
    """

    average: Average
    losses: Array
    log_gain: Array
    epoch: int | None = None

    @property
    def likelihood(self) -> float:
        """Log-likelihood of the start of the record under constant noise."""
        end = max(int(CALM_SHARE * self.losses.size), MIN_POINTS)
        return (
            _fit_to_constant_noise(self.losses[:end])
            + float(self.log_gain[1:end].sum())
            + _likelihood_of_first(self.losses)
        )

    @property
    def surprise(self) -> float:
        """Negative log-likelihood of the start of the record, given a prediction of each loss from earlier losses."""
        end = int(START_SHARE * self.losses.size)
        return _surprise(self.losses[:end]) - float(self.log_gain[LINE_POINTS:end].sum())

    @property
    def fit(self) -> float:
        """Log-likelihood of the whole record under noise that changes along the record."""
        return _fit_to_local_noise(self.losses) + float(self.log_gain[1:].sum())


_NO_AVERAGE = Average(name="none", words="the loss of one batch", stages=())


def _declared(averaging: str, steps_per_epoch: float | None) -> DetectedAveraging:
    average = AVERAGES.get(averaging)
    return DetectedAveraging(
        averaged=True,
        averaging=None if average is None else average.name,
        steps_per_epoch=steps_per_epoch,
        evidence=(f"the context declares averaging={averaging!r}",),
    )


def _raw(evidence: str) -> DetectedAveraging:
    return DetectedAveraging(averaged=False, averaging=None, steps_per_epoch=None, evidence=(evidence,))


def _choose(candidates: list[_Candidate], first: str, *, whole: bool) -> DetectedAveraging:
    ranked = sorted(candidates, key=lambda candidate: -candidate.likelihood)
    best = ranked[0]
    clear = max(CLEAR, CLEAR_EACH * CALM_SHARE * best.losses.size)
    near = [candidate for candidate in ranked if best.likelihood - candidate.likelihood < clear]
    if not all(_gives_same_losses(best, other) for other in near):
        names = " or ".join(repr(candidate.average.name) for candidate in near)
        evidence = (first, f"undone as {names}, they correlate as expected, so the average cannot be identified")
        return DetectedAveraging(averaged=True, averaging=None, steps_per_epoch=None, evidence=evidence)
    correlation = correlations_of_differences(best.losses)[0]
    undone = f"undone as {best.average.name!r}, they correlate at {correlation:+.2f}"
    restarts = () if best.epoch is None else (f"the average restarts every {best.epoch} batches",)
    return DetectedAveraging(
        averaged=True,
        averaging=best.average.name,
        steps_per_epoch=best.epoch or (best.losses.size + 1 if best.average.needs_epoch and whole else None),
        evidence=(first, undone, *restarts),
    )


def _parts(stored: Array) -> tuple[slice, ...]:
    return tuple(slice(max(int(share * stored.size), MIN_PART)) for share in PARTS)


def _finite_start(loss: Array) -> Array:
    broken = np.flatnonzero(~np.isfinite(loss))
    return loss[: int(broken[0]) if broken.size else loss.size][:MAX_POINTS]


def _looks_raw(candidate: _Candidate, stored: Array) -> bool:
    """Returns whether the recovered losses look like those of single batches in every part of the record."""
    precision = max(stored_precision(stored), FLOAT32_ROUNDING)
    rounding = np.exp(candidate.log_gain) * (np.abs(stored) * precision + FLOAT32_ROUNDING * LOGIT)
    if stored.min() > 0 and (candidate.losses + 5 * rounding).min() < -NEGATIVE_SHARE * float(np.median(stored)):
        return False
    for part in _parts(stored):
        losses = candidate.losses[part]
        one, two = correlations_of_differences(losses)
        noise = float(np.median(np.abs(np.diff(losses))))
        white = RAW_CORRELATIONS[0] <= one <= RAW_CORRELATIONS[1] and abs(two) <= MAX_SECOND_CORRELATION
        if not white or noise < NOISE_TO_ROUNDING * float(np.median(rounding[part])):
            return False
    return True


def _candidates(stored: Array) -> list[_Candidate]:
    plain = [_undone(get_average(name), stored) for name in ("ema-0.98", "lightning", "ema-seeded-0.05")]
    means = [
        _mean(AVERAGES["running-mean"], stored, np.zeros(stored.size)),
        _mean(AVERAGES["ktrain"], plain[0].losses, plain[0].log_gain),
    ]
    return plain + means


def _undone(average: Average, stored: Array) -> _Candidate:
    losses, _ = average.undo(stored)
    (stage,) = average.stages
    return _Candidate(average=average, losses=losses, log_gain=np.log(stage(stored.size, None)[0]))


def _mean(average: Average, mean: Array, log_gain: Array) -> _Candidate:
    """Returns the candidate for a running mean that restarts where the record shows it, or that never restarts."""
    endless = _running_mean(average, mean, log_gain, None)
    restarting = (_running_mean(average, mean, log_gain, length) for length in _epoch_lengths(mean))
    best = max(restarting, key=lambda candidate: candidate.fit, default=endless)
    return best if best.fit - endless.fit > CLEAR_RESTART else endless


def _running_mean(average: Average, mean: Array, log_gain: Array, length: int | None) -> _Candidate:
    before = np.arange(mean.size) % (length or mean.size + 1)
    losses = (before + 1) * mean - before * np.concatenate([[0.0], mean[:-1]])
    return _Candidate(average=average, losses=losses, log_gain=log_gain + np.log(before + 1.0), epoch=length)


def _gives_same_losses(one: _Candidate, other: _Candidate) -> bool:
    noise = float(np.median(np.abs(np.diff(one.losses)))) / math.sqrt(2)
    return float(np.median(np.abs(one.losses - other.losses))) < SAME_LOSSES * noise


def _epoch_lengths(mean: Array) -> list[int]:
    """Returns the numbers of batches after which the mean seems to jump repeatedly, the likeliest number first.

    The first value of an epoch is a single loss, so the change to it exceeds the preceding changes by about the length
    of the epoch. The score compares this with changes that all have the same scale.
    """
    steps = np.maximum(np.abs(np.diff(mean)), LOG_FLOOR)
    usual, spread = LOG_NORMAL
    calm = {width: _median_before(steps, width) for width in (3, 8, 16)}
    scores: dict[int, float] = {}
    for length in range(SHORTEST_EPOCH, mean.size):
        ends = np.arange(length, mean.size, length) - 1
        expected = RESTART_SHARE * math.log(length)
        width = max(width for width in calm if 2 * width <= max(length, 6))
        jumps = np.minimum(np.log(steps[ends] / calm[width][ends]) - usual, expected)
        scores[length] = float((expected * jumps - expected**2 / 2).sum()) / spread**2
    ranked = sorted(scores, key=lambda length: -scores[length])[:MAX_LENGTHS]
    return [length for length in ranked if scores[length] > CLEAR_JUMPS]


def _median_before(steps: Array, width: int) -> Array:
    """Returns the median of the `width` changes before each one."""
    padded = np.concatenate([np.full(width, steps[0]), steps[:-1]])
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1))


def _scale(steps: Array) -> Array:
    """Returns the best-fitting scale of Student's distribution for all differences. Array of shape `(1,)`."""
    scale = np.array([np.median(np.abs(steps)) + LOG_FLOOR])
    for _ in range(12):
        ratio = np.hypot(1.0, steps / scale / math.sqrt(DEGREES_OF_FREEDOM))
        scale = np.sqrt((1 + 1 / DEGREES_OF_FREEDOM) * ((steps / ratio) ** 2).mean(keepdims=True)) + LOG_FLOOR
    return np.asarray(scale)


def _student(steps: Array, scale: Array) -> Array:
    """Returns the log-likelihood of each difference under Student's distribution of the given scale."""
    return np.asarray(
        -(DEGREES_OF_FREEDOM + 1) * np.log(np.hypot(1.0, steps / scale / math.sqrt(DEGREES_OF_FREEDOM))) - np.log(scale)
    )


def _likelihood_of_first(losses: Array) -> float:
    """Returns the log-likelihood of the first losses, given the level and the noise of the losses after them."""
    after = losses[NUM_FIRST : NUM_FIRST + 20]
    level = float(np.median(after))
    noise = max(NORMAL_MAD * float(np.median(np.abs(after - level))), LOG_FLOOR)
    z = np.clip((losses[:NUM_FIRST] - level) / noise, -MAX_DEVIATION, MAX_DEVIATION)
    return -float(np.minimum(z**2 / 2, 20.0).sum())


def _fit_to_constant_noise(losses: Array) -> float:
    """Returns the log-likelihood of the differences if all have the same scale."""
    steps = np.diff(losses)
    return float(_student(steps, _scale(steps)).sum())


def _fit_to_local_noise(losses: Array) -> float:
    """Returns the log-likelihood of the differences if each has the scale of the differences around it."""
    steps = np.diff(losses)
    usual = median_filter(np.abs(steps), size=min(SCALE_WIDTH, steps.size), mode="nearest") + LOG_FLOOR
    return float(_student(steps, usual).sum())


def _surprise(losses: Array) -> float:
    """Returns the negative log-likelihood of each loss, predicted by the line through the `LINE_POINTS` before it."""
    far = np.arange(LINE_POINTS) - (LINE_POINTS - 1) / 2
    weights = 1 / LINE_POINTS + far * (LINE_POINTS + 1) / 2 / (far @ far)
    windows = np.lib.stride_tricks.sliding_window_view(losses[:-1], LINE_POINTS)
    errors = losses[LINE_POINTS:] - windows @ weights
    return -float(_student(errors, _scale(errors)).sum())
