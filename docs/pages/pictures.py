"""Draws the recorded scans as the package draws them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from exhibits import EXHIBITS
from keras_lrscan import analyze, describe_plot, plot_curve
from keras_lrscan.curves.context import chance_loss
from keras_lrscan.plots.curve_plot import FIGURE_SIZE
from keras_lrscan.plots.view import view, view_of_rates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from exhibits import Exhibit
    from keras_lrscan import Analysis

__all__ = ["alt_text", "draw_all", "reading"]

CARD = (0.03, 0.12, 0.94, 0.86)
"""Axes of a picture on a card: left, bottom, width and height. To compute such a layout takes as long as to draw it."""


@cache
def reading(exhibit: Exhibit) -> Analysis:
    """Returns the analysis of a scan."""
    return analyze(exhibit.curve())


def alt_text(exhibit: Exhibit) -> str:
    """Returns a description of the picture for screen readers."""
    return describe_plot(reading(exhibit))


def draw_all(docs: Path, more: Mapping[str, Analysis] | None = None) -> set[str]:
    """Draws every scan, and others by their names, and returns the paths of the pictures below `docs`."""
    (docs / "pictures").mkdir(exist_ok=True)
    drawn = {exhibit.name: reading(exhibit) for exhibit in EXHIBITS} | dict(more or {})
    for name, analysis in drawn.items():
        figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
        plot_curve(analysis, ax=figure.subplots())
        figure.set_layout_engine("none")  # `plot_curve` has run it
        save(figure, docs / "pictures" / f"{name}.svg")
        figure = Figure(figsize=(4, 2.4))
        draw_small(figure.add_axes(CARD), analysis)
        save(figure, docs / "pictures" / f"{name}.small.svg")
    return {f"pictures/{name}{kind}.svg" for name in drawn for kind in ("", ".small")}


def draw_small(ax: Axes, analysis: Analysis) -> None:
    """Draws a scan for a card: the losses, the line through them and the chance level, without text."""
    curve, smoothed = analysis.curve, analysis.smoothed
    finite = np.isfinite(curve.loss)
    ax.plot(curve.lr[finite], curve.loss[finite], color="0.65", lw=0.8)
    ax.plot(10**smoothed.log10_lr, smoothed.loss, color="#0072B2", lw=2.4)
    level = chance_loss(curve.context)
    if level is not None:
        ax.axhline(level, color="0", lw=1.2, ls=":")
    ax.set(xscale="log", xlim=view_of_rates(analysis), ylim=view(analysis), yticks=[])
    ax.tick_params(labelsize=9)
    ax.minorticks_off()
    ax.spines[["top", "right", "left"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Writes a picture that is the same in every build."""
    with mpl.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})
