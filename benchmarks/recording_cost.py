"""Measures the cost of recording a scan, relative to a plain `fit` of the same steps.

All variants take turns in blocks of a few steps of the same model, inside one `fit`, so that other load on the machine
affects them equally. The script divides the median of each block by that of the plain block in the same turn and prints
the median of these ratios.

Run with: python benchmarks/recording_cost.py [tiny] [cnn] [transformer]
Choose the host with KERAS_BACKEND, or TF_USE_LEGACY_KERAS=1 for tf_keras.
"""

# ruff: noqa: D102, SLF001 - the hooks are those of Keras, and the in-graph variant needs Keras's private state

from __future__ import annotations

import functools
import importlib
import math
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_lrscan.hosts.host import Host
from keras_lrscan.hosts.optimizers import optimizer_variables
from keras_lrscan.hosts.snapshot import Snapshot
from keras_lrscan.recording.ramp import ExponentialRamp
from keras_lrscan.recording.recorder import Recorder
from keras_lrscan.recording.session import Session
from keras_lrscan.scan import LRScan

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
keras: Any = importlib.import_module("tf_keras" if LEGACY else "keras")
BACKEND = "tensorflow" if LEGACY else keras.backend.backend()
BLOCK = 10
RATES = (1e-6, 1e-5)
KINDS = {"tiny": 3600, "cnn": 900, "transformer": 360}


def tiny() -> tuple[Any, Any, Any]:
    """Builds a dense network, the worst case for Python code between steps."""
    inputs = keras.Input((64,))
    hidden = keras.layers.Dense(64, activation="relu")(keras.layers.Dense(64, activation="relu")(inputs))
    return inputs, hidden, (32, 64)


def cnn() -> tuple[Any, Any, Any]:
    """Builds a small convolutional network on 32x32 images."""
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for filters in (16, 32, 64):
        x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return inputs, keras.layers.GlobalAveragePooling2D()(x), (32, 32, 32, 3)


def transformer() -> tuple[Any, Any, Any]:
    """Builds two blocks of self-attention over 128 positions."""
    inputs = keras.Input((128, 128))
    x = inputs
    for _ in range(2):
        attended = keras.layers.MultiHeadAttention(4, 32)(x, x)
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, attended]))
        hidden = keras.layers.Dense(128)(keras.layers.Dense(512, activation="gelu")(x))
        x = keras.layers.LayerNormalization()(keras.layers.Add()([x, hidden]))
    return inputs, keras.layers.GlobalAveragePooling1D()(x), (32, 128, 128)


def scan(model: Any, num_steps: int) -> Session:
    """Starts a scan in the middle of a `fit`, which replaces the model's `train_function`."""
    session = Session(
        Host(model),
        ramp=ExponentialRamp(*RATES, num_steps),
        stop_on_divergence=True,
        place="memory",
        monitor="loss",
        on_end=lambda: None,
    )
    session.begin(steps_per_epoch=None)
    session.start_epoch(epochs_left=1)
    return session


def in_graph_step(model: Any, num_steps: int) -> Callable[..., Any]:
    """Returns a train function that contains the ramp and the recording, so that only the loss is read outside."""
    original, growth = model.train_step, (RATES[1] / RATES[0]) ** (1 / num_steps)
    rate = model.optimizer._learning_rate
    recorder = Recorder(ExponentialRamp(*RATES, num_steps))

    def step_on_state(state: Any, data: Any) -> Any:
        trainable, other, optimizer, metrics = state
        at = next(at for at, variable in enumerate(model.optimizer.variables) if variable is rate)
        optimizer = [value * growth if at == place else value for place, value in enumerate(optimizer)]
        logs, state = original((trainable, other, optimizer, [0 * value for value in metrics]), data)
        return {**logs, "learning_rate": optimizer[at]}, state

    def step_on_variables(data: Any) -> Any:
        rate.assign(rate * growth)
        model.reset_metrics()
        logs = original(data)
        return {**logs, "learning_rate": keras.ops.copy(rate) if hasattr(keras, "ops") else rate.read_value()}

    before, model.train_step = model.train_function, step_on_state if BACKEND == "jax" else step_on_variables
    model.make_train_function(force=True)
    step, model.train_function = model.train_function, before
    del model.train_step

    def execute(*args: Any) -> Any:
        result = step(*args)
        logs = result[0] if BACKEND == "jax" else result
        recorder.add(float(logs["loss"]))
        return result

    return execute


