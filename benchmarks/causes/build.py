"""Records the curve of a condition with a real Keras fit."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import arrays
import keras
import models
import numpy as np
import optimizers
from feeds import FEEDS, STEPS
from twists import BATCH_SIZE, LOSSES, TWISTS

from keras_lrscan import LRCurve, LRScan, ScanContext
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.recording.ramp import ExponentialRamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from arrays import Data
    from conditions import Condition, Training

__all__ = ["record"]

SCAN = {"start_lr": 1e-7, "end_lr": 10.0, "num_steps": STEPS}


@dataclass(kw_only=True)
class Ready:
    """Holds a compiled model and the arguments of its `fit`."""

    model: keras.Model
    args: tuple[Any, ...]
    options: dict[str, Any]


# One model for all seeds, so that TensorFlow reuses its traces -------------------------------------------------------


class Workshop:
    """Builds the model of a condition once and prepares it for each seed."""

    def __init__(self, condition: Condition) -> None:
        keras.config.set_dtype_policy(condition.precision)
        self.condition = condition
        self.data = arrays.load(condition.data, condition.changes)
        self.past, self.trainer = self.data, None
        before = condition.before
        if before is None:
            self.model = self._fresh(self.data)
        else:
            self.past = self.data if before.changes is None else arrays.load(condition.data, before.changes)
            self.trainer = self._fresh(self.past)
            self._get_trainer_ready(before)
            self.model = self._fresh(self.data)
        TWISTS[condition.twist](self.model, self._compile, self.data)
        self.model.optimizer.build(self.model.trainable_variables)

    def ready(self, seed: int) -> Ready:
        """Returns the model in its state before the scan of a seed, with the arguments of `fit`."""
        condition, before = self.condition, self.condition.before
        keras.utils.set_random_seed(seed)
        if before is None or self.trainer is None:
            _copy(self._fresh(self.data).variables, self.model.variables)
        else:
            _copy(self._fresh(self.past).variables, self.trainer.variables)
            _copy(self._first_slots, self.trainer.optimizer.variables)
            self._train(before)
            if before.new_head:
                _copy(self._fresh(self.data).variables, self.model.variables)
                _copy(_body(self.trainer), _body(self.model))
            else:
                _copy(self.trainer.variables, self.model.variables)
            if before.keeps_optimizer and not before.new_head:
                _copy(self.trainer.optimizer.variables, self.model.optimizer.variables)
        options = {**condition.fit, "num_steps": condition.scan.get("num_steps", STEPS)}
        args, options = FEEDS[condition.feed](self.data, options)
        options.pop("num_steps", None)
        return Ready(model=self.model, args=args, options={"verbose": 0, **options})

    def _fresh(self, data: Data) -> keras.Model:
        return models.build(data, self.condition.model, self.condition.head)

    def _optimizer(self) -> keras.optimizers.Optimizer:
        """Returns the scan's optimizer. One kept from earlier training has that training's learning rate."""
        name, options = self.condition.optimizer
        before = self.condition.before
        kept = before is not None and before.keeps_optimizer and not before.new_head
        kind = getattr(optimizers, name, None) or getattr(keras.optimizers, name)
        return kind(**{**options, **({"learning_rate": before.lr} if kept else {})})

    def _compile(self) -> None:
        self._compiled(self.model, self.data, self._optimizer(), {})

    def _compiled(self, model: keras.Model, data: Data, optimizer: Any, more: Mapping[str, Any]) -> None:
        condition = self.condition
        loss = LOSSES[condition.loss](data) if condition.loss in LOSSES else condition.loss
        plain = {"jit_compile": False, "metrics": ["accuracy"] if data.classes else []}  # faster for a hundred steps
        options = {**plain, **condition.compile, **more}
        model.compile(optimizer=optimizer, loss=loss, **options)

    def _get_trainer_ready(self, before: Training) -> None:
        """Compiles the model for the earlier training, with several steps per execution for speed."""
        name, options = self.condition.optimizer if before.keeps_optimizer else ("Adam", {})
        optimizer = getattr(keras.optimizers, name)(**{**options, "learning_rate": before.lr})
        self._compiled(self.trainer, self.past, optimizer, {"steps_per_execution": 25, "metrics": []})
        optimizer.build(self.trainer.trainable_variables)
        self._first_slots = [np.array(variable) for variable in optimizer.variables]

    def _train(self, before: Training) -> None:
        batches = -(-len(self.past.x) // BATCH_SIZE)
        epochs = -(-before.steps // batches)
        cut = BATCH_SIZE * before.steps if epochs == 1 else None
        x, y = self.past.x[:cut], self.past.y[:cut]
        self.trainer.fit(x, y, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)


def _body(model: keras.Model) -> list[Any]:
    """Returns all variables except those of the head."""
    return [variable for layer in model.layers if layer.name != "head" for variable in layer.variables]


def _copy(sources: Sequence[Any], targets: Sequence[Any]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.assign(source)


# Tools that record the losses ----------------------------------------------------------------------------------------


def by_scan(condition: Condition, ready: Ready) -> LRCurve:
    """Records the batch losses with `LRScan`."""
    scan = LRScan(verbose=0, **condition.scan)
    ready.model.fit(*ready.args, callbacks=[scan], **ready.options)
    return scan.curve


class ClassicFinder(keras.callbacks.Callback):
    """Sets the learning rate at each batch and records `logs["loss"]`, a running mean, as tutorials do."""

    def __init__(self, ramp: ExponentialRamp) -> None:
        super().__init__()
        self.ramp, self.lr, self.losses = ramp, [], []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the learning rate."""
        self.lr.append(self.ramp(len(self.lr)))
        self.model.optimizer.learning_rate = self.lr[-1]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Records the loss and stops after the last learning rate or above four times the lowest loss."""
        self.losses.append(float(logs["loss"]))
        lowest = min(self.losses)
        if len(self.lr) == self.ramp.num_steps or not self.losses[-1] < 4 * lowest:
            self.model.stop_training = True


def by_classic_finder(condition: Condition, ready: Ready) -> LRCurve:
    """Records Keras's running mean as tutorials do, without any context of the run."""
    options = {**SCAN, **condition.scan}
    finder = ClassicFinder(ExponentialRamp(options["start_lr"], options["end_lr"], options["num_steps"]))
    ready.model.fit(*ready.args, callbacks=[finder], **ready.options)
    finite = [i for i, loss in enumerate(finder.losses) if math.isfinite(loss)]
    return LRCurve(lr=np.array(finder.lr)[finite], loss=np.array(finder.losses)[finite])


