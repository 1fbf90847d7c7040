"""Fits the margins of the default suggestion to sweeps and compares them with a learned suggestion.

Run with: python benchmarks/suggestions/learn.py [results.npz]

Every figure is for families of tasks (a data set with a kind of model) that were held out when the numbers were fitted.
The script compares four suggestions: the shipped numbers; the same without the prior rates; all numbers and prior rates
refitted to the other families; and a ridge regression from features of the curve and the run to the middle of the good
rates.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from regret import Regret
from score import GOOD, RESULTS, ROLES, as_scanned, context_of

from keras_lrscan import analyze
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.reading.start_state import StartState
from keras_lrscan.suggestions.methods import (
    BEFORE_ELBOW,
    ELBOW_MARGINS,
    LEAST_MARGIN,
    MOMENTUM_STEPS,
    OPEN_MARGIN,
    PLAIN_MARGIN_SHARE,
    VALLEY_MARGIN,
    forgetting,
    hidden_rise,
    is_plain,
    momentum_lag,
)
from keras_lrscan.suggestions.prior import DRAWN_SHARE, MOST_DRAWN, prior_rate
from keras_lrscan.suggestions.suggest import (
    DRAWN_MARGIN,
    GRADIENT_PEAK_FACTOR,
    PEAK_FACTOR,
    VALLEY_PEAK_FACTOR,
    peak_factor,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KINDS = ("valley", "open", "better-than-chance", "at-chance", "worse-than-chance", "unknown")
SHIPPED: Mapping[str, float] = {
    "valley": np.log10(VALLEY_MARGIN),
    "open": np.log10(OPEN_MARGIN),
    **{str(state): np.log10(ELBOW_MARGINS[state]) for state in StartState},
    "momentum steps": MOMENTUM_STEPS,
    "plain": np.log10(PLAIN_MARGIN_SHARE),
    "drawn share": DRAWN_SHARE,
    "peak": np.log10(PEAK_FACTOR),
    "gradient peak": np.log10(GRADIENT_PEAK_FACTOR),
    "valley peak": np.log10(VALLEY_PEAK_FACTOR),
}
"""Shipped numbers: margins and factors in decades, the steps of momentum, and the share of the way to a prior rate."""
PEAKS = {PEAK_FACTOR: "peak", GRADIENT_PEAK_FACTOR: "gradient peak", VALLEY_PEAK_FACTOR: "valley peak"}
BELOW_BEST = 0.5
"""Decades by which a prior rate lies below the median of the best constant rates."""
GRIDS: Mapping[str, Array] = {
    **{kind: np.arange(0.0, 1.45, 0.1) for kind in KINDS},
    "momentum steps": np.arange(0.0, 10.5, 1.0),
    "plain": np.arange(-0.6, 0.05, 0.1),
    "drawn share": np.arange(0.0, 0.55, 0.05),
    "peak": np.arange(0.0, 0.75, 0.1),
    "gradient peak": np.arange(0.0, 0.75, 0.1),
    "valley peak": np.arange(0.0, 0.75, 0.1),
}
ROUNDS = 2
PENALTIES = (0.3, 3.0, 30.0)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Holds the anchor and the features of one scan.

    Attributes:
        task: Index of the task.
        kind: Name of the margin that applies.
        anchor: log10 of the rate from which the margin is subtracted.
        lag: Decades by which momentum delays the curve, per momentum step.
        is_plain: Whether the optimizer is gradient descent without momentum.
        peak: Name of the factor for the peak of a one-cycle schedule.
        prior: log10 of the prior rate of the optimizer, NaN for an optimizer without one.
        elbow: log10 of the elbow, infinite without one.
        features: Features for the regression. Array of shape `(f,)`.
    """

    task: int
    kind: str
    anchor: float
    lag: float
    is_plain: bool
    peak: str
    prior: float
    elbow: float
    features: Array


