"""Whether a record holds losses of single batches or averages of them, told from the record alone.

Batches are drawn anew each step, so single losses scatter about the curve without memory: their differences then
correlate at -1/2 from one step to the next. An average remembers, and its differences do not. Undone in the right way,
the differences are those of single losses again; undone in a wrong way they are not, or their noise grows and shrinks
along the start of the scan, where a rate that small changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from keras_lrscan.curves.averaging import AVERAGES, FLOAT32_ROUNDING, Average, get_average, stored_precision
from keras_lrscan.curves.noise import NORMAL_MAD

if TYPE_CHECKING:
    from keras_lrscan.curves.averaging import Array
    from keras_lrscan.curves.curve import LRCurve

__all__ = [
    "DetectedAveraging",
    "detect_averaging",
    "epoch_lengths",
    "fit_of_alike",
    "fit_of_local",
    "memory",
    "surprise",
    "warm_up",
]

MIN_POINTS = 40
"""Below this many points, chance makes raw losses look averaged."""

MAX_POINTS = 4000
"""Points that are looked at, from the first on."""

MEMORYLESS = (-0.66, -0.25)
"""Correlation of neighboring differences that single batches may have. It is -1/2 of pure noise.

Set on 230 scans of four kinds of model on three sets of data, with batches of 4 to 64: nine in ten have -0.56 to -0.26.
Of moving averages of the same, nine in ten have -0.31 to 0.04, and of ktrain's averages 0.05 to 0.41.
"""

NEGATIVE = 0.02
"""Averages of losses that are all positive are not taken to be those of losses below minus this share of the median."""

DOUBT = 0.8
"""A stretch of n points must be below the upper of these by this over the square root of n to settle the matter."""

SECOND_MEMORY = 0.3
"""Largest correlation of differences two steps apart that single batches may have; it is 0 of pure noise."""

PARTS = (0.3, 0.6, 1.0)
"""Shares of a record that are each looked at: where the curve is steep and calm, its own course hides the noise."""

MIN_START = 24
"""Points of the shortest part."""

START_SHARE = 0.6
"""Share of a record in which each loss is foretold from those before it."""

CALM_SHARE = 0.35
"""Share of a record in which the noise is taken to be constant: rates this small change nothing."""

CLEAR = 5.0
"""Log-likelihood by which one average must beat the next to be named."""

CLEAR_EACH = 0.15
"""... and by this for each loss of the calm start, where noise that grows or shrinks by itself misleads.

