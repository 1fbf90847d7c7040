"""Reads the recorded scans of the project: those of other tools (tests/data/README.md), the gallery, the benchmarks."""

from __future__ import annotations

import csv
import functools
import gzip
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan import LRCurve, ScanContext

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "KTRAIN_RUNS",
    "PEERS",
    "benchmark_of_causes",
    "benchmark_of_suggestions",
    "gallery",
    "ktrain_run",
    "other_records",
    "peer",
]

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
KTRAIN_RUNS = {
    "reuters_pretrained_maxep1": 600.0,
    "reuters_random_maxep2": 300.0,
    "reuters_finetuned_maxep2": 150.0,
    "digits_dense_adam_defaults": 1797 / 32,
}
"""Name → number of batches per epoch."""

PEERS = {"fastai": "ema-0.98", "lightning": "lightning", "torch_lr_finder": "ema-seeded-0.05"}
"""Name → averaging of that tool."""


def ktrain_run(name: str) -> dict[str, NDArray[np.float64]]:
    """Returns the columns `lr`, `batch_loss`, `keras_loss` and `ktrain_loss` of one scan."""
    with (DATA / "ktrain_runs" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def peer(name: str) -> dict[str, list[float]]:
    """Returns the lists `lr`, `loss` and `batch_loss` of one scan."""
    data: dict[str, list[float]] = json.loads((DATA / "peers" / f"{name}.json").read_text(encoding="utf-8"))
    return data


@functools.cache
def gallery() -> dict[str, LRCurve]:
    """Returns the scans of the gallery by name."""
    return {path.stem: LRCurve.from_json(path) for path in sorted((ROOT / "docs" / "curves").glob("*.json"))}


def other_records() -> dict[str, LRCurve]:
    """Returns the records of other tools, each with the losses of single batches and as stored."""
    curves: dict[str, LRCurve] = {}
    for name in KTRAIN_RUNS:
        run = ktrain_run(name)
        curves |= {f"{name} {kind}": LRCurve(lr=run["lr"], loss=run[kind]) for kind in run if kind.endswith("loss")}
    for name in PEERS:
        data = peer(name)
        curves |= {f"{name} {kind}": LRCurve(lr=data["lr"], loss=data[kind]) for kind in ("loss", "batch_loss")}
    return curves


@functools.cache
def _fits_with_a_known_cause() -> dict[str, LRCurve]:
    with gzip.open(ROOT / "benchmarks" / "causes" / "scans.json.gz") as file:
        rows = json.load(file)
    picked = [(row, number % len(row["scans"])) for number, row in enumerate(rows)]
    return {f"{row['name']} {seed}": LRCurve.from_dict(row["scans"][seed]) for row, seed in picked}


def benchmark_of_causes(cause: str) -> dict[str, LRCurve]:
    """Returns one scan of each fit of `benchmarks/causes` that has a cause, by name; the next fit has the next seed."""
    return {name: curve for name, curve in _fits_with_a_known_cause().items() if name.startswith(f"{cause}/")}


@functools.cache
def benchmark_of_suggestions() -> dict[str, LRCurve]:
    """Returns one scan of each task of `benchmarks/suggestions`, with what its table knows of the fit, by name."""
    with np.load(ROOT / "benchmarks" / "suggestions" / "results.npz") as data:
        tasks, lr, losses = json.loads(str(data["tasks"])), data["scan_lr"], data["scan_loss"][:, 0]
    same = ("batch_size", "optimizer", "momentum", "num_classes", "chance_loss", "regularization_loss")
    curves = {}
    for task, loss in zip(tasks, losses, strict=True):
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", task["loss_name"]).lower()
        facts = {field: task[field] for field in same if task.get(field) is not None}
        context = ScanContext(start_lr=float(lr[0]), end_lr=float(lr[-1]), loss_name=name, **facts)
        curves[task["name"]] = LRCurve(lr=lr, loss=loss, context=context)
    return curves
