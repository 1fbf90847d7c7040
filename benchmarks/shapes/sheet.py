"""Draws scans on contact sheets, to be labeled by eye.

`python benchmarks/shapes/sheet.py scans.csv FOLDER` draws the scans of `sample.py`, numbered by their rows: losses and
the chance level, without a line, a name or a verdict. Below an axis that does not reach it, the chance level is told as
a number.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from scans import recorded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from keras_lrscan import LRCurve

ROWS, COLUMNS = 5, 4
NEAR = 3.0
"""Multiple of the loss at the start up to which the axis reaches the chance level."""


def draw(ax: Axes, number: int, curve: LRCurve) -> None:
    """Draws the losses of a scan, on an axis that shows its start and its lowest losses."""
    finite = np.isfinite(curve.loss)
    lr, loss, chance = curve.lr[finite], curve.loss[finite], curve.context.chance_loss
    ax.semilogx(lr, loss, ".-", markersize=5, linewidth=0.6)
    start, low = float(np.median(loss[: max(5, loss.size // 10)])), float(loss.min())
    high = max(float(np.quantile(loss[: max(10, int(0.8 * loss.size))], 0.97)), start + 0.8 * (start - low))
    told = ""
    if chance is not None:
        if chance < NEAR * abs(start):
            ax.axhline(chance, color="red", linewidth=0.9, linestyle="--")
            high = max(high, chance)
        else:
            told = f" chance={chance:.3g}"
    span = max(high - low, 1e-9)
    ax.set_ylim(low - 0.06 * span, high + 0.25 * span)
    ax.set_title(f"{number}   n={len(curve)} stop={curve.stop}{told}", fontsize=13)


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="CSV file of sample.py")
    parser.add_argument("folder", type=Path, help="folder for the sheets")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    curves = recorded()
    with options.file.open(encoding="utf-8", newline="") as file:
        scans = [row["scan"] for row in csv.DictReader(file)]
    for page, first in enumerate(range(0, len(scans), ROWS * COLUMNS)):
        figure = Figure(figsize=(20, 20), layout="constrained")
        axes = figure.subplots(ROWS, COLUMNS).ravel()
        some = scans[first : first + ROWS * COLUMNS]
        for ax in axes[len(some) :]:
            ax.set_axis_off()
        for number, (ax, scan) in enumerate(zip(axes, some, strict=False), start=first + 1):
            draw(ax, number, curves[scan])
        figure.savefig(options.folder / f"sheet{page}.png", dpi=55)


if __name__ == "__main__":
    main()
