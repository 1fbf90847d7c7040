"""Compares the suggestion of a scan with other ways to train without a known learning rate.

`python benchmarks/suggestions/alternatives.py` prints the tables, from `results.npz` and `alternatives.npz`.
`--measure N` trains the tasks that have no shard yet, and `--merge` writes `alternatives.npz`.

The alternatives need no scan: the optimizer's default rate, a random search over 1e-5 to 1e-1 that keeps the trial with
the lowest validation loss, and three optimizers that need no learning rate, or hardly one, with the defaults of optax:
schedule-free AdamW (learning rate 0.0025), Prodigy and D-Adaptation AdamW (both 1.0). These three are also trained with
Prodigy's recommended cosine decay to zero, except the schedule-free one, and replace Adam and its relatives only, so
their table has the tasks with `FAMILY` alone.

The cost is in trainings of full length: 1 for a single training, a little more with a scan of 100 steps before it, and
k for a random search of k trials. Trials are drawn log-uniformly. The validation loss of a trial is that of one seed,
interpolated between the grid's rates, and the regret of the kept rate is that of the median over seeds, as everywhere.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from regret import Regret
from score import BAD, GOOD, RESULTS, ROLES, as_scanned, context_of
from shards import add_shard_options, measure_missing, merge_shards, quick_tasks
from tasks import FROZEN, all_tasks

from keras_lrscan import analyze

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[Any]

ALTERNATIVES = Path(__file__).with_name("alternatives.npz")
FAMILY = ("Adam", "AdamW", "Nadam")
"""Optimizers that the three learning-rate-free ones replace."""
NAMES = ("schedule-free AdamW", "Prodigy", "D-Adaptation AdamW", "Prodigy, cosine", "D-Adaptation AdamW, cosine")
"""The trainings of `alternatives.npz`, in its order."""
SEARCH = (1e-5, 1e-1)
TRIALS = (1, 2, 4, 6, 8)
"""Numbers of trainings of a random search."""
DRAWS = 40
"""Number of random searches per task and seed."""
SCAN_STEPS = 100


def measure(task: Task) -> dict[str, Array]:
    """Trains a task by each of `NAMES` and returns the final validation losses, shape `(names, seeds)`."""
    import jax
    import jax.numpy as jnp
    from data import load
    from keras_formulas import Optimizer
    from optax import contrib
    from train import SWEEP_SEEDS, Problem, batches, stacked, starts

    free = Optimizer(
        "ScheduleFreeAdamW",
        2.5e-3,
        contrib.schedule_free_adamw,
        evaluated=contrib.schedule_free_eval_params,
    )
    prodigy = Optimizer("Prodigy", 1.0, contrib.prodigy)
    adapted = Optimizer("DAdaptAdamW", 1.0, contrib.dadapt_adamw)
    row = task.row
    data = load(row.data, row.changes)
    size = min(task.batch_size, len(data.x))
    problem = Problem(row=row, data=data, batch_size=size, frozen=row.start == FROZEN)
    begin = stacked(starts(task, problem)[:SWEEP_SEEDS])
    chosen = jnp.stack([batches(len(data.x), size, row.steps, seed) for seed in range(SWEEP_SEEDS)])
    flat, cosine = np.ones(row.steps), (1 + np.cos(np.pi * np.arange(row.steps) / row.steps)) / 2

    def trained(optimizer: Optimizer, shapes: Sequence[Array]) -> Array:
        rates = jnp.asarray(optimizer.default * np.stack(shapes), jnp.float32)

        def lane(where: jax.Array) -> jax.Array:
            shape, seed = where
            here = jax.tree_util.tree_map(lambda leaf: leaf[seed], begin)
            run = problem.watched(optimizer, here, rates[shape], chosen[seed], jax.random.key(seed), every=row.steps)
            return run[1][-1]

        lanes = np.stack(np.meshgrid(np.arange(len(rates)), np.arange(SWEEP_SEEDS), indexing="ij"), axis=-1)
        found = jax.jit(lambda lanes: jax.lax.map(lane, lanes))(lanes.reshape(-1, 2))
        return np.asarray(found).reshape(lanes.shape[:-1])

    val = [trained(free, [flat]), trained(prodigy, [flat, cosine]), trained(adapted, [flat, cosine])]
    return {"val": np.concatenate([val[0], val[1][:1], val[2][:1], val[1][1:], val[2][1:]])}


class Rows:
    """Collects the regrets of several ways by kind of start, and prints one line of a table for each."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[tuple[bool, float]]] = {}

    def add(self, name: str, cost: str, regrets: Iterable[float], *, trained: bool) -> None:
        """Adds the regrets of one task."""
        self._rows.setdefault((name, cost), []).extend((trained, float(value)) for value in regrets)

    def show(self, title: str) -> None:
        """Prints the table."""
        print(f"\n{title}\n\n| | cost | mean regret | trained | fresh | median | <= {GOOD} | >= {BAD} |")
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for (name, cost), rows in self._rows.items():
            trained, values = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
            parts = [values[kind].mean() if kind.any() else math.nan for kind in (trained, ~trained)]
            cells = [f"{value:.3f}" for value in (values.mean(), *parts, np.median(values))]
            cells += [f"{(values <= GOOD).mean():.0%}", f"{(values >= BAD).mean():.0%}"]
            print(f"| {name} | {cost} | {' | '.join(cells)} |")


