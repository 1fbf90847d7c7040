"""Scans custom train steps on two devices and prints the result. A test runs it in a separate process."""

# ruff: noqa: T201 - the last printed line is the result

from __future__ import annotations

import importlib
import json
from typing import Any

from keras_lrscan.errors import ScanError
from keras_lrscan.scan import LRScan
from tests.support.distributed_program import strategy
from tests.support.hosts import IS_TF_KERAS, batches_of, replayed_losses
from tests.support.train_steps import custom, numbers, standard


def main() -> None:
    """Scans a step that returns the mean of a tracker, and one that returns the loss of its own device."""
    scope = strategy("mirrored").scope
    keras = importlib.import_module("tf_keras" if IS_TF_KERAS else "keras")

    def prepare(model: Any) -> None:
        model.tracker = keras.metrics.Mean(name="total")

    def tracked(model: Any, batch: Any) -> dict[str, Any]:
        model.tracker.update_state(batch.loss)
        return {"loss": model.tracker.result()}

    recorder = LRScan(start_lr=1e-4, end_lr=2e-2, num_steps=8, verbose=0)
    options: dict[str, Any] = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0}
    with scope():
        model = custom(keras, tracked, prepare)
    model.fit(*numbers(), **options, callbacks=[recorder])
    rates = recorder.curve.lr.tolist()
    single = replayed_losses(standard(keras), batches_of(*numbers(), size=16, epochs=2), [*rates[1:], rates[-1]])
    with scope():
        model = custom(keras, lambda _, batch: {"loss": batch.loss}, prepare)
    try:
        model.fit(*numbers(), **options, callbacks=[LRScan(verbose=0)])
        refused = ""
    except ScanError as error:
        refused = str(error)
    print(json.dumps({"tracked": recorder.curve.loss.tolist(), "single": single, "raw": refused}))


if __name__ == "__main__":
    main()
