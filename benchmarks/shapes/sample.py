"""Draws a sample of recorded scans to be labeled by eye.

`python benchmarks/shapes/sample.py scans.csv --seed 2` writes the columns `scan` and `weight`. So that rare shapes are
among them, scans are drawn by the shape that the package reads, at most one of a task for each shape. The weight of a
scan is the number of recorded scans that it stands for, so weighted shares are those of all scans. Tasks with a label
are left out.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from scans import labeled, recorded

from keras_lrscan import analyze
from keras_lrscan.reading.shapes import Shape

if TYPE_CHECKING:
    from keras_lrscan import LRCurve

NUM_EACH = 12
"""Number of scans drawn of each shape; of the two most frequent ones, twice as many."""
LEFT_OUT = Shape.TOO_SHORT
"""Decided by counting points, not by eye."""


def shape_of(curve: LRCurve) -> Shape:
    """Returns the shape that the package reads."""
    return analyze(curve).verdict.shape


def task_of(scan: str) -> str:
    """Returns the name of the task of a scan.

    >>> task_of("causes:already-good/segment-sgd:2")
    'causes:already-good/segment-sgd'
    """
    return scan.rsplit(":", 1)[0]


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="CSV file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    curves, done = recorded(), {task_of(one.scan) for one in labeled()}
    with ProcessPoolExecutor(options.jobs) as pool:
        shapes = dict(zip(curves, pool.map(shape_of, curves.values(), chunksize=16), strict=True))
    frequent = {shape for shape, _ in Counter(shapes.values()).most_common(2)}
    generator, drawn = random.Random(options.seed), defaultdict[Shape, list[str]](list)  # noqa: S311 - an order, not a secret
    scans = [scan for scan in shapes if task_of(scan) not in done]
    generator.shuffle(scans)
    for scan in scans:
        shape = shapes[scan]
        tasks = {task_of(one) for one in drawn[shape]}
        if shape != LEFT_OUT and len(tasks) < NUM_EACH * (1 + (shape in frequent)) and task_of(scan) not in tasks:
            drawn[shape].append(scan)
    numbers = Counter(shapes[scan] for scan in scans)
    rows = [(scan, numbers[shape] / len(some)) for shape, some in drawn.items() for scan in some]
    generator.shuffle(rows)
    with options.file.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scan", "weight"])
        writer.writerows((scan, f"{weight:.4g}") for scan, weight in rows)


if __name__ == "__main__":
    main()
