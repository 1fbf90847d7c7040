"""Generates the pages of the site that come from the tables of the package, so that they always agree with it.

`conf.py` writes them when the site is built; the repository does not keep them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pages import api, codes, gallery, methods
from pages.inserts import KTRAIN_PICTURE, ktrain_record, with_inserts
from pages.pictures import draw_all

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FOLDERS", "all_pages", "with_inserts", "write"]

FOLDERS = ("codes", "gallery", "methods", "pictures", "reference")
"""Folders that hold only generated files."""


def all_pages() -> dict[str, str]:
    """Returns every page, by its path below `docs`."""
    return {**codes.pages(), **gallery.pages(), **methods.pages(), **api.pages()}


def write(docs: Path) -> None:
    """Writes the pages and draws the pictures; unchanged pages are left alone, and outdated ones removed."""
    pages = all_pages()
    for name, text in pages.items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    pictures = draw_all(docs, {KTRAIN_PICTURE: ktrain_record()})
    for folder in FOLDERS:
        for path in (docs / folder).iterdir():
            if str(path.relative_to(docs)) not in {*pages, *pictures}:
                path.unlink()
