"""Measures how well smoothed lines follow the losses of a curve, on left-out batches and on known truths.

`python benchmarks/smoothing/score.py` reads the recorded scans of this repository: one scan for each task of
`benchmarks/suggestions`, one for each condition of `benchmarks/causes`, and the scans of the gallery. Each line is
fitted to every second loss and predicts the others. An error is the distance in units of the batch-to-batch noise
around that batch, at most 30. The first table has the mean over curves, for all batches and for each part of the curve.
The second table adds skewed noise, which grows with the loss, to the known losses of synthetic curves.

A line that passes over the curve has large errors in the fall and in the valley. A line that follows the noise has
larger errors than necessary in the flat part.
"""

from __future__ import annotations

import argparse
import gzip
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import make_smoothing_spline
from scipy.ndimage import median_filter

from keras_lrscan import LRCurve, StopReason
from keras_lrscan.curves.noise import difference_noise, neighbor_noise
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES
from keras_lrscan.reading.smoothing import smooth
from keras_lrscan.recording.ramp import ExponentialRamp
from keras_lrscan.recording.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from keras_lrscan._typing import Array

ROOT = Path(__file__).parents[2]
MIN_POINTS = 24
"""Shorter curves have too few batches to leave every second one out."""
MAX_ERROR = 30.0
"""Largest error of one batch: an explosion that a line misses would decide the mean otherwise."""
AROUND_VALLEY = 8
"""Batches to either side of the lowest loss that belong to the valley."""
PARTS = ("all", "flat", "fall", "valley", "after the break")
NOISES = (0.02, 0.1, 0.3)
"""Standard deviation of a batch's noise as a share of its loss."""
SEEDS = 10


def ours(method: str) -> Callable[[Array, Array, Array], Array]:
    """Returns a line of this package."""

    def line(x: Array, y: Array, at: Array) -> Array:
        smoothed = smooth(LRCurve(lr=10.0**x, loss=y), method=method)
        return np.interp(at, smoothed.log10_lr, smoothed.loss)

    return line


def running_median(x: Array, y: Array, at: Array) -> Array:
    """Returns the median of five batches."""
    return np.interp(at, x, median_filter(y, size=5, mode="nearest"))


def gcv_spline(x: Array, y: Array, at: Array) -> Array:
    """Returns SciPy's smoothing spline, with its smoothness chosen by generalized cross-validation."""
    return np.asarray(make_smoothing_spline(x, y)(at))


