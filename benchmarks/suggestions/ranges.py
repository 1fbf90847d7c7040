"""Scores search ranges by how often they contain a good rate and how many trials a search of them takes.

Run with: python benchmarks/suggestions/ranges.py [results.npz] [--every N]

A search draws log-uniform rates until one has a regret of at most 0.05. The expected number of trials is one over the
share of the range with such a regret. A range without any counts as 100 trials.
"""

from __future__ import annotations

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from score import GOOD, RESULTS, ROLES, _regret, as_scanned, context_of

from keras_lrscan import analyze
from keras_lrscan.suggestions.search_range import RangeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Ends = tuple[float, float]

USUAL = (1e-5, 1e-1)
MAX_TRIALS = 100
POINTS_PER_DECADE = 200
"""Number of points per decade at which regret is evaluated."""

GROUPS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "all": lambda _: True,
    "falls and rises": lambda row: row["falls"] and row["rises"],
    "only falls": lambda row: row["falls"] and not row["rises"],
    "only rises": lambda row: row["rises"] and not row["falls"],
    "trained": lambda row: row["trained"],
    "fresh": lambda row: not row["trained"],
}


def read(item: tuple[int, Mapping[str, Any], Array, Array]) -> dict[str, Any]:
    """Returns the ranges suggested from one scan, by name, and whether its curve falls and rises."""
    at, task, lr, loss = item
    with np.errstate(all="ignore"):
        found = analyze(as_scanned(lr, loss, context_of(task, lr)), num_copies=8)
    ranges: dict[str, Ends] = {"1e-5 to 1e-1": USUAL}
    for kind in RangeKind:
        one = found.search_range(kind=kind)
        if one.low is not None and one.high is not None:
            ranges[kind] = (one.low, one.high)
    for role in ROLES:
        suggestion = found.suggest(role=role)
        if suggestion.low is not None and suggestion.high is not None:
            ranges[f"suggested, {role}"] = (suggestion.low, suggestion.high)
    marks = found.landmarks
    return {
        "task": at,
        "ranges": ranges,
        "falls": marks.steepest is not None,
        "rises": marks.elbow is not None,
        "trained": task["start"] != "fresh",
    }


def share_good(regret: Callable[[float], float], ends: Ends) -> float:
    """Returns the share of a range, on the log axis, with a regret of at most 0.05."""
    low, high = np.log10(ends)
    places = np.linspace(low, high, max(2, math.ceil((high - low) * POINTS_PER_DECADE)))
    return float(np.mean([regret(10.0**place) <= GOOD for place in places]))


def main() -> None:
    """Prints one table per role."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--every", type=int, default=1, help="use only every N-th task, for a quick check")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    options = parser.parse_args()
    with np.load(options.results) as file:
        results = dict(file)
    tasks, lr = json.loads(str(results["tasks"])), np.asarray(results["scan_lr"], float)
    chosen = range(0, len(tasks), options.every)
    work = [(at, tasks[at], lr, np.asarray(loss, float)) for at in chosen for loss in results["scan_loss"][at]]
    with ProcessPoolExecutor(options.jobs) as pool:
        rows = list(pool.map(read, work, chunksize=8))
    for index, role in enumerate(ROLES):
        print(f"\n{role}\n| scans | range | found | contains a good rate | median decades | median trials | mean |")
        print("|---|---|---|---|---|---|---|")
        regrets = {at: _regret(results, at, index) for at in chosen}
        for title, belongs in GROUPS.items():
            here = [row for row in rows if belongs(row) and regrets[row["task"]] is not None]
            for name in dict.fromkeys(name for row in here for name in row["ranges"]):
                found = [(row["ranges"][name], regrets[row["task"]]) for row in here if name in row["ranges"]]
                trials = [1 / max(share_good(regret, ends), 1 / MAX_TRIALS) for ends, regret in found]
                holds = np.mean([regret.lowest(*ends) <= GOOD for ends, regret in found])
                decades = np.median([np.log10(high / low) for (low, high), _ in found])
                cells = (f"{len(found) / len(here):.0%}", f"{holds:.0%}", f"{decades:.1f}")
                print(f"| {title} | {name} | {' | '.join(cells)} | {np.median(trials):.1f} | {np.mean(trials):.1f} |")


if __name__ == "__main__":
    main()
