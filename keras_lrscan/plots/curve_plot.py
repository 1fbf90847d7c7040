"""Pictures: an `Analysis` → `matplotlib.axes.Axes`. Nothing is computed here but where to put the ink.

A picture must be understood alone: in a forum post, at 600 pixels, in a black-and-white print. So everything on it is
named on it, colors come with a line style or a hatching of their own, and no text covers another.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.label_placement import Label, place, spread, wrapped
from keras_lrscan.plots.rate_panel import draw_band, draw_rates, panel_height, rates_to_show
from keras_lrscan.plots.regions import RegionKind, regions
from keras_lrscan.plots.view import GUESSING_WITH, caption, count_off_top, guessing_level, title, view

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from keras_lrscan.pure_analysis import PureAnalysis
    from keras_lrscan.reading.landmarks import Landmark

    Array = NDArray[np.float64]

__all__ = ["FIGURE_SIZE", "plot_curve"]

FIGURE_SIZE = (7.2, 5.0)
"""Inches: at 600 pixels wide, the smallest letters are then 10 pixels high."""

# Okabe and Ito's colors, told apart with every common kind of color blindness.
RAW, SMOOTH, BAD = "#808080", "#0072B2", "#D55E00"

SMALL, SMALLEST = 9.5, 9.0
"""Sizes of letters (points)."""

FILLS: Mapping[RegionKind, tuple[str, float, str]] = MappingProxyType(
    {
        RegionKind.SMALL: (RAW, 0.16, ""),
        RegionKind.LEVEL: (RAW, 0.16, ""),
        RegionKind.DRIFTING: (BAD, 0.10, "."),
        RegionKind.LEARNING: ("none", 0.0, ""),
        RegionKind.BREAKING: (BAD, 0.16, "//"),
        RegionKind.BROKEN: (BAD, 0.26, "xx"),
    }
)
"""Color, its strength and hatching of the ground of each stretch; the hatching serves black and white."""

HATCHING = 0.3
"""Strength of the hatching."""

LABELS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {"elbow": ("starts to rise", 0.25), "minimum": ("lowest loss", -0.5), "steepest": ("steepest fall", 1.0)}
)
"""Landmark → (its name on the plot, where the name stands by preference: half turns from the right)."""


def plot_curve(
    analysis: PureAnalysis,
    *,
    ax: Axes | None = None,
    compare: bool | Sequence[str] = False,
    raw_kw: Mapping[str, Any] | None = None,
    line_kw: Mapping[str, Any] | None = None,
) -> Axes:
    """Draws raw and smoothed loss over the learning rate, with everything on the picture named on it.

    Stretches of rates are shaded and named, landmarks carry their rates and ranges, the loss of guessing is a dotted
    line, and the suggested range is a bar along the bottom.

    Args:
        analysis: What was read from the curve.
        ax: Axes to draw on; a new figure's by default. Its size should be final: texts are placed by it.
        compare: Also mark the rates that the rules of other tools would pick: `True`, or a list of methods, keys of
            `keras_lrscan.suggestions.suggest.SUGGESTION_METHODS`.
        raw_kw: Passed on to the line of batch losses.
        line_kw: Passed on to the smoothed line.

    Returns:
        The axes. Losses far above everything of interest are cut off, and a note on the axes says so.

    Raises:
        InvalidOptionError: If `compare` names an unknown method.

    Example:
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from keras_lrscan import analyze, plot_curve
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> ax = plot_curve(analyze(synthetic_curve("u-shaped")), compare=["steepest", "valley"])
    >>> ax.get_title(loc="left")
    'A textbook U'
    """
    rates = rates_to_show(analysis, compare)
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=FIGURE_SIZE, layout="constrained")
    _draw_lines(ax, analysis, raw_kw or {}, line_kw or {})
    _dress(ax, analysis)
    marked = _draw_landmarks(ax, analysis)
    _draw_regions(ax, analysis)
    draw_band(ax, analysis.suggestion)
    _draw_legend(ax)
    _settle(ax)
    bottom, top = view(analysis)
    share = min(panel_height(rates) * ax.figure.dpi / 72 / ax.get_window_extent().height, 0.6)
    ax.set_ylim(bottom - (top - bottom) * share / (1 - share), top)
    ax.set_yticks([tick for tick in ax.get_yticks() if bottom <= tick <= top])
    _name_regions(ax, analysis)
    taken = [*draw_rates(ax, rates, share), *_note_off_top(ax, analysis, top), *_draw_guessing(ax, analysis)]
    _label(ax, analysis, marked, np.array(taken).reshape(-1, 4))
    return ax


def _draw_lines(ax: Axes, analysis: PureAnalysis, raw_kw: Mapping[str, Any], line_kw: Mapping[str, Any]) -> None:
    curve, smoothed = analysis.curve, analysis.smoothed
    finite = np.isfinite(curve.loss)
    raw = {"color": RAW, "lw": 0.9, "alpha": 0.8, "label": "loss of each batch"}
    ax.plot(curve.lr[finite], curve.loss[finite], **{**raw, **raw_kw})
    line = {"color": SMOOTH, "lw": 2.2, "label": "the same without its noise"}
    ax.plot(10.0**smoothed.log10_lr, smoothed.loss, **{**line, **line_kw})


def _dress(ax: Axes, analysis: PureAnalysis) -> None:
    """Names title and axes, with rates written as they are everywhere else in the text."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    low, high = float(analysis.curve.lr[0]), float(analysis.curve.lr[-1])
    room = max((high / low) ** 0.015, 1.01)
    ax.set_xlim(low / room, high * room)
    rate = FuncFormatter(lambda lr, _: format_lr(lr))
    ax.xaxis.set_major_formatter(rate)
    narrow = high / low < 30
    ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5) if narrow else tuple(range(2, 10)), numticks=99))
    ax.xaxis.set_minor_formatter(rate if narrow else NullFormatter())
    ax.tick_params(which="both", labelsize=SMALLEST)
    width = 0.97 * ax.get_window_extent().width
    along = "learning rate, raised after every batch (log scale)"
    ax.set_xlabel(wrapped(ax, along, width=width, style={"fontsize": SMALL}), fontsize=SMALL)
    up = wrapped(
        ax, "loss of one batch (lower is better)", width=0.75 * ax.get_window_extent().height, style={"fontsize": SMALL}
    )
    ax.set_ylabel(up, fontsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    words = wrapped(ax, caption(analysis), width=width, style={"fontsize": SMALL})
    above = SMALL * 2.1
    ax.annotate(
        words,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, above),
        textcoords="offset points",
        fontsize=SMALL,
        va="bottom",
    )
    lines = 1 + words.count("\n")
    heading: dict[str, Any] = {"fontsize": 13, "fontweight": "bold"}
    ax.set_title(
        wrapped(ax, title(analysis), width=width, style=heading),
        loc="left",
        pad=above + lines * SMALL * 1.45 + 3,
        **heading,
    )


