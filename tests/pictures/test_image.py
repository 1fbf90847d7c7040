"""Tests that hostile and broken picture files get one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import InvalidCurveError
from keras_lrscan.pictures.image import MAX_BYTES, open_image

if TYPE_CHECKING:
    from pathlib import Path

image_module: Any = pytest.importorskip("PIL.Image", exc_type=ImportError)


def png(width: int = 200, height: int = 100, mode: str = "RGB", color: Any = (255, 255, 255)) -> bytes:
    data = io.BytesIO()
    image_module.new(mode, (width, height), color).save(data, format="PNG")
    return data.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Returns a PNG of few bytes whose header announces a huge picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (13_000, 100), (8000, 8000), (2**31 - 1, 2**31 - 1)])
def test_a_huge_picture_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidCurveError, match=r"at most 5 MB|cannot be decoded"):
        open_image(bomb(*size))


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(png() + b"\0" * MAX_BYTES)
    with pytest.raises(InvalidCurveError, match="at most 5 MB"):
        open_image(path)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + b"\0" * 100, b"%PDF-1.7", b"<svg/>"]
)
def test_other_types_and_broken_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidCurveError, match="Expected a picture of type"):
        open_image(data)


@pytest.mark.parametrize("length", range(10, 300, 29))
def test_a_file_that_is_cut_off_raises_nothing_but_the_error_for_it(length: int) -> None:
    whole = png(300, 200)
    with pytest.raises(InvalidCurveError):
        open_image(whole[: min(length, len(whole) - 20)])


def test_a_tiny_picture_is_refused() -> None:
    with pytest.raises(InvalidCurveError, match="at least 60 pixels"):
        open_image(png(20, 20))


def test_a_transparent_picture_is_laid_over_white() -> None:
    assert np.all(open_image(png(mode="RGBA", color=(0, 0, 0, 0))).pixels == 255)


def test_a_large_screenshot_is_scaled_down() -> None:
    raster = open_image(png(4400, 1000))
    assert raster.pixels.shape == (500, 2200, 3)
    assert raster.scale == 0.5
