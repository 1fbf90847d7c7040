"""Generates a page for each code: the text of `lrscan explain CODE`, with pictures and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exhibits import EXHIBITS
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.explanation import handbook
from keras_lrscan.reading.shapes import SHAPE_RULES
from keras_lrscan.reading.traits import TRAIT_RULES
from pages.markdown import bullets, capitalized, cards, linked, picture, table
from pages.pictures import alt_text, reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exhibits import Exhibit

__all__ = ["pages"]

NAMES: Mapping[str, str] = {cause.code: cause.name for cause in CAUSES}
TRAITS: Mapping[str, str] = {rule.code: rule.name for rule in TRAIT_RULES}
SHAPES: Mapping[str, str] = {rule.code: str(rule.shape) for rule in SHAPE_RULES}
HEADINGS = (
    "What you see",
    "What it means",
    "Why (evidence)",
    "What it does not mean",
    "What to try, in order",
    "Could also be",
    "Learn more",
)
"""In this order on every page."""


def pages() -> dict[str, str]:
    """Returns the pages by their paths."""
    indexes = {
        "codes/shapes.md": index(
            "Shapes",
            "Every curve has exactly one shape. The rules are tried in a fixed order, and the first that holds is the "
            "verdict.",
            sorted((rule.code, str(rule.shape), capitalized(rule.title)) for rule in SHAPE_RULES),
        ),
        "codes/traits.md": index(
            "Traits",
            "A trait is independent of the shape. A curve may have any number of them.",
            [(rule.code, rule.name, sections_of(rule.code)[1]["What you see"].strip()) for rule in TRAIT_RULES],
        ),
        "codes/causes.md": index(
            "Causes",
            "A cause explains why a curve looks the way it does. A scan names the likely causes, the likeliest first, "
            "each with the numbers that point to it, and those that are ruled out.",
            [(cause.code, cause.name, cause.title) for cause in CAUSES],
        ),
    }
    return {**indexes, **{f"codes/{code}.md": page(code) for code in handbook.CODES}}


def index(title: str, lead: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """Returns the page that links to those of one kind."""
    links = [(f"[{code}]({code}.md)", f"`{name}`", words) for code, name, words in rows]
    tree = "\n".join(f"{name} <{code}>" for code, name, _ in rows)
    return f"""# {title}

{lead}

{table(("code", "name", "in words"), links)}

```{{toctree}}
:hidden:

{tree}
```
"""


def page(code: str) -> str:
    """Returns the page of a code."""
    title, texts = sections_of(code)
    shown = [item for item in EXHIBITS if shows(item, code)]
    texts.setdefault("Could also be", other_readings(code, shown))
    texts["Learn more"] = texts.get("Learn more", "") + "\n" + bullets(FURTHER)
    blocks = [title.strip()]
    if shown:
        blocks.append(picture(shown[0], alt_text(shown[0]), f"A real scan. {shown[0].made}"))
    blocks += [f"## {name}\n\n{linked(texts[name].strip())}" for name in HEADINGS if texts.get(name, "").strip()]
    if len(shown) > 1:
        blocks.append(f"## More real scans\n\n{cards(shown[1:])}")
    return "\n\n".join(blocks) + "\n"


def sections_of(code: str) -> tuple[str, dict[str, str]]:
    """Returns the text above the first heading of a page, and the text under each heading."""
    title, *parts = handbook.page(code, level="expert").split("\n## ")
    return title, dict(part.split("\n", 1) for part in parts)


FURTHER = (
    "[How to read a learning-rate curve](../how-to-read.md)",
    "[The gallery](../gallery/index.md), with real scans of every kind",
)


def shows(item: Exhibit, code: str) -> bool:
    """Returns whether a scan is an example of a code."""
    if code in TRAITS:
        return TRAITS[code] in reading(item).verdict.traits
    return item.cause == code or (code in SHAPES and item.shape == SHAPES[code])


def other_readings(code: str, shown: Sequence[Exhibit]) -> str:
    """Returns the true causes of scans of a shape, or the shapes of scans with a cause or a trait."""
    if code in SHAPES:
        causes = sorted({item.cause for item in shown})
        return "True causes of this shape in the gallery:\n\n" + bullets(f"{it} `{NAMES[it]}`" for it in causes)
    codes = {shape: code for code, shape in SHAPES.items()}
    seen = sorted({codes[item.shape] for item in shown})
    return bullets(f"{it} `{SHAPES[it]}`, a shape of such scans in the gallery" for it in seen)
