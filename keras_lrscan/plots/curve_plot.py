"""Draws the curve of an analysis, its landmarks and its suggestion on matplotlib axes.

A plot must be clear without its page: in a forum post, at 600 pixels, or in a black-and-white print. Therefore the plot
names everything that it shows, every color comes with its own line style or hatching, and no text covers another.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.curves.context import EPOCH
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.alt_text import caption, title
from keras_lrscan.plots.label_placement import Label, place, spread, wrapped
from keras_lrscan.plots.palette import BATCH_LOSS, HARMFUL, NEUTRAL, SMOOTHED
from keras_lrscan.plots.rate_panel import draw_band, draw_rates, panel_height, rates_to_show
from keras_lrscan.plots.regions import RegionKind, regions
from keras_lrscan.plots.view import chance_level, chance_name, count_off_top, view, view_of_rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from keras_lrscan.pure_analysis import PureAnalysis
    from keras_lrscan.reading.landmarks import Landmark

    Array = NDArray[np.float64]

__all__ = ["FIGURE_SIZE", "plot_curve"]

FIGURE_SIZE = (7.2, 5.0)
"""Width and height (inches). At 600 pixels wide, the smallest letters are 10 pixels high."""

SMALL, SMALLEST = 9.5, 9.0
"""Font sizes (points)."""

FILLS: Mapping[RegionKind, tuple[str, float, str]] = MappingProxyType(
    {
        RegionKind.SMALL: (NEUTRAL, 0.16, ""),
        RegionKind.LEVEL: (NEUTRAL, 0.16, ""),
        RegionKind.DRIFTING: (HARMFUL, 0.10, "."),
        RegionKind.LEARNING: ("none", 0.0, ""),
        RegionKind.FALLING: ("none", 0.0, ""),
        RegionKind.BREAKING: (HARMFUL, 0.16, "//"),
        RegionKind.BROKEN: (HARMFUL, 0.26, "xx"),
    }
)
"""Region → its fill color, opacity and hatching; the hatching keeps regions distinct in black and white."""

HATCHING = 0.3
"""Opacity of the hatching."""

LABELS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {"elbow": ("starts to rise", 0.25), "minimum": ("lowest loss", -0.5), "steepest": ("steepest fall", 1.0)}
)
"""Landmark → its name on the plot, and the preferred direction of the name (half turns from the right)."""


def plot_curve(
    analysis: PureAnalysis,
    *,
    ax: Axes | None = None,
    compare: bool | Sequence[str] = False,
    raw_kw: Mapping[str, Any] | None = None,
    line_kw: Mapping[str, Any] | None = None,
) -> Axes:
    """Draws the batch losses and the smoothed curve over the learning rate, and labels everything on the plot.

    The plot shades and names regions of the learning rate, marks landmarks with their learning rates and margins of
    error, draws the chance level as a dotted line, and shows the suggested range as a bar along the bottom.

    Args:
        analysis: The analysis to plot.
        ax: Axes to draw on; those of a new figure by default. Set the size of the figure first, since it determines
            the positions of the labels.
        compare: Whether to mark the learning rates that the rules of other tools would pick. `True`, or a list of
            methods, keys of `keras_lrscan.suggestions.suggest.SUGGESTION_METHODS`.
        raw_kw: Keyword arguments for the line of batch losses.
        line_kw: Keyword arguments for the smoothed line.

    Returns:
        The axes. Losses far above the rest of the curve are cut off, and a note on the axes gives their number.

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
    _label_axes(ax, analysis)
    marked = _draw_landmarks(ax, analysis)
    _draw_regions(ax, analysis)
    draw_band(ax, analysis)
    _draw_legend(ax)
    _run_layout(ax)
    bottom, top = view(analysis)
    share = min(panel_height(rates) * ax.figure.dpi / 72 / ax.get_window_extent().height, 0.6)
    ax.set_ylim(bottom - (top - bottom) * share / (1 - share), top)
    ax.set_yticks([tick for tick in ax.get_yticks() if bottom <= tick <= top])
    _name_regions(ax, analysis)
    taken = [
        *draw_rates(ax, rates, share, at_most=analysis.holds_averages),
        *_note_off_top(ax, analysis, top),
        *_draw_chance_level(ax, analysis),
    ]
    _label_landmarks(ax, analysis, marked, np.array(taken).reshape(-1, 4))
    return ax


