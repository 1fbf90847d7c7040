"""Scans a small model on several devices and prints the result. The tests run it in separate processes."""

# ruff: noqa: T201 - the last printed line is the result

from __future__ import annotations

import importlib
import json
import sys
from contextlib import nullcontext
from typing import Any

from keras_lrscan.errors import ScanError
from keras_lrscan.scan import LRScan, last_scan, lr_scan
from tests.support.hosts import BACKEND, IS_TF_KERAS, compiled, digits, same_bits, stop_tuning_pipelines, weights
from tests.support.mirrored_steps import scan_custom_steps

STEPS = 12
OPTIONS: dict[str, Any] = {"batch_size": 32, "epochs": 2, "shuffle": False, "verbose": 0}


def strategy(mode: str) -> Any:
    """Returns the distribution strategy of a mode."""
    if mode == "parallel":
        return None
    tensorflow = importlib.import_module("tensorflow")
    if mode == "workers":
        return tensorflow.distribute.MultiWorkerMirroredStrategy()
    device = tensorflow.config.list_physical_devices("CPU")[0]
    two = [tensorflow.config.LogicalDeviceConfiguration()] * 2
    tensorflow.config.set_logical_device_configuration(device, two)
    return tensorflow.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def scanned(keras: Any, scope: Any, *, then_train: bool) -> tuple[LRScan, list[Any]]:
    """Scans a model created in `scope`, and optionally trains it afterwards."""
    x, y = digits(192)
    with scope:
        model = compiled(keras, keras.optimizers.SGD(0.05, momentum=0.9))
    ramp: dict[str, Any] = {"start_lr": 1e-4, "end_lr": 1e-1, "num_steps": STEPS, "verbose": 0}
    lr_scan(model, x, y, **ramp, **{name: OPTIONS[name] for name in ("batch_size", "epochs", "shuffle")})
    recorder = last_scan()
    assert recorder is not None
    if then_train:
        model.fit(x, y, **OPTIONS)
    return recorder, weights(model)


def main() -> None:
    """Compares a scan on several devices with one on a single device."""
    mode, early = sys.argv[1], LRScan()
    assert not {"keras", "tf_keras"} & set(sys.modules)
    if BACKEND == "tensorflow":
        stop_tuning_pipelines()
    spread = strategy(mode)
    keras = importlib.import_module("tf_keras" if IS_TF_KERAS else "keras")
    x, y = digits(192)
    single = [] if mode == "workers" else scanned(keras, nullcontext(), then_train=False)[0].curve.loss.tolist()
    if mode == "parallel":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    scope = nullcontext() if spread is None else spread.scope()
    try:
        recorder, after = scanned(keras, scope, then_train=True)
    except ScanError as error:
        print(json.dumps({"error": str(error)}))
        return
    with nullcontext() if spread is None else spread.scope():
        plain = compiled(keras, keras.optimizers.SGD(0.05, momentum=0.9))
    plain.fit(x, y, **OPTIONS)
    single = single or _by_hand(keras, recorder)
    print(
        json.dumps(
            {
                "losses": recorder.curve.loss.tolist(),
                "single": single,
                "stop": str(recorder.curve.stop),
                "same": same_bits(after, weights(plain)),
                "passes": isinstance(early, keras.callbacks.Callback),
                "custom steps": scan_custom_steps(keras, spread) if mode == "mirrored" else None,
            }
        )
    )


def _by_hand(keras: Any, recorder: LRScan) -> list[float]:
    """Returns the losses of the same updates in a single process."""
    from tests.support.hosts import batches_of, replayed_losses

    rates = recorder.curve.lr.tolist()
    model = compiled(keras, keras.optimizers.SGD(0.05, momentum=0.9))
    return replayed_losses(model, batches_of(*digits(192), size=32, epochs=2), [*rates[1:], rates[-1]])


if __name__ == "__main__":
    main()
