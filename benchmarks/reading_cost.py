"""Measures time and memory for analyzing a curve of a hundred to a million points.

Run it on an idle machine: `python benchmarks/reading_cost.py`. Each row runs in its own process, so that its peak
memory is its own. The cost should be linear in the number of points. The script first prints the CPU seconds of
`import keras_lrscan` in a fresh process, and the part of numpy and scipy in it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from statistics import median

from keras_lrscan import analyze
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.reading.smoothing import smooth

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
REPEATS = 3
IMPORTS = ("keras_lrscan", "numpy, scipy.linalg, scipy.ndimage")
IMPORT_REPEATS = 7


def timed(function: object, *arguments: object, **options: object) -> float:
    """Returns the median duration of a few calls in seconds."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(*arguments, **options)  # type: ignore[operator]
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def import_seconds(names: str) -> float:
    """Returns the CPU seconds of importing `names` in a fresh process."""
    code = f"import time; start = time.process_time(); import {names}; print(time.process_time() - start)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def measure(num_steps: int) -> None:
    """Measures one curve length and prints its row."""
    curve = synthetic_curve("u-shaped", num_steps=num_steps)
    smoothing = timed(smooth, curve)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = timed(analyze, curve)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{num_steps:>9}"
        + "".join(f"{seconds:>10.3f}" for seconds in [smoothing, whole])
        + f"{before:>10.0f}{peak:>10.0f}"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        turns = [[import_seconds(names) for names in IMPORTS] for _ in range(IMPORT_REPEATS)]
        for names, seconds in zip(IMPORTS, zip(*turns, strict=True), strict=True):
            print(f"import {names}: {median(seconds):.2f} s of CPU")
        names = ["smooth", "analyze", "MB before", "MB peak"]
        print(f"{'points':>9}" + "".join(f"{name:>10}" for name in names), flush=True)
        for size in SIZES:
            subprocess.run([sys.executable, __file__, str(size)], check=True)