def _draw_lines(ax: Axes, analysis: PureAnalysis, raw_kw: Mapping[str, Any], line_kw: Mapping[str, Any]) -> None:
    curve, smoothed = analysis.curve, analysis.smoothed
    finite = np.isfinite(curve.loss)
    raw = {"color": BATCH_LOSS, "lw": 0.9, "alpha": 0.8, "label": _loss_of_points(analysis)}
    ax.plot(curve.lr[finite], curve.loss[finite], **{**raw, **raw_kw})
    line = {"color": SMOOTHED, "lw": 2.2, "label": "smoothed loss"}
    ax.plot(10.0**smoothed.log10_lr, smoothed.loss, **{**line, **line_kw})


def _loss_of_points(analysis: PureAnalysis) -> str:
    if analysis.curve.context.from_picture:
        return "loss in the picture"
    if analysis.holds_averages:
        return "averaged loss"
    unit = analysis.curve.context.unit
    return {"batch": "batch loss", EPOCH: "mean loss of an epoch"}.get(unit, f"mean loss of {unit}")


def _label_axes(ax: Axes, analysis: PureAnalysis) -> None:
    """Writes the title, the caption and the axis labels, and formats learning rates as in all other texts."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.set_xlim(*view_of_rates(analysis))
    rate = FuncFormatter(lambda lr, _: format_lr(lr))
    ax.xaxis.set_major_formatter(rate)
    narrow = float(analysis.curve.lr[-1] / analysis.curve.lr[0]) < 30
    ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5), numticks=99))
    ax.xaxis.set_minor_formatter(rate if narrow else NullFormatter())
    ax.tick_params(which="both", labelsize=SMALLEST)
    width = 0.97 * ax.get_window_extent().width
    x_label = f"learning rate, increased after every {analysis.curve.context.unit} (log scale)"
    ax.set_xlabel(wrapped(ax, x_label, width=width, style={"fontsize": SMALL}), fontsize=SMALL)
    words, height = f"{_loss_of_points(analysis)} (lower is better)", 0.75 * ax.get_window_extent().height
    y_label = wrapped(ax, words, width=height, style={"fontsize": SMALL})
    ax.set_ylabel(y_label, fontsize=SMALL)
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
    title_style: dict[str, Any] = {"fontsize": 13, "fontweight": "bold"}
    ax.set_title(
        wrapped(ax, title(analysis), width=width, style=title_style),
        loc="left",
        pad=above + lines * SMALL * 1.45 + 3,
        **title_style,
    )


def _draw_landmarks(ax: Axes, analysis: PureAnalysis) -> dict[str, Label]:
    """Draws the landmarks with their margins of error, and returns their labels."""
    marked: dict[str, Label] = {}
    ink = _text_color()
    for name, mark in _visible_landmarks(analysis).items():
        legend = "landmark, with margin of error" if not marked else None
        margin = [[mark.lr - (mark.low or mark.lr)], [(mark.high or mark.lr) - mark.lr]]
        ax.errorbar(
            [mark.lr], [mark.loss], xerr=margin, fmt="o", color=ink, ms=6, lw=1.6, capsize=3, zorder=5, label=legend
        )
        words, prefers = LABELS[name]
        marked[name] = Label(text=f"{words}: {format_lr(mark.lr)}", x=mark.lr, y=mark.loss, prefers=prefers * math.pi)
    return marked


def _visible_landmarks(analysis: PureAnalysis) -> dict[str, Landmark]:
    """Returns the landmarks to draw, in order of importance."""
    found = {name: getattr(analysis.landmarks, name) for name in LABELS}
    if not analysis.landmarks.valleys:
        found.pop("minimum")
    return {name: mark for name, mark in found.items() if mark is not None}


def _draw_regions(ax: Axes, analysis: PureAnalysis) -> None:
    found = regions(analysis)
    for region in found:
        color, opacity, hatch = FILLS[region.kind]
        ax.axvspan(region.low, region.high, facecolor=color, alpha=opacity, lw=0, zorder=0)
        if hatch:  # a separate span: file formats render a translucent hatched span differently
            ax.axvspan(
                region.low, region.high, facecolor="none", edgecolor=color, alpha=HATCHING, hatch=hatch, lw=0, zorder=0
            )
    for region in found[1:]:
        ax.axvline(region.low, color=_text_color(), lw=0.8, ls=(0, (2, 3)), zorder=1)


def _name_regions(ax: Axes, analysis: PureAnalysis) -> None:
    """Writes the names of the regions above the axes, each as close to the center of its region as space allows."""
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
    """Draws the legend below the label of the x axis, in two columns if they fit."""
    from matplotlib.transforms import ScaledTranslation

    lines = 1 + ax.get_xlabel().count("\n")
    below = ax.transAxes + ScaledTranslation(0, -(2.4 + 1.2 * lines) * SMALL / 72, ax.figure.dpi_scale_trans)
    position: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    for num_columns in (2, 1):
        legend = ax.legend(
            ncols=num_columns, fontsize=SMALLEST, frameon=False, borderaxespad=0, borderpad=0.2, **position
        )
        if legend.get_window_extent().width <= ax.get_window_extent().width:
            break


def _run_layout(ax: Axes) -> None:
    """Runs the layout of the figure, so that the axes have their final size and texts can be measured."""
    figure = ax.figure.canvas.figure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def _note_off_top(ax: Axes, analysis: PureAnalysis, top: float) -> Iterable[Array]:
    cut = count_off_top(analysis, top)
    if not cut:
        return ()
    plural = ("points", "batches") if cut > 1 else ("point", "batch")
    unit = plural[0 if analysis.curve.context.from_picture else 1]
    text = ax.annotate(
        f"\N{UPWARDS ARROW} {cut} {unit} off the top",
        (1, 1),
        xycoords="axes fraction",
        xytext=(-3, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=SMALLEST,
        zorder=6,
        bbox=_text_background(ax),
    )
    return (np.asarray(text.get_window_extent().extents),)


def _draw_chance_level(ax: Axes, analysis: PureAnalysis) -> Iterable[Array]:
    """Draws the chance level as a labeled line, or notes that it lies outside the view."""
    level = chance_level(analysis)
    if level is None:
        return ()
    bottom, top = view(analysis)
    inside = bottom < level < top
    words = f"{chance_name(analysis)}: {level:.3g}"
    if inside:
        ax.axhline(level, color=_text_color(), lw=1.2, ls=(0, (1, 2)), zorder=2)
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
        bbox=_text_background(ax),
    )
    return (np.asarray(text.get_window_extent().extents),)


def _label_landmarks(ax: Axes, analysis: PureAnalysis, marked: Mapping[str, Label], taken: Array) -> None:
    """Writes the names of the landmarks where they cover the least of the plot."""
    curve = ax.transData.transform(np.column_stack([10.0**analysis.smoothed.log10_lr, analysis.smoothed.loss]))
    box = ax.get_window_extent()
    ends = [curve, *(_ends(ax, mark) for mark in _visible_landmarks(analysis).values())]
    for region in regions(analysis)[1:]:
        x = ax.transData.transform((region.low, 1))[0]
        ends.append(np.array([[x, box.y0], [x, box.y1]]))
    level = chance_level(analysis)
    if level is not None:
        y = ax.transData.transform((1, level))[1]
        ends.append(np.array([[box.x0, y], [box.x1, y]]))
    lines = np.vstack([_sample_line(part) for part in ends])
    place(ax, list(marked.values()), lines=lines, taken=taken, style={"fontsize": SMALLEST, "color": _text_color()})


def _ends(ax: Axes, mark: Landmark) -> Array:
    """Returns the ends of the margin of error of a landmark, in display units."""
    ends = ax.transData.transform([(mark.low or mark.lr, mark.loss), (mark.high or mark.lr, mark.loss)])
    return np.asarray(ends, dtype=float)


def _sample_line(line: Array) -> Array:
    """Returns points along a line from end to end, with gaps narrower than a letter."""
    steps = np.linspace(0, len(line) - 1, 40 if len(line) == 2 else 600)
    return np.column_stack([np.interp(steps, np.arange(len(line)), column) for column in line.T]) if len(line) else line


def _text_color() -> str:
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def _text_background(ax: Axes) -> dict[str, Any]:
    """Returns the box behind a text that may lie on top of lines."""
    return {"facecolor": ax.get_facecolor(), "alpha": 0.8, "lw": 0, "pad": 1}
