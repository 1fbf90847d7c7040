"""Tests the facts about arrays given to `fit`: their range, their labels, their order and their duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.hosts.host import Host
from keras_lrscan.inspection.data import Given, array_facts
from tests.support.hosts import poked, stacked

if TYPE_CHECKING:
    from collections.abc import Callable

    Layers = Callable[[Any], list[Any]]

RANDOM = np.random.default_rng(5)


def looked_up(model: Any, x: Any, y: Any = None, **weights: Any) -> dict[str, Any]:
    return array_facts(Host(model), Given(x=x, y=y, **weights))


def part(facts: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Returns the entries of `facts` that `expected` names."""
    return {name: facts.get(name) for name in expected}


PIXELS = RANDOM.integers(0, 256, (200, 6, 6, 1))
TABLE = np.stack([RANDOM.normal(0, 1, 500), RANDOM.normal(5, 1000, 500), np.zeros(500)], axis=1).astype("float32")
CONVOLVED: Layers = lambda k: [k.Conv2D(2, 3), k.Flatten(), k.Dense(1)]  # noqa: E731 - a row of the table below
NO_RANGE = {"input_low": None, "input_high": None, "input_mean": None, "input_std": None}
INPUTS: dict[str, tuple[Any, Layers, dict[str, Any]]] = {
    "pixels": (PIXELS, CONVOLVED, {"input_low": 0, "input_high": 255, "nonfinite_inputs": 0}),
    "pixels as floats": (PIXELS.astype("float32"), CONVOLVED, {"input_low": 0, "input_high": 255}),
    "pixels that the model scales": (PIXELS, lambda k: [k.Rescaling(1 / 255), *CONVOLVED(k)], NO_RANGE),
    "scaled within another layer": (
        PIXELS,
        lambda k: [k.TimeDistributed(k.Rescaling(1 / 255)), *CONVOLVED(k)],
        NO_RANGE,
    ),
    "after augmentation": (PIXELS, lambda k: [k.RandomFlip(), k.Rescaling(1 / 255), *CONVOLVED(k)], NO_RANGE),
    "normalized first": (PIXELS, lambda k: [k.BatchNormalization(), *CONVOLVED(k)], NO_RANGE),
    "normalized later": (PIXELS, lambda k: [k.Conv2D(2, 3), k.BatchNormalization()], {"input_high": 255}),
    "unknown first": (PIXELS, lambda k: [k.Lambda(lambda x: x / 255), *CONVOLVED(k)], NO_RANGE),
    "words": (
        RANDOM.integers(0, 5000, (100, 12)),
        lambda k: [k.Embedding(5000, 2), k.Flatten(), k.Dense(1)],
        {**NO_RANGE, "nonfinite_inputs": 0},
    ),
    "words as floats": (
        RANDOM.integers(0, 5000, (100, 12)).astype("float32"),
        lambda k: [k.Embedding(5000, 2), k.Flatten(), k.Dense(1)],
        NO_RANGE,
    ),
}


@pytest.mark.keras
@pytest.mark.one_backend
@pytest.mark.parametrize("name", INPUTS)
def test_ranges_of_inputs_where_their_size_matters(keras: Any, name: str) -> None:
    x, layers, expected = INPUTS[name]
    assert part(looked_up(stacked(keras, x.shape[1:], layers), x), expected) == expected


@pytest.mark.keras
@pytest.mark.one_backend
def test_columns_of_unlike_size_without_those_that_never_change(keras: Any) -> None:
    facts = looked_up(stacked(keras, (3,), lambda k: [k.Dense(1)]), TABLE)
    assert facts["input_spread_ratio"] == pytest.approx(TABLE[:, 1].std() / TABLE[:, 0].std(), rel=1e-3)
    np.testing.assert_allclose(
        [facts[f"input_{name}"] for name in ("low", "high", "mean", "std")],
        [TABLE.min(), TABLE.max(), TABLE.mean(), TABLE.std()],
        rtol=1e-5,
    )