def read(item: tuple[int, Mapping[str, Any], Array, Array]) -> Scan | None:
    """Analyzes one scan, or returns `None` if its curve has neither a fall nor a rise."""
    at, task, lr, loss = item
    with np.errstate(all="ignore"):
        analysis = analyze(as_scanned(lr, loss, context_of(task, lr)))
    marks, features = analysis.landmarks, analysis.features
    if marks.minimum is None or (marks.steepest is None and marks.elbow is None):
        return None
    low, elbow = np.log10(marks.minimum.lr), np.log10((marks.elbow or marks.minimum).lr)
    falls = marks.steepest is not None
    forgotten = forgetting(analysis)
    state = analysis.verdict.start_state if forgotten is None else StartState.BETTER_THAN_CHANCE
    kind = "open" if marks.elbow is None else "valley" if falls else str(state)
    end = (elbow + np.log10(forgotten or 10.0**elbow)) / 2
    anchor = {"valley": (low + elbow) / 2, "open": low}.get(kind, end - np.log10(hidden_rise(analysis)))
    lag = float(np.log10(momentum_lag(analysis))) / MOMENTUM_STEPS
    described = [
        1.0,
        *(float(kind == name) for name in KINDS),
        lag * MOMENTUM_STEPS,
        (elbow - low) * falls,
        (elbow - np.log10(marks.steepest.lr)) if marks.steepest is not None else 0.0,
        np.clip(features.fall, 0, 1),
        np.clip(features.noise or 0.0, 0, 1),
        np.log10(task["batch_size"]),
        analysis.verdict.confidence,
    ]
    return Scan(
        task=at,
        kind=kind,
        anchor=anchor,
        lag=lag,
        is_plain=is_plain(analysis),
        peak=PEAKS[peak_factor(analysis)],
        prior=float(np.log10(prior_rate(analysis.curve.context) or np.nan)),
        elbow=np.inf if kind == "open" else elbow,
        features=np.array(described),
    )


def rate(scan: Scan, role: int, numbers: Mapping[str, float]) -> float:
    """Returns log10 of the suggested rate."""
    margin = numbers[scan.kind]
    if scan.is_plain:
        margin = max(margin + numbers["plain"], np.log10(LEAST_MARGIN))
    read = scan.anchor - margin - numbers["momentum steps"] * scan.lag
    if scan.kind == StartState.BETTER_THAN_CHANCE:
        read = min(read, scan.elbow - np.log10(BEFORE_ELBOW))
    drawn = read
    if np.isfinite(scan.prior):
        drawn += float(np.clip(numbers["drawn share"] * (scan.prior - read), -MOST_DRAWN, MOST_DRAWN))
    drawn = min(drawn, max(read, scan.elbow - np.log10(DRAWN_MARGIN)))
    return float(drawn + (numbers[scan.peak] if role else 0.0))


def mean_regret(scans: list[Scan], numbers: Mapping[str, float], regrets: Mapping[tuple[int, int], Regret]) -> float:
    """Returns the mean regret over scans and roles."""
    found = [
        regrets[scan.task, role](10 ** rate(scan, role, numbers))
        for scan in scans
        for role in range(len(ROLES))
        if (scan.task, role) in regrets
    ]
    return float(np.mean(found))


def fit_margins(scans: list[Scan], regrets: Mapping[tuple[int, int], Regret]) -> dict[str, float]:
    """Minimizes the mean regret over one number at a time."""
    numbers = dict(SHIPPED)
    for _ in range(ROUNDS):
        for name, grid in GRIDS.items():
            some = [scan for scan in scans if name not in KINDS or scan.kind == name]
            if some:
                costs = [mean_regret(some, {**numbers, name: float(value)}, regrets) for value in grid]
                numbers[name] = float(grid[int(np.argmin(costs))])
    return numbers


def fit_ridge(scans: list[Scan], regrets: Mapping[tuple[int, int], Regret], role: int, penalty: float) -> Array:
    """Regresses the distance from the anchor to the middle of the good rates on the features."""
    kept = [scan for scan in scans if (scan.task, role) in regrets]
    x = np.stack([scan.features for scan in kept])
    y = np.array([middle(regrets[scan.task, role]) - scan.anchor for scan in kept])
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def middle(regret: Regret) -> float:
    """Returns log10 of the middle of the rates with a regret of at most 0.05."""
    good = regret.log10_lr[regret.values <= GOOD]
    return float(good[0] + good[-1]) / 2