def searched(lr: Array, val: Array, regret: Regret, trials: int, rng: np.random.Generator) -> list[float]:
    """Returns the regrets of random searches that keep the trial with the lowest validation loss.

    Args:
        lr: Rates of the grid.
        val: Final validation losses. Array of shape `(seeds, rates)`.
        regret: Regret of a rate.
        trials: Number of trainings of a search.
        rng: Random generator.
    """
    finite = np.where(np.isfinite(val), val, np.nan)
    worst = np.nanmax(finite)
    found = []
    for seed in range(len(val)):
        drawn = rng.uniform(*np.log10(SEARCH), size=(DRAWS, trials))
        losses = np.interp(drawn, np.log10(lr), np.where(np.isnan(finite[seed]), 10 * abs(worst) + worst, finite[seed]))
        kept = drawn[np.arange(DRAWS), losses.argmin(axis=1)]
        found += [regret(10.0**place) for place in kept]
    return found


def report(results: Mapping[str, Any], alternatives: Mapping[str, Any] | None, copies: int) -> None:
    """Prints one table per role for all tasks, and one per role for the tasks with measured alternatives."""
    tasks = json.loads(str(results["tasks"]))
    sweep_lr, scan_lr = np.asarray(results["sweep_lr"], float), np.asarray(results["scan_lr"], float)
    measured = (
        {}
        if alternatives is None
        else dict(zip(json.loads(str(alternatives["tasks"])), np.asarray(alternatives["val"], float), strict=True))
    )
    steps = np.mean([task["train_steps"] for task in tasks])
    scan_cost = f"{1 + SCAN_STEPS / steps:.1f}"
    all_rows, some_rows = ({role: Rows() for role in ROLES} for _ in range(2))
    rng = np.random.default_rng(0)
    for number, task in enumerate(tasks):
        trained, start = task["start"] != "fresh", float(results["start_val"][number])
        context = context_of(task, scan_lr)
        with np.errstate(all="ignore"):
            scans = [
                analyze(as_scanned(scan_lr, np.asarray(loss, float), context), num_copies=copies)
                for loss in results["scan_loss"][number]
            ]
        for index, role in enumerate(ROLES):
            val = np.asarray(results["sweep_val"][number, index], float)
            regret = Regret.from_sweep(sweep_lr, val, start)
            if regret is None:
                continue
            suggested = [regret(scan.suggest(role=role).lr or task["default_lr"]) for scan in scans]
            for rows in (all_rows, some_rows) if task["name"] in measured else (all_rows,):
                rows[role].add("keras_lrscan", scan_cost, suggested, trained=trained)
                rows[role].add("optimizer's default", "1", [regret(task["default_lr"])], trained=trained)
            for trials in TRIALS:
                regrets = searched(sweep_lr, val, regret, trials, rng)
                all_rows[role].add("random search", str(trials), regrets, trained=trained)
            if task["name"] not in measured:
                continue
            best = float(np.median(np.where(np.isfinite(val), val, np.inf), axis=0).min())
            for name, losses in zip(NAMES, measured[task["name"]], strict=True):
                middle = float(np.median(np.where(np.isfinite(losses), losses, np.inf)))
                value = np.clip((middle - best) / (start - best), 0, 1)
                some_rows[role].add(name, "1", [value], trained=trained)
    for role in ROLES:
        all_rows[role].show(f"{role}: {len(tasks)} tasks; the cost is in trainings")
    for role in ROLES:
        some_rows[role].show(f"{role}: {len(measured)} tasks with {', '.join(FAMILY)}")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=int, metavar="N", help=f"train the first N quick tasks with {FAMILY}")
    add_shard_options(parser, "alternatives", ALTERNATIVES)
    parser.add_argument("--copies", type=int, default=3, help="resampled copies that vote on the confidence")
    options = parser.parse_args()
    if options.measure is not None:
        tasks = [task for task in quick_tasks() if task.optimizer in FAMILY]
        measure_missing(tasks[: options.measure], options.shards, measure, minutes=options.minutes)
    elif options.merge:
        merge_shards(all_tasks(), options.shards, options.results)
    else:
        with np.load(RESULTS) as file:
            results = dict(file)
        alternatives = dict(np.load(options.results)) if options.results.exists() else None
        report(results, alternatives, options.copies)


if __name__ == "__main__":
    main()
