"""Loads the scans of the gallery: the rows of `exhibits.toml`, each with the curve that its recipe recorded.

`recipes` has one function for each; this module needs no Keras.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from keras_lrscan import LRCurve
from keras_lrscan.reading.shapes import Shape

__all__ = ["EXHIBITS", "Exhibit", "Room"]

DOCS = Path(__file__).parent


class Room(StrEnum):
    """Names the rooms of the gallery."""

    HEALTHY = "healthy"
    PRETRAINED = "pretrained"
    DATA = "data"
    MODEL = "model"
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """Holds one scan of the gallery.

    Attributes:
        name: Name of the page, of the recipe and of the recorded file.
        room: Its room.
        title: A few words on its content.
        made: The scanned model and its data.
        look: The points to look at.
        shape: The shape that the package must find.
        cause: Code of the true cause.
    """

    name: str
    room: Room
    title: str
    made: str
    look: str
    shape: Shape
    cause: str

    @property
    def path(self) -> Path:
        """Path of the recorded file."""
        return DOCS / "curves" / f"{self.name}.json"

    def curve(self) -> LRCurve:
        """Returns the recorded curve."""
        return LRCurve.from_json(self.path)


EXHIBITS: tuple[Exhibit, ...] = tuple(
    Exhibit(name=name, **{**row, "room": Room(row["room"]), "shape": Shape(row["shape"])})
    for name, row in tomllib.loads((DOCS / "exhibits.toml").read_text(encoding="utf-8")).items()
)
"""Every scan, in the order of the rooms."""
