"""Scores suggested learning rates by the validation losses that they reach in sweeps.

Run with: python benchmarks/suggestions/score.py [results.npz] [--context full|none] [--scan short|long] [--markdown]

The file contains scans and sweeps of every task: `tasks` (JSON), `scan_lr` (100,), `scan_loss` (tasks, scans, 100),
`long_scan_lr`, `long_scan_loss` (tasks, 400), `sweep_lr` (grid,), `sweep_val` (tasks, 2 roles, seeds, grid) and
`start_val` (tasks,). Scans run to their end, and every tool applies its own stopping rule.

A missing suggestion is counted and replaced by the optimizer's default learning rate. A method without its own range
gets half a decade on either side, shown in parentheses. If no rate of a task improved on its start, its regret is
undefined and the task is skipped for that role.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from peers import FIXED, PEERS, own_rates
from regret import Regret

from keras_lrscan import LRCurve, ScanContext, StopReason, analyze
from keras_lrscan.analysis import NUM_COPIES
from keras_lrscan.experiments.repeats import median_rates
from keras_lrscan.recording.ramp import ExponentialRamp, ScanRamp
from keras_lrscan.recording.recorder import Recorder
from keras_lrscan.suggestions.suggest import SUGGESTION_METHODS, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RESULTS = Path(__file__).with_name("results.npz")
ROLES = [str(role) for role in Role]
GOOD, BAD = 0.05, 0.9
HALF_WIDTH = math.sqrt(10)
OURS = "ours: "
TOGETHER, DEFAULT = OURS + "default, median of all scans", OURS + "default"

GROUPS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "all starts": lambda _: True,
    "pretrained starts": lambda task: task["start"] != "fresh",
    "fresh starts": lambda task: task["start"] == "fresh",
}
"""Name → predicate that selects tasks."""

COLUMNS: Mapping[str, str] = {
    "mean": ".3f",
    "median": ".3f",
    "p90": ".3f",
    f"<= {GOOD}": ".0%",
    f">= {BAD}": ".0%",
    "harm": ".1%",
    "none": ".0%",
    "range holds": ".0%",
    "decades": ".2f",
}
"""Title → format."""


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """Holds one suggestion. All fields are `None` if there is no suggestion.

    Attributes:
        lr: Suggested learning rate.
        low: Lower end of the method's own range.
        high: Upper end of the method's own range.
    """

    lr: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Holds the score of one suggestion.

    Attributes:
        task: Index of the task.
        regret: Regret of the suggested rate, or of the optimizer's default if there is no suggestion.
        harms: Whether training at that rate ends worse than it starts.
        is_missing: Whether there is no suggestion.
        holds: Whether the range contains a rate with a regret of at most 0.05, or `None` if there is no suggestion.
        decades: Width of the range in decades.
        owns_range: Whether the method suggested the range itself.
    """

    task: int
    regret: float
    harms: bool
    is_missing: bool
    holds: bool | None
    decades: float
    owns_range: bool


def context_of(task: Mapping[str, Any], lr: Array) -> ScanContext:
    """Returns the context that a scan of the task would collect."""
    return ScanContext(
        start_lr=float(lr[0]),
        end_lr=float(lr[-1]),
        num_steps=lr.size,
        batch_size=task.get("batch_size"),
        optimizer=task.get("optimizer"),
        momentum=task.get("momentum"),
        optimizer_lr=task.get("default_lr"),
        loss_name=re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", task["loss_name"]).lower(),  # Keras's name of the function
        num_classes=task.get("num_classes"),
        chance_loss=task.get("chance_loss"),
        regularization_loss=task.get("regularization_loss"),
        num_trainable_params=task.get("num_trainable"),
        num_frozen_params=task.get("num_frozen"),
    )


def as_scanned(lr: Array, loss: Array, context: ScanContext, ramp: type[ScanRamp] = ExponentialRamp) -> LRCurve:
    """Returns the curve that `LRScan` would have recorded, cut where it would have stopped."""
    recorder = Recorder(ramp(float(lr[0]), float(lr[-1]), lr.size))
    for value in loss.tolist():
        recorder.add(value)
    recorder.end(StopReason.OUT_OF_BATCHES)
    return recorder.curve(context)