Set on the running mean of a scan of a text encoder whose noise grew while its rates were still tiny, and which passes
for a moving average by 0.12.
"""

CLEAR_MEMORY = 10.0
"""Log-likelihood by which some average must foretell each loss better than single batches do."""

CLEAR_RESTART = 6.0
"""Log-likelihood by which epochs of one length must beat a mean that never restarts."""

SAME_LOSSES = 0.25
"""Two averages that leave losses nearer than this share of their noise need not be told apart."""

NOISE_TO_ROUNDING = 5.0
"""Recovered losses must scatter by this many times what the rounding of the stored numbers does to them."""

LOGIT = 1.0
"""Size of the numbers that a small loss is the difference of, so that float32 leaves it open by their rounding."""


@dataclass(frozen=True, kw_only=True)
class DetectedAveraging:
    """What a record shows of how its losses were averaged.

    Attributes:
        averaged: Whether the losses are averages.
        averaging: The average, a key of `AVERAGES`; `None` for single batches, or when it could not be told.
        steps_per_epoch: Batches in an epoch, where the average restarts at each: read off the restarts, or one more
            than there are points where the record ends within the first. `None` when that cannot be told.
        evidence: Sentences with the numbers that it was told by.
    """

    averaged: bool
    averaging: str | None
    steps_per_epoch: float | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    average: Average
    losses: Array
    log_gain: Array
    epoch: int | None = None
    """Batches per epoch of a mean that was seen to restart."""

    @property
    def likelihood(self) -> float:
        """How well the start of the record agrees with losses that scatter alike, as a log-likelihood."""
        end = max(int(CALM_SHARE * self.losses.size), MIN_POINTS)
        return fit_of_alike(self.losses[:end]) + float(self.log_gain[1:end].sum()) + warm_up(self.losses)

    @property
    def surprise(self) -> float:
        """How badly the start of the record is foretold from what came before, in nats."""
        end = int(START_SHARE * self.losses.size)
        return surprise(self.losses[:end]) - float(self.log_gain[LINE_POINTS:end].sum())

    @property
    def fit(self) -> float:
        """How well the whole record agrees with losses that scatter as those around them do, as a log-likelihood."""
        return fit_of_local(self.losses) + float(self.log_gain[1:].sum())


_AS_IT_IS = Average(name="none", words="the loss of one batch", stages=())


def detect_averaging(curve: LRCurve) -> DetectedAveraging:
    """Tells whether the losses of a curve are averages, and by which of `AVERAGES`.

    What the context declares is taken at its word. The rest is cautious: a record without noise, such as that of a scan
    over full batches, counts as not averaged.

    Args:
        curve: A curve of which nothing was left out.

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
        return _single(f"{stored.size} points are too few to tell averages from single losses")
    remembered = [memory(stored[part])[0] for part in _parts(stored)]
    if any(math.isnan(one) for one in remembered):
        return _single("there is no noise to tell averages from single losses by")
    doubts = [1 / math.sqrt(stored[part].size) for part in _parts(stored)]
    for one, doubt in zip(remembered, doubts, strict=True):
        if one <= MEMORYLESS[1] - DOUBT * doubt:
            return _single(f"neighboring differences correlate at {one:.2f}, as those of single batches do")
    plain = _Candidate(average=_AS_IT_IS, losses=stored, log_gain=np.zeros(stored.size))
    found = [candidate for candidate in _candidates(stored) if _is_single(candidate, stored)]
    first = f"neighboring differences correlate at {remembered[-1]:+.2f}; those of single batches do at about -0.45"
    if not any(plain.surprise - candidate.surprise > CLEAR_MEMORY for candidate in found):
        return _single(f"{first}, but no known average explains that")
    return _choose(found, first, whole=stored.size < MAX_POINTS)


def _declared(averaging: str, steps_per_epoch: float | None) -> DetectedAveraging:
    average = AVERAGES.get(averaging)
    return DetectedAveraging(
        averaged=True,
        averaging=None if average is None else average.name,
        steps_per_epoch=steps_per_epoch,
        evidence=(f"the record says so: averaging={averaging!r}",),
    )


def _single(evidence: str) -> DetectedAveraging:
    return DetectedAveraging(averaged=False, averaging=None, steps_per_epoch=None, evidence=(evidence,))


def _choose(found: list[_Candidate], first: str, *, whole: bool) -> DetectedAveraging:
    ranked = sorted(found, key=lambda candidate: -candidate.likelihood)
    clear = max(CLEAR, CLEAR_EACH * CALM_SHARE * ranked[0].losses.size)
    near = [candidate for candidate in ranked if ranked[0].likelihood - candidate.likelihood < clear]
    if not all(_alike(ranked[0], other) for other in near):
        names = " or ".join(repr(candidate.average.name) for candidate in near)
        evidence = (first, f"undone as {names}, they all correlate as they should: which it is cannot be told")
        return DetectedAveraging(averaged=True, averaging=None, steps_per_epoch=None, evidence=evidence)
    best = ranked[0]
    undone = f"undone as {best.average.name!r}, they do at {memory(best.losses)[0]:+.2f}"
    restarts = () if best.epoch is None else (f"the average starts anew every {best.epoch} batches",)
    return DetectedAveraging(
        averaged=True,
        averaging=best.average.name,
        steps_per_epoch=best.epoch or (best.losses.size + 1 if best.average.needs_epoch and whole else None),
        evidence=(first, undone, *restarts),
    )


def _parts(stored: Array) -> tuple[slice, ...]:
    return tuple(slice(max(int(share * stored.size), MIN_START)) for share in PARTS)


