"""Finds the points that a line was drawn through from its bends."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import uniform_filter1d

from keras_lrscan._typing import Array

if TYPE_CHECKING:
    from keras_lrscan.pictures.line import Line

__all__ = ["corners", "estimate_intervals", "find_points"]

MIN_INTERVALS, MAX_INTERVALS = 16, 450
"""Fewest and most intervals that are looked for: with fewer points, the course of the curve bends as regularly."""

MIN_PIXELS = 2.0
"""Fewest columns of an interval: closer bends run into each other."""

MAX_RATIO = 0.83
"""Largest ratio of the error with the best number of intervals to that with any other below `MULTIPLE` times as many.

Set on the lines of 51 pictures of 26 scans in ten looks, where it leaves no number more than one off. Of 79 other lines
of batch losses, 66 have the right number, one another, and 12 none; of 46 averages, 18, one, and 27.
"""

MULTIPLE, MAX_OVER_BEST = 1.9, 1.6
"""Multiples of a number of intervals fit as well, and more, but hardly better than the number itself."""

MAX_ERROR, PIXEL = 3.0, 0.1
"""Largest distance from the line that a column counts, in pixels, and the error of a row that fits by chance."""

MOVES = tuple(np.linspace(-1.0, 1.0, 7).tolist())
"""Distances by which the ends of the fitted pieces are moved, in pixels."""

RIDGE = 1e-3
"""Weight that keeps a point without a column where it is."""

MOST_CAP = 12.0
"""Largest width of a line whose ends stick out by half of it, in rows."""

USUAL_BEND = 90
"""Percentile at which a slope is capped, so that the explosion does not outweigh the rest."""

MOST_HIDDEN = 0.015
"""Largest share of the width of the axes between the end of a line and the side behind which its end may be hidden.

In four pictures of plots that fill their axes, as those of matplotlib's old style do, it is 0.005 to 0.008.
"""

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


def find_points(line: Line, *, sides: tuple[float, float] | None = None) -> Array | None:
    """Returns the columns of the points that a line was drawn through, or `None` if its bends do not show them.

    A finder raises the rate by a constant factor, so its points are evenly spaced on a logarithmic axis, and the line
    is straight between them. So straight pieces are fitted to it for every possible number of points. The number is
    clear if its error in generalized cross-validation (Craven and Wahba, 1979) is well below that of all others.

    Args:
        line: The line.
        sides: Columns of the left and the right side of the axes, behind which an end of the line may be hidden.

    Returns:
        Array of shape `(points,)`.
    """
    first, last = _ends(line)
    out = 0.35 * (min(line.width, MOST_CAP) - 1) + 0.5  # where the line is steep, less than half its width sticks out
    most = min(int((last - first) / MIN_PIXELS), MAX_INTERVALS)
    if most <= MIN_INTERVALS or line.columns.size < 0.8 * (last - first):
        return None
    fit = functools.partial(_error, line, 1 / (1 + np.gradient(line.rows, line.columns) ** 2))
    numbers = np.arange(MIN_INTERVALS, most + 1)
    rivals = np.abs(numbers[:, None] - numbers) > 1
    rivals &= numbers < MULTIPLE * numbers[:, None]
    best, ratio = None, MAX_RATIO
    lefts, rights = [0.0, out], [0.0, out]
    if sides is not None:
        lefts += _hidden(first - sides[0], sides)
        rights += _hidden(sides[1] - last, sides)
    for left, right in itertools.product(lefts, rights):
        start, end = first - left, last + right
        errors = np.array([fit(np.linspace(start, end, number + 1)) for number in numbers])
        ratios = errors / np.where(rivals, errors, np.inf).min(axis=1)
        ratios[errors > MAX_OVER_BEST * errors.min()] = np.inf
        if ratios.min() < ratio:
            best, ratio = np.linspace(start, end, numbers[ratios.argmin()] + 1), ratios.min()
    if best is None:
        return None
    tried = (np.linspace(best[0] + left, best[-1] + right, best.size) for left in MOVES for right in MOVES)
    return min(tried, key=fit)


def _hidden(gap: float, sides: tuple[float, float]) -> list[float]:
    """Returns the gap between the end of a line and a side of the axes if it is so narrow that the side may hide it."""
    return [gap] if 0 < gap <= MOST_HIDDEN * (sides[1] - sides[0]) else []


def _error(line: Line, weight: Array, points: Array) -> float:
    """Returns the mean squared distance of a line from straight pieces between points, by cross-validation.

    Args:
        line: The line.
        weight: Inverse square of its steepness in each column, since distances are at right angles to it. Array of
            shape `(n,)`.
        points: Columns of the points. Array of shape `(points,)`.
    """
    last = points.size - 1
    place = np.clip((line.columns - points[0]) / (points[-1] - points[0]) * last, 0, last)
    before = np.minimum(place.astype(int), last - 1)
    after = place - before
    near, far = weight * (1 - after), weight * after
    bands = np.zeros((2, points.size))
    bands[0, 1:] = np.bincount(before, near * after, last)
    bands[1, :-1] = np.bincount(before, near * (1 - after), last)
    bands[1, 1:] += np.bincount(before, far * after, last)
    bands[1] += RIDGE
    wanted = np.bincount(before, near * line.rows, points.size)
    wanted[1:] += np.bincount(before, far * line.rows, last)
    rows = solveh_banded(bands, wanted, check_finite=False)
    away = np.abs((1 - after) * rows[before] + after * rows[before + 1] - line.rows) * np.sqrt(weight)
    size = np.mean(np.minimum(away, MAX_ERROR) ** 2) + PIXEL**2
    return float(size / (1 - points.size / line.columns.size) ** 2)


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


def corners(line: Line, points: Array) -> Array:
    """Returns the rows of the points that a line was drawn through.

    A point above or below both neighbors is half a line width within the outermost ink near it.

    Args:
        line: The line.
        points: Columns of the points. Array of shape `(points,)`.

    Returns:
        Array of shape `(points,)`.
    """
    middle = np.interp(points, line.columns, line.rows)
    near = [np.interp(points + step, line.columns, line.tops) for step in REACH]
    top = np.min(near, axis=0) + (line.width - 1) / 2
    near = [np.interp(points + step, line.columns, line.bottoms) for step in REACH]
    bottom = np.max(near, axis=0) - (line.width - 1) / 2
    before, after = np.roll(middle, 1), np.roll(middle, -1)
    is_top, is_bottom = (middle < before) & (middle < after), (middle > before) & (middle > after)
    tips = np.where(is_top, np.minimum(top, middle), np.where(is_bottom, np.maximum(bottom, middle), middle))
    tips[[0, -1]] = line.rows[[0, -1]]
    return np.asarray(tips)


def _ends(line: Line) -> tuple[float, float]:
    """Returns the columns of the first and the last point, beyond which half the width of the line sticks out."""
    cap = max(0.0, (min(line.width, MOST_CAP) - 1) / 2)
    return float(line.columns[0]) + cap, float(line.columns[-1]) - cap
