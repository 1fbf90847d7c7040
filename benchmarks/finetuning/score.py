"""Scores learning rates suggested for fine-tuning by the validation losses that they reach.

Run with: python benchmarks/finetuning/score.py [results.json.gz] [--markdown]

Prints the regret of every method, how far each method is from the best rate, and the regret that the best margins in
hindsight would leave. Regret and tables are those of `benchmarks/suggestions`. Two rates that are customary for
fine-tuning, 5e-5 and 1e-3, are methods, too.
"""

from __future__ import annotations

import argparse
import functools
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rows import RESULTS, ROLES, curves, read, suggestions

from keras_lrscan.analysis import NUM_COPIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Found = Mapping[tuple[str, str], Any]

CUSTOMARY = {"5e-5": 5e-5, "1e-3": 1e-3}
"""Rates of fine-tuning guides and of optimizers' defaults, without a scan."""
TENFOLD = 1.0
"""Decades from the best rate that count as far off."""
CLEAR_GAIN = 2.0
"""A task is scored if its best rate improves on the start by this many standard deviations between seeds."""

FACTORS = np.logspace(-1.5, 1.5, 151)
"""Factors on the rates of the default that are tried in hindsight."""

HINDSIGHT: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "all tasks": lambda _: "",
    "parts that train, SGD or not": lambda task: f"{task['trains']} {task['optimizer'] == 'SGD'}",
    "network, parts that train, SGD or not": lambda task: (
        f"{task['model']} {task['trains']} {task['optimizer'] == 'SGD'}"
    ),
}
"""Name → function that returns the group of a task."""

GROUPS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "all tasks": lambda _: True,
    "frozen body": lambda task: task["trains"] == "head",
    "last layers": lambda task: task["trains"] == "last layers",
    "everything trains": lambda task: task["trains"] == "all",
    "texts": lambda task: task["model"].startswith("MiniLM"),
    "pictures": lambda task: not task["model"].startswith("MiniLM"),
}
"""Name → predicate that selects tasks."""


def suggest(item: tuple[Mapping[str, Any], int], *, copies: int) -> dict[tuple[str, str], Any]:
    """Returns the suggestions of every method for one scan, by method and role."""
    row, number = item
    lr, loss = np.asarray(row["scan_lr"], float), np.asarray(row["scan_loss"][number], float)
    with np.errstate(all="ignore"):  # the tools' own arithmetic on diverged losses is kept
        found = suggestions.suggestions_of(
            curves(row)[number], suggestions.own_rates(lr), loss, default_lr=row["default_lr"], copies=copies
        )
    fixed = {(name, role): suggestions.Suggested(lr=lr) for (name, lr), role in product(CUSTOMARY.items(), ROLES)}
    return {**found, **fixed}


def regret_of(row: Mapping[str, Any], role: str) -> Any:
    """Returns the regret over the learning rate, or `None` if no rate improved clearly on the start."""
    val = np.asarray(row["sweep_val"][ROLES.index(role)], float)
    best = val[:, row["sweep_lr"].index(best_lr(row, role))]
    if not row["start_val"] - np.median(best) >= CLEAR_GAIN * np.std(best, ddof=1):
        return None
    return suggestions.Regret.from_sweep(np.asarray(row["sweep_lr"], float), val, row["start_val"])


def best_lr(row: Mapping[str, Any], role: str) -> float:
    """Returns the rate of the sweep with the lowest validation loss."""
    val = np.asarray(row["sweep_val"][ROLES.index(role)], float)
    middle = np.median(np.where(np.isfinite(val), val, np.inf), axis=0)
    return float(row["sweep_lr"][int(np.argmin(middle))])


def suggest_all(rows: list[dict[str, Any]], *, jobs: int, copies: int) -> list[tuple[int, Found]]:
    """Returns the number of the task and the suggestions of every scan."""
    work = [(at, number) for at, row in enumerate(rows) for number in range(len(row["scans"]))]
    items = [(rows[at], number) for at, number in work]
    with ProcessPoolExecutor(jobs) as pool:
        found = pool.map(functools.partial(suggest, copies=copies), items, chunksize=4)
        return [(at, suggested) for (at, _), suggested in zip(work, found, strict=True)]


