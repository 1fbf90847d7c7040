"""Fuzzes the analysis with odd curves, each of which must be analyzed or rejected with a clear error.

`python -W error benchmarks/fuzz_curves.py` creates 20,000 random curves: of any length, at any scale from 1e-320 to
1e308, constant, with NaN and infinities, of integers, complex numbers, strings and objects, with odd learning rates and
contexts. It analyzes, explains, describes, saves and loads each one and prints a table of outcomes. The exit status is
1 if a curve raises anything except an error of this package, or differs after loading.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fuzzing import attempt, run

from keras_lrscan import Analysis, LRCurve, ScanContext, StopReason, analyze, describe_plot, load
from keras_lrscan.curves.context import CONTEXT_MEASURES
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.errors import LRScanError
from keras_lrscan.reading.smoothing import SMOOTHERS
from keras_lrscan.suggestions.search_range import RangeKind
from keras_lrscan.suggestions.suggest import SUGGESTION_METHODS, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    Draw = np.random.Generator

NUM_COPIES = 3
"""Number of copies that vote on the shape. A few are enough to trigger errors."""
EXTREMES = (0.0, -0.0, 5e-324, 1e-310, 1e-200, 1e-100, 1e-30, 1.0, 1e30, 1e99, 1e100)
TOO_LARGE = (1.1e100, 1e150, 1e308)
NOT_FINITE = (np.nan, np.inf, -np.inf)
LOSS_NAMES = (None, "sparse_categorical_crossentropy", "binary_crossentropy", "mean_squared_error")
ODD_VALUES = (10**5000, 10**400, 10**30, 1j, None, "1.0", "nan", b"1", True, [1.0], {}, np.datetime64("2026-11-28"))


def losses(rng: Draw, size: int) -> np.ndarray:
    """Draws losses of a random kind and scale."""
    kind = rng.integers(8)
    if kind == 0:
        shape = rng.choice(list(SYNTHETIC_LOSSES))
        whole = synthetic_curve(str(shape), num_steps=max(2, size), noise=float(rng.choice([0, 0.02, 0.3])))
        found = np.resize(whole.loss, size)
    elif kind == 1:
        found = np.full(size, rng.choice(EXTREMES))
    elif kind == 2:
        found = rng.choice(EXTREMES, size) * rng.choice([-1, 1], size)
    elif kind == 3:
        found = 10.0 ** rng.uniform(-100, 100, size) * rng.choice([-1, 1], size)
    elif kind == 4:
        found = np.cumsum(rng.standard_normal(size))
    elif kind == 5:
        found = np.linspace(*rng.uniform(-5, 5, 2), size) + rng.choice([0, 1e-15, 0.1]) * rng.standard_normal(size)
    elif kind == 6:
        found = np.where(np.arange(size) < size * rng.random(), rng.uniform(0, 3), rng.choice(EXTREMES))
    else:
        found = np.expm1(np.linspace(0, rng.uniform(0, 250), size))
    if rng.random() < 0.3:
        with np.errstate(all="ignore"):
            found = found * rng.choice([*EXTREMES, *TOO_LARGE] if rng.integers(4) == 0 else EXTREMES)
    if size and rng.random() < 0.3:
        found = found.copy()
        found[rng.integers(size) if rng.integers(2) else slice(rng.integers(size), None)] = rng.choice(NOT_FINITE)
    return np.asarray(found)


def rates(rng: Draw, size: int) -> np.ndarray:
    """Draws learning rates, most of them increasing."""
    kind = rng.integers(24)
    if kind == 0:
        return rng.choice([*EXTREMES, *TOO_LARGE], size)
    if kind == 1:
        return np.sort(10.0 ** rng.uniform(-320, 300, size))
    if kind == 2:
        return 1e-3 + np.arange(size) * np.spacing(1e-3)
    if kind == 3:
        return np.linspace(-7, 1, size)
    low = rng.uniform(-12, 1) if rng.random() < 0.8 else rng.uniform(-101, 90)
    return np.logspace(low, low + 10.0 ** (rng.uniform(-8, 1.2) if rng.integers(3) == 0 else 0.9), size)


def context(rng: Draw) -> dict[str, Any]:
    """Draws the context of a run, with plausible and implausible values."""
    known: dict[str, Any] = {"loss_name": LOSS_NAMES[rng.integers(len(LOSS_NAMES))]}
    share = float(rng.choice([0.0, 0.1, 0.5]))
    for item in dataclasses.fields(ScanContext):
        if item.name not in CONTEXT_MEASURES or rng.random() >= share:
            continue
        if item.type == "float | None":
            known[item.name] = float(rng.choice([*EXTREMES, *NOT_FINITE, *TOO_LARGE, -1.0, *rng.uniform(0, 3, 9)]))
        if item.name.endswith("_lr") and rng.integers(20):
            known[item.name] = 10.0 ** rng.uniform(-101, 100)
        elif item.type == "int | None":
            known[item.name] = int(rng.choice([*[1, 2, 3, 7, 32, 100] * 30, 0, -1, 2**62]))
        elif item.type == "bool | None":
            known[item.name] = bool(rng.integers(2))
    if rng.random() < 0.3:
        known["start_metrics"] = {"accuracy": float(rng.choice([*EXTREMES, np.nan]))}
    return known


def arguments(rng: Draw) -> dict[str, Any]:
    """Draws the arguments of a curve, some of them of the wrong type."""
    size = int(rng.choice([0, *range(1, 9), 29, 30, 31, 45, 60, 80, 100, 150, 300, 300]))
    made: dict[str, Any] = {"lr": rates(rng, size), "loss": losses(rng, size), "stop": rng.choice(list(StopReason))}
    if rng.random() < 0.1:
        which = str(rng.choice(["lr", "loss"]))
        odd = ODD_VALUES[rng.integers(len(ODD_VALUES))]
        values = made[which].tolist()
        made[which] = odd if rng.integers(3) == 0 else [*values[:-1], odd]
        if rng.integers(4) == 0:
            made[which] = np.array(values).astype(rng.choice(["complex128", "str", "object", "bool"]))
    return made


def read(rng: Draw, folder: Path) -> str:
    """Creates a curve, exercises all operations on it, and returns the outcome."""
    given, known = arguments(rng), context(rng)
    how = {"smoother": str(rng.choice(SMOOTHERS)), "num_copies": NUM_COPIES}
    try:
        curve = LRCurve(**given, context=ScanContext(**known))
    except LRScanError as error:
        return f"refused: {type(error).__name__}"
    analysis = analyze(curve, **how)  # every valid curve can be analyzed
    use(analysis, ("beginner", "expert") if rng.integers(4) == 0 else ("expert",))
    analysis.save(folder / "scan.json")
    again = load(folder / "scan.json")
    if again.to_dict() != analysis.to_dict():
        msg = "Expected the loaded analysis to equal the saved one."
        raise AssertionError(msg)
    return f"read: {analysis.verdict.shape}"


def use(analysis: Analysis, levels: tuple[str, ...]) -> None:
    """Exercises all methods of an analysis except plots, and explains it at the given levels."""
    for level in levels:
        analysis.explain(level=level)
    analysis.summary()
    describe_plot(analysis)
    for kind in RangeKind:
        analysis.search_range(kind=kind)
    for method in SUGGESTION_METHODS:
        for role in Role:
            analysis.suggest(method=method, role=role)


def fuzz(count: int, *, seed: int = 0, show: int = 3) -> Counter[str]:
    """Analyzes random curves, counts the outcomes, and writes the first unexpected errors to stderr.

    Args:
        count: Number of curves.
        seed: Curve `i` has the seed `(seed, i)`, so it can be reproduced alone.
        show: Number of tracebacks to write for each kind of error.
    """
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            attempt(ends, f"curve {number}", functools.partial(read, rng, Path(folder)), show=show)
    return ends


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table of outcomes and returns 1 if one is unexpected."""
    return run(fuzz, "Fuzzes the analysis with odd curves.", 20_000, argv)


if __name__ == "__main__":
    sys.exit(main())
