"""Pictures: an `Analysis` → `matplotlib.axes.Axes`. Nothing is computed here but where to put the ink."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.features import chance_loss
from keras_lrscan.measures import format_lr
from keras_lrscan.shapes import SHAPE_RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from keras_lrscan.analysis import Analysis

__all__ = ["plot_curve"]

# Okabe and Ito's colours, told apart with every common kind of colour blindness.
RAW, SMOOTH, GOOD, BAD, MARK = "#999999", "#0072B2", "#009E73", "#D55E00", "#000000"

HEADROOM = 0.6
"""Losses above the larger of start and chance by more than this share of the view's height are cut off."""

LABELS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "steepest": ("steepest fall", {"xytext": (-10, 0), "ha": "right", "va": "center"}),
        "minimum": ("lowest loss", {"xytext": (0, -8), "ha": "center", "va": "top"}),
        "elbow": ("starts to rise", {"xytext": (10, 0), "ha": "left", "va": "center"}),
    }
)
"""Landmark → (its name on the plot, where the name stands from the mark)."""

LARGEST_CLIMB = 3.0
"""What climbs before the rise is shown up to this many times the height of the rest."""

LEAST_VIEW = 0.25
"""The view is at least this share of the first loss high, so that a flat curve looks flat."""


def plot_curve(
    analysis: Analysis,
    *,
    ax: Axes | None = None,
    raw_kw: Mapping[str, Any] | None = None,
    line_kw: Mapping[str, Any] | None = None,
) -> Axes:
    """Draws raw and smoothed loss over the learning rate, with landmarks, suggestion and chance level named.

    Args:
        analysis: What was read from the curve.
        ax: Axes to draw on; a new figure's by default.
        raw_kw: Passed on to the line of batch losses.
        line_kw: Passed on to the smoothed line.

    Returns:
        The axes. Losses far above everything of interest are cut off, and a note on the axes says so.

    Example:
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from keras_lrscan import analyze, plot_curve
    >>> from keras_lrscan.synthetic import synthetic_curve
    >>> ax = plot_curve(analyze(synthetic_curve("u-shaped")))
    >>> ax.get_xlabel()
    'learning rate (log scale)'
    """
    if ax is None:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - `import keras_lrscan` must not load matplotlib

        _, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    curve, smoothed = analysis.curve, analysis.smoothed
    finite = np.isfinite(curve.loss)
    ax.plot(
        curve.lr[finite],
        curve.loss[finite],
        **{"color": RAW, "lw": 0.8, "alpha": 0.8, "label": "loss of each batch", **(raw_kw or {})},
    )
    ax.plot(
        10.0**smoothed.log10_lr, smoothed.loss, **{"color": SMOOTH, "lw": 2, "label": "smoothed", **(line_kw or {})}
    )
    ax.set_xscale("log")
    ax.set_xlabel("learning rate (log scale)")
    ax.set_ylabel("loss of one batch")
    bottom, top = _view(analysis)
    ax.set_ylim(bottom, top)
    _draw_suggestion(ax, analysis)
    _draw_landmarks(ax, analysis)
    _draw_chance(ax, analysis, bottom, top)
    cut = int((curve.loss[finite] > top).sum() + (~finite).sum())
    if cut:
        note = f"{cut} batch{'es' if cut > 1 else ''} off the top"
        ax.annotate(note, (0.01, 0.98), xycoords="axes fraction", va="top", fontsize=8, color=BAD)
    title = next(rule.title for rule in SHAPE_RULES if rule.code == analysis.verdict.code)
    ax.set_title(f"{title[0].upper()}{title[1:]}", loc="left")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _view(analysis: Analysis) -> tuple[float, float]:
    """Returns the range of losses to show: from the lowest to a little above what the model started with."""
    finite = analysis.curve.loss[np.isfinite(analysis.curve.loss)]
    marks, smooth = analysis.landmarks, analysis.smoothed.loss
    if marks.start is None or not smooth.size:
        return 0.0, 1.0
    chance = chance_loss(analysis.curve.context)
    noise = min(3 * float(np.median(analysis.smoothed.noise)), abs(marks.start.loss))
    low = min(float(smooth.min()) - noise, float(np.percentile(finite, 2)))
    high = max(marks.start.loss + noise, *([] if chance is None else [chance]), low)
    height = max(high - low, LEAST_VIEW * abs(marks.start.loss), 1e-9)
    calm = smooth[: len(smooth) if marks.elbow is None else marks.elbow.index + 1]
    high = max(high, min(float(calm.max()) + noise, high + LARGEST_CLIMB * height))
    height = max(high - low, height)
    top = min(high + HEADROOM * height, float(finite.max()) + 0.05 * height)
    bottom = low - 0.2 * height
    if finite.min() >= 0:
        bottom = max(bottom, -0.08 * height)
    return bottom, max(top, high + 0.2 * height)


def _draw_suggestion(ax: Axes, analysis: Analysis) -> None:
    suggestion = analysis.suggestion
    if suggestion.lr is None or suggestion.low is None or suggestion.high is None:
        return
    label = f"suggested: about {format_lr(suggestion.lr)}"
    ax.axvspan(suggestion.low, suggestion.high, color=GOOD, alpha=0.15, lw=0)
    ax.axvline(suggestion.lr, color=GOOD, lw=2, label=label)


def _draw_landmarks(ax: Axes, analysis: Analysis) -> None:
    for name, (label, place) in LABELS.items():
        mark = getattr(analysis.landmarks, name)
        if mark is None or (name == "minimum" and not analysis.landmarks.valleys):
            continue
        colour = BAD if name == "elbow" else MARK
        ax.plot([mark.lr], [mark.loss], "o", color=colour, ms=6, zorder=5)
        if mark.low is not None and mark.high is not None:
            ax.plot([mark.low, mark.high], [mark.loss] * 2, color=colour, lw=1.5, alpha=0.5, zorder=4)
        ax.annotate(
            f"{label}\n{format_lr(mark.lr)}",
            (mark.lr, mark.loss),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            **place,
        )


def _draw_chance(ax: Axes, analysis: Analysis, bottom: float, top: float) -> None:
    chance = chance_loss(analysis.curve.context)
    if chance is not None and bottom < chance < top:
        ax.axhline(chance, color=MARK, lw=0.8, ls=":")
        text = "guessing"
        ax.annotate(
            text,
            (0, chance),
            xycoords=("axes fraction", "data"),
            xytext=(2, 4),
            textcoords="offset points",
            fontsize=8,
        )