@pytest.mark.keras
@pytest.mark.one_backend
def test_of_several_inputs_the_largest_measurement_is_told(keras: Any) -> None:
    words, amounts = keras.Input((4,), name="words", dtype="int32"), keras.Input((2,), name="amounts")
    small = keras.Input((2,), name="small")
    layers = keras.layers
    looked = layers.Flatten()(layers.Embedding(9999, 2)(words))
    output = layers.Dense(1)(layers.Concatenate()([looked, layers.Dense(2)(amounts), layers.Dense(2)(small)]))
    model = keras.Model([words, amounts, small], output)
    model.compile(optimizer="sgd", loss="mse")
    parts = {"words": RANDOM.integers(0, 9999, (50, 4)), "amounts": 7 * np.ones((50, 2)), "small": np.ones((50, 2))}
    for x in (parts, list(parts.values()), tuple(parts.values())):
        assert looked_up(model, x)["input_high"] == 7


CODES = RANDOM.choice(4, 1000, p=[0.7, 0.1, 0.1, 0.1])
YES = (CODES > 0).astype("float32")
FOUR: Layers = lambda k: [k.Dense(4, activation="softmax")]  # noqa: E731 - a row of the table below
ONE: Layers = lambda k: [k.Dense(1)]  # noqa: E731 - a row of the table below
MAJORITY = float((CODES == 0).mean())
SPARSE, DENSE = "sparse_categorical_crossentropy", "categorical_crossentropy"
LABELS: dict[str, tuple[Any, Any, Layers, dict[str, Any]]] = {
    "numbers": (SPARSE, CODES, FOUR, {"bad_labels": 0, "majority_share": MAJORITY, "target_mean": None}),
    "numbers in a column": (SPARSE, CODES[:, None], FOUR, {"bad_labels": 0, "majority_share": MAJORITY}),
    "from one to four": (SPARSE, CODES + 1, FOUR, {"bad_labels": float((CODES == 3).mean())}),
    "minus one": (SPARSE, CODES - 1, FOUR, {"bad_labels": MAJORITY}),
    "one-hot": (DENSE, np.eye(4)[CODES], FOUR, {"bad_labels": 0, "majority_share": MAJORITY}),
    "too narrow": (DENSE, np.eye(5)[CODES], FOUR, {"bad_labels": 1}),
    "rows of two ones": (
        DENSE,
        poked(np.eye(4)[CODES], (slice(0, 100), slice(0, 2)), 1.0),
        FOUR,
        {"bad_labels": 0, "multi_label_share": 0.1, "majority_share": None},
    ),
    "halves": (DENSE, poked(np.eye(4)[CODES], (slice(0, 100), slice(0, 4)), 0.5), FOUR, {"bad_labels": 0.1}),
    "yes or no": ("binary_crossentropy", YES, ONE, {"bad_labels": 0, "majority_share": MAJORITY}),
    "several a sample": (
        "binary_crossentropy",
        np.eye(4)[CODES],
        FOUR,
        {"majority_share": None, "multi_label_share": 0},
    ),
    "two a sample": (
        "binary_crossentropy",
        np.eye(4)[CODES] + np.eye(4)[(CODES + 1) % 4],
        FOUR,
        {"multi_label_share": 1},
    ),
    "one or two": ("binary_crossentropy", YES + 1, ONE, {"bad_labels": pytest.approx(1 - MAJORITY)}),
    "lacking": ("binary_crossentropy", poked(YES, slice(0, 50), np.nan), ONE, {"nonfinite_targets": 0.05}),
    "amounts": (
        "mse",
        CODES + 0.5,
        ONE,
        {"target_low": 0.5, "target_high": 3.5, "target_mean": CODES.mean() + 0.5, "majority_share": None},
    ),
    "infinite": ("mae", poked(CODES, 7, np.inf), ONE, {"target_high": 3, "nonfinite_targets": 0.001}),
    "your own loss": (
        lambda y, prediction: (y - prediction) ** 2,
        CODES,
        ONE,
        {"target_low": None, "majority_share": None, "nonfinite_targets": 0},
    ),
}


@pytest.mark.keras
@pytest.mark.one_backend
@pytest.mark.parametrize("name", LABELS)
def test_labels(keras: Any, name: str) -> None:
    loss, y, layers, expected = LABELS[name]
    model = stacked(keras, (8,), layers, loss)
    facts = part(looked_up(model, np.ones((1000, 8), "float32"), y), expected)
    assert facts == pytest.approx(expected)


@pytest.mark.keras
@pytest.mark.one_backend
def test_labels_that_the_loss_leaves_out_are_no_bad_labels(keras: Any) -> None:
    model = stacked(keras, (8,), FOUR, keras.losses.SparseCategoricalCrossentropy(ignore_class=-1))
    assert looked_up(model, np.ones((1000, 8)), np.where(CODES == 0, -1, CODES))["bad_labels"] == 0


