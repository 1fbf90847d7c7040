"""Draws the plot of an analysis as an SVG element that takes its colors from the page around it.

Colors become CSS variables, so that the page can be dark. Identifiers get a prefix, so that one page can contain
several plots. An `aria-label` describes the plot for screen readers.
"""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any

from keras_lrscan.plots.alt_text import describe_plot
from keras_lrscan.plots.curve_plot import FIGURE_SIZE, plot_curve
from keras_lrscan.plots.palette import SVG_VARIABLES

if TYPE_CHECKING:
    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["NARROW", "WIDE", "svg"]

WIDE, NARROW = FIGURE_SIZE, (3.75, 5.4)
"""Sizes for a screen and for a phone (inches)."""

MAX_POINTS = 5000
"""Maximum number of batches to draw as vectors; the line of a longer recording is drawn as pixels to save space."""

NAMES = re.compile(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)')
"""Matches the positions where an identifier of the plot begins."""

METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)

SIZE = re.compile(r'(<svg\b[^>]*?) width="[^"]*"', re.DOTALL)
HEIGHT = re.compile(r'(<svg\b[^>]*?) height="[^"]*"', re.DOTALL)


def svg(analysis: PureAnalysis, *, size: tuple[float, float] = WIDE, prefix: str = "lrscan") -> str:
    """Draws an analysis as an `svg` element.

    Args:
        analysis: The analysis to plot.
        size: Width and height for the layout of the texts (inches); the element itself is as wide as its parent.
        prefix: Prefix of all identifiers; plots on the same page need different ones.

    Returns:
        The element. Its colors are the variables of `keras_lrscan.plots.palette.SVG_VARIABLES`.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> svg(analyze(synthetic_curve("flat")))[:24]
    '<svg role="img" aria-lab'
    """
    from matplotlib import rc_context, style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context("default"), rc_context({"svg.hashsalt": prefix, "svg.fonttype": "path"}):
        figure = Figure(figsize=size, layout="constrained")
        raster = {"rasterized": True} if len(analysis.curve) > MAX_POINTS else {}
        plot_curve(analysis, ax=figure.subplots(), raw_kw=raster)
        buffer = io.StringIO()
        canvas: Any = FigureCanvasSVG(figure)  # whose methods have no types
        canvas.print_svg(buffer, metadata={"Date": None})  # `savefig` draws twice
    text = METADATA.sub("", buffer.getvalue())
    element = text[text.index("<svg") :].strip()
    element = HEIGHT.sub(r"\1", SIZE.sub(r"\1", element, count=1), count=1)
    element = NAMES.sub(f"{prefix}-", element)
    for color, variable in SVG_VARIABLES.items():
        element = element.replace(color, f"var({variable})")
    words = html.escape(describe_plot(analysis), quote=True)
    return element.replace("<svg", f'<svg role="img" aria-label="{words}"', 1)
