"""Tests that a scan restores the model, so that later training is the same as without a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_lrscan.scan import LRScan, lr_scan
from tests.support.hosts import (
    BACKEND,
    IS_TF_KERAS,
    array_of,
    classifier,
    compiled,
    digits,
    lent,
    same_bits,
    state,
    weights,
)

pytestmark = [
    pytest.mark.keras,
    pytest.mark.optimized,
    # Keras's own code for torch in schedules and Nadam uses an outdated NumPy protocol
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def scaled(keras: Any) -> Any:
    """Returns Adam with a loss scale that grows during a scan."""
    adam = keras.optimizers.Adam(1e-3)
    if IS_TF_KERAS:
        return keras.mixed_precision.LossScaleOptimizer(adam, initial_scale=2.0**8, dynamic_growth_steps=5)
    return keras.optimizers.LossScaleOptimizer(adam, initial_scale=2.0**8, dynamic_growth_steps=5)


def several(keras: Any) -> Any:
    """Returns SGD for one kernel and Adam for the rest, if this Keras supports it."""
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    chosen = keras.optimizers.OptimizerMap(keras.optimizers.Adam(1e-3))
    chosen[".*/kernel"] = keras.optimizers.SGD(1e-2, momentum=0.9)
    return keras.optimizers.MultiOptimizer(chosen)


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda keras: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam": lambda keras: keras.optimizers.Adam(1e-3),
    "adamw": lambda keras: keras.optimizers.AdamW(1e-3, weight_decay=1e-2, clipnorm=1.0),
    "nadam": lambda keras: keras.optimizers.Nadam(1e-3),
    "averaging": lambda keras: keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.9),
    "schedule": lambda keras: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9)),
    "ftrl": lambda keras: keras.optimizers.Ftrl(1e-2),
    "loss scale": scaled,
    "several": several,
}


def scan(model: Any, **options: Any) -> LRScan:
    x, y = digits(200)
    recorder = LRScan(start_lr=1e-5, end_lr=1.0, num_steps=12, verbose=0, **options)
    model.fit(x, y, batch_size=32, epochs=3, verbose=0, callbacks=[recorder])
    return recorder


def finish(model: Any) -> Any:
    """Builds a new model on one batch, as Keras does in the first `fit` on JAX and torch.

    There, this draws random numbers. A first `fit` would therefore differ from a second one after other data or a new
    seed, with or without a scan.
    """
    if BACKEND != "tensorflow":
        x, y = digits(8)
        model.test_on_batch(x, y)
    return model


def train(keras: Any, model: Any, *, seed: int | None = None, epochs: int = 2) -> dict[str, list[float]]:
    if seed is not None:
        keras.utils.set_random_seed(seed)
    x, y = digits(200, seed=3)
    return dict(model.fit(x, y, batch_size=32, epochs=epochs, verbose=0).history)


MARKS: dict[str, Any] = {
    "schedule": pytest.mark.minors,
    "several": pytest.mark.minors,
    # their variables are restored as those of the others; `benchmarks/restore_cases.py` draws all of them on each host
    "adam": pytest.mark.one_backend,
    "adamw": pytest.mark.one_host,
    "nadam": pytest.mark.one_backend,
    "ftrl": pytest.mark.one_host,
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in OPTIMIZERS])
def test_training_after_a_scan_equals_training_without_one(keras: Any, name: str) -> None:
    """Every other optimizer has already made updates; the models of the others have dropout and batch normalization."""
    used = list(OPTIMIZERS).index(name) % 2 == 1
    ends = []
    for with_scan in (False, True):
        model = compiled(keras, OPTIMIZERS[name](keras), model=classifier(keras, rich=not used), lazily=not used)
        if used:
            train(keras, model)
        if with_scan:
            scan(model)
        history = train(keras, model)
        ends.append((state(model), history))
    assert same_bits(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@pytest.mark.parametrize(
    ("given_input", "place"),
    [
        pytest.param(True, "memory", marks=pytest.mark.one_host),
        pytest.param(True, "disk", marks=pytest.mark.one_backend),  # a drawn case reads it on every host
        pytest.param(False, "memory", marks=pytest.mark.minors),
        pytest.param(False, "disk", marks=pytest.mark.one_host),
    ],
)
def test_training_is_the_same_for_either_snapshot_and_models_not_yet_built(
    keras: Any,
    place: str,
    given_input: bool,
) -> None:
    ends = []
    for with_scan in (False, True):
        network = classifier(keras, rich=True, given_input=given_input)
        model = finish(compiled(keras, model=network, metrics=["accuracy"] if place == "memory" else None))
        if with_scan:
            scan(model, snapshot=place)
        train(keras, model, seed=4 if given_input else None)
        ends.append(weights(model))
    assert same_bits(*ends)


def test_a_scan_of_a_fresh_model_is_no_first_fit(keras: Any) -> None:
    """This includes the shuffle that Keras draws in the first `fit` only, on JAX and torch."""
    x, y = digits(100)
    for seed in (None, 4):
        ends = []
        for with_scan in (False, True):
            is_built = seed is None or IS_TF_KERAS  # tf_keras draws the weights of a model when building it
            model = compiled(keras, model=classifier(keras, rich=True, given_input=is_built), lazily=True)
            if with_scan:
                lr_scan(model, x, y, num_steps=8, batch_size=32, verbose=0)
            train(keras, model, seed=seed)
            ends.append(weights(model))
        assert same_bits(*ends)


def noisy(keras: Any) -> Any:
    """Returns a network with a layer that draws from the global generator, and one that uses a TensorFlow kernel."""

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            if hasattr(keras, "random"):
                return inputs + 0.1 * keras.random.normal((8,))
            import tensorflow as tf

            return inputs + 0.1 * tf.random.normal((8,)) + tf.random.get_global_generator().normal((8,))

    keras.utils.set_random_seed(8)
    given = keras.layers.InputLayer(input_shape=(8,)) if IS_TF_KERAS else keras.layers.Input((8,))
    return keras.Sequential([given, Noise(), keras.layers.Dropout(0.2), keras.layers.Dense(10, "softmax")])


@pytest.mark.parametrize(
    ("eager", "used"),
    [
        pytest.param(False, False, id="graph-fresh", marks=pytest.mark.minors),
        pytest.param(False, True, id="graph-used"),
        pytest.param(True, False, id="eager-fresh", marks=pytest.mark.one_host),
        pytest.param(True, True, id="eager-used"),
    ],
)
def test_every_random_generator_comes_back(keras: Any, eager: bool, used: bool) -> None:
    """In eager mode, Nadam of tf_keras counts in Python, and the random kernels of tf_keras cannot be restored.

    A fresh model gets a new seed after the scan; a used one goes on with the numbers that come next.
    """
    if BACKEND == "jax":
        pytest.skip("Keras refuses random layers without a seed on JAX")
    ends = []
    for with_scan in (False, True):
        keras.backend.clear_session()  # before version 3.9, setting a seed keeps Keras's global generator
        if IS_TF_KERAS:
            import tensorflow as tf

            tf.random.set_global_generator(tf.random.Generator.from_seed(5))
        network = classifier(keras) if IS_TF_KERAS and eager else noisy(keras)
        counts = IS_TF_KERAS and eager  # in graphs, it would count traces
        optimizer = keras.optimizers.Nadam(1e-3) if counts else keras.optimizers.SGD(0.05)
        model = finish(compiled(keras, optimizer, model=network, run_eagerly=eager))
        if used:
            train(keras, model, epochs=1)
        if with_scan:
            scan(model)
        train(keras, model, seed=None if used else 4, epochs=1)
        ends.append(weights(model))
    assert same_bits(*ends)


def counts_of_metrics(model: Any) -> list[float]:
    return [float(array_of(metric.count)) for metric in model.metrics if hasattr(metric, "count")]


def test_the_state_is_the_same_right_after_the_scan(keras: Any) -> None:
    model = compiled(keras, model=classifier(keras, rich=True), metrics=["accuracy"])
    train(keras, model)
    before, function, counts = state(model), model.train_function, counts_of_metrics(model)
    recorder = scan(model)
    assert len(recorder.curve) == 12
    assert same_bits(before, state(model))
    assert model.stop_training is False
    if not IS_TF_KERAS:
        assert model.train_function is function
    assert counts_of_metrics(model) == counts
    assert not {"compile", "evaluate", "fit"} & set(vars(model))


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_scan_compiles_nothing_that_training_would_not(keras: Any, used: bool) -> None:
    if BACKEND != "tensorflow":
        pytest.skip("traces are counted on TensorFlow")
    traces: list[int] = []

    class Counted(keras.layers.Dense):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            traces.append(1)
            return super().call(inputs)

    counts = []
    for with_scan in (False, True):
        given = keras.layers.InputLayer(input_shape=(8,)) if IS_TF_KERAS else keras.layers.Input((8,))
        network = keras.Sequential([given, Counted(10, "softmax")])
        model = compiled(keras, model=network, metrics=["accuracy"], lazily=True)
        traces.clear()
        if used:
            train(keras, model)
        if with_scan:
            scan(model)
        train(keras, model)
        counts.append(len(traces))
    assert counts[0] == counts[1]


def test_a_schedule_is_in_its_place_after_the_scan(keras: Any) -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9)
    optimizer = keras.optimizers.SGD(schedule)
    model = compiled(keras, optimizer)
    recorder = scan(model)
    assert optimizer._learning_rate is schedule
    assert recorder.curve.context.optimizer_lr is None
    assert recorder.curve.lr[-1] == pytest.approx(1.0)
    assert recorder.curve.loss[-1] != pytest.approx(recorder.curve.loss[0], abs=1e-3)


def test_the_rate_of_the_optimizer_is_what_it_was(keras: Any) -> None:
    model = compiled(keras, keras.optimizers.SGD(0.0123))
    recorder = scan(model)
    assert float(array_of(model.optimizer.learning_rate)) == pytest.approx(0.0123)
    assert recorder.curve.context.optimizer_lr == pytest.approx(0.0123)


@pytest.mark.one_host
def test_a_scan_object_serves_a_second_fit(keras: Any) -> None:
    model = lent(keras)
    x, y = digits(200)
    recorder = LRScan(start_lr=1e-5, end_lr=1.0, num_steps=12, verbose=0)
    curves = []
    for _ in range(2):
        model.fit(x, y, batch_size=32, epochs=3, verbose=0, shuffle=False, callbacks=[recorder])
        curves.append(recorder.curve)
    assert curves[0] is not curves[1]
    np.testing.assert_array_equal(curves[0].loss, curves[1].loss)
