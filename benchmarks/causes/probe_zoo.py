"""Probes models with known causes, to measure whether a probe clears the true cause or confirms a false one.

`python benchmarks/causes/probe_zoo.py` builds three models for each cause of `ROWS`, scans them, and runs all probes on
each. It prints every true cause that a probe ruled out, every false cause that a probe confirmed, and how many true
causes were confirmed. The data are those of scikit-learn, so no other package is needed.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import build
import keras
from conditions import Condition, Training
from feeds import FEEDS

from keras_lrscan import LRScan, StopReason, investigate
from keras_lrscan.probes.table import PROBES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ALSO_TRUE", "ROWS", "Probed", "probe"]

NAN = float("nan")
ADAM, MOMENTUM = ("Adam", {}), ("SGD", {"momentum": 0.9})
SMALL = ("mlp", {"units": (32,)})
SORTED = ("in order",)


def row(name: str, data: str, **options: Any) -> Condition:
    """Returns a condition with defaults for what does not matter."""
    return Condition(**{"name": name, "description": "", "data": data, "model": SMALL, "optimizer": ADAM, **options})


ROWS: tuple[Condition, ...] = (
    row("nan-in-data/digits", "digits", changes=(("missing", 20, 5, NAN),), model=("mlp", {"activation": "tanh"})),
    row("nan-in-data/cancer", "breast_cancer", changes=(("missing", 9, 3, float("inf")),), optimizer=MOMENTUM),
    row("nan-in-data/diabetes", "diabetes", changes=(("missing targets", 5, NAN),), fit={"batch_size": 16}),
    row("already-good/digits", "digits", model=("mlp", {}), before=Training(steps=1200)),
    row("already-good/cancer", "breast_cancer", before=Training(steps=900, keeps_optimizer=False)),
    row("already-good/wine", "wine", optimizer=MOMENTUM, before=Training(steps=600, lr=0.02)),
    row("partly-trained/digits", "digits", before=Training(steps=60, lr=1e-3)),
    row("partly-trained/digits-cnn", "digits", model=("cnn", {}), before=Training(steps=200, lr=1e-3)),
    row("partly-trained/diabetes", "diabetes", before=Training(steps=14, lr=3e-3, keeps_optimizer=False)),
    row("fresh-start/digits", "digits"),
    row("fresh-start/cancer", "breast_cancer", optimizer=("SGD", {}), fit={"batch_size": 16}),
    row("fresh-start/diabetes", "diabetes", optimizer=MOMENTUM),
    row("labels-not-reaching-loss/digits", "digits", changes=("permuted",)),
    row("labels-not-reaching-loss/cancer", "breast_cancer", changes=(("moved", 1),), optimizer=MOMENTUM),
    row("labels-not-reaching-loss/diabetes", "diabetes", changes=("permuted",), fit={"batch_size": 64}),
    row("wrong-from-logits/digits", "digits", head=("plain", {"activation": None})),
    row("wrong-from-logits/wine", "wine", head=("double softmax", {}), optimizer=MOMENTUM, fit={"batch_size": 16}),
    row("wrong-from-logits/cancer", "breast_cancer", head=("reshaped", {"activation": "sigmoid"}), loss="logits"),
    row("sum-loss/digits", "digits", loss="sum"),
    row("sum-loss/cancer", "breast_cancer", loss="sum", optimizer=("SGD", {})),
    row("sum-loss/diabetes", "diabetes", loss="summed by hand", optimizer=("RMSprop", {})),
    row("regularization/digits", "digits", model=("mlp", {"units": (128, 64), "kernel_regularizer": ("L2", 0.02)})),
    row("regularization/cancer", "breast_cancer", model=("mlp", {"kernel_regularizer": ("L1", 0.003)})),
    row("regularization/diabetes", "diabetes", model=("mlp", {"kernel_regularizer": ("L2", 0.05)}), optimizer=MOMENTUM),
    row("zero-gradients/digits", "digits", model=("mlp", {"bias_initializer": ("Constant", -10.0)})),
    row("zero-gradients/cancer", "breast_cancer", head=("stepped", {"function": "sign"}), loss="mse"),
    row(
        "zero-gradients/wine",
        "wine",
        model=("mlp", {"kernel_initializer": ("Zeros",)}),
        head=("plain", {"kernel_initializer": ("Zeros",), "use_bias": False}),
        optimizer=MOMENTUM,
    ),
    row("frozen-model/digits", "digits", twist="frozen"),
    row("frozen-model/cancer", "breast_cancer", twist="frozen by name", optimizer=MOMENTUM),
    row("frozen-model/wine", "wine", model=("mlp", {}), twist="frozen kernels"),
    row("ordered-data/digits", "digits", changes=SORTED, fit={"batch_size": 16, "shuffle": False}),
    row("ordered-data/cancer", "breast_cancer", changes=SORTED, feed="dataset", optimizer=MOMENTUM),
    row("ordered-data/wine", "wine", changes=SORTED, feed="generator", fit={"batch_size": 8}),
    row("range-too-low/digits", "digits", optimizer=("SGD", {}), scan={"start_lr": 1e-8, "end_lr": 3e-4}),
    row("range-too-low/cancer", "breast_cancer", scan={"start_lr": 1e-9, "end_lr": 1e-5}),
    row("range-too-low/diabetes", "diabetes", optimizer=MOMENTUM, scan={"start_lr": 1e-7, "end_lr": 1e-4}),
    row("range-too-high/digits", "digits", scan={"start_lr": 1e-2, "end_lr": 100.0}),
    row("range-too-high/cancer", "breast_cancer", optimizer=("RMSprop", {}), scan={"start_lr": 3e-3, "end_lr": 10.0}),
    row("range-too-high/diabetes", "diabetes", optimizer=MOMENTUM, scan={"start_lr": 0.1, "end_lr": 1000.0}),
    row("unscaled-inputs/digits", "digits", changes=("unscaled",)),
    row("unscaled-inputs/cancer", "breast_cancer", changes=("unscaled",), fit={"batch_size": 16}),
    row("unscaled-inputs/wine", "wine", changes=("unscaled",), optimizer=MOMENTUM),
    row("slow-start/digits-tanh", "digits", model=("mlp", {"units": (32,) * 5, "activation": "sigmoid"})),
    row("slow-start/digits-cnn", "digits", model=("cnn", {"filters": (8, 8)}), scan={"num_steps": 60}),
    row("slow-start/digits-sgd", "digits", optimizer=("SGD", {}), scan={"end_lr": 0.1}),
)
"""Three conditions for each of fifteen causes. They are no part of the benchmark of causes."""

FRESH = frozenset({"fresh-start", "slow-start"})
NARROW = frozenset({"range-too-short"})
CUT = NARROW | {"range-too-low"}
ALSO_TRUE: Mapping[str, frozenset[str]] = {
    "range-too-low": NARROW | FRESH,
    "range-too-high": NARROW | FRESH,
    "slow-start": frozenset({"fresh-start", "few-steps-per-decade", "range-too-low", "range-too-short"}),
    "fresh-start": frozenset({"slow-start"}),
    "regularization": FRESH,
    "partly-trained": frozenset({"slow-start"}),
    "unscaled-inputs": frozenset({"catapult", "collapse", "range-too-high"}),
}
"""Cause of a condition → other causes that hold in it too. In all others, only that cause holds.

