"""Who is ahead in a race of learning rates, and which rates are as good as the winner: numbers in, numbers out.

`benchmarks/suggestions/race.py` plays races from recorded trainings with the functions of this file.
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

__all__ = ["CANDIDATES", "STEPS", "candidates_around", "one_cycle", "reach", "rounds", "standings", "training_score"]

CANDIDATES = (-1.0, -0.5, 0.0, 0.5)
"""The rates that race, in decades from the suggested one."""

WIDE = 2.0
"""How many times further apart they are where no rate was suggested."""

STEPS: Mapping[Role, int] = MappingProxyType({Role.CONSTANT: 80, Role.ONE_CYCLE: 70})
"""Updates of the longest training of a race."""

LAST_SHARE = 1 / 3
"""A training is judged by the mean loss of this last share of its batches, where there are no validation data."""

ABOVE, BELOW = 0.1, 0.05
"""By how much of the progress a candidate must lead for each decade above and below the suggested rate.

Only where training losses decide: those of a short training flatter large rates, and are noisy.
"""

AS_GOOD = 0.05
"""A candidate behind the winner by less than this share of the progress is as good."""
MIN_PROGRESS = 1e-200
"""No progress is taken for less, so that shares of it stay finite."""

WARM_UP, FIRST_SHARE, LAST_RATE = 0.25, 1 / 25, 1e-5
"""A one-cycle schedule rises from a 25th of its peak in a quarter of the steps, then falls to 1e-5 of it: cosines."""


def candidates_around(lr: float, *, wide: bool = False) -> tuple[float, ...]:
    """Returns the rates that race around `lr`, rising.

    >>> [f"{rate:.2g}" for rate in candidates_around(1e-3)]
    ['0.0001', '0.00032', '0.001', '0.0032']
    """
    return tuple(lr * 10.0 ** (decades * (WIDE if wide else 1.0)) for decades in CANDIDATES)


def rounds(steps: int, role: Role, number: int) -> tuple[tuple[int, int], ...]:
    """Returns the rounds of a race: up to which step each goes, and how many candidates are left after it.

    At a constant rate the last one drops out half way. A one-cycle schedule is judged as a whole, or not at all.

    >>> rounds(80, Role.CONSTANT, 4), rounds(70, Role.ONE_CYCLE, 4)
    (((40, 3), (80, 1)), ((70, 1),))
    """
    if role == Role.ONE_CYCLE:
        return ((steps, 1),)
    return ((steps // 2, max(2, number - 1)), (steps, 1))


def one_cycle(peak: float, steps: int) -> tuple[float, ...]:
    """Returns the rate of each step of a one-cycle schedule.

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
    """Returns the mean of the last third of the losses; infinite if any loss is not finite."""
    if not losses.size or not np.isfinite(losses).all():
        return math.inf
    return float(losses[-max(1, round(LAST_SHARE * losses.size)) :].mean())


def standings(scores: Sequence[float], *, start: float, decades: Sequence[float] | None = None) -> Array:
    """Returns how far each candidate is behind the best, in shares of the progress that the best has made.

    Args:
        scores: Loss of each; infinite where it broke. Shape `(k,)`.
        start: The loss before any training.
        decades: How far each is from the suggested rate, where that is to count. Shape `(k,)`.

    Returns:
        Array of shape `(k,)`, infinite where a candidate broke. The leader has the lowest value, which is 0 unless
        `decades` count.

    >>> standings([0.5, 1.0, math.inf], start=1.5).tolist()
    [0.0, 0.5, inf]
    >>> standings([0.5, 0.49], start=1.5, decades=[0.0, 0.5]).round(3).tolist()
    [0.01, 0.05]
    """
    values = np.asarray(scores, float)
    broken = ~np.isfinite(values)
    if broken.all():
        return np.full(values.shape, math.inf)
    best = float(values[~broken].min())
    progress = max(start - best if start > best else AS_GOOD * abs(start), MIN_PROGRESS)
    behind = np.where(broken, math.inf, (values - best) / progress)
    if decades is None:
        return behind
    distance = np.asarray(decades, float)
    return behind + np.where(distance > 0, ABOVE * distance, -BELOW * distance)


def reach(rates: Sequence[float], behind: Sequence[float]) -> tuple[float, float]:
    """Returns the range of rates that are as good as the winner.

    It ends midway, on the log axis, between the last candidate as good as the winner and the next one; beyond the
    smallest and the largest candidate as far as on their other side.

    Args:
        rates: The candidates, rising. Shape `(k,)`, at least two.
        behind: Their `standings`; infinite for those that dropped out. Shape `(k,)`.

    >>> low, high = reach([1e-4, 1e-3, 1e-2], [0.5, 0.0, 0.01])
    >>> f"{low:.2g} {high:.2g}"
    '0.00032 0.032'
    """
    places, values = np.log10(rates), np.asarray(behind, float)
    middles = (places[1:] + places[:-1]) / 2
    edges = np.concatenate([[2 * places[0] - middles[0]], middles, [2 * places[-1] - middles[-1]]])
    low = high = int(np.argmin(values))
    limit = values[low] + AS_GOOD
    while low > 0 and values[low - 1] <= limit:
        low -= 1
    while high < len(values) - 1 and values[high + 1] <= limit:
        high += 1
    return float(10.0 ** edges[low]), float(10.0 ** edges[high + 1])
