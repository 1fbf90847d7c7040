"""Sets the learning rate before each batch and reads the batch loss after it, around a host's train function.

The `train_step` of Keras logs the mean of the losses since the start of the epoch. A meter resets the sum behind this
mean before every batch, so that the logs contain one batch only. It also computes the mean that Keras would have
logged, so that history and progress bar remain correct. Meters for other train steps are in `custom_steps`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from keras_lrscan._typing import Optimizer, StepResult, Value, Variable
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.optimizers import batch_counter, batches_seen
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.optimizers import RateVariable

__all__ = ["BatchLoss", "Meter", "StateMeter", "VariableMeter", "like"]

MAX_COUNT = 2.0**22
"""Number of samples after which the count restarts, well before float32 can no longer count by ones."""


class BatchLoss(NamedTuple):
    """Holds the loss of one batch.

    Attributes:
        loss: Loss of the batch alone.
        logged: Value that Keras would have logged: the mean of the epoch so far, or `loss` if it logs no mean.
        weight: Number of samples that Keras counted for this batch, or `None` if it counts none.
    """

    loss: float
    logged: float
    weight: float | None


class Meter:
    """Base class of meters, with the running mean of the epoch.

    Args:
        host: The host.
        rates: The variables that hold the learning rate.
        monitor: Key of the loss in the logs.
        keeps_mean: Whether to compute the mean of the epoch for later readers of the logs. Otherwise the count restarts
            at every batch, so that other uses of the metrics between batches have no effect.
    """

    needs_proof = False
    """Whether it remains to be proved that the step logs the batch loss."""

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        self.host = host
        self.rates = rates
        self.monitor = monitor
        self._keeps_mean = keeps_mean
        self._restart = not keeps_mean
        self._sum = 0.0
        self._weight = 0.0
        self._count = 0.0

    def start_epoch(self) -> None:
        """Resets the running mean, as the host resets its metrics."""
        self._sum = self._weight = self._count = 0.0

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Sets the rate, resets the loss, and returns the arguments for the train function."""
        raise NotImplementedError

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the batch loss from the return value of the train function."""
        raise NotImplementedError

    def logs(self, result: StepResult) -> dict[str, Any]:
        """Returns the logs in the return value of the train function."""
        return dict(result)

    def with_logs(self, result: StepResult, logs: dict[str, Any]) -> StepResult:
        """Returns `result` with its logs replaced."""
        return logs

    def next_args(self, args: tuple[Any, ...], result: StepResult) -> tuple[Any, ...]:
        """Returns the arguments for another call after `result`."""
        return args

    def restart(self) -> None:
        """Restarts the count at the next batch, because other code has used the model's metrics."""
        self._restart = True

    def batches_seen(self, result: StepResult, optimizer: Optimizer) -> int:
        """Returns the number of batches that `optimizer` has seen after the step that returned `result`."""
        return batches_seen(optimizer)

    def weights(self, result: StepResult) -> list[NDArray[Any]]:
        """Returns the trainable weights after the step that returned `result`, or the current ones if it is `None`."""
        return [read_value(variable) for variable in self.host.model.trainable_variables]

    def value(self, result: StepResult) -> float:
        """Returns the monitored number in the return value of the train function.

        Raises:
            ScanError: If the logs have no such key, or if its value is not a single number.
        """
        return self._monitored(self.logs(result))

    def _reset_count(self) -> None:
        """Makes the next batch the first one that the host counts."""
        self._count, self._restart = 0.0, not self._keeps_mean

    def _monitored(self, logs: dict[str, Any]) -> float:
        if self.monitor not in logs:
            losses = sorted(name for name in logs if name.endswith("loss")) or sorted(logs)
            msg = (
                f"Expected `monitor` to be one of the losses in the logs, {losses}. Received: monitor={self.monitor!r}."
            )
            msg += " A scan computes no validation loss." if self.monitor.startswith("val_") else ""
            raise ScanError(msg)
        try:
            return _number(logs[self.monitor])
        except (TypeError, ValueError, RuntimeError) as error:  # one for each host
            value = logs[self.monitor]
            shape = getattr(value, "shape", None)
            kind = type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"
            msg = (
                f"Expected `monitor` to be the key of a single number in the logs. Received: monitor={self.monitor!r}, "
                f"which is {kind}. Return the mean over the batch from `train_step`."
            )
            raise ScanError(msg) from error

    def _missing_mean(self) -> ScanError:
        """Returns the error for a key of the `train_step` of Keras without an underlying mean."""
        msg = (
            "Expected `monitor` to be the key of a loss that Keras averages over the batches of an epoch. "
            f"Received: monitor={self.monitor!r}, which is not such a mean. Pass `monitor='loss'`, or rename the "
            "metric so that its name does not end with `_loss`."
        )
        return ScanError(msg)

    def _reading(self, mean: float, count: float | None) -> BatchLoss:
        """Undoes the division by the `count` samples of the epoch; the sum in `mean` contains this batch only."""
        if count is None or count <= self._count:
            return BatchLoss(mean, mean, None)
        weight = count - self._count
        loss = mean * (count / weight)
        self._count = count
        self._sum += loss * weight
        self._weight += weight
        self._restart = self._restart or count > MAX_COUNT
        return BatchLoss(loss, self._sum / self._weight if self._keeps_mean else loss, weight)

    def _from_batch_loss(self, loss: float) -> BatchLoss:
        """Returns the reading for a logged value that already is the loss of one batch."""
        self._sum += loss
        self._weight += 1.0
        return BatchLoss(loss, self._sum / self._weight if self._keeps_mean else loss, None)