A healthy model in a faulty scan, or with a penalty, is still healthy. A model that learns within the scan may learn
more in a longer one. `range-too-low` and `range-too-short` hold as well in any scan that reached its last rate without
a rise. With inputs in the hundreds, the first rate already trains, and a larger one leaves units without a gradient, so
the model settles elsewhere, or predicts the same for every sample.
"""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """Holds the causes that the probes settled in one condition.

    Attributes:
        condition: Name of the condition.
        confirmed: Confirmed cause → the probes that confirmed it.
        ruled_out: Cause that was ruled out → the probes that ruled it out.
        evidence: Probe → its evidence.
        is_cut: Whether the scan reached its last rate without a rise, so that the range was too low for this model.
        seconds: Time of the scan and of all probes.
    """

    condition: str
    confirmed: dict[str, list[str]]
    ruled_out: dict[str, list[str]]
    evidence: dict[str, str]
    is_cut: bool
    seconds: float

    @property
    def cause(self) -> str:
        """Name of the true cause."""
        return self.condition.partition("/")[0]

    @property
    def is_cleared(self) -> bool:
        """Whether a probe ruled the true cause out."""
        return self.cause in self.ruled_out

    @property
    def false_ones(self) -> list[str]:
        """Names of the confirmed causes that do not hold."""
        true_ones = ALSO_TRUE.get(self.cause, frozenset()) | (CUT if self.is_cut else frozenset())
        return sorted(set(self.confirmed) - true_ones - {self.cause})


def probe(condition: Condition, names: list[str] | None = None, seed: int = 0) -> Probed:
    """Scans the model of a condition and runs the probes with these names, or all of them."""
    begin = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shop = build.Workshop(condition)
        ready = shop.ready(seed)
        scan = LRScan(verbose=0, **condition.scan)
        ready.model.fit(*ready.args, callbacks=[scan], **ready.options)
        args, _ = FEEDS[condition.feed](shop.data, {**condition.fit, "num_steps": 10 * build.STEPS})
        chosen = [item.name for item in PROBES] if names is None else names
        found = investigate(ready.model, *args, analysis=scan.analysis, probes=chosen, verbose=0)
    confirmed, ruled_out = defaultdict(list), defaultdict(list)
    for result in found.results:
        for settled, causes in ((confirmed, result.confirms), (ruled_out, result.rules_out)):
            for cause in causes:
                settled[cause].append(result.name)
    return Probed(
        condition=condition.name,
        confirmed=dict(confirmed),
        ruled_out=dict(ruled_out),
        evidence={result.name: f"{result.outcome}: {result.evidence}" for result in found.results},
        is_cut=scan.curve.stop == StopReason.END_LR and scan.analysis.features.rise == 0,
        seconds=round(time.monotonic() - begin, 1),
    )


def report(probed: list[Probed]) -> None:
    """Prints how often the probes were right, and each mistake with its evidence."""
    cleared = [one for one in probed if one.is_cleared]
    false_ones = [one for one in probed if one.false_ones]
    confirmed = [one for one in probed if one.cause in one.confirmed and not one.is_cleared]
    print(f"\n{len(probed)} models with {len({one.cause for one in probed})} causes")
    print(f"- true cause ruled out: {len(cleared)}")
    print(f"- false cause confirmed: {len(false_ones)}")
    print(f"- true cause confirmed: {len(confirmed)}")
    for one in cleared:
        print(f"\n{one.condition}: the true cause was ruled out")
        for name in one.ruled_out[one.cause]:
            print(f"  {name}: {one.evidence[name]}")
    for one in false_ones:
        print(f"\n{one.condition}: {', '.join(one.false_ones)} confirmed")
        for name in dict.fromkeys(name for cause in one.false_ones for name in one.confirmed[cause]):
            print(f"  {name}: {one.evidence[name]}")
    print("\nnot confirmed: " + ", ".join(one.condition for one in probed if one not in confirmed))


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="only conditions whose name contains one of these")
    parser.add_argument("--json", type=Path, help="write all answers to this file")
    parser.add_argument("--verbose", type=int, choices=[0, 1], default=1, help="1 prints a line for each condition")
    options = parser.parse_args()
    kept = [item for item in ROWS if any(part in item.name for part in options.only)]
    probed = []
    for number, item in enumerate(kept, start=1):
        keras.utils.clear_session(free_memory=False)
        probed.append(probe(item))
        if options.verbose:
            print(f"{number}/{len(kept)} {item.name} ({probed[-1].seconds:.0f} s)", flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps([asdict(one) for one in probed], indent=1) + "\n", encoding="utf-8")
    report(probed)


if __name__ == "__main__":
    main()
