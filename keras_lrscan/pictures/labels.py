"""Finds the texts around the frame of a plot: tick labels, axis labels, and the factor at the end of an axis."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.pictures.frame import Frame
    from keras_lrscan.pictures.image import Pixels

__all__ = ["Box", "Surroundings", "cut", "cut_power", "find_labels", "gray"]

INK = 0.4
"""Contrast of ink, as a share of the strongest contrast around the frame."""

MIN_CONTRAST = 30.0
"""Contrast below which there is no text, of 255."""

REACH = 0.3
"""Share of the frame's size within which texts belong to it, on each side."""

LETTER_GAP = 0.45
"""Widest gap between two letters of a text, in heights of a digit; axis labels are 0.55 away from those of ticks."""

WIDE_GAP = 0.8
"""Widest gap beside a multiplication sign, or where a faint decimal point may lie, in the same unit."""

RAISED = 0.25
"""A letter is raised if it ends this far above the base line, in heights of a digit."""

MAX_PIECES = 600
"""Most pieces of ink on one side of a frame; more are a texture or a page of text."""

MAX_LABELS = 24
"""Most labels of one axis; more components are a texture or a photograph."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """Describes a piece of text by its columns from `left` to `right` and rows from `top` to `bottom`, both inclusive.

    Attributes:
        left: First column.
        right: Last column.
        top: First row.
        bottom: Last row.
        power_from: First column of the digits of a superscript at its end; `None` without one.
        power_is_negative: Whether that superscript starts with a minus.
        front: Width of the text before the superscript, in heights of a digit.
    """

    left: int
    right: int
    top: int
    bottom: int
    power_from: int | None = None
    power_is_negative: bool = False
    front: float = 0.0

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top + 1

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left + 1

    @property
    def center(self) -> tuple[float, float]:
        """Column and row of the middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Holds the boxes of the texts around a frame; empty or `None` where there are none.

    Attributes:
        x_ticks: Labels of the ticks below the frame, from left to right.
        y_ticks: Labels of the ticks left of the frame, from top to bottom.
        x_label: Label of the x-axis.
        y_label: Label of the y-axis, which is written upwards.
        y_factor: Text above the y-axis, which may be a factor such as 1e6.
        x_factor: Text below the right end of the x-axis, which may be such a factor.
    """

    x_ticks: tuple[Box, ...] = ()
    y_ticks: tuple[Box, ...] = ()
    x_label: Box | None = None
    y_label: Box | None = None
    y_factor: Box | None = None
    x_factor: Box | None = None

    @property
    def size(self) -> int:
        """Number of tick labels, of which more than four of an axis prove nothing more."""
        return min(len(self.x_ticks), 4) + min(len(self.y_ticks), 4)


def gray(pixels: Pixels) -> NDArray[np.float32]:
    """Returns the brightness of each pixel. Array of shape `(height, width)`."""
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32))


def find_labels(light: NDArray[np.float32], frame: Frame) -> Surroundings:
    """Returns the texts around the frame.

    Args:
        light: Brightness of each pixel. Array of shape `(height, width)`.
        frame: Frame of the axes.
    """
    y_ticks, y_rest = _y_ticks(_boxes(light, frame, "left"), frame)
    below = [
        piece for piece in _boxes(light, frame, "below") if not any(_inside(piece, label, slack=1) for label in y_ticks)
    ]
    x_ticks, x_rest = _x_ticks(below, frame)
    height = float(np.median([box.height for box in (*x_ticks, *y_ticks)])) if x_ticks or y_ticks else 10.0
    above = _boxes(light, frame, "above")
    y_factor = _nearest_text(above, frame, height)
    middle = (frame.left + frame.right) / 2
    lines = _texts(x_rest, 2.2 * height)
    x_factor = next((box for box in lines if box.left > middle + 0.25 * frame.width), None)
    centered = [box for box in lines if box is not x_factor and abs(box.center[0] - middle) < 0.3 * frame.width]
    return Surroundings(
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        x_label=centered[0] if centered else None,
        y_label=_upright_text(y_rest, frame, height),
        y_factor=y_factor,
        x_factor=x_factor,
    )


def _boxes(light: NDArray[np.float32], frame: Frame, side: str) -> list[Box]:
    """Returns the connected pieces of ink on one side of the frame, without the tick marks that touch it."""
    height, width = light.shape
    aside, deep = int(0.08 * frame.width) + 12, int(REACH * max(frame.height, 0.6 * frame.width))
    rows, columns = {
        "below": ((frame.bottom + 2, frame.bottom + deep), (frame.left - aside, frame.right + aside)),
        "left": (
            (frame.top - 0.06 * frame.height - 8, frame.bottom + 0.06 * frame.height + 8),
            (frame.left - deep, frame.left - 1),
        ),
        "above": (
            (frame.top - 0.14 * frame.height - 6, frame.top - 1),
            (frame.left - aside, frame.left + 0.4 * frame.width),
        ),
    }[side]
    top, bottom = (int(np.clip(row, 0, height)) for row in rows)
    first, last = (int(np.clip(column, 0, width)) for column in columns)
    part = light[top:bottom, first:last]
    if min(part.shape, default=0) < 5:
        return []
    contrast = np.abs(part - np.median(part))
    strongest = float(np.percentile(contrast, 99.7))
    if strongest < MIN_CONTRAST:
        return []
    names, _ = ndimage.label(contrast > INK * strongest, structure=np.ones((3, 3)))
    places = ndimage.find_objects(names)
    if len(places) > MAX_PIECES:
        return []
    found = []
    for place in places:
        box = Box(
            left=first + place[1].start,
            right=first + place[1].stop - 1,
            top=top + place[0].start,
            bottom=top + place[0].stop - 1,
        )
        if box.width < 0.5 * frame.width and box.height < 0.7 * frame.height and not _is_tick_mark(box, frame, side):
            found.append(box)
    return found


def _is_tick_mark(box: Box, frame: Frame, side: str) -> bool:
    """Returns whether a piece is a tick mark, or the lower half of a label of the other axis."""
    if side == "below":
        if box.center[0] < frame.left - 2 and box.top <= frame.bottom + 3:
            return True
        return box.top <= frame.bottom + max(3, 0.008 * frame.height) and box.width <= max(3, 0.01 * frame.width)
    if side == "left":
        if not frame.top - 4 <= box.center[1] <= frame.bottom + max(4, 0.02 * frame.height):
            return True
        return box.right >= frame.left - 3 and box.height <= max(3, 0.006 * frame.height) and box.width >= box.height
    return False


def _x_ticks(boxes: list[Box], frame: Frame) -> tuple[tuple[Box, ...], list[Box]]:
    """Returns the first row of texts below the frame, and the pieces below that row."""
    tall = [box for box in boxes if box.height >= 5]
    if not tall:
        return (), boxes
    first = min(tall, key=lambda box: box.top)
    if first.top - frame.bottom > 0.12 * frame.height + 20:
        return (), boxes
    digit = _digit_height([box for box in tall if box.top < first.bottom + first.height])
    end = first.bottom
    while True:  # a superscript lies higher than its base
        further = [box.bottom for box in boxes if box.top < end - 0.15 * digit and box.bottom < first.top + 2.2 * digit]
        if max(further, default=end) <= end:
            break
        end = max(further)
    row = [box for box in boxes if box.top <= end and box.bottom <= end]
    rest = [box for box in boxes if box not in row]
    return tuple(_texts(row, digit, one_row=True)[:MAX_LABELS]), rest


def _y_ticks(boxes: list[Box], frame: Frame) -> tuple[tuple[Box, ...], list[Box]]:
    """Returns the texts that end near the left edge of the frame, and the other pieces."""
    tall = [box for box in boxes if box.height >= 5]
    if not tall:
        return (), boxes
    nearest = max(box.right for box in tall)
    if frame.left - nearest > 0.12 * frame.width + 20:
        return (), boxes
    digit = _digit_height([box for box in tall if nearest - box.right < 2 * box.height])
    texts = _texts(boxes, digit)
    ticks = [box for box in texts if nearest - box.right < 0.8 * digit and 0.6 * digit < box.height < 2.2 * digit]
    ticks.sort(key=lambda box: box.top)
    gaps = [after.top - before.bottom for before, after in itertools.pairwise(ticks)]
    if gaps and np.median(gaps) < LETTER_GAP * digit:  # the letters of an axis label, which is written upwards
        return (), boxes
    used = {piece for piece in boxes if any(_inside(piece, box) for box in ticks)}
    return tuple(ticks[:MAX_LABELS]), [box for box in boxes if box not in used]


def _digit_height(boxes: list[Box]) -> float:
    return float(np.median([box.height for box in boxes])) if boxes else 8.0


def _inside(piece: Box, box: Box, *, slack: int = 0) -> bool:
    """Returns whether a piece lies within a box that is larger by a few pixels on each side."""
    across = box.left - slack <= piece.left and piece.right <= box.right + slack
    return across and box.top - slack <= piece.top and piece.bottom <= box.bottom + slack


def _texts(boxes: list[Box], digit: float, *, one_row: bool = False) -> list[Box]:
    """Joins pieces of ink that follow each other closely in one row to texts, from left to right and top to bottom."""
    groups: list[list[Box]] = []
    for piece in sorted(boxes, key=lambda box: box.left):
        near = (
            group
            for group in groups
            if piece.left - max(box.right for box in group) <= _widest_gap(group, piece, digit) + 1
            and (one_row or _in_one_row(piece, group, digit))
            and not _is_behind_power(piece, group, digit)
        )
        group = next(near, None)
        if group is None:
            groups.append([piece])
        else:
            group.append(piece)
    texts = [_joined(group, digit) for group in groups]
    return sorted((box for box in texts if box.height >= 4), key=lambda box: (box.top // max(digit, 1), box.left))


def _widest_gap(group: list[Box], piece: Box, digit: float) -> float:
    """Returns how far a piece may be from the pieces before it, beyond which it belongs to another text."""
    last = group[-1]
    beside_cross = _is_cross(piece, digit) or (len(group) > 1 and _is_cross(last, digit))
    are_digits = min(piece.height, last.height) > 0.8 * digit
    on_one_line = abs(piece.bottom - last.bottom) <= 1 and abs(piece.top - last.top) <= 1
    return (WIDE_GAP if beside_cross or (are_digits and on_one_line) else LETTER_GAP) * digit


def _is_cross(box: Box, digit: float) -> bool:
    """Returns whether a piece has the size of a multiplication sign: as wide as high, and smaller than a digit."""
    return 0.35 * digit < box.height < 0.85 * digit and abs(box.width - box.height) <= max(1.0, 0.2 * box.height)


def _is_behind_power(piece: Box, group: list[Box], digit: float) -> bool:
    """Returns whether a piece on the base line follows a superscript, which ends a label."""
    base, last = max(group, key=lambda box: box.bottom), group[-1]
    is_raised = last.bottom < base.bottom - RAISED * digit and last.top < base.top - 0.1 * digit
    return is_raised and last.height > 0.4 * digit and piece.bottom >= base.bottom - 1


def _in_one_row(piece: Box, group: list[Box], digit: float) -> bool:
    top, bottom = min(box.top for box in group), max(box.bottom for box in group)
    slack, whole = 0.15 * digit, max(bottom, piece.bottom) - min(top, piece.top)
    return piece.top <= bottom + slack and piece.bottom >= top - slack and whole < 2.4 * digit


def _joined(group: list[Box], digit: float) -> Box:
    """Returns the box of a text, with the place of its superscript."""
    bottom = max(box.bottom for box in group)
    pieces = sorted(group, key=lambda box: box.left)
    raised: list[Box] = []
    for piece in reversed(pieces):
        if bottom - piece.bottom < RAISED * digit:
            break
        raised.insert(0, piece)
    whole = Box(
        left=min(box.left for box in group),
        right=max(box.right for box in group),
        top=min(box.top for box in group),
        bottom=bottom,
    )
    if not raised or len(raised) == len(pieces) or max(box.height for box in raised) < 0.4 * digit:
        return whole
    first = raised[0]
    sign = len(raised) > 1 and first.width >= 1.3 * first.height and first.height < 0.35 * digit
    return dataclasses.replace(
        whole,
        power_from=raised[1].left if sign else first.left,
        power_is_negative=sign,
        front=(first.left - whole.left) / digit,
    )


def _nearest_text(boxes: list[Box], frame: Frame, digit: float) -> Box | None:
    """Returns the text directly above the left end of the frame."""
    texts = [box for box in _texts(boxes, digit) if abs(box.left - frame.left) < 0.06 * frame.width + 6]
    near = [box for box in texts if 0 < frame.top - box.bottom < 1.6 * digit and box.height < 2.4 * digit]
    return max(near, key=lambda box: box.bottom, default=None)


def _upright_text(boxes: list[Box], frame: Frame, digit: float) -> Box | None:
    """Returns the text that is written upwards, left of the tick labels."""
    pieces = [box for box in boxes if frame.top < box.center[1] < frame.bottom and box.width < 2.5 * digit]
    if not pieces:
        return None
    last = max(pieces, key=lambda box: box.right)
    column = [box for box in pieces if box.right > last.left - 0.8 * digit]
    return Box(
        left=min(box.left for box in column),
        right=max(box.right for box in column),
        top=min(box.top for box in column),
        bottom=max(box.bottom for box in column),
    )


def cut(light: NDArray[np.float32], box: Box, *, upwards: bool = False) -> NDArray[Any]:
    """Returns the pixels of a text with a margin of two pixels, turned to be read from left to right."""
    part = light[max(box.top - 2, 0) : box.bottom + 3, max(box.left - 2, 0) : box.right + 3]
    return np.rot90(part, -1) if upwards else part


def cut_power(light: NDArray[np.float32], box: Box) -> NDArray[Any]:
    """Returns the pixels of the digits of a superscript, cut to their ink, with a margin of two pixels."""
    first = box.left if box.power_from is None else box.power_from
    top, rows = max(box.top - 2, 0), slice(max(box.top - 2, 0), box.bottom + 3)
    part = light[rows, max(first - 1, 0) : box.right + 2]
    contrast = np.abs(part - np.median(light[rows, max(box.left - 2, 0) : box.right + 3]))
    inked = np.flatnonzero((contrast > INK * contrast.max()).any(axis=1))
    return light[max(top + inked[0] - 2, 0) : top + inked[-1] + 3, max(first - 2, 0) : box.right + 3]
