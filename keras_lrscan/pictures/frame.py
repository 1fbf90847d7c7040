"""Finds the rectangle that a plot draws its lines in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.pictures.image import highest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.pictures.image import Pixels

__all__ = ["Frame", "find_frames", "on_spines"]

EDGE = 9.0
"""Smallest difference of neighboring colors that counts as an edge, of 255: a light grid on light paper."""

GAP = 7
"""Pixels that a line may be interrupted by: another line crosses it, or it is dashed."""

CROSSED = 3
"""Pixels that a crossing gridline hides of a line; a label is further from the frame."""

LETTER_SHARE = 0.02
"""Largest share of a line that a letter beside its end has, while the next piece of the line is longer."""

MIN_LENGTH = 0.22
"""Shortest edge of a frame, as a share of the picture."""

MIN_GRIDLINES = 3
"""Fewest horizontal lines with the same ends that are a plot without vertical ones."""

MARK_SHARE = 0.03
"""Length of a tick mark at most, as a share of the width of the plot."""

MAX_SEGMENTS, MAX_GROUPS = 400, 40
"""Most long edges, and most groups of edges with the same ends; a plot has fewer than 60 and 20."""

MAX_FRAMES = 24
"""Most rectangles that are returned; pictures of one plot have up to six."""

BLUR = 8
"""Side of the blocks that JPEG compresses, up to which an edge beside a sharp line may extend."""

SPINE = 40.0
"""Smallest contrast of a spine, of 255."""

NEAR, NEAR_SHARE = 4.0, 0.004
"""Pixels within which two ends count as the same, and as a share of the larger side of the picture: a spine's width."""


_Group = tuple[float, float, "NDArray[np.float64]"]
"""Common start and end of edges, and their places."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Describes the rectangle of the axes, in pixels: the columns and rows of its edges.

    Attributes:
        left: Column of the left edge.
        right: Column of the right edge.
        top: Row of the top edge.
        bottom: Row of the bottom edge.
        sides: Number of edges along which a line is drawn.
    """

    left: float
    right: float
    top: float
    bottom: float
    sides: int = 4

    @property
    def width(self) -> float:
        """Distance of the left and the right edge."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Distance of the top and the bottom edge."""
        return self.bottom - self.top

    def is_near(self, other: Frame, near: float) -> bool:
        """Returns whether no edge is further from that of the other frame than so many pixels."""
        ends = (self.left - other.left, self.right - other.right, self.top - other.top, self.bottom - other.bottom)
        return max(map(abs, ends)) <= near


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """A straight edge: its row or column, and where it starts and ends along it."""

    at: float
    start: int
    end: int


def on_spines(light: NDArray[np.float32], frame: Frame) -> Frame:
    """Returns the frame moved to its spines, whose ends the blocks of a JPEG blur by up to `BLUR` pixels.

    Args:
        light: Brightness of each pixel. Array of shape `(height, width)`.
        frame: The frame. A side without a spine stays where it is.
    """
    rows, columns = _inner(frame.top, frame.bottom), _inner(frame.left, frame.right)
    return dataclasses.replace(
        frame,
        left=_spine(light[rows].T, frame.left),
        right=_spine(light[rows].T, frame.right),
        top=_spine(light[:, columns], frame.top),
        bottom=_spine(light[:, columns], frame.bottom),
    )


def _inner(first: float, last: float) -> slice:
    """Returns the middle of a side, without its ends."""
    return slice(round(first + 0.1 * (last - first)), round(last - 0.1 * (last - first)))


def _spine(lines: NDArray[np.float32], at: float) -> float:
    """Returns the center of the dark or light line near a place, or the place if there is none."""
    start = max(round(at) - BLUR, 0)
    part = lines[start : round(at) + BLUR + 1]
    level = np.abs(np.median(part, axis=1) - np.median(part))
    peak = int(level.argmax())
    around = level[max(peak - 3, 0) : peak + 4]
    if level[peak] < SPINE or min(around[0], around[-1]) > 0.5 * level[peak]:
        return at
    weight = np.where(around > 0.3 * level[peak], around, 0.0)
    return float(start + max(peak - 3, 0) + np.arange(weight.size) @ weight / weight.sum())


