"""Measures the tasks and merges their results.

`python benchmarks/suggestions/run.py --jobs 2` measures every task that has no shard yet, in a fixed order, so it can
be interrupted at any time. `--merge` writes all existing shards to `results.npz`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from collections import Counter
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tasks import FRESH, all_tasks, wide_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.sharedctypes import Synchronized

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[np.float32]

RESULTS = Path(__file__).with_name("results.npz")
WIDE_RESULTS = Path(__file__).with_name("wide.npz")
SHARDS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrscan-suggestions"
COMPILER = "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=1"
"""XLA flags: one thread, and half the compile time for a tenth more run time."""
CLEAR_GAIN = 2.0
"""A task is kept if its best loss improves on the start by this many standard deviations between seeds."""


def shard(folder: Path, task: Task) -> Path:
    """Returns the path of a task's shard, which depends on all of its settings."""
    return folder / f"{hashlib.sha256(repr(task).encode()).hexdigest()[:16]}.npz"


def pin(counter: Synchronized[int]) -> None:
    """Pins a process to its own core."""
    with counter.get_lock():
        rank, counter.value = counter.value, counter.value + 1
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})


def work(order: tuple[Task, Path]) -> tuple[str, float]:
    """Measures a task, writes its shard, and returns the task's name and the seconds taken."""
    import jax
    from train import measure

    task, file = order
    begin = time.monotonic()
    about, arrays = measure(task)
    jax.clear_caches()
    about["seconds"] = round(time.monotonic() - begin, 1)
    part = file.with_suffix(".part.npz")
    np.savez_compressed(part, about=json.dumps(about), **arrays)
    part.replace(file)
    return task.name, about["seconds"]


def run(tasks: list[Task], folder: Path, jobs: int) -> None:
    """Measures the tasks without a shard in parallel."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [task for task in tasks if not shard(folder, task).exists()]
    print(f"{len(tasks) - len(missing)} of {len(tasks)} tasks are done.", flush=True)
    os.environ.setdefault("XLA_FLAGS", COMPILER)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    context = multiprocessing.get_context("spawn")
    orders = [(task, shard(folder, task)) for task in missing]
    with context.Pool(jobs, pin, (context.Value("i", 0),)) as pool:
        for number, (name, seconds) in enumerate(pool.imap_unordered(work, orders), start=1):
            print(f"{number}/{len(missing)}  {seconds:5.1f} s  {name}", flush=True)


def gain(one: Mapping[str, Array]) -> float:
    """Returns the improvement of the best rate on the start, in standard deviations between seeds.

    The deviation is the median over the best rate and the two below it, because one seed of three may diverge at the
    edge.
    """
    start, gains = np.median(one["start_val"]), []
    for val in one["sweep_val"]:
        middle = np.median(np.where(np.isfinite(val), val, np.inf), axis=0)
        best = int(np.argmin(middle))
        scatter = np.nanmedian(np.std(val[:, max(best - 2, 0) : best + 1], axis=0, ddof=1))
        gains.append((start - middle[best]) / scatter)
    return float(min(gains))


def source(task: Task) -> str | None:
    """Returns the data and the number of steps on which the start weights were trained."""
    before = task.row.source
    if task.row.start == FRESH:
        return None
    return ", ".join([before.data or task.row.data, *before.changes, f"{before.steps} steps"])


def merge(tasks: list[Task], folder: Path, results: Path) -> None:
    """Merges all existing shards into one file."""
    import train

    found = [(task, np.load(file)) for task in tasks if (file := shard(folder, task)).exists()]
    if not found:
        message = f"Expected at least one shard. Received: shards={str(folder)!r}. Run without --merge first."
        raise SystemExit(message)
    kept = [(task, one) for task, one in found if gain(one) >= CLEAR_GAIN]
    about = [json.loads(str(one["about"])) | {"name": task.name, "source": source(task)} for task, one in kept]
    clear = [one for _, one in kept]
    names = ("scan_loss", "long_scan_loss", "sweep_val")
    arrays = {name: np.stack([one[name] for one in clear]) for name in names}
    arrays["start_val"] = np.stack([np.median(one["start_val"]) for one in clear])
    arrays["scan_lr"] = train.ramp(train.SCAN_STEPS)
    arrays["long_scan_lr"] = train.ramp(train.LONG_STEPS)
    arrays["sweep_lr"] = train.SWEEP_LR
    float32 = {name: np.asarray(values, np.float32) for name, values in arrays.items()}
    np.savez_compressed(results, tasks=json.dumps(about), **float32)
    print(f"{len(found)} of {len(tasks)} tasks are done, and {len(about)} of them can improve. Left out:")
    print(*(task.name for task, one in found if gain(one) < CLEAR_GAIN), sep="\n")
    print(f"{results}: {results.stat().st_size / 1e6:.1f} MB")


def optimizer_of(about: Mapping[str, str | float]) -> str:
    """Returns the optimizer's name, with its momentum if it has one."""
    return f"{about['optimizer']}, momentum {about['momentum']}" if about["momentum"] else str(about["optimizer"])


def counts(results: Path) -> None:
    """Prints the number of tasks of each kind, and how many of them have trained starts."""
    tasks = json.loads(str(np.load(results)["tasks"]))
    keys = ("kind", "model", "normalisation", "optimizer", "loss_name", "batch_size", "start")  # as recorded
    for key in keys:
        value = optimizer_of if key == "optimizer" else itemgetter(key)
        total = Counter(map(value, tasks))
        trained = Counter(value(task) for task in tasks if task["start"] != FRESH)
        print(f"\n| {key} | tasks | trained starts |\n|---|---|---|")
        for name, count in total.most_common():
            print(f"| {name} | {count} | {trained[name]} |")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one core each")
    parser.add_argument("--shards", type=Path, default=SHARDS, help="folder of the shards, one per task")
    parser.add_argument("--merge", action="store_true", help="merge the existing shards into --results only")
    parser.add_argument("--wide", action="store_true", help="the tasks of wide models instead of the small ones")
    parser.add_argument("--results", type=Path, help="path of the merged file")
    parser.add_argument("--counts", action="store_true", help="only print the number of tasks by kind in --results")
    parser.add_argument("--only", default="", help="only tasks whose name contains this")
    options = parser.parse_args()
    tasks = [task for task in (wide_tasks if options.wide else all_tasks)() if options.only in task.name]
    results = options.results or (WIDE_RESULTS if options.wide else RESULTS)
    if options.counts:
        counts(results)
    elif options.merge:
        merge(tasks, options.shards, results)
    else:
        run(tasks, options.shards, options.jobs)


if __name__ == "__main__":
    main()