class Classic(keras.callbacks.Callback):  # type: ignore[misc]
    """Assigns the learning rate and reads the logs, as the classic callback does.

    Args:
        exact: Whether to reset the metrics before each batch.
    """

    def __init__(self, *, exact: bool) -> None:
        super().__init__()
        self.exact = exact
        self.losses: list[float] = []
        self.best = float("inf")

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 1e-6
        if self.exact:
            self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        self.best = min(self.best, self.losses[-1])


class Smoothing(Classic):
    """Reads the learning rate, smooths the logged loss and multiplies the learning rate, as ktrain does."""

    average = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Does nothing, because the learning rate is set after the batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        count = len(self.losses) + 1
        self.average = 0.98 * self.average + 0.02 * logs["loss"]
        self.losses.append(self.average / (1 - 0.98**count))
        rate = float(np.asarray(keras.backend.get_value(self.model.optimizer.learning_rate))) if LEGACY else 1e-6
        self.model.optimizer.learning_rate = rate * 1.0001
        super().on_train_batch_end(batch, {"loss": self.losses[-1]})


class Switch(keras.callbacks.Callback):  # type: ignore[misc]
    """Runs the variants in turn and times each step together with its callback."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.steps: dict[str, Callable[..., Any]] = {}
        self.callbacks = {
            "classic": Classic(exact=False),
            "classic exact": Classic(exact=True),
            "ktrain's": Smoothing(exact=False),
        }
        self.blocks: dict[str, list[list[float]]] = {}
        self.first: dict[str, float] = {}
        self.name = ""
        self.start = 0.0

    @property
    def bare(self) -> Any:
        """Model without the property that copies the state back to the variables on JAX."""
        return self._model if hasattr(self, "_model") else self.model

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        self.steps["plain"] = model.train_function
        self.steps["in graph"] = in_graph_step(model, self.num_steps)
        self.session = scan(model, self.num_steps)
        self.steps["LRScan"] = model.train_function
        for callback in self.callbacks.values():
            callback.set_model(model)
        self.names = [*self.steps, *self.callbacks]
        self.blocks = {name: [] for name in self.names}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch % BLOCK == 0:
            self.name = self.names[(batch // BLOCK) % len(self.names)]
            self.blocks[self.name].append([])
            self.model.reset_metrics()
            self.session.start_epoch(epochs_left=1)
            self.bare.train_function = self.steps.get(self.name, self.steps["plain"])
        self.start = time.perf_counter()
        if self.name in self.callbacks:
            self.callbacks[self.name].on_train_batch_begin(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.name in self.callbacks:
            self.callbacks[self.name].on_train_batch_end(batch, logs)
        seconds = time.perf_counter() - self.start
        self.first.setdefault(self.name, seconds)
        if batch % BLOCK > 1:  # the first step of a block includes work of the previous block
            self.blocks[self.name][-1].append(seconds)

    def on_train_end(self, logs: Any = None) -> None:
        curve = self.session.curve
        self.session.end()
        if curve is None or curve.stop != "interrupted":
            sys.exit("Expected the scan to last as long as the benchmark, but it stopped before.")


def data_for(shape: tuple[int, ...], num_steps: int) -> tuple[Any, Any]:
    """Returns random inputs and labels for `num_steps` steps."""
    random = np.random.default_rng(0)
    x = random.normal(size=(shape[0] * num_steps, *shape[1:])).astype("float32")
    return x, random.integers(0, 10, len(x))


def measure(kind: str) -> None:
    """Measures one model and prints its ratios."""
    keras.utils.set_random_seed(0)
    inputs, hidden, shape = {"tiny": tiny, "cnn": cnn, "transformer": transformer}[kind]()
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(hidden))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    num_steps = KINDS[kind]
    x, y = data_for(shape, num_steps)
    model.fit(x[: 8 * shape[0]], y[: 8 * shape[0]], batch_size=shape[0], verbose=0)
    switch = Switch(num_steps)
    model.fit(x, y, batch_size=shape[0], verbose=0, callbacks=[switch])
    medians = {name: [median(block) for block in blocks if block] for name, blocks in switch.blocks.items()}
    base = median(medians["plain"])
    ratios = "  ".join(
        f"{name} {median(own / plain for own, plain in zip(times, medians['plain'], strict=False)):.3f}"
        for name, times in medians.items()
    )
    traced = switch.first["in graph"] - base
    print(f"{kind:12s} {1e3 * base:7.2f} ms per step   {ratios}   (additional trace, in graph: {traced:.1f} s)")
    if kind != "transformer":  # its steps take much longer than the snapshot
        whole_fits(model, x, y, shape[0], kind)


def whole_fits(model: Any, x: Any, y: Any, batch_size: int, kind: str) -> None:
    """Prints the cost of a default scan of 100 steps, with snapshot and restoring, relative to a plain `fit`."""
    size = 100 * batch_size
    times: dict[str, list[float]] = {"plain": [], "scan": []}
    for turn in range(42 if kind == "tiny" else 6):
        name = ("plain", "scan")[turn % 2]
        scan_of = LRScan(start_lr=RATES[0], end_lr=RATES[1], verbose=0)
        start = time.perf_counter()
        model.fit(x[:size], y[:size], batch_size=batch_size, verbose=0, callbacks=[scan_of] if name == "scan" else [])
        if turn > 1:
            times[name].append(time.perf_counter() - start)
    plain, whole = median(times["plain"]), median(times["scan"])
    print(f"{'':12s} a fit of 100 steps: {1e3 * plain:.0f} ms, as a scan {1e3 * whole:.0f} ms: {whole / plain:.2f}")


def peak(action: Callable[[], Any]) -> tuple[Any, float]:
    """Returns the result of `action` and the peak growth of this process's memory in MiB (Linux only)."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    clear.write_text("5")  # resets the high-water mark to the current use

    def read(field: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(field))

    before = read("VmRSS")
    result = action()
    return result, read("VmHWM") - before


