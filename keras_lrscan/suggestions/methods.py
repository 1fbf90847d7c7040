"""Ways to read a rate off a curve: a `Reading` → a rate, or `None` where the curve does not show what the method reads.

All read the line without lag, so a rule that was published for a moving average lands further left here than there.
Slopes are per decade and heights in shares of the fall, so no rule hangs on the unit of the loss or on where the
ramp begins. The margins of `valley_floor`, `open_valley` and `wall` were set on real scans and sweeps:
`benchmarks/suggestions` has them, and its `learn.py` sets them anew with whole families of tasks left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.reading.features import StartState
from keras_lrscan.reading.reading import Reading

__all__ = ["METHODS", "Method", "SuggestionMethod"]

MINIMUM_MARGIN = 10.0
"""Gugger's margin below the minimum: half a decade to a decade of it makes up for the lag of a moving average."""

ELBOW_MARGINS: Mapping[str, float] = MappingProxyType(
    {
        StartState.BETTER_THAN_CHANCE: 2.0,
        StartState.AT_CHANCE: 6.0,
        StartState.WORSE_THAN_CHANCE: 16.0,
        StartState.UNKNOWN: 4.0,
    }
)
"""Start state → how far below the onset of divergence to stay where there is no valley to read.

A model that is already good moves little before it breaks, so what it can take lies close to its onset; one that knows
nothing, and learned nothing in a hundred batches, needs more room.
"""

VALLEY_MARGIN = 4.0
"""How far below the middle of minimum and elbow to stay."""

OPEN_MARGIN = 5.0
"""How far below the lowest loss of a curve that has not turned to stay."""

MOMENTUM_STEPS = 5.0
"""Steps by which momentum delays what a curve shows; the margins grow by what the ramp climbs meanwhile.

Momentum of 0.9 gathers its full step over about ten updates. A ramp of 100 steps over eight decades climbs 0.8 decade
in that time, so its curve breaks further right than training at the same rate would: on scans of 100 steps the best
margin for Adam is 0.5 decade larger than for RMSprop, on scans of 400 steps 0.1 decade, which is 5 to 6 steps on both.
"""

ELBOW_TENTH = 10.0
"""Howard's margin below the onset of divergence, for models that are already good."""

SLIDE_DECADES = 1.2
"""Width of the sliding interval: 15 steps of 100 over eight decades, as published."""

SLIDE_SLOPE = 0.04
"""The slide stops where the slopes at the two ends of the interval differ by less than this many falls per decade.

The published bound is 0.005 of loss a step, which hangs on the unit of the loss and the number of steps; on a fall of
1.5 over 100 steps it is this.
"""

SQUARE_COEFFICIENT = 0.5
"""How far left of the minimum, in distances from the minimum to the right wall, the biggest-square rule goes."""


SuggestionMethod = Callable[[Reading], float | None]
"""Returns a rate, or `None`."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to read a rate.

    Attributes:
        rate: Returns the rate for constant training.
        says: Where the rate comes from, for the reader of an explanation.
        spread: The range reaches this factor to either side of the rate.
    """

    rate: SuggestionMethod
    says: str
    spread: float = 3.0


def steepest(reading: Reading) -> float | None:
    """The rate at which the smooth loss falls fastest per decade.

    References:
        Howard and Gugger (2020), "fastai: A Layered API for Deep Learning" (`steep`).
    """
    mark = reading.landmarks.steepest
    return None if mark is None else mark.lr


def minimum_tenth(reading: Reading) -> float | None:
    """A tenth of the rate of the lowest loss of the first valley; `None` without a fall.

    References:
        Gugger (2018), "How Do You Find A Good Learning Rate".
    """
    marks = reading.landmarks
    return marks.minimum.lr / MINIMUM_MARGIN if marks.minimum is not None and marks.steepest is not None else None


def geometric_mean(reading: Reading) -> float | None:
    """Midway, on the log axis, between the steepest fall and the minimum; `None` without a fall."""
    low, high = reading.landmarks.steepest, reading.landmarks.minimum
    return None if low is None or high is None else math.sqrt(low.lr * high.lr)


