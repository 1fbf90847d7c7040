"""Draws the recorded scans of every condition, to check by eye that each shows its cause.

`python benchmarks/causes/sheet.py FOLDER` writes contact sheets to a folder. The gray line is the chance level.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from conditions import CONDITIONS, SET_ASIDE_NAMES, Condition
from matplotlib.figure import Figure
from run import SHARDS, shard

from keras_lrscan import LRCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS, COLUMNS = 6, 4


def draw(ax: Axes, condition: Condition, file: Path) -> None:
    """Draws the scans of a condition, with vertical limits set by their first and lowest losses."""
    ax.set_title(condition.name + (" (set aside)" if condition.name in SET_ASIDE_NAMES else ""), fontsize=9)
    curves = [LRCurve.from_dict(scan) for scan in json.loads(file.read_text(encoding="utf-8"))["scans"]]
    tops, lows = [], []
    for number, curve in enumerate(curves):
        finite = np.isfinite(curve.loss)
        loss, chance = curve.loss[finite], curve.context.chance_loss
        ax.semilogx(curve.lr[finite], loss, ".-", ms=2, lw=0.7)
        ax.text(0.02, 0.02 + 0.06 * number, f"{curve.stop}, {len(curve)}", transform=ax.transAxes, fontsize=7)
        if chance is not None:
            ax.axhline(chance, color="gray", lw=0.6, ls="--")
        if loss.size:
            start, low = float(np.median(loss[:5])), float(loss.min())
            tops.append(max(1.6 * start, 2 * start - low, 1.15 * (chance or 0.0)))
            lows.append(min(low, 0.0))
    if tops:
        ax.set_ylim(min(lows) - 0.03 * max(tops), max(tops) or 1.0)


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder for the pages")
    parser.add_argument("--shards", type=Path, default=SHARDS, help="folder of the shards that run.py recorded")
    parser.add_argument("--only", nargs="+", default=[""], help="only conditions whose name contains one of these")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = [one for one in CONDITIONS if any(part in one.name for part in options.only)]
    drawn = [(one, shard(options.shards, one)) for one in kept if shard(options.shards, one).exists()]
    for page, start in enumerate(range(0, len(drawn), ROWS * COLUMNS)):
        figure = Figure(figsize=(20, 21), layout="constrained")
        axes = figure.subplots(ROWS, COLUMNS).ravel()
        for ax in axes[len(drawn) - start :]:
            ax.set_axis_off()
        for ax, (one, file) in zip(axes, drawn[start : start + ROWS * COLUMNS], strict=False):
            draw(ax, one, file)
        figure.savefig(options.folder / f"page{page}.png", dpi=60)


if __name__ == "__main__":
    main()
