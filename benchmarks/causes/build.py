"""From a row of the table to a recorded curve."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import arrays
import keras
import models
import numpy as np
from keras import ops

from keras_lrscan import LRCurve, LRScan, ScanContext
from keras_lrscan.averaging import AVERAGES
from keras_lrscan.ramp import ExponentialRamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from arrays import Data
    from conditions import Condition

__all__ = ["record"]

Tensor = Any
BATCH_SIZE, STEPS = 32, 100
SCAN = {"start_lr": 1e-7, "end_lr": 10.0, "num_steps": STEPS}


@dataclass(kw_only=True)
class Ready:
    """A compiled model, and how `fit` is called."""

    model: keras.Model
    args: tuple[Any, ...]
    options: dict[str, Any]


# Losses --------------------------------------------------------------------------------------------------------------


def _kind(data: Data) -> str:
    if data.classes is None:
        return "MeanSquaredError"
    return "BinaryCrossentropy" if data.units == 1 else "SparseCategoricalCrossentropy"


def summed_by_hand(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the squared errors, added up over the whole batch."""
    return ops.sum(ops.square(ops.cast(truth, said.dtype) - said))


def summed_over_outputs(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the squared errors of a sample, added up over its outputs."""
    return ops.sum(ops.square(ops.cast(truth, said.dtype) - said), axis=-1)


def divergence_by_hand(truth: Tensor, said: Tensor) -> Tensor:
    """Returns a Kullback-Leibler divergence that takes the logarithm of zero where a class is not the true one."""
    wanted = ops.one_hot(ops.cast(ops.reshape(truth, (-1,)), "int32"), said.shape[-1])
    return ops.sum(wanted * (ops.log(wanted) - ops.log(said)), axis=-1)


def relative_error(truth: Tensor, said: Tensor) -> Tensor:
    """Returns the error as a share of the target, which is zero over zero where the target is zero."""
    return ops.mean(ops.abs(truth - said) / truth, axis=-1)


LOSSES: Mapping[str, Callable[[Data], Any]] = {
    "auto": lambda data: keras.losses.get(_kind(data)),
    "logits": lambda data: getattr(keras.losses, _kind(data))(from_logits=True),
    "sum": lambda data: getattr(keras.losses, _kind(data))(reduction="sum"),
    "summed by hand": lambda _: summed_by_hand,
    "summed over outputs": lambda _: summed_over_outputs,
    "divergence by hand": lambda _: divergence_by_hand,
    "relative error": lambda _: relative_error,
}


# What is done before the scan ----------------------------------------------------------------------------------------


def _optimizer(name: str, options: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    return getattr(keras.optimizers, name)(**options)


def _compile(condition: Condition, data: Data, model: keras.Model, optimizer: Any | None = None) -> None:  # noqa: ANN401
    loss = LOSSES[condition.loss](data) if condition.loss in LOSSES else condition.loss
    options = {"metrics": ["accuracy"] if data.classes else [], **condition.compile}
    model.compile(optimizer=optimizer or _optimizer(*condition.optimizer), loss=loss, **options)


def frozen(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:  # noqa: ARG001
    """Freezes the whole model."""
    model.trainable = False
    compiled()


def frozen_body(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:  # noqa: ARG001
    """Freezes all but the last layer."""
    for layer in model.layers:
        layer.trainable = layer.name.startswith("head")
    compiled()


def frozen_but_normalisation(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:  # noqa: ARG001
    """Freezes all layers that are no normalisation, whose statistics go on moving."""
    for layer in model.layers:
        layer.trainable = isinstance(layer, keras.layers.BatchNormalization)
    compiled()


def frozen_kernels(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:  # noqa: ARG001
    """Leaves nothing but the bias of the last layer to train."""
    for layer in model.layers:
        layer.trainable = layer.name == "head"
    model.get_layer("head").kernel.trainable = False
    compiled()


def unfrozen_too_late(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:
    """Trains a frozen model for a moment, then unfreezes it without compiling again."""
    model.trainable = False
    compiled()
    model.fit(ready.x[:BATCH_SIZE], ready.y[:BATCH_SIZE], verbose=0)
    model.trainable = True


def detached(model: keras.Model, compiled: Callable[[], None], ready: Data) -> None:  # noqa: ARG001
    """Freezes nothing; used where the body of the table does what has to be done."""
    compiled()


TWISTS: Mapping[str | None, Callable[..., None]] = {
    None: detached,
    "frozen": frozen,
    "frozen body": frozen_body,
    "frozen but normalisation": frozen_but_normalisation,
    "frozen kernels": frozen_kernels,
    "unfrozen too late": unfrozen_too_late,
}


def _trained(condition: Condition, data: Data) -> keras.Model:
    """Returns the model after its training, with a new last layer if there is to be one; not compiled anew."""
    before = condition.before
    if before is None:
        return models.build(data, condition.model, condition.head)
    past = data if before.changes is None else arrays.load(condition.data, before.changes)
    model = models.build(past, condition.model, condition.head)
    name, options = condition.optimizer if before.keeps_optimizer else ("Adam", {})
    optimizer = _optimizer(name, {**options, "learning_rate": before.lr})
    quick = replace(condition, compile={**condition.compile, "steps_per_execution": 25, "metrics": []})
    _compile(quick, past, model, optimizer)
    batches = -(-len(past.x) // BATCH_SIZE)
    epochs = -(-before.steps // batches)
    cut = BATCH_SIZE * before.steps if epochs == 1 else None
    model.fit(past.x[:cut], past.y[:cut], batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
    _compile(condition, past, model, optimizer)
    if before.new_head:
        features = model.get_layer("head").input
        model = keras.Model(model.input, models.HEADS[condition.head[0]](features, data, **condition.head[1]))
    return model


# How `fit` is given the data -----------------------------------------------------------------------------------------


def _batches(data: Data, size: int) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(data.x), size):
        yield data.x[start : start + size], data.y[start : start + size]


def _slices(data: Data) -> Any:  # noqa: ANN401
    import tensorflow as tf  # noqa: PLC0415 - only these conditions need it

    return tf.data.Dataset.from_tensor_slices((data.x, data.y))


def from_arrays(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arrays in memory, for as many epochs as the scan needs."""
    size = options.setdefault("batch_size", BATCH_SIZE)
    options.setdefault("epochs", -(-options.pop("num_steps") // max(1, -(-len(data.x) // size))))
    return (data.x, data.y), options


def from_generator(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A generator that goes through the data once."""
    return (_batches(data, options.pop("batch_size", BATCH_SIZE)),), options


def from_dataset(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline that does not shuffle."""
    return (_slices(data).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_filter(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline whose length is not known, since it filters."""
    kept = _slices(data).filter(lambda x, y: y[..., 0] > -10 if y.shape else y >= 0)  # noqa: ARG005
    return (kept.shuffle(len(data.x)).batch(options.pop("batch_size", BATCH_SIZE)),), options


def from_repeated(data: Data, options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A tf.data pipeline that repeats a few samples without end."""
    endless = _slices(data).shuffle(len(data.x)).repeat().batch(options.pop("batch_size", BATCH_SIZE))
    return (endless,), {"steps_per_epoch": STEPS, **options}


FEEDS: Mapping[str, Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "arrays": from_arrays,
    "generator": from_generator,
    "dataset": from_dataset,
    "filter": from_filter,
    "repeated": from_repeated,
}


def prepare(condition: Condition, seed: int) -> Ready:
    """Builds the model, trains it if it has a past, and gets the call of `fit` ready."""
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(condition.precision)
    data = arrays.load(condition.data, condition.changes)
    model = _trained(condition, data)
    keeps = condition.before is not None and condition.before.keeps_optimizer and not condition.before.new_head
    TWISTS[condition.twist](model, (lambda: None) if keeps else lambda: _compile(condition, data, model), data)
    options = dict(condition.fit)
    if condition.feed == "arrays":
        options["num_steps"] = condition.scan.get("num_steps", STEPS)
    args, options = FEEDS[condition.feed](data, options)
    options.pop("num_steps", None)
    return Ready(model=model, args=args, options={"verbose": 0, **options})


# Who keeps the losses ------------------------------------------------------------------------------------------------


def by_scan(condition: Condition, ready: Ready) -> LRCurve:
    """The product's own scan."""
    scan = LRScan(verbose=0, **condition.scan)
    ready.model.fit(*ready.args, callbacks=[scan], **ready.options)
    return scan.curve


class ClassicFinder(keras.callbacks.Callback):
    """The usual callback of tutorials: sets the rate at each batch and keeps `logs["loss"]`, a mean since the start."""

    def __init__(self, ramp: ExponentialRamp) -> None:
        super().__init__()
        self.ramp, self.lr, self.losses = ramp, [], []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ANN401, ARG002
        """Sets the rate."""
        self.lr.append(self.ramp(len(self.lr)))
        self.model.optimizer.learning_rate = self.lr[-1]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ANN401, ARG002
        """Keeps the loss, and stops after the last rate or at four times the lowest loss."""
        self.losses.append(float(logs["loss"]))
        lowest = min(self.losses)
        if len(self.lr) == self.ramp.num_steps or not self.losses[-1] < 4 * lowest:
            self.model.stop_training = True


def by_classic_finder(condition: Condition, ready: Ready) -> LRCurve:
    """A record of Keras's running mean, as tutorials make it; nothing else is known of the run."""
    options = {**SCAN, **condition.scan}
    finder = ClassicFinder(ExponentialRamp(options["start_lr"], options["end_lr"], options["num_steps"]))
    ready.model.fit(*ready.args, callbacks=[finder], **ready.options)
    finite = [i for i, loss in enumerate(finder.losses) if math.isfinite(loss)]
    return LRCurve(lr=np.array(finder.lr)[finite], loss=np.array(finder.losses)[finite])


def by_tool(condition: Condition, ready: Ready, *, averaging: str, declared: bool) -> LRCurve:
    """A record of another tool: its average of the losses of a real scan, up to four times its lowest value."""
    scan = LRScan(verbose=0, **condition.scan, stop_on_divergence=False)
    ready.model.fit(*ready.args, callbacks=[scan], **ready.options)
    curve = scan.curve
    loss = curve.loss[np.isfinite(curve.loss)]
    stored = AVERAGES[averaging].apply(loss, curve.context.steps_per_epoch)
    above = np.flatnonzero((stored > 4 * np.minimum.accumulate(stored)) & (np.arange(len(stored)) > 10))  # noqa: PLR2004
    end = int(above[0]) + 1 if above.size else len(stored)
    context = ScanContext(averaging=averaging, steps_per_epoch=curve.context.steps_per_epoch) if declared else None
    return LRCurve(lr=curve.lr[:end], loss=stored[:end], context=context or ScanContext())


def _tool(averaging: str, *, declared: bool = False) -> Callable[[Condition, Ready], LRCurve]:
    return lambda condition, ready: by_tool(condition, ready, averaging=averaging, declared=declared)


RECORDS: Mapping[str, Callable[[Condition, Ready], LRCurve]] = {
    "scan": by_scan,
    "classic finder": by_classic_finder,
    "ktrain": _tool("ktrain"),
    "fastai": _tool("ema-0.98"),
    "lightning": _tool("lightning"),
    "torch-lr-finder": _tool("ema-seeded-0.05"),
    "ktrain, declared": _tool("ktrain", declared=True),
    "fastai, declared": _tool("ema-0.98", declared=True),
}


def record(condition: Condition, seed: int) -> LRCurve:
    """Runs one fit of a condition and returns its curve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ready = prepare(condition, seed)
        return RECORDS[condition.record](condition, ready)
