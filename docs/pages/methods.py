"""Generates a page for each suggestion method."""

from __future__ import annotations

import inspect

from keras_lrscan.formatting import format_lr
from keras_lrscan.suggestions.suggest import SUGGESTION_METHODS, Role
from pages.markdown import example, table
from pages.pictures import reading

__all__ = ["pages"]

SHOWN = ("fresh-classifier", "collapse", "headlines-new-head", "trained", "stopped-while-falling")
"""Scans for which a page shows the suggestions of a method."""


def pages() -> dict[str, str]:
    """Returns the pages by their paths."""
    return {"methods/index.md": index(), **{f"methods/{slug(name)}.md": page(name) for name in SUGGESTION_METHODS}}


def slug(name: str) -> str:
    """Returns the file name of a method's page."""
    return name.replace("/", "-over-")


def index() -> str:
    """Returns the page that links to all methods."""
    rows = [(f"[{name}]({slug(name)}.md)", method.says) for name, method in SUGGESTION_METHODS.items()]
    tree = "\n".join(f"{name} <{slug(name)}>" for name in SUGGESTION_METHODS)
    return f"""# Ways to pick a rate

`analysis.suggestion` comes from the method `default`. `analysis.suggest(method="steepest")` applies another one, and
also accepts a function of your own. `role="one-cycle"` asks for the peak of a one-cycle schedule instead of a
rate for constant training.

{table(("method", "where its rate comes from"), rows)}

```{{toctree}}
:hidden:

{tree}
```
"""


def page(name: str) -> str:
    """Returns the page of one method."""
    method = SUGGESTION_METHODS[name]
    rows = []
    for shown in SHOWN:
        item = example(shown)
        rates = [reading(item).suggest(method=name, role=role) for role in Role]
        rows.append(
            (f"[{item.title}](../gallery/{shown}.md)", *(spread(rate.lr, rate.low, rate.high) for rate in rates))
        )
    return f"""# {name}

{method.says}

## How it is computed

{inspect.getdoc(method.rate)}

## On real scans

{table(("scan", *(f"for {role}" for role in Role)), rows)}
"""


def spread(lr: float | None, low: float | None, high: float | None) -> str:
    """Returns a suggestion as a short text."""
    if lr is None or low is None or high is None:
        return "none"
    return f"{format_lr(lr)} ({format_lr(low)} to {format_lr(high)})"
