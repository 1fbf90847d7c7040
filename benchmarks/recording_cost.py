"""Prints what recording a scan costs, as a ratio to a plain `fit` of the same steps.

Every way runs in turn, in blocks of a few steps of one and the same model inside one `fit`, so that other work on the
machine falls on all of them alike; the ratio is that of the medians.

Run with: python benchmarks/recording_cost.py [tiny] [cnn] [transformer]
Choose the host with KERAS_BACKEND, or TF_USE_LEGACY_KERAS=1 for tf_keras.
"""

# ruff: noqa: ANN401, D102 - the hosts' modules have no types of their own, and hooks are known

from __future__ import annotations

import importlib
import os
import resource
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_lrscan.host import Host
from keras_lrscan.meters import make_meter
from keras_lrscan.optimizers import RateControl
from keras_lrscan.ramp import ExponentialRamp
from keras_lrscan.recorder import Recorder
from keras_lrscan.snapshot import Snapshot

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
keras: Any = importlib.import_module("tf_keras" if LEGACY else "keras")
BLOCK = 10
KINDS = {"tiny": 1200, "cnn": 360, "transformer": 240}


def tiny() -> tuple[Any, Any, Any]:
    """A dense network, the worst case for anything done in Python between steps."""
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.Dense(64, activation="relu")(inputs))
    return inputs, hidden, (32, 64)


def cnn() -> tuple[Any, Any, Any]:
    """A small convolutional network on 32 by 32 images."""
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for filters in (16, 32, 64):
        x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return inputs, keras.layers.GlobalAveragePooling2D()(x), (32, 32, 32, 3)


def transformer() -> tuple[Any, Any, Any]:
    """Two blocks of self-attention over 128 places."""
    inputs = keras.Input((128, 128))
    x = inputs
    for _ in range(2):
        attended = keras.layers.MultiHeadAttention(4, 32)(x, x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, attended]))
        hidden = keras.layers.Dense(128)(keras.layers.Dense(512, activation="gelu")(x))
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, hidden]))
    return inputs, keras.layers.GlobalAveragePooling1D()(x), (32, 128, 128)


def scan_step(model: Any, step: Any, num_steps: int) -> Callable[..., Any]:
    """What `LRScan` does in the place of `step`."""
    host = Host(model)
    host.build_optimizer()
    control = RateControl(model.optimizer, host.make_rate_variable)
    meter = make_meter(host, control.variables, "loss")
    recorder = Recorder(ExponentialRamp(1e-6, 1e-5, num_steps), stop_on_divergence=True)

    def execute(*args: Any) -> Any:
        rate = recorder.rate
        result = step(*meter.before(args, rate, control.iterations + recorder.num_points))
        reading = meter.after(result)
        recorder.add(reading.loss)
        return meter.with_logs(result, {**meter.logs(result), "loss": reading.logged, "learning_rate": rate})

    return execute


class Classic(keras.callbacks.Callback):  # type: ignore[misc]
    """The classic design: assign the rate, read the logs; `exact` empties the metrics before each batch."""

    def __init__(self, *, exact: bool) -> None:
        super().__init__()
        self.exact = exact
        self.losses: list[float] = []
        self.best = float("inf")

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.model.optimizer.learning_rate = 1e-6
        if self.exact:
            self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        self.losses.append(logs["loss"])
        self.best = min(self.best, self.losses[-1])


class Smoothing(Classic):
    """ktrain's design: read the rate, smooth the logged loss, multiply the rate."""

    average = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Does nothing; the rate is set after the batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        count = len(self.losses) + 1
        self.average = 0.98 * self.average + 0.02 * logs["loss"]
        self.losses.append(self.average / (1 - 0.98**count))
        rate = float(np.asarray(keras.backend.get_value(self.model.optimizer.learning_rate))) if LEGACY else 1e-6
        self.model.optimizer.learning_rate = rate * 1.0001
        super().on_train_batch_end(batch, {"loss": self.losses[-1]})


class Switch(keras.callbacks.Callback):  # type: ignore[misc]
    """Runs the ways in turn and times each step with all that belongs to it."""

    def __init__(self, steps: dict[str, Callable[..., Any]], callbacks: dict[str, Any]) -> None:
        super().__init__()
        self.steps = steps
        self.callbacks = callbacks
        self.names = [*steps, *callbacks]
        self.times: dict[str, list[float]] = {name: [] for name in self.names}
        self.name = ""
        self.start = 0.0

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        for callback in self.callbacks.values():
            callback.set_model(self._model if hasattr(self, "_model") else self.model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        model = self._model if hasattr(self, "_model") else self.model
        if batch % BLOCK == 0:
            self.name = self.names[(batch // BLOCK) % len(self.names)]
            model.train_function = self.steps.get(self.name, self.steps["plain"])
        self.start = time.perf_counter()
        if self.name in self.callbacks:
            self.callbacks[self.name].on_train_batch_begin(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.name in self.callbacks:
            self.callbacks[self.name].on_train_batch_end(batch, logs)
        if batch % BLOCK:  # the first step of a block still pays for the one before
            self.times[self.name].append(time.perf_counter() - self.start)


def measure(kind: str) -> None:
    """Prints the line of one model."""
    keras.utils.set_random_seed(0)
    inputs, hidden, shape = {"tiny": tiny, "cnn": cnn, "transformer": transformer}[kind]()
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(hidden))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    num_steps = KINDS[kind]
    random = np.random.default_rng(0)
    x = random.normal(size=(shape[0] * num_steps, *shape[1:])).astype("float32")
    y = random.integers(0, 10, len(x))
    model.fit(x[: 8 * shape[0]], y[: 8 * shape[0]], batch_size=shape[0], verbose=0)
    plain = model.train_function
    steps = {"plain": plain, "LRScan": scan_step(model, plain, num_steps)}
    callbacks = {
        "classic, mean of means": Classic(exact=False),
        "classic, exact": Classic(exact=True),
        "ktrain's design": Smoothing(exact=False),
    }
    switch = Switch(steps, callbacks)
    model.fit(x, y, batch_size=shape[0], verbose=0, callbacks=[switch])
    model.train_function = plain
    base = median(switch.times["plain"])
    ratios = "  ".join(f"{name} {median(times) / base:.3f}" for name, times in switch.times.items())
    print(f"{kind:12s} {1e3 * base:7.2f} ms a step   {ratios}")


def peak_memory() -> None:
    """Prints what a snapshot of a larger model adds to the memory of this process."""

    class Cell:
        def __init__(self, value: Any) -> None:
            self.array = value

        def numpy(self) -> Any:
            return self.array

        def assign(self, value: Any) -> None:
            self.array[...] = value

    cells = [Cell(np.random.default_rng(i).normal(size=(1000, 1000))) for i in range(25)]
    for place in ("disk", "memory"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        snapshot = Snapshot(cells, place=place)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"snapshot of 191 MiB of state in {place}: peak memory grows by {grown:.0f} MiB")
        snapshot.close()


def main() -> None:
    """Measures the models named on the command line, or all."""
    backend = "tf_keras" if LEGACY else f"keras on {keras.backend.backend()}"
    print(f"{backend}, ratios of median step times to plain fit")
    peak_memory()
    for kind in sys.argv[1:] or KINDS:
        measure(kind)


if __name__ == "__main__":
    main()
