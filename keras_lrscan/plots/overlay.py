"""Draws the curves of several analyses on the same matplotlib axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.context import chance_loss
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, shown
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.palette import INK, PAPER, SERIES
from keras_lrscan.plots.rate_panel import rate_name
from keras_lrscan.pure_analysis import PureAnalysis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["axes", "draw_curve", "draw_rate", "finish", "plot_curves", "view"]

HEADROOM = 0.35
"""The view ends above the highest start by this share of its height; losses above it are cut off."""


def axes(ax: Axes | None) -> Axes:
    """Returns `ax`, or the axes of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(8, 4.5), layout="constrained")[1]


def draw_curve(ax: Axes, analysis: PureAnalysis, label: str, color: str, *, elbow: bool = True) -> None:
    """Draws one curve: faint batch losses, a thick smoothed line, and a ring at the elbow."""
    curve, smoothed, marks = analysis.curve, analysis.smoothed, analysis.landmarks
    finite = np.isfinite(curve.loss)
    ax.plot(curve.lr[finite], curve.loss[finite], color=color, lw=0.6, alpha=0.35)
    ax.plot(10.0**smoothed.log10_lr, smoothed.loss, color=color, lw=2.2, label=label)
    if elbow and marks.elbow is not None:
        ax.plot([marks.elbow.lr], [marks.elbow.loss], "o", mfc=PAPER, mec=color, mew=1.8, ms=7, zorder=5)


def draw_rate(ax: Axes, analysis: PureAnalysis, color: str) -> None:
    """Draws the suggested learning rate as a dashed line."""
    lr = analysis.suggestion.lr
    if lr is not None:
        words = f"{rate_name(at_most=analysis.holds_averages)} about {format_lr(lr)}"
        ax.axvline(lr, color=color, lw=1.2, ls="--", label=words)


def view(analyses: Sequence[PureAnalysis]) -> tuple[float, float]:
    """Returns the range of losses that shows every start, every valley and the beginning of every rise."""
    lows, highs, finite = [], [], []
    for analysis in analyses:
        marks, smooth = analysis.landmarks, analysis.smoothed.loss
        if marks.start is None:
            continue
        finite.append(analysis.curve.loss[np.isfinite(analysis.curve.loss)])
        calm = smooth[: len(smooth) if marks.elbow is None else marks.elbow.index + 1]
        noise = 2 * float(np.median(analysis.smoothed.noise))
        lows.append(float(calm.min()) - noise)
        highs.append(max(marks.start.loss, float(np.median(calm))) + noise)
    if not lows:
        return 0.0, 1.0
    low, high = min(lows), max(highs)
    height = max(high - low, 0.25 * abs(high), 1e-9)
    bottom = low - 0.1 * height
    if all(losses.min() >= 0 for losses in finite):
        bottom = max(bottom, -0.06 * height)
    return bottom, high + HEADROOM * height


def finish(ax: Axes, analyses: Sequence[PureAnalysis], title: str, *, columns: int = 3) -> Axes:
    """Sets the scale, range, labels and legend of the axes, and draws the chance level."""
    ax.set_xscale("log")
    ax.set_xlabel("learning rate (log scale)")
    ax.set_ylabel("batch loss")
    bottom, top = view(analyses)
    ax.set_ylim(bottom, top)
    chance = chance_loss(analyses[0].curve.context) if analyses else None
    if chance is not None and bottom < chance < top:
        ax.axhline(chance, color=INK, lw=0.8, ls=":")
        ax.annotate(
            "chance level",
            (1, chance),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
    ax.set_title(title, loc="left")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=columns, fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_curves(
    analyses: Sequence[PureAnalysis] | PureAnalysis, *, labels: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draws several scans on one plot, each with its smoothed line, its elbow and its suggested rate.

    Args:
        analyses: The analyses, at least one; or a single one.
        labels: Name of each scan in the legend. Defaults to its number and shape.
        ax: Axes to draw on; those of a new figure by default.

    Returns:
        The axes.

    Raises:
        InvalidCurveError: If there is no analysis, or something else among them.
        InvalidOptionError: If the number of labels is not that of the analyses.

    Example:
    ```python
    plot_curves([before, after], labels=["pretrained", "fine-tuned"])
    ```
    """
    several = [analyses] if isinstance(analyses, PureAnalysis) else list(analyses)
    if not several:
        msg = "Expected at least one analysis. Received: analyses=[]."
        raise InvalidCurveError(msg)
    for number, item in enumerate(several):
        if not isinstance(item, PureAnalysis):
            msg = f"Expected an `Analysis` of each scan. Received: analyses[{number}]={shown(item)}."
            raise InvalidCurveError(msg)
    names = [f"{number}: {item.verdict.shape}" for number, item in enumerate(several, 1)] if labels is None else labels
    if len(names) != len(several):
        msg = f"Expected one label per analysis. Received: {len(names)} labels, {len(several)} analyses."
        raise InvalidOptionError(msg)
    ax = axes(ax)
    for number, (analysis, name) in enumerate(zip(several, names, strict=True)):
        color = SERIES[number % len(SERIES)]
        lr = analysis.suggestion.lr
        limit = rate_name(at_most=analysis.holds_averages)
        rate = "no suggestion" if lr is None else f"{limit} about {format_lr(lr)}"
        draw_curve(ax, analysis, f"{name} ({rate})", color)
        if lr is not None:
            ax.axvline(lr, color=color, lw=1.2, ls="--")
    return finish(ax, several, f"{len(several)} scans", columns=2)
