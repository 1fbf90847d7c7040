"""Measures tasks one by one into a folder of shards, so that a run can be interrupted, and merges the shards."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from run import COMPILER, RESULTS, SHARDS, shard
from tasks import all_tasks

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[Any]

__all__ = ["add_shard_options", "measure_missing", "merge_shards", "quick_tasks"]


def quick_tasks(seconds: float = 12.0) -> list[Task]:
    """Returns the tasks of `results.npz` whose scans and sweeps took at most `seconds`, in the shuffled order.

    A third of the tasks took at most 12 seconds, and half of them 20.
    """
    with np.load(RESULTS) as file:
        quick = {about["name"] for about in json.loads(str(file["tasks"])) if about["seconds"] <= seconds}
    return [task for task in all_tasks() if task.name in quick]


def measure_missing(
    tasks: Iterable[Task], folder: Path, measure: Callable[[Task], Mapping[str, Array]], *, minutes: float
) -> None:
    """Measures every task without a shard in this process, and starts no task after `minutes`.

    Args:
        tasks: The tasks, in the order in which they are measured.
        folder: Folder of the shards.
        measure: Task → its arrays by name, all of single precision.
        minutes: Time limit. The running task is finished.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("XLA_FLAGS", COMPILER)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    missing = [task for task in tasks if not shard(folder, task).exists()]
    began = time.monotonic()
    for number, task in enumerate(missing, start=1):
        begin = time.monotonic()
        if begin - began > 60 * minutes:
            break
        arrays = measure(task)
        jax.clear_caches()
        file = shard(folder, task)
        part = file.with_suffix(".part.npz")
        np.savez_compressed(part, **{name: np.asarray(values, np.float32) for name, values in arrays.items()})
        part.replace(file)
        print(f"{number}/{len(missing)}  {time.monotonic() - begin:5.1f} s  {task.name}", flush=True)


def merge_shards(
    tasks: Iterable[Task], folder: Path, results: Path, *, exact: Iterable[str] = (), **facts: str
) -> None:
    """Merges all existing shards into one file, in the order of the tasks.

    Args:
        tasks: The tasks.
        folder: Folder of the shards.
        results: Path of the file: `tasks` (JSON), and the arrays of the tasks stacked along a new first axis.
        exact: Names of arrays that are not rounded.
        facts: Further entries of the file by name.
    """
    found = {task.name: np.load(file) for task in tasks if (file := shard(folder, task)).exists()}
    if not found:
        message = f"Expected at least one shard. Received: shards={str(folder)!r}. Measure a task first."
        raise SystemExit(message)
    names = next(iter(found.values())).files
    stacked = {name: np.stack([one[name] for one in found.values()]) for name in names}
    arrays = {name: values if name in exact else rounded(values) for name, values in stacked.items()}
    np.savez_compressed(results, tasks=json.dumps(list(found)), **facts, **arrays)
    print(f"{results}: {len(found)} tasks, {results.stat().st_size / 1e6:.1f} MB")


def add_shard_options(parser: ArgumentParser, folder: str, results: Path | None) -> None:
    """Adds the options of a measurement with shards: `--minutes`, `--merge`, `--shards` and `--results`."""
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no task after this time")
    parser.add_argument("--merge", action="store_true", help="merge the existing shards into --results only")
    parser.add_argument("--shards", type=Path, default=SHARDS / folder, help="folder of the shards, one per task")
    parser.add_argument("--results", type=Path, default=results, help="path of the merged file")


def rounded(values: Array) -> Array:
    """Rounds to three digits in single precision, which compresses to a third of the size."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)
