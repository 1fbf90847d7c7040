"""Pieces of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exhibits import EXHIBITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exhibits import Exhibit

__all__ = ["bullets", "capitalized", "cards", "example", "linked", "picture", "table"]

CODE = re.compile(r"\bLRS\d{3}\b")
ADDRESS = re.compile(r"(?<![<(\[])https?://[^\s)>\]]+[^\s)>\].,;]")


def capitalized(text: str) -> str:
    """Returns the text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bullets(sentences: Iterable[str]) -> str:
    """Returns a list, one point a sentence."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def linked(text: str) -> str:
    """Returns the text with each code and each address made a link, except in code."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        parts[place] = CODE.sub(r"[\g<0>](../codes/\g<0>.md)", ADDRESS.sub(r"<\g<0>>", parts[place]))
    return "`".join(parts)


def picture(exhibit: Exhibit, alt: str, caption: str = "") -> str:
    """Returns the picture of a scan."""
    options = f":alt: {alt}\n:target: ../gallery/{exhibit.name}.html"
    return f":::{{figure}} ../pictures/{exhibit.name}.svg\n{options}\n\n{caption}\n:::"


def cards(exhibits: Iterable[Exhibit]) -> str:
    """Returns small pictures of scans, two or three in a row, each leading to its page."""
    inner = "\n\n".join(
        f"::::{{grid-item-card}} {item.title}\n:link: ../gallery/{item.name}\n:link-type: doc\n"
        f":img-top: ../pictures/{item.name}.svg\n:img-alt: {item.made}\n\n{item.made}\n::::"
        for item in exhibits
    )
    return f":::::{{grid}} 1 2 2 3\n:gutter: 3\n\n{inner}\n:::::" if inner else ""


def example(name: str) -> Exhibit:
    """Returns the scan of a name."""
    return next(item for item in EXHIBITS if item.name == name)
