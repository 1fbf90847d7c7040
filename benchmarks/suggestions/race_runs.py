"""Records the trainings that races consist of: short runs of every task at rates around its scans' suggestions.

`python benchmarks/suggestions/race_runs.py --jobs 2` measures every task of `results.npz` that has no shard yet, so it
can be interrupted at any time. `--merge` writes all existing shards to `races.npz`, from which `race.py` simulates
races.

A race consists of a few trainings from the same weights on the same batches. Recording the losses of one run at each of
21 rates, six per decade, therefore covers every race among any of them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from run import COMPILER, RESULTS, SHARDS, pin, shard
from tasks import FROZEN, all_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[Any]

RACES = Path(__file__).with_name("races.npz")
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
KEPT = ("loss", "val")


def middle_of(about: Mapping[str, Any], lr: Array, scans: Array) -> float:
    """Returns the middle of the constant rates to run, the median suggestion of a task's scans."""
    from score import as_scanned, context_of

    from keras_lrscan import analyze

    with np.errstate(all="ignore"):
        curves = [as_scanned(lr, np.asarray(loss, float), context_of(about, lr)) for loss in scans]
        rates = [analyze(curve, num_copies=3).suggestion.lr or about["default_lr"] for curve in curves]
    return float(10.0 ** (round(PER_DECADE * float(np.median(np.log10(rates)))) / PER_DECADE))


def measure(task: Task, middle: float) -> dict[str, Array]:
    """Returns the losses of every run of a task, shape `(begins, rates, blocks)`, by names of run and loss."""
    import jax
    import jax.numpy as jnp
    import optax
    from data import load
    from keras_formulas import OPTIMIZERS
    from train import Problem, Start, batches, one_cycle, stacked, starts

    row, optimizer = task.row, OPTIMIZERS[task.optimizer]
    data = load(row.data, row.changes)
    size = min(task.batch_size, len(data.x))
    problem = Problem(row=row, data=data, batch_size=size, frozen=row.start == FROZEN)
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    all_starts = starts(task, problem)
    begins = stacked([all_starts[number] for number in BEGINS])
    longest = max(steps for steps, _ in RUNS.values())
    seeds = SEED + np.arange(len(BEGINS))
    chosen = np.stack([batches(len(data.x), size, longest, seed) for seed in seeds.tolist()])
    chosen = jnp.asarray(chosen.reshape(len(BEGINS), -1, 2 * BLOCK, size))

    def step(carry: Any, now: Any) -> tuple[Any, jax.Array]:
        (at, memory, key), (rate, rows, number) = carry, now
        gradient = jax.value_and_grad(problem.objective, has_aux=True)
        (loss, moving), slopes = gradient(at.trained, at, x[rows], y[rows], jax.random.fold_in(key, number))
        change, memory = optimizer.make(rate).update(slopes, memory, at.trained)
        return (Start(optax.apply_updates(at.trained, change), at.frozen, moving), memory, key), loss

    def blocks(carry: Any, now: Any) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        carry, losses = jax.lax.scan(step, carry, now)
        return carry, (losses.reshape(2, BLOCK).mean(axis=1), problem.validation(carry[0]))

    def lane(where: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        number, rates = where
        here = jax.tree_util.tree_map(lambda leaf: leaf[number], begins)
        memory = optimizer.make(jnp.zeros(())).init(here.trained)
        now = (rates.reshape(-1, 2 * BLOCK), chosen[number], jnp.arange(longest).reshape(-1, 2 * BLOCK))
        _, (losses, val) = jax.lax.scan(blocks, (here, memory, jax.random.key(SEED + number)), now)
        return losses.reshape(-1), val

    lr = middle * 10.0 ** (np.arange(-REACH, REACH + 1) / PER_DECADE)
    found: dict[str, Array] = {"lr": lr}
    run = jax.jit(lambda *lanes: jax.lax.map(lane, lanes))
    for name, (steps, is_cycle) in RUNS.items():
        shape = PEAK * one_cycle(steps) if is_cycle else np.ones(steps)
        rates = lr[:, None] * np.append(
            shape, np.zeros(longest - steps)
        )  # losses after the end of a short run are not recorded
        lanes = np.repeat(np.arange(len(BEGINS)), len(lr)), np.tile(rates, (len(BEGINS), 1)).astype(np.float32)
        for kept, values, every in zip(KEPT, run(*lanes), (BLOCK, 2 * BLOCK), strict=True):
            found[f"{name}, {kept}"] = np.asarray(values).reshape(len(BEGINS), len(lr), -1)[:, :, : steps // every]
    found["start_val"] = np.array([problem.validation(all_starts[number]) for number in BEGINS])
    return found


def work(order: tuple[Task, tuple[Mapping[str, Any], Array, Array], Path]) -> tuple[str, float]:
    """Measures a task, writes its shard, and returns the task's name and the seconds taken."""
    import jax

    task, seen, file = order
    begin = time.monotonic()
    arrays = measure(task, middle_of(*seen))
    jax.clear_caches()
    part = file.with_suffix(".part.npz")
    np.savez_compressed(part, **{name: np.asarray(value, np.float32) for name, value in arrays.items()})
    part.replace(file)
    return task.name, time.monotonic() - begin


def run(tasks: list[Task], folder: Path, jobs: int) -> None:
    """Measures the tasks without a shard in parallel."""
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(RESULTS) as file:
        lr, names = np.asarray(file["scan_lr"], float), json.loads(str(file["tasks"]))
        seen = {about["name"]: (about, lr, scans) for about, scans in zip(names, file["scan_loss"], strict=True)}
    orders = [(task, seen[task.name], shard(folder, task)) for task in tasks if task.name in seen]
    orders = [order for order in orders if not order[2].exists()]
    print(f"{len(orders)} tasks to run.", flush=True)
    os.environ.setdefault("XLA_FLAGS", COMPILER)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, pin, (context.Value("i", 0),)) as pool:
        for number, (name, seconds) in enumerate(pool.imap_unordered(work, orders), start=1):
            print(f"{number}/{len(orders)}  {seconds:5.1f} s  {name}", flush=True)


def rounded(values: Array) -> Array:
    """Rounds to three digits in single precision, which compresses to a third of the size."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)


def merge(tasks: list[Task], folder: Path, results: Path) -> None:
    """Merges all existing shards into one file, in the order of `tasks`."""
    found = [(task.name, np.load(file)) for task in tasks if (file := shard(folder, task)).exists()]
    names = ["start_val", *(f"{name}, {kept}" for name in RUNS for kept in KEPT)]
    arrays = {name: rounded(np.stack([one[name] for _, one in found])) for name in names}
    lr = np.stack([one["lr"] for _, one in found])
    np.savez_compressed(results, tasks=np.array(json.dumps([name for name, _ in found])), lr=lr, **arrays)
    print(f"{results}: {len(found)} of {len(tasks)} tasks, {results.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one core each")
    parser.add_argument("--shards", type=Path, default=SHARDS / "races", help="folder of the shards, one per task")
    parser.add_argument("--merge", action="store_true", help="merge the existing shards into --results only")
    parser.add_argument("--results", type=Path, default=RACES, help="path of the merged file")
    parser.add_argument("--only", default="", help="only tasks whose name contains this")
    options = parser.parse_args()
    tasks = [task for task in all_tasks() if options.only in task.name]
    if options.merge:
        merge(tasks, options.shards, options.results)
    else:
        run(tasks, options.shards, options.jobs)


if __name__ == "__main__":
    main()
