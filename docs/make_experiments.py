"""Runs the experiments of `experiments.md`, draws their pictures, and writes their explanations into the page.

`python docs/make_experiments.py` runs all of them in a minute or two, `python docs/make_experiments.py contrast` one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import keras
from matplotlib.figure import Figure

from keras_lrscan import contrast_with_scratch, race, repeat_scans, scan_groups
from keras_lrscan.datasets.digits import digits, digits_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
PAGE = HERE / "experiments.md"
NEW_CLASSES = 5
"""The body learns the digits below this one, the new head the others."""


def contrast() -> Any:
    """Contrasts the digits classifier after ten epochs with one from scratch."""
    x, y = digits()
    model = digits_model()
    model.fit(x, y, epochs=10, verbose=0)
    return contrast_with_scratch(model, x, y, verbose=0)


def repeats() -> Any:
    """Scans the fresh digits classifier five times."""
    return repeat_scans(digits_model(), *digits(), num_scans=5, verbose=0)


def groups() -> Any:
    """Scans the layer groups of a body that has learned five digits, under a new head for the other five."""
    (x, y), layers = digits(), keras.layers
    hidden = [layer for size in (64, 64, 32) for layer in (layers.Dense(size, "relu"), layers.BatchNormalization())]
    body = keras.Sequential([keras.Input((64,)), *hidden], name="body")
    known = y < NEW_CLASSES
    before = keras.Sequential([body, layers.Dense(NEW_CLASSES, "softmax")])
    before.compile("adam", "sparse_categorical_crossentropy")
    before.fit(x[known], y[known], epochs=30, verbose=0)
    model = keras.Sequential([body, layers.Dense(10 - NEW_CLASSES, "softmax", name="new_head")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return scan_groups(model, x[~known], y[~known] - NEW_CLASSES, verbose=0)


def rates() -> Any:
    """Races four rates for a digits classifier that was trained on a third of the digits."""
    x, y = digits()
    model = digits_model()
    model.fit(x[:600], y[:600], epochs=10, verbose=0)
    return race(model, x[600:1400], y[600:1400], validation_data=(x[1400:], y[1400:]), verbose=0)


EXPERIMENTS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {"contrast": contrast, "repeats": repeats, "groups": groups, "race": rates}
)
"""Name on the page → the function that runs the experiment."""


def main(names: list[str]) -> None:
    """Runs the named experiments, or all."""
    for name in names or EXPERIMENTS:
        keras.utils.set_random_seed(0)
        result = EXPERIMENTS[name]()
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        result.plot(ax=figure.subplots())
        figure.savefig(HERE / "images" / f"experiment_{name}.png", dpi=100)
        start, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
        text = f"{before}{start}```text\n{result.explain()}```\n{end}{rest.partition(end)[2]}"
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
