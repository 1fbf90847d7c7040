"""Compares this package's stopping rule with the usual one, on scans that ran to their end.

The usual rule stops when the smoothed loss (bias-corrected exponential average with weight 0.98) exceeds four times its
lowest value. A stop is *false* if the curve reached a lower minimum afterwards, which the scan would have missed. A
curve *explodes* if its last tenth rises ten times its starting level above that level, or is not finite.

Run with: python benchmarks/stopping_rule.py [drawn] [results.npz] [FOLDER_OF_CSV_FILES ...]
`drawn` selects the held-out synthetic scans of `stopping_scans.py`, on which no threshold was tuned. The archive is the
one in `benchmarks/suggestions/`, whose `scan_loss` contains raw losses of scans from 1e-7 to 10. Each CSV file has a
header line with `lr` and either `loss` or `raw_batch_loss`.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stopping_scans import KINDS, scans

from keras_lrscan.recording.divergence_watch import DivergenceWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from stopping_scans import Scan

    Losses = NDArray[np.float64]
    Rule = Callable[[Losses], int | None]

RESULTS = Path(__file__).parent / "suggestions" / "results.npz"
WEIGHT = 0.98
FACTOR = 4.0
EXPLOSION = 10.0
NUM_DRAWN = 250
"""Number of synthetic scans of each kind."""
LATE_SHARE = 0.1
"""An explosion that starts in this last share of the scan never counts as missed."""
CROPS = (200, 240, 280, 300)
"""First steps of cropped long scans, which imitate ranges that start at a high rate and explode early."""


def by_ratio(losses: Losses) -> int | None:
    """Returns the step at which the usual rule stops, or `None`."""
    average, lowest = 0.0, math.inf
    for step, loss in enumerate(losses):
        average = WEIGHT * average + (1 - WEIGHT) * loss
        smoothed = average / (1 - WEIGHT ** (step + 1))
        lowest = min(lowest, smoothed)
        if not math.isfinite(loss) or smoothed > FACTOR * lowest:
            return step
    return None


class Impatient(DivergenceWatch):
    """Applies this package's rule without waiting longer at early humps."""

    __slots__ = ()

    def _may_settle(self) -> bool:
        return False


def by_noise(losses: Losses, watch_of: Callable[[int], DivergenceWatch] = DivergenceWatch) -> int | None:
    """Returns the step at which this package's rule stops, or `None`."""
    watch = watch_of(len(losses))
    for step, loss in enumerate(losses):
        if not math.isfinite(loss):
            return step
        watch.add(float(loss))
        if watch.diverged:
            return step
    return None


RULES: Mapping[str, Rule] = {"this rule": by_noise, "4x rule": by_ratio}


def smoothed_lows(losses: Losses) -> Losses:
    """Returns medians of five neighbors, with non-finite losses counted as infinite."""
    windows = np.lib.stride_tricks.sliding_window_view(np.where(np.isfinite(losses), losses, np.inf), 5)
    return np.median(windows, axis=1)


