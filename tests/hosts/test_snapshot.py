"""Tests that a snapshot restores values exactly, from memory and from disk."""

from __future__ import annotations

import os
import random
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.hosts.snapshot import Snapshot, checked_place

if TYPE_CHECKING:
    from pathlib import Path

    from keras_lrscan.hosts.snapshot import Place


class Cell:
    """Imitates a variable that returns its live value instead of a copy."""

    def __init__(self, value: Any) -> None:
        self.live = np.array(value)

    def numpy(self) -> Any:
        return self.live

    def assign(self, value: Any) -> None:
        self.live[...] = value


PLACES: list[Place] = ["memory", "disk"]
VALUES = [
    np.arange(6.0).reshape(2, 3),
    np.float32(3.5),
    np.zeros((4, 5), "float32"),
    np.array([0.0, -0.0, 0.0]),
    np.array([np.nan, np.inf, -np.inf], "float16"),
    np.zeros((0, 3)),
    np.array([7, 7, 7], "int64"),
    np.array([True, False]),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_comes_back_to_the_last_bit(place: Place, value: Any) -> None:
    cell = Cell(value)
    before = cell.live.tobytes()
    snapshot = Snapshot([cell, Cell(1.0)], place=place)
    cell.live[...] = 1
    snapshot.restore()
    assert cell.live.tobytes() == before
    cell.live[...] = 1
    snapshot.restore()
    assert cell.live.tobytes() == before
    snapshot.close()


def test_a_variable_that_is_given_twice_is_kept_once() -> None:
    cell = Cell([1.0, 2.0])
    snapshot = Snapshot([cell, cell])
    assert len(snapshot._kept) == 1


def test_a_snapshot_on_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    snapshot = Snapshot([Cell(np.arange(1000.0))], place="disk")
    if os.name == "posix":
        assert list(tmp_path.iterdir()) == []
    snapshot.close()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_place_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidOptionError, match=r"one of 'memory', 'disk'. Received: snapshot='cloud'"):
        checked_place("cloud")


def test_random_states_come_back() -> None:
    states = RandomStates()
    first = random.random(), np.random.rand()
    states.restore()
    assert first == (random.random(), np.random.rand())
