"""Generates the gallery: a page for each recorded scan, with its explanation and its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exhibits import EXHIBITS, Room
from keras_lrscan.causes.ranking import CAUSES
from pages.markdown import cards, linked, picture, table, told
from pages.pictures import alt_text, reading
from pages.sources import recipe_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exhibits import Exhibit

__all__ = ["pages"]

ROOMS: Mapping[Room, tuple[str, str]] = {
    Room.HEALTHY: (
        "Healthy fits",
        "These scans need no repair. Once you know them, the others stand out.",
    ),
    Room.PRETRAINED: (
        "Pretrained models",
        "Pretrained bodies with a new last layer, before and after fine-tuning.",
    ),
    Room.DATA: ("Causes in the data", "Some are mistakes, some are only worth knowing."),
    Room.MODEL: ("Causes in the model, the loss or the optimizer", "Again, not all of these are mistakes."),
    Room.TEST: ("Causes in the setup of the test", "The model is fine, and another test would show it."),
}
"""Room → its name and its first sentence."""

NAMES = {cause.code: cause.name for cause in CAUSES}


def pages() -> dict[str, str]:
    """Returns the pages by their paths."""
    return {"gallery/index.md": index(), **{f"gallery/{item.name}.md": page(item) for item in EXHIBITS}}


def index() -> str:
    """Returns the page that links to all scans."""
    rooms = [
        f"## {name}\n\n{lead}\n\n{cards(item for item in EXHIBITS if item.room == room)}"
        for room, (name, lead) in ROOMS.items()
    ]
    tree = "\n".join(item.name for item in EXHIBITS)
    by_shape = [
        (f"`{shape}`", ", ".join(f"[{item.title}]({item.name}.md)" for item in EXHIBITS if item.shape == shape))
        for shape in dict.fromkeys(item.shape for item in EXHIBITS)
    ]
    return f"""# Gallery

{len(EXHIBITS)} real scans on real data: pictures, words, tables, small networks and large ones. All were run with
`LRScan`, except [one by another callback](tutorial-callback.md). Each was made on purpose, so its true cause
is known. Each page has the plot, points to look at, the explanation exactly as the package gives it, and the code that
made it.

{chr(10).join(rooms)}

## By shape

{table(("shape", "scans"), by_shape)}

```{{toctree}}
:hidden:

{tree}
```
"""


def page(item: Exhibit) -> str:
    """Returns the page of one scan."""
    analysis = reading(item)
    facts = [linked(f"{analysis.verdict.code} `{item.shape}`"), linked(f"{item.cause} `{NAMES[item.cause]}`")]
    return f"""# {item.title}

{item.made}

{picture(item, alt_text(item))}

{item.look}

{table(("shape", "true cause"), [facts])}

## The explanation

{rank(item)}

:::{{card}}

{told(analysis)}
:::

## How it was made

```python
{recipe_source(item.name)}
```

The record is {{download}}`{item.name}.json <../curves/{item.name}.json>`. `lrscan analyze {item.name}.json` prints the
explanation.
"""


def rank(item: Exhibit) -> str:
    """Returns how well the package found the true cause."""
    codes = [finding.code for finding in reading(item).findings]
    if item.cause not in codes:
        return "The package did not find the true cause here."
    place = codes.index(item.cause)
    if not place:
        return "The package ranks the true cause first."
    return f"The package ranks the true cause as number {place + 1}."