def score_all(rows: list[dict[str, Any]], found: list[tuple[int, Found]]) -> dict[tuple[str, str], list[Any]]:
    """Scores every suggestion and groups the scores by method and role."""
    scored: dict[tuple[str, str], list[Any]] = {}
    regrets = {(at, role): regret_of(row, role) for at, row in enumerate(rows) for role in ROLES}
    medians = [(at, suggestions.together([one for task, one in found if task == at])) for at in range(len(rows))]
    for at, suggested in (*found, *medians):
        for (method, role), value in suggested.items():
            if regrets[at, role] is not None:
                one = suggestions.score(value, regrets[at, role], task=at, default_lr=rows[at]["default_lr"])
                scored.setdefault((method, role), []).append(one)
    return scored


def distances(rows: list[dict[str, Any]], found: list[tuple[int, Found]]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields tables of the distance between suggested and best rates, for a constant rate."""
    clear = {at for at, row in enumerate(rows) if regret_of(row, "constant") is not None}
    for group, belongs in GROUPS.items():
        kept = [(at, suggested) for at, suggested in found if at in clear and belongs(rows[at])]
        if not kept:
            continue
        lines = []
        for method in [method for method, role in kept[0][1] if role == "constant"]:
            rates = [(suggested[method, "constant"].lr, best_lr(rows[at], "constant")) for at, suggested in kept]
            off = np.array([np.log10(lr / best) for lr, best in rates if lr is not None])
            if off.size:
                shares = [np.mean(off >= TENFOLD), np.mean(np.abs(off) < TENFOLD), np.mean(off <= -TENFOLD)]
                lines.append(
                    (np.abs(off).mean(), [method, f"{np.median(off):+.2f}", *(f"{one:.0%}" for one in shares)])
                )
        title = ["method", "median, decades", "10x too high", "within 10x", "10x too low"]
        yield f"distance from the best rate, {group}: {len(kept)} scans", [title, *(line for _, line in sorted(lines))]


def hindsight(rows: list[dict[str, Any]], found: list[tuple[int, Found]]) -> Iterator[list[str]]:
    """Yields lines of a table: the regret if all rates of a group were multiplied by the best factor for that group.

    No factor is known beforehand, so this bounds what other margins below the same landmarks could reach.
    """
    yield ["one factor for each", "groups", *ROLES]
    for name, group_of in HINDSIGHT.items():
        groups: dict[str, list[tuple[int, Found]]] = {}
        for at, suggested in found:
            if regret_of(rows[at], "constant") is not None:
                groups.setdefault(group_of(rows[at]), []).append((at, suggested))
        cells = [np.concatenate([best_of(rows, some, role) for some in groups.values()]).mean() for role in ROLES]
        yield [name, str(len(groups)), *(f"{cell:.3f}" for cell in cells)]


def best_of(rows: list[dict[str, Any]], found: list[tuple[int, Found]], role: str) -> Array:
    """Returns the regrets of the default's rates times the factor that is best for all of them together."""
    rates = [suggested[suggestions.DEFAULT, role].lr or rows[at]["default_lr"] for at, suggested in found]
    pairs = list(zip([regret_of(rows[at], role) for at, _ in found], rates, strict=True))
    each = np.array([[regret(lr * factor) for regret, lr in pairs] for factor in FACTORS])
    return np.asarray(each[each.mean(axis=1).argmin()], float)


def main() -> None:
    """Prints a table for every role and group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument("--copies", type=int, default=NUM_COPIES, help="resampled copies that vote on the confidence")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    options = parser.parse_args()
    rows = read(options.results)
    found = suggest_all(rows, jobs=options.jobs, copies=options.copies)
    lay_out = suggestions.as_markdown if options.markdown else suggestions.as_text
    for title, lines in (*suggestions.tables(score_all(rows, found), rows, GROUPS), *distances(rows, found)):
        print(lay_out(title, lines))
    print(lay_out("mean regret of the default with the best factors in hindsight", list(hindsight(rows, found))))


if __name__ == "__main__":
    main()
