"""Compares scans on a linear ramp, and scans judged by validation losses, with the usual scan of the same tasks.

`python benchmarks/suggestions/scan_variants.py` prints the mean regret of the suggestion from each kind of scan, from
`scan_variants.npz`. `--measure` runs the scans of the tasks that have no shard yet, and `--merge` writes the file.

All scans of a task start from the same weights and see the same batches, as in `train.py`. The range of a linear ramp
has to be chosen: here it goes from a tenth to a hundred times the optimizer's default rate, and so does an exponential
ramp to compare it with. A scan judged by validation losses evaluates all validation examples after every other step,
which gives a curve of 50 points: one of 20, as from every fifth step, is too short to be read. It stops where the batch
losses stop it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from regret import Regret
from score import RESULTS, as_scanned, context_of
from shards import add_shard_options, measure_missing, merge_shards, quick_tasks
from tasks import FROZEN, all_tasks

from keras_lrscan import LRCurve, analyze
from keras_lrscan.recording.ramp import ExponentialRamp, LinearRamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from tasks import Task

    from keras_lrscan.recording.ramp import ScanRamp

    Array = NDArray[Any]

VARIANTS = Path(__file__).with_name("scan_variants.npz")
STEPS, EVERY = 100, 2
"""Number of steps of a scan, and number of steps between two evaluations."""
QUICK = 20.0
"""Longest time for the scans and sweeps of a task in `results.npz`, in seconds."""
USUAL, NARROW, LINEAR = "usual", "narrow", "linear"
BELOW, ABOVE = 0.1, 100.0
"""Ends of the narrow and of the linear ramp, as multiples of the optimizer's default rate."""


def ramps(default_lr: float) -> dict[str, ScanRamp]:
    """Returns the ramp of each kind of scan."""
    ends = (BELOW * default_lr, ABOVE * default_lr)
    return {
        USUAL: ExponentialRamp(1e-7, 10.0, STEPS),
        NARROW: ExponentialRamp(*ends, STEPS),
        LINEAR: LinearRamp(*ends, STEPS),
    }


def measure(task: Task) -> dict[str, Array]:
    """Returns the losses of the batches, shape `(kinds, seeds, steps)`, and of the validation data."""
    import jax
    import jax.numpy as jnp
    from data import load
    from keras_formulas import OPTIMIZERS
    from train import SCAN_SEEDS, Problem, batches, stacked, starts

    row, optimizer = task.row, OPTIMIZERS[task.optimizer]
    data = load(row.data, row.changes)
    problem = Problem(row=row, data=data, batch_size=min(task.batch_size, len(data.x)), frozen=row.start == FROZEN)
    begin = stacked(starts(task, problem))
    seeds = 1000 + np.arange(SCAN_SEEDS)
    chosen = jnp.stack([batches(len(data.x), problem.batch_size, STEPS, seed) for seed in seeds.tolist()])
    rates = jnp.asarray([[ramp(step + 1) for step in range(STEPS)] for ramp in ramps(optimizer.default).values()])

    def lane(where: jax.Array) -> tuple[jax.Array, jax.Array]:
        kind, seed = where
        here = jax.tree_util.tree_map(lambda leaf: leaf[seed], begin)
        key = jax.random.key(jnp.asarray(seeds)[seed])
        return problem.watched(optimizer, here, rates[kind], chosen[seed], key, every=EVERY)

    lanes = np.stack(np.meshgrid(np.arange(len(rates)), np.arange(SCAN_SEEDS), indexing="ij"), axis=-1)
    loss, val = jax.jit(lambda lanes: jax.lax.map(lane, lanes))(lanes.reshape(-1, 2))
    start = jax.jit(jax.vmap(problem.validation))(begin)
    shape = lanes.shape[:-1]
    return {"loss": loss.reshape(*shape, -1), "val": val.reshape(*shape, -1), "start_val": start}


def curves(about: Mapping[str, Any], one: Mapping[str, Array]) -> Iterator[tuple[str, LRCurve]]:
    """Yields the curves of a task with their kinds."""
    for number, (name, ramp) in enumerate(ramps(float(about["default_lr"])).items()):
        lr = np.array([ramp(step) for step in range(STEPS)])
        context = context_of(about, lr)
        for loss, val, start in zip(one["loss"][number], one["val"][number], one["start_val"], strict=True):
            curve = as_scanned(lr, np.asarray(loss, float), context, type(ramp))
            yield name, curve
            if name != LINEAR:
                yield f"{name}, by validation loss", validated(curve, val, start)


def validated(curve: LRCurve, val: Array, start: float) -> LRCurve:
    """Returns the curve of the validation losses up to the end of a scan.

    The loss after `EVERY` steps belongs to the rate of the last of them, which is that of point `EVERY` of the scan.
    """
    at = np.arange(0, len(curve), EVERY)
    loss = np.append(start, val)[: at.size]
    return LRCurve(
        lr=curve.lr[at], loss=loss, stop=curve.stop, context=dataclasses.replace(curve.context, steps_per_epoch=None)
    )


def report(variants: Mapping[str, Any], results: Mapping[str, Any], copies: int) -> None:
    """Prints one row per kind of scan."""
    tasks = json.loads(str(results["tasks"]))
    at = {task["name"]: number for number, task in enumerate(tasks)}
    rows: dict[str, list[tuple[bool, float, bool]]] = {}
    for number, name in enumerate(json.loads(str(variants["tasks"]))):
        if name not in at:
            continue
        about, sweep = tasks[at[name]], np.asarray(results["sweep_val"][at[name]][0], float)
        regret = Regret.from_sweep(np.asarray(results["sweep_lr"], float), sweep, float(results["start_val"][at[name]]))
        if regret is None:
            continue
        for kind, curve in curves(about, {key: values[number] for key, values in variants.items() if key != "tasks"}):
            with np.errstate(all="ignore"):
                lr = analyze(curve, num_copies=copies).suggestion.lr
            rows.setdefault(kind, []).append((about["start"] != "fresh", regret(lr or about["default_lr"]), lr is None))
    print("| scan | mean regret | trained | fresh | median | >= 0.9 | no suggestion |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for kind, found in rows.items():
        trained, regrets, missing = map(np.array, zip(*found, strict=True))
        means = [regrets.mean(), regrets[trained].mean() if trained.any() else math.nan, regrets[~trained].mean()]
        cells = [f"{value:.3f}" for value in (*means, np.median(regrets))]
        print(f"| {kind} | {' | '.join(cells)} | {np.mean(regrets >= 0.9):.0%} | {missing.mean():.0%} |")
    print(f"\n{len(rows[USUAL])} scans of each kind.")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=int, metavar="N", help="run the scans of the first N quick tasks")
    add_shard_options(parser, "variants", VARIANTS)
    parser.add_argument("--copies", type=int, default=3, help="resampled copies that vote on the confidence")
    options = parser.parse_args()
    if options.measure is not None:
        measure_missing(quick_tasks(QUICK)[: options.measure], options.shards, measure, minutes=options.minutes)
    elif options.merge:
        merge_shards(all_tasks(), options.shards, options.results)
    else:
        with np.load(RESULTS) as file, np.load(options.results) as more:
            report(dict(more), dict(file), options.copies)


if __name__ == "__main__":
    main()
