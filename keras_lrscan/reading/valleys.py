"""Tells the valleys of a smoothed curve from dips that a few batches make by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["distinct_valleys"]

APART = 0.5
"""Smallest distance of a valley from the one before it, in decades."""

PROMINENCE = 0.4
"""Smallest height of the hill between two valleys above both, as a share of the largest fall.

On the first sample of `benchmarks/shapes`, limits from 0.4 to 0.55 give 95 or 96 % of all scans a shape by eye, and 0.2
gives 94 %: in noisy batches, the line also climbs on the floor of a single valley.
"""

WIDTH, WIDTH_DECADES = 3, 0.1
"""Smallest number of points, and of decades, in the lower half of a further valley; the hill needs as many points."""

DEEP_SHARE = 0.6
"""Smallest depth of a further valley below start and chance level, as a share of that of the lowest point.

On the 178 scans of the first sample in `benchmarks/shapes`, 0.5 to 0.65 give the same shapes.
"""

DIP_SHARE = 2 / 3
"""Depth below which a valley may be only a dip on the way down, as a share of the depth of the next one.

On every second scan of the fresh starts of `benchmarks/suggestions`, the mean regret is 0.068 with 2/3, 0.069 with 1/2
and only before brief hills, and 0.071 if a deeper valley replaces the first behind every brief hill.
"""

DIP_DECADES = 0.25
"""Width of the lower half below which it may be such a dip, if the hill after it is not brief."""

DIP_NOISE = 3.0
"""Height above the start up to which that hill may be noise, in standard deviations of one batch."""


def distinct_valleys(
    x: Array, loss: Array, candidates: Sequence[int], *, start: float, level: float, noise: float
) -> list[int]:
    """Returns the first valley, and the further ones that a hill and some distance part from it and from each other.

    Where training breaks, the loss of a few batches may be low by chance, so a further valley must lie half a decade to
    the right, behind a hill of several points, and be wide. A model that breaks often comes back to guessing, so a
    further valley must also lie well below the chance level. On the way down, a few batches may be low by chance too: a
    shallow dip is left out if the hill after it is brief or low, or if it is narrow and the loss rises no higher than
    at the start. Of candidates within half a decade, the lowest is the valley.

    Args:
        x: Logarithms of the learning rates to base 10, rising. Array of shape `(n,)`.
        loss: The smoothed loss. Array of shape `(n,)`.
        candidates: Indices of local minima below the start, in order.
        start: Loss at the start.
        level: The chance level, if known and lower, or else `start`.
        noise: Standard deviation of the loss of one batch.

    Example:
    >>> x = np.linspace(-6, 0, 61)
    >>> two = 2.0 - np.exp(-((x + 4) ** 2) / 0.1) - 1.2 * np.exp(-((x + 1) ** 2) / 0.1)
    >>> distinct_valleys(x, two, [20, 50], start=2.0, level=2.0, noise=0.0)
    [20, 50]
    >>> distinct_valleys(x, two, [20, 50], start=2.0, level=0.7, noise=0.0)  # neither is below guessing
    [20]
    >>> two[50] = 2.0  # only the slopes beside it remain
    >>> distinct_valleys(x, two, [20, 49], start=2.0, level=2.0, noise=0.0)
    [20]
    """
    deepest = DEEP_SHARE * (level - min((float(loss[index]) for index in candidates), default=level))
    hill = PROMINENCE * max((start - float(loss[index]) for index in candidates), default=0.0)
    kept = list(candidates[:1])
    for index in candidates[1:]:
        last = kept[-1]
        top = last + int(np.argmax(loss[last:index]))
        floor = max(float(loss[last]), float(loss[index]))
        is_brief = _run(loss > (loss[top] + floor) / 2, top).size < WIDTH
        is_shallow = start - loss[last] < DIP_SHARE * (start - loss[index])
        is_noise = np.ptp(x[_lower_half(loss, last, start)]) < DIP_DECADES and loss[top] < start + DIP_NOISE * noise
        is_parted = loss[top] - floor >= hill
        if is_shallow and (is_brief or is_noise or not is_parted):
            kept[-1] = index
        elif x[index] - x[last] < APART:
            kept[-1] = index if loss[index] < loss[last] else last
        elif (
            not is_brief
            and level - loss[index] >= max(deepest, 0.0)
            and is_parted
            and _is_wide(x[_lower_half(loss, index, start)])
        ):
            kept.append(index)
    return kept


def _lower_half(loss: Array, bottom: int, start: float) -> NDArray[np.intp]:
    return _run(loss <= (start + loss[bottom]) / 2, bottom)


def _is_wide(places: Array) -> bool:
    return places.size >= WIDTH and bool(np.ptp(places) >= WIDTH_DECADES)


def _run(marked: NDArray[np.bool_], index: int) -> NDArray[np.intp]:
    """Returns the indices of the marked points in a row around `index`."""
    others = np.flatnonzero(~marked)
    place = int(np.searchsorted(others, index))
    first = int(others[place - 1]) + 1 if place else 0
    last = int(others[place]) if place < others.size else marked.size
    return np.arange(first, last)
