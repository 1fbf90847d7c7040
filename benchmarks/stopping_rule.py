"""Compares the rule that ends a scan with the usual one, on recorded curves.

The usual rule stops when the smoothed loss (exponential average of weight 0.98, bias corrected) exceeds four times its
lowest value. Run with: python benchmarks/stopping_rule.py FOLDER_OF_CSV_FILES [...]
Each file has a header line with `lr` and one of `loss` and `raw_batch_loss`.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

from keras_lrscan.stopping import DivergenceWatch

WEIGHT = 0.98
FACTOR = 4.0


def read(path: Path) -> tuple[list[float], list[float]]:
    """Returns rates and losses."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = "loss" if "loss" in rows[0] else "raw_batch_loss"
    return [float(row["lr"]) for row in rows], [float(row[column]) for row in rows]


def by_ratio(losses: list[float]) -> int | None:
    """Returns the step at which the usual rule stops."""
    average, lowest = 0.0, math.inf
    for step, loss in enumerate(losses):
        average = WEIGHT * average + (1 - WEIGHT) * loss
        smoothed = average / (1 - WEIGHT ** (step + 1))
        lowest = min(lowest, smoothed)
        if not math.isfinite(loss) or smoothed > FACTOR * lowest:
            return step
    return None


def by_noise(losses: list[float]) -> int | None:
    """Returns the step at which this package's rule stops."""
    watch = DivergenceWatch(len(losses))
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            return step
        watch.add(loss)
        if watch.diverged:
            return step
    return None


def shown(step: int | None, rates: list[float], losses: list[float]) -> str:
    """Returns a step with its rate and its loss as text."""
    return "runs to the end" if step is None else f"step {step}, rate {rates[step]:.1e}, loss {losses[step]:.3g}"


def main() -> None:
    """Prints one line a curve."""
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).rglob("*.csv")):
            rates, losses = read(path)
            ours, usual = (shown(rule(losses), rates, losses) for rule in (by_noise, by_ratio))
            print(f"{path.stem:42.42s} {len(losses):5d} steps   this rule: {ours:38s} 4x rule: {usual}")


if __name__ == "__main__":
    main()