def main() -> None:
    """Prints the regrets on held-out families and the numbers fitted to all families."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    with np.load(options.results) as file:
        results = dict(file)
    tasks = json.loads(str(results["tasks"]))
    lr = np.asarray(results["scan_lr"], float)
    work = [
        (at, task, lr, np.asarray(loss, float)) for at, task in enumerate(tasks) for loss in results["scan_loss"][at]
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        scans = [scan for scan in pool.map(read, work, chunksize=16) if scan is not None]
    grid, start = np.asarray(results["sweep_lr"], float), results["start_val"]
    all_regrets = {
        (at, role): Regret.from_sweep(grid, np.asarray(results["sweep_val"][at, role], float), float(start[at]))
        for at in range(len(tasks))
        for role in range(len(ROLES))
    }
    regrets = {key: regret for key, regret in all_regrets.items() if regret is not None}
    report(scans, regrets, tasks)


def with_prior_rates(
    scans: list[Scan], inside: list[Scan], regrets: Mapping[tuple[int, int], Regret], optimizers: list[str]
) -> list[Scan]:
    """Returns the scans with prior rates from the best constant rates of the tasks in `inside`."""
    best: dict[str, list[float]] = {}
    for task in {scan.task for scan in inside} & {task for task, role in regrets if role == 0}:
        best.setdefault(optimizers[task], []).append(middle(regrets[task, 0]))
    prior = {
        name: float(np.median(best[name])) - BELOW_BEST
        for name in best
        if optimizer_family(name).prior_rate is not None
    }
    return [replace(scan, prior=prior.get(optimizers[scan.task], np.nan)) for scan in scans]


def report(scans: list[Scan], regrets: Mapping[tuple[int, int], Regret], tasks: list[dict[str, Any]]) -> None:
    """Holds out one family at a time and prints the mean regret of each suggestion on it."""
    families, optimizers = [str(task["family"]) for task in tasks], [str(task["optimizer"]) for task in tasks]
    pretrained = [task["start"] != "fresh" for task in tasks]
    costs: dict[tuple[str, int, bool], list[float]] = {}
    for family in sorted(set(families)):
        inside = [scan for scan in scans if families[scan.task] != family]
        outside = [scan for scan in scans if families[scan.task] == family]
        margins = fit_margins(with_prior_rates(inside, inside, regrets, optimizers), regrets)
        refitted = with_prior_rates(outside, inside, regrets, optimizers)
        for role in range(len(ROLES)):
            ridges = {penalty: fit_ridge(inside, regrets, role, penalty) for penalty in PENALTIES}
            for scan, held_out in zip(outside, refitted, strict=True):
                if (scan.task, role) not in regrets:
                    continue
                rates = {
                    "as shipped": rate(scan, role, SHIPPED),
                    "no prior rates": rate(scan, role, {**SHIPPED, "drawn share": 0.0}),
                    "refitted": rate(held_out, role, margins),
                }
                rates |= {f"ridge {p}": scan.anchor + float(scan.features @ ridge) for p, ridge in ridges.items()}
                for name, value in rates.items():
                    cost = regrets[scan.task, role](10**value)
                    costs.setdefault((name, role, pretrained[scan.task]), []).append(cost)
    print(f"Mean regret on held-out families ({len(set(families))} families, {len(scans)} scans)")
    print(f"{'':20}" + "".join(f"{role + group:>24}" for role in ROLES for group in ("", ", pretrained", ", fresh")))
    for name in dict.fromkeys(key[0] for key in costs):
        cells = []
        for role in range(len(ROLES)):
            old, new = costs.get((name, role, True), []), costs.get((name, role, False), [])
            cells += [np.mean(old + new), np.mean(old), np.mean(new)]
        print(f"{name:20}" + "".join(f"{cell:>24.3f}" for cell in cells))
    print("\nShipped numbers, and numbers fitted to all families (in decades and steps)")
    for name, value in fit_margins(scans, regrets).items():
        print(f"{name:20}{SHIPPED[name]:>8.2f}{value:>8.2f}")


if __name__ == "__main__":
    main()