def _draw_landmarks(ax: Axes, analysis: PureAnalysis) -> dict[str, Label]:
    """Draws the marks with their ranges and returns what is to be written beside them."""
    marked: dict[str, Label] = {}
    ink = _ink()
    for name, mark in _marks(analysis).items():
        known = "turning point, with its margin of error" if not marked else None
        reach = [[mark.lr - (mark.low or mark.lr)], [(mark.high or mark.lr) - mark.lr]]
        ax.errorbar(
            [mark.lr], [mark.loss], xerr=reach, fmt="o", color=ink, ms=6, lw=1.6, capsize=3, zorder=5, label=known
        )
        words, prefers = LABELS[name]
        marked[name] = Label(text=f"{words}: {format_lr(mark.lr)}", x=mark.lr, y=mark.loss, prefers=prefers * math.pi)
    return marked


def _marks(analysis: PureAnalysis) -> dict[str, Landmark]:
    """Returns the landmarks to draw, the most important first."""
    found = {name: getattr(analysis.landmarks, name) for name in LABELS}
    if not analysis.landmarks.valleys:
        found.pop("minimum")
    return {name: mark for name, mark in found.items() if mark is not None}


def _draw_regions(ax: Axes, analysis: PureAnalysis) -> None:
    found = regions(analysis)
    for region in found:
        color, strength, hatch = FILLS[region.kind]
        ax.axvspan(region.low, region.high, facecolor=color, alpha=strength, lw=0, zorder=0)
        if hatch:  # on a span of its own: the formats do not agree on what a hatched color with strength is
            ax.axvspan(
                region.low, region.high, facecolor="none", edgecolor=color, alpha=HATCHING, hatch=hatch, lw=0, zorder=0
            )
    for region in found[1:]:
        ax.axvline(region.low, color=_ink(), lw=0.8, ls=(0, (2, 3)), zorder=1)