def is_false(losses: Losses, step: int | None) -> bool:
    """Returns whether the minimum after `step` is lower by at least a twentieth of the curve's total fall."""
    if step is None:
        return False
    lows = smoothed_lows(losses)
    split = max(1, step - 3)
    before, after = lows[:split], lows[split:]
    if not len(after):
        return False
    start = float(np.mean(losses[: max(3, len(losses) // 10)]))
    fall = start - min(before.min(), after.min())
    return bool(after.min() < before.min() - 0.05 * max(fall, 0.0))


def explodes(losses: Losses) -> bool:
    """Returns whether the last tenth rises ten times the starting level above it, or is not finite."""
    start, end = losses[: max(3, len(losses) // 10)], losses[-max(3, len(losses) // 10) :]
    return not np.isfinite(end).all() or bool(np.median(end) > start.mean() + EXPLOSION * abs(start.mean()))


def groups(archive: Mapping[str, Any]) -> Iterator[tuple[str, list[Losses]]]:
    """Yields groups of the archive's scans that are difficult for a stopping rule."""
    tasks = json.loads(str(archive["tasks"]))
    scans = np.asarray(archive["scan_loss"], np.float64)
    level = np.abs(scans[:, :, :10].mean(axis=(1, 2)))
    lowest = np.nanmin(scans, axis=(1, 2))
    good = np.array([task["start"] == "same-task" for task in tasks])
    members = {
        "all": np.ones(len(tasks), bool),
        "already good": good,
        "near zero at the best": (lowest >= 0) & (lowest < 0.02 * level),
        "below zero": lowest < 0,
        "others": ~good & (lowest >= 0.02 * level),
    }
    for name, inside in members.items():
        yield name, [losses for task in scans[inside] for losses in task]
    yield "all, less twice the start", [losses - 2 * losses[:10].mean() for task in scans for losses in task]
    yield "all, less the lowest", [losses - np.nanmin(losses) for task in scans for losses in task]
    if "long_scan_loss" in archive:
        yield "all, 400 steps", list(np.asarray(archive["long_scan_loss"], np.float64))


def row(name: str, scans: list[Losses]) -> str:
    """Returns one table row."""
    stops = {rule: [judge(losses) for losses in scans] for rule, judge in RULES.items()}
    counts = "  ".join(
        f"{rule}: {sum(step is not None for step in steps):4d} stops, "
        f"{sum(is_false(losses, step) for losses, step in zip(scans, steps, strict=True)):3d} false"
        for rule, steps in stops.items()
    )
    exploding = [at for at, losses in enumerate(scans) if explodes(losses)]
    ends = {
        rule: [steps[at] if steps[at] is not None else len(scans[at]) for at in exploding]
        for rule, steps in stops.items()
    }
    earlier = np.subtract(ends["4x rule"], ends["this rule"])
    missed = sum(stops["this rule"][at] is None for at in exploding)
    shown = (
        f"{len(exploding):4d} explode, {missed} missed, stopped {np.median(earlier):+.0f} batches earlier "
        f"({earlier.min():+d} to {earlier.max():+d}, later in {np.sum(earlier < 0)})"
        if exploding
        else "none explodes"
    )
    return f"{name:26s}{len(scans):5d} scans  {counts}  {shown}"


def drawn_row(name: str, members: list[Scan]) -> str:
    """Returns one row of the table of synthetic scans, for the impatient rule and this package's rule."""
    shown = []
    for watch_of in (Impatient, DivergenceWatch):
        stops = [by_noise(scan.losses, watch_of) for scan in members]
        ends = list(zip(members, stops, strict=True))
        false = sum(
            stop is not None and stop < (len(scan.losses) if scan.onset is None else scan.onset) for scan, stop in ends
        )
        lasting = [
            (scan, stop)
            for scan, stop in ends
            if scan.onset is not None and len(scan.losses) - scan.onset >= LATE_SHARE * len(scan.losses)
        ]
        delays = [
            (stop - (scan.onset or 0)) / len(scan.losses)
            for scan, stop in lasting
            if stop is not None and stop >= (scan.onset or 0)
        ]
        missed = sum(stop is None for _, stop in lasting)
        late = f"{np.median(delays):4.1%} late ({np.quantile(delays, 0.9):5.1%})" if delays else "none late"
        shown.append(f"{false:3d} too early, {missed:2d} missed, {late}")
    return f"{name:30s}{len(members):4d} scans   impatient: {shown[0]}   this rule: {shown[1]}"


def crop_rows(archive: Mapping[str, Any]) -> Iterator[str]:
    """Yields one table row for each crop of the long scans."""
    for first in CROPS:
        ends = [losses[first:] for losses in np.asarray(archive["long_scan_loss"], np.float64)]
        ends = [losses for losses in ends if np.isfinite(losses[: len(losses) // 8]).all()]
        before, after = ([by_noise(losses, watch_of) for losses in ends] for watch_of in (Impatient, DivergenceWatch))
        pairs = list(zip(ends, before, after, strict=True))
        false = [
            sum(is_false(losses, stop) for losses, stop in zip(ends, steps, strict=True)) for steps in (before, after)
        ]
        later = [(len(losses) if new is None else new) - old for losses, old, new in pairs if old is not None]
        moved = [steps for steps in later if steps]
        unseen = sum(new is None and explodes(losses) for losses, _, new in pairs)
        yield (
            f"400 steps, from step {first}   {len(ends)} scans, {len(later)} stops   false: {false[0]} impatient, "
            f"{false[1]} this rule   {len(moved)} stop later, by a median of {np.median(moved or [0]):.0f} steps, "
            f"over all by {np.median(later):.0f}   {unseen} explosions missed"
        )


def read(path: Path) -> tuple[list[float], Losses]:
    """Reads learning rates and losses from a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = "loss" if "loss" in rows[0] else "raw_batch_loss"
    return [float(line["lr"]) for line in rows], np.array([float(line[column]) for line in rows])


def shown(step: int | None, rates: list[float], losses: Losses) -> str:
    """Formats a step with its learning rate and loss."""
    if step is None:
        return "runs to the end"
    mark = ", FALSE" if is_false(losses, step) else ""
    return f"step {step}, rate {rates[step]:.1e}, loss {losses[step]:.3g}{mark}"


def main() -> None:
    """Prints one row for each kind of synthetic scan, group of scans in the archive, and curve in the folders."""
    names = sys.argv[1:] or ["drawn", str(RESULTS)]
    for name in names:
        if name == "drawn":
            for kind in KINDS:
                print(drawn_row(kind, scans(kind, NUM_DRAWN, held_out=True)))
        elif name.endswith(".npz"):
            with np.load(name) as archive:
                for group, members in groups(archive):
                    print(row(group, members))
                if "long_scan_loss" in archive:
                    print(*crop_rows(archive), sep="\n")
        else:
            for path in sorted(Path(name).rglob("*.csv")):
                rates, losses = read(path)
                ours, usual = (shown(judge(losses), rates, losses) for judge in RULES.values())
                print(f"{path.stem:42.42s} {len(losses):5d} steps   this rule: {ours:44s} 4x rule: {usual}")


if __name__ == "__main__":
    main()
