"""Opens a picture safely: only known types, and neither large files nor large images."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keras_lrscan.errors import InvalidCurveError, missing_dependency
from keras_lrscan.files.read_write import checked_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["ENDINGS", "MAX_BYTES", "Pixels", "Raster", "highest", "lowest", "media_type", "open_image", "squared"]

MAX_BYTES = 5_000_000
"""Largest picture file, as compressed bytes: a screenshot of a whole screen has about a fifth of it."""

MAX_SIDE = 12_000
"""Longest side, and `MAX_PIXELS` the largest number of pixels, before anything is decoded."""

MAX_PIXELS = 30_000_000

MIN_SIDE = 60
"""Shortest side of a picture in which tick labels can be legible."""

WORKING_SIDE = 2200
"""Pictures with a longer side are scaled down: letters are large there, and time grows with the pixels."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")

MEDIA_TYPES: Mapping[bytes, str] = MappingProxyType(
    {
        b"\x89PNG": "image/png",
        b"\xff\xd8\xff": "image/jpeg",
        b"RIFF": "image/webp",
        b"BM": "image/bmp",
        b"GIF8": "image/gif",
    }
)
"""First bytes of the pictures that are read, whatever their names → their type."""

Pixels = NDArray[np.float32]
"""Colors from 0 to 255. Array of shape `(height, width, 3)`."""


def media_type(data: bytes) -> str | None:
    """Returns the type of a picture by its first bytes, or `None` for other data."""
    return next((kind for start, kind in MEDIA_TYPES.items() if data.startswith(start)), None)


def highest(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the highest channel of each color: `colors.max(axis=-1)`, several times faster."""
    return np.maximum(np.maximum(colors[..., 0], colors[..., 1]), colors[..., 2])


def lowest(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the lowest channel of each color."""
    return np.minimum(np.minimum(colors[..., 0], colors[..., 1]), colors[..., 2])


def squared(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the squared length of each color, as a vector of three channels."""
    return np.asarray(np.einsum("...i,...i->...", colors, colors))


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """Holds a decoded picture.

    Attributes:
        pixels: Colors from 0 to 255. Array of shape `(height, width, 3)`.
        scale: Ratio of its size to the size of the file's picture.
    """

    pixels: Pixels
    scale: float


def open_image(source: str | PathLike[str] | bytes) -> Raster:
    """Decodes a picture, laid over white or, if its lines are light, over black where it is transparent.

    Args:
        source: The file or its bytes.

    Raises:
        InvalidCurveError: If the file is not a picture of a known type, is broken, or is too large or too small.
        MissingDependencyError: If Pillow is not installed.
        OSError: If the file cannot be read.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        purpose = "Reading a picture"
        raise missing_dependency(purpose, "Pillow", "pictures") from error

    data, shown = _bytes_of(source)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            _check_size(file.size, shown)
            file.seek(0)
            upright = ImageOps.exif_transpose(file).convert("RGBA")
    except InvalidCurveError:
        raise
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        MemoryError,
        OverflowError,
        TypeError,
        IndexError,
        KeyError,
    ) as error:
        # Pillow's decoders raise all of these on broken files
        msg = (
            f"Expected a picture of type {', '.join(FORMATS)}. Received: {shown}, which cannot be decoded "
            f"({type(error).__name__}). Save the picture again, as PNG."
        )
        raise InvalidCurveError(msg) from error
    except Image.DecompressionBombError as error:
        raise _too_large(shown, "more pixels than a screenshot has") from error
    scale = min(1.0, WORKING_SIDE / max(upright.size))
    if scale < 1:
        upright = upright.resize(
            (max(1, round(upright.width * scale)), max(1, round(upright.height * scale))), Image.Resampling.LANCZOS
        )
    return Raster(pixels=_over_paper(np.asarray(upright, dtype=np.float32)), scale=scale)


def _bytes_of(source: str | PathLike[str] | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        shown, data = f"{len(source)} bytes", source
    else:
        path = checked_path(source)
        shown = f"path={str(source)!r}"
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _too_large(shown, f"over {MAX_BYTES / 1e6:.0f} MB")
    return data, shown


def _check_size(size: tuple[int, int], shown: str) -> None:
    width, height = size
    if max(size) > MAX_SIDE or width * height > MAX_PIXELS:
        raise _too_large(shown, f"{width} x {height} pixels")
    if min(size) < MIN_SIDE:
        msg = (
            f"Expected a picture of at least {MIN_SIDE} pixels in width and height. Received: {shown}, "
            f"{width} x {height} pixels. Take a larger screenshot of the plot."
        )
        raise InvalidCurveError(msg)


def _too_large(shown: str, size: str) -> InvalidCurveError:
    msg = (
        f"Expected a picture of at most {MAX_BYTES / 1e6:.0f} MB and {MAX_PIXELS / 1e6:.0f} million pixels. Received: "
        f"{shown}, {size}. Cut out the plot."
    )
    return InvalidCurveError(msg)


def _over_paper(rgba: NDArray[Any]) -> Pixels:
    color, alpha = rgba[..., :3], rgba[..., 3:] / 255
    if alpha.min() >= 1:
        return np.ascontiguousarray(color)
    drawn = rgba[..., 3] > 128
    light = bool(drawn.any()) and float(np.median(color[drawn].mean(axis=-1))) > 160 and 2 * drawn.sum() < drawn.size
    return np.asarray(color * alpha + (0.0 if light else 255.0) * (1 - alpha), dtype=np.float32)
