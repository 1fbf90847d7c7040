"""Reads the batch loss from a custom `train_step` or from a metric, by resetting all metrics before each batch.

After this reset, a raw loss, a mean under any name and a sum of means all log the loss of one batch alone.
`logged_loss` proves this for the monitored value before the first batch counts.

In history and progress bar, the monitored key shows the mean of the recorded losses of the epoch. Other metrics show
the last batch only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import StepResult, Value
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.batch_loss import BatchLoss, Meter, StateMeter, VariableMeter, like
from keras_lrscan.hosts.reachable import reachable_from
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.optimizers import RateVariable

__all__ = ["CustomStateMeter", "CustomVariableMeter", "has_standard_step", "make_meter"]

STEP_METHODS = ("train_step", "compute_metrics", "get_metrics_result", "make_train_function")
"""Methods that determine the logs."""
LOG_TOLERANCE = 1e-5
"""Largest relative difference between a logged value and its metric, on several devices."""


def has_standard_step(host: Host) -> bool:
    """Returns whether the model trains and logs like the `Model` class of Keras."""
    model, base = host.model, host.library.Model
    return all(
        name not in vars(model) and getattr(type(model), name, None) is getattr(base, name, None)
        for name in STEP_METHODS
    )


def make_meter(host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> Meter:
    """Returns the meter for `host`: one for the losses of Keras if such a loss is monitored, or a custom one."""
    is_own = has_standard_step(host) and (monitor == "loss" or monitor.endswith("_loss"))
    kinds = (VariableMeter, StateMeter) if is_own else (CustomVariableMeter, CustomStateMeter)
    return kinds[host.backend == "jax"](host, rates, monitor, keeps_mean=keeps_mean)


class _Metrics:
    """Finds all metrics of a model, both in `model.metrics` and in other attributes.

    Args:
        host: The host.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.listed: list[Any] = []
        self.unlisted: list[Any] = []
        self.find()

    def find(self) -> None:
        """Searches again, because hosts create some metrics in the first step."""
        model = self._host.model
        self.listed = list(model.metrics)
        known = {id(variable) for metric in self.listed for variable in metric.variables}
        containers = [getattr(model, name, None) for name in ("compiled_loss", "compiled_metrics")]  # in tf_keras
        found = [part for item in containers for part in getattr(item, "metrics", None) or ()]
        found += reachable_from(model).metrics.values()
        self.unlisted = [metric for metric in found if any(id(item) not in known for item in metric.variables)]


class CustomVariableMeter(VariableMeter):
    """Meter for custom steps on hosts that keep the state in variables: TensorFlow, torch and tf_keras."""

    needs_proof = True

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        super().__init__(host, rates, monitor, keeps_mean=keeps_mean)
        self._metrics = _Metrics(host)
        self._is_first = True
        self._source: Any = None
        self.reads_metric = False
        """Whether the proof relies on the value being that of a metric that was reset before the batch."""

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Sets the rates and resets all metrics."""
        self._set_rates(rate, iterations)
        for metric in (*self._metrics.listed, *self._metrics.unlisted):
            metric.reset_state()
        return args

    def value(self, result: StepResult) -> float:
        """Returns the monitored number."""
        if self._is_first:
            self._metrics.find()
            self._is_first = False
        return super().value(result)

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the logs, or the metric itself if the proof relies on it."""
        value = self.value(result)
        if self.reads_metric and np.isfinite(value):
            metric = self.source_of(value)
            if metric is None:
                raise unproven(self.monitor, "it is not the value of a metric of the model")
            value = float(read_number(metric.result()))
        return self._from_batch_loss(value)

    def source_of(self, value: float) -> Value | None:
        """Returns the metric that `value` was just read from, or `None`; several workers log the sum of theirs."""
        strategy = self.host.strategy
        replicas = 1 if strategy is None else strategy.num_replicas_in_sync
        if self._source is None or not _is_value_of(self._source, value, replicas):
            found = (*self._metrics.listed, *self._metrics.unlisted)
            self._source = next((metric for metric in found if _is_value_of(metric, value, replicas)), None)
        return self._source


class CustomStateMeter(StateMeter):
    """Meter for custom steps on JAX, where the state passes through the train function as lists of arrays."""

    needs_proof = True

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        super().__init__(host, rates, monitor, keeps_mean=keeps_mean)
        self._metrics = _Metrics(host)
        self._initial: list[Any] | None = None

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Returns the arguments with new rates and all metrics as before the first batch, when Keras resets them."""
        (trainable, other, optimizer, metrics), *rest = args
        if self._initial is None:
            self._initial = [np.array(value) for value in metrics]
        for metric in self._metrics.unlisted:  # has an effect only on a step that JAX does not compile
            metric.reset_state()
        metrics = [like(old, value) for old, value in zip(metrics, self._initial, strict=True)]
        return ((trainable, other, self._with_rates(optimizer, rate, iterations), metrics), *rest)

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the logs."""
        return self._from_batch_loss(self.value(result))


def unproven(monitor: str, received: str) -> ScanError:
    """Returns the error for a value that cannot be shown to be the loss of one batch alone.

    >>> print(unproven("loss", "it also holds earlier batches"))  # doctest: +ELLIPSIS
    Expected a `train_step` that logs the loss of its own batch. Received: monitor='loss', but it also holds ...
    """
    return ScanError(
        f"Expected a `train_step` that logs the loss of its own batch. Received: monitor={monitor!r}, but {received}. "
        "Return the loss that the step computes, unchanged, under a separate key, such as "
        '`{..., "batch_loss": loss}`, and pass `monitor="batch_loss"`.'
    )


def read_number(value: Value) -> Value:
    """Returns a scalar detached from the gradients of torch."""
    return value.detach().cpu() if hasattr(value, "detach") else value


def _is_value_of(metric: Value, value: float, replicas: int) -> bool:
    """Returns whether `metric` was updated and holds `value`, or the share of it for one of `replicas`."""
    counted = any(np.any(read_value(variable)) for variable in metric.variables)
    result = metric.result() if counted else None
    if result is None or isinstance(result, dict) or np.ndim(read_number(result)):
        return False
    return any(np.isclose(float(read_number(result)) * factor, value, rtol=LOG_TOLERANCE) for factor in {1, replicas})
