"""Draws the pictures of "How to read a learning-rate curve" from recorded scans: `python docs/draw_guide.py`.

They are kept in `images/guide`, so that the page can be read where the repository is browsed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from exhibits import EXHIBITS
from keras_lrscan import Analysis, analyze
from keras_lrscan.formatting import format_lr
from keras_lrscan.reading.features import chance_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

PICTURES = HERE / "images" / "guide"
# Okabe and Ito's colors, told apart with every common kind of color blindness.
GRAY, BLUE, GREEN, RED, BLACK = "0.62", "#0072B2", "#009E73", "#D55E00", "#000000"
WIDE, BOX = (8, 4.8), (8, 4.2)
SIZE = 13


def reading(name: str) -> Analysis:
    """Returns the analysis of a scan of the gallery."""
    return analyze(next(item for item in EXHIBITS if item.name == name).curve())


def draw(ax: Axes, analysis: Analysis, *, color: str = BLUE, dots: bool = True) -> None:
    """Draws a smoothed curve and its batch losses."""
    if dots:
        ax.plot(analysis.curve.lr, analysis.curve.loss, ".", color=GRAY, ms=6)
    ax.plot(10**analysis.smoothed.log10_lr, analysis.smoothed.loss, color=color, lw=2.8)


def dress(ax: Axes, analysis: Analysis, *, top: float, bottom: float = 0.0) -> None:
    """Sets the axes, with text that is readable on a phone, and draws the chance level."""
    ax.set(xscale="log", ylim=(bottom, top))
    ax.set_xlabel("learning rate (each mark: ten times the one before)", fontsize=SIZE)
    ax.set_ylabel("loss of one batch", fontsize=SIZE)
    ax.tick_params(labelsize=SIZE - 1)
    ax.spines[["top", "right"]].set_visible(False)
    ax.axhline(chance_loss(analysis.curve.context) or 0.0, color=BLACK, lw=1.2, ls=":", zorder=1)


def note(ax: Axes, text: str, at: tuple[float, float], place: tuple[float, float], *, color: str = BLACK) -> None:
    """Writes a few words with an arrow to their target."""
    arrow = {"arrowstyle": "->", "color": color, "lw": 1.6}
    words = {"color": color, "fontsize": SIZE, "ha": "center", "va": "center", "linespacing": 1.25}
    ax.annotate(text, at, xytext=place, arrowprops=arrow, **words)


def anatomy(figure: Figure) -> None:
    """Draws the parts of the picture."""
    ax, analysis = figure.subplots(), reading("fresh-classifier")
    marks, curve = analysis.landmarks, analysis.curve
    draw(ax, analysis)
    dress(ax, analysis, top=4.4)
    edges = (curve.lr[0], marks.descent_start.lr, marks.elbow.lr, 1.0)
    parts = (("1  too small to matter", "0.5"), ("2  learning", GREEN), ("3  breaking", RED))
    for (words, color), left, right in zip(parts, edges[:-1], edges[1:], strict=True):
        ax.axvspan(left, right, color=color, alpha=0.12, lw=0)
        ax.text((left * right) ** 0.5, 4.5, words, color=color, fontsize=SIZE, ha="center", weight="bold")
    ax.set_xlim(curve.lr[0], 1.0)
    note(ax, "a dot: the loss\nof one batch", (curve.lr[12], curve.loss[12]), (2e-6, 3.2))
    middle = len(analysis.smoothed.loss) // 3
    place = (10 ** analysis.smoothed.log10_lr[middle], analysis.smoothed.loss[middle])
    note(ax, "the curve\nthrough the dots", place, (6e-5, 1.35), color=BLUE)
    note(ax, "chance level\nof ten classes", (3e-7, 2.303), (1e-6, 1.35))


def pick(figure: Figure) -> None:
    """Draws the rates to take."""
    ax, analysis = figure.subplots(), reading("fresh-classifier")
    marks, suggestion = analysis.landmarks, analysis.suggestion
    draw(ax, analysis, dots=False)
    dress(ax, analysis, top=3.6, bottom=0.4)
    ax.set_xlim(1e-5, 1.0)
    ax.axvspan(suggestion.low, suggestion.high, color=GREEN, alpha=0.16, lw=0)
    note(
        ax,
        f"take a rate from here:\nabout {format_lr(suggestion.lr)}",
        (suggestion.lr, 1.9),
        (1.2e-4, 1.4),
        color=GREEN,
    )
    note(
        ax,
        "not the lowest point:\nhere, damage balances\nlearning",
        (marks.minimum.lr, marks.minimum.loss),
        (0.006, 0.68),
    )
    note(ax, "it breaks\nfrom here on", (marks.elbow.lr, marks.elbow.loss), (0.5, 0.9), color=RED)
    note(ax, "steepest fall", (marks.steepest.lr, marks.steepest.loss), (0.018, 2.8), color=BLUE)


def same_picture(figure: Figure) -> None:
    """Draws two scans with the same shape and opposite meanings."""
    pair = (("trained", "already good", BLUE, 0.55), ("labels-shuffled", "learns nothing", RED, 3.3))
    ax = figure.subplots()
    for name, words, color, height in pair:
        analysis = reading(name)
        draw(ax, analysis, color=color)
        ax.text(2e-7, height, words, color=color, fontsize=SIZE, weight="bold")
    dress(ax, reading("trained"), top=4.0, bottom=-0.2)
    ax.text(1.3e-7, 1.95, "chance level of ten classes", fontsize=SIZE)


def sinking(figure: Figure) -> None:
    """Draws one model before and after training."""
    ax = figure.subplots()
    rows = (
        ("fresh-classifier", "fresh", BLUE, 2.5),
        ("half-trained", "after 1 epoch", GREEN, 1.72),
        ("trained", "after 10 epochs", RED, 0.3),
    )
    for name, words, color, height in rows:
        draw(ax, reading(name), color=color, dots=False)
        ax.text(1.3e-7, height, words, color=color, fontsize=SIZE, weight="bold")
    dress(ax, reading("fresh-classifier"), top=3.6, bottom=-0.1)


def optimizers(figure: Figure) -> None:
    """Draws one network under two optimizers."""
    ax = figure.subplots()
    for name, words, color, place in (
        ("fresh-classifier", "Adam", BLUE, (0.0035, 1.5)),
        ("plain-descent", "plain gradient descent", RED, (0.9, 1.62)),
    ):
        draw(ax, reading(name), color=color, dots=False)
        ax.text(
            *place, words, color=color, fontsize=SIZE, weight="bold", ha="right" if name.startswith("f") else "left"
        )
    dress(ax, reading("fresh-classifier"), top=3.6, bottom=0.8)
    ax.set_xlim(1e-5, 500)


def noise(figure: Figure) -> None:
    """Draws batches of 2 and of 32."""
    for ax, name, words in zip(
        figure.subplots(1, 2, sharey=True),
        ("tiny-batches", "fresh-classifier"),
        ("batches of 2", "batches of 32"),
        strict=True,
    ):
        analysis = reading(name)
        draw(ax, analysis)
        dress(ax, analysis, top=4.5)
        ax.set_title(words, fontsize=SIZE + 1)
        ax.set_xlabel("learning rate", fontsize=SIZE)
        ax.set_ylabel("loss of one batch" if name == "tiny-batches" else "", fontsize=SIZE)


ALL: Mapping[str, tuple[Callable[[Figure], None], tuple[float, float]]] = MappingProxyType(
    {
        "anatomy": (anatomy, WIDE),
        "pick": (pick, WIDE),
        "same_picture": (same_picture, BOX),
        "sinking": (sinking, BOX),
        "optimizers": (optimizers, BOX),
        "noise": (noise, BOX),
    }
)
"""Name of the file → the function that draws it, and its size in inches."""

if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or ALL:
        function, size = ALL[chosen]
        figure = Figure(figsize=size, layout="constrained")
        function(figure)
        figure.savefig(PICTURES / f"{chosen}.png", dpi=100)
