"""Tests that a frame is found in spite of blurred edges, and that few of many are looked at."""

from __future__ import annotations

import numpy as np
import pytest

from keras_lrscan.pictures.frame import MAX_FRAMES, Frame, find_frames, on_spines

SPINES = {"left": 80, "right": 320, "top": 40, "bottom": 200}


def picture() -> np.ndarray:
    """Returns black spines on white."""
    pixels = np.full((260, 400, 3), 255, dtype=np.float32)
    pixels[40:201, [80, 320]] = 0
    pixels[[40, 200], 80:321] = 0
    return pixels


def test_the_spines_of_a_plot_are_its_frame() -> None:
    frame = find_frames(picture())[0]
    assert frame.sides == 4
    assert {name: getattr(frame, name) for name in SPINES} == pytest.approx(SPINES, abs=1)


@pytest.mark.parametrize("shift", [-6, -2, 0, 3, 6])
def test_a_frame_beside_its_spines_is_moved_to_them(shift: int) -> None:
    moved = Frame(left=80 + shift, right=320 + shift, top=40 - shift, bottom=200 - shift)
    found = on_spines(picture()[..., 0], moved)
    assert {name: getattr(found, name) for name in SPINES} == pytest.approx(SPINES)


def test_a_frame_without_spines_stays_where_it_is() -> None:
    frame = Frame(left=80.5, right=320.5, top=40.5, bottom=200.5)
    assert on_spines(np.full((260, 400), 255, dtype=np.float32), frame) == frame


def test_few_of_many_frames_are_looked_at() -> None:
    pixels = np.full((600, 600, 3), 255, dtype=np.float32)
    for inset in range(0, 200, 6):
        for other in (inset, inset + 3):
            pixels[[inset, -1 - other], inset : 600 - other] = 0
            pixels[inset : 600 - other, [inset, -1 - other]] = 0
    assert len(find_frames(pixels)) <= MAX_FRAMES
