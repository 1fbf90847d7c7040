"""Records one real scan for each shape, as the pages of `docs/shapes` show them: `python docs/record_curves.py`.

All are scans by `LRScan` of small Keras models on the digits that come with scikit-learn. Each recipe is a mistake or a
situation of its own; the script fails when the scan does not get the shape that its page is about.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_lrscan import LRCurve, analyze, lr_scan
from keras_lrscan.demo import digits
from keras_lrscan.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Data = tuple[Any, Any]

CURVES = Path(__file__).parent / "curves"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one scan comes about.

    Attributes:
        says: What was scanned, for the caption.
        model: Returns a compiled model.
        data: Returns inputs and targets.
        epochs: Epochs of training before the scan.
        options: Options of `lr_scan`.
    """

    says: str
    model: Callable[[], Any]
    data: Callable[[], Data] = digits
    epochs: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


def classifier(*, optimizer: Any = "adam", width: int = 64, depth: int = 2) -> Any:  # noqa: ANN401
    """Returns a dense classifier of ten classes."""
    hidden = [keras.layers.Dense(width, activation="relu") for _ in range(depth)]
    model = keras.Sequential([keras.Input((64,)), *hidden, keras.layers.Dense(10, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def regression(*hidden: int) -> Any:  # noqa: ANN401
    """Returns a regression under plain gradient descent."""
    layers = [keras.layers.Dense(width, activation="tanh") for width in hidden]
    model = keras.Sequential([keras.Input((64,)), *layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    return model


def shuffled_labels() -> Data:
    """Returns the digits with labels that do not belong to them."""
    x, y = digits()
    return x, np.random.default_rng(0).permutation(y)


def unscaled() -> Data:
    """Returns the digits from 0 to 300, with the number they show as the target."""
    x, y = digits()
    return 300 * x, y - 4.5


def unscaled_images() -> Data:
    """Returns the digits from 0 to 300."""
    x, y = digits()
    return 300 * x, y


def outlying_targets() -> Data:
    """Returns the digits with the number they show as the target, and now and then a target far off."""
    x, y = digits()
    return x, y - 4.5 + 5 * np.random.default_rng(0).standard_t(1.5, len(y))


def noisier_and_noisier() -> Data:
    """Returns the digits with noise that grows from the first to the last."""
    x, y = digits()
    growing = np.linspace(0, 0.35, len(x))[:, None]
    return x + growing * np.random.default_rng(0).standard_normal(x.shape), y


RECIPES: Mapping[str, Recipe] = {
    Shape.U_SHAPED: Recipe(says="a fresh dense classifier of digits under Adam", model=classifier),
    Shape.MONOTONE_FROM_PRETRAINED: Recipe(
        says="the same classifier, already trained for ten epochs", model=classifier, epochs=10
    ),
    Shape.NOISY: Recipe(
        says="a regression in batches of four whose targets are now and then far off",
        model=lambda: regression(16),
        data=outlying_targets,
        options={"batch_size": 4, "end_lr": 0.05},
    ),
    Shape.FLAT_AT_CHANCE: Recipe(
        says="a fresh classifier whose labels were shuffled", model=classifier, data=shuffled_labels
    ),
    Shape.FLAT: Recipe(
        says="a classifier under plain gradient descent, scanned to 0.001 only",
        model=lambda: classifier(optimizer=keras.optimizers.SGD(0.01)),
        options={"end_lr": 1e-3},
    ),
    Shape.STILL_FALLING: Recipe(
        says="a fresh classifier under Adam, scanned to 0.005 only",
        model=classifier,
        options={"num_steps": 300, "end_lr": 5e-3},
    ),
    Shape.DIVERGES_AT_ONCE: Recipe(
        says="a linear regression on inputs from 0 to 300, scanned from 1e-5",
        model=regression,
        data=unscaled,
        options={"start_lr": 1e-5},
    ),
    Shape.VALLEY_THEN_PLATEAU: Recipe(
        says="a fresh classifier of three wide layers in batches of 64 under Adam",
        model=lambda: classifier(width=128, depth=3),
        options={"num_steps": 400, "batch_size": 64},
    ),
    Shape.SEVERAL_VALLEYS: Recipe(
        says="a fresh classifier on inputs from 0 to 300 under plain gradient descent",
        model=lambda: classifier(optimizer=keras.optimizers.SGD(0.01)),
        data=unscaled_images,
        options={"num_steps": 200},
    ),
    Shape.UPWARD_DRIFT: Recipe(
        says="a trained classifier on data that get noisier from batch to batch, unshuffled",
        model=lambda: classifier(optimizer=keras.optimizers.SGD(0.01)),
        data=noisier_and_noisier,
        epochs=20,
        options={"num_steps": 112, "batch_size": 16, "end_lr": 1e-3, "shuffle": False},
    ),
    Shape.TOO_SHORT: Recipe(says="a fresh classifier, 20 batches", model=classifier, options={"num_steps": 20}),
    Shape.UNCLEAR: Recipe(
        says="a regression in batches of eight whose targets are now and then far off",
        model=lambda: regression(16),
        data=outlying_targets,
        options={"batch_size": 8, "end_lr": 1.0},
    ),
}
"""Shape → how its example is recorded."""


def record(shape: str) -> LRCurve:
    """Runs one scan."""
    recipe = RECIPES[shape]
    keras.utils.set_random_seed(0)
    x, y = recipe.data()
    model = recipe.model()
    model.fit(*digits(), epochs=recipe.epochs, verbose=0)
    curve = lr_scan(model, x, y, verbose=0, **recipe.options).curve
    return dataclasses.replace(curve, context=dataclasses.replace(curve.context, notes=(recipe.says,)))


if __name__ == "__main__":
    for name in sys.argv[1:] or RECIPES:
        curve = record(name)
        verdict = analyze(curve).verdict
        sys.stdout.write(f"{name:26} {verdict.shape:26} {verdict.confidence:.2f} {verdict.start_state}\n")
        if verdict.shape != name:
            sys.exit(f"Expected a scan of shape {name!r}. Received: {str(verdict.shape)!r}.")
        curve.to_json(CURVES / f"{name}.json")