def _name_regions(ax: Axes, analysis: PureAnalysis) -> None:
    """Writes the names of the stretches above the axes, each as near its stretch as there is room."""
    found = regions(analysis)
    unit = ax.figure.dpi / 72
    style: dict[str, Any] = {"fontsize": SMALL, "fontweight": "bold", "ha": "center", "va": "bottom"}
    texts = [
        ax.annotate(
            str(region.kind), (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", **style
        )
        for region in found
    ]
    box = ax.get_window_extent()
    widths = [text.get_window_extent().width + SMALL * unit for text in texts]
    shrunk = min(1.0, box.width / max(sum(widths), 1.0))
    widths = [width * shrunk for width in widths]
    to_x = ax.transData.transform
    centers = [float(to_x((math.sqrt(region.low * region.high), 0))[0]) for region in found]
    for text, x in zip(texts, spread(centers, widths, low=box.x0, high=box.x1), strict=True):
        text.set_fontsize(SMALL * shrunk)
        text.xy = ((x - box.x0) / box.width, 1)
        text.set_in_layout(False)


def _draw_legend(ax: Axes) -> None:
    """Writes the legend under the name of the axis, in two columns if there is room."""
    from matplotlib.transforms import ScaledTranslation

    lines = 1 + ax.get_xlabel().count("\n")
    below = ax.transAxes + ScaledTranslation(0, -(2.4 + 1.2 * lines) * SMALL / 72, ax.figure.dpi_scale_trans)
    place_of_legend: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    for num_columns in (2, 1):
        legend = ax.legend(
            ncols=num_columns, fontsize=SMALLEST, frameon=False, borderaxespad=0, borderpad=0.2, **place_of_legend
        )
        if legend.get_window_extent().width <= ax.get_window_extent().width:
            break


def _settle(ax: Axes) -> None:
    """Lets the figure make room for titles and legend, so that sizes on the axes can be measured."""
    figure = ax.figure.canvas.figure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def _note_off_top(ax: Axes, analysis: PureAnalysis, top: float) -> Iterable[Array]:
    cut = count_off_top(analysis, top)
    if not cut:
        return ()
    text = ax.annotate(
        f"\N{UPWARDS ARROW} {cut} batch{'es' if cut > 1 else ''} off the top",
        (1, 1),
        xycoords="axes fraction",
        xytext=(-3, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=SMALLEST,
        zorder=6,
        bbox=_ground(ax),
    )
    return (np.asarray(text.get_window_extent().extents),)


def _draw_guessing(ax: Axes, analysis: PureAnalysis) -> Iterable[Array]:
    """Draws the loss of guessing as a line with its name, or says that it is off the view."""
    level = guessing_level(analysis)
    if level is None:
        return ()
    bottom, top = view(analysis)
    inside = bottom < level < top
    words = GUESSING_WITH[level != (guessing_level(analysis, regularized=False))].format(level=f"{level:.3g}")
    if inside:
        ax.axhline(level, color=_ink(), lw=1.2, ls=(0, (1, 2)), zorder=2)
    else:
        words += ", above this view" if level >= top else ", below this view"
    text = ax.annotate(
        words,
        (0, level if inside else (top if level >= top else bottom)),
        xycoords=("axes fraction", "data"),
        xytext=(4, -3 if level >= top else 3),
        textcoords="offset points",
        va="top" if level >= top else "bottom",
        fontsize=SMALLEST,
        zorder=6,
        bbox=_ground(ax),
    )
    return (np.asarray(text.get_window_extent().extents),)


def _label(ax: Axes, analysis: PureAnalysis, marked: Mapping[str, Label], taken: Array) -> None:
    """Writes the names of the landmarks where they hide least."""
    curve = ax.transData.transform(np.column_stack([10.0**analysis.smoothed.log10_lr, analysis.smoothed.loss]))
    box = ax.get_window_extent()
    ends = [curve, *(_ends(ax, mark) for mark in _marks(analysis).values())]
    for region in regions(analysis)[1:]:
        x = ax.transData.transform((region.low, 1))[0]
        ends.append(np.array([[x, box.y0], [x, box.y1]]))
    level = guessing_level(analysis)
    if level is not None:
        y = ax.transData.transform((1, level))[1]
        ends.append(np.array([[box.x0, y], [box.x1, y]]))
    lines = np.vstack([_dotted(part) for part in ends])
    place(ax, list(marked.values()), lines=lines, taken=taken, style={"fontsize": SMALLEST, "color": _ink()})


def _ends(ax: Axes, mark: Landmark) -> Array:
    """Returns the ends of a landmark's range, in display units."""
    ends = ax.transData.transform([(mark.low or mark.lr, mark.loss), (mark.high or mark.lr, mark.loss)])
    return np.asarray(ends, dtype=float)


def _dotted(line: Array) -> Array:
    """Returns dots along a line, from end to end, closer together than letters are wide."""
    steps = np.linspace(0, len(line) - 1, 40 if len(line) == 2 else 600)
    return np.column_stack([np.interp(steps, np.arange(len(line)), column) for column in line.T]) if len(line) else line


def _ink() -> str:
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def _ground(ax: Axes) -> dict[str, Any]:
    """Returns the ground of a text that may stand on lines."""
    return {"facecolor": ax.get_facecolor(), "alpha": 0.8, "lw": 0, "pad": 1}