def _finite_start(loss: Array) -> Array:
    broken = np.flatnonzero(~np.isfinite(loss))
    return loss[: int(broken[0]) if broken.size else loss.size][:MAX_POINTS]


def _is_single(candidate: _Candidate, stored: Array) -> bool:
    """Tells whether the losses look like those of single batches, at the calm start and over the whole record."""
    precision = max(stored_precision(stored), FLOAT32_ROUNDING)
    rounding = np.exp(candidate.log_gain) * (np.abs(stored) * precision + FLOAT32_ROUNDING * LOGIT)
    if stored.min() > 0 and (candidate.losses + 5 * rounding).min() < -NEGATIVE * float(np.median(stored)):
        return False
    for part in _parts(stored):
        losses = candidate.losses[part]
        one, two = memory(losses)
        noise = float(np.median(np.abs(np.diff(losses))))
        white = MEMORYLESS[0] <= one <= MEMORYLESS[1] and abs(two) <= SECOND_MEMORY
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
    """Returns the running mean that restarts where the record shows it, or else one that never does."""
    endless = _running_mean(average, mean, log_gain, None)
    restarting = (_running_mean(average, mean, log_gain, length) for length in epoch_lengths(mean))
    best = max(restarting, key=lambda candidate: candidate.fit, default=endless)
    return best if best.fit - endless.fit > CLEAR_RESTART else endless


def _running_mean(average: Average, mean: Array, log_gain: Array, length: int | None) -> _Candidate:
    before = np.arange(mean.size) % (length or mean.size + 1)
    losses = (before + 1) * mean - before * np.concatenate([[0.0], mean[:-1]])
    return _Candidate(average=average, losses=losses, log_gain=log_gain + np.log(before + 1.0), epoch=length)


def _alike(one: _Candidate, other: _Candidate) -> bool:
    noise = float(np.median(np.abs(np.diff(one.losses)))) / math.sqrt(2)
    return float(np.median(np.abs(one.losses - other.losses))) < SAME_LOSSES * noise


TREND_WIDTH = 7
"""Differences whose mean is taken off the one in their middle: what the curve itself does."""

LINE_POINTS = 8
"""Losses through which a line is laid to foretell the next one."""

SCALE_WIDTH = 31
"""Differences over which their usual size is taken."""

CLIP = 4.0
"""Larger differences, in units of their usual size, count as that much: the explosion must not decide."""

FARTHEST = 10.0
"""Of first losses that are further off, in units of the noise, the likelihood is at its floor anyway."""

TAIL_WEIGHT = 2.0
"""Degrees of freedom of Student's distribution that the differences are judged by: heavy tails, single odd batches."""

WARM_UP = 3
"""First losses, which tell how an average begins."""

NO_NOISE = 1e-9
"""Share of the loss below which differences are rounding in float64 and not noise."""

LOG_NORMAL = (-0.24, 1.11)
"""Mean and standard deviation of the log of a normal deviate over the median one."""

RESTART_SHARE = 0.8
"""The change at the end of an epoch of n batches is taken to be n ** 0.8 times those before it, or more."""

SHORTEST_EPOCH = 4
"""A mean over fewer batches moves no landmark by more than two steps, and is not looked for."""

MAX_LENGTHS = 12
"""Lengths of an epoch that are looked at closely."""

CLEAR_JUMPS = 2.0
"""Log-likelihood by which the changes at the ends of epochs must stand out from those before them."""

LOG_FLOOR = 1e-200


def memory(losses: Array) -> tuple[float, float]:
    """Returns the correlation of differences one and two steps apart, each measured by the size usual around it."""
    steps = np.diff(losses)
    steps -= uniform_filter1d(steps, TREND_WIDTH, mode="nearest")
    usual = median_filter(np.abs(steps), size=min(SCALE_WIDTH, steps.size), mode="nearest")
    if np.median(usual) <= NO_NOISE * np.median(np.abs(losses)):
        return math.nan, math.nan
    z = np.clip(steps / np.maximum(usual, LOG_FLOOR), -CLIP, CLIP)
    power = float(z @ z)
    return float(z[1:] @ z[:-1]) / power, float(z[2:] @ z[:-2]) / power


