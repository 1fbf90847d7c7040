"""Reads a learning rate off a curve by published rules and by rules of this package.

Each method takes a `Reading` and returns a rate, or `None` if the curve does not show the landmark that it needs.

All methods use the smoothed curve, which has no lag. So a rule published for a moving average returns a smaller rate
here than in its original tool. Slopes are per decade and heights are shares of the fall, so no rule depends on the unit
of the loss or on the start of the ramp. The margins of `valley_floor`, `open_valley` and `wall` were fitted to real
scans and sweeps: `benchmarks/suggestions` has the data, and its `learn.py` refits them with whole families of tasks
left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from keras_lrscan.curves.context import chance_loss
from keras_lrscan.curves.noise import difference_noise
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.reading.reading import Reading
from keras_lrscan.reading.references import has_natural_zero
from keras_lrscan.reading.start_state import StartState, is_untrained

__all__ = [
    "BEFORE_ELBOW",
    "ELBOW_MARGINS",
    "LEAST_MARGIN",
    "METHODS",
    "MOMENTUM_STEPS",
    "OPEN_MARGIN",
    "PLAIN_MARGIN_SHARE",
    "VALLEY_MARGIN",
    "Method",
    "SuggestionMethod",
    "forgetting",
    "hidden_rise",
    "is_plain",
    "momentum_lag",
]

MINIMUM_MARGIN = 10.0
"""Gugger's margin below the minimum; half a decade to a decade of it compensates for the lag of a moving average."""

ELBOW_MARGINS: Mapping[str, float] = MappingProxyType(
    {
        StartState.BETTER_THAN_CHANCE: 4.0,
        StartState.AT_CHANCE: 10.0,
        StartState.WORSE_THAN_CHANCE: 16.0,
        StartState.MIXED: 3.0,
        StartState.UNKNOWN: 3.0,
    }
)
"""Start state → margin below the elbow for a curve without a valley.

The loss of a model that is already good hardly moves before it diverges, so usable rates lie close to the elbow. Its
margin is below the middle between the elbow and the rate at which everything is forgotten: on the 376 such scans of
`benchmarks/suggestions`, that lowers the mean regret with families of tasks left out from 0.183 to 0.171 at a constant
rate and from 0.160 to 0.153 with one-cycle. A model that starts untrained, and learned nothing in a hundred batches,
needs a larger margin. A model some of whose outputs start better than chance counts as unknown, since its total loss
does not show which of the two it is.
"""

HIDING_NOISE = 0.05
"""Batch-to-batch noise, as a share of the reference loss, above which the margin below the elbow grows with the noise.

On the 565 scans of `benchmarks/suggestions` without a valley, this lowers the mean regret from 0.21 to 0.19. Fitted on
half of the data sets, it lowers that of the other half by 0.003 to 0.008. Valleys need no such margin.
"""

MOST_HIDDEN = 10.0
"""Largest factor by which the noise widens that margin."""

VALLEY_MARGIN = 4.0
"""Margin below the midpoint of minimum and elbow."""

OPEN_MARGIN = 5.0
"""Margin below the minimum for a curve that has not started to rise."""

MOMENTUM_STEPS = 5.0
"""Number of steps by which momentum delays a curve; the margins grow by the rise of the ramp during these steps.

Momentum of 0.9 needs about ten updates to reach its full step size. A ramp of 100 steps over eight decades climbs 0.8
decade in that time, so the loss of the scan diverges at a larger rate than that of training at a constant rate. The
best margin for Adam is larger than for RMSprop by 0.5 decade on scans of 100 steps and by 0.1 decade on scans of 400
steps, which is 5 to 6 steps on both.
"""

MAX_LAG = 10.0
"""Largest factor for that rise: momentum of 0.9, as in Adam, multiplies a step by at most ten."""

PLAIN_MARGIN_SHARE = 0.5
"""Share of a margin that gradient descent without momentum needs.

Nothing accumulates between its steps, so it trains well closer to the rate at which training breaks. On the 224 scans
of `benchmarks/suggestions` with plain SGD, this lowers the mean regret from 0.143 to 0.109 at a constant rate. With
momentum, and with optimizers that divide by the size of the gradient, the whole margin is better.
"""

CLEARLY_BELOW = 2.0
"""Distance below the chance level, in units of the noise of one batch, from which a loss that can be negative starts
better than chance.

In `benchmarks/suggestions`, the 26 scans of trained models with such losses and without a valley start 2.5 to 24 below
it, fresh ones far above.
"""

MIN_QUIET = 5
"""Smallest number of first batches from which that noise is estimated; otherwise it is a quarter of all."""

