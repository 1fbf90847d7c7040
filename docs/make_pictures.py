"""Draws the pictures of the README.

Without arguments it draws all of them; `python docs/make_pictures.py ktrain_undone` draws one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from keras_lrscan import LRCurve, LRScan
from keras_lrscan.curves.averaging import undo_averaging
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.curve_plot import FIGURE_SIZE
from keras_lrscan.reading.smoothing import smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

HERE = Path(__file__).parent
DRAWN_BY_KTRAIN = HERE.parent / "tests" / "data" / "ktrain_runs" / "reuters_pretrained_maxep1.csv"
CHANCE_LOSS = 0.693
GRAY, BLUE, GREEN = "0.45", "#1f4e8c", "#2e7d32"


def scan_of_digits(name: str, num_epochs: int) -> None:
    """Draws a real scan of the digits classifier, trained for some epochs first."""
    import keras

    from keras_lrscan.datasets.digits import digits, digits_model

    keras.utils.set_random_seed(0)
    x, y = digits()
    model = digits_model()
    model.fit(x, y, epochs=num_epochs, verbose=0)
    scan = LRScan(verbose=0)
    model.fit(x, y, epochs=3, callbacks=[scan], verbose=0)
    figure = Figure(figsize=FIGURE_SIZE, layout="constrained")
    scan.plot(ax=figure.subplots())
    figure.savefig(HERE / "images" / f"{name}.png", dpi=100)


def ktrain_undone() -> None:
    """Draws ktrain's plot of one scan beside the losses of its batches, recovered from that plot."""
    drawn = LRCurve.from_csv(DRAWN_BY_KTRAIN, loss_column="ktrain_loss")
    batches = undo_averaging(drawn, averaging="ktrain", steps_per_epoch=600)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(drawn.lr, drawn.loss, color=BLUE, lw=1.8)
    _mark_lowest(left, drawn.lr, drawn.loss, "lowest at {lr}, where\ntraining fails")
    _dress(left, "ktrain's plot: flat, then a spike")
    line = smooth(batches)
    right.plot(batches.lr, batches.loss, ".", color=GRAY, ms=3.5, alpha=0.6, label="loss of one batch")
    right.plot(10**line.log10_lr, line.loss, color=BLUE, lw=1.8, label="smoothed loss")
    right.axvspan(4e-5, 1.6e-4, color=GREEN, alpha=0.15, lw=0)
    right.text(3.3e-5, 1.1, "rates that train\nthis model well", color=GREEN, fontsize=9, ha="right", va="center")
    _mark_lowest(right, 10**line.log10_lr, line.loss, "lowest at {lr}")
    _dress(right, "The batch losses, recovered from the left")
    right.legend(loc="upper left", frameon=False, fontsize=9)
    figure.savefig(HERE / "images" / "ktrain_undone.png", dpi=100)


def _dress(axes: Axes, title: str) -> None:
    axes.axhline(CHANCE_LOSS, color=GRAY, lw=1, ls=":", zorder=0)
    axes.text(1.1e-7, CHANCE_LOSS + 0.03, "chance level of two classes", color=GRAY, fontsize=9, va="bottom")
    axes.set(xscale="log", title=title, xlabel="learning rate", ylabel="loss", xlim=(8e-8, 1), ylim=(-0.03, 2.05))
    axes.spines[["top", "right"]].set_visible(False)


def _mark_lowest(axes: Axes, lr: NDArray[np.float64], loss: NDArray[np.float64], words: str) -> None:
    at = int(np.argmin(loss))
    axes.plot(lr[at], loss[at], "o", color=BLUE, ms=6)
    text = words.format(lr=format_lr(float(lr[at])))
    spot = (lr[at], loss[at] - 0.05) if loss[at] > CHANCE_LOSS / 2 else (lr[at] / 4, loss[at])
    axes.text(*spot, text, color=BLUE, fontsize=9, ha="center" if spot[0] == lr[at] else "right", va="top")


PICTURES = MappingProxyType(
    {
        "fresh": lambda: scan_of_digits("fresh", 0),
        "already_good": lambda: scan_of_digits("already_good", 10),
        "ktrain_undone": ktrain_undone,
    }
)
"""Name of the file → the function that draws it."""

if __name__ == "__main__":
    for picture in sys.argv[1:] or PICTURES:
        PICTURES[picture]()