def peak_memory() -> None:
    """Prints the additional memory for taking and restoring a snapshot of a larger trained model."""
    inputs = keras.Input((2000,))
    x = inputs
    for _ in range(4):
        x = keras.layers.Dense(2000)(x)
    model = keras.Model(inputs, x)
    model.compile(optimizer="adam", loss="mse")
    data = np.random.default_rng(0).normal(size=(64, 2000)).astype("float32")
    model.fit(data, data, verbose=0)
    variables = {id(v): v for v in [*model.variables, *optimizer_variables(model.optimizer)]}.values()
    size = sum(4 * math.prod(variable.shape) for variable in variables) / 2**20
    for place in ("disk", "memory"):
        snapshot, taken = peak(functools.partial(Snapshot, variables, place=place))
        _, restored = peak(snapshot.restore)
        print(f"snapshot of {size:.0f} MiB of state in {place}: {taken:.0f} MiB to take, {restored:.0f} MiB to restore")
        snapshot.close()


def main() -> None:
    """Measures the models named on the command line, or all of them."""
    name = f"tf_keras {keras.__version__}" if LEGACY else f"Keras {keras.__version__} on {BACKEND}"
    print(f"{name}, step times relative to a plain fit")
    peak_memory()
    for kind in sys.argv[1:] or KINDS:
        measure(kind)


if __name__ == "__main__":
    main()
