"""Checks that the palette holds every color of the package."""

from __future__ import annotations

import re
from pathlib import Path

import keras_lrscan
from keras_lrscan.plots.palette import DARK_PAGE, LIGHT_PAGE, LOSING_COLORS, SERIES, SVG_VARIABLES, WINNER

PACKAGE = Path(keras_lrscan.__file__).parent
HEX_COLOR = re.compile(r"#[0-9a-fA-F]{6}\b")


def test_no_other_file_names_a_color() -> None:
    files = [path for pattern in ("*.py", "*.css", "*.j2") for path in PACKAGE.rglob(pattern)]
    assert len(files) > 100
    found = {path.name for path in files if HEX_COLOR.search(path.read_text(encoding="utf-8"))}
    assert found == {"palette.py"}


def test_the_curves_of_one_plot_have_different_colors() -> None:
    assert len(set(SERIES)) == len(SERIES)
    assert len({*LOSING_COLORS, WINNER}) == len(LOSING_COLORS) + 1


def test_every_color_of_a_plot_changes_on_a_dark_page() -> None:
    assert set(SVG_VARIABLES.values()) <= set(LIGHT_PAGE) == set(DARK_PAGE)
    assert all(LIGHT_PAGE[variable] != DARK_PAGE[variable] for variable in LIGHT_PAGE)
