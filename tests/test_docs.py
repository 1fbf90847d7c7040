"""Tests that the documentation has a page for every code, and that every scan in its gallery matches its label."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.explanation.handbook import CODES
from keras_lrscan.reading.shapes import Shape

Figure = pytest.importorskip("matplotlib.figure").Figure

DOCS = Path(__file__).parent.parent / "docs"
PACKAGE = DOCS.parent / "keras_lrscan"
sys.path.insert(0, str(DOCS))
try:
    from exhibits import EXHIBITS, Exhibit
    from pages import all_pages
    from pages.api import FOLDERS, public_names
    from pages.pictures import CARD, draw_small, reading, save
    from pages.sources import recipe_names
finally:
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return all_pages()


def test_a_scan_without_a_finite_loss_has_a_picture_on_its_card(tmp_path: Path) -> None:
    (item,) = (item for item in EXHIBITS if item.name == "outside-domain")
    figure = Figure(figsize=(4, 2.4))
    draw_small(figure.add_axes(CARD), reading(item))
    save(figure, tmp_path / "card.svg")
    assert (tmp_path / "card.svg").stat().st_size


@pytest.mark.parametrize("item", EXHIBITS, ids=lambda item: item.name)
def test_a_scan_of_the_gallery_has_the_shape_on_its_label(item: Exhibit) -> None:
    assert reading(item).verdict.shape == item.shape


def test_most_scans_have_what_is_really_the_matter_first_and_nearly_all_among_the_first_three() -> None:
    places = [[finding.code for finding in reading(item).findings] for item in EXHIBITS]
    first = sum(item.cause in codes[:1] for item, codes in zip(EXHIBITS, places, strict=True))
    three = sum(item.cause in codes[:3] for item, codes in zip(EXHIBITS, places, strict=True))
    assert first >= 0.7 * len(EXHIBITS)
    assert three >= 0.9 * len(EXHIBITS)


def test_every_scan_has_its_recipe_its_record_and_nothing_else_lies_there() -> None:
    names = {item.name for item in EXHIBITS}
    assert recipe_names() == names
    assert {path.stem for path in (DOCS / "curves").glob("*.json")} == names


def test_the_gallery_shows_every_shape() -> None:
    assert {item.shape for item in EXHIBITS} == set(Shape)


def test_the_guide_counts_the_causes() -> None:
    assert f"the likely ones of {len(CAUSES)}," in (DOCS / "what-you-get.md").read_text(encoding="utf-8")


def test_every_code_has_a_page(pages: dict[str, str]) -> None:
    assert {f"codes/{code}.md" for code in CODES} <= set(pages)


def test_the_reference_names_everything_public(pages: dict[str, str]) -> None:
    reference = "".join(text for path, text in pages.items() if path.startswith("reference/"))
    missing = [name for name in public_names() if reference.count(f":: keras_lrscan.{name}\n") != 1]
    assert missing == []


def test_the_reference_has_a_page_for_each_folder_that_opens_with_its_purpose(pages: dict[str, str]) -> None:
    folders = {path.parent.name: path for path in PACKAGE.glob("*/__init__.py")}
    assert set(FOLDERS) == set(folders)
    for folder, path in folders.items():
        purpose = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert pages[f"reference/{folder}.md"].startswith(f"# {folder}\n\n{purpose}\n")


def test_every_page_of_a_scan_ends_with_the_code_that_made_it(pages: dict[str, str]) -> None:
    for item in EXHIBITS:
        assert f"def {item.name.replace('-', '_')}() -> LRCurve:" in pages[f"gallery/{item.name}.md"]