def epoch_lengths(mean: Array) -> list[int]:
    """Returns the numbers of batches after which the mean seems to jump again and again, the likeliest first.

    The first value of an epoch is a single loss, so the change that leads to it is larger by about the length of the
    epoch than those before it, which is weighed against the spread of changes that are all alike.
    """
    steps = np.maximum(np.abs(np.diff(mean)), LOG_FLOOR)
    usual, spread = LOG_NORMAL
    calm = {width: _before(steps, width) for width in (3, 8, 16)}
    scores: dict[int, float] = {}
    for length in range(SHORTEST_EPOCH, mean.size):
        ends = np.arange(length, mean.size, length) - 1
        expected = RESTART_SHARE * math.log(length)
        width = max(width for width in calm if 2 * width <= max(length, 6))
        jumps = np.minimum(np.log(steps[ends] / calm[width][ends]) - usual, expected)
        scores[length] = float((expected * jumps - expected**2 / 2).sum()) / spread**2
    ranked = sorted(scores, key=lambda length: -scores[length])[:MAX_LENGTHS]
    return [length for length in ranked if scores[length] > CLEAR_JUMPS]


def _before(steps: Array, width: int) -> Array:
    """Returns the median of the `width` changes before each one."""
    padded = np.concatenate([np.full(width, steps[0]), steps[:-1]])
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1))


def _scale(steps: Array) -> Array:
    """Returns the scale of Student's distribution that fits all differences best, as an array of shape `(1,)`."""
    scale = np.array([np.median(np.abs(steps)) + LOG_FLOOR])
    for _ in range(12):
        ratio = np.hypot(1.0, steps / scale / math.sqrt(TAIL_WEIGHT))
        scale = np.sqrt((1 + 1 / TAIL_WEIGHT) * ((steps / ratio) ** 2).mean(keepdims=True)) + LOG_FLOOR
    return np.asarray(scale)


def _student(steps: Array, scale: Array) -> Array:
    """Returns the log-likelihood of each difference under Student's distribution of the given scale."""
    return np.asarray(
        -(TAIL_WEIGHT + 1) * np.log(np.hypot(1.0, steps / scale / math.sqrt(TAIL_WEIGHT))) - np.log(scale)
    )


def warm_up(losses: Array) -> float:
    """Returns the log-likelihood of the first losses, given the level and the noise of those after them."""
    after = losses[WARM_UP : WARM_UP + 20]
    level = float(np.median(after))
    noise = max(NORMAL_MAD * float(np.median(np.abs(after - level))), LOG_FLOOR)
    z = np.clip((losses[:WARM_UP] - level) / noise, -FARTHEST, FARTHEST)
    return -float(np.minimum(z**2 / 2, 20.0).sum())


def fit_of_alike(losses: Array) -> float:
    """Returns the log-likelihood of the differences if all scatter alike."""
    steps = np.diff(losses)
    return float(_student(steps, _scale(steps)).sum())


def fit_of_local(losses: Array) -> float:
    """Returns the log-likelihood of the differences if they scatter as those around them do."""
    steps = np.diff(losses)
    usual = median_filter(np.abs(steps), size=min(SCALE_WIDTH, steps.size), mode="nearest") + LOG_FLOOR
    return float(_student(steps, usual).sum())


def surprise(losses: Array) -> float:
    """Returns how badly each loss is foretold by the line through the `LINE_POINTS` before it, in nats."""
    far = np.arange(LINE_POINTS) - (LINE_POINTS - 1) / 2
    weights = 1 / LINE_POINTS + far * (LINE_POINTS + 1) / 2 / (far @ far)
    windows = np.lib.stride_tricks.sliding_window_view(losses[:-1], LINE_POINTS)
    errors = losses[LINE_POINTS:] - windows @ weights
    return -float(_student(errors, _scale(errors)).sum())
