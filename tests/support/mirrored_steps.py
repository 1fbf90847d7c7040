"""Scans custom train steps on several devices."""

from __future__ import annotations

from typing import Any

from keras_lrscan.errors import ScanError
from keras_lrscan.scan import LRScan
from tests.support.hosts import batches_of, replayed_losses
from tests.support.train_steps import custom, numbers, standard


def scan_custom_steps(keras: Any, spread: Any) -> dict[str, Any]:
    """Scans a step that returns the mean of a tracker, and one that returns the loss of its own device.

    Returns:
        The losses of the first, those of one device, and the error that refuses the second.
    """

    def prepare(model: Any) -> None:
        model.tracker = keras.metrics.Mean(name="total")

    def tracked(model: Any, batch: Any) -> dict[str, Any]:
        model.tracker.update_state(batch.loss)
        return {"loss": model.tracker.result()}

    recorder = LRScan(start_lr=1e-4, end_lr=2e-2, num_steps=8, verbose=0)
    options: dict[str, Any] = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
    with spread.scope():
        model = custom(keras, tracked, prepare)
    model.fit(*numbers(), **options, callbacks=[recorder])
    rates = recorder.curve.lr.tolist()
    single = replayed_losses(standard(keras), batches_of(*numbers(), size=16, epochs=2), [*rates[1:], rates[-1]])
    with spread.scope():
        model = custom(keras, lambda _, batch: {"loss": batch.loss}, prepare)
    try:
        model.fit(*numbers(), **options, callbacks=[LRScan(verbose=0)])
        refused = ""
    except ScanError as error:
        refused = str(error)
    return {"tracked": recorder.curve.loss.tolist(), "single": single, "raw": refused}
