"""Records the tasks and merges them.

`python benchmarks/finetuning/run.py` records every task that has no shard yet, in the order of `tasks.py`, so it can be
interrupted at any time. `--merge` writes all existing shards to `results.json.gz`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import time
from pathlib import Path

from rows import RESULTS, merged, rounded
from tasks import TASKS, Task

SHARDS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrscan-finetuning"
SETTINGS = {
    "KERAS_BACKEND": "torch",
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}
"""Hosts, and one thread, so that recordings can be repeated."""


def shard(folder: Path, task: Task) -> Path:
    """Returns the path of a task's shard, which depends on all of its settings."""
    return folder / f"{hashlib.sha256(repr(task).encode()).hexdigest()[:16]}.json"


def run(tasks: list[Task], folder: Path) -> None:
    """Records the tasks without a shard, one after the other."""
    os.environ |= SETTINGS
    from train import measure

    folder.mkdir(parents=True, exist_ok=True)
    missing = [task for task in tasks if not shard(folder, task).exists()]
    print(f"{len(tasks) - len(missing)} of {len(tasks)} tasks are done.", flush=True)
    for number, task in enumerate(missing, start=1):
        begin, file = time.process_time(), shard(folder, task)
        row = measure(task)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(row), encoding="utf-8")
        part.replace(file)
        print(f"{number}/{len(missing)}  {time.process_time() - begin:5.0f} s of CPU  {task.name}", flush=True)


def merge(tasks: list[Task], folder: Path, results: Path) -> None:
    """Merges all existing shards into one file."""
    found = [(task, shard(folder, task)) for task in tasks]
    rows = [rounded(merged(task, json.loads(file.read_text("utf-8")))) for task, file in found if file.exists()]
    results.write_bytes(gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), mtime=0))
    print(f"{len(rows)} of {len(tasks)} tasks, {results}: {results.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, default=SHARDS, help="folder of the shards, one per task")
    parser.add_argument("--merge", action="store_true", help="merge the existing shards into --results only")
    parser.add_argument("--results", type=Path, default=RESULTS, help="path of the merged file")
    parser.add_argument("--only", default="", help="only tasks whose name contains this")
    options = parser.parse_args()
    tasks = [task for task in TASKS if options.only in task.name]
    if options.merge:
        merge(tasks, options.shards, options.results)
    else:
        run(tasks, options.shards)


if __name__ == "__main__":
    main()
