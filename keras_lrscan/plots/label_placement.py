"""Places labels on matplotlib axes so that they cover neither each other nor, if possible, the lines.

All sizes are measured on the figure, so the same code works for a phone and for a wide screen.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Label", "place", "spread", "wrapped"]

GRID = 14
"""Number of places tried along each side of the axes, in addition to those beside the point."""

DISTANCES = (8, 15, 24, 36, 52)
"""Distances from the point to the nearest edge of its label (points)."""

SIDES = tuple((x, y) for x in (-1, -0.5, 0, 0.5, 1) for y in (-1, -0.5, 0, 0.5, 1) if 1 in {abs(x), abs(y)})
"""Positions of the center of a label around its point, in halves of its size."""

LEADER = 14
"""A label farther from its point than this gets a leader line (points)."""

OVERLAP_COST, COVER_COST, PASS_COST, OUTSIDE_COST = 1e3, 4.0, 60.0, 1e5
"""Costs of overlapping another label, covering one point of a line, passing another point with the leader line, and
leaving the axes. Distance costs 1 per point (1/72 inch)."""

MIN_CLEARANCE = 7.0
"""A leader line passes another point if it comes closer to it than this (points)."""

MIN_CHARS = 12
"""Minimum length of a line of wrapped text (characters)."""

MARGIN = 2.0
"""Margin around each label (points)."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label for one point of the data.

    Attributes:
        text: The text.
        x: Position of the point, in data coordinates.
        y: Position of the point, in data coordinates.
        prefers: Preferred direction of the label from its point (radians), which decides between equally good places.
    """

    text: str
    x: float
    y: float
    prefers: float = 0.0


def place(ax: Axes, labels: Sequence[Label], *, lines: Array, taken: Array, style: Mapping[str, Any]) -> Array:
    """Writes each label near its point, away from the other labels and, if space allows, away from the lines.

    Args:
        ax: The axes; their limits and their layout must be final.
        labels: The labels, in order of importance.
        lines: Points along the lines to avoid, in display units. Array of shape `(m, 2)`.
        taken: Boxes to avoid, in display units, as left, bottom, right, top. Array of shape `(k, 4)`.
        style: Keyword arguments for the texts.

    Returns:
        The boxes of all labels, like `taken`. Array of shape `(len(labels), 4)`.
    """
    unit = ax.figure.dpi / 72
    inside = ax.get_window_extent().extents + np.array([1, 1, -1, -1]) * MARGIN * unit
    points = ax.transData.transform([(label.x, label.y) for label in labels]) if labels else np.empty((0, 2))
    dots = np.vstack([lines, points])
    boxes: list[Array] = []
    for i, (label, point) in enumerate(zip(labels, points, strict=True)):
        text = _annotate(ax, label, style)
        extent = text.get_window_extent()
        size = np.array([extent.width, extent.height]) + 2 * MARGIN * unit
        centers, costs = _candidates(point, size, inside, label.prefers, unit)
        found = np.hstack([centers - size / 2, centers + size / 2])
        costs = (
            costs
            + OVERLAP_COST * _count_overlaps(found, np.array([*taken, *boxes]))
            + COVER_COST * _count_covered(found, dots)
        )
        costs = costs + PASS_COST * _count_passed(point, centers, np.delete(points, i, axis=0), MIN_CLEARANCE * unit)
        costs = costs + OUTSIDE_COST * (
            (found[:, :2] < inside[:2]).any(axis=1) | (found[:, 2:] > inside[2:]).any(axis=1)
        )
        best = int(np.argmin(costs))
        _move(text, (centers[best] - point) / unit, _distance(found[best], point) / unit)
        boxes.append(found[best])
        dots = np.vstack([dots, point + np.linspace(0, 1, 12)[:, None] * (centers[best] - point)])
    return np.array(boxes).reshape(-1, 4)


def _annotate(ax: Axes, label: Label, style: Mapping[str, Any]) -> Annotation:
    text = ax.annotate(
        label.text,
        (label.x, label.y),
        xytext=(0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        zorder=6,
        arrowprops={"arrowstyle": "-", "lw": 0.7, "shrinkA": 0, "shrinkB": 3, "color": style.get("color", "black")},
        bbox={"facecolor": ax.get_facecolor(), "alpha": 0.8, "lw": 0, "pad": 1},
        **style,
    )
    text.set_in_layout(False)
    if text.arrow_patch is not None:
        text.arrow_patch.set_visible(False)
    return text


def _move(text: Annotation, offset: Array, gap: float) -> None:
    text.xyann = (float(offset[0]), float(offset[1]))
    if text.arrow_patch is not None:
        text.arrow_patch.set_visible(gap > LEADER)


def _candidates(point: Array, size: Array, inside: Array, prefers: float, unit: float) -> tuple[Array, Array]:
    """Returns candidate centers and the cost of their distance: first beside the point, then all over the axes."""
    near, costs = [], []
    for distance in DISTANCES:
        for x, y in SIDES:
            near.append(point + (size / 2 + distance * unit) * np.array([x, y]))
            costs.append(distance + 2 * (1 - math.cos(math.atan2(y, x) - prefers)))
    across = (np.linspace(low, high, GRID) for low, high in zip(inside[:2], inside[2:], strict=True))
    grid = np.array(np.meshgrid(*across)).reshape(2, -1).T
    grid = np.clip(grid, inside[:2] + size / 2, np.maximum(inside[2:] - size / 2, inside[:2] + size / 2))
    far = 2 * DISTANCES[-1] + np.hypot(*(grid - point).T) / unit
    return np.vstack([near, grid]), np.concatenate([costs, far])


def _count_overlaps(boxes: Array, others: Array) -> Array:
    """Returns the number of other boxes that each box overlaps."""
    if not others.size:
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray((high > low).all(axis=2).sum(axis=1), dtype=float)


def _count_covered(boxes: Array, dots: Array) -> Array:
    """Returns the number of points that each box covers."""
    inside = (dots[None] >= boxes[:, None, :2]) & (dots[None] <= boxes[:, None, 2:])
    return np.asarray(inside.all(axis=2).sum(axis=1), dtype=float)


def _count_passed(point: Array, ends: Array, others: Array, clearance: float) -> Array:
    """Returns the number of other points that the straight line from `point` to each end passes."""
    path = ends - point
    along = (others[None] - point) @ path[:, :, None] / (path**2).sum(axis=1)[:, None, None]
    nearest = point + np.clip(along, 0, 1) * path[:, None]
    away = np.hypot(*np.moveaxis(others[None] - nearest, 2, 0))
    return np.asarray(((away < clearance) & (along[:, :, 0] > 0)).sum(axis=1), dtype=float)


def _distance(box: Array, point: Array) -> float:
    return float(np.hypot(*np.maximum(np.maximum(box[:2] - point, point - box[2:]), 0)))


def spread(centers: Sequence[float], widths: Sequence[float], *, low: float, high: float) -> list[float]:
    """Moves the centers of intervals just far enough apart that the intervals do not overlap.

    Args:
        centers: Preferred centers of the intervals, in order.
        widths: Widths of the intervals.
        low: Lower limit for the first interval.
        high: Upper limit for the last interval. If the widths do not fit, the last intervals exceed it.

    Returns:
        The new centers.

    Example:
    >>> spread([1.0, 2.0, 9.5], [4.0, 2.0, 3.0], low=0.0, high=10.0)
    [2.0, 5.0, 8.5]
    """
    begins: list[float] = []
    for center, width in zip(centers, widths, strict=True):
        begins.append(max(center - width / 2, begins[-1] + widths[len(begins) - 1] if begins else low))
    limit = high
    for i in range(len(begins) - 1, -1, -1):
        begins[i] = min(begins[i], limit - widths[i])
        limit = begins[i]
    begin = low
    for i, width in enumerate(widths):
        begins[i] = max(begins[i], begin)
        begin = begins[i] + width
    return [begin + width / 2 for begin, width in zip(begins, widths, strict=True)]


def wrapped(ax: Axes, text: str, *, width: float, style: Mapping[str, Any]) -> str:
    """Wraps a text into lines of similar length that are at most `width` wide on `ax` (display units)."""
    trial = ax.text(0, 0, text, **style)
    most = int(len(text) * width / max(trial.get_window_extent().width, 1.0))
    best: str | None = None
    for num_chars in range(max(MIN_CHARS, min(len(text), most)), MIN_CHARS - 1, -1):
        broken = textwrap.fill(text, num_chars, break_long_words=False, break_on_hyphens=False)
        if best is not None and broken.count("\n") > best.count("\n"):
            break
        trial.set_text(broken)
        if trial.get_window_extent().width <= width or num_chars == MIN_CHARS:
            best = broken
    trial.remove()
    return text if best is None else best