class VariableMeter(Meter):
    """Meter for hosts that keep the state in variables between batches: TensorFlow, torch and tf_keras."""

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        super().__init__(host, rates, monitor, keeps_mean=keeps_mean)
        self._is_distributed = host.strategy is not None
        self._uses_raw_ops = host.backend == "tensorflow" and not self._is_distributed
        self._writers = [self._writer(rate.variable) for rate in rates]
        self._set_totals: list[Callable[[float], None]] | None = None
        self._means: list[Any] = []
        self._read_count: Callable[[], float] | None = None

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Sets the variables of the rates and resets the sums of the loss metrics."""
        self._set_rates(rate, iterations)
        for write in self._set_totals or ():
            write(0.0)
        if self._restart:
            for metric in self._means:
                metric.count.assign(0.0)
            self._reset_count()
        return args

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the logs, or the metric itself if its value is distributed over replicas."""
        if self._set_totals is None:
            self._find_means()
        mean = self._monitored(result)
        if self._read_count is None:
            raise self._missing_mean()
        if self._is_distributed:
            mean = float(self._means[0].result())
        return self._reading(mean, self._read_count())

    def _set_rates(self, rate: float, iterations: int) -> None:
        for item, write in zip(self.rates, self._writers, strict=True):
            write(item.value_for(rate, iterations))

    def _find_means(self) -> None:
        """Finds the metrics that hold the running mean, after the first batch of a new epoch."""
        self._means = [metric for metric in _means(self.host, self.monitor) if float(read_value(metric.count)) > 0]
        self._set_totals = [self._writer(metric.total) for metric in self._means]
        self._read_count = self._reader(self._means[0].count) if self._means else None

    def _writer(self, variable: Variable) -> Callable[[float], None]:
        """Returns a function that sets `variable`; on TensorFlow, it takes a quarter of the time of `assign`."""
        if not self._uses_raw_ops:
            return cast("Callable[[float], None]", variable.assign)
        import tensorflow as tf

        tensor = _resource(variable)
        handle, dtype, assign = tensor.handle, tensor.dtype, tf.raw_ops.AssignVariableOp
        zero = tf.zeros((), dtype)
        return lambda value: assign(resource=handle, value=tf.constant(value, dtype) if value else zero)

    def _reader(self, variable: Variable) -> Callable[[], float]:
        if not self._uses_raw_ops:
            return lambda: float(read_value(variable))
        import tensorflow as tf

        tensor = _resource(variable)
        handle, dtype, read = tensor.handle, tensor.dtype, tf.raw_ops.ReadVariableOp
        return lambda: float(read(resource=handle, dtype=dtype))


