"""Checks the confidence of verdicts against how often another scan of the same task gets the same shape.

Run with: python benchmarks/suggestions/confidence.py [results.npz]
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from score import RESULTS, as_scanned, context_of

from keras_lrscan import analyze

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

EDGES = (0.0, 0.4, 0.6, 0.8, 0.95, 1.01)


def read(item: tuple[Mapping[str, Any], Array, Array]) -> tuple[str, float]:
    """Returns the shape and its confidence for one scan."""
    task, lr, loss = item
    with np.errstate(all="ignore"):
        verdict = analyze(as_scanned(lr, loss, context_of(task, lr))).verdict
    return str(verdict.shape), verdict.confidence


def main() -> None:
    """Prints how often other scans of the same task get the same shape, by confidence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    with np.load(options.results) as file:
        tasks, lr, losses = json.loads(str(file["tasks"])), np.asarray(file["scan_lr"], float), file["scan_loss"]
    work = [(task, lr, np.asarray(loss, float)) for task, scans in zip(tasks, losses, strict=True) for loss in scans]
    with ProcessPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(read, work, chunksize=16))
    num_scans = losses.shape[1]
    pairs = [
        (confidence, shape == other)
        for first in range(0, len(verdicts), num_scans)
        for (shape, confidence), (other, _) in permutations(verdicts[first : first + num_scans], 2)
    ]
    print(f"{'confidence':<16}{'pairs of scans':>16}{'same shape':>12}")
    for low, high in pairwise(EDGES):
        agree = [same for confidence, same in pairs if low <= confidence < high]
        if agree:
            print(f"{low:.2f} to {min(high, 1):.2f}    {len(agree):>16}{np.mean(agree):>12.0%}")


if __name__ == "__main__":
    main()
