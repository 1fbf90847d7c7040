"""Records the scans of all conditions and merges them.

`python benchmarks/causes/run.py` records every condition that has no shard yet, so it can be interrupted at any time.
`--merge` writes all existing shards to `scans.json.gz`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

from conditions import CONDITIONS, HEALTHY, SEEDS, SET_ASIDE_NAMES, Condition

import keras_lrscan

HERE = Path(__file__).parent
SCANS = HERE / "scans.json.gz"
SHARDS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrscan-causes"


BAR_WIDTH = 30
NUM_FIRST = 4
"""Number of conditions per cause that are recorded before the others."""


Order = tuple[Condition, Path]


def shard(folder: Path, condition: Condition) -> Path:
    """Returns the path of a condition's shard, which depends on all of its settings but not on its description."""
    return folder / f"{hashlib.sha256(repr(condition).encode()).hexdigest()[:16]}.json"


def commit() -> str:
    """Returns the short commit hash of the recording package."""
    order = [shutil.which("git") or "git", "rev-parse", "--short", "HEAD"]
    folder = Path(keras_lrscan.__file__).parent
    return subprocess.run(order, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def work(order: Order) -> str:
    """Records the scans of one condition into its shard and returns an error message, empty on success."""
    import build
    import keras

    condition, file = order
    keras.utils.clear_session(free_memory=False)
    begin = time.monotonic()
    try:
        curves = build.record(condition, SEEDS)
    except Exception as error:  # noqa: BLE001 - an error in one condition must not stop the others
        return f"{condition.name}: {type(error).__name__}: {error}"
    about = {"name": condition.name, "commit": commit(), "seconds": round(time.monotonic() - begin, 1)}
    row = about | {"scans": [curve.to_dict() for curve in curves]}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(row), encoding="utf-8")
    part.replace(file)
    return ""


def run(orders: list[Order], jobs: int, *, verbose: bool) -> None:
    """Records the conditions without a shard in parallel and shows a progress bar."""
    missing = [order for order in orders if not order[-1].exists()]
    print(f"{len(orders) - len(missing)} of {len(orders)} conditions are done.", flush=True)
    failed = []
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for number, trouble in enumerate(pool.imap_unordered(work, missing), start=1):
            failed += [trouble] if trouble else []
            if verbose:
                done = BAR_WIDTH * number // len(missing)
                print(f"\r[{'=' * done}{'.' * (BAR_WIDTH - done)}] {number}/{len(missing)}", end="", flush=True)
    print(*["", *failed], sep="\n", flush=True)


def urgency(order: Order) -> tuple[bool, bool]:
    """Returns a sort key that records some conditions of every cause early and those set aside last."""
    name, cause = order[0].name, order[0].cause
    peers = [one.name for one in CONDITIONS if one.cause == cause]
    return name in SET_ASIDE_NAMES, cause not in HEALTHY and peers.index(name) >= NUM_FIRST


def rounded(curve: dict[str, Any]) -> dict[str, Any]:
    """Rounds a curve to the digits of single precision, which shrinks the file to a third."""
    loss = [value if isinstance(value, str) else float(f"{value:.8g}") for value in curve["loss"]]
    return curve | {"lr": [float(f"{value:.8g}") for value in curve["lr"]], "loss": loss}


def merge(orders: list[Order], target: Path) -> None:
    """Merges all existing shards into one file."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for _, file in orders if file.exists()]
    rows = sorted(({**row, "scans": [rounded(one) for one in row["scans"]]} for row in rows), key=itemgetter("name"))
    text = json.dumps(rows, separators=(",", ":")).encode()
    target.write_bytes(gzip.compress(text, mtime=0))
    print(f"{len(rows)} of {len(orders)} conditions, {target}: {target.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--shards", type=Path, default=SHARDS, help="folder of the shards, one per condition")
    parser.add_argument("--merge", action="store_true", help="merge the existing shards into --scans only")
    parser.add_argument("--scans", type=Path, default=SCANS, help="path of the merged file")
    parser.add_argument("--only", nargs="+", default=[""], help="only conditions whose name contains one of these")
    parser.add_argument("--verbose", type=int, choices=[0, 1], default=1, help="1 shows a progress bar")
    options = parser.parse_args()
    options.shards.mkdir(parents=True, exist_ok=True)
    kept = [condition for condition in CONDITIONS if any(part in condition.name for part in options.only)]
    orders = sorted(((one, shard(options.shards, one)) for one in kept), key=urgency)
    if options.merge:
        merge(orders, options.scans)
    else:
        run(orders, options.jobs, verbose=bool(options.verbose))


if __name__ == "__main__":
    main()
