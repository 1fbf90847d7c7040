"""Compares the chance level with values computed independently."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.hosts.fit_call import FitCall
from keras_lrscan.hosts.host import Host
from keras_lrscan.inspection.chance_level import FREQUENCIES, TARGETS, Chance, chance_of
from keras_lrscan.inspection.describe import _num_classes
from tests.support.hosts import IS_TF_KERAS, same_bits, state

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.keras,
    # Keras's own code for torch uses an outdated NumPy protocol
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

RANDOM = np.random.default_rng(3)
CODES = RANDOM.choice(4, 1000, p=[0.7, 0.2, 0.06, 0.04])
PRIOR = np.bincount(CODES) / CODES.size
YES = (CODES > 0).astype("float32")[:, None]
AMOUNTS = RANDOM.gamma(2.0, 10.0, size=(1000, 1))
DIRECTIONS = RANDOM.normal(size=(1000, 5)) + 1
WEIGHTS = RANDOM.random(1000)


def entropy(prior: Any, target: Any = None) -> float:
    return float(-np.sum((prior if target is None else target) * np.log(prior)))


def on_a_grid(loss: Callable[[Any, float], Any], labels: Any, low: float, high: float) -> float:
    """Returns the lowest mean loss over a fine grid of constants."""
    return min(float(np.mean(loss(labels, value))) for value in np.linspace(low, high, 2001))


def huber(labels: Any, value: float) -> Any:
    error = np.abs(labels - value)
    return np.where(error < 1, error**2 / 2, error - 0.5)


def focal(labels: Any, value: float) -> Any:
    right = np.where(labels > 0, value, 1 - value)
    return -((1 - right) ** 2) * np.log(right)


def model_for(keras: Any, loss: Any, units: int, activation: str | None = None, **options: Any) -> Any:
    start = keras.layers.InputLayer(input_shape=(8,)) if IS_TF_KERAS else keras.layers.Input((8,))
    model = keras.Sequential([start, keras.layers.Dense(units, activation=activation)])
    model.compile(optimizer="sgd", loss=loss, **options)
    return model


def chance(model: Any, y: Any, **given: Any) -> Chance:
    return chance_of(Host(model), FitCall(y=y, **given))


SMOOTHED = 0.9 * PRIOR + 0.1 / 4
UNIT = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
ONE_HOT = np.eye(4)[CODES]

CASES: dict[str, tuple[Callable[[Any], Any], Any, tuple[int, str | None], float, str]] = {
    "sparse": (lambda _: "sparse_categorical_crossentropy", CODES, (4, "softmax"), entropy(PRIOR), FREQUENCIES),
    "sparse, a column, logits": (
        lambda losses: losses.SparseCategoricalCrossentropy(from_logits=True),
        CODES[:, None],
        (4, None),
        entropy(PRIOR),
        FREQUENCIES,
    ),
    "more outputs than classes": (
        lambda _: "sparse_categorical_crossentropy",
        CODES,
        (9, "softmax"),
        entropy(PRIOR),
        FREQUENCIES,
    ),
    "one-hot": (lambda _: "categorical_crossentropy", ONE_HOT, (4, "softmax"), entropy(PRIOR), FREQUENCIES),
    "label smoothing": (
        lambda losses: losses.CategoricalCrossentropy(label_smoothing=0.1),
        ONE_HOT,
        (4, "softmax"),
        entropy(SMOOTHED),
        FREQUENCIES,
    ),
    "label smoothing, logits": (
        lambda losses: losses.CategoricalCrossentropy(label_smoothing=0.1, from_logits=True),
        ONE_HOT,
        (4, None),
        entropy(SMOOTHED),
        FREQUENCIES,
    ),
    "binary": (
        lambda _: "binary_crossentropy",
        YES[:, 0],
        (1, "sigmoid"),
        entropy([YES.mean(), 1 - YES.mean()]),
        FREQUENCIES,
    ),
    "binary, logits": (
        lambda losses: losses.BinaryCrossentropy(from_logits=True),
        YES.astype(int),
        (1, None),
        entropy([YES.mean(), 1 - YES.mean()]),
        FREQUENCIES,
    ),
    "focal": (
        lambda losses: losses.BinaryFocalCrossentropy(),
        YES,
        (1, "sigmoid"),
        on_a_grid(focal, YES, 0.01, 0.99),
        FREQUENCIES,
    ),
    "focal, logits": (
        lambda losses: losses.BinaryFocalCrossentropy(from_logits=True),
        YES,
        (1, None),
        on_a_grid(focal, YES, 0.01, 0.99),
        FREQUENCIES,
    ),
    "squared": (lambda _: "mse", AMOUNTS, (1, None), float(AMOUNTS.var()), TARGETS),
    "squared, no column": (lambda _: "mse", AMOUNTS[:, 0], (1, None), float(AMOUNTS.var()), TARGETS),
    "absolute": (lambda _: "mae", AMOUNTS, (1, None), float(np.abs(AMOUNTS - np.median(AMOUNTS)).mean()), TARGETS),
    "Huber": (lambda _: "huber", AMOUNTS, (1, None), on_a_grid(huber, AMOUNTS, 0, 40), TARGETS),
    "cosine": (lambda _: "cosine_similarity", DIRECTIONS, (5, None), -float(np.linalg.norm(UNIT.mean(0))), TARGETS),
    "of the user": (
        lambda _: lambda truth, guess: abs(truth - guess) ** 1.5,
        AMOUNTS.astype("float32"),
        (1, None),
        on_a_grid(lambda labels, value: np.abs(labels - value) ** 1.5, AMOUNTS, 0, 40),
        TARGETS,
    ),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", list(CASES))
def test_the_chance_level_is_the_loss_of_the_best_constant(keras: Any, name: str) -> None:
    loss, y, (units, activation), expected, source = CASES[name]
    found = chance(model_for(keras, loss(keras.losses), units, activation), y)
    assert found.note is None
    assert found.loss == pytest.approx(expected, rel=2e-3)
    assert found.source == source


def test_sample_weights_count(keras: Any) -> None:
    mean = np.average(AMOUNTS[:, 0], weights=WEIGHTS)
    expected = np.mean(WEIGHTS * (AMOUNTS[:, 0] - mean) ** 2)
    assert chance(model_for(keras, "mse", 1), AMOUNTS, sample_weight=WEIGHTS).loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.one_backend
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_class_weights_count(keras: Any, loss: str) -> None:
    by_class = {0: 0.5, 1: 1.0, 2: 3.0, 3: 4.0}
    share = PRIOR * list(by_class.values())
    found = chance(
        model_for(keras, loss, 4, "softmax"),
        CODES if loss.startswith("sparse") else ONE_HOT,
        class_weight=by_class,
    )
    assert found.loss == pytest.approx(entropy(share / share.sum()) * share.sum(), rel=2e-3)


@pytest.mark.one_backend
def test_loss_weights_count(keras: Any) -> None:
    assert chance(model_for(keras, "mse", 1, loss_weights=[2.0]), AMOUNTS).loss == pytest.approx(2 * AMOUNTS.var())


@pytest.mark.one_backend
def test_with_loss_weights_the_number_of_classes_does_not_tell_the_unit(keras: Any) -> None:
    name = "sparse_categorical_crossentropy"
    assert _num_classes(model_for(keras, name, 4, "softmax"), name) == 4
    assert _num_classes(model_for(keras, name, 4, "softmax", loss_weights=[2.0]), name) is None


@pytest.mark.parametrize("by_name", [True, False])
def test_the_losses_of_several_outputs_are_added(keras: Any, *, by_name: bool) -> None:
    start = keras.Input((8,))
    outputs = [keras.layers.Dense(4, activation="softmax", name="a")(start), keras.layers.Dense(1, name="b")(start)]
    model = keras.Model(start, outputs)
    losses, factors, labels = ["sparse_categorical_crossentropy", "mse"], [1.0, 0.5], [CODES, AMOUNTS]
    first, second, third = (dict(zip("ab", values, strict=True)) for values in (losses, factors, labels))
    options = {"loss": first, "loss_weights": second} if by_name else {"loss": losses, "loss_weights": factors}
    model.compile(optimizer="sgd", **options)
    found = chance(model, third if by_name else labels)
    assert found.loss == pytest.approx(entropy(PRIOR) + 0.5 * AMOUNTS.var(), rel=1e-4)


def language_model(keras: Any, *, masked: bool) -> Any:
    start = keras.layers.InputLayer(input_shape=(20,)) if IS_TF_KERAS else keras.layers.Input((20,))
    model = keras.Sequential(
        [start, keras.layers.Embedding(3000, 4, mask_zero=masked), keras.layers.Dense(3000, activation="softmax")]
    )
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.one_backend
def test_a_language_model_guesses_by_how_often_tokens_occur(keras: Any) -> None:
    tokens = np.minimum(np.random.default_rng(0).zipf(1.5, size=(600, 20)), 3000) - 1
    prior = np.unique(tokens, return_counts=True)[1] / tokens.size
    assert chance(language_model(keras, masked=False), tokens).loss == pytest.approx(entropy(prior), rel=5e-3)


@pytest.mark.one_backend
def test_an_image_to_image_model_guesses_the_mean_image(keras: Any) -> None:
    images = np.random.default_rng(0).random((300, 4, 4, 1)) * np.arange(4)[:, None, None]
    start = keras.Input((4, 4, 1))
    model = keras.Model(start, keras.layers.Conv2D(1, 3, padding="same")(start))
    model.compile(optimizer="sgd", loss="mse")
    assert chance(model, images).loss == pytest.approx(images.var(0).mean(), rel=1e-4)


@pytest.mark.one_backend
def test_a_subclassed_model_that_does_not_know_its_shape_is_told_by_its_labels(keras: Any) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4, activation="softmax")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Own()
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    model(np.zeros((2, 8), "float32"))
    assert chance(model, CODES).loss == pytest.approx(entropy(PRIOR), rel=2e-3)


def test_tensors_are_labels_too(keras: Any) -> None:
    if IS_TF_KERAS:
        import tensorflow as tf

        tensor = tf.constant(CODES)
    else:
        tensor = keras.ops.convert_to_tensor(CODES)
    found = chance(model_for(keras, "sparse_categorical_crossentropy", 4, "softmax"), tensor)
    assert found.loss == pytest.approx(entropy(PRIOR), rel=2e-3)


@pytest.mark.one_backend
def test_of_many_labels_a_part_is_counted_that_repeats_no_pattern(keras: Any) -> None:
    codes = np.tile(np.arange(4), 700_000)
    found = chance(model_for(keras, "sparse_categorical_crossentropy", 4, "softmax"), codes)
    assert found.loss == pytest.approx(np.log(4), rel=2e-3)


def fails(truth: Any, guess: Any) -> Any:
    msg = "not this one"
    raise RuntimeError(msg)


UNKNOWN: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "a sum": (lambda losses: losses.MeanSquaredError(reduction="sum"), AMOUNTS, "not an average over the batch"),
    "labels all alike": (lambda _: "mse", AMOUNTS * 0, "all equal"),
    "NaN among them": (lambda _: "mse", np.where(AMOUNTS > 30, np.nan, AMOUNTS), "not finite"),
    "words": (lambda _: "mse", np.array([["a"], ["b"]]), "raised ValueError"),
    "lists": (lambda _: "mse", [1.0, 2.0], "raised ValueError"),
    "another shape": (lambda _: "mse", np.zeros((10, 3, 2)), "does not match the output shape"),
    "a loss that raises": (lambda _: fails, AMOUNTS, "not this one"),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", list(UNKNOWN))
def test_what_the_labels_do_not_tell_is_said_in_a_note(keras: Any, name: str) -> None:
    loss, y, words = UNKNOWN[name]
    found = chance(model_for(keras, loss(keras.losses), 1), y)
    assert (found.loss, found.source) == (None, None)
    assert found.note is not None
    assert words in found.note


@pytest.mark.one_backend
def test_labels_of_one_class_tell_nothing(keras: Any) -> None:
    found = chance(model_for(keras, "sparse_categorical_crossentropy", 4, "softmax"), CODES * 0)
    assert found.loss is None
    assert "all belong to one class" in str(found.note)


@pytest.mark.one_backend
def test_a_model_that_masks_steps_is_left_alone(keras: Any) -> None:
    found = chance(language_model(keras, masked=True), np.ones((10, 20), int))
    assert found.loss is None
    assert "masks some of them" in str(found.note)


@pytest.mark.one_backend
def test_a_step_of_the_model_s_own_is_left_alone(keras: Any) -> None:
    class Own(keras.Sequential):  # type: ignore[misc]
        def train_step(self, *args: Any, **options: Any) -> Any:
            return super().train_step(*args, **options)

    model = Own([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    assert "overrides `train_step`" in str(chance(model, AMOUNTS).note)


@pytest.mark.one_backend
def test_without_labels_in_memory_nothing_is_known_and_nothing_is_looked_at(keras: Any) -> None:
    model = model_for(keras, "mse", 1)
    assert chance(model, None, x=iter([])) == Chance()
    assert chance_of(Host(model), FitCall()) == Chance()


def test_models_and_random_states_stay_as_they_are(keras: Any) -> None:
    def draws(truth: Any, guess: Any) -> Any:
        noise = float(np.random.random()) + random.random()
        return abs(truth - guess) + noise

    model = model_for(keras, draws, 1)
    before = state(model)
    np.random.seed(1)
    random.seed(1)
    assert chance(model, AMOUNTS.astype("float32")).note is None
    drawn = np.random.random(), random.random()
    np.random.seed(1)
    random.seed(1)
    assert drawn == (np.random.random(), random.random())
    assert same_bits(before, state(model))


RIGHT: dict[str, tuple[Callable[[Any], Any], Any, int, float]] = {
    "probabilities": (lambda k: k.losses.SparseCategoricalCrossentropy(), CODES, 4, 0.0),
    "probabilities taken for logits": (
        lambda k: k.losses.SparseCategoricalCrossentropy(from_logits=True),
        CODES,
        4,
        float(np.log1p(3 / np.e)),
    ),
    "one-hot": (lambda k: k.losses.CategoricalCrossentropy(), np.eye(4)[CODES], 4, 0.0),
    "yes or no, taken for logits": (
        lambda k: k.losses.BinaryCrossentropy(from_logits=True),
        YES,
        1,
        float(np.mean(np.where(YES > 0, np.log1p(1 / np.e), np.log(2)))),
    ),
    "a large vocabulary": (lambda k: k.losses.SparseCategoricalCrossentropy(), CODES, 50_000, 0.0),
}


@pytest.mark.one_backend
@pytest.mark.one_backend
@pytest.mark.parametrize("name", RIGHT)
def test_what_right_answers_cost(keras: Any, name: str) -> None:
    make, labels, units, expected = RIGHT[name]
    found = chance(model_for(keras, make(keras), units), labels)
    assert found.perfect == pytest.approx(expected, abs=0.03)


@pytest.mark.one_backend
def test_right_answers_to_amounts_are_not_asked_for(keras: Any) -> None:
    assert chance(model_for(keras, "mse", 1), AMOUNTS).perfect is None


@pytest.mark.one_backend
@pytest.mark.skipif(IS_TF_KERAS, reason="tf_keras has no CTC loss")
def test_ctc_is_neither_a_sum_nor_has_it_a_chance_level(keras: Any) -> None:
    model = keras.Sequential([keras.layers.Input((6, 5)), keras.layers.Dense(4, activation="softmax")])
    model.compile(optimizer="sgd", loss=keras.losses.CTC())
    labels = RANDOM.integers(1, 4, size=(64, 3))
    chance = chance_of(Host(model), FitCall(y=labels))
    assert (chance.loss, chance.adds_up) == (None, None)
    assert chance.note is not None
    assert "neither the sum nor the mean" in chance.note