ORDERS: dict[str, tuple[Any, float, float]] = {
    "random": (RANDOM.integers(0, 10, 5000), 0.0, 0.05),
    "sorted": (np.repeat(np.arange(10), 500), 0.99, 1.0),
    "sorted, one-hot": (np.eye(10)[np.repeat(np.arange(10), 500)], 0.99, 1.0),
    "in turn": (np.tile(np.arange(10), 500), 0.0, 0.0),
    "in runs of ten": (np.repeat(RANDOM.integers(0, 10, 500), 10), 0.85, 0.95),
}


@pytest.mark.keras
@pytest.mark.one_backend
@pytest.mark.parametrize("name", ORDERS)
def test_how_far_labels_are_sorted(keras: Any, name: str) -> None:
    labels, low, high = ORDERS[name]
    loss = SPARSE if labels.ndim == 1 else DENSE
    model = stacked(keras, (8,), lambda k: [k.Dense(10, activation="softmax")], loss)
    assert low <= looked_up(model, np.ones((5000, 8)), labels)["label_runs"] <= high


RISING = np.arange(1000.0)
AMOUNTS: dict[str, tuple[Any, float, float]] = {
    "random": (RANDOM.normal(size=1000), 0.0, 0.15),
    "sorted": (RISING, 0.99, 1.0),
    "a day after the other": (np.sin(RISING / 10) + 0.3 * RANDOM.normal(size=1000), 0.6, 0.95),
    "up and down": (RISING % 2, 0.0, 0.0),
}


@pytest.mark.keras
@pytest.mark.one_backend
@pytest.mark.parametrize("name", AMOUNTS)
def test_how_far_targets_are_sorted(keras: Any, name: str) -> None:
    targets, low, high = AMOUNTS[name]
    found = looked_up(stacked(keras, (8,), ONE), np.ones((1000, 8)), targets)["label_runs"]
    assert low <= found <= high


SAMPLES = RANDOM.normal(size=(60, 8))
COPIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "all differ": (SAMPLES, np.arange(60) % 4, {"num_distinct_inputs": 60, "contradicting_share": 0}),
    "each five times": (
        np.tile(SAMPLES, (5, 1)),
        np.tile(np.arange(60) % 4, 5),
        {"num_looked_at": 300, "num_distinct_inputs": 60, "contradicting_share": 0},
    ),
    "each with two labels": (
        np.tile(SAMPLES, (2, 1)),
        np.repeat([0, 1], 60),
        {"num_distinct_inputs": 60, "contradicting_share": 0.5},
    ),
    "no inputs at all": (
        np.zeros((400, 8)),
        np.arange(400) % 4,
        {"num_distinct_inputs": 1, "contradicting_share": 0.75},
    ),
    "more than are compared": (np.ones((5000, 8)), np.ones(5000), {"num_looked_at": 1000, "num_distinct_inputs": 1}),
    "no labels": (SAMPLES, None, {"num_distinct_inputs": 60, "contradicting_share": None}),
    "labels of another length": (SAMPLES, np.ones(59), {"num_distinct_inputs": None}),
}


@pytest.mark.keras
@pytest.mark.one_backend
@pytest.mark.parametrize("name", COPIES)
def test_copies_among_the_samples(keras: Any, name: str) -> None:
    x, y, expected = COPIES[name]
    assert part(looked_up(stacked(keras, (8,), FOUR, SPARSE), x, y), expected) == expected


@pytest.mark.keras
@pytest.mark.one_backend
def test_samples_without_weight(keras: Any) -> None:
    model, x = stacked(keras, (8,), FOUR, SPARSE), np.ones((1000, 8))
    assert looked_up(model, x, CODES)["zero_weight_share"] == 0
    assert looked_up(model, x, CODES, sample_weight=1.0 * (CODES > 0))["zero_weight_share"] == MAJORITY
    assert looked_up(model, x, CODES, class_weight={0: 0.0, 1: 1.0})["zero_weight_share"] == MAJORITY
    assert looked_up(model, x, CODES)["mean_weight"] is None
    assert looked_up(model, x, CODES, sample_weight=np.full(CODES.size, 1e-3))["mean_weight"] == pytest.approx(1e-3)
