"""Draws the panel along the bottom of a plot: the suggested range, and the learning rates that other rules pick."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.errors import unknown_option
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.palette import SUGGESTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from keras_lrscan.pure_analysis import PureAnalysis
    from keras_lrscan.suggestions.suggest import Suggestion

    Array = NDArray[np.float64]

__all__ = ["RULES_OF_OTHERS", "draw_band", "draw_rates", "panel_height", "rate_name", "rates_to_show"]

RULES_OF_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        "steepest": "steepest fall (Lightning, torch-lr-finder, ktrain)",
        "minimum/10": "a tenth of the rate of the lowest loss (fastai, ktrain)",
        "valley": "valley (fastai, ktrain)",
        "slide": "slide (fastai)",
        "elbow/10": "a tenth of the rate where the loss rises (Howard)",
    }
)
"""Method → its rule in words, and the tools that use it. All rules read the smoothed curve, not a running average."""

ROW = 14.0
"""Height of a row (points)."""

SIZE = 9.0
"""Font size (points)."""

GAP = 9.0
"""Gap between a mark and its name (points)."""

LEFT, RIGHT = "\N{LEFTWARDS ARROW} ", "\N{RIGHTWARDS ARROW} "
"""Prefixes for the name of a learning rate outside the scan."""


def rates_to_show(analysis: PureAnalysis, compare: bool | Sequence[str]) -> tuple[Suggestion, ...]:  # noqa: FBT001 - as in `plot_curve`
    """Returns the suggestion and, with `compare`, those of other rules, without those that have no learning rate.

    Args:
        analysis: The analysis to plot.
        compare: Whether to add the rules of other tools, or the name or names of the methods to add.

    Raises:
        InvalidOptionError: If `compare` names an unknown method.
    """
    if compare is True:
        others = list(RULES_OF_OTHERS)
    else:
        others = [compare] if isinstance(compare, str) else list(compare or ())
    known = {item.method: item for item in analysis.suggestions if item.role == analysis.suggestion.role}
    unknown = [name for name in others if name not in known]
    if unknown:
        raise unknown_option("compare", unknown[0], known)
    shown = (analysis.suggestion, *(known[name] for name in others if name != analysis.suggestion.method))
    return tuple(item for item in shown if item.lr is not None)


def panel_height(rates: Sequence[Suggestion]) -> float:
    """Returns the height of the panel (points)."""
    return ROW * len(rates) + (0.5 * ROW if rates else 0.0)


def rate_name(*, at_most: bool) -> str:
    """Returns the words before the suggested learning rate, which is an upper limit if it was read off averages."""
    return "no more than" if at_most else "suggested:"


def draw_band(ax: Axes, analysis: PureAnalysis) -> None:
    """Draws the suggested learning rate over the full height of the axes, with its range unless it is a limit."""
    suggestion, at_most = analysis.suggestion, analysis.holds_averages
    if suggestion.lr is None or suggestion.low is None or suggestion.high is None:
        return
    words = f"{rate_name(at_most=at_most)} about {format_lr(suggestion.lr)}"
    if not at_most:
        ax.axvspan(suggestion.low, suggestion.high, facecolor=SUGGESTED, alpha=0.16, lw=0, zorder=0.5)
        words += ", with range"
    ax.axvline(suggestion.lr, color=SUGGESTED, lw=2.2, ls=(0, (5, 2)), zorder=1.5, label=words)


def draw_rates(ax: Axes, rates: Sequence[Suggestion], share: float, *, at_most: bool = False) -> list[Array]:
    """Draws one row per learning rate on the lowest `share` of the axes, with the suggestion on top.

    Args:
        ax: The axes.
        rates: The suggestions to draw; each must have a learning rate.
        share: Height of the panel, from 0 to 1.
        at_most: Whether the suggestion is an upper limit, so that its bar starts at the left edge.

    Returns:
        The box of the panel in display units, as left, bottom, right, top; none without `rates`.
    """
    if not rates:
        return []
    from matplotlib import rcParams
    from matplotlib.patches import Rectangle

    ink = rcParams["text.color"]
    across = ax.get_xaxis_transform()
    ax.add_patch(Rectangle((0, 0), 1, share, transform=ax.transAxes, facecolor=ax.get_facecolor(), zorder=2.5, lw=0))
    ax.plot([0, 1], [share] * 2, transform=ax.transAxes, color=ink, lw=0.8, zorder=3)
    rows = (np.arange(len(rates))[::-1] + 0.75) * share * ROW / panel_height(rates)
    first, last = ax.get_xlim()
    for item, y in zip(rates, rows, strict=True):
        ours = item.method == "default"
        rate, low, high = (float(lr or math.nan) for lr in (item.lr, item.low, item.high))
        if ours and at_most:
            low, high = first, rate
        if ours:
            _draw_suggestion(ax, rate, (low, high), y)
        elif first <= rate <= last:
            ax.plot([rate], [y], "D", transform=across, mfc=ax.get_facecolor(), mec=ink, ms=5, mew=1.4, zorder=4)
        marked = (low, high) if ours and not at_most else (rate, rate)  # the bar of a limit fills one side
        ends = [min(max(end, first), last) for end in marked]
        arrow = LEFT if rate < first else RIGHT if rate > last else ""
        others = (f"{RULES_OF_OTHERS.get(item.method, item.method)}:", f"{item.method}:")
        names = (rate_name(at_most=at_most),) if ours else others
        _write_beside(ax, [f"{arrow}{name} {format_lr(rate)}" for name in names], ends, y, bold=ours)
    box = ax.get_window_extent()
    return [np.array([box.x0, box.y0, box.x1, box.y0 + share * box.height])]


def _draw_suggestion(ax: Axes, rate: float, ends: tuple[float, float], y: float) -> None:
    across = ax.get_xaxis_transform()
    ax.plot(ends, [y, y], transform=across, color=SUGGESTED, lw=4, solid_capstyle="butt", zorder=4)
    ax.plot(ends, [y, y], "|", transform=across, color=SUGGESTED, ms=10, mew=2.5, zorder=4)
    ax.plot([rate], [y], "o", transform=across, color=SUGGESTED, ms=8, zorder=5)


def _write_beside(ax: Axes, versions: Sequence[str], ends: Sequence[float], y: float, *, bold: bool) -> None:
    """Writes the first version that fits beside a mark, on the wider side, or else the last version."""
    box = ax.get_window_extent()
    left, right = (float(ax.transData.transform((end, 0))[0]) for end in ends)
    rightwards = box.x1 - right >= left - box.x0
    room = max(box.x1 - right, left - box.x0) - GAP * ax.figure.dpi / 72
    for words in versions:
        text = ax.annotate(
            words,
            (ends[1] if rightwards else ends[0], y),
            xycoords=ax.get_xaxis_transform(),
            xytext=(GAP if rightwards else -GAP, 0),
            textcoords="offset points",
            ha="left" if rightwards else "right",
            va="center_baseline",
            fontsize=SIZE,
            fontweight="bold" if bold else "normal",
            bbox={"facecolor": ax.get_facecolor(), "lw": 0, "pad": 1},
            zorder=5,
        )
        text.set_in_layout(False)
        if words == versions[-1] or text.get_window_extent().width <= room:
            return
        text.remove()
