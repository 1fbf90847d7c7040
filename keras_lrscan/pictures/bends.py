"""Finds the points that a line was drawn through from its bends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from keras_lrscan._typing import Array

if TYPE_CHECKING:
    from keras_lrscan.pictures.line import Line

__all__ = ["corners", "count_intervals", "estimate_intervals"]

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
"""Percentile at which a bend or a slope is capped, so that the explosion does not outweigh the rest."""

REACH = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Columns around a corner in which its tip is looked for."""

TREND_WIDTH = 31
"""Columns in the mean that is subtracted from the slopes, to remove the course of the curve."""

MIN_SLOPE = 0.01
"""Smallest scatter of the slopes that can be seen, in rows per column."""

TURNS = -0.1
"""Largest correlation of slopes that counts as turning back."""

BLURRED = 0.8
"""Ratio of an interval to the distance at which the slopes turn back, which the width of the line adds to.

Set on 61 pictures of batch losses, for which it gives intervals within a third of the true ones in three of four.
"""

USUAL_INTERVALS, MOST_INTERVALS = 100, 400
"""Smallest and largest estimate: most finders take 100 steps by default, and a smooth line shows no number."""


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


def estimate_intervals(columns: Array, rows: Array) -> int:
    """Returns a rough number of intervals for a line whose bends do not show it.

    Between two points, a line keeps its direction. The losses of single batches scatter, so one interval further it
    tends to turn back: the slopes of columns at this distance have the most negative correlation.

    Args:
        columns: Columns of the line. Array of shape `(n,)`.
        rows: Its rows. Array of shape `(n,)`.
    """
    course = np.interp(np.arange(columns[0], columns[-1] + 1), columns, rows)
    slope = np.diff(course)
    cap = float(np.percentile(np.abs(slope), USUAL_BEND))
    slope = np.clip(slope, -cap, cap)
    slope -= uniform_filter1d(slope, TREND_WIDTH)
    size = float(np.mean(slope**2))
    if size > MIN_SLOPE**2:
        lags = range(1, min(TREND_WIDTH, slope.size - 1))
        alike = np.array([np.mean(slope[lag:] * slope[:-lag]) / size for lag in lags])
        turns = np.flatnonzero((alike[1:-1] < TURNS) & (alike[1:-1] <= alike[:-2]) & (alike[1:-1] <= alike[2:])) + 1
        if turns.size:
            interval = BLURRED * (float(turns[0]) + 1)
            return int(np.clip(slope.size / interval, USUAL_INTERVALS, MOST_INTERVALS))
    return USUAL_INTERVALS


def corners(line: Line, intervals: int) -> tuple[Array, Array]:
    """Returns columns and rows of the points that a line was drawn through.

    A point above or below both neighbors is half a line width within the outermost ink near it.

    Args:
        line: The line.
        intervals: Number of equal intervals between the points.
    """
    first, last = _ends(line.columns, line.width)
    places = np.linspace(first, last, intervals + 1)
    middle = np.interp(places, line.columns, line.rows)
    near = [np.interp(places + step, line.columns, line.tops) for step in REACH]
    top = np.min(near, axis=0) + (line.width - 1) / 2
    near = [np.interp(places + step, line.columns, line.bottoms) for step in REACH]
    bottom = np.max(near, axis=0) - (line.width - 1) / 2
    before, after = np.roll(middle, 1), np.roll(middle, -1)
    is_top, is_bottom = (middle < before) & (middle < after), (middle > before) & (middle > after)
    tips = np.where(is_top, np.minimum(top, middle), np.where(is_bottom, np.maximum(bottom, middle), middle))
    tips[[0, -1]] = line.rows[[0, -1]]
    return places, tips


def _ends(columns: Array, width: float) -> tuple[float, float]:
    cap = max(0.0, (min(width, 12.0) - 1) / 2)
    return float(columns[0]) + cap, float(columns[-1]) - cap