class StateMeter(Meter):
    """Meter for JAX, where the state passes through the train function as lists of arrays.

    New values are NumPy scalars, which cause no recompilation. Only state that is distributed over devices must keep
    its placement.
    """

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        super().__init__(host, rates, monitor, keeps_mean=keeps_mean)
        variables = host.model.optimizer.variables
        self._rate_at = [_position(rate.variable, variables) for rate in rates]
        means = _means(host, monitor)
        places = host.model.metrics_variables
        self._total_at = [_position(metric.total, places) for metric in means]
        self._count_at = [_position(metric.count, places) for metric in means]
        self._count_used: int | None = None

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Returns the arguments with new rates and with the sums of the loss metrics reset."""
        (trainable, other, optimizer, metrics), *rest = args
        optimizer, metrics = self._with_rates(optimizer, rate, iterations), list(metrics)
        for at in self._total_at:
            metrics[at] = like(metrics[at], 0.0)
        if self._restart:
            for at in self._count_at:
                metrics[at] = like(metrics[at], 0.0)
            self._reset_count()
        return ((trainable, other, optimizer, metrics), *rest)

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the logs and the count."""
        logs, (_, _, _, metrics) = result
        mean = self._monitored(logs)
        if self._count_used is None:
            self._count_used = next((at for at in self._count_at if _number(metrics[at]) > 0), -1)
            if self._count_used < 0:
                raise self._missing_mean()
        return self._reading(mean, _number(metrics[self._count_used]))

    def _with_rates(self, optimizer: Sequence[Any], rate: float, iterations: int) -> list[Any]:
        """Returns the state of the optimizer with new rates."""
        values = list(optimizer)
        for item, at in zip(self.rates, self._rate_at, strict=True):
            values[at] = like(values[at], item.value_for(rate, iterations))
        return values

    def logs(self, result: StepResult) -> dict[str, Any]:
        """Returns the logs."""
        return dict(result[0])

    def with_logs(self, result: StepResult, logs: dict[str, Any]) -> StepResult:
        """Returns `logs` and the state."""
        return logs, result[1]

    def batches_seen(self, result: StepResult, optimizer: Optimizer) -> int:
        """Returns the count in the new state."""
        at = _position(batch_counter(optimizer), self.host.model.optimizer.variables)
        return round(_number(result[1][2][at]))

    def weights(self, result: StepResult) -> list[NDArray[Any]]:
        """Returns the weights in the new state."""
        return super().weights(None) if result is None else [np.asarray(value) for value in result[1][0]]

    def next_args(self, args: tuple[Any, ...], result: StepResult) -> tuple[Any, ...]:
        """Returns the new state with the same iterator."""
        return (result[1], *args[1:])


def _means(host: Host, name: str) -> list[Any]:
    """Returns the `Mean` metrics named `name`, including those in the containers of `compile`."""
    metrics = host.model.metrics
    parts = [part for metric in metrics for part in (metric, *getattr(metric, "metrics", ()))]
    result = host.library.metrics.Mean.result  # subclasses such as a root mean square override it
    named = [part for part in dict.fromkeys(parts) if part.name == name and hasattr(part, "count")]
    return [metric for metric in named if getattr(type(metric), "result", None) is result]


def _resource(variable: Variable) -> Value:
    """Returns the `tf.Variable` inside a variable of Keras 3, or a variable of tf_keras itself."""
    return variable if callable(variable.value) else variable.value


def _number(value: Value) -> float:
    """Returns the number in a scalar of a host; on JAX, it takes a fifth of the time of `float`."""
    item = getattr(value, "item", None)
    return float(value if item is None else item())


def _position(variable: Variable, variables: Sequence[Any]) -> int:
    return next(at for at, other in enumerate(variables) if other is variable)


def like(old: Variable, value: Value) -> Value:
    """Returns `value` with the dtype of the array `old`, and with its placement if that is fixed."""
    new = np.asarray(value, old.dtype)
    if not getattr(old, "committed", False):
        return new
    import jax

    return jax.device_put(new, old.sharding)
