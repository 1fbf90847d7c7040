"""The pages of the documentation say what the tables of the package say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from keras_lrscan import LRCurve, analyze
from keras_lrscan.shapes import Shape

pytest.importorskip("matplotlib")

DOCS = Path(__file__).parent.parent / "docs"
MAKER = runpy.run_path(str(DOCS / "make_pages.py"))
PAGES: dict[Path, str] = MAKER["pages"]()
EXAMPLES = ("## What is suggested", "## On real scans")
"""Headings from which on a page shows numbers read from a real scan."""


def rules_of(page: str) -> str:
    """The part of a page that comes from the tables."""
    for heading in EXAMPLES:
        page = page.partition(heading)[0]
    return page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_page_is_older_than_the_table_it_was_made_from(path: Path) -> None:
    made, kept = rules_of(PAGES[path]), rules_of(path.read_text(encoding="utf-8"))
    assert kept == made, "Run `python docs/make_pages.py`."


def test_there_is_no_page_without_a_table_row() -> None:
    assert {*DOCS.glob("shapes/*.md"), *DOCS.glob("methods/*.md")} == set(PAGES) - {DOCS / "README.md"}


@pytest.mark.parametrize("shape", [shape for shape in Shape if shape is not Shape.UNCLEAR])
def test_the_recorded_example_of_a_shape_has_that_shape(shape: str) -> None:
    assert analyze(LRCurve.from_json(DOCS / "curves" / f"{shape}.json")).verdict.shape == shape
