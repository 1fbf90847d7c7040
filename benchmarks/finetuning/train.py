"""Runs the scans and sweeps of one task in Keras, on torch, which has nothing to compile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from data import DATA, Part
from models import PICTURE_SIZE, classifier
from schedules import batches, one_cycle  # type: ignore[import-not-found]
from tasks import ALL, FINE_TUNED, HEAD, LAST, NEW_HEAD, RANDOM, SGD

from keras_lrscan import LRScan

if TYPE_CHECKING:
    from collections.abc import Callable

    from data import Data
    from numpy.typing import NDArray
    from tasks import Task

    from keras_lrscan import LRCurve

    Array = NDArray[Any]

SCAN_SEEDS, SWEEP_SEEDS = (1000, 1001, 1002), (0, 1)
EARLIER_SEED, EARLIER_STEPS, EARLIER_LR = 77, 40, {HEAD: 3e-3, LAST: 3e-4, ALL: 3e-4}
"""Earlier fine-tuning: its seed, its steps of 16 samples, and the rate of Adam by the part that trains."""
OPTIMIZERS: dict[str, Callable[[], keras.Optimizer]] = {
    "Adam": keras.optimizers.Adam,
    "AdamW": keras.optimizers.AdamW,
    "SGD": lambda: keras.optimizers.SGD(momentum=0.9),
}
"""Name → function that returns the optimizer with its default learning rate."""
GRIDS = {HEAD: (-4.0, 0.0), LAST: (-5.0, -2.0), ALL: (-5.0, -2.5)}
"""log10 of the first and last rate of a sweep of Adam or AdamW, by the part that trains."""
SGD_GRIDS = {HEAD: (-5.0, 1.0), LAST: (-4.0, -1.0), ALL: (-4.0, -1.0)}
"""The same for SGD with momentum."""


def grid(task: Task) -> Array:
    """Returns the rates of a sweep, half a decade apart."""
    low, high = (SGD_GRIDS if task.optimizer == SGD else GRIDS)[task.trains]
    return 10 ** np.arange(low, high + 0.25, 0.5)


class Rates(keras.callbacks.Callback):
    """Sets the rate of each step, and ends a training whose loss is no longer finite.

    Args:
        rates: Rate of each step.
    """

    def __init__(self, rates: Array) -> None:
        super().__init__()
        self.rates = rates

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the rate."""
        self.model.optimizer.learning_rate.assign(self.rates[batch])

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the training if the loss is not finite."""
        if not np.isfinite(logs["loss"]):
            self.model.stop_training = True


@dataclass
class Bench:
    """Holds the model of a task and the weights it starts with, and trains it again and again.

    Args:
        task: The task.
    """

    task: Task
    data: Data = field(init=False)
    model: keras.Model = field(init=False)

    def __post_init__(self) -> None:
        keras.utils.set_random_seed(99)
        self.data = DATA[self.task.data](PICTURE_SIZE[self.task.trains])
        self.model = classifier(self.task, self.data)
        self.first = self.model.get_weights()
        if self.task.start == FINE_TUNED:
            self.compile(keras.optimizers.Adam())
            rates = EARLIER_LR[self.task.trains] * (
                0.55 + 0.45 * np.cos(np.pi * np.arange(EARLIER_STEPS) / EARLIER_STEPS)
            )
            self.fit(self.data.earlier, rates, batch_size=16, seed=EARLIER_SEED)
            self.first = self.model.get_weights()
        self.compile(OPTIMIZERS[self.task.optimizer]())
        self.model.optimizer.build(self.model.trainable_variables)
        self.slots = [np.array(one) for one in self.model.optimizer.variables]

    def compile(self, optimizer: keras.Optimizer) -> None:
        """Compiles the model for classes given as numbers."""
        self.model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def begin(self, seed: int) -> None:
        """Puts back start weights and optimizer. New weights differ between seeds, trained ones do not."""
        keras.utils.set_random_seed(seed)
        fresh = self.task.start == RANDOM
        self.model.set_weights(classifier(self.task, self.data).get_weights() if fresh else self.first)
        for variable, value in zip(self.model.optimizer.variables, self.slots, strict=True):
            variable.assign(value)
        if self.task.start == NEW_HEAD:
            head = self.model.get_layer("head")
            head.kernel.assign(keras.initializers.GlorotUniform(seed)(head.kernel.shape))

    def fit(self, part: Part, rates: Array, *, batch_size: int, seed: int) -> None:
        """Trains for one step per rate."""
        order = batches(len(part.x), batch_size, len(rates), seed).ravel()
        options = {"batch_size": batch_size, "shuffle": False, "verbose": 0, "callbacks": [Rates(rates)]}
        self.model.fit(part.x[order], part.y[order], **options)

    def validation(self) -> float:
        """Returns the loss on the validation samples."""
        part = self.data.validation
        return float(self.model.evaluate(part.x, part.y, batch_size=64, verbose=0))

    def scan(self, seed: int) -> LRCurve:
        """Returns a scan to the end of its range, recorded as for a user: `fit` with shuffled data and `LRScan`."""
        self.begin(seed)
        part, size = self.data.train, self.task.batch_size
        scan = LRScan(verbose=0, stop_on_divergence=False)
        epochs = -(-100 * size // len(part.x))
        self.model.fit(part.x, part.y, batch_size=size, epochs=epochs, verbose=0, callbacks=[scan])
        return scan.curve

    def trained(self, rates: Array, seed: int) -> float:
        """Returns the validation loss after training with one rate per step."""
        self.begin(seed)
        self.fit(self.data.train, rates, batch_size=self.task.batch_size, seed=seed)
        return self.validation()


def sweep(bench: Bench) -> list[list[list[float]]]:
    """Returns the validation losses of a sweep, nested by role, seed and rate."""
    task, rates = bench.task, grid(bench.task)
    shapes = (np.ones(task.steps), one_cycle(task.steps))
    if task.trains == HEAD:
        return sweep_heads(bench, rates, shapes)
    return [[[bench.trained(rate * shape, seed) for rate in rates] for seed in SWEEP_SEEDS] for shape in shapes]


def sweep_heads(bench: Bench, rates: Array, shapes: tuple[Array, Array]) -> list[list[list[float]]]:
    """Returns the same for a frozen body: all trainings of the last layer at once, on the outputs of the body."""
    from heads import Lanes, sweep

    task, head = bench.task, bench.model.get_layer("head")
    below = keras.Model(bench.model.inputs, head.input)  # with the scaling of pixels
    train, validation = (
        Part(below.predict(part.x, batch_size=64, verbose=0), part.y)
        for part in (bench.data.train, bench.data.validation)
    )
    lanes, untrained = [], []
    for shape in shapes:
        for seed in SWEEP_SEEDS:
            bench.begin(seed)
            untrained.append(bench.validation())
            start = [np.array(one) for one in head.get_weights()]
            chosen = batches(len(train.x), task.batch_size, task.steps, seed)
            lanes += [Lanes(*start, chosen, rate * shape) for rate in (0.0, *rates)]
    stacked = Lanes(*(np.stack(parts) for parts in zip(*lanes, strict=True)))
    found = sweep(train, validation, stacked, task.optimizer).reshape(len(shapes) * len(SWEEP_SEEDS), -1)
    # A rate of zero trains nothing, so it shows whether both hosts see the same samples.
    np.testing.assert_allclose(found[:, 0], untrained, rtol=1e-4, err_msg=task.name)
    nested: list[list[list[float]]] = found[:, 1:].reshape(len(shapes), len(SWEEP_SEEDS), -1).tolist()
    return nested


def measure(task: Task) -> dict[str, Any]:
    """Measures one task and returns everything that is recorded of it."""
    bench = Bench(task)
    starts = []
    for seed in SWEEP_SEEDS:
        bench.begin(seed)
        starts.append(bench.validation())
    scans = [bench.scan(seed).to_dict() for seed in SCAN_SEEDS]
    default = OPTIMIZERS[task.optimizer]().learning_rate
    return {
        "name": task.name,
        "default_lr": float(default),
        "start_val": float(np.median(starts)),
        "sweep_lr": grid(task).tolist(),
        "sweep_val": sweep(bench),
        "scans": scans,
    }
