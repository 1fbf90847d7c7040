"""Collects the recorded scans of the other benchmarks, by a name that tells where each comes from."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan import LRCurve
from keras_lrscan.reading.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BENCHMARKS = Path(__file__).parents[1]
LABELS = Path(__file__).with_name("labels.csv")


@dataclass(frozen=True, kw_only=True)
class Labeled:
    """Holds the label of one scan.

    Attributes:
        sample: Name of the sample to which it belongs.
        scan: Name of the scan.
        weight: Number of recorded scans that it stands for.
        shape: Shape by eye.
        also: Shapes that a second look would accept, too.
    """

    sample: str
    scan: str
    weight: float
    shape: Shape
    also: tuple[Shape, ...] = ()


def _script(path: Path) -> Any:
    """Returns a script of another benchmark as a module."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None:
        message = f"Expected a script. Received: path={str(path)!r}."
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.append(str(path.parent))  # its neighbors
    spec.loader.exec_module(module)
    sys.path.remove(str(path.parent))
    return module


def _of_suggestions() -> Iterator[tuple[str, LRCurve]]:
    score = _script(BENCHMARKS / "suggestions" / "score.py")
    with np.load(BENCHMARKS / "suggestions" / "results.npz") as file:
        results = dict(file)
    short, long = (np.asarray(results[f"{prefix}scan_lr"], float) for prefix in ("", "long_"))
    tasks = json.loads(str(results["tasks"]))
    for task, scans, long_scan in zip(tasks, results["scan_loss"], results["long_scan_loss"], strict=True):
        for number, loss in enumerate(scans):
            context = score.context_of(task, short)
            yield f"{task['name']}:{number}", score.as_scanned(short, np.asarray(loss, float), context)
        context = score.context_of(task, long)
        yield f"{task['name']}:long", score.as_scanned(long, np.asarray(long_scan, float), context)


def _of_rows(path: Path) -> Iterator[tuple[str, LRCurve]]:
    for row in json.loads(gzip.decompress(path.read_bytes())):
        for number, scan in enumerate(row["scans"]):
            yield f"{row['name']}:{number}", LRCurve.from_dict(scan)


def recorded() -> dict[str, LRCurve]:
    """Returns all recorded scans by name: the benchmark, the task or condition, and the number of the scan."""
    sources: dict[str, Iterable[tuple[str, LRCurve]]] = {
        "suggestions": _of_suggestions(),
        "causes": _of_rows(BENCHMARKS / "causes" / "scans.json.gz"),
        "finetuning": _of_rows(BENCHMARKS / "finetuning" / "results.json.gz"),
    }
    return {f"{source}:{name}": curve for source, rows in sources.items() for name, curve in rows}


def labeled(path: Path = LABELS) -> list[Labeled]:
    """Returns all labels."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Labeled(
                sample=row["sample"],
                scan=row["scan"],
                weight=float(row["weight"]),
                shape=Shape(row["shape"]),
                also=tuple(Shape(one) for one in row["also"].split()),
            )
            for row in csv.DictReader(file)
        ]
