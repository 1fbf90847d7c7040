"""Draws every condition's curves on contact sheets, to see by eye that each shows its cause.

`python benchmarks/causes/sheet.py --to FOLDER` writes one picture a cause.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import numpy as np
from conditions import SEEDS, all_conditions, set_aside
from matplotlib.figure import Figure
from run import SCANS, SHARDS, shard

from keras_lrscan import LRCurve

COLUMNS = 4


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, default=SHARDS)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[""])
    options = parser.parse_args()
    import json

    conditions = [one for one in all_conditions() if any(part in one.name for part in options.only)]
    rows = -(-len(conditions) // COLUMNS)
    per = 6
    options.to.mkdir(parents=True, exist_ok=True)
    for page, start in enumerate(range(0, len(conditions), COLUMNS * per)):
        figure = Figure(figsize=(20, 21), layout="constrained")
        axes = figure.subplots(per, COLUMNS).ravel()
        for ax, one in zip(axes, conditions[start : start + COLUMNS * per], strict=False):
            ax.set_title(one.name + ("" if one.name not in set_aside() else " *"), fontsize=9)
            for seed in SEEDS:
                file = shard(options.shards, one, seed)
                if not file.exists():
                    continue
                curve = LRCurve.from_dict(json.loads(file.read_text())["curve"])
                finite = np.isfinite(curve.loss)
                ax.semilogx(curve.lr[finite], curve.loss[finite], ".-", ms=3, lw=0.7)
                chance = curve.context.chance_loss
                loss = curve.loss[finite]
                if len(loss):
                    s = np.median(loss[:5]); low = loss.min()
                    top = max(s * 1.6, s + (s - low) * 1.0, chance * 1.15 if chance else 0)
                    ax.set_ylim(min(low, 0) - 0.03 * abs(top), top)
                if chance is not None:
                    ax.axhline(chance, color="gray", lw=0.6, ls="--")
                ax.text(0.02, 0.02 + 0.06 * seed, f"{curve.stop} n={len(curve)}", transform=ax.transAxes, fontsize=7)
        figure.savefig(options.to / f"page{page}.png", dpi=60)


if __name__ == "__main__":
    main()
