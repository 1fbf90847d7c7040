"""Writes pieces of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exhibits import EXHIBITS
from keras_lrscan.explanation.answer import title
from keras_lrscan.explanation.explain import sections

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exhibits import Exhibit
    from keras_lrscan import Analysis

__all__ = ["bullets", "capitalized", "cards", "example", "linked", "picture", "table", "told"]

CODE = re.compile(r"\bLRS\d{3}\b")
ADDRESS = re.compile(r"(?<![<(\[])https?://[^\s)>\]]+[^\s)>\].,;]")


def capitalized(text: str) -> str:
    """Returns the text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def told(analysis: Analysis, root: str = "../", *, level: str = "full") -> str:
    """Returns the explanation of a scan, sentence by sentence as the package prints it at a level."""
    blocks = [f"**{title(analysis)}**"]
    for part in sections(analysis, level=level):
        sentences = [linked(sentence, root) for sentence in part.sentences]
        blocks.append(f"**{part.heading}**\n\n{bullets(sentences)}" if part.heading else "\\\n".join(sentences))
    return "\n\n".join(blocks)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bullets(sentences: Iterable[str]) -> str:
    """Returns a list with one item per sentence."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def linked(text: str, root: str = "../") -> str:
    """Returns the text with each code and each address made a link, except in code."""
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        parts[place] = CODE.sub(rf"[\g<0>]({root}codes/\g<0>.md)", ADDRESS.sub(r"<\g<0>>", parts[place]))
    return "`".join(parts)


def picture(exhibit: Exhibit, alt: str, caption: str = "") -> str:
    """Returns the picture of a scan."""
    options = f":alt: {alt}\n:target: ../gallery/{exhibit.name}.html"
    return f":::{{figure}} ../pictures/{exhibit.name}.svg\n{options}\n\n{caption}\n:::"


def cards(exhibits: Iterable[Exhibit]) -> str:
    """Returns small pictures of scans, two or three in a row, each linked to its page."""
    inner = "\n\n".join(
        f"::::{{grid-item-card}} {item.title}\n:link: ../gallery/{item.name}\n:link-type: doc\n"
        f":img-top: ../pictures/{item.name}.small.svg\n:img-alt: {item.made}\n\n{item.made}\n::::"
        for item in exhibits
    )
    return f":::::{{grid}} 1 2 2 3\n:gutter: 3\n\n{inner}\n:::::" if inner else ""


def example(name: str) -> Exhibit:
    """Returns the scan of a name."""
    return next(item for item in EXHIBITS if item.name == name)
