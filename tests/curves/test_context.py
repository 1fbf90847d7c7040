"""Tests each field of the context on a model or data for which its value is known."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidCurveError, LRCurve, ScanContext
from keras_lrscan.curves.context import OutputStart
from keras_lrscan.hosts.host import Host
from keras_lrscan.hosts.topology import num_outputs, output_activation, squashed_twice
from keras_lrscan.inspection.settings import loss_settings, optimizer_settings
from keras_lrscan.scan import LRScan
from tests.support.hosts import (
    IS_TF_KERAS,
    array_of,
    classifier,
    compiled,
    digits,
    given_input,
    lent,
    poked,
    same_bits,
    stacked,
    twin,
    weights,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Layers = Callable[[Any], list[Any]]

RANDOM = np.random.default_rng(5)
NAMES = st.text("aé_ ", max_size=5)
SHARES = st.floats(0, 1)
NUMBERS = st.floats(-1e100, 1e100)


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
        outputs=st.lists(
            st.builds(OutputStart, name=NAMES, chance_loss=st.none() | NUMBERS, start_loss=st.none() | NUMBERS),
            max_size=3,
        ).map(tuple),
    )
)
def test_json_gives_back_the_same_context(context: ScanContext) -> None:
    curve = LRCurve(lr=[1.0], loss=[2.0], context=context)
    again = LRCurve.from_dict(json.loads(json.dumps(curve.to_dict(), allow_nan=False)))
    assert again.context == context


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1.1e100, -1e308])
def test_a_number_that_cannot_be_reckoned_with_counts_as_not_known(number: float) -> None:
    context = ScanContext(chance_loss=number, start_metrics={"accuracy": number, "auc": 0.5})
    assert context.chance_loss is None
    assert context.start_metrics == {"auc": 0.5}
    assert OutputStart(name="a", chance_loss=number, start_loss=number) == OutputStart(name="a")


def test_a_number_next_to_nothing_is_zero() -> None:
    assert ScanContext(chance_loss=1e-101).chance_loss == 0.0
    assert ScanContext(chance_loss=1e-99).chance_loss == 1e-99


@pytest.mark.parametrize(
    ("outputs", "place"),
    [
        ([{"chance_loss": 2.0}], r"the field 'name' at `outputs\[0\]`"),
        ([{"name": "a", "loss": 2.0}], r"only fields of `OutputStart`, not 'loss'"),
        ([{"name": "a", "start_loss": "low"}], r"at `outputs\[0\].start_loss`"),
        ({"a": 2.0}, "a list at `outputs`"),
    ],
)
def test_outputs_of_another_form_are_refused(outputs: object, place: str) -> None:
    with pytest.raises(InvalidCurveError, match=place):
        ScanContext.from_dict({"outputs": outputs})


@pytest.mark.parametrize("field", [{"num_classes": 0}, {"batch_size": -1}, {"end_lr": 0.0}, {"start_lr": -1.0}])
def test_a_number_that_cannot_be_is_refused(field: dict[str, Any]) -> None:
    with pytest.raises(
        InvalidCurveError, match=rf"`{next(iter(field))}` to be at least .* Received: {next(iter(field))}="
    ):
        ScanContext(**field)


def test_contexts_can_be_pickled_and_copied() -> None:
    context = ScanContext(start_metrics={"accuracy": 0.5}, notes=("a",))
    assert pickle.loads(pickle.dumps(context)) == copy.deepcopy(context) == context


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


@pytest.mark.one_backend
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


@pytest.mark.one_backend
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


@pytest.mark.one_backend
@pytest.mark.keras
@pytest.mark.parametrize("name", ENDS)
def test_the_activation_that_makes_the_output(keras: Any, name: str) -> None:
    shape, layers, activation, num = ENDS[name]
    model = stacked(keras, shape, layers)
    assert (output_activation(model), num_outputs(Host(model))) == (activation, num)


@pytest.mark.one_backend
@pytest.mark.keras
def test_activations_that_follow_each_other_and_those_of_several_layers(keras: Any) -> None:
    layers, inputs = keras.layers, keras.Input((4,))

    def told(output: Any) -> tuple[str | None, bool | None]:
        model = keras.Model(inputs, output)
        return output_activation(model), squashed_twice(model)

    soft = [layers.Dense(3, activation="softmax")(inputs) for _ in range(2)]
    assert told(soft[0]) == ("softmax", False)
    assert told(layers.Reshape((3, 1))(soft[0])) == ("softmax", False)
    assert told(layers.Softmax()(soft[0])) == ("softmax", True)
    assert told(layers.Activation("sigmoid")(layers.Reshape((3, 1))(soft[0]))) == ("sigmoid", True)
    assert told(layers.Dense(3, activation="softmax")(soft[0])) == ("softmax", False)
    assert told(layers.Average()(soft)) == ("softmax", False)
    assert told(layers.Softmax()(layers.Average()(soft))) == ("softmax", True)
    assert told(layers.Average()([soft[0], layers.Dense(3)(inputs)])) == (None, False)
    inner = keras.Sequential([given_input(keras, (4,)), layers.Dense(3, activation="softmax")])
    assert told(layers.Softmax()(inner(inputs))) == ("softmax", True)
    assert squashed_twice(keras.Model(inputs, soft)) is None


@pytest.mark.one_backend
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


@pytest.mark.keras
@pytest.mark.parametrize("shuffle", [False, pytest.param(True, marks=pytest.mark.one_backend)])
def test_a_scan_fills_the_context(keras: Any, shuffle: bool) -> None:
    x, y = digits(200)
    recorder = LRScan(start_lr=1e-3, end_lr=1e-1, num_steps=12, verbose=0)
    compiled(keras, keras.optimizers.Adam(1e-3, clipnorm=1.0), metrics=["accuracy"]).fit(
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
@pytest.mark.parametrize("snapshot", [pytest.param("memory", marks=pytest.mark.one_backend), "disk"])
def test_how_far_the_weights_moved(keras: Any, snapshot: str) -> None:
    x, y = digits(96)
    model, again = lent(keras), twin(keras)
    before = weights(model)
    recorder = LRScan(start_lr=0.01, end_lr=0.1, num_steps=9, snapshot=snapshot, verbose=0)
    model.fit(x, y, epochs=3, shuffle=False, verbose=0, callbacks=[recorder])
    rates = recorder.curve.lr.tolist()
    for step, rate in enumerate([*rates[1:], rates[-1]]):
        again.optimizer.learning_rate = rate
        at = 32 * (step % 3)
        again.train_on_batch(x[at : at + 32], y[at : at + 32])
    pairs = list(zip(before, weights(again), strict=True))
    moved = sum(float(((new - old) ** 2).sum()) for old, new in pairs)
    length = sum(float((old**2).sum()) for old, _ in pairs)
    assert recorder.curve.context.weight_change == pytest.approx((moved / length) ** 0.5, rel=1e-3)
    still = recorder.curve.context.still_share
    assert still is not None
    assert still < 0.02
    shares = [np.linalg.norm(new - old) / np.linalg.norm(old) for old, new in pairs if old.ndim == 2]
    ratio = recorder.curve.context.layer_change_ratio
    assert ratio == pytest.approx(min(shares) / max(shares), rel=1e-3)
    assert same_bits(before, weights(model))


@pytest.mark.one_backend
@pytest.mark.keras
def test_weights_that_cannot_move_are_still(keras: Any) -> None:
    keras.utils.set_random_seed(1)
    halted = stacked(keras, (8,), lambda k: [k.Dense(4), k.ReLU(max_value=0.0), k.Dense(1, use_bias=False)])
    recorder = LRScan(num_steps=8, verbose=0)
    halted.fit(np.ones((64, 8)), np.ones(64), batch_size=8, verbose=0, callbacks=[recorder])
    assert (recorder.curve.context.weight_change, recorder.curve.context.still_share) == (0, 1)


@pytest.mark.one_backend
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
