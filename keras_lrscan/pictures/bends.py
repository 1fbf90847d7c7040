"""Finds the points that a line was drawn through from its bends."""

from __future__ import annotations

import numpy as np

from keras_lrscan._typing import Array

__all__ = ["corners", "count_intervals"]

MIN_INTERVALS = 16
"""Fewest intervals that are looked for: with fewer points, markers and the course of the curve bend as regularly."""

MIN_PIXELS = 3.0
"""Fewest columns of an interval: closer bends run into each other."""

MIN_STRENGTH, MIN_CONTRAST = 0.18, 12.0
"""Smallest share of the bending at evenly spaced columns, and its smallest ratio to the median of all numbers.

Set on 26 pictures of 15 scans in nine looks: all numbers above both were right, and smooth lines reach 0.15 and 9.
"""

STEP = 2
"""Columns between the rows whose second difference is a bend: the pixels of a corner are blurred."""

USUAL_BEND = 90
"""Percentile at which a bend is capped, so that the explosion does not outweigh the rest."""


def count_intervals(columns: Array, rows: Array, *, width: float = 1.0) -> int | None:
    """Returns the number of equal intervals between the points of a line, or `None` if its bends do not show them.

    A finder raises the rate by a constant factor, so its points are evenly spaced on a logarithmic axis, and the line
    bends at these points only. The number is where the bending has the strongest period.

    Args:
        columns: Columns of the line. Array of shape `(n,)`.
        rows: Its rows. Array of shape `(n,)`.
        width: Thickness of the line, half of which sticks out at each end.

    Example:
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal(51)
    >>> columns = np.arange(401.0)
    >>> count_intervals(columns, 20 * np.interp(columns, np.linspace(0, 400, 51), noise))
    50
    """
    first, last = _ends(columns, width)
    length = last - first
    most = int(length / MIN_PIXELS)
    if most <= MIN_INTERVALS or columns.size < 0.8 * length:
        return None
    course = np.interp(np.arange(columns[0], columns[-1] + 1), columns, rows)
    bends = np.abs(course[2 * STEP :] - 2 * course[STEP:-STEP] + course[: -2 * STEP])
    bends = np.minimum(bends, np.percentile(bends, USUAL_BEND))
    bends = np.maximum(bends - np.median(bends), 0.0)
    if bends.sum() <= 0:
        return None
    numbers = np.arange(MIN_INTERVALS, most + 1)
    places = (np.arange(bends.size) + STEP + columns[0] - first) / length
    strength = np.cos(2 * np.pi * np.outer(numbers, places)) @ bends / bends.sum()
    best = float(strength.max())
    usual = float(np.median(np.abs(strength)))
    return int(numbers[strength.argmax()]) if best > max(MIN_STRENGTH, MIN_CONTRAST * usual) else None


def corners(columns: Array, rows: Array, intervals: int, width: float) -> tuple[Array, Array]:
    """Returns columns and rows of the points that a line was drawn through.

    A point above or below both neighbors has the outermost row near it, since the blur of a corner cuts its tip.

    Args:
        columns: Columns of the line. Array of shape `(n,)`.
        rows: Its rows. Array of shape `(n,)`.
        intervals: Number of equal intervals between the points.
        width: Thickness of the line.
    """
    places = np.linspace(*_ends(columns, width), intervals + 1)
    middle = np.interp(places, columns, rows)
    near = np.stack([np.interp(places + step, columns, rows) for step in (-1.0, -0.5, 0.0, 0.5, 1.0)])
    before, after = np.roll(middle, 1), np.roll(middle, -1)
    is_top, is_bottom = (middle < before) & (middle < after), (middle > before) & (middle > after)
    tips = np.where(is_top, near.min(axis=0), np.where(is_bottom, near.max(axis=0), middle))
    tips[[0, -1]] = middle[[0, -1]]
    return places, tips


def _ends(columns: Array, width: float) -> tuple[float, float]:
    cap = max(0.0, (min(width, 12.0) - 1) / 2)
    return float(columns[0]) + cap, float(columns[-1]) - cap