def cut_gcv_spline(x: Array, y: Array, at: Array) -> Array:
    """Returns the same spline through the losses up to the explosion, and its last value beyond that."""
    start, calm = float(np.median(y[: max(3, y.size // 10)])), median_filter(y, size=3, mode="nearest")
    fall = max(start - float(calm.min()), 5 * difference_noise(y))
    above = np.flatnonzero(calm > start + 3 * fall)
    end = int(above[0]) if above.size and above[0] >= AROUND_VALLEY else y.size
    return np.asarray(make_smoothing_spline(x[:end], y[:end])(np.minimum(at, x[end - 1])))


def moving_average(keep: float) -> Callable[[Array, Array, Array], Array]:
    """Returns the moving average of another tool, without its bias at the start."""

    def line(x: Array, y: Array, at: Array) -> Array:
        weighted = np.array(list(accumulate(((1 - keep) * y).tolist(), lambda mean, new: keep * mean + new)))
        return np.interp(at, x, weighted / (1 - keep ** np.arange(1, y.size + 1)))

    return line


LINES: Mapping[str, Callable[[Array, Array, Array], Array]] = {
    "ours": ours("adaptive"),
    "running median of 5": running_median,
    "SciPy's GCV spline": gcv_spline,
    "SciPy's GCV spline, cut": cut_gcv_spline,
    "fastai, ktrain: average 0.98": moving_average(0.98),
    "torch-lr-finder: average 0.95": moving_average(0.95),
}
"""Name → function of the places, the losses, and the places to predict."""


def recorded_curves() -> Iterator[LRCurve]:
    """Yields the recorded scans of this repository."""
    results = np.load(ROOT / "benchmarks" / "suggestions" / "results.npz")
    lr = np.asarray(results["scan_lr"], float)
    for losses in results["scan_loss"][:, 0]:
        recorder = Recorder(ExponentialRamp(float(lr[0]), float(lr[-1]), lr.size))
        for loss in losses.tolist():
            recorder.add(loss)
        recorder.end(StopReason.OUT_OF_BATCHES)
        yield recorder.curve()
    with gzip.open(ROOT / "benchmarks" / "causes" / "scans.json.gz") as file:
        for condition in json.load(file):
            yield LRCurve.from_dict(condition["scans"][0])
    for path in sorted((ROOT / "docs" / "curves").glob("*.json")):
        yield LRCurve.from_json(path)


def parts_of(y: Array) -> Array:
    """Returns the name of the part that each batch belongs to, by running medians of five."""
    calm = median_filter(y, size=5, mode="nearest")
    lowest = int(np.argmin(calm))
    start, noise = float(np.median(y[: max(3, y.size // 10)])), difference_noise(y[: max(lowest, AROUND_VALLEY)])
    fall = start - float(calm[lowest])
    names = np.full(y.size, "flat", object)
    if fall <= 3 * noise:
        above = np.flatnonzero(calm > start + 4 * noise)
        names[int(above[0]) if above.size else y.size :] = "after the break"
        return names
    before = np.flatnonzero(calm[: lowest + 1] > start - 0.1 * fall)
    names[int(before[-1]) if before.size else 0 : lowest] = "fall"
    above = lowest + np.flatnonzero(calm[lowest:] > calm[lowest] + 0.1 * fall)
    names[int(above[0]) if above.size else y.size :] = "after the break"
    names[max(0, lowest - AROUND_VALLEY) : lowest + AROUND_VALLEY + 1] = "valley"
    return names


def left_out_errors(curve: LRCurve) -> dict[str, dict[str, float]]:
    """Returns the mean error of each line in each part of a curve; empty for a curve that is too short."""
    finite = np.isfinite(curve.loss)
    x, y = np.log10(curve.lr[finite]), curve.loss[finite]
    if x.size < MIN_POINTS:
        return {}
    noise = neighbor_noise(y)
    noise = np.maximum(noise, 0.2 * float(np.median(noise)) + 1e-9 * max(1.0, float(np.abs(y).max())))
    parts = parts_of(y)
    return {name: _by_part(_errors(line, x, y, noise), parts) for name, line in LINES.items()}


def _errors(line: Callable[[Array, Array, Array], Array], x: Array, y: Array, noise: Array) -> Array:
    """Returns the error of each batch, predicted from its neighbors; NaN at the ends of the curve."""
    errors = np.full(x.size, np.nan)
    for first in (0, 1):
        kept = np.arange(first, x.size, 2)
        left_out = np.arange(1 - first, x.size, 2)
        left_out = left_out[(left_out > kept[0]) & (left_out < kept[-1])]
        predicted = line(x[kept], y[kept], x[left_out])
        errors[left_out] = np.minimum(np.abs(predicted - y[left_out]) / noise[left_out], MAX_ERROR)
    return errors


def _by_part(errors: Array, parts: Array) -> dict[str, float]:
    known = np.isfinite(errors)
    chosen = {part: known & ((parts == part) | (part == "all")) for part in PARTS}
    return {part: float(errors[which].mean()) for part, which in chosen.items() if which.sum() >= 3}


def truth_errors(case: tuple[str, float, int]) -> dict[str, dict[str, float]]:
    """Returns the mean distance of each line from a known truth, in units of the noise, for one draw."""
    shape, share, seed = case
    x = np.linspace(-7.0, 1.0, 100)
    truth = SYNTHETIC_LOSSES[shape](x)  # type: ignore[index]
    x, truth = x[truth < truth[0] + 5], truth[truth < truth[0] + 5]
    if x.size < MIN_POINTS:
        return {}
    rng = np.random.default_rng(seed)
    noise = share * np.abs(truth)
    y = truth + noise * (rng.gamma(4.0, 0.5, truth.size) - 2.0)  # a mean of 0, a deviation of 1, and a long upper tail
    parts = parts_of(truth + 1e-12 * rng.standard_normal(truth.size))
    found = {}
    for name, line in LINES.items():
        errors = np.minimum(np.abs(line(x, y, x) - truth) / noise, MAX_ERROR)
        found[name] = _by_part(errors, parts)
    return found


def table(title: str, results: list[dict[str, dict[str, float]]]) -> str:
    """Returns the mean over curves, a line for each smoother and a column for each part."""
    rows = [f"{title:40}" + "".join(f"{part:>17}" for part in PARTS)]
    for name in LINES:
        means = []
        for part in PARTS:
            values = [result[name][part] for result in results if part in result.get(name, {})]
            means.append(f"{np.mean(values):17.2f}" if values else f"{'-':>17}")
        rows.append(f"{name:40}" + "".join(means))
    return "\n".join(rows) + "\n"


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="read every Nth recorded curve only")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    curves = list(recorded_curves())[:: options.every]
    cases = [(str(shape), noise, seed) for shape in SYNTHETIC_LOSSES for noise in NOISES for seed in range(SEEDS)]
    with ProcessPoolExecutor(options.jobs) as pool:
        left_out = [result for result in pool.map(left_out_errors, curves, chunksize=8) if result]
        print(table(f"left-out batches, {len(left_out)} scans", left_out))
        truths = [result for result in pool.map(truth_errors, cases, chunksize=8) if result]
        print(table(f"known truths, {len(truths)} draws", truths))


if __name__ == "__main__":
    main()
