"""Ranks the candidates of a race, and finds the range of learning rates that are as good as the winner.

All functions take and return plain numbers; `benchmarks/suggestions/race.py` replays recorded trainings with them.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "CANDIDATES",
    "STEPS",
    "WORSE",
    "candidates_around",
    "one_cycle",
    "reach",
    "rounds",
    "standings",
    "training_score",
]

CANDIDATES = (-0.5, -0.25, 0.0, 0.25)
"""Candidates, as distances from the suggested learning rate (decades).

On the 128 tasks of `benchmarks/suggestions/race.py` and `race_held_out.py`, candidates twice as far apart end worse
than the suggestion itself, since a short training flatters rates that are far too large.
"""

WIDE = 4.0
"""Factor for these distances if no learning rate was suggested: whole decades."""

STEPS: Mapping[Role, int] = MappingProxyType({Role.CONSTANT: 80, Role.ONE_CYCLE: 70})
"""Role → the default number of updates in the longest training of a race."""

LAST_SHARE = 1 / 3
"""Share of the last batches with the mean loss that decides without validation data."""

ABOVE, BELOW = 0.1, 0.05
"""Required lead per decade above and below the suggested learning rate, as a share of the progress.

They apply only if training losses decide, because those of a short training are noisy and favor large learning rates.
"""

AS_GOOD = 0.05
"""Maximum distance behind the winner of candidates that are as good, as a share of the progress."""
MIN_PROGRESS = 1e-200
"""Minimum progress, so that shares of it stay finite."""

WARM_UP, FIRST_SHARE, LAST_RATE = 0.25, 1 / 25, 1e-5
"""A one-cycle schedule rises from 1/25 of its peak in a quarter of the steps, then falls to 1e-5 of it, as cosines."""


def candidates_around(lr: float, *, wide: bool = False) -> tuple[float, ...]:
    """Returns the candidates around `lr` in increasing order.

    >>> [f"{rate:.2g}" for rate in candidates_around(1e-3)]
    ['0.00032', '0.00056', '0.001', '0.0018']
    >>> [f"{rate:.2g}" for rate in candidates_around(1e-3, wide=True)]
    ['1e-05', '0.0001', '0.001', '0.01']
    """
    return tuple(lr * 10.0 ** (decades * (WIDE if wide else 1.0)) for decades in CANDIDATES)


def rounds(steps: int, role: Role, number: int) -> tuple[tuple[int, int], ...]:
    """Returns the last step of each round, and the number of candidates that remain after it.

    At a constant learning rate, the last candidate drops out halfway. With a one-cycle schedule all candidates run to
    the end, because only the complete schedule can be compared.

    >>> rounds(80, Role.CONSTANT, 4), rounds(70, Role.ONE_CYCLE, 4)
    (((40, 3), (80, 1)), ((70, 1),))
    """
    if role == Role.ONE_CYCLE:
        return ((steps, 1),)
    return ((steps // 2, max(2, number - 1)), (steps, 1))


def one_cycle(peak: float, steps: int) -> tuple[float, ...]:
    """Returns the learning rate of each step of a one-cycle schedule.

    References:
        Smith and Topin (2018), "Super-Convergence"; the shape is that of fastai's `fit_one_cycle`.

    >>> [f"{rate:.2g}" for rate in one_cycle(1.0, 8)]
    ['0.04', '0.52', '1', '0.93', '0.75', '0.5', '0.25', '0.067']
    """
    up = max(1, round(WARM_UP * steps))

    def cosine(first: float, last: float, count: int) -> list[float]:
        return [last + (first - last) * (1 + math.cos(math.pi * at / count)) / 2 for at in range(count)]

    return tuple(peak * share for share in cosine(FIRST_SHARE, 1.0, up) + cosine(1.0, LAST_RATE, steps - up))


def training_score(losses: Array) -> float:
    """Returns the mean of the last third of the losses, or infinity if any loss is not finite."""
    if not losses.size or not np.isfinite(losses).all():
        return math.inf
    return float(losses[-max(1, round(LAST_SHARE * losses.size)) :].mean())


def standings(scores: Sequence[float], *, start: float, decades: Sequence[float] | None = None) -> Array:
    """Returns the distance of each candidate behind the best one, as a share of the progress of the best.

    Args:
        scores: Loss of each candidate; infinite if its training diverged. Shape `(k,)`.
        start: The loss before any training.
        decades: Distance of each candidate from the suggested learning rate, to require a lead for it; `None` to ignore
            it. Shape `(k,)`.

    Returns:
        Array of shape `(k,)`, infinite for candidates that diverged. The leader has the lowest value, which is 0
        without `decades`.

    >>> standings([0.5, 1.0, math.inf], start=1.5).tolist()
    [0.0, 0.5, inf]
    >>> standings([0.5, 0.49], start=1.5, decades=[0.0, 0.5]).round(3).tolist()
    [0.01, 0.05]
    """
    values = np.asarray(scores, float)
    diverged = ~np.isfinite(values)
    if diverged.all():
        return np.full(values.shape, math.inf)
    best = float(values[~diverged].min())
    progress = max(start - best if start > best else AS_GOOD * abs(start), MIN_PROGRESS)
    behind = np.where(diverged, math.inf, (values - best) / progress)
    if decades is None:
        return behind
    distance = np.asarray(decades, float)
    return behind + np.where(distance > 0, ABOVE * distance, -BELOW * distance)


TRIED = 0.125
"""Distance from a candidate (decades) up to which a rate counts as tried: half of that between the default ones."""

WORSE = 1.5
"""Multiple of the loss before any training above which a winner has only lost less than the others."""


def reach(rates: Sequence[float], behind: Sequence[float]) -> tuple[float, float]:
    """Returns the range of learning rates that are as good as the winner.

    The range ends an eighth of a decade beyond the last candidate that is as good as the winner, or halfway to the next
    one if that is closer.

    Args:
        rates: The candidates in increasing order, at least two. Shape `(k,)`.
        behind: Their `standings`; infinite for those that dropped out. Shape `(k,)`.

    Returns:
        The lower and the upper end of the range.

    >>> low, high = reach([1e-4, 1e-3, 1e-2], [0.5, 0.0, 0.01])
    >>> f"{low:.2g} {high:.2g}"
    '0.00075 0.013'
    """
    places, values = np.log10(rates), np.asarray(behind, float)
    half = np.minimum(np.diff(places) / 2, TRIED)
    lowest = places - np.concatenate([half[:1], half])
    highest = places + np.concatenate([half, half[-1:]])
    low = high = int(np.argmin(values))
    limit = values[low] + AS_GOOD
    while low > 0 and values[low - 1] <= limit:
        low -= 1
    while high < len(values) - 1 and values[high + 1] <= limit:
        high += 1
    return float(10.0 ** lowest[low]), float(10.0 ** highest[high])
