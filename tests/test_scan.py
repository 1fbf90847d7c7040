"""Tests `LRScan`, `lr_scan` and `last_scan` from the perspective of a user."""

from __future__ import annotations

import copy
import functools
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from keras_lrscan.analysis import Analysis
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import InvalidOptionError, LRScanWarning, ScanError
from keras_lrscan.experiments.repeats import repeat_scans
from keras_lrscan.scan import LRScan, last_scan, lr_scan
from tests.support.hosts import (
    BACKEND,
    IS_TF_KERAS,
    classifier,
    compiled,
    digits,
    given_input,
    lent,
    light,
    same_bits,
    state,
    weights,
)


@pytest.mark.keras
def test_a_scan_from_end_to_end_has_as_many_points_as_steps(keras: Any) -> None:
    recorder = LRScan(start_lr=1e-6, end_lr=1e-3, num_steps=35, verbose=0)
    lent(keras).fit(*digits(), epochs=10, verbose=0, callbacks=[recorder])
    curve = recorder.curve
    assert len(curve) == 35
    assert (curve.lr[0], curve.lr[-1]) == (1e-6, 1e-3)
    assert curve.stop is StopReason.END_LR


@pytest.mark.one_host
@pytest.mark.keras
def test_a_linear_scan_raises_the_rate_by_equal_amounts(keras: Any) -> None:
    model = lent(keras)
    before = weights(model)
    analysis = lr_scan(model, *digits(), start_lr=1e-3, end_lr=0.1, num_steps=35, ramp="linear", verbose=0)
    curve = analysis.curve
    np.testing.assert_allclose(curve.lr, np.linspace(1e-3, 0.1, 35)[: len(curve)])
    assert curve.context.ramp == "linear"
    assert same_bits(before, weights(model))


@functools.cache
def deep(keras: Any, optimizer: str) -> Any:
    """Returns a model of three hidden layers, which scans leave as it was."""
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(64, activation="relu") for _ in range(3)]
    model = keras.Sequential([given_input(keras, (8,)), *hidden, keras.layers.Dense(10, activation="softmax")])
    return compiled(keras, getattr(keras.optimizers, optimizer)(), model=model)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("optimizer", "start"),
    [
        pytest.param("Adam", 0.3, marks=pytest.mark.one_host),
        pytest.param("Adam", 1.0, marks=pytest.mark.one_backend),  # elsewhere, a wrong answer costs 16 at most
        pytest.param("Adam", 10.0, marks=pytest.mark.one_host),
        ("SGD", 10.0),
    ],
)
def test_a_scan_from_a_rate_that_breaks_training_suggests_none(keras: Any, optimizer: str, start: float) -> None:
    model = deep(keras, optimizer)
    keras.utils.set_random_seed(0)
    analysis = lr_scan(model, *digits(), start_lr=start, end_lr=1e3 * start, verbose=0)
    assert {suggestion.lr for suggestion in analysis.suggestions if suggestion.method == "default"} == {None}
    assert analysis.findings[0].name == "range-too-high"


@pytest.mark.one_backend
@pytest.mark.keras
@pytest.mark.parametrize(("activation", "is_defined"), [(None, False), ("softplus", True)])
def test_a_poisson_loss_of_negative_predictions_is_told_from_nan_in_the_data(
    keras: Any, activation: str | None, *, is_defined: bool
) -> None:
    keras.utils.set_random_seed(0)
    x, y = digits()
    layers = [given_input(keras, (8,)), keras.layers.Dense(1, activation=activation)]
    model = compiled(keras, model=keras.Sequential(layers), loss="poisson")
    analysis = lr_scan(model, x, y.astype("float32"), num_steps=40, verbose=0)
    assert bool(np.isfinite(analysis.curve.loss[0])) == is_defined
    assert (analysis.findings[0].name == "loss-outside-domain") != is_defined
    assert "nan-in-data" not in [finding.name for finding in analysis.findings]


@pytest.mark.one_host
@pytest.mark.keras
def test_the_same_model_scanned_from_a_low_rate_gets_a_suggestion(keras: Any) -> None:
    analysis = lr_scan(compiled(keras), *digits(), verbose=0)
    assert analysis.suggestion.lr is not None
    assert analysis.features.early_explosion == 0


@pytest.mark.keras
def test_the_context_says_what_is_known_of_model_data_and_run(keras: Any) -> None:
    recorder = LRScan(num_steps=35, verbose=0)
    compiled(keras, keras.optimizers.Adam(2e-3)).fit(
        *digits(), epochs=10, batch_size=20, verbose=0, callbacks=[recorder]
    )
    context = recorder.curve.context
    assert (context.start_lr, context.end_lr, context.num_steps) == (1e-7, 10.0, 35)
    assert (context.batch_size, context.steps_per_epoch) == (20, 10)
    assert context.framework == f"{'tf_keras' if IS_TF_KERAS else 'keras'} {keras.__version__}"
    assert context.backend == BACKEND
    assert (context.optimizer, context.optimizer_iterations) == ("Adam", 0)
    assert context.optimizer_lr == pytest.approx(2e-3)
    assert (context.loss_name, context.num_classes) == ("sparse_categorical_crossentropy", 10)
    assert (context.num_trainable_params, context.num_frozen_params) == (8 * 16 + 16 + 16 * 10 + 10, 0)
    assert context.precision == "float32"
    assert context.regularization_loss is None
    counts = np.bincount(digits()[1])
    prior = counts / counts.sum()
    assert context.chance_loss == pytest.approx(-(prior * np.log(prior)).sum(), abs=1e-5)
    assert (context.chance_source, context.notes) == ("label frequencies", ())