def momentum_lag(reading: Reading) -> float:
    """Returns the factor by which momentum moves a curve to the right: what the ramp climbs in `MOMENTUM_STEPS`.

    A record of fewer points moves by its own width at most.
    """
    context, density = reading.curve.context, reading.features.points_per_decade
    share = optimizer_family(context.optimizer).momentum_share
    if share < 1.0 and context.momentum is not None:
        share = float(context.momentum > 0)
    return 10.0 ** min(share * MOMENTUM_STEPS / density, reading.features.decades) if density else 1.0


def open_valley(reading: Reading) -> float | None:
    """``minimum / (5 * lag)`` where the curve has not turned, `lag` as for `valley-floor`; `None` without a fall."""
    marks = reading.landmarks
    if marks.minimum is None or marks.steepest is None:
        return None
    return marks.minimum.lr / (OPEN_MARGIN * momentum_lag(reading))


def wall(reading: Reading) -> float | None:
    """``elbow / (margin * lag)``, for a curve without a valley; `None` without a rise.

    The margin is 2 for a model that starts better than chance, 6 for one at chance, 16 for one that starts worse, and 4
    where that is not known. `lag` is that of `valley-floor`.
    """
    elbow = reading.landmarks.elbow
    if elbow is None:
        return None
    return elbow.lr / (ELBOW_MARGINS[reading.verdict.start_state] * momentum_lag(reading))


def valley_floor(reading: Reading) -> float | None:
    """``sqrt(minimum * elbow) / (4 * lag)``; `None` without a fall or without a rise.

    `lag` is what the ramp climbs while momentum gathers, ``10 ** (5 m / d)``, with `d` the points in a decade and `m` 1
    for optimizers with momentum, 0 for those without, and 1/2 for SGD where its momentum is not known.

    The two ends of the valley's floor, minimum and elbow, move by about 0.2 decade from scan to scan, each by chance of
    its own; their middle is steadier than either.
    """
    low, high = reading.landmarks.minimum, reading.landmarks.elbow
    if low is None or high is None or reading.landmarks.steepest is None:
        return None
    return math.sqrt(low.lr * high.lr) / (VALLEY_MARGIN * momentum_lag(reading))


def elbow_tenth(reading: Reading) -> float | None:
    """A tenth of the onset of divergence, whatever the start; `None` without a rise.

    References:
        Howard (2019), "Practical Deep Learning for Coders", lesson 3: "maybe 10x smaller" than where it shoots up.
    """
    elbow = reading.landmarks.elbow
    return None if elbow is None else elbow.lr / ELBOW_TENTH


def valley(reading: Reading) -> float | None:
    """The middle of the longest stretch over which the smooth loss falls without a break; `None` without a fall.

    As published, the rule takes the longest decreasing *subsequence*, which may skip points, and reads its place from
    its length as if it skipped none; on a curve that only rises, the place is then the last point, the largest rate.
    Here the stretch has no gaps, so its middle is a place on it.

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
    """Slides an interval leftwards from the wall until the slopes at its ends are alike, and takes its left end.

    As published, its width is in points and its bound in loss per step; here both are free of units.

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
    """``x_low - (x_right - x_low) * coefficient``: as far left of the valley's floor as its right wall is right of it.

    `x_low` is the minimum and `x_right` where the loss has climbed back to the lower of the two walls of the valley, in
    decades. `None` where the valley has no right wall.

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
        "minimum/10": Method(rate=minimum_tenth, says="A tenth of the rate of the lowest loss."),
        "geometric-mean": Method(
            rate=geometric_mean, says="Midway, on the log axis, between the steepest fall and the lowest loss."
        ),
        "valley": Method(rate=valley, says="The middle of the longest stretch over which the loss falls."),
        "slide": Method(
            rate=slide, says="The left end of the first interval, from the right, over which the slope stays the same."
        ),
        "elbow/10": Method(rate=elbow_tenth, says="A tenth of the rate at which the loss begins to break."),
        "valley-floor": Method(
            rate=valley_floor,
            says="That is left of the lowest loss, by the margin that served best in real trainings after such curves.",
            spread=2.5,
        ),
        "open-valley": Method(
            rate=open_valley,
            says="That is left of the lowest loss that the test reached, since the curve has not turned yet.",
            spread=2.5,
        ),
        "wall": Method(
            rate=wall,
            says="That is left of where the loss begins to break, by a margin for how this model starts.",
            spread=5.0,
        ),
        "biggest-square": Method(
            rate=biggest_square, says="As far left of the lowest loss as the right wall of the valley allows."
        ),
    }
)
"""Name → method."""