def find_frames(pixels: Pixels) -> list[Frame]:
    """Returns the rectangles that may be the frame of a plot, those with more sides first, then the larger ones.

    Spines, gridlines and the edges of a colored ground all extend over the whole width or height of the axes. So each
    group of horizontal edges with common ends gives a width, and each group of vertical ones a height.
    """
    near = max(NEAR, NEAR_SHARE * max(pixels.shape[:2]))
    across = _groups(_segments(pixels, near)[:MAX_SEGMENTS], near)[:MAX_GROUPS]
    down = _groups(_segments(pixels.swapaxes(0, 1), near)[:MAX_SEGMENTS], near)[:MAX_GROUPS]
    found: list[Frame] = []
    for left, right, rows in across:
        for top, bottom, columns in down:
            drawn = [bool(np.any(np.abs(rows - end) <= near)) for end in (top, bottom)]
            drawn += [bool(np.any(np.abs(columns - end) <= near)) for end in (left, right)]
            frame = Frame(left=left, right=right, top=top, bottom=bottom, sides=sum(drawn))
            touches = rows.min() >= top - near and rows.max() <= bottom + near
            touches = touches and columns.min() >= left - near and columns.max() <= right + near
            if touches and not any(frame.is_near(other, near) for other in found):
                found.append(frame)
    found = found or [_around(group, across, near) for group in across if group[2].size >= MIN_GRIDLINES]
    return sorted(found, key=lambda frame: (-frame.sides, -frame.width * frame.height))[:MAX_FRAMES]


def _around(group: _Group, across: list[_Group], near: float) -> Frame:
    """Returns the frame of a plot with horizontal gridlines alone; its top is up to a step above the highest.

    The tick marks of the y-axis make gridlines longer than the spine below them.
    """
    left, right, rows = group
    mark = MARK_SHARE * (right - left)
    spines = [one for one in across if 0 <= one[0] - left <= mark and abs(one[1] - right) <= near]
    return Frame(
        left=max(start for start, _, _ in spines),
        right=right,
        top=max(0.0, float(rows.min() - np.median(np.diff(np.sort(rows))))),
        bottom=max(float(places.max()) for _, _, places in spines),
        sides=1,
    )


def _segments(pixels: Pixels, near: float) -> list[_Segment]:
    """Returns the long horizontal edges, those of one line (its two sides) as one."""
    width = pixels.shape[1]
    step = highest(np.abs(np.diff(pixels, axis=0))) > EDGE
    shortest = max(40, int(MIN_LENGTH * width))
    found: list[_Segment] = []
    for row in np.flatnonzero(step.sum(axis=1) > 0.6 * shortest):
        found += [_Segment(at=row + 0.5, start=a, end=b) for a, b in _runs(step[row]) if b - a >= shortest]
    merged: list[list[_Segment]] = []
    for segment in found:
        beside = (one for one in merged if segment.at - one[-1].at <= near and _same_ends(one[-1], segment, near))
        group = next(beside, None)
        if group is None:
            merged.append([segment])
        else:
            group.append(segment)
    return [
        _Segment(
            at=float(np.mean([one.at for one in group])),
            start=int(np.median([one.start for one in group])),
            end=int(np.median([one.end for one in group])),
        )
        for group in merged
    ]


def _same_ends(one: _Segment, other: _Segment, near: float) -> bool:
    return abs(one.start - other.start) <= near and abs(one.end - other.end) <= near


def _runs(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Returns the first and the last index of each run of true values, with gaps of up to `GAP` closed.

    A letter of a label that stands close to a line is no part of it.
    """
    on = np.flatnonzero(row)
    if not on.size:
        return []
    pieces = _pieces(on, CROSSED)
    return [_without_letters([one for one in pieces if start <= one[0] <= end]) for start, end in _pieces(on, GAP)]


def _without_letters(pieces: list[tuple[int, int]]) -> tuple[int, int]:
    """Returns the first and the last index of the pieces of one line, without a letter at either end."""
    sizes = [end - start for start, end in pieces]
    shortest = LETTER_SHARE * (pieces[-1][1] - pieces[0][0])
    begins = len(pieces) > 1 and sizes[0] < shortest <= sizes[1]
    ends = len(pieces) > 1 and sizes[-1] < shortest <= sizes[-2]
    return pieces[1 if begins else 0][0], pieces[-2 if ends else -1][1]


def _pieces(on: NDArray[np.intp], gap: int) -> list[tuple[int, int]]:
    """Returns the first and the last of numbers that follow each other at no more than a distance."""
    breaks = np.flatnonzero(np.diff(on) > gap)
    starts, ends = on[np.concatenate([[0], breaks + 1])], on[np.concatenate([breaks, [on.size - 1]])]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def _groups(segments: list[_Segment], near: float) -> list[_Group]:
    """Returns the common start, the common end and the places of segments with the same ends."""
    groups: list[list[_Segment]] = []
    for segment in segments:
        group = next((group for group in groups if _same_ends(group[0], segment, near)), None)
        if group is None:
            groups.append([segment])
        else:
            group.append(segment)
    return [
        (
            float(np.median([one.start for one in group])) + 0.5,
            float(np.median([one.end for one in group])) + 0.5,
            np.array([one.at for one in group]),
        )
        for group in groups
    ]
