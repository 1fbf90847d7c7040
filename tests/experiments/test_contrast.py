"""Tests the comparison of a model with the same architecture trained from scratch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, ScanError
from keras_lrscan.experiments.contrast import MEANINGS, Contrast, contrast_with_scratch
from keras_lrscan.hosts.fresh_weights import FreshWeights, renew_optimizer
from keras_lrscan.hosts.host import Host
from tests.support.hosts import IS_TF_KERAS, array_of, classifier, compiled, digits, same_bits, state, weights

if TYPE_CHECKING:
    from pathlib import Path

RATES = np.logspace(-6, 0, 80)
X = np.log10(RATES)


@functools.cache
def reading(*, start: float = 2.3, fall: float = 0.0, wall: float = -1.0, trained: float = 1.0) -> Analysis:
    """Analyzes a curve that starts at a level, may fall, and rises at a rate."""
    return analyze(curve(start=start, fall=fall, wall=wall, trained=trained))


def curve(*, start: float = 2.3, fall: float = 0.0, wall: float = -1.0, trained: float = 1.0) -> LRCurve:
    """Returns a curve that starts at a level, may fall, and rises at a rate."""
    loss = start - fall / (1 + 10.0 ** (-3 * (X - wall + 1.5))) + 10.0 ** (4 * (X - wall))
    noise = 0.01 * np.random.default_rng(0).normal(size=RATES.size)
    used = int(trained)
    context = ScanContext(
        loss_name="sparse_categorical_crossentropy",
        num_classes=10,
        optimizer_iterations=used,
        num_used_layers=used,
        head_is_untrained=not used,
    )
    return LRCurve(lr=RATES, loss=np.minimum(loss + noise, 50), context=context)


FRESH: dict[str, float] = {"start": 2.3, "fall": 1.5}
PAIRS: list[tuple[str, dict[str, float], dict[str, float]]] = [
    ("given-flat scratch-falls starts-lower", {"start": 0.1}, FRESH),
    ("given-falls scratch-falls starts-lower", {"start": 1.2, "fall": 0.9}, FRESH),
    ("ends-lower scratch-falls starts-alike", {"start": 2.3, "fall": 2.0}, FRESH),
    ("ends-alike scratch-falls starts-alike", FRESH, FRESH),
    ("ends-higher scratch-falls starts-alike", {"start": 2.3, "fall": 0.5}, FRESH),
    ("fresh", {**FRESH, "trained": 0.0}, FRESH),
    ("old-head starts-higher worse-than-chance", {"start": 4.0, "fall": 2.0}, FRESH),
    ("given-flat scratch-flat starts-lower", {"start": 0.1}, {"start": 2.3}),
    ("given-flat scratch-flat starts-alike", {"start": 2.3}, {"start": 2.3}),
    ("breaks-alike", {"start": 0.1}, FRESH),
    ("breaks-sooner", {"start": 0.1, "wall": -2.5}, FRESH),
    ("breaks-later", {"start": 2.3, "fall": 1.5, "wall": -0.5}, {**FRESH, "wall": -2.0}),
]


def contrast(given: dict[str, float], scratch: dict[str, float] | None) -> Contrast:
    anew = None if scratch is None else reading(**scratch)
    return Contrast(given=reading(**given), scratch=anew, notes=("A note.",))


@pytest.mark.parametrize(("when", "given", "scratch"), PAIRS, ids=[when for when, _, _ in PAIRS])
def test_each_meaning_is_said_where_it_holds_and_not_elsewhere(
    when: str, given: dict[str, float], scratch: dict[str, float]
) -> None:
    meaning = next(item for item in MEANINGS if item.when == frozenset(when.split()))
    said = " ".join(contrast(given, scratch).explain().split())
    assert meaning.says in said
    others = [contrast(*pair[1:]).explain() for pair in PAIRS if pair[0] != when]
    assert not all(meaning.says in " ".join(other.split()) for other in others)


def test_every_meaning_has_a_pair_of_curves() -> None:
    assert {meaning.when for meaning in MEANINGS} == {frozenset(when.split()) for when, _, _ in PAIRS}


def test_a_start_that_changes_nothing_is_said_to_change_nothing() -> None:
    same = contrast(FRESH, FRESH)
    assert not any(difference.changed for difference in same.differences)
    assert "None that one scan of each could show." in same.explain()


def test_what_changed_has_its_numbers() -> None:
    differences = {item.name: item for item in contrast({"start": 0.1, "wall": -2.5}, FRESH).differences}
    assert differences["start"].given == pytest.approx(0.1, abs=0.02)
    assert differences["start"].scratch == pytest.approx(2.3, abs=0.02)
    assert {name for name, item in differences.items() if item.changed} == set(differences)


@pytest.mark.parametrize("scratch", [FRESH, None])
def test_a_contrast_survives_a_file(tmp_path: Path, scratch: dict[str, float] | None) -> None:
    kept = contrast({"start": 0.1}, scratch)
    kept.save(tmp_path / "contrast.json")
    assert Contrast.load(tmp_path / "contrast.json").explain() == kept.explain()


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidCurveError, match="kind 'contrast'"):
        Contrast.from_dict(reading().to_dict())


def test_the_picture_has_both_curves() -> None:
    pytest.importorskip("matplotlib")
    labels = contrast({"start": 0.1}, FRESH).plot().get_legend_handles_labels()[1]
    assert {"from scratch", "model as given"} <= set(labels)
    assert "from scratch" not in contrast(FRESH, None).plot().get_legend_handles_labels()[1]


def test_a_scan_without_a_finite_loss_is_drawn_beside_another() -> None:
    pytest.importorskip("matplotlib")
    broken = analyze(LRCurve(lr=RATES, loss=np.full(RATES.size, np.nan)))
    ax = Contrast(given=broken, scratch=reading(**FRESH), notes=()).plot()
    alone = Contrast(given=reading(**FRESH), scratch=None, notes=()).plot()
    assert ax.get_ylim() == alone.get_ylim()


def nested(keras: Any) -> Any:
    """Builds a model with a nested model, a shared layer, batch normalization, and a frozen layer."""
    layers = keras.layers
    keras.utils.set_random_seed(1)
    inner = keras.Sequential([layers.Dense(6, activation="relu"), layers.BatchNormalization()])
    shared, x = layers.Dense(6), keras.Input((8,))
    frozen = layers.Dense(8, trainable=False)
    y = shared(inner(frozen(x)))
    return keras.Model(x, layers.Dense(10, "softmax")(layers.Dropout(0.1)(shared(y))))


def subclassed(keras: Any) -> Any:
    """Builds a model that `clone_model` cannot clone, with recurrent layers and an embedding."""

    class Tagger(keras.Model):  # type: ignore[misc]
        def __init__(self, kind: object) -> None:
            super().__init__()
            self.kind = kind
            self.embed = keras.layers.Embedding(20, 4)
            self.stack = [keras.layers.Bidirectional(keras.layers.LSTM(3)), keras.layers.Dense(10, "softmax")]

        def call(self, inputs: Any) -> Any:
            y = self.embed(inputs)
            for layer in self.stack:
                y = layer(y)
            return y

    keras.utils.set_random_seed(1)
    return Tagger(object())


def words(number: int = 200) -> tuple[Any, Any]:
    return np.random.default_rng(0).integers(0, 20, (number, 5)), digits(number)[1]


@pytest.mark.keras
@pytest.mark.parametrize("build", [nested, subclassed])
def test_every_weight_gets_a_value_it_could_have_started_from(keras: Any, build: Any) -> None:
    x, _ = digits(64) if build is nested else words(64)
    model, fresh = (compiled(keras, model=build(keras)) for _ in range(2))
    for one in (model, fresh):
        one(x)
    for weight in model.weights:
        weight.assign(array_of(weight) + 1.0)
    FreshWeights(Host(model)).draw()
    for new, first in zip(model.weights, fresh.weights, strict=True):
        values, started = array_of(new), array_of(first)
        if np.unique(started).size <= 2:  # zeros, ones, and a bias of zeros with ones for the forget gate
            np.testing.assert_array_equal(values, started)
        else:
            assert not np.isin(values, started).any()
            assert np.ptp(values) == pytest.approx(np.ptp(started), rel=0.6)


@pytest.mark.keras
def test_two_draws_differ(keras: Any) -> None:
    fresh = FreshWeights(Host(model := compiled(keras)))
    draws = []
    for _ in range(2):
        fresh.draw()
        draws.append(weights(model))
    assert not same_bits(*draws)


@pytest.mark.keras
def test_what_adapts_to_the_data_is_left_alone(keras: Any) -> None:
    norm = keras.layers.Normalization()
    norm.adapt(digits()[0])
    model = compiled(keras, model=keras.Sequential([norm, keras.layers.Dense(10, "softmax")]))
    model.build((None, 8))
    before = [array_of(variable) for variable in norm.variables]
    FreshWeights(Host(model)).draw()
    assert same_bits(before, [array_of(variable) for variable in norm.variables])


@pytest.mark.keras
def test_weights_without_an_initializer_are_named_and_another_model_can_give_them(keras: Any) -> None:
    class Odd(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, size: object) -> None:
            super().__init__()
            self.size = size

        def build(self, _shape: Any) -> None:
            self.odd_weight = self.add_weight(shape=(8, 10), initializer="glorot_uniform", name="odd_weight")
            self.built = True

        def call(self, inputs: Any) -> Any:
            return keras.activations.softmax(inputs @ self.odd_weight)

        def get_config(self) -> Any:
            raise NotImplementedError

    def build() -> Any:
        model = compiled(keras, model=keras.Sequential([Odd(object())]))
        model.build((None, 8))
        return model

    model = build()
    before = weights(model)
    with pytest.raises(ScanError, match=r"1 weights? without either: .*odd_weight"):
        contrast_with_scratch(model, *digits(), num_steps=8, verbose=0)
    assert same_bits(before, weights(model))
    other = build()
    FreshWeights(Host(model), scratch=lambda: other).draw()
    assert same_bits(weights(model), weights(other))
    with pytest.raises(ScanError, match="same architecture"):
        FreshWeights(Host(model), scratch=lambda: compiled(keras)).draw()
    with pytest.raises(ScanError, match="model itself"):
        FreshWeights(Host(model), scratch=lambda: model).draw()
    with pytest.raises(InvalidOptionError, match=r"Argument `scratch` must be a function.*Received: scratch=3"):
        contrast_with_scratch(model, *digits(), scratch=3, verbose=0)  # type: ignore[arg-type]


@pytest.mark.keras
@pytest.mark.parametrize("name", [pytest.param("SGD", marks=pytest.mark.one_host), "Adam", "Adagrad"])
def test_a_renewed_optimizer_is_that_of_a_new_model(keras: Any, name: str) -> None:
    options = {"momentum": 0.9} if name == "SGD" else {}
    used, new = (compiled(keras, getattr(keras.optimizers, name)(0.05, **options)) for _ in range(2))
    new.train_on_batch(*digits(8))  # creates the slots
    renew_optimizer(Host(new))
    used.fit(*digits(), verbose=0)
    renew_optimizer(Host(used))
    assert same_bits(state(used)[len(weights(used)) :], state(new)[len(weights(new)) :])
    used_rate = float(array_of(used.optimizer.learning_rate))
    assert used_rate == pytest.approx(0.05)


@pytest.mark.one_backend
@pytest.mark.keras
def test_a_contrast_tells_a_trained_model_from_a_fresh_one_and_leaves_no_trace(keras: Any) -> None:
    x, y = digits(400)
    model = compiled(keras, keras.optimizers.Adam(1e-2), model=classifier(keras, rich=not IS_TF_KERAS))
    model.fit(x, y, epochs=6, verbose=0)
    before = state(model)
    found = contrast_with_scratch(model, x, y, start_lr=1e-5, end_lr=10, num_steps=60, batch_size=32, verbose=0)
    assert same_bits(before, state(model))
    assert found.scratch is not None
    start = {item.name: item for item in found.differences}["start"]
    assert start.changed
    assert start.given is not None
    assert start.given < 1.0 < (start.scratch or 0)
    assert found.given.curve.context.optimizer_iterations == found.scratch.curve.context.optimizer_iterations == 0