def suggestions_of(
    curve: LRCurve, rates: Array, loss: Array, *, default_lr: float, copies: int = NUM_COPIES
) -> dict[tuple[str, str], Suggested]:
    """Returns the suggestions of every method for one scan, by method and role.

    Args:
        curve: The scan as `LRScan` records it, for our methods.
        rates: Rate of each batch's own update, for the other tools. Array of shape `(n,)`.
        loss: Batch losses of the scan to its end, for the other tools. Array of shape `(n,)`.
        default_lr: The optimizer's default learning rate.
        copies: Number of resampled copies that vote on the confidence.
    """
    found = {name: Suggested(lr=rate(default_lr)) for name, rate in FIXED.items()}
    found |= {name: Suggested(lr=peer(rates, loss)) for name, peer in PEERS.items()}
    suggested = {(name, role): value for name, value in found.items() for role in ROLES}
    reading = analyze(curve, num_copies=copies)
    for method in SUGGESTION_METHODS:
        for role in ROLES:
            ours = reading.suggest(method=method, role=role)
            suggested[OURS + method, role] = Suggested(lr=ours.lr, low=ours.low, high=ours.high)
    return suggested


def all_suggestions(
    task: Mapping[str, Any], lr: Array, loss: Array, *, with_context: bool, copies: int = NUM_COPIES
) -> dict[tuple[str, str], Suggested]:
    """Returns the suggestions of every method for one scan of a task, by method and role."""
    curve = as_scanned(lr, loss, context_of(task, lr) if with_context else ScanContext())
    return suggestions_of(curve, own_rates(lr), loss, default_lr=float(task["default_lr"]), copies=copies)


def together(found: Sequence[Mapping[tuple[str, str], Suggested]]) -> dict[tuple[str, str], Suggested]:
    """Returns the suggestion of `repeat_scans` by role, from those of all scans of a task."""
    medians = {}
    for role in ROLES:
        single = [one[DEFAULT, role] for one in found]
        lr, low, high = median_rates([(one.lr, one.low, one.high) for one in single]) or (None, None, None)
        medians[TOGETHER, role] = Suggested(lr=lr, low=low, high=high)
    return medians


def score(suggested: Suggested, regret: Regret, *, task: int, default_lr: float) -> Scored:
    """Scores one suggestion."""
    if suggested.lr is None:
        return Scored(
            task=task,
            regret=regret(default_lr),
            harms=regret.harms(default_lr),
            is_missing=True,
            holds=None,
            decades=math.nan,
            owns_range=False,
        )
    low = suggested.lr / HALF_WIDTH if suggested.low is None else suggested.low
    high = suggested.lr * HALF_WIDTH if suggested.high is None else suggested.high
    return Scored(
        task=task,
        regret=regret(suggested.lr),
        harms=regret.harms(suggested.lr),
        is_missing=False,
        holds=regret.lowest(low, high) <= GOOD,
        decades=math.log10(high / low),
        owns_range=suggested.low is not None,
    )


def _suggest(
    item: tuple[Mapping[str, Any], Array, Array], *, with_context: bool, copies: int
) -> dict[tuple[str, str], Suggested]:
    with np.errstate(all="ignore"):  # the tools' own arithmetic on diverged losses is kept
        return all_suggestions(*item, with_context=with_context, copies=copies)


def score_all(
    results: Mapping[str, Any], *, scan: str, with_context: bool, jobs: int, copies: int
) -> dict[tuple[str, str], list[Scored]]:
    """Scores every method on every scan of every task, and groups the scores by method and role."""
    tasks = json.loads(str(results["tasks"]))
    prefix = "long_" if scan == "long" else ""
    lr = np.asarray(results[f"{prefix}scan_lr"], float)
    losses = np.asarray(results[f"{prefix}scan_loss"], float).reshape(len(tasks), -1, lr.size)
    work = [(task, lr, loss) for task, scans in zip(tasks, losses, strict=True) for loss in scans]
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(functools.partial(_suggest, with_context=with_context, copies=copies), work, chunksize=8))
    regrets = {(at, role): _regret(results, at, index) for at in range(len(tasks)) for index, role in enumerate(ROLES)}
    scored: dict[tuple[str, str], list[Scored]] = {}
    for at in range(len(tasks)):
        some = found[at * losses.shape[1] : (at + 1) * losses.shape[1]]
        for (method, role), value in itertools.chain.from_iterable(one.items() for one in (*some, together(some))):
            regret = regrets[at, role]
            if regret is not None:
                row = score(value, regret, task=at, default_lr=float(tasks[at]["default_lr"]))
                scored.setdefault((method, role), []).append(row)
    return scored