BEFORE_ELBOW = 1.1
"""Smallest margin below the elbow for a model that is already good; most of them train well close to it.

On the 402 such scans of `benchmarks/suggestions`, this margin instead of one of 1.5 lowers the mean regret from 0.156
to 0.154 at a constant rate, and from 0.151 to 0.147 with one-cycle. Rates beyond the elbow would lower it by another
0.003.
"""

LEAST_MARGIN = 1.5
"""Smallest margin that is left for gradient descent without momentum."""

ELBOW_TENTH = 10.0
"""Howard's margin below the elbow, for models that are already good."""

SLIDE_DECADES = 1.2
"""Width of the sliding interval: 15 of 100 steps over eight decades, as published."""

SLIDE_SLOPE = 0.04
"""Difference of the slopes at the two ends of the interval, in falls per decade, below which the slide stops.

The published bound is a loss of 0.005 per step, which depends on the unit of the loss and the number of steps. For a
fall of 1.5 over 100 steps, the two bounds agree.
"""

SQUARE_COEFFICIENT = 0.5
"""Distance of the biggest-square rate left of the minimum, in distances from the minimum to the right wall."""

SuggestionMethod = Callable[[Reading], float | None]
"""Function that returns a rate, or `None` if the curve does not show one."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """Describes one way to read a rate off a curve.

    Attributes:
        rate: Function that returns the rate for training at a constant rate.
        says: Origin of the rate, as a sentence for the explanation.
        spread: Factor by which the range extends to either side of the rate.
    """

    rate: SuggestionMethod
    says: str
    spread: float = 3.0


def steepest(reading: Reading) -> float | None:
    """Returns the rate at which the smoothed loss falls fastest per decade, or `None` without a fall.

    References:
        Howard and Gugger (2020), "fastai: A Layered API for Deep Learning" (`steep`).
    """
    mark = reading.landmarks.steepest
    return None if mark is None else mark.lr


def minimum_tenth(reading: Reading) -> float | None:
    """Returns a tenth of the rate at the bottom of the first valley, or `None` without a fall.

    References:
        Gugger (2018), "How Do You Find A Good Learning Rate".
    """
    marks = reading.landmarks
    return marks.minimum.lr / MINIMUM_MARGIN if marks.minimum is not None and marks.steepest is not None else None


def geometric_mean(reading: Reading) -> float | None:
    """Returns the geometric mean of the rates of steepest fall and minimum, or `None` without a fall."""
    low, high = reading.landmarks.steepest, reading.landmarks.minimum
    return None if low is None or high is None else math.sqrt(low.lr * high.lr)


def momentum_lag(reading: Reading) -> float:
    """Returns the factor by which momentum shifts a curve to the right: the rise of the ramp in `MOMENTUM_STEPS`.

    These are the steps before the elbow, or before the minimum of a curve without one, because the steps of a linear
    ramp differ in size on the log axis. They grow with ``1 / (1 - momentum)``, the number of updates that momentum
    averages over, which is also the largest factor. The factor is 1 for a curve with neither landmark.
    """
    context, marks, x = reading.curve.context, reading.landmarks, np.log10(reading.curve.lr)
    share, most = optimizer_family(context.optimizer).momentum_share, MAX_LAG
    if share < 1.0 and context.momentum is not None and context.momentum < 1.0:
        most = 1.0 / (1.0 - context.momentum)
        share = most / MAX_LAG if context.momentum > 0 else 0.0
    mark = marks.minimum if marks.elbow is None else marks.elbow
    if mark is None:
        return 1.0
    steps = np.arange(x.size)
    at = math.log10(mark.lr)
    before = np.interp(np.interp(at, x, steps) - share * MOMENTUM_STEPS, steps, x)
    return min(float(10.0 ** (at - before)), most)


def is_plain(reading: Reading) -> bool:
    """Returns whether the curve is known to be that of gradient descent without momentum."""
    context = reading.curve.context
    return not optimizer_family(context.optimizer).is_adaptive and context.momentum == 0


def _below(lr: float, margin: float, reading: Reading) -> float:
    """Returns the rate that lies a margin below another, given the momentum of the optimizer."""
    if is_plain(reading):
        margin = max(margin * PLAIN_MARGIN_SHARE, LEAST_MARGIN)
    return lr / (margin * momentum_lag(reading))


def open_valley(reading: Reading) -> float | None:
    """Returns ``minimum / (5 * plain * lag)``, for a curve that has not started to rise, or `None` without a fall.

    `plain` and `lag` are those of `valley_floor`.
    """
    marks = reading.landmarks
    if marks.minimum is None or marks.steepest is None:
        return None
    return _below(marks.minimum.lr, OPEN_MARGIN, reading)


def hidden_rise(reading: Reading) -> float:
    """Returns the factor by which noise widens the margin below the elbow, since it hides the beginning of the rise.

    It is the noise of a batch in units of 5 % of the reference loss, at least 1 and at most 10.
    """
    return min(max(1.0, (reading.features.noise or 0.0) / HIDING_NOISE), MOST_HIDDEN)


def forgetting(reading: Reading) -> float | None:
    """Returns the rate at which a model that starts better than chance is no better than chance.

    It is that of the first point after the elbow at which the smoothed loss is at the chance level, or of the last
    point if the recorded loss never rises that far. For other models, and without an elbow, it is `None`. If the loss
    can be below zero, a model starts better than chance if its smoothed loss starts below the chance level by more than
    twice the noise of one batch.
    """
    elbow, chance = reading.landmarks.elbow, chance_loss(reading.curve.context)
    if elbow is None or chance is None:
        return None
    level = chance + (reading.curve.context.regularization_loss or 0.0)
    if reading.verdict.start_state != StartState.BETTER_THAN_CHANCE and not _starts_below(reading, level):
        return None
    forgotten = np.flatnonzero(reading.smoothed.loss[elbow.index :] >= level)
    at = elbow.index + int(forgotten[0]) if forgotten.size else -1
    return float(10.0 ** reading.smoothed.log10_lr[at])


def _starts_below(reading: Reading, level: float) -> bool:
    """Returns whether a loss that can be below zero, whose ratios mean nothing, starts clearly below a level."""
    if has_natural_zero(reading.curve) or is_untrained(reading.curve.context):
        return False
    quiet = reading.curve.loss[np.isfinite(reading.curve.loss)]
    noise = difference_noise(quiet[: max(MIN_QUIET, quiet.size // 4)])
    return bool(level - reading.smoothed.loss[0] > CLEARLY_BELOW * noise)


def wall(reading: Reading) -> float | None:
    """Returns ``end / (margin * hidden * plain * lag)``, for a curve without a valley, or `None` without a rise.

    For a model that starts better than chance, `end` is ``sqrt(elbow * forgetting)``, where `forgetting` is the rate at
    which the loss reaches the chance level, or the last rate if it does not. The margin is 4, and the result is at most
    ``elbow / 1.1``. For others, `end` is the elbow, and the margin is 10 for a model at chance, 16 for one worse than
    chance, and 3 if the start state is unknown. `hidden` is that of `hidden_rise`. `plain` and `lag` are those of
    `valley_floor`, and for gradient descent without momentum at least a margin of 1.5 is left.
    """
    elbow, forgotten = reading.landmarks.elbow, forgetting(reading)
    if elbow is None:
        return None
    state = reading.verdict.start_state if forgotten is None else StartState.BETTER_THAN_CHANCE
    margin = ELBOW_MARGINS[state] * hidden_rise(reading)
    if forgotten is None:
        return _below(elbow.lr, margin, reading)
    return min(_below(math.sqrt(elbow.lr * forgotten), margin, reading), elbow.lr / BEFORE_ELBOW)


def valley_floor(reading: Reading) -> float | None:
    """Returns ``sqrt(minimum * elbow) / (4 * plain * lag)``, or `None` without a fall or without a rise.

    `lag` is the factor by which the ramp climbs while momentum builds up, in the ``5 m`` steps before the elbow: with
    `d` points per decade, ``10 ** (5 m / d)``. `m` is 1 for optimizers with momentum and 0 for those without. For SGD
    it is ``0.1 / (1 - momentum)``, or 1/2 if the momentum is unknown. `plain` is 1/2 for gradient descent without
    momentum, and otherwise 1.

    The two ends of the valley floor, minimum and elbow, vary independently by about 0.2 decade from scan to scan. Their
    midpoint is steadier than either.
    """
    low, high = reading.landmarks.minimum, reading.landmarks.elbow
    if low is None or high is None or reading.landmarks.steepest is None:
        return None
    return _below(math.sqrt(low.lr * high.lr), VALLEY_MARGIN, reading)


def elbow_tenth(reading: Reading) -> float | None:
    """Returns a tenth of the elbow for any start state, or `None` without a rise.

    References:
        Howard (2019), "Practical Deep Learning for Coders", lesson 3: "maybe 10x smaller" than the
        rate at which the loss shoots up.
    """
    elbow = reading.landmarks.elbow
    return None if elbow is None else elbow.lr / ELBOW_TENTH


def valley(reading: Reading) -> float | None:
    """Returns the middle of the longest unbroken fall of the smoothed loss, or `None` without a fall.

    The published rule takes the longest decreasing *subsequence*, which may skip points, but computes its position from
    its length as if it skipped none. On a curve that only rises, that position is the last point, the largest rate.
    Here the fall has no gaps, so its middle lies on it.

    References:
        Novetta (2021), `valley` in fastai's `callback/schedule.py`; first in Esri's arcgis.learn.
    """
    marks, x = reading.landmarks, reading.smoothed.log10_lr
    if marks.steepest is None:
        return None
    falling = np.concatenate([[False], np.diff(reading.smoothed.loss) < 0, [False]])
    edges = np.flatnonzero(np.diff(falling.astype(int)))
    begins, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(x[ends] - x[begins]))
    return float(10 ** ((x[begins[longest]] + x[ends[longest]]) / 2))


def slide(reading: Reading) -> float | None:
    """Slides an interval left from the elbow until the slopes at its ends agree, and returns its left end.

    Without an elbow, it starts at the last point.

    The published rule has a width in points and a bound in loss per step. Here both are independent of units.

    References:
        Novetta (2021), `slide` in fastai's `callback/schedule.py`, after a proposal in the fast.ai forum, thread 44199.
    """
    marks, x = reading.landmarks, reading.smoothed.log10_lr
    if marks.steepest is None or marks.minimum is None or marks.start is None:
        return None
    end = x.size - 1 if marks.elbow is None else marks.elbow.index
    fall = max(peak.loss for peak in (marks.start, *marks.peaks[:1])) - marks.minimum.loss
    slope = reading.smoothed.slope / fall
    left = np.searchsorted(x, x[: end + 1] - SLIDE_DECADES)
    alike = np.flatnonzero(
        (np.abs(slope[: end + 1] - slope[left]) < SLIDE_SLOPE) & (x[: end + 1] - SLIDE_DECADES >= x[0])
    )
    return float(10.0 ** x[left[alike[-1]]]) if alike.size else float(10.0 ** x[0])


def biggest_square(reading: Reading) -> float | None:
    """Returns a rate left of the minimum, by half the distance from the minimum to the valley's right wall.

    On the log axis, it is ``x_low - 0.5 * (x_right - x_low)``. `x_low` is the minimum, and `x_right` is where the loss
    has climbed back to the lower of the two walls of the valley, both in decades. The result is `None` if the valley
    has no right wall.

    References:
        A proposal in the fast.ai forum, thread 38331, "AutoLRFinder".
    """
    marks, x, loss = reading.landmarks, reading.smoothed.log10_lr, reading.smoothed.loss
    if marks.steepest is None or marks.minimum is None or marks.elbow is None or marks.start is None:
        return None
    low = marks.minimum.index
    top = next((peak.index for peak in marks.peaks if peak.index > low), x.size - 1)
    wall = min(float(loss[: low + 1].max()), float(loss[top]))
    right = low + int(np.argmax(loss[low:] >= wall))
    return float(10 ** (x[low] - SQUARE_COEFFICIENT * (x[right] - x[low])))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "steepest": Method(rate=steepest, says="The rate at which the loss falls fastest."),
        "minimum/10": Method(rate=minimum_tenth, says="A tenth of the rate at which the loss is lowest."),
        "geometric-mean": Method(
            rate=geometric_mean, says="Halfway, on the log axis, between the steepest fall and the lowest loss."
        ),
        "valley": Method(rate=valley, says="The middle of the longest stretch over which the loss falls."),
        "slide": Method(
            rate=slide, says="The left end of the first interval, from the right, with the same slope at both ends."
        ),
        "elbow/10": Method(rate=elbow_tenth, says="A tenth of the rate at which the loss starts to rise."),
        "valley-floor": Method(
            rate=valley_floor,
            says="This rate lies left of the lowest loss, by the margin that worked best in real training runs.",
            spread=2.5,
        ),
        "open-valley": Method(
            rate=open_valley,
            says="This rate lies left of the lowest loss, by a margin for curves that have not started to rise.",
            spread=2.5,
        ),
        "wall": Method(
            rate=wall,
            says="This rate lies left of where the loss starts to rise. The margin depends on the first loss and, for "
            "a model that is already good, also on how steep the rise is.",
            spread=5.0,
        ),
        "biggest-square": Method(
            rate=biggest_square,
            says="Left of the lowest loss, by half its distance to the right wall of the valley.",
        ),
    }
)
"""Name of each method that reads a landmark → the method."""
