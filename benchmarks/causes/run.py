"""Records the scans of the zoo and merges them.

`python benchmarks/causes/run.py` records every scan that has no file in the folder of shards yet; interrupt it at will.
`--merge` writes what is there into `scans.json.gz`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import subprocess
import time
from pathlib import Path

from conditions import HEALTHY, SEEDS, Condition, all_conditions, set_aside

import keras_lrscan

HERE = Path(__file__).parent
SCANS = HERE / "scans.json.gz"
SHARDS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lrscan-causes"


FIRST = 4
"""Conditions of each cause that are recorded before the others."""


def shard(folder: Path, condition: Condition, seed: int) -> Path:
    """Returns the file of one scan: it changes when anything in the row does."""
    return folder / f"{hashlib.sha256(f'{condition!r} {seed}'.encode()).hexdigest()[:16]}.json"


def commit() -> str:
    """Returns the commit of the package that records."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(keras_lrscan.__file__).parent, capture_output=True, text=True, check=False)  # noqa: S607
    return found.stdout.strip() or "unknown"


def work(order: tuple[Condition, int, Path]) -> tuple[str, float]:
    """Records one scan into its file, and returns its name and the seconds taken."""
    import build  # noqa: PLC0415 - it loads Keras, which each process does by itself
    import keras  # noqa: PLC0415

    condition, seed, file = order
    begin = time.monotonic()
    keras.utils.clear_session(free_memory=False)
    curve = build.record(condition, seed).to_dict()
    part = file.with_suffix(".part")
    row = {"name": condition.name, "seed": seed, "commit": commit(), "curve": curve}
    part.write_text(json.dumps(row), encoding="utf-8")
    part.replace(file)
    return f"{condition.name} {seed}", time.monotonic() - begin


def run(orders: list[tuple[Condition, int, Path]], jobs: int, *, verbose: bool) -> None:
    """Records the scans that have no file yet, several at a time, with a bar that tells how far it is."""
    import keras  # noqa: PLC0415 - for its progress bar

    missing = [order for order in orders if not order[-1].exists()]
    print(f"{len(orders) - len(missing)} of {len(orders)} scans are done.", flush=True)
    bar = keras.utils.Progbar(len(missing), unit_name="scan", verbose=int(verbose))
    with multiprocessing.get_context("spawn").Pool(jobs, maxtasksperchild=60) as pool:
        for number, (name, seconds) in enumerate(pool.imap_unordered(attempt, missing), start=1):
            bar.update(number)
            if seconds is None:
                print(f"\n{name}", flush=True)


def attempt(order: tuple[Condition, int, Path]) -> tuple[str, float | None]:
    """Does `work`; an exception becomes a line of text, so that the other scans go on."""
    try:
        return work(order)
    except Exception as error:  # noqa: BLE001 - whatever one row of the table raises
        return f"FAILED {order[0].name} {order[1]}: {type(error).__name__}: {str(error)[:500]}", None


def urgency(order: tuple[Condition, int, Path]) -> tuple[bool, bool, bool, int]:
    """Returns what sorts the scans so that an interrupted run has some of everything, those to tune on first."""
    condition, seed, _ = order
    peers = [one.name for one in all_conditions() if one.cause == condition.cause]
    is_extra = condition.cause not in HEALTHY and peers.index(condition.name) >= FIRST
    return seed > 0, is_extra, condition.name in set_aside(), seed


def merge(orders: list[tuple[Condition, int, Path]], target: Path) -> None:
    """Writes all scans that have a file into one."""
    rows = [json.loads(file.read_text(encoding="utf-8")) for _, _, file in orders if file.exists()]
    for row in rows:
        row["curve"]["lr"] = [float(f"{value:.6g}") for value in row["curve"]["lr"]]
        row["curve"]["loss"] = [value if isinstance(value, str) else float(f"{value:.7g}") for value in row["curve"]["loss"]]
    text = json.dumps({"scans": rows}, separators=(",", ":")).encode()
    target.write_bytes(gzip.compress(text, mtime=0))
    print(f"{len(rows)} of {len(orders)} scans, {target}: {target.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--shards", type=Path, default=SHARDS, help="folder of the single scans")
    parser.add_argument("--merge", action="store_true", help="only write what is there into --scans")
    parser.add_argument("--scans", type=Path, default=SCANS, help="the merged file")
    parser.add_argument("--only", nargs="+", default=[""], help="only conditions whose name has one of these in it")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="seeds a condition")
    parser.add_argument("--verbose", type=int, choices=[0, 1], default=1, help="1 shows a progress bar")
    options = parser.parse_args()
    options.shards.mkdir(parents=True, exist_ok=True)
    kept = [condition for condition in all_conditions() if any(part in condition.name for part in options.only)]
    orders = [(one, seed, shard(options.shards, one, seed)) for one in kept for seed in SEEDS[: options.seeds]]
    orders.sort(key=urgency)
    if options.merge:
        merge(orders, options.scans)
    else:
        run(orders, options.jobs, verbose=bool(options.verbose))


if __name__ == "__main__":
    main()
