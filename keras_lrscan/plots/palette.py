"""Defines every color of the plots and reports, for light and dark pages.

The plots use the palette of Okabe and Ito, which stays distinct with every common kind of color blindness. Modules
import the roles, such as `SMOOTHED`, and never a hexadecimal value of their own.

References:
    Okabe and Ito (2008), "Color Universal Design: How to make figures and presentations that are friendly to colorblind
    people".
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BATCH_LOSS",
    "CONTRAST_COLORS",
    "DARK_PAGE",
    "HARMFUL",
    "INK",
    "LIGHT_PAGE",
    "LOSING_COLORS",
    "NEUTRAL",
    "PAPER",
    "REFERENCE",
    "SERIES",
    "SMOOTHED",
    "SUGGESTED",
    "SVG_VARIABLES",
    "WINNER",
    "PageColor",
]

BLACK, WHITE, GRAY = "#000000", "#FFFFFF", "#808080"
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY_BLUE = "#CC79A7", "#E69F00", "#56B4E9"

INK, PAPER = BLACK, WHITE
"""Text and thin lines, and the background."""

NEUTRAL = GRAY
"""Learning rates at which nothing visible happens."""

BATCH_LOSS = GRAY
"""The recorded loss of each batch."""

SMOOTHED = BLUE
"""The smoothed curve."""

SUGGESTED = GREEN
"""The suggested learning rate and its range."""

HARMFUL = VERMILION
"""Learning rates at which the loss rises."""

SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE, BLACK)
"""Colors of several curves on one plot, in the order in which the curves take them."""

REFERENCE = GRAY
"""The curve that the others are compared with."""

CONTRAST_COLORS = (BLUE, VERMILION)
"""The model as given, and the same architecture from scratch."""

WINNER = GREEN
"""The candidate that won a race."""

LOSING_COLORS = (BLUE, VERMILION, PURPLE, SKY_BLUE, ORANGE, GRAY)
"""The other candidates of a race; green is left to the winner."""


@dataclass(frozen=True, kw_only=True)
class PageColor:
    """A CSS variable of the report.

    Attributes:
        variable: Name of the variable.
        light: Value on a light page.
        dark: Value on a dark page.
        in_plot: Color in the plot that the variable replaces; `None` if the plot does not use it.
    """

    variable: str
    light: str
    dark: str
    in_plot: str | None = None


PAGE_COLORS = (
    PageColor(variable="--lrscan-ink", light="#1b1f24", dark="#e8edf2", in_plot=INK),
    PageColor(variable="--lrscan-paper", light=PAPER, dark="#14181d", in_plot=PAPER),
    PageColor(variable="--lrscan-raw", light=BATCH_LOSS, dark="#98a1ab", in_plot=BATCH_LOSS),
    PageColor(variable="--lrscan-smooth", light=SMOOTHED, dark="#5ab6f0", in_plot=SMOOTHED),
    PageColor(variable="--lrscan-good", light=SUGGESTED, dark="#2fd0a0", in_plot=SUGGESTED),
    PageColor(variable="--lrscan-bad", light=HARMFUL, dark="#ff9a50", in_plot=HARMFUL),
    PageColor(variable="--muted", light="#4d5560", dark="#a9b3bd"),
    PageColor(variable="--line", light="#d0d7de", dark="#39424c"),
    PageColor(variable="--soft", light="#f4f6f8", dark="#1d232a"),
    PageColor(variable="--link", light="#005a8e", dark="#7cc4f5"),
    PageColor(variable="--alarm", light="#a63c00", dark="#ffab6b"),
)

LIGHT_PAGE: Mapping[str, str] = MappingProxyType({color.variable: color.light for color in PAGE_COLORS})
"""CSS variable → its value on a light page."""

DARK_PAGE: Mapping[str, str] = MappingProxyType({color.variable: color.dark for color in PAGE_COLORS})
"""CSS variable → its value on a dark page."""

SVG_VARIABLES: Mapping[str, str] = MappingProxyType(
    {color.in_plot.lower(): color.variable for color in PAGE_COLORS if color.in_plot is not None}
)
"""Color as matplotlib writes it into SVG → the CSS variable that replaces it."""
