"""Checks the built site: `pytest docs/check_site.py` after `sphinx-build docs docs/_build/html`.

Sphinx warns only of links that it cannot resolve in its own markup. This follows every link in the pages as a browser
does, including anchors, and finds pictures without alternative text.
"""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path(__file__).parent / "_build" / "html"
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
LINKS = {"a": "href", "img": "src", "link": "href", "script": "src"}


class Page(HTMLParser):
    """Collects the links, the anchors and the pictures of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.without_words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Reads one tag."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag in LINKS and LINKS[tag] in values:
            self.links.append(values[LINKS[tag]])
        if tag == "img" and not values.get("alt"):
            self.without_words.append(values.get("src", ""))


@cache
def parsed(path: Path) -> Page:
    """Returns the content of a page; each page is read once."""
    return Page(path)


def is_dead(page: Path, link: str) -> bool:
    """Returns whether a link within the site is dead."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return False
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return True
    return bool(parts.fragment) and target.suffix == ".html" and unquote(parts.fragment) not in parsed(target).anchors


def test_there_is_a_site() -> None:
    """Fails when the site was not built."""
    assert SITE / "index.html" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_every_link_within_the_site_leads_somewhere_and_every_picture_has_words(page: Path) -> None:
    """Fails with the list of dead links and of pictures without alternative text."""
    dead = [link for link in parsed(page).links if is_dead(page, link)]
    assert (dead, parsed(page).without_words) == ([], [])