@pytest.mark.one_backend
@pytest.mark.keras
@pytest.mark.parametrize(
    ("loss", "name", "classes"),
    [("mse", "mean_squared_error", None), ("binary_crossentropy", "binary_crossentropy", 2)],
)
def test_the_context_names_the_loss_as_keras_does(keras: Any, loss: str, name: str, classes: int | None) -> None:
    keras.utils.set_random_seed(0)
    start = [keras.layers.InputLayer(input_shape=(8,)) if IS_TF_KERAS else keras.layers.Input((8,))]
    model = keras.Sequential([*start, keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="sgd", loss=loss)
    x, y = digits(280)
    recorder = LRScan(num_steps=14, verbose=0)
    model.fit(x, (y > 4).astype("float32")[:, None], epochs=2, verbose=0, callbacks=[recorder])
    assert (recorder.curve.context.loss_name, recorder.curve.context.num_classes) == (name, classes)


@pytest.mark.keras
# Keras's own code for torch uses an outdated NumPy protocol
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_the_ramp_fits_the_batches_there_are_and_warns_when_they_are_few(keras: Any) -> None:
    recorder = LRScan(start_lr=1e-6, end_lr=1e-3, verbose=0)
    with pytest.warns(LRScanWarning, match=r"at least 30 steps.*Received: 14 updates.*Pass `epochs=15`"):
        lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[recorder])
    curve = recorder.curve
    assert len(curve) == 14
    assert (curve.lr[0], curve.lr[-1], curve.stop) == (1e-6, 1e-3, StopReason.END_LR)


@pytest.mark.keras
def test_the_epoch_that_fit_starts_from_counts(keras: Any) -> None:
    recorder = LRScan(start_lr=1e-6, end_lr=1e-3, num_steps=40, verbose=0)
    lent(keras).fit(*digits(), epochs=8, initial_epoch=3, verbose=0, callbacks=[recorder])
    assert recorder.curve.context.num_steps == 35


