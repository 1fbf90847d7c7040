"""Lays out titles, headings and bullet points as wrapped text."""

from __future__ import annotations

import functools
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["WIDTH", "factor", "text"]

WIDTH = 88


def text(title: str, sections: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Returns a title and sections of bullet points as wrapped text; sections without sentences are left out.

    Example:
    >>> print(text("Title", [("", ["On top."]), ("What you see", ["One point."]), ("Nothing", [])]))
    Title
    <BLANKLINE>
    On top.
    <BLANKLINE>
    What you see
    - One point.
    <BLANKLINE>
    """
    blocks = [title]
    for heading, sentences in sections:
        lines = [_wrapped(sentence, "- " if heading else "") for sentence in sentences]
        blocks += ["\n".join([heading, *lines] if heading else lines)] if lines else []
    return "\n\n".join(blocks) + "\n"


def factor(decades: float) -> str:
    """Returns words for the factor between two rates that are `decades` apart.

    Example:
    >>> factor(0.3), factor(-1.0), factor(0.0)
    ('higher by a factor of 2', 'lower by a factor of 10', 'the same')
    """
    times = 10.0 ** abs(decades)
    shown = f"{times:.1f}".removesuffix(".0") if times < 3 else f"{float(f'{times:.1g}'):.0f}"
    if shown == "1":
        return "the same"
    return f"{'higher' if decades > 0 else 'lower'} by a factor of {shown}"


@functools.lru_cache(maxsize=4096)
def _wrapped(sentence: str, bullet: str) -> str:
    indent = " " * len(bullet)
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