def by_tool(condition: Condition, ready: Ready, *, averaging: str, declared: bool) -> LRCurve:
    """Applies another tool's average to the losses of a real scan, cut at four times its lowest value."""
    scan = LRScan(verbose=0, **condition.scan, stop_on_divergence=False)
    ready.model.fit(*ready.args, callbacks=[scan], **ready.options)
    curve = scan.curve
    loss = curve.loss[np.isfinite(curve.loss)]
    stored = AVERAGES[averaging].apply(loss, curve.context.steps_per_epoch)
    above = np.flatnonzero((stored > 4 * np.minimum.accumulate(stored)) & (np.arange(len(stored)) > 10))
    end = int(above[0]) + 1 if above.size else len(stored)
    context = ScanContext(averaging=averaging, steps_per_epoch=curve.context.steps_per_epoch) if declared else None
    return LRCurve(lr=curve.lr[:end], loss=stored[:end], context=context or ScanContext())


def _tool(averaging: str, *, declared: bool = False) -> Callable[[Condition, Ready], LRCurve]:
    return lambda condition, ready: by_tool(condition, ready, averaging=averaging, declared=declared)


def by_rolling_mean(condition: Condition, ready: Ready, *, width: int = 10) -> LRCurve:
    """Smooths the losses of a scan with `pandas.Series(losses).rolling(10, min_periods=1).mean()`."""
    curve = by_scan(condition, ready)
    loss = curve.loss[np.isfinite(curve.loss)]
    means = [float(loss[max(0, end - width) : end].mean()) for end in range(1, len(loss) + 1)]
    return LRCurve(lr=curve.lr[: len(loss)], loss=np.array(means))


def by_smoothed_export(condition: Condition, ready: Ready, *, kept: float = 0.9) -> LRCurve:
    """Smooths the losses of a scan with a debiased exponential mean, as dashboards export them."""
    curve = by_scan(condition, ready)
    loss = curve.loss[np.isfinite(curve.loss)]
    sums, last = [], 0.0
    for number, value in enumerate(loss, start=1):
        last = kept * last + (1 - kept) * float(value)
        sums.append(last / (1 - kept**number))
    return LRCurve(lr=curve.lr[: len(loss)], loss=np.array(sums))


RECORDS: Mapping[str, Callable[[Condition, Ready], LRCurve]] = {
    "scan": by_scan,
    "rolling mean": by_rolling_mean,
    "classic finder": by_classic_finder,
    "smoothed export": by_smoothed_export,
    "ktrain": _tool("ktrain"),
    "fastai": _tool("ema-0.98"),
    "lightning": _tool("lightning"),
    "torch-lr-finder": _tool("ema-seeded-0.05"),
    "ktrain, declared": _tool("ktrain", declared=True),
    "fastai, declared": _tool("ema-0.98", declared=True),
}


def record(condition: Condition, seeds: tuple[int, ...]) -> list[LRCurve]:
    """Runs the fits of a condition and returns one curve per seed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shop = Workshop(condition)
        curves = []
        for seed in seeds:
            ready = shop.ready(seed)
            curves.append(RECORDS[condition.record](condition, ready))
            if condition.record == "classic finder":  # it does not restore the model
                shop = Workshop(condition)
        return curves
