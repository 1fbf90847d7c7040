"""Texts that stay clear of each other and of the lines: where to put them on a matplotlib axes.

Sizes are measured and not guessed, so the same code serves a figure for a phone and one for a wide screen.
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
"""Where nothing beside the point is free, this many places along each side of the axes are tried."""

DISTANCES = (8, 15, 24, 36, 52)
"""Distances from the point to the nearest edge of its text (points)."""

SIDES = tuple((x, y) for x in (-1, -0.5, 0, 0.5, 1) for y in (-1, -0.5, 0, 0.5, 1) if 1 in {abs(x), abs(y)})
"""Where the middle of a text stands around its point, in halves of its size."""

LEADER = 14
"""A text further from its point than this (points) gets a line to it."""

TOUCHING, HIDING, PASSING, OUTSIDE = 1e3, 4.0, 60.0, 1e5
"""What it costs to touch another text, to hide one dot of a line, to lead a line past another point, and to leave the
axes; distance costs 1 a point."""

CLOSE = 7.0
"""A line to a text passes another point if it is this close to it (points)."""

MIN_CHARS = 12
"""Lines are not broken shorter than this many letters."""

MARGIN = 2.0
"""Room to keep around each text (points)."""


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text that belongs to a point of the data.

    Attributes:
        text: The text.
        x: Place of the point, in data.
        y: Place of the point, in data.
        prefers: Direction in which the text should stand, as an angle (radians), where all else is equal.
    """

    text: str
    x: float
    y: float
    prefers: float = 0.0


def place(ax: Axes, labels: Sequence[Label], *, lines: Array, taken: Array, style: Mapping[str, Any]) -> Array:
    """Writes each label near its point, clear of the others and, as far as there is room, of the lines.

    Args:
        ax: The axes; their limits and their layout must be final.
        labels: What to write, the most important first.
        lines: Dots along the lines to keep clear of, in display units. Array of shape `(m, 2)`.
        taken: Boxes to keep clear of, in display units, as left, bottom, right, top. Array of shape `(k, 4)`.
        style: Passed on to the texts.

    Returns:
        The boxes of all labels, like `taken`. Array of shape `(len(labels), 4)`.
    """
    unit = ax.figure.dpi / 72
    inside = ax.get_window_extent().extents + np.array([1, 1, -1, -1]) * MARGIN * unit
    points = ax.transData.transform([(label.x, label.y) for label in labels]) if labels else np.empty((0, 2))
    dots = np.vstack([lines, points])
    boxes: list[Array] = []
    for i, (label, point) in enumerate(zip(labels, points, strict=True)):
        text = _written(ax, label, style)
        extent = text.get_window_extent()
        size = np.array([extent.width, extent.height]) + 2 * MARGIN * unit
        centers, costs = _candidates(point, size, inside, label.prefers, unit)
        found = np.hstack([centers - size / 2, centers + size / 2])
        costs = costs + TOUCHING * _overlaps(found, np.array([*taken, *boxes])) + HIDING * _covered(found, dots)
        costs = costs + PASSING * _passed(point, centers, np.delete(points, i, axis=0), CLOSE * unit)
        costs = costs + OUTSIDE * ((found[:, :2] < inside[:2]).any(axis=1) | (found[:, 2:] > inside[2:]).any(axis=1))
        best = int(np.argmin(costs))
        _move(text, (centers[best] - point) / unit, _gap(found[best], point) / unit)
        boxes.append(found[best])
        dots = np.vstack([dots, point + np.linspace(0, 1, 12)[:, None] * (centers[best] - point)])
    return np.array(boxes).reshape(-1, 4)


def _written(ax: Axes, label: Label, style: Mapping[str, Any]) -> Annotation:
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
    """Returns centers, and what each costs by its distance alone; first beside the point, then anywhere."""
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


def _overlaps(boxes: Array, others: Array) -> Array:
    """Returns how many of the others each box touches."""
    if not others.size:
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray((high > low).all(axis=2).sum(axis=1), dtype=float)


def _covered(boxes: Array, dots: Array) -> Array:
    """Returns how many dots each box hides."""
    inside = (dots[None] >= boxes[:, None, :2]) & (dots[None] <= boxes[:, None, 2:])
    return np.asarray(inside.all(axis=2).sum(axis=1), dtype=float)


def _passed(point: Array, ends: Array, others: Array, close: float) -> Array:
    """Returns how many of the other points the straight line from `point` to each end passes."""
    path = ends - point
    along = (others[None] - point) @ path[:, :, None] / (path**2).sum(axis=1)[:, None, None]
    nearest = point + np.clip(along, 0, 1) * path[:, None]
    away = np.hypot(*np.moveaxis(others[None] - nearest, 2, 0))
    return np.asarray(((away < close) & (along[:, :, 0] > 0)).sum(axis=1), dtype=float)


def _gap(box: Array, point: Array) -> float:
    return float(np.hypot(*np.maximum(np.maximum(box[:2] - point, point - box[2:]), 0)))


def spread(centers: Sequence[float], widths: Sequence[float], *, low: float, high: float) -> list[float]:
    """Returns the centers moved as little as needed so that intervals of these widths do not overlap.

    Args:
        centers: Where the intervals would like to be, in order.
        widths: Their widths.
        low: Where the first may begin.
        high: Where the last may end; where the widths do not fit, the last ones leave it.

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
    """Returns the text broken into lines of about one length, at most `width` wide in display units when on `ax`."""
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