@pytest.mark.one_host
@pytest.mark.keras
def test_the_verdict_is_printed_and_the_scan_can_be_found_again(keras: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lent(keras).fit(*digits(), epochs=6, verbose=0, callbacks=[LRScan(num_steps=40)])
    found = last_scan()
    assert found is not None
    assert isinstance(found.analysis, Analysis)
    assert found.analysis is found.analysis
    assert capsys.readouterr().out == found.analysis.summary() + "\n"


@pytest.mark.one_backend
@pytest.mark.keras
def test_the_function_returns_the_analysis_and_leaves_the_model_alone(
    keras: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = light(keras)
    model.fit(*digits(), verbose=0)
    before = state(model)
    analysis = lr_scan(model, *digits(), num_steps=40, batch_size=50, verbose=0)
    assert isinstance(analysis, Analysis)
    assert analysis.curve.context.num_steps == 40
    assert same_bits(before, state(model))
    assert capsys.readouterr().out == ""


@pytest.mark.one_backend
@pytest.mark.keras
def test_the_function_keeps_the_record_of_the_last_training(keras: Any) -> None:
    model = light(keras)
    lr_scan(model, *digits(), num_steps=8, verbose=0)
    assert getattr(model, "history", None) is None
    history = model.fit(*digits(64), epochs=2, verbose=0)
    lr_scan(model, *digits(), num_steps=8, verbose=0)
    assert model.history is history
    assert history.epoch == [0, 1]


@pytest.mark.one_backend
@pytest.mark.keras
@pytest.mark.parametrize("form", ["one", "nested", "list of Keras"])
def test_callbacks_have_every_form_that_fit_accepts(keras: Any, form: str) -> None:
    seen: list[int] = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    stopper = keras.callbacks.EarlyStopping(monitor="loss")
    given = {"one": callback, "nested": (callback, [stopper]), "list of Keras": None}[form]
    if given is None:
        given = keras.callbacks.CallbackList([callback, stopper], add_history=True)
    analysis = lr_scan(lent(keras), *digits(), num_steps=8, verbose=0, callbacks=given)
    assert len(seen) == 8
    assert any("EarlyStopping was skipped" in note for note in analysis.curve.context.notes) == (form != "one")


@pytest.mark.one_backend
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(("number", "points", "stop"), [(99, 12, "end-lr"), (10, 10, "out-of-batches")])
def test_an_iterator_of_short_epochs_is_scanned_to_the_end(keras: Any, number: int, points: int, stop: str) -> None:
    x, y = digits(32)
    batches = ((x, y) for _ in range(number))
    curve = lr_scan(lent(keras), batches, steps_per_epoch=4, num_steps=12, end_lr=1e-3, verbose=0).curve
    assert (len(curve), str(curve.stop)) == (points, stop)


@pytest.mark.one_host
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_data_without_a_sample_are_named_as_the_reason(keras: Any) -> None:
    x, y = digits()
    with pytest.raises(ScanError, match=r"a `fit` that trained on no batch\. The data may be empty"):
        lr_scan(lent(keras), x[:0], y[:0], verbose=0)


@pytest.mark.keras
def test_forgotten_data_are_named(keras: Any) -> None:
    model = lent(keras)
    scan = LRScan(num_steps=8, verbose=0)
    model.fit(*digits(), epochs=2, verbose=0, callbacks=[scan])
    calls = (
        lambda: lr_scan(model, verbose=0),
        lambda: repeat_scans(model, None, verbose=0),
        lambda: scan.investigate(probes=["gradients"], verbose=0),
    )
    for call in calls:
        with pytest.raises(InvalidOptionError, match=r"Argument `x` must be input data.*Received: x=None"):
            call()


@pytest.mark.keras
def test_forgotten_targets_are_named(keras: Any) -> None:
    with pytest.raises(ValueError, match=r"None|dtype|missing") as caught:
        lr_scan(compiled(keras), digits()[0])
    assert "No `y` was passed." in "".join(caught.value.__notes__)


@pytest.mark.keras
def test_a_model_that_is_not_compiled_is_refused(keras: Any) -> None:
    with pytest.raises(ScanError, match=r"`model` must be a compiled model.*Call `model.compile"):
        lr_scan(classifier(keras), *digits())


@pytest.mark.keras
def test_a_loss_that_is_not_logged_is_refused_with_what_is(keras: Any) -> None:
    model = lent(keras)
    before = weights(model)
    with pytest.raises(
        ScanError, match=r"`monitor` to be one of the losses in the logs, \['loss'\]. Received: monitor='lost'"
    ):
        model.fit(*digits(), epochs=6, verbose=0, callbacks=[LRScan(monitor="lost", verbose=0)])
    assert same_bits(before, weights(model))


@pytest.mark.keras
def test_copies_leave_model_and_running_scan_behind(keras: Any) -> None:
    recorder = LRScan(num_steps=14, verbose=0)
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[recorder])
    for twin in (copy.deepcopy(recorder), pickle.loads(pickle.dumps(recorder))):
        np.testing.assert_array_equal(twin.curve.loss, recorder.curve.loss)
        lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[twin])


@pytest.mark.keras
def test_a_loop_of_train_on_batch_can_drive_a_scan(keras: Any) -> None:
    model = lent(keras)
    x, y = digits(320)
    before = weights(model)
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=10, verbose=0)
    recorder.set_model(model)
    model.make_train_function()
    recorder.on_train_begin()
    for start in range(0, 320, 32):
        model.train_on_batch(x[start : start + 32], y[start : start + 32])
    recorder.on_train_end()
    assert len(recorder.curve) == 10
    assert same_bits(before, weights(model))


@pytest.mark.one_host
@pytest.mark.keras
def test_a_scan_prints_its_settings_and_its_state(keras: Any) -> None:
    recorder = LRScan(num_steps=14, verbose=0)
    assert repr(recorder).startswith("LRScan(start_lr=1e-07, end_lr=10, num_steps=14, ramp='exponential', ")
    assert repr(recorder).endswith("state='no scan yet', points=0)")
    during: list[str] = []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: during.append(repr(recorder)))
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[recorder, note])
    assert during[0].endswith("state='running', points=1)")
    assert repr(recorder).endswith("state='finished', points=14)")


def test_before_a_scan_there_is_no_curve() -> None:
    with pytest.raises(ScanError, match="Received: no scan yet"):
        _ = LRScan().curve
    with pytest.raises(ScanError, match="Received: no scan yet"):
        _ = LRScan().analysis
    LRScan().restore()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_lr": -1.0}, "`start_lr` must be a positive finite number"),
        ({"num_steps": 7}, "`num_steps` must be an integer of at least 8"),
        ({"snapshot": "tape"}, "`snapshot` must be one of 'memory', 'disk'. Received: snapshot='tape'"),
        ({"verbose": 2}, "`verbose` must be 0 or 1. Received: verbose=2"),
        ({"monitor": 3}, "`monitor` must be a string, the key of a loss. Received: monitor=3."),
        (
            {"monitor": "accuracy"},
            "Received: monitor='accuracy', the name of a metric that rises. Pass the key of a loss",
        ),
        ({"monitor": "digit_auc_1"}, "Received: monitor='digit_auc_1', the name of a metric that rises."),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        LRScan(**options)


def test_the_callback_loads_no_keras() -> None:
    code = "import keras_lrscan.scan, sys; assert not {'keras', 'tf_keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
