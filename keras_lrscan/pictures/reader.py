"""Reads the curve of a learning-rate plot from a picture: frame, axes, line, and the tool that drew it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Array
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError
from keras_lrscan.pictures.axis import Axis, Tick, axis_from_range, factor_of, fit_axis, is_word, values_of
from keras_lrscan.pictures.bends import corners, estimate_intervals, find_points
from keras_lrscan.pictures.frame import Frame, find_frames, on_spines
from keras_lrscan.pictures.image import Raster, open_image
from keras_lrscan.pictures.labels import Box, Surroundings, cut, cut_power, find_labels, gray
from keras_lrscan.pictures.line import Line, find_lines
from keras_lrscan.pictures.looks import Look, counts_time, is_own_plot, recognize_look
from keras_lrscan.pictures.ocr import recognize
from keras_lrscan.pictures.ticks import snapped

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["PictureReading", "UnreadableAxisError", "read_picture"]

POINTS_PER_DECADE = 20
"""Points of a curve on a straight axis, where a finder raises the rate by a factor and columns grow dense."""

MAX_LOG10 = 20.0
"""Learning rates are at most 20 decades away from 1."""

MIN_COVERAGE = 0.5
"""Smallest share of the width of a plot that a curve extends over.

In 140 pictures of thirteen looks, lines that were followed to their ends extend over 0.83 and more, others over 0.37.
"""

AVERAGED = 3.0
"""Smallest factor by which losses are rougher than their average.

