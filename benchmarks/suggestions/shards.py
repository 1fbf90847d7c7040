"""Measures tasks one by one into a folder of shards, so that a run can be interrupted, and stacks the shards."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from run import COMPILER, RESULTS, shard
from tasks import all_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[Any]

__all__ = ["measure_missing", "quick_tasks", "rounded", "stack_shards"]


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


def stack_shards(tasks: Iterable[Task], folder: Path) -> tuple[list[str], dict[str, Array]]:
    """Returns the names of the measured tasks, and their arrays stacked along a new first axis."""
    found = {task.name: np.load(file) for task in tasks if (file := shard(folder, task)).exists()}
    if not found:
        message = f"Expected at least one shard. Received: shards={str(folder)!r}. Measure a task first."
        raise SystemExit(message)
    names = next(iter(found.values())).files
    return list(found), {name: np.stack([one[name] for one in found.values()]) for name in names}


def rounded(values: Array) -> Array:
    """Rounds to three digits in single precision, which compresses to a third of the size."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (bits & np.uint32(0xFFFFE000)).view(np.float32)
