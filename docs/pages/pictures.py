"""The pictures of the recorded scans, as the package draws them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from exhibits import EXHIBITS
from keras_lrscan import analyze, plot_curve
from keras_lrscan.measures import format_lr
from keras_lrscan.plot import FIGURE_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from exhibits import Exhibit
    from keras_lrscan import Analysis

__all__ = ["alt_text", "draw_all", "reading"]


@cache
def reading(exhibit: Exhibit) -> Analysis:
    """Returns what the package reads from a scan."""
    return analyze(exhibit.curve())


def alt_text(exhibit: Exhibit) -> str:
    """Returns what the picture shows, for who cannot see it."""
    analysis = reading(exhibit)
    rates = f"from {format_lr(analysis.curve.lr[0])} to {format_lr(analysis.curve.lr[-1])}"
    return f"Loss over the learning rate {rates}; shape: {analysis.verdict.shape}."


def draw_all(docs: Path) -> set[str]:
    """Draws every scan and returns the paths of the pictures below `docs`."""
    (docs / "pictures").mkdir(exist_ok=True)
    for exhibit in EXHIBITS:
        figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
        plot_curve(reading(exhibit), ax=figure.subplots())
        # Nothing in the file may tell one build from the next.
        with mpl.rc_context({"svg.hashsalt": exhibit.name}):
            figure.savefig(docs / "pictures" / f"{exhibit.name}.svg", metadata={"Date": None})
    return {f"pictures/{exhibit.name}.svg" for exhibit in EXHIBITS}
