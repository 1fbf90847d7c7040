"""Makes hostile files for the page: pictures, tables and JSON that are broken, huge, odd, or of another type."""

from __future__ import annotations

import functools
import gzip
import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from fuzz_files import ENCODINGS, broken, originals
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = np.random.Generator

__all__ = ["FILES", "plot", "saved"]

MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK")
TYPES = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "ICO")
POSING = (
    b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1000 + b'"><!ENTITY c "' + b"&b;" * 1000 + b'">]><a>&c;</a>',
    b"<html><body onload=alert(1)>",
    b"%PDF-1.7\n1 0 obj\n",
    b"PK\x03\x04" + b"\0" * 100,
    gzip.compress(b"\0" * 20_000_000),
    b"\x7fELF" + b"\0" * 100,
    b"#!/bin/sh\necho 1\n",
    b"II*\0" + b"\xff" * 200,
    b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 40,
    b"GIF89a" + b"\xff" * 40,
    b"BM" + b"\xff" * 60,
    b"\xff\xd8\xff\xe1\xff\xff" + b"Exif\0\0II*\0" + b"\xff" * 60,
    b"\0\0\1\0" + b"\xff" * 60,
)


@functools.cache
def plot() -> Image.Image:
    """Returns a picture of a plot that can be read."""
    from matplotlib.figure import Figure

    x = np.linspace(-6, 0, 90)
    figure = Figure()
    ax = figure.subplots()
    ax.semilogx(10**x, 2.3 - np.exp(-((x + 2) ** 2)) + 10.0 ** (3 * x + 0.5))
    ax.set(xlabel="learning rate", ylabel="loss")
    data = io.BytesIO()
    figure.savefig(data, dpi=90)
    return Image.open(data).convert("RGB")


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Returns an image as a file of the given type."""
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """Returns a part of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, depth: int = 8, color: int = 2, body: bytes = b"", more: bytes = b"") -> bytes:
    """Returns a PNG with any header, whose pixels are `body`."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def odd_picture(rng: Draw) -> bytes:
    """Returns a plot of any type and mode, turned by its EXIF data."""
    kind, mode = str(rng.choice(TYPES)), str(rng.choice(MODES))
    exif = Image.Exif()
    exif[0x0112] = int(rng.choice([1, 3, 6, 8, 99]))
    image = plot().convert("L").convert("I").convert("I;16") if mode == "I;16" else plot().convert(mode)
    try:
        return saved(image, kind, **({"exif": exif} if kind in {"JPEG", "PNG", "WEBP"} else {}))
    except (OSError, ValueError):  # a mode that this type does not have
        return saved(plot(), kind)


def damaged_picture(rng: Draw) -> bytes:
    """Returns a plot that is cut off, or some of whose bytes are changed, or with another file at its end."""
    data = bytearray(saved(plot(), str(rng.choice(TYPES[:5]))))
    kind = rng.integers(3)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    if kind == 1:
        return bytes(data) + POSING[rng.integers(len(POSING))]
    for at in rng.integers(0, len(data), rng.integers(1, 60)):
        data[at] = rng.integers(256)
    return bytes(data)


def announcing(rng: Draw) -> bytes:
    """Returns a PNG of few bytes that announces any size, also none."""
    width, height = rng.choice([0, 1, 60, 5000, 12_000, 60_000, 2**31 - 1], 2)
    return png(int(width), int(height), depth=int(rng.choice([1, 8, 16])), body=b"\0" * 1000)


BOMBS: tuple[Callable[[Draw], bytes], ...] = (
    announcing,
    lambda _: saved(Image.new("1", (5400, 5400))),
    lambda _: saved(Image.new("L", (12_000, 2400), 255), "JPEG"),
    lambda _: png(
        200, 100, body=b"\0" * 60_100, more=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 50_000_000))
    ),
    lambda _: png(200, 100, body=b"\0" * 60_100, more=chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"a" * 50_000_000))),
    lambda _: b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + b"\0" * 6 + b";",
    lambda _: b"BM" + struct.pack("<IIIIiiHH", 100, 0, 54, 40, 2**31 - 1, -(2**31), 1, 32) + b"\0" * 24,
)


def bomb(rng: Draw) -> bytes:
    """Returns a small file that announces, or unpacks to, a huge picture or text."""
    return BOMBS[rng.integers(len(BOMBS))](rng)


def animated_picture(rng: Draw) -> bytes:
    """Returns an animation whose frames are plots."""
    kind = str(rng.choice(["GIF", "WEBP", "PNG"]))
    small = plot().resize((200, 150))
    frames = [small.rotate(angle) for angle in range(int(rng.integers(2, 40)))]
    return saved(small, kind, save_all=True, append_images=frames)


def sized_picture(rng: Draw) -> bytes:
    """Returns a plot in an extreme size."""
    sizes = ((1, 1), (59, 59), (60, 60), (12_000, 60), (60, 12_000), (2200, 2200), (4000, 3000))
    return saved(plot().resize(sizes[rng.integers(len(sizes))]))


def noise(rng: Draw, side: int) -> Image.Image:
    """Returns random colors."""
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


def checkers(rng: Draw, side: int) -> Image.Image:
    """Returns a checkerboard or diagonal stripes of one to eight pixels."""
    places, width = np.arange(side), int(rng.integers(1, 9))
    mixed = np.add.outer(places // width, places // width) if rng.integers(2) else np.add.outer(places, places) // width
    return Image.fromarray((255 * (mixed % 2)).astype(np.uint8)).convert("RGB")


def grid(rng: Draw, side: int) -> Image.Image:
    """Returns lines across and down."""
    pixels = np.full((side, side, 3), 255, dtype=np.uint8)
    pixels[:: rng.integers(2, 30)] = 0
    pixels[:, :: rng.integers(2, 30)] = 0
    return Image.fromarray(pixels)


def nested_frames(rng: Draw, side: int) -> Image.Image:
    """Returns frames in each other, each with numbers beside it."""
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for inset in range(4, side // 2 - 30, int(rng.integers(3, 30))):
        draw.rectangle((inset, inset, side - inset, side - inset), outline="black")
        draw.text((inset + 2, inset + 2), "0.5", fill="black")
    return image


def many_frames(rng: Draw, side: int) -> Image.Image:
    """Returns 400 frames that overlap."""
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for x, y, width, height in rng.integers(0, side, (400, 4)).tolist():
        draw.rectangle((x, y, x + width, y + height), outline=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def page_of_numbers(rng: Draw, side: int) -> Image.Image:
    """Returns numbers in a frame and all around it."""
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for at in range(0, side, int(rng.integers(10, 20))):
        draw.text((4, at), "1e-7 0.5 " * (side // 50), fill="black")
    draw.rectangle((side // 4, side // 4, side // 2, side // 2), outline="black")
    return image


TEXTURES: tuple[Callable[[Draw, int], Image.Image], ...] = (
    *(noise, checkers, grid),
    *(nested_frames, many_frames, page_of_numbers),
)


def texture(rng: Draw) -> bytes:
    """Returns a picture with so many edges, frames or texts that a search among them could take long."""
    image = TEXTURES[rng.integers(len(TEXTURES))](rng, int(rng.choice([400, 1200, 2200])))
    return saved(image, str(rng.choice(["PNG", "JPEG"])))


def posing_file(rng: Draw) -> bytes:
    """Returns a file of another type, or the beginning of a picture without the rest."""
    return POSING[rng.integers(len(POSING))]


def odd_numbers(rng: Draw) -> bytes:
    """Returns a broken table or JSON file, as `fuzz_files.py` makes them."""
    whole = originals_once()
    kind = str(rng.choice(sorted(whole)))
    return broken(rng, kind, whole[kind])


@functools.cache
def originals_once() -> dict[str, str]:
    """Returns valid files of every kind."""
    return originals()


@functools.cache
def long_scan() -> tuple[np.ndarray, np.ndarray]:
    """Returns the rates and losses of 200,000 batches."""
    return np.logspace(-7, 0, 200_000), np.linspace(2.3, 1, 200_000) + np.random.default_rng(0).normal(0, 0.1, 200_000)


def long_table() -> str:
    """Returns them as a table of almost 5 MB."""
    return "lr,loss\n" + "\n".join(f"{lr:.4g},{loss:.3f}" for lr, loss in zip(*long_scan(), strict=True))


def long_lists() -> str:
    """Returns 60,000 of them as JSON."""
    lr, loss = long_scan()
    return f'{{"lr": {np.round(lr[:60_000], 9).tolist()}, "loss": {np.round(loss[:60_000], 3).tolist()}}}'


LARGE: tuple[Callable[[Draw], bytes], ...] = (
    lambda _: long_table().encode(),
    lambda _: long_lists().encode(),
    lambda rng: long_table()[:5000].encode(str(rng.choice(ENCODINGS)), errors="replace"),
    lambda _: b"[" * 2_000_000 + b"]" * 2_000_000,
    lambda _: b'{"a":' * 500_000,
    lambda _: b"lr,loss\n" + b"1" * 4_000_000 + b",2\n",
    lambda _: b"lr,loss\n" + b'"' * 4_000_000,
    lambda _: b"," * 4_900_000,
)


def large_numbers(rng: Draw) -> bytes:
    """Returns a file of numbers with extreme length, depth or width, or of another encoding."""
    return LARGE[rng.integers(len(LARGE))](rng)


FILES: tuple[Callable[[Draw], bytes], ...] = (
    odd_picture,
    damaged_picture,
    bomb,
    animated_picture,
    sized_picture,
    texture,
    posing_file,
    odd_numbers,
    large_numbers,
)
"""Functions that make a file by lot."""
