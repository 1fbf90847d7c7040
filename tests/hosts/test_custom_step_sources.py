"""Tests that a scan records a custom `train_step` with any kind of data, and that the proof has no side effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.custom_steps import has_standard_step, make_meter
from keras_lrscan.hosts.host import Host
from keras_lrscan.scan import LRScan
from tests.support.hosts import (
    BACKEND,
    IS_TF_KERAS,
    batches_of,
    compiled,
    digits,
    given_input,
    replayed_losses,
    same_bits,
    state,
)
from tests.support.train_steps import custom, numbers, stack, standard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.train_steps import Batch

pytestmark = pytest.mark.keras

STEPS, SIZE = 10, 16
ONLY_TENSORFLOW = pytest.mark.skipif(BACKEND != "tensorflow", reason="this is about TensorFlow")


def raw(_model: Any, batch: Batch) -> dict[str, Any]:
    return {"loss": batch.loss}


def recorder_for(monitor: str = "loss") -> LRScan:
    return LRScan(start_lr=1e-4, end_lr=2e-2, num_steps=STEPS, monitor=monitor, verbose=0)


def rates_of(recorder: LRScan) -> list[float]:
    rates = recorder.curve.lr.tolist()
    return [*rates[1:], rates[-1]]


def batches() -> list[Any]:
    return batches_of(*numbers(), size=SIZE, epochs=2)[:STEPS]


def check(keras: Any, recorder: LRScan) -> None:
    expected = replayed_losses(standard(keras), batches(), rates_of(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)


def test_a_generator(keras: Any) -> None:
    recorder = recorder_for()
    custom(keras, raw).fit((batch for batch in batches()), shuffle=False, verbose=0, callbacks=[recorder])
    check(keras, recorder)


@ONLY_TENSORFLOW
def test_a_pipeline_with_an_uneven_last_batch(keras: Any) -> None:
    import tensorflow as tf

    x, y = numbers(56)
    recorder = recorder_for()
    custom(keras, raw).fit(
        tf.data.Dataset.from_tensor_slices((x, y)).batch(SIZE), epochs=3, shuffle=False, verbose=0, callbacks=[recorder]
    )
    expected = replayed_losses(standard(keras), batches_of(x, y, size=SIZE, epochs=3)[:STEPS], rates_of(recorder))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras allows one step per execution on torch")
def test_several_steps_per_execution(keras: Any) -> None:
    recorder = recorder_for()
    model = custom(keras, raw, steps_per_execution=3)
    before = state(model)
    model.fit(*numbers(), batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    check(keras, recorder)
    assert same_bits(before, state(model))


def test_a_loop_over_train_on_batch(keras: Any) -> None:
    recorder = recorder_for()
    model = custom(keras, raw)
    before = state(model)
    with recorder.on(model):
        returned = [model.train_on_batch(*batch, return_dict=True) for batch in batches()]
    check(keras, recorder)
    assert same_bits(before, state(model))
    np.testing.assert_allclose([float(logs["loss"]) for logs in returned], recorder.curve.loss, rtol=1e-6)


@pytest.mark.one_host
def test_the_history_holds_the_mean_of_the_recorded_losses(keras: Any) -> None:
    recorder = recorder_for()
    history = custom(keras, raw).fit(
        *numbers(), batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[recorder]
    )
    assert history.history["loss"] == pytest.approx([part.mean() for part in np.split(recorder.curve.loss, [6])])


@pytest.mark.skipif(IS_TF_KERAS, reason="its random kernels cannot be put back")
def test_random_layers_draw_what_they_would_have_drawn(keras: Any) -> None:
    def dropping() -> Any:
        return custom(keras, raw, extra=(keras.layers.Dropout(0.5, seed=7),))

    recorder, again = recorder_for(), dropping()
    dropping().fit(*numbers(), batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    expected = []
    for batch, rate in zip(batches(), rates_of(recorder), strict=True):
        again.optimizer.learning_rate = rate
        expected.append(float(again.train_on_batch(*batch, return_dict=True)["loss"]))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)


def with_noise(model: Any, batch: Batch) -> Any:
    """Returns the loss plus noise from a TensorFlow kernel with a state that cannot be restored."""
    import tensorflow as tf

    return batch.loss + 0.02 * tf.random.uniform(())


def fading(model: Any, batch: Batch) -> dict[str, Any]:
    model.average.assign(0.9 * model.average + 0.1 * with_noise(model, batch))
    return {"loss": model.average + 0.0}


def tracked(model: Any, batch: Batch) -> dict[str, Any]:
    model.tracker.update_state(with_noise(model, batch))
    return {"loss": model.tracker.result()}


@ONLY_TENSORFLOW
def test_noise_that_cannot_be_put_back_is_recorded_and_an_average_in_it_refused(keras: Any) -> None:
    import tensorflow as tf

    def prepare(model: Any) -> None:
        model.tracker = keras.metrics.Mean(name="any")
        model.average = tf.Variable(0.0, trainable=False)

    data = {"batch_size": SIZE, "epochs": 2, "shuffle": False, "verbose": 0}
    for book in (lambda model, batch: {"loss": with_noise(model, batch)}, tracked):
        recorder = recorder_for()
        custom(keras, book, prepare).fit(*numbers(), **data, callbacks=[recorder])
        expected = replayed_losses(standard(keras), batches(), rates_of(recorder))
        np.testing.assert_allclose(recorder.curve.loss, np.array(expected) + 0.01, atol=0.0101)
    with pytest.raises(ScanError, match="logs the loss of its own batch"):
        custom(keras, fading, prepare).fit(*numbers(), **data, callbacks=[recorder_for()])


@ONLY_TENSORFLOW
def test_a_classifier_with_dropout_is_not_taken_for_one_that_remembers(keras: Any) -> None:
    """Under tf_keras, dropout draws from kernels that cannot be restored, and the loss has an upper bound."""

    class Classifier(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            keras.utils.set_random_seed(3)
            layers = keras.layers
            stack = [given_input(keras, (8,)), layers.Dense(64, activation="relu"), layers.Dropout(0.5)]
            self.inner = keras.Sequential([*stack, layers.Dense(10, activation="softmax")])

        def call(self, inputs: Any, training: Any = None) -> Any:
            return self.inner(inputs, training=training)

        def train_step(self, data: Any) -> dict[str, Any]:
            logs = super().train_step(data)
            x, y = data[:2]
            predicted = self(x, training=True)
            return {**logs, "loss": keras.losses.SparseCategoricalCrossentropy()(y, predicted)}

    recorder = recorder_for()
    x, y = digits(160)
    model = compiled(keras, model=Classifier())
    model(x[:1])
    model.fit(x, y, batch_size=SIZE, verbose=0, callbacks=[recorder])
    assert len(recorder.curve) == STEPS


def accumulating(keras: Any) -> Callable[[Any], None]:
    """Makes a model accumulate the gradients of two batches for one update."""

    def variable(shape: Any) -> Any:
        if IS_TF_KERAS:
            import tensorflow as tf

            return tf.Variable(np.zeros(shape, "float32"), trainable=False)
        return keras.Variable(np.zeros(shape, "float32"), trainable=False)

    def weighed(self: Any, gradients: Any) -> Any:
        turn = self.turn + 0.0
        sums = [kept + new for kept, new in zip(self.sums, gradients, strict=True)]
        for kept, value in zip(self.sums, sums, strict=True):
            kept.assign(value * (1.0 - turn))
        self.turn.assign(1.0 - turn)
        return [0.5 * turn * value for value in sums]

    def prepare(model: Any) -> None:
        model.turn = variable(())
        model.sums = [variable(tuple(weight.shape)) for weight in model.inner.trainable_variables]
        type(model).weighed = weighed

    return prepare


def test_gradients_that_are_gathered_by_hand(keras: Any) -> None:
    recorder = recorder_for()
    model = custom(keras, raw, accumulating(keras))
    before = state(model)
    model.fit(*numbers(), batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    assert same_bits(before, state(model))
    again, expected = standard(keras), []
    all_batches = batches()
    rates = rates_of(recorder)
    for at in range(0, STEPS, 2):
        pair = all_batches[at : at + 2]
        expected += [float(again.evaluate(*batch, batch_size=SIZE, verbose=0)) for batch in pair]
        again.optimizer.learning_rate = rates[at + 1]
        again.train_on_batch(*(np.concatenate(parts) for parts in zip(*pair, strict=True)))
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)


def test_metrics_that_keras_does_not_know_of_and_numbers_in_python_are_as_they_were(keras: Any) -> None:
    def prepare(model: Any) -> None:
        model.hidden, model.calls, model.shown = keras.metrics.Mean(), 0, keras.metrics.Mean(name="shown")
        type(model).metrics = property(lambda self: [self.shown])

    def counted(model: Any, batch: Batch) -> dict[str, Any]:
        model.calls += 1
        model.hidden.update_state(batch.loss)
        return {"loss": model.hidden.result()}

    recorder = recorder_for()
    model = custom(keras, counted, prepare, run_eagerly=True)
    model.hidden.update_state(5.0)
    model.fit(*numbers(), batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[recorder])
    check(keras, recorder)
    assert float(model.hidden.result()) == 5.0
    assert model.calls == 0


@ONLY_TENSORFLOW
def test_a_mean_in_a_closure_is_found_out_after_a_training_as_well(keras: Any) -> None:
    closed = keras.metrics.Mean()

    def book(_: Any, batch: Batch) -> dict[str, Any]:
        closed.update_state(batch.loss)
        return {"loss": closed.result()}

    model = custom(keras, book)
    data = {"batch_size": SIZE, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(*numbers(), **data)  # from here on, the traced step lists its variables
    with pytest.raises(ScanError, match="also holds earlier batches"):
        model.fit(*numbers(), **data, callbacks=[recorder_for()])


@pytest.mark.parametrize(
    ("book", "message"),
    [
        (lambda _, batch: {"loss": batch.predicted[:, 0]}, r"key of a single number.*array of shape \(16,\).*the mean"),
        pytest.param(
            lambda _, batch: {"other": batch.loss},
            r"in the logs, \['other'\]. Received: monitor='loss'",
            marks=pytest.mark.one_host,
        ),
        (lambda _, batch: {"loss": 0.0 * batch.loss + 3.0}, "hardly changes with the weights"),
    ],
    ids=["a loss for each sample", "another key", "a constant"],
)
def test_what_cannot_be_a_loss_is_refused_and_the_model_put_back(keras: Any, book: Any, message: str) -> None:
    model = custom(keras, book)
    before = state(model)
    with pytest.raises(ScanError, match=message):
        model.fit(*numbers(), batch_size=SIZE, epochs=2, verbose=0, callbacks=[recorder_for()])
    assert same_bits(before, state(model))


def two_headed(keras: Any) -> Any:
    keras.utils.set_random_seed(6)
    inputs = keras.Input((8,))
    body = keras.layers.Dense(16, activation="relu")(inputs)
    heads = {
        "cls": keras.layers.Dense(10, activation="softmax", name="cls")(body),
        "box": keras.layers.Dense(1, name="box")(body),
    }
    return compiled(
        keras,
        model=keras.Model(inputs, heads),
        loss={"cls": "sparse_categorical_crossentropy", "box": "mse"},
        metrics={"cls": ["accuracy"], "box": ["mae", keras.metrics.RootMeanSquaredError(name="rms")]},
    )


def test_the_loss_of_one_output_and_metrics_are_recorded_exactly(keras: Any) -> None:
    x, y = digits(96)
    fed = [(xb, {"cls": yb, "box": xb[:, :1]}) for xb, yb in batches_of(x, y, size=SIZE, epochs=2)]
    model, expected = two_headed(keras), []
    recorders = {monitor: recorder_for(monitor) for monitor in ("cls_loss", "box_rms")}
    for recorder in recorders.values():
        model.fit(
            x, {"cls": y, "box": x[:, :1]}, batch_size=SIZE, epochs=2, shuffle=False, verbose=0, callbacks=[recorder]
        )
    again = two_headed(keras)
    for batch, rate in zip(fed, rates_of(recorders["cls_loss"]), strict=False):
        expected.append(again.evaluate(*batch, batch_size=SIZE, verbose=0, return_dict=True))
        again.optimizer.learning_rate = rate
        again.train_on_batch(*batch)
    for monitor, recorder in recorders.items():
        np.testing.assert_allclose(recorder.curve.loss, [float(logs[monitor]) for logs in expected], rtol=1e-4)


@pytest.mark.one_host
def test_a_metric_that_is_called_a_loss_and_is_no_mean_cannot_be_monitored(keras: Any) -> None:
    odd = keras.metrics.RootMeanSquaredError(name="odd_loss")
    model = compiled(keras, metrics=[odd], loss="mse", model=stack(keras))
    x, y = numbers()
    with pytest.raises(ScanError, match=r"averages over the batches of an epoch. Received: monitor='odd_loss'"):
        model.fit(x, y, epochs=4, verbose=0, callbacks=[recorder_for("odd_loss")])


def test_only_what_keras_does_not_log_itself_is_tried_out(keras: Any) -> None:
    model = compiled(keras, metrics=["accuracy"])
    assert has_standard_step(Host(model))
    needed = {name: make_meter(Host(model), [], name).needs_proof for name in ("loss", "out_loss", "accuracy")}
    assert needed == {"loss": False, "out_loss": False, "accuracy": True}
    model.train_step = lambda *_: {}
    assert not has_standard_step(Host(model))
    assert make_meter(Host(custom(keras, raw)), [], "loss").needs_proof
