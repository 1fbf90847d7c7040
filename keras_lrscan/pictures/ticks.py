"""Moves the labels of an axis to the marks or gridlines that they belong to, which are sharper than the texts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.pictures.axis import Axis
    from keras_lrscan.pictures.frame import Frame

__all__ = ["snapped"]

DEPTH = 4
"""Rows of pixels outside the frame that hold its tick marks."""

REACH = 3
"""Pixels within which a mark belongs to a label."""

CLEAR = 20.0
"""Smallest contrast of a mark, of 255."""

SAME_SLOPE = 0.05
"""Share by which the marks may change the scale; other lines beside the labels would change it more."""

MIN_MARKS = 3
"""Fewest marks that an axis is fitted to."""


def snapped(light: NDArray[np.float32], frame: Frame, axis: Axis, *, along: int) -> Axis:
    """Returns the axis fitted to the tick marks, or to the gridlines, next to its labels; as it is without them.

    Args:
        light: Brightness of each pixel. Array of shape `(height, width)`.
        frame: Frame of the axes.
        axis: The axis as fitted to the centers of its labels.
        along: 0 for the x-axis, 1 for the y-axis.
    """
    for profile in _profiles(light, frame, along):
        places = [_mark_near(profile, tick.at) for tick in axis.ticks]
        pairs = [(place, tick) for place, tick in zip(places, axis.ticks, strict=True) if place is not None]
        if len(pairs) < max(MIN_MARKS, 0.6 * len(axis.ticks)):
            continue
        marks = np.array([place for place, _ in pairs])
        values = np.array([tick.values[0] for _, tick in pairs])
        values = np.log10(values) if axis.is_log else values
        slope, intercept = np.polyfit(marks, values, 1)
        misfit = float(np.sqrt(np.mean(((values - intercept) / slope - marks) ** 2)))
        if misfit < 1 and abs(slope / axis.slope - 1) < SAME_SLOPE:
            error = abs(float(slope)) * float(np.hypot(0.3, misfit)) / np.sqrt(len(pairs) - 1)
            return dataclasses.replace(axis, slope=float(slope), intercept=float(intercept), error=float(error))
    return axis


def _profiles(light: NDArray[np.float32], frame: Frame, along: int) -> list[Array]:
    """Returns the contrast along the axis just outside the frame, and of lines through the whole frame."""
    turned = light if along == 0 else light.T
    outer = frame.bottom if along == 0 else frame.left
    first, last = (frame.top, frame.bottom) if along == 0 else (frame.left, frame.right)
    side = 1 if along == 0 else -1
    lines = [round(outer) + side * step for step in range(2, 2 + DEPTH)]
    outside = turned[[line for line in lines if 0 <= line < turned.shape[0]]]
    inside = turned[round(first) + 3 : round(last) - 2]
    found = []
    for part in (outside[:2], inside):
        if part.shape[0]:
            level = np.median(part, axis=0).astype(np.float64)
            found.append(np.abs(level - np.median(level)))
    return found


def _mark_near(profile: Array, at: float) -> float | None:
    """Returns the center of the mark next to a place, to a fraction of a pixel."""
    start = max(round(at) - REACH, 0)
    part = profile[start : round(at) + REACH + 1]
    if part.size < 3 or part.max() < CLEAR:
        return None
    peak = int(part.argmax())
    around = slice(max(peak - 1, 0), peak + 2)
    weight = part[around]
    return float(start + np.arange(part.size)[around] @ weight / weight.sum())
