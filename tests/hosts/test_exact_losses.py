"""Tests that a scan records the loss of one batch alone, at the rate of the update before it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.scan import LRScan
from tests.support.hosts import (
    BACKEND,
    IS_TF_KERAS,
    array_of,
    batches_of,
    classifier,
    compiled,
    digits,
    lent,
    light,
    replayed_losses,
    twin,
)

pytestmark = pytest.mark.keras

STEPS = 21


def scan(model: Any, *data: Any, callbacks: tuple[Any, ...] = (), **options: Any) -> tuple[LRScan, Any]:
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=STEPS, verbose=0)
    options = {"batch_size": 32, "epochs": 3, "shuffle": False, "verbose": 0, **options}
    history = model.fit(*data, callbacks=[*callbacks, recorder], **options)
    return recorder, history


def update_rates(recorder: LRScan) -> list[float]:
    rates = recorder.curve.lr.tolist()
    return [*rates[1:], rates[-1]]


def check(model: Any, again: Any, batches: Any, *data: Any, **options: Any) -> None:
    recorder, _ = scan(model, *data, **options)
    assert len(recorder.curve) == STEPS
    expected = replayed_losses(again, batches, update_rates(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)


@pytest.mark.minors
def test_over_epoch_boundaries_and_an_uneven_last_batch(keras: Any) -> None:
    x, y = digits(200)
    check(compiled(keras), compiled(keras), batches_of(x, y, size=32, epochs=3), x, y)


def test_with_sample_weights(keras: Any) -> None:
    x, y = digits(200)
    w = np.linspace(0.1, 3.0, 200).astype("float32")
    check(lent(keras), twin(keras), batches_of(x, y, w, size=32, epochs=3), x, y, sample_weight=w)


def test_with_class_weights(keras: Any) -> None:
    x, y = digits(200)
    of_class = {label: 0.2 * (label + 1) for label in range(10)}
    w = np.array([of_class[int(label)] for label in y], "float32")
    check(lent(keras), twin(keras), batches_of(x, y, w, size=32, epochs=3), x, y, class_weight=of_class)


def regularized(keras: Any) -> Any:
    keras.utils.set_random_seed(5)
    penalty = keras.regularizers.L2(0.05)
    return light(
        keras,
        model=keras.Sequential(
            [
                keras.layers.InputLayer(input_shape=(8,)) if IS_TF_KERAS else keras.layers.Input((8,)),
                keras.layers.Dense(16, activation="relu", kernel_regularizer=penalty),
                keras.layers.Dense(10, activation="softmax"),
            ]
        ),
    )


def test_with_regularization_which_is_recorded_apart(keras: Any) -> None:
    x, y = digits(200)
    model = regularized(keras)
    kernel = array_of(model.layers[0].kernel)
    recorder, _ = scan(model, x, y)
    expected = replayed_losses(regularized(keras), batches_of(x, y, size=32, epochs=3), update_rates(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)
    assert recorder.curve.context.regularization_loss == pytest.approx(0.05 * float((kernel**2).sum()), rel=1e-5)


def two_headed(keras: Any) -> Any:
    keras.utils.set_random_seed(6)
    inputs = keras.Input((8,))
    body = keras.layers.Dense(16, activation="relu")(inputs)
    heads = {
        "a": keras.layers.Dense(10, activation="softmax", name="a")(body),
        "b": keras.layers.Dense(1, name="b")(body),
    }
    return light(
        keras,
        model=keras.Model(inputs, heads),
        loss={"a": "sparse_categorical_crossentropy", "b": "mse"},
        loss_weights={"a": 2.0, "b": 0.5},
    )


@pytest.mark.minors
def test_with_several_outputs_and_loss_weights(keras: Any) -> None:
    x, y = digits(200)
    recorder, _ = scan(two_headed(keras), x, {"a": y, "b": x[:, :1]})
    batches = [(xb, {"a": yb, "b": xb[:, :1]}) for xb, yb in batches_of(x, y, size=32, epochs=3)]
    expected = replayed_losses(two_headed(keras), batches, update_rates(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)
    assert recorder.curve.context.loss_name is None


def test_of_a_generator_of_batches_of_many_sizes(keras: Any) -> None:
    x, y = digits(1000)
    edges = np.cumsum([0, *[9, 32, 32, 9, 9] * 3])
    batches = [(x[a:b], y[a:b]) for a, b in pairwise(edges)]
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=15, verbose=0)
    lent(keras).fit((batch for batch in batches), shuffle=False, verbose=0, callbacks=[recorder])
    expected = replayed_losses(twin(keras), batches, update_rates(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)
    assert recorder.curve.stop is StopReason.END_LR


def test_history_holds_what_keras_would_have_logged(keras: Any) -> None:
    x, y = digits(200)
    recorder, history = scan(compiled(keras, metrics=["accuracy"]), x, y)
    sizes = [32] * 6 + [8]
    for epoch, logged in enumerate(history.history["loss"]):
        losses = recorder.curve.loss[7 * epoch : 7 * epoch + 7]
        assert logged == pytest.approx(np.average(losses, weights=sizes), rel=1e-5)
    assert 0 <= history.history["accuracy"][0] <= 1


def test_the_logs_of_each_batch_show_the_rate_and_the_running_mean(keras: Any) -> None:
    seen: list[dict[str, float]] = []

    class Spy(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            seen.append(dict(logs or {}))

    x, y = digits(200)
    recorder, _ = scan(lent(keras), x, y, callbacks=(Spy(),))
    assert [logs["learning_rate"] for logs in seen] == pytest.approx(update_rates(recorder))
    assert seen[2]["loss"] == pytest.approx(recorder.curve.loss[:3].mean(), rel=1e-5)


def test_a_custom_train_step_that_logs_the_raw_loss(keras: Any) -> None:
    if BACKEND != "tensorflow":
        pytest.skip("the step is written for TensorFlow")
    import tensorflow as tf

    class Custom(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = classifier(keras)

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.inner(inputs, training=training)

        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, self(x, training=True)))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"total": loss}

    x, y = digits(200)
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=STEPS, monitor="total", verbose=0)
    light(keras, model=Custom()).fit(x, y, batch_size=32, epochs=3, shuffle=False, verbose=0, callbacks=[recorder])
    expected = replayed_losses(twin(keras), batches_of(x, y, size=32, epochs=3), update_rates(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)


@pytest.mark.one_backend
def test_precision_does_not_decay_in_a_long_epoch(keras: Any) -> None:
    steps = 300  # `test_batch_loss.py` tests a hundred thousand, without a host
    x = np.full((steps, 1), 1.0, "float32")
    y = (1.0 + 1e-3 * (np.arange(steps) % 7)).astype("float32")[:, None]
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", trainable=False)
    bias = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential(
        [keras.layers.InputLayer(input_shape=(1,)) if IS_TF_KERAS else keras.layers.Input((1,)), dense, bias]
    )
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
    recorder = LRScan(start_lr=1e-9, end_lr=1e-8, num_steps=steps, verbose=0)
    y[10] = 1e2  # a spike that would persist in differences of running means
    model.fit(x, y, batch_size=1, epochs=1, shuffle=False, verbose=0, callbacks=[recorder])
    np.testing.assert_allclose(recorder.curve.loss, (y[:, 0].astype("float64")) ** 2, rtol=1e-5)
