"""Tests how many points a line is said to have, and where they are found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from keras_lrscan.pictures.bends import corners, estimate_intervals, find_points
from keras_lrscan.pictures.line import Line


def course(points: int, columns: int = 700, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns the columns and rows of a thin line through points that scatter."""
    rows = 200 + 20 * np.random.default_rng(seed).standard_normal(points + 1)
    places = np.arange(columns + 1.0)
    return places, np.interp(places, np.linspace(0, columns, points + 1), rows)


def thin(columns: np.ndarray, rows: np.ndarray) -> Line:
    return Line(
        columns=columns,
        rows=rows,
        tops=rows,
        bottoms=rows,
        color=(0, 0, 0),
        width=1.0,
        roughness=0.0,
        coverage=1.0,
        is_across=False,
    )


@pytest.mark.parametrize("points", [40, 100, 175, 300])
def test_the_points_of_a_sharp_line_are_found(points: int) -> None:
    found = find_points(thin(*course(points)))
    assert found is not None
    np.testing.assert_allclose(found, np.linspace(0, 700, points + 1), atol=1.0)


@pytest.mark.parametrize("points", [40, 100, 175])
def test_the_points_of_a_blurred_line_of_whole_rows_are_found(points: int) -> None:
    columns, rows = course(points)
    blurred = np.convolve(np.pad(rows, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    found = find_points(thin(columns, np.round(blurred)))
    assert found is not None
    assert found.size == points + 1


@pytest.mark.parametrize("points", [40, 60, 100])
@pytest.mark.parametrize("side", [slice(6, None), slice(None, -6)])
def test_the_points_of_a_line_are_found_whose_end_a_side_of_the_axes_hides(points: int, side: slice) -> None:
    columns, rows = course(points)
    found = find_points(thin(columns[side], rows[side]), sides=(0.0, 700.0))
    assert found is not None
    np.testing.assert_allclose(found, np.linspace(0, 700, points + 1), atol=1.5)


def test_a_smooth_line_shows_no_points() -> None:
    columns = np.arange(500.0)
    assert find_points(thin(columns, 200 - 150 / (1 + np.exp((250 - columns) / 40)))) is None
    assert find_points(thin(columns, np.round(200 + 30 * np.sin(columns / 90)))) is None
    assert find_points(thin(columns, np.full(500, 100.0))) is None


@pytest.mark.parametrize("points", [120, 175, 230])
@pytest.mark.parametrize("seed", range(3))
def test_the_points_of_a_blurred_line_are_estimated(points: int, seed: int) -> None:
    columns, rows = course(points, seed=seed)
    blurred = np.convolve(np.pad(rows, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    assert estimate_intervals(columns, blurred) == pytest.approx(points, rel=1 / 3)


def test_a_smooth_line_has_the_usual_number() -> None:
    columns = np.arange(500.0)
    assert estimate_intervals(columns, 100 + np.zeros(500)) == 100
    assert estimate_intervals(columns, 100 + 0.1 * columns) == 100


def test_the_tip_of_a_corner_is_half_a_width_within_its_ink() -> None:
    columns = np.arange(100.0)
    rows = np.full(100, 50.0)
    tops, bottoms = rows - 1, rows + 1
    tops[50], rows[50], bottoms[50] = 9.0, 30.0, 51.0
    line = dataclasses.replace(thin(columns, rows), tops=tops, bottoms=bottoms, width=3.0)
    points = np.linspace(1, 98, 5)
    tips = corners(line, points)
    assert tips.min() == 10.0
    assert points[tips.argmin()] == pytest.approx(49.5)
