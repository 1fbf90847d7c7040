"""Draws what was read from a picture over that picture, so that a person can check it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.pictures.frame import on_spines
from keras_lrscan.pictures.labels import gray

if TYPE_CHECKING:
    from keras_lrscan.pictures.reader import PictureReading

__all__ = ["draw_overlay"]

FADED = 0.45
"""Share of the picture's own contrast that is left below the drawing."""

LINE, SCALE = (213, 0, 90), (0, 95, 204)
"""Colors of the line and of frame and labels: apart from each other for every kind of color vision."""

SMALLEST_SIDE = 900
"""Smaller pictures are doubled, so that the numbers that are written into them are legible."""


def draw_overlay(reading: PictureReading) -> bytes:
    """Returns a PNG of the picture, faded, with the frame, the values of the labels and the line that were read."""
    from PIL import Image, ImageDraw, ImageFont

    pixels = reading.raster.pixels
    dark = float(np.median(pixels)) < 128
    faded = pixels * FADED + (0 if dark else 255) * (1 - FADED)
    image = Image.fromarray(faded.astype(np.uint8))
    zoom = 2 if max(image.size) < SMALLEST_SIDE else 1
    image = image.resize((image.width * zoom, image.height * zoom))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(max(12, round(image.width / 50)))
    frame, line_width = on_spines(gray(pixels), reading.frame), max(2, round(image.width / 600))
    color = tuple(min(255, part + 120) for part in SCALE) if dark else SCALE
    box = [place * zoom for place in (frame.left, frame.top, frame.right, frame.bottom)]
    draw.rectangle(box, outline=color, width=line_width)
    for tick in reading.x_axis.ticks:
        at = tick.at * zoom
        draw.line([at, box[3] - 8 * zoom, at, box[3] + 4 * zoom], fill=color, width=line_width)
        draw.text((at, box[3] - 9 * zoom), format_lr(tick.values[0]), fill=color, font=font, anchor="mb")
    for tick in reading.y_axis.ticks:
        at = tick.at * zoom
        draw.line([box[0] - 4 * zoom, at, box[0] + 8 * zoom, at], fill=color, width=line_width)
        draw.text((box[0] + 10 * zoom, at), format_loss(tick.values[0]), fill=color, font=font, anchor="lm")
    line = reading.line
    points = [(float(x + 0.5) * zoom, float(y + 0.5) * zoom) for x, y in zip(line.columns, line.rows, strict=True)]
    draw.line(points, fill=LINE, width=line_width, joint="curve")
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()
