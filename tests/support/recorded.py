"""Reads scans that other tools recorded, as described in tests/data/README.md."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KTRAIN_RUNS", "PEERS", "ktrain_run", "peer"]

DATA = Path(__file__).parents[1] / "data"
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
