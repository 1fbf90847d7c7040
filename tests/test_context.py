"""What a scan knows of model, data and run: each field against a model or data for which it is known."""

# ruff: noqa: ANN401 - the hosts' modules, models and data have no types of their own

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import LRCurve, ScanContext
from keras_lrscan.callback import LRScan
from keras_lrscan.data_facts import Given, array_facts
from keras_lrscan.host import Host
from keras_lrscan.settings import loss_settings, optimizer_settings
from keras_lrscan.topology import num_outputs, output_activation
from tests.hosts import IS_TF_KERAS, array_of, classifier, compiled, digits, same_bits, weights

if TYPE_CHECKING:
    from collections.abc import Callable

    Layers = Callable[[Any], list[Any]]

RANDOM = np.random.default_rng(5)
NAMES = st.text("aé_ ", max_size=5)
SHARES = st.floats(0, 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def given_input(keras: Any, shape: tuple[int, ...], dtype: str = "float32") -> Any:
    layers = keras.layers
    return layers.InputLayer(input_shape=shape, dtype=dtype) if IS_TF_KERAS else layers.Input(shape, dtype=dtype)


def stacked(keras: Any, shape: tuple[int, ...], layers: Layers, loss: Any = "mse", dtype: str = "float32") -> Any:
    model = keras.Sequential([given_input(keras, shape, dtype), *layers(keras.layers)])
    model.compile(optimizer="sgd", loss=loss)
    return model


def looked_up(model: Any, x: Any, y: Any = None, **weights: Any) -> dict[str, Any]:
    return array_facts(Host(model), Given(x=x, y=y, **weights))


def part(facts: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Those of `facts` that `expected` names."""
    return {name: facts.get(name) for name in expected}


@given(
    st.builds(
        ScanContext,
        metric_names=st.lists(NAMES, max_size=3).map(tuple),
        start_metrics=st.dictionaries(NAMES, NUMBERS, max_size=3),
        weight_change=st.none() | NUMBERS,
        still_share=st.none() | SHARES,
        bad_labels=st.none() | SHARES,
        input_low=st.none() | NUMBERS,
        num_used_layers=st.none() | st.integers(0, 1000),
        head_is_fresh=st.none() | st.booleans(),
        from_logits=st.none() | st.booleans(),
        shuffled=st.none() | st.booleans(),
        backbone=st.none() | NAMES,
    )
)
def test_json_gives_back_the_same_context(context: ScanContext) -> None:
    curve = LRCurve(lr=[1.0], loss=[2.0], context=context)
    again = LRCurve.from_dict(json.loads(json.dumps(curve.to_dict(), allow_nan=False)))
    assert again.context == context


OPTIMIZERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "nothing set": (lambda o: o.Adam(1e-3), {}),
    "weight decay": (lambda o: o.AdamW(1e-3, weight_decay=0.02), {"weight_decay": 0.02}),
    "norm": (lambda o: o.SGD(0.1, clipnorm=2.0), {"clipnorm": 2.0}),
    "norm of all": (lambda o: o.SGD(0.1, global_clipnorm=3.0), {"global_clipnorm": 3.0}),
    "value": (lambda o: o.RMSprop(0.1, clipvalue=0.5), {"clipvalue": 0.5}),
}
ONLY_KERAS_3: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "wrapped": (lambda o: o.LossScaleOptimizer(o.SGD(0.1, clipnorm=2.0)), {"clipnorm": 2.0}),
    "accumulation": (lambda o: o.Adam(1e-3, gradient_accumulation_steps=4), {"gradient_accumulation_steps": 4}),
}
ONLY_TF_KERAS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "legacy": (lambda o: o.legacy.Adam(1e-3, global_clipnorm=1.5), {"global_clipnorm": 1.5}),
}
OPTIMIZERS |= ONLY_TF_KERAS if IS_TF_KERAS else ONLY_KERAS_3


@pytest.mark.keras
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_of_optimizers(keras: Any, name: str) -> None:
    make, expected = OPTIMIZERS[name]
    settings = optimizer_settings(make(keras.optimizers))
    assert {field: value for field, value in settings.items() if value is not None} == expected


@pytest.mark.keras
@pytest.mark.skipif(not IS_TF_KERAS, reason="only tf_keras has these optimizers")
def test_settings_of_optimizers_that_only_tf_keras_has(keras: Any) -> None:
    wrapped = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1, clipvalue=0.1))
    assert optimizer_settings(wrapped)["clipvalue"] == 0.1
    transformers = pytest.importorskip("transformers.optimization_tf", reason="transformers is not installed")
    decaying = transformers.AdamWeightDecay(learning_rate=1e-3, weight_decay_rate=0.01)
    assert optimizer_settings(decaying)["weight_decay"] == 0.01


def _own(y: Any, prediction: Any) -> Any:
    return (y - prediction) ** 2


MEAN = "sum_over_batch_size"
LOSSES: dict[str, tuple[Callable[[Any], Any], str | None, bool | None]] = {
    "string": (lambda _: "mse", MEAN, None),
    "string of a crossentropy": (lambda _: "sparse_categorical_crossentropy", MEAN, False),
    "object": (lambda k: k.losses.CategoricalCrossentropy(from_logits=True), MEAN, True),
    "sum": (lambda k: k.losses.BinaryCrossentropy(reduction="sum"), "sum", False),
    "function": (lambda k: k.losses.binary_crossentropy, MEAN, False),
    "partial": (
        lambda k: functools.partial(k.losses.sparse_categorical_crossentropy, from_logits=True),
        MEAN,
        True,
    ),
    "your own": (lambda _: _own, None, None),
    "one in a list": (lambda _: ["binary_crossentropy"], MEAN, False),
}


@pytest.mark.keras
@pytest.mark.parametrize("name", LOSSES)
def test_settings_of_losses(keras: Any, name: str) -> None:
    make, reduction, from_logits = LOSSES[name]
    model = stacked(keras, (8,), lambda layers: [layers.Dense(1)], make(keras))
    assert loss_settings(Host(model)) == {"loss_reduction": reduction, "from_logits": from_logits}


ENDS: dict[str, tuple[tuple[int, ...], Layers, str | None, int]] = {
    "no activation": ((8,), lambda k: [k.Dense(3)], "linear", 3),
    "in the layer": ((8,), lambda k: [k.Dense(3, activation="softmax")], "softmax", 3),
    "a layer of its own": ((8,), lambda k: [k.Dense(3), k.Activation("sigmoid")], "sigmoid", 3),
    "softmax as a layer": ((8,), lambda k: [k.Dense(3), k.Softmax()], "softmax", 3),
    "cast for mixed precision": (
        (8,),
        lambda k: [k.Dense(3, activation="softmax"), k.Activation("linear", dtype="float32")],
        "softmax",
        3,
    ),
    "pooled": ((4, 4, 1), lambda k: [k.Conv2D(5, 1, activation="relu"), k.GlobalAveragePooling2D()], "relu", 5),
    "a step at a time": ((6, 2), lambda k: [k.TimeDistributed(k.Dense(2, activation="tanh"))], "tanh", 12),
    "scaled at the end": ((8,), lambda k: [k.Dense(3, activation="tanh"), k.Rescaling(2.0)], None, 3),
}


@pytest.mark.keras
@pytest.mark.parametrize("name", ENDS)
def test_the_activation_that_makes_the_output(keras: Any, name: str) -> None:
    shape, layers, activation, num = ENDS[name]
    model = stacked(keras, shape, layers)
    assert (output_activation(model), num_outputs(Host(model))) == (activation, num)


@pytest.mark.keras
def test_the_activation_of_models_within_models_and_of_those_without_a_graph(keras: Any) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    inputs = keras.Input((4,))
    inner = keras.Sequential([given_input(keras, (4,)), keras.layers.Dense(2, activation="sigmoid")])
    assert output_activation(keras.Model(inputs, inner(keras.layers.Dense(4)(inputs)))) == "sigmoid"
    assert output_activation(Own()) is None
    assert output_activation(keras.Model(inputs, [keras.layers.Dense(1)(inputs)] * 2)) is None


PIXELS = RANDOM.integers(0, 256, (200, 6, 6, 1))
TABLE = np.stack([RANDOM.normal(0, 1, 500), RANDOM.normal(5, 1000, 500), np.zeros(500)], axis=1).astype("float32")
CONVOLVED: Layers = lambda k: [k.Conv2D(2, 3), k.Flatten(), k.Dense(1)]  # noqa: E731 - a row of the table below
NO_RANGE = {"input_low": None, "input_high": None, "input_mean": None, "input_std": None}
INPUTS: dict[str, tuple[Any, Layers, dict[str, Any]]] = {
    "pixels": (PIXELS, CONVOLVED, {"input_low": 0, "input_high": 255, "nonfinite_inputs": 0}),
    "pixels as floats": (PIXELS.astype("float32"), CONVOLVED, {"input_low": 0, "input_high": 255}),
    "pixels that the model scales": (PIXELS, lambda k: [k.Rescaling(1 / 255), *CONVOLVED(k)], NO_RANGE),
    "after augmentation": (PIXELS, lambda k: [k.RandomFlip(), k.Rescaling(1 / 255), *CONVOLVED(k)], NO_RANGE),
    "normalised first": (PIXELS, lambda k: [k.BatchNormalization(), *CONVOLVED(k)], NO_RANGE),
    "normalised later": (PIXELS, lambda k: [k.Conv2D(2, 3), k.BatchNormalization()], {"input_high": 255}),
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
@pytest.mark.parametrize("name", INPUTS)
def test_ranges_of_inputs_where_their_size_matters(keras: Any, name: str) -> None:
    x, layers, expected = INPUTS[name]
    assert part(looked_up(stacked(keras, x.shape[1:], layers), x), expected) == expected


@pytest.mark.keras
def test_columns_of_unlike_size_without_those_that_never_change(keras: Any) -> None:
    facts = looked_up(stacked(keras, (3,), lambda k: [k.Dense(1)]), TABLE)
    assert facts["input_spread_ratio"] == pytest.approx(TABLE[:, 1].std() / TABLE[:, 0].std(), rel=1e-3)
    np.testing.assert_allclose(
        [facts[f"input_{name}"] for name in ("low", "high", "mean", "std")],
        [TABLE.min(), TABLE.max(), TABLE.mean(), TABLE.std()],
        rtol=1e-5,
    )


@pytest.mark.keras
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


def poked(array: Any, at: Any, value: float) -> Any:
    changed = array.astype("float64")
    changed[at] = value
    return changed


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
    "rows of two ones": (DENSE, poked(np.eye(4)[CODES], (slice(0, 100), slice(0, 2)), 1.0), FOUR, {"bad_labels": 0.1}),
    "yes or no": ("binary_crossentropy", YES, ONE, {"bad_labels": 0, "majority_share": MAJORITY}),
    "one or two": ("binary_crossentropy", YES + 1, ONE, {"bad_labels": pytest.approx(1 - MAJORITY)}),
    "lacking": ("binary_crossentropy", poked(YES, slice(0, 50), np.nan), ONE, {"nonfinite_targets": 0.05}),
    "amounts": (
        "mse",
        CODES + 0.5,
        ONE,
        {"target_low": 0.5, "target_high": 3.5, "target_mean": CODES.mean() + 0.5, "majority_share": None},
    ),
    "infinite": ("mae", poked(CODES, 7, np.inf), ONE, {"target_high": 3, "nonfinite_targets": 0.001}),
    "your own loss": (_own, CODES, ONE, {"target_low": None, "majority_share": None, "nonfinite_targets": 0}),
}


@pytest.mark.keras
@pytest.mark.parametrize("name", LABELS)
def test_labels(keras: Any, name: str) -> None:
    loss, y, layers, expected = LABELS[name]
    model = stacked(keras, (8,), layers, loss)
    facts = part(looked_up(model, np.ones((1000, 8), "float32"), y), expected)
    assert facts == pytest.approx(expected)


@pytest.mark.keras
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
@pytest.mark.parametrize("name", ORDERS)
def test_how_far_labels_are_sorted(keras: Any, name: str) -> None:
    labels, low, high = ORDERS[name]
    loss = SPARSE if labels.ndim == 1 else DENSE
    model = stacked(keras, (8,), lambda k: [k.Dense(10, activation="softmax")], loss)
    assert low <= looked_up(model, np.ones((5000, 8)), labels)["label_runs"] <= high


@pytest.mark.keras
def test_samples_without_weight(keras: Any) -> None:
    model, x = stacked(keras, (8,), FOUR, SPARSE), np.ones((1000, 8))
    assert looked_up(model, x, CODES)["zero_weight_share"] == 0
    assert looked_up(model, x, CODES, sample_weight=1.0 * (CODES > 0))["zero_weight_share"] == MAJORITY
    assert looked_up(model, x, CODES, class_weight={0: 0.0, 1: 1.0})["zero_weight_share"] == MAJORITY


@pytest.mark.keras
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_scan_fills_the_context(keras: Any, shuffle: bool) -> None:  # noqa: FBT001
    x, y = digits(200)
    recorder = LRScan(start_lr=1e-3, end_lr=1e-1, num_steps=12, verbose=0)
    compiled(keras, keras.optimizers.Adam(1e-3, clipnorm=1.0)).fit(
        poked(x, (slice(0, 2), 0), np.inf), y, epochs=2, shuffle=shuffle, verbose=0, callbacks=[recorder]
    )
    context = recorder.curve.context
    assert (context.num_samples, context.shuffled, context.clipnorm) == (200, shuffle, 1.0)
    assert (context.loss_reduction, context.from_logits, context.output_activation) == (MEAN, False, "softmax")
    assert (context.nonfinite_inputs, context.bad_labels, context.num_outputs) == (0.01, 0, 10)
    assert context.input_high == x.max()
    assert (context.metric_names, list(context.start_metrics)) == (("accuracy",), ["accuracy"])
    assert (context.num_layers, context.num_used_layers, context.head_is_fresh) == (2, 0, False)


@pytest.mark.keras
@pytest.mark.parametrize("snapshot", ["memory", "disk"])
def test_how_far_the_weights_moved(keras: Any, snapshot: str) -> None:
    x, y = digits(96)
    twin, model = compiled(keras, keras.optimizers.SGD(0.0)), compiled(keras, keras.optimizers.SGD(0.0))
    before = weights(model)
    recorder = LRScan(start_lr=0.01, end_lr=0.1, num_steps=9, snapshot=snapshot, verbose=0)
    model.fit(x, y, epochs=3, shuffle=False, verbose=0, callbacks=[recorder])
    rates = recorder.curve.lr.tolist()
    for step, rate in enumerate([*rates[1:], rates[-1]]):
        twin.optimizer.learning_rate = rate
        at = 32 * (step % 3)
        twin.train_on_batch(x[at : at + 32], y[at : at + 32])
    pairs = list(zip(before, weights(twin), strict=True))
    moved = sum(float(((new - old) ** 2).sum()) for old, new in pairs)
    length = sum(float((old**2).sum()) for old, _ in pairs)
    assert recorder.curve.context.weight_change == pytest.approx((moved / length) ** 0.5, rel=1e-3)
    still = recorder.curve.context.still_share
    assert still is not None
    assert still < 0.02
    assert same_bits(before, weights(model))


@pytest.mark.keras
def test_weights_that_cannot_move_are_still(keras: Any) -> None:
    keras.utils.set_random_seed(1)
    halted = stacked(keras, (8,), lambda k: [k.Dense(4), k.ReLU(max_value=0.0), k.Dense(1, use_bias=False)])
    recorder = LRScan(num_steps=8, verbose=0)
    halted.fit(np.ones((64, 8)), np.ones(64), batch_size=8, verbose=0, callbacks=[recorder])
    assert (recorder.curve.context.weight_change, recorder.curve.context.still_share) == (0, 1)


@pytest.mark.keras
def test_weights_that_became_nan_have_moved_without_a_length(keras: Any) -> None:
    model = compiled(keras, keras.optimizers.SGD(0.1), model=classifier(keras))
    before = weights(model)
    x, y = digits(64)
    recorder, spoilt = LRScan(num_steps=8, verbose=0), poked(x, 40, np.nan).astype("float32")
    model.fit(spoilt, y, batch_size=8, shuffle=False, verbose=0, callbacks=[recorder])
    assert (recorder.curve.context.weight_change, recorder.curve.context.still_share) == (None, 0)
    assert same_bits(before, weights(model))


@pytest.mark.keras
def test_the_metrics_at_the_start_are_those_of_the_first_batch_without_the_losses(keras: Any) -> None:
    inputs, layers = keras.Input((8,)), keras.layers
    model = keras.Model(inputs, [layers.Dense(2, name="a")(inputs), layers.Dense(1, name="b")(inputs)])
    model.compile(optimizer="sgd", loss=["mse", "mae"], metrics=[["mae"], []])
    x, y = RANDOM.normal(size=(64, 8)), [RANDOM.normal(size=(64, 2)), RANDOM.normal(size=(64, 1))]
    kernel, bias = map(array_of, model.get_layer("a").weights)
    expected = float(np.abs(x[:8] @ kernel + bias - y[0][:8]).mean())
    recorder = LRScan(num_steps=8, verbose=0)
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[recorder])
    name = recorder.curve.context.metric_names[0]
    assert recorder.curve.context.metric_names == (name,)
    assert "mae" in name or "mean_absolute_error" in name
    assert dict(recorder.curve.context.start_metrics) == {name: pytest.approx(expected, rel=1e-4)}
