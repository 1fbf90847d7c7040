"""Tests that a scan either records the loss of the current batch from a custom `train_step` or refuses the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.errors import ScanError
from keras_lrscan.scan import LRScan
from tests.support.hosts import BACKEND, IS_TF_KERAS, batches_of, replayed_losses, same_bits, state
from tests.support.train_steps import custom, loss_function, numbers, ops, standard

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.train_steps import Batch

pytestmark = pytest.mark.keras

STEPS, SIZE = 10, 16


@dataclass(frozen=True, kw_only=True)
class Row:
    """Describes one way to write a train step.

    Attributes:
        book: Function that returns the logs for a model and a batch.
        refused: Hosts on which a scan must refuse it, because the proof for the batch loss fails.
        prepare: Function that adds trackers to the model.
        monitor: Key of the loss.
        layers: Function that returns additional layers.
        options: Arguments of `compile`.
        is_compiled: Whether `compile` also receives the loss.
        of_samples: Whether the logged value is the sum over the samples.
    """

    book: Callable[[Any, Batch], dict[str, Any]]
    refused: tuple[str, ...] = ()
    prepare: Callable[[Any, Any], None] = lambda _keras, _model: None
    monitor: str = "loss"
    layers: Callable[[Any], tuple[Any, ...]] = lambda _keras: ()
    options: dict[str, Any] = field(default_factory=dict)
    is_compiled: bool = False
    of_samples: bool = False


EVERYWHERE = ("tensorflow", "tf_keras", "jax", "torch")
HOST = "tf_keras" if IS_TF_KERAS else BACKEND


def trackers(**names: str) -> Callable[[Any, Any], None]:
    """Creates means, by attribute and name."""

    def prepare(keras: Any, model: Any) -> None:
        for attribute, name in names.items():
            setattr(model, attribute, keras.metrics.Mean(name=name))

    return prepare


def variable(keras: Any, value: float = 0.0) -> Any:
    """Creates a variable that is not trained."""
    if not IS_TF_KERAS:
        return keras.Variable(value, trainable=False, dtype="float32")
    import tensorflow as tf

    return tf.Variable(value, trainable=False, dtype="float32")


def held(*names: str) -> Callable[[Any, Any], None]:
    """Creates variables that are not trained."""

    def prepare(keras: Any, model: Any) -> None:
        for name in names:
            setattr(model, name, variable(keras))

    return prepare


def updated(metric: Any, *values: Any) -> Any:
    metric.update_state(*values)
    return metric.result()


def vae(model: Any, batch: Batch) -> dict[str, Any]:
    model.total.update_state(batch.loss)
    model.main.update_state(batch.main)
    model.other.update_state(batch.other)
    return {"loss": model.total.result(), "reconstruction": model.main.result(), "kl": model.other.result()}


def sum_of_means(model: Any, batch: Batch) -> dict[str, Any]:
    return {"loss": updated(model.main, batch.main) + updated(model.other, batch.other)}


def raw_beside_a_tracker(model: Any, batch: Batch) -> dict[str, Any]:
    model.tracker.update_state(batch.loss)
    return {"loss": batch.loss}


def hidden_from_metrics(keras: Any, model: Any) -> None:
    trackers(tracker="total", shown="shown")(keras, model)
    kind = type(model)
    kind.metrics = property(lambda self: [self.shown])


def in_a_list(keras: Any, model: Any) -> None:
    model.several = [{"a": keras.metrics.Mean(name="a")}]
    type(model).metrics = property(lambda _: [])


CLOSED: dict[str, Any] = {}


def closed_over(keras: Any, _model: Any) -> None:
    CLOSED["mean"] = keras.metrics.Mean(name="closed")


def guide(model: Any, batch: Batch) -> dict[str, Any]:
    """Implements the train step of the Keras guide on custom steps."""
    loss = model.compute_loss(x=batch.x, y=batch.y, y_pred=batch.predicted)
    if not IS_TF_KERAS:
        for metric in model.metrics:
            arguments = (loss,) if metric.name == "loss" else (batch.y, batch.predicted)
            metric.update_state(*arguments)
    return {metric.name: metric.result() for metric in model.metrics if metric.name == "loss"}


def smoothed(model: Any, batch: Batch) -> dict[str, Any]:
    model.average.assign(0.9 * model.average + 0.1 * batch.loss)
    return {"loss": model.average + 0.0}


def smoothed_and_corrected(model: Any, batch: Batch) -> dict[str, Any]:
    model.average.assign(0.9 * model.average + 0.1 * batch.loss)
    model.weight.assign(0.9 * model.weight + 0.1)
    return {"loss": model.average / model.weight}


def smoothed_in_python(model: Any, batch: Batch) -> dict[str, Any]:
    before = getattr(model, "smooth", None)
    model.smooth = float(batch.loss) if before is None else 0.9 * before + 0.1 * float(batch.loss)
    return {"loss": model.smooth}


def averaged_in_python(model: Any, batch: Batch) -> dict[str, Any]:
    model.sum, model.number = getattr(model, "sum", 0.0) + float(batch.loss), getattr(model, "number", 0) + 1
    return {"loss": model.sum / model.number}


def averaged_in_a_list(model: Any, batch: Batch) -> dict[str, Any]:
    CLOSED.setdefault(str(id(model)), []).append(float(batch.loss))
    return {"loss": float(np.mean(CLOSED[str(id(model))][-5:]))}


def lagged(model: Any, batch: Batch) -> dict[str, Any]:
    before = model.average + 0.0
    model.average.assign(batch.loss)
    return {"loss": before}


def shown_every_fourth(model: Any, batch: Batch) -> dict[str, Any]:
    number = getattr(model, "number", 0)
    if number % 4 == 0:
        model.shown = float(batch.loss)
    model.number = number + 1
    return {"loss": model.shown}


def counted_beside(model: Any, batch: Batch) -> dict[str, Any]:
    model.average.assign(model.average + 1.0)
    model.weight.assign(0.5 * model.weight + 0.5 * batch.loss)
    return {"loss": batch.loss, "smooth": model.weight + 0.0}


def slow(keras: Any) -> tuple[Any, ...]:
    """Returns a layer that keeps a slow mean of its inputs and subtracts it, also in training."""

    class Slow(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.mean = self.add_weight(shape=(int(shape[-1]),), initializer="ones", trainable=False, name="mean")

        def call(self, inputs: Any, training: Any = None) -> Any:
            outputs = inputs - 0.5 * self.mean
            if training:
                lib = ops(keras)
                self.mean.assign(0.5 * self.mean + 0.5 * lib.mean(lib.square(inputs), axis=0))
            return outputs

    return (Slow(),)


EAGER = {"run_eagerly": True}
ROWS = {
    "raw loss": Row(book=lambda _, b: {"loss": b.loss}),
    "raw loss under another key": Row(book=lambda _, b: {"mine": b.loss, "loss": 0.0 * b.loss}, monitor="mine"),
    "mean named loss": Row(
        book=lambda m, b: {"loss": updated(m.tracker, b.loss)}, prepare=trackers(tracker="loss"), is_compiled=True
    ),
    "mean of samples named loss": Row(
        book=lambda m, b: {"loss": updated(m.tracker, b.loss, b.size)}, prepare=trackers(tracker="loss")
    ),
    "mean named total_loss": Row(
        book=lambda m, b: {"loss": updated(m.tracker, b.loss)}, prepare=trackers(tracker="total_loss")
    ),
    "autoencoder with three trackers": Row(
        book=vae, prepare=trackers(total="total_loss", main="reconstruction_loss", other="kl_loss")
    ),
    "sum of two means": Row(book=sum_of_means, prepare=trackers(main="main", other="other")),
    "raw loss and a tracker named loss": Row(book=raw_beside_a_tracker, prepare=trackers(tracker="loss")),
    "two trackers of the same": Row(
        book=lambda m, b: {"loss": updated(m.one, b.loss), "again": updated(m.two, b.loss)},
        prepare=trackers(one="loss", two="loss_again"),
    ),
    "mean not in metrics": Row(book=lambda m, b: {"loss": updated(m.tracker, b.loss)}, prepare=hidden_from_metrics),
    "mean in a dict in a list": Row(book=lambda m, b: {"loss": updated(m.several[0]["a"], b.loss)}, prepare=in_a_list),
    "mean in a closure": Row(
        book=lambda _, b: {"loss": updated(CLOSED["mean"], b.loss)},
        prepare=closed_over,
        refused=("tensorflow", "tf_keras", "torch"),  # the compiled step of JAX resets it anyway
    ),
    "all metrics of the compiled loss": Row(book=guide, is_compiled=True),
    "losses of layers": Row(
        book=lambda _, b: {"loss": b.loss}, layers=lambda keras: (keras.layers.ActivityRegularization(l2=0.1),)
    ),
    "sum over the samples": Row(
        book=lambda m, b: {"loss": updated(m.tracker, b.loss * float(SIZE))},
        prepare=trackers(tracker="sum"),
        of_samples=True,
    ),
    "state that trains along": Row(book=lambda _, b: {"loss": b.loss}, layers=slow),
    "variables for other ends": Row(book=counted_beside, prepare=held("average", "weight")),
    "average in a variable": Row(book=smoothed, prepare=held("average"), refused=EVERYWHERE),
    "corrected average in variables": Row(
        book=smoothed_and_corrected, prepare=held("average", "weight"), refused=EVERYWHERE
    ),
    "loss of the batch before": Row(book=lagged, prepare=held("average"), refused=EVERYWHERE),
    "average in Python": Row(book=smoothed_in_python, options=EAGER, refused=EVERYWHERE),
    "sum and count in Python": Row(book=averaged_in_python, options=EAGER, refused=EVERYWHERE),
    "list in Python": Row(book=averaged_in_a_list, options=EAGER, refused=EVERYWHERE),
    "renewed every fourth batch": Row(book=shown_every_fourth, options=EAGER, refused=EVERYWHERE),
}


def scanned(model: Any, monitor: str = "loss", **options: Any) -> LRScan:
    recorder = LRScan(start_lr=1e-4, end_lr=2e-2, num_steps=STEPS, monitor=monitor, verbose=0)
    x, y = numbers()
    model.fit(
        x, y, **{"batch_size": SIZE, "epochs": 2, "shuffle": False, "verbose": 0, **options}, callbacks=[recorder]
    )
    return recorder


def by_hand(recorder: LRScan, again: Any) -> Any:
    rates = recorder.curve.lr.tolist()
    return replayed_losses(again, batches_of(*numbers(), size=SIZE, epochs=2), [*rates[1:], rates[-1]])


@pytest.fixture(scope="module", name="plain")
def _plain(keras: Any) -> Callable[[LRScan], list[float]]:
    """Computes the losses of the model that most rows train once, because the rates are the same."""
    kept: dict[tuple[float, ...], Any] = {}

    def losses(recorder: LRScan) -> list[float]:
        rates = tuple(recorder.curve.lr.tolist())
        if rates not in kept:
            kept[rates] = by_hand(recorder, standard(keras))
        found: list[float] = kept[rates]
        return found

    return losses


def made(keras: Any, row: Row) -> Any:
    options = {**({"loss": loss_function(keras)} if row.is_compiled else {}), **row.options}
    return custom(keras, row.book, lambda model: row.prepare(keras, model), extra=row.layers(keras), **options)


BOOKED_ALIKE = {
    "mean of samples named loss",
    "mean named total_loss",
    "two trackers of the same",
    "mean in a dict in a list",
    "sum over the samples",
    "corrected average in variables",
    "sum and count in Python",
    "renewed every fourth batch",
}
"""Rows that keep their numbers where another row of the table does; what a host does with these is the same."""


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=name, marks=pytest.mark.one_host if name in BOOKED_ALIKE else ())
        for name, row in ROWS.items()
    ],
)
def test_a_train_step_is_recorded_exactly_or_refused(keras: Any, row: Row, plain: Any) -> None:
    model = made(keras, row)
    before = state(model)
    if HOST in row.refused:
        with pytest.raises(ScanError, match="Expected a `train_step` that logs the loss of its own batch") as error:
            scanned(model, row.monitor)
        assert 'pass `monitor="batch_loss"`' in str(error.value)
        assert same_bits(before, state(model))
        return
    recorder = scanned(model, row.monitor)
    assert same_bits(before, state(model))
    extra = row.layers(keras)
    expected = np.array(by_hand(recorder, standard(keras, extra=extra)) if extra else plain(recorder))
    expected = expected * SIZE if row.of_samples else expected
    assert len(recorder.curve) == STEPS
    np.testing.assert_allclose(recorder.curve.loss, expected[:STEPS], rtol=1e-4)