def _regret(results: Mapping[str, Any], task: int, role: int) -> Regret | None:
    sweep_lr, val = np.asarray(results["sweep_lr"], float), np.asarray(results["sweep_val"][task, role], float)
    return Regret.from_sweep(sweep_lr, val, float(results["start_val"][task]))


def summary(rows: list[Scored]) -> list[str]:
    """Returns the cells of one table row."""
    regrets = np.array([row.regret for row in rows])
    ranged = [row for row in rows if row.holds is not None]
    values = [
        regrets.mean(),
        np.median(regrets),
        np.quantile(regrets, 0.9),
        np.mean(regrets <= GOOD),
        np.mean(regrets >= BAD),
        np.mean([row.harms for row in rows]),
        np.mean([row.is_missing for row in rows]),
        np.mean([row.holds for row in ranged]) if ranged else math.nan,
        np.median([row.decades for row in ranged]) if ranged else math.nan,
    ]
    cells = [
        "-" if math.isnan(value) else format(float(value), form)
        for value, form in zip(values, COLUMNS.values(), strict=True)
    ]
    owns_range = any(row.owns_range for row in rows) or not ranged
    return cells if owns_range else [*cells[:-2], *(f"({cell})" for cell in cells[-2:])]


def tables(
    scored: Mapping[tuple[str, str], list[Scored]],
    tasks: list[Mapping[str, Any]],
    groups: Mapping[str, Callable[[Mapping[str, Any]], bool]] = GROUPS,
) -> Iterator[tuple[str, list[list[str]]]]:
    """Yields a title and table rows for each role and group, sorted by mean regret."""
    for role in ROLES:
        for group, belongs in groups.items():
            kept = {
                method: [row for row in rows if belongs(tasks[row.task])]
                for (method, of), rows in scored.items()
                if of == role
            }
            if not any(kept.values()):
                continue
            means = {method: float(np.mean([row.regret for row in rows])) for method, rows in kept.items()}
            lines = [[method, *summary(kept[method])] for method in sorted(means, key=means.__getitem__)]
            some = next(iter(kept.values()))
            title = f"{role}, {group}: {len({row.task for row in some})} tasks, {len(some)} scans"
            yield title, [["method", *COLUMNS], *lines]


def as_text(title: str, lines: list[list[str]]) -> str:
    """Formats a table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([title, *rows, ""])


def as_markdown(title: str, lines: list[list[str]]) -> str:
    """Formats a table as Markdown."""
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    rule = "|---" + "|--:" * (len(lines[0]) - 1) + "|"
    return "\n".join([f"### {title[0].upper()}{title[1:]}", "", rows[0], rule, *rows[1:], ""])


def write_json(path: Path, scored: Mapping[tuple[str, str], list[Scored]], tasks: list[Mapping[str, Any]]) -> None:
    """Writes the regrets of all scans as nested JSON: method → role → task → list."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (method, role), rows in scored.items():
        for row in rows:
            names = found.setdefault(method, {}).setdefault(role, {})
            names.setdefault(str(tasks[row.task]["name"]), []).append(round(row.regret, 4))
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Prints a table for every role and group."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--context", choices=["full", "none"], default="full", help="context given to the analysis")
    parser.add_argument("--scan", choices=["short", "long"], default="short", help="scans of 100 or 400 steps")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--copies",
        type=int,
        default=NUM_COPIES,
        help="number of resampled copies that vote on the confidence. A few are much faster, for a quick check",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--json", type=Path, help="write the regret of every scan to this file")
    options = parser.parse_args()
    began = time.monotonic()
    with np.load(options.results) as file:
        results = dict(file)
    tasks = json.loads(str(results["tasks"]))
    with_context = options.context == "full"
    scored = score_all(results, scan=options.scan, with_context=with_context, jobs=options.jobs, copies=options.copies)
    lay_out = as_markdown if options.markdown else as_text
    for title, lines in tables(scored, tasks):
        print(lay_out(title, lines))
    if options.json is not None:
        write_json(options.json, scored, tasks)
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{len(tasks)} tasks, context {options.context}, {options.scan} scans, {took}.", file=sys.stderr)


if __name__ == "__main__":
    main()
