"""Reads and writes recorded tasks: their settings, scans and sweeps."""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan import LRCurve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[np.float64]

HERE = Path(__file__).parent
RESULTS = HERE / "results.json.gz"
ROLES = ("constant", "one-cycle")
AT_END = ("weight_change", "still_share", "layer_change_ratio")
"""Facts that a scan measures when it ends."""


def _of_suggestions() -> Any:
    """Returns the script that scores `benchmarks/suggestions`, under a name of its own."""
    path = HERE.parent / "suggestions" / "score.py"
    spec = importlib.util.spec_from_file_location("suggestions_score", path)
    if spec is None or spec.loader is None:
        message = f"Expected a script. Received: path={str(path)!r}."
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.append(str(path.parent))  # `peers` and `regret`
    spec.loader.exec_module(module)
    sys.path.remove(str(path.parent))
    return module


suggestions = _of_suggestions()


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the recorded tasks."""
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    return rows


def curves(row: Mapping[str, Any]) -> list[LRCurve]:
    """Returns the scans of a task as `LRScan` records them."""
    return [LRCurve.from_dict(scan) for scan in row["scans"]]


def rounded(value: Any) -> Any:
    """Rounds all numbers to seven digits, which is single precision, and shrinks the file."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [rounded(one) for one in value]
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return value


def with_end(scan: Mapping[str, Any]) -> tuple[Array, Array]:
    """Returns the rates and losses of a scan to its last planned rate. A scan that ended earlier had become NaN."""
    curve = LRCurve.from_dict(scan)
    context = curve.context
    lr = np.geomspace(context.start_lr or math.nan, context.end_lr or math.nan, context.num_steps or 0)
    return lr, np.append(curve.loss, np.full(lr.size - curve.loss.size, math.nan))


def as_stopped(scan: Mapping[str, Any]) -> LRCurve:
    """Returns a scan cut where `LRScan` would have stopped. Facts that it measures at its end are left out if it is."""
    curve = LRCurve.from_dict(scan)
    stopped: LRCurve = suggestions.as_scanned(*with_end(scan), curve.context)
    if stopped.loss.size == curve.loss.size:
        return stopped
    return replace(stopped, context=replace(curve.context, **dict.fromkeys(AT_END)))


def merged(task: Task, row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of the merged file: settings, scans as `LRScan` records them, their losses to the end, sweep."""
    ends = [with_end(scan) for scan in row["scans"]]
    return {
        **asdict(task),
        **row,
        "scans": [as_stopped(scan).to_dict() for scan in row["scans"]],
        "scan_lr": ends[0][0].tolist(),
        "scan_loss": [[value if math.isfinite(value) else str(value) for value in loss.tolist()] for _, loss in ends],
        "sweep_val": [
            [[one if math.isfinite(one) else str(one) for one in seed] for seed in role] for role in row["sweep_val"]
        ],
    }
