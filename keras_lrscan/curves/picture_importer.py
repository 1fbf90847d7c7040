"""Imports the curve of a picture of a plot, with notes on what was read and what an average has done to it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.averaging import AVERAGES, UNKNOWN_AVERAGE, get_average
from keras_lrscan.curves.context import ScanContext, with_notes
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.curves.detect_averaging import DOUBT, scatter_as_batches
from keras_lrscan.curves.noise import difference_noise
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.pictures.reader import PictureReading, read_picture

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from keras_lrscan.pictures.looks import Look

__all__ = ["curve_of_picture", "from_image"]

OF_UNKNOWN_TOOL = (
    "The labels do not tell which tool drew the picture. If it drew the losses of single batches, read the curve as it "
    "is. If it drew an average, as most tools do, the valley is deeper and lies further left than it appears."
)
SCATTERS = (
    "The line jumps from point to point as the losses of single batches do, and as averages hardly do, so it was read "
    "as batch losses."
)
LOOKS_BACK = (
    "An average looks back, so the valley in this picture is shallower than that of the batch losses and lies too far "
    "right{by}. It cannot be undone from a picture, in which the differences of neighboring points are lost. Scan "
    "again with `LRScan`, or import the numbers that the tool stored, to get the batch losses."
)
"""Notes on the average that a picture shows."""

NOISE_IN_PIXELS = 2.0
"""Smallest noise of the points, in pixels, from which their scatter is that of the losses and not of the drawing."""

DOUBT_OF_LABELS = 2 * DOUBT
"""Doubt about batch losses below the labels of a tool that draws averages.

Of 45 pictures whose points were seen, 24 of 33 with batch losses scatter more than `NOISE_IN_PIXELS` and by `DOUBT` as
these do, and one of 12 with averages, which does not by twice `DOUBT`.
"""


def from_image(
    path: str | PathLike[str] | bytes,
    *,
    lr_range: tuple[float, float] | None = None,
    loss_range: tuple[float, float] | None = None,
    averaging: str | None = None,
    context: ScanContext | None = None,
) -> LRCurve:
    """Reads the curve from a picture of one learning-rate plot: PNG, JPEG, WebP, BMP or GIF of at most 5 MB.

    The frame, the tick labels and the line are found in the picture, which needs the extra `pictures`. The points are
    those of the line in the picture, not batches, and a note in the context gives their errors. An average is named if
    the labels of the axes tell the tool, but it is never undone: the differences of neighboring points are lost.

    Args:
        path: The file, or its bytes.
        lr_range: Learning rates at the first and the last label of the x-axis, or at both ends of the line if there are
            no labels; read from the labels by default.
        loss_range: Losses at the lowest and the highest label of the y-axis, or at the lowest and the highest point of
            the line; read from the labels by default.
        averaging: A key of `AVERAGES`, the average that the tool drew; told from the labels by default.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If the file is not a picture of a plot, if an axis cannot be read and no range is given, or
            if this package drew the plot; the message names the range or the file to pass.
        InvalidOptionError: If a range or `averaging` is invalid.
        MissingDependencyError: If the extra `pictures` is not installed.
        OSError: If the file cannot be read.

    Example:
    >>> from keras_lrscan import importers
    >>> curve = importers.from_image("plot.png", lr_range=(1e-7, 10))  # doctest: +SKIP
    """
    if averaging is not None:
        get_average(averaging)
    reading = read_picture(path, lr_range=lr_range, loss_range=loss_range)
    return curve_of_picture(reading, averaging=averaging, context=context)


def curve_of_picture(
    reading: PictureReading, *, averaging: str | None = None, context: ScanContext | None = None
) -> LRCurve:
    """Builds the curve of a picture that was read; see `from_image`."""
    known = with_notes(context, *_notes(reading, averaging))
    look = None if _scatters(reading) else reading.look
    average = averaging or (None if look is None else look.averaging or UNKNOWN_AVERAGE)
    return LRCurve(
        lr=reading.lr, loss=reading.loss, context=dataclasses.replace(known, averaging=average, from_picture=True)
    )


def _scatters(reading: PictureReading) -> bool:
    """Returns whether the points of the line scatter as the losses of single batches do, by more than its pixels."""
    if reading.num_points is None:
        return False
    pixel = abs(reading.y_axis.slope)
    if reading.y_axis.is_log:
        pixel *= math.log(10) * float(np.median(reading.loss))
    doubt = DOUBT if reading.look is None else DOUBT_OF_LABELS
    return difference_noise(reading.loss) > NOISE_IN_PIXELS * pixel and scatter_as_batches(reading.loss, doubt=doubt)


def _notes(reading: PictureReading, averaging: str | None) -> Iterable[str]:
    """Yields what was read and how exactly, what an average did to it, and what the picture leaves open."""
    axes = (
        ("x-axis", reading.x_axis, map(format_lr, reading.lr_ticks)),
        ("y-axis", reading.y_axis, map(format_loss, reading.loss_ticks)),
    )
    x_words, y_words = (
        f"its {name} ({'logarithmic' if axis.is_log else 'linear'}) was {'given' if axis.is_given else 'read'} as "
        f"{' to '.join(ends)}"
        for name, axis, ends in axes
    )
    yield (
        f"The numbers come from a picture: {x_words}, and {y_words}. A point is off by about {reading.lr_error:.1g} "
        f"decades and by {reading.loss_error:.1g} in the loss, if these numbers are right."
    )
    yield _note_on_average(reading, averaging)
    if reading.num_points is not None:
        yield f"The bends of the line show that it was drawn through about {reading.num_points} points."
    if reading.num_lines > 1:
        yield f"The plot shows {reading.num_lines} lines. The roughest of the longest was read."
    yield "The noise of single batches between two pixels is not known."


def _note_on_average(reading: PictureReading, averaging: str | None) -> str:
    """Returns which average the picture shows, as given or as its labels tell, and what it did to the curve."""
    look, average = reading.look, None
    if averaging is not None:
        average = AVERAGES[averaging]
        says = f"Each loss in the picture is {average.words}."
    elif _scatters(reading):
        return SCATTERS if look is None else f"{_labels(look)} {SCATTERS}"
    elif look is not None:
        average = None if look.averaging is None else AVERAGES[look.averaging]
        says = f"{_labels(look)} {look.says}"
    else:
        return OF_UNKNOWN_TOOL
    if average is None:
        return f"{says} {LOOKS_BACK.format(by='')}"
    if average.lag is None:
        return f"{says} {LOOKS_BACK.format(by=', by half the batches since the epoch began or more')}"
    return f"{says} {LOOKS_BACK.format(by=f', by up to {average.lag:.0f} batches')}" if average.lag else says


def _labels(look: Look) -> str:
    return f"The labels of the axes are those of {look.tools}."