In ten pictures of losses with their running mean it is 5 to 38; remains of gridlines were twice as rough as the losses.
"""

MAX_BELOW_ZERO = 0.05
"""Share of the last rate that the first may seem to lie below zero, on a straight axis that is read with an error."""

SHORT_FRONT = 2.3
"""Width of the 10 in a power of ten, in heights of a digit; only the power itself must then be recognized."""

Range = tuple[float, float]


class UnreadableAxisError(InvalidCurveError):
    """Raised when the numbers along an axis cannot be read; the message names the argument that replaces them.

    Attributes:
        question: Asks for these numbers without naming the argument, for a page that has a field for them.
    """

    question: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureReading:
    """Holds what was read from a picture.

    Attributes:
        lr: Learning rates, strictly increasing. Array of shape `(n,)`.
        loss: Loss at each rate. Array of shape `(n,)`.
        lr_error: Standard error of a rate, in decades, from the fit of the labels and the width of a pixel.
        loss_error: Standard error of a loss, in the unit of the loss.
        x_axis: Scale of the learning rates.
        y_axis: Scale of the losses.
        lr_ticks: Rates at the first and the last label of the x-axis.
        loss_ticks: Losses at the lowest and the highest label of the y-axis.
        frame: Rectangle of the axes, in pixels of `raster`.
        line: The line that was followed, in pixels of `raster`.
        num_lines: Number of curves in the frame.
        num_points: Number of points that the line was drawn through, if its bends show them; `None` otherwise.
        x_label: Recognized label of the x-axis.
        y_label: Recognized label of the y-axis.
        look: The tools that label their plot so; `None` if unknown.
        raster: The decoded picture.
    """

    lr: Array
    loss: Array
    lr_error: float
    loss_error: float
    x_axis: Axis
    y_axis: Axis
    lr_ticks: Range
    loss_ticks: Range
    frame: Frame
    line: Line
    num_lines: int
    num_points: int | None
    x_label: str
    y_label: str
    look: Look | None
    raster: Raster


def read_picture(
    source: str | PathLike[str] | bytes, *, lr_range: Range | None = None, loss_range: Range | None = None
) -> PictureReading:
    """Reads the curve of a learning-rate plot from a picture.

    Args:
        source: The file or its bytes.
        lr_range: Learning rates at the first and the last label of the x-axis, or at both ends of the line if the
            picture shows no labels there; read from the labels by default.
        loss_range: Losses at the lowest and the highest label of the y-axis, or at the lowest and the highest point of
            the line; read from the labels by default.

    Raises:
        InvalidCurveError: If the picture shows no plot or no line, if an axis cannot be read and no range is given, or
            if this package drew the plot.
        InvalidOptionError: If a range is not two different numbers in increasing order, or has a rate below zero.
        MissingDependencyError: If the extra `pictures` is not installed.
        OSError: If the file cannot be read.
    """
    _check_range("lr_range", lr_range, positive=True)
    _check_range("loss_range", loss_range, positive=False)
    raster = open_image(source)
    light = gray(raster.pixels)
    frame, texts, lines = _plot(raster, light)
    x_label, y_label = _axis_labels(light, texts)
    _check_kind(x_label, lr_range)
    line = _curve_of(lines)
    points = find_points(line, sides=(frame.left, frame.right))
    x_axis, lr_ticks = _x_axis(light, frame, texts, line.columns if points is None else points, lr_range)
    y_axis, loss_ticks = _y_axis(light, frame, texts, line, loss_range)
    points = points if x_axis.is_log else None
    lr, loss = _points(line, x_axis, y_axis, points)
    return PictureReading(
        lr=lr,
        loss=loss,
        lr_error=_lr_error(x_axis, lr),
        loss_error=y_axis.error if not y_axis.is_log else float(np.median(loss)) * y_axis.error * math.log(10),
        x_axis=x_axis,
        y_axis=y_axis,
        lr_ticks=lr_ticks,
        loss_ticks=loss_ticks,
        frame=frame,
        line=line,
        num_lines=len(lines),
        num_points=None if points is None else points.size,
        x_label=x_label,
        y_label=y_label,
        look=recognize_look(x_label, y_label),
        raster=raster,
    )


def _check_kind(x_label: str, lr_range: Range | None) -> None:
    """Refuses a plot of this package, and a plot of another kind unless its learning rates are given."""
    if is_own_plot(x_label):
        msg = (
            "Expected a picture of recorded losses. Received: a plot of keras_lrscan, whose smoothed line hides their "
            "noise. To read the scan again, pass the JSON or CSV file that it was saved to."
        )
        raise InvalidCurveError(msg)
    if counts_time(x_label) and lr_range is None:
        seen = f"a plot whose x-axis is labeled {x_label!r:.40}, so it seems to show the course of a training"
        error = UnreadableAxisError(
            f"Expected learning rates along the x-axis. Received: {seen}. If it shows rates, pass those at the first "
            "and the last label, for example `lr_range=(1e-7, 10)`."
        )
        error.question = f"This is {seen}. If it shows rates, type those at the first and the last label below."
        raise error


def _check_range(name: str, given: Range | None, *, positive: bool) -> None:
    if given is None:
        return
    low, high = given
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low >= 0 or not positive)):
        kind = "two numbers from 0 on" if positive else "two numbers"
        msg = f"Argument `{name}` must be {kind}, the smaller one first. Received: {name}={given!r}."
        raise InvalidOptionError(msg)


def _plot(raster: Raster, light: NDArray[np.float32]) -> tuple[Frame, Surroundings, list[Line]]:
    """Returns the frame with the most tick labels around it, its texts, and the curves in it."""
    found = [(frame, find_labels(light, frame)) for frame in find_frames(raster.pixels)]
    ranked = sorted(found, key=lambda one: _evidence(*one), reverse=True)
    for frame, texts in ranked[:3]:
        lines = find_lines(raster.pixels, on_spines(light, frame))
        if lines:
            return frame, texts, lines
    if not ranked:
        msg = "Expected a picture of a plot with a frame or a grid. Received: a picture in which none was found."
    else:
        msg = "Expected a line in the plot. Received: a plot in which no line was found."
    msg = f"{msg} Cut the picture to one plot, with the numbers along its axes, and save it as PNG."
    raise InvalidCurveError(msg)


def _evidence(frame: Frame, texts: Surroundings) -> tuple[float, ...]:
    """Returns what speaks for a frame: labels and edges, of which a single one may be a gridline; then its size."""
    edges = frame.sides if frame.sides > 1 else 0
    return texts.size + edges, len(texts.x_ticks) + len(texts.y_ticks), frame.width * frame.height


def _curve_of(lines: list[Line]) -> Line:
    """Returns the curve of the losses: of those that are nearly equally long, the one that is seen in most columns.

    If one is far rougher, it is the curve, since the other is its average. Where it ends early, because the other one
    hides it, it goes on as the other one.

    Raises:
        InvalidCurveError: If the curve was lost on its way.
    """
    within = [line for line in lines if not line.is_across] or lines
    longest = max(line.coverage for line in within)
    equal = [line for line in within if line.coverage > 0.8 * longest]
    curve = max((line for line in equal if not line.is_level), key=lambda line: line.columns.size, default=equal[0])
    rough = max(equal, key=lambda line: line.roughness)
    if rough.roughness > AVERAGED * curve.roughness:
        curve = rough.extended(curve)
    if curve.coverage < MIN_COVERAGE:
        msg = (
            f"Expected a line over most of the plot. Received: a line over {curve.coverage:.0%} of its width. Cut the "
            "picture to the plot, and save it as PNG, larger if it is small."
        )
        raise InvalidCurveError(msg)
    return curve


def _ticks(light: NDArray[np.float32], boxes: tuple[Box, ...], *, along: int) -> list[Tick]:
    found = []
    for box in boxes:
        power = None if box.power_from is None else recognize([cut_power(light, box)])[0]
        text = "" if power and box.front < SHORT_FRONT else recognize([cut(light, box)])[0]
        values, is_power = values_of(text, raised=power, negative=box.power_is_negative)
        if not values and not text:
            text = recognize([cut(light, box)])[0]
            values, is_power = values_of(text)
        sign = "-" if box.power_is_negative else ""
        if is_word(text):  # of the label of the axis
            continue
        found.append(Tick(at=box.center[along], text=text or f"10^{sign}{power}", values=values, is_power=is_power))
    return found


def _x_axis(
    light: NDArray[np.float32], frame: Frame, texts: Surroundings, columns: Array, given: Range | None
) -> tuple[Axis, Range]:
    """Returns the scale of the learning rates along the columns of the line, and the rates at the outer labels."""
    ticks = _ticks(light, texts.x_ticks, along=0)
    axis = fit_axis(ticks, length=frame.width, upward=True)
    if axis is not None:
        axis = _with_factor(snapped(light, frame, axis, along=0), light, texts.x_factor)
    of_rates = axis if axis is not None and _rates_are_possible(axis, columns) else None  # not of their logarithms
    if given is not None and (axis is None or not _is_confirmed(axis, ticks, given)):
        places = _outer(ticks) or (float(columns[0]), float(columns[-1]))
        is_log = given[0] > 0 and (given[1] / given[0] >= 10 if of_rates is None else of_rates.is_log)
        return axis_from_range(places, given, is_log=is_log), given
    if of_rates is None:
        ends = "at the first and the last label" if len(ticks) > 1 else "at the left and the right end of the line"
        raise _unreadable(("learning rates", "x-axis"), ticks, ends, "lr_range=(1e-7, 10)")
    return of_rates, _ends(of_rates, ticks)


def _y_axis(
    light: NDArray[np.float32], frame: Frame, texts: Surroundings, line: Line, given: Range | None
) -> tuple[Axis, Range]:
    """Returns the scale of the losses, and the losses at the lowest and the highest label."""
    ticks = _ticks(light, texts.y_ticks, along=1)
    axis = fit_axis(ticks, length=frame.height, upward=False)
    if axis is not None:
        axis = _with_factor(snapped(light, frame, axis, along=1), light, texts.y_factor)
    if given is not None and (axis is None or not _is_confirmed(axis, ticks, given)):
        top, bottom = _outer(ticks) or (float(line.rows.min()), float(line.rows.max()))
        is_log = axis is not None and axis.is_log and given[0] > 0
        return axis_from_range((bottom, top), given, is_log=is_log), given
    if axis is None:
        where = "label" if len(ticks) > 1 else "point of the line"
        raise _unreadable(
            ("losses", "y-axis"), ticks, f"at the lowest and the highest {where}", "loss_range=(0.5, 2.5)"
        )
    return axis, _ends(axis, ticks)


def _ends(axis: Axis, ticks: list[Tick]) -> Range:
    """Returns the values at the outermost labels, also at those that are not legible."""
    read = {tick.at: tick.values[0] for tick in axis.ticks}
    low, high = sorted(read.get(tick.at, float(axis.values(np.array(tick.at)))) for tick in _outermost(ticks))
    return low, high


def _is_confirmed(axis: Axis, ticks: list[Tick], given: Range) -> bool:
    """Returns whether a given range is what was read, which also rests on the labels between both ends."""
    return bool(np.allclose(_ends(axis, ticks), given, rtol=1e-5, atol=0.0))


def _outermost(ticks: list[Tick]) -> tuple[Tick, Tick]:
    places = sorted(ticks, key=lambda tick: tick.at)
    return places[0], places[-1]


def _unreadable(names: tuple[str, str], ticks: list[Tick], ends: str, argument: str) -> UnreadableAxisError:
    """Returns the error for an axis whose labels do not agree on a scale.

    Args:
        names: What the axis shows, and its own name.
        ticks: Its labels.
        ends: The two places whose values are needed.
        argument: The argument for them, with an example.
    """
    values, axis = names
    texts = [repr(tick.text) for tick in ticks if tick.text]
    seen = ", ".join(texts) or "no labels"
    error = UnreadableAxisError(
        f"Expected legible {values} along the {axis}. Received: {seen}. Pass the {values} {ends}, for example "
        f"`{argument}`."
    )
    found = f"The {values} along the {axis} are not legible: {seen}." if texts else f"The {axis} shows no {values}."
    error.question = f"{found} Type the {values} {ends} below."
    return error


def _outer(ticks: list[Tick]) -> Range | None:
    """Returns the places of the outermost labels, or `None` if there are fewer than two."""
    if len(ticks) < 2:
        return None
    first, last = _outermost(ticks)
    return first.at, last.at


def _rates_are_possible(axis: Axis, columns: Array) -> bool:
    """Returns whether the line lies at positive rates, except for a first point that a straight axis puts at zero."""
    if axis.is_log:
        return bool(np.all(np.abs(np.log10(axis.values(columns[[0, -1]]))) < MAX_LOG10))
    rates = axis.values(columns)
    return bool(rates[-1] > 0 and rates[0] > -MAX_BELOW_ZERO * rates[-1])


def _with_factor(axis: Axis, light: NDArray[np.float32], box: Box | None) -> Axis:
    """Returns the axis with the factor or the sum that is written at its end."""
    if box is None or axis.is_log:
        return axis
    factor, added = factor_of(recognize([cut(light, box)])[0])
    ticks = tuple(dataclasses.replace(tick, values=(tick.values[0] * factor + added,)) for tick in axis.ticks)
    return dataclasses.replace(
        axis,
        slope=axis.slope * factor,
        intercept=axis.intercept * factor + added,
        error=axis.error * abs(factor),
        ticks=ticks,
    )


def _axis_labels(light: NDArray[np.float32], texts: Surroundings) -> tuple[str, str]:
    x_label = recognize([cut(light, texts.x_label)])[0] if texts.x_label is not None else ""
    y_label = recognize([cut(light, texts.y_label, upwards=True)])[0] if texts.y_label is not None else ""
    return x_label, y_label


def _points(line: Line, x_axis: Axis, y_axis: Axis, points: Array | None) -> tuple[Array, Array]:
    """Returns positive rates and the losses at the points of the line, or at about as many columns."""
    if not x_axis.is_log:
        return _points_on_straight_axis(line, x_axis, y_axis)
    if points is not None:
        return x_axis.values(points), y_axis.values(corners(line, points))
    columns = np.linspace(line.columns[0], line.columns[-1], estimate_intervals(line.columns, line.rows) + 1)
    return x_axis.values(columns), y_axis.values(np.interp(columns, line.columns, line.rows))


def _points_on_straight_axis(line: Line, x_axis: Axis, y_axis: Axis) -> tuple[Array, Array]:
    """Returns the points at rates whose ratio is constant, where the columns tell them apart."""
    shown = line.columns > x_axis.place(0.0) + 0.75  # the first columns hold decades each
    lr, loss = x_axis.values(line.columns[shown]), y_axis.values(line.rows[shown])
    if lr.size < 2:
        msg = "Expected a line at positive learning rates. Received: a line at rates of zero or below. Pass `lr_range`."
        raise InvalidCurveError(msg)
    wanted = np.geomspace(lr[0], lr[-1], math.ceil(POINTS_PER_DECADE * math.log10(lr[-1] / lr[0])) + 1)
    chosen = np.unique(np.searchsorted(lr, wanted * (1 - 1e-9)).clip(0, lr.size - 1))
    return lr[chosen], loss[chosen]


def _lr_error(axis: Axis, lr: Array) -> float:
    """Returns the standard error of a rate in decades; of a straight axis, at the middle of the curve."""
    return axis.error if axis.is_log else axis.error / (float(np.median(lr)) * math.log(10))
