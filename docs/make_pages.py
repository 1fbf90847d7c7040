"""Writes a page for each shape and each suggestion method from the tables of the package: `python docs/make_pages.py`.

The text comes from the rules themselves, so it cannot say anything else than the code does. The pictures are real
scans, recorded by `record_curves.py`. A test fails when a page is older than the table it was made from.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from keras_lrscan import LRCurve, analyze, plot_curve
from keras_lrscan.facts import MEASURES
from keras_lrscan.measures import format_lr
from keras_lrscan.plot import FIGURE_SIZE
from keras_lrscan.shapes import SHAPE_RULES
from keras_lrscan.suggest import SUGGESTION_METHODS, Role
from keras_lrscan.traits import TRAIT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keras_lrscan import Analysis
    from keras_lrscan.rules import Condition
    from keras_lrscan.shapes import ShapeRule

HERE = Path(__file__).parent
CURVES = HERE / "curves"
METHOD_EXAMPLES = ("u-shaped", "valley-then-plateau", "monotone-from-pretrained")
"""Curves on which a page shows what a method suggests."""


def example(shape: str) -> Analysis:
    """Returns the reading of the recorded scan of one shape."""
    return analyze(LRCurve.from_json(CURVES / f"{shape}.json"))


def slug(name: str) -> str:
    """Returns the file name of a method's page."""
    return name.replace("/", "-over-")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def alternatives(rule: ShapeRule) -> str:
    """Returns the conditions of a shape, one table for each alternative."""
    if not rule.when:
        return "No condition: it is what remains when copies of the curve with other noise get different shapes.\n"
    return "\n\nor\n\n".join(conditions(part) for part in rule.when) + "\n"


def conditions(parts: Sequence[Condition]) -> str:
    """Returns one set of conditions as a table."""
    return table(("what is measured", "must be"), ((MEASURES[part.feature].words, str(part)) for part in parts))


def shape_page(rule: ShapeRule) -> str:
    """Returns the page of one shape."""
    analysis = example(rule.shape)
    suggestion = analysis.suggestion
    advice = (
        ""
        if suggestion.lr is None
        else f"For the scan above: {spread(suggestion.lr, suggestion.low, suggestion.high)}. "
    )
    return f"""# {rule.code} {rule.title[0].upper()}{rule.title[1:]}

`{rule.shape}`

![A real scan of this shape](../images/shapes/{rule.shape}.png)

A real scan: {analysis.curve.context.notes[0]}.

## How it is detected

{alternatives(rule)}
The rules of the shapes are tried in a fixed order, and the first that holds is the verdict.

## What is suggested

{advice}{suggestion.reason}

## What the package says of the scan above

```text
{analysis.explain().rstrip()}
```
"""


def method_page(name: str) -> str:
    """Returns the page of one suggestion method."""
    method = SUGGESTION_METHODS[name]
    rows = []
    for shape in METHOD_EXAMPLES:
        found = [example(shape).suggest(method=name, role=role) for role in Role]
        rows.append((f"[{shape}](../shapes/{shape}.md)", *(spread(item.lr, item.low, item.high) for item in found)))
    return f"""# {name}

{method.says}

## How it is computed

{inspect.getdoc(method.rate)}

## On real scans

{table(("scan", *(str(role) for role in Role)), rows)}
"""


def spread(lr: float | None, low: float | None, high: float | None) -> str:
    """Returns a suggestion in a few signs."""
    if lr is None or low is None or high is None:
        return "none"
    return f"{format_lr(lr)} ({format_lr(low)} to {format_lr(high)})"


def index() -> str:
    """Returns the page that leads to all others."""
    shapes = [(rule.code, f"[{rule.shape}](shapes/{rule.shape}.md)", rule.title) for rule in SHAPE_RULES]
    traits = [(rule.code, rule.name, rule.says) for rule in TRAIT_RULES]
    methods = [(f"[{name}](methods/{slug(name)}.md)", method.says) for name, method in SUGGESTION_METHODS.items()]
    return f"""# What a scan can show

## Shapes: every curve has one

{table(("code", "shape", "in words"), sorted(shapes))}

## Traits: a curve may have any number

{table(("code", "trait", "what is said of it"), traits)}

## Suggestion methods

{table(("method", "where its rate comes from"), methods)}
"""


def pages() -> dict[Path, str]:
    """Returns every page, by its path."""
    found = {HERE / "shapes" / f"{rule.shape}.md": shape_page(rule) for rule in SHAPE_RULES}
    found |= {HERE / "methods" / f"{slug(name)}.md": method_page(name) for name in SUGGESTION_METHODS}
    return {**found, HERE / "README.md": index()}


def draw(shape: str) -> None:
    """Draws the scan of one shape."""
    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    plot_curve(example(shape), ax=figure.subplots())
    path = HERE / "images" / "shapes" / f"{shape}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    for page, text in pages().items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    for rule in SHAPE_RULES:
        draw(rule.shape)
