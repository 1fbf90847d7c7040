"""Statistics of noise: whether losses remember those before them, and where an average of them starts anew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from keras_lrscan.noise import NORMAL_MAD

if TYPE_CHECKING:
    from keras_lrscan.averaging import Array

__all__ = ["epoch_lengths", "fit_of_alike", "fit_of_local", "memory", "surprise", "warm_up"]

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

MOST_LENGTHS = 12
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
    ranked = sorted(scores, key=lambda length: -scores[length])[:MOST_LENGTHS]
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
