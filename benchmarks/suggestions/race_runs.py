"""Records the trainings that races consist of: short runs of tasks at rates around their scans' suggestions.

`python benchmarks/suggestions/race_runs.py` measures every task of `results.npz` that has no shard yet, so it can be
interrupted at any time. `--merge` writes all existing shards to `races.npz`, from which `race.py` simulates races and
chooses among their plans. `--held-out` does the same for other tasks and `races_held_out.npz`, on which the chosen
plans are reported: the quick tasks that `races.npz` does not have.

A race consists of a few trainings from the same weights on the same batches. Recording the losses of one run at each of
21 rates, six per decade, therefore covers every race among any of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from run import RESULTS
from shards import add_shard_options, measure_missing, merge_shards, quick_tasks
from tasks import FROZEN, all_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[Any]

RACES = Path(__file__).with_name("races.npz")
HELD_OUT = Path(__file__).with_name("races_held_out.npz")
PER_DECADE, REACH = 6, 10
"""Number of rates per decade, and number of rates on either side of the middle one."""
BEGINS = (3, 4)
"""Indices of the start weights: two that scans use and sweeps do not."""
SEED = 2000
"""First of two seeds for the batches, which neither scans nor sweeps use."""
BLOCK = 5
"""Number of steps over which training losses are averaged. Validation losses are recorded after every other block."""
PEAK = 2.5
"""Ratio of the middle one-cycle peak to the middle constant rate."""
RUNS: Mapping[str, tuple[int, bool]] = MappingProxyType(
    {"constant": (200, False), "cycle 100": (100, True), "cycle 50": (50, True)}
)
"""Name of a run → (number of steps, whether it is a complete one-cycle schedule)."""
HELD_OUT_RUNS: Mapping[str, tuple[int, bool]] = MappingProxyType({"constant": (200, False), "cycle 70": (70, True)})
"""The same for the held-out tasks, with the default cycle of `race`."""


def middle_of(about: Mapping[str, Any], lr: Array, scans: Array) -> float:
    """Returns the middle of the constant rates to run, the median suggestion of a task's scans."""
    from score import as_scanned, context_of

    from keras_lrscan import analyze

    with np.errstate(all="ignore"):
        curves = [as_scanned(lr, np.asarray(loss, float), context_of(about, lr)) for loss in scans]
        rates = [analyze(curve, num_copies=3).suggestion.lr or about["default_lr"] for curve in curves]
    return float(10.0 ** (round(PER_DECADE * float(np.median(np.log10(rates)))) / PER_DECADE))


def measure(task: Task, middle: float, runs: Mapping[str, tuple[int, bool]] = RUNS) -> dict[str, Array]:
    """Returns the losses of every run of a task, shape `(begins, rates, blocks)`, by names of run and loss."""
    import jax
    import jax.numpy as jnp
    from data import load
    from keras_formulas import OPTIMIZERS
    from train import Problem, batches, one_cycle, stacked, starts

    row, optimizer = task.row, OPTIMIZERS[task.optimizer]
    data = load(row.data, row.changes)
    size = min(task.batch_size, len(data.x))
    problem = Problem(row=row, data=data, batch_size=size, frozen=row.start == FROZEN)
    all_starts = starts(task, problem)
    begins = stacked([all_starts[number] for number in BEGINS])
    longest = max(steps for steps, _ in runs.values())
    seeds = SEED + np.arange(len(BEGINS))
    chosen = jnp.stack([batches(len(data.x), size, longest, seed) for seed in seeds.tolist()])

    def lane(where: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        number, rates = where
        here = jax.tree_util.tree_map(lambda leaf: leaf[number], begins)
        key = jax.random.key(SEED + number)
        losses, val = problem.watched(optimizer, here, rates, chosen[number][: rates.size], key, every=2 * BLOCK)
        return losses.reshape(-1, BLOCK).mean(axis=1), val

    lr = middle * 10.0 ** (np.arange(-REACH, REACH + 1) / PER_DECADE)
    found: dict[str, Array] = {"lr": lr}
    run = jax.jit(lambda *lanes: jax.lax.map(lane, lanes))
    for name, (steps, is_cycle) in runs.items():
        shape = PEAK * one_cycle(steps) if is_cycle else np.ones(steps)
        shape = np.append(shape, np.zeros(-steps % (2 * BLOCK)))  # the last validation loss needs a whole block
        lanes = np.repeat(np.arange(len(BEGINS)), len(lr)), np.tile(lr[:, None] * shape, (len(BEGINS), 1))
        losses, val = run(lanes[0], lanes[1].astype(np.float32))
        found[f"{name}, loss"] = np.asarray(losses).reshape(len(BEGINS), len(lr), -1)[:, :, : steps // BLOCK]
        found[f"{name}, val"] = np.asarray(val).reshape(len(BEGINS), len(lr), -1)
    found["start_val"] = np.array([problem.validation(all_starts[number]) for number in BEGINS])
    return found


def scans_of(results: Path) -> dict[str, tuple[Mapping[str, Any], Array, Array]]:
    """Returns the facts, the rates and the losses of the scans of each task, by name."""
    with np.load(results) as file:
        lr, names = np.asarray(file["scan_lr"], float), json.loads(str(file["tasks"]))
        return {about["name"]: (about, lr, scans) for about, scans in zip(names, file["scan_loss"], strict=True)}


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true", help="measure other tasks than those of `races.npz`")
    add_shard_options(parser, "races", None)
    options = parser.parse_args()
    seen, tasks, runs, results, folder = scans_of(RESULTS), all_tasks(), RUNS, RACES, options.shards
    if options.held_out:
        with np.load(RACES) as file:
            chosen_on = set(json.loads(str(file["tasks"])))
        tasks = [task for task in quick_tasks() if task.name not in chosen_on]
        runs, results, folder = HELD_OUT_RUNS, HELD_OUT, folder / "held_out"
    if options.merge:
        merge_shards(tasks, folder, options.results or results, exact=["lr"])
    else:
        measure_missing(
            [task for task in tasks if task.name in seen],
            folder,
            lambda task: measure(task, middle_of(*seen[task.name]), runs),
            minutes=options.minutes,
        )


if __name__ == "__main__":
    main()
