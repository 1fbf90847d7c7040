"""Meters: set the rate before a batch and read that batch's own loss after it, around a host's train function.

Keras's own `train_step` logs the mean of the losses since the epoch began. A meter empties the sum behind that mean
before every batch, so that the logs hold one batch only, and hands on the mean that Keras would have logged: history
and progress bar stay right. `custom_steps` has the meters for other train steps.
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

LARGEST_COUNT = 2.0**22
"""Samples after which the count starts again, well before float32 stops to count by ones."""


class BatchLoss(NamedTuple):
    """What one batch told.

    Attributes:
        loss: Loss of the batch alone.
        logged: What Keras would have logged: the mean of the epoch so far, or the same as `loss` where it logs that.
        weight: Samples that Keras counted for this batch; `None` where it counts none.
    """

    loss: float
    logged: float
    weight: float | None


class Meter:
    """Base of the meters; holds the running mean of the epoch.

    Args:
        host: The host.
        rates: The variables that hold the learning rate.
        monitor: Key of the loss in the logs.
        keeps_mean: Whether the host's metrics hold the mean of an epoch, which others go on to read. Otherwise every
            batch starts anew, whatever has happened to the metrics in between.
    """

    needs_proof = False
    """Whether it is still to be shown that what the step logs is the batch's own loss."""

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
        """Notes that the host emptied its metrics."""
        self._sum = self._weight = self._count = 0.0

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Sets the rate and empties the loss; returns the arguments for the train function."""
        raise NotImplementedError

    def after(self, result: StepResult) -> BatchLoss:
        """Reads what the train function returned."""
        raise NotImplementedError

    def logs(self, result: StepResult) -> dict[str, Any]:
        """Returns the logs in what the train function returned."""
        return dict(result)

    def with_logs(self, result: StepResult, logs: dict[str, Any]) -> StepResult:
        """Returns `result` with other logs."""
        return logs

    def next_args(self, args: tuple[Any, ...], result: StepResult) -> tuple[Any, ...]:
        """Returns the arguments for one more call after `result`."""
        return args

    def restart(self) -> None:
        """Notes that others have used the model's metrics, whose counts go on from nowhere."""
        self._restart = True

    def batches_seen(self, result: StepResult, optimizer: Optimizer) -> int:
        """Returns how many batches `optimizer` has seen after the step that returned `result`."""
        return batches_seen(optimizer)

    def weights(self, result: StepResult) -> list[NDArray[Any]]:
        """Returns the values of the trainable weights after the step that returned `result`, or now for `None`."""
        return [read_value(variable) for variable in self.host.model.trainable_variables]

    def value(self, result: StepResult) -> float:
        """Returns the number under the key `monitor` in what the train function returned.

        Raises:
            ScanError: If there is none.
        """
        return self._monitored(self.logs(result))

    def _forget_count(self) -> None:
        """Notes that the next batch is the first that the host counts."""
        self._count, self._restart = 0.0, not self._keeps_mean

    def _monitored(self, logs: dict[str, Any]) -> float:
        if self.monitor not in logs:
            msg = f"Expected `monitor` to be one of the logs {sorted(logs)}. Received: monitor={self.monitor!r}."
            raise ScanError(msg)
        try:
            return _number(logs[self.monitor])
        except (TypeError, ValueError, RuntimeError) as error:  # each host has its own
            value = logs[self.monitor]
            shape = getattr(value, "shape", None)
            kind = type(value).__name__ if shape is None else f"an array of shape {tuple(shape)}"
            msg = (
                f"Expected `monitor` to be the key of a single number in the logs. Received: monitor={self.monitor!r}, "
                f"which is {kind}. Return the mean over the batch from `train_step`."
            )
            raise ScanError(msg) from error

    def _missing_mean(self) -> ScanError:
        """Returns the error for a key of Keras's own `train_step` that no mean stands behind."""
        msg = (
            "Expected `monitor` to be the key of a loss that Keras averages over the batches of an epoch. "
            f"Received: monitor={self.monitor!r}, behind which there is no such mean. Pass `monitor='loss'`, or give "
            "the metric a name that does not end with `_loss`."
        )
        return ScanError(msg)

    def _reading(self, mean: float, count: float | None) -> BatchLoss:
        """Undoes the division by the `count` samples of the epoch; the sum behind `mean` is this batch's alone."""
        if count is None or count <= self._count:
            return BatchLoss(mean, mean, None)
        weight = count - self._count
        loss = mean * (count / weight)
        self._count = count
        self._sum += loss * weight
        self._weight += weight
        self._restart = self._restart or count > LARGEST_COUNT
        return BatchLoss(loss, self._sum / self._weight if self._keeps_mean else loss, weight)

    def _alone(self, loss: float) -> BatchLoss:
        """Returns the reading of a host's value that is the loss of one batch already."""
        self._sum += loss
        self._weight += 1.0
        return BatchLoss(loss, self._sum / self._weight if self._keeps_mean else loss, None)


class VariableMeter(Meter):
    """For hosts that keep the state in variables between batches: TensorFlow, torch and tf_keras."""

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        super().__init__(host, rates, monitor, keeps_mean=keeps_mean)
        self._is_spread = host.strategy is not None
        self._fast = host.backend == "tensorflow" and not self._is_spread
        self._writers = [self._writer(rate.variable) for rate in rates]
        self._empty: list[Callable[[float], None]] | None = None
        self._means: list[Any] = []
        self._read_count: Callable[[], float] | None = None

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Writes the variables."""
        self._set_rates(rate, iterations)
        for write in self._empty or ():
            write(0.0)
        if self._restart:
            for metric in self._means:
                metric.count.assign(0.0)
            self._forget_count()
        return args

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the logs, or the metric itself where several replicas each hold a part of it."""
        if self._empty is None:
            self._find_means()
        mean = self._monitored(result)
        if self._read_count is None:
            raise self._missing_mean()
        if self._is_spread:
            mean = float(self._means[0].result())
        return self._reading(mean, self._read_count())

    def _set_rates(self, rate: float, iterations: int) -> None:
        for item, write in zip(self.rates, self._writers, strict=True):
            write(item.value_for(rate, iterations))

    def _find_means(self) -> None:
        """Finds, after the first batch of a fresh epoch, the metrics that hold the running mean."""
        self._means = [metric for metric in _means(self.host, self.monitor) if float(read_value(metric.count)) > 0]
        self._empty = [self._writer(metric.total) for metric in self._means]
        self._read_count = self._reader(self._means[0].count) if self._means else None

    def _writer(self, variable: Variable) -> Callable[[float], None]:
        """Returns a function that sets `variable`; on TensorFlow one that costs a fourth of `assign`."""
        if not self._fast:
            return cast("Callable[[float], None]", variable.assign)
        import tensorflow as tf

        tensor = _resource(variable)
        handle, dtype, assign = tensor.handle, tensor.dtype, tf.raw_ops.AssignVariableOp
        zero = tf.zeros((), dtype)
        return lambda value: assign(resource=handle, value=tf.constant(value, dtype) if value else zero)

    def _reader(self, variable: Variable) -> Callable[[], float]:
        if not self._fast:
            return lambda: float(read_value(variable))
        import tensorflow as tf

        tensor = _resource(variable)
        handle, dtype, read = tensor.handle, tensor.dtype, tf.raw_ops.ReadVariableOp
        return lambda: float(read(resource=handle, dtype=dtype))


class StateMeter(Meter):
    """For JAX, where the state passes through the train function as lists of arrays.

    New values go in as NumPy scalars, which compile nothing anew; only state that is spread over devices needs the
    placement that it has.
    """

    def __init__(self, host: Host, rates: Sequence[RateVariable], monitor: str, *, keeps_mean: bool = True) -> None:
        super().__init__(host, rates, monitor, keeps_mean=keeps_mean)
        variables = host.model.optimizer.variables
        self._rate_at = [_position(rate.variable, variables) for rate in rates]
        means = _means(host, monitor)
        places = host.model.metrics_variables
        self._total_at = [_position(metric.total, places) for metric in means]
        self._count_at = [_position(metric.count, places) for metric in means]
        self._used: int | None = None

    def before(self, args: tuple[Any, ...], rate: float, iterations: int) -> tuple[Any, ...]:
        """Returns the state with other values in it."""
        (trainable, other, optimizer, metrics), *rest = args
        optimizer, metrics = self._with_rates(optimizer, rate, iterations), list(metrics)
        for at in self._total_at:
            metrics[at] = like(metrics[at], 0.0)
        if self._restart:
            for at in self._count_at:
                metrics[at] = like(metrics[at], 0.0)
            self._forget_count()
        return ((trainable, other, optimizer, metrics), *rest)

    def after(self, result: StepResult) -> BatchLoss:
        """Reads the logs and the count."""
        logs, (_, _, _, metrics) = result
        mean = self._monitored(logs)
        if self._used is None:
            self._used = next((at for at in self._count_at if _number(metrics[at]) > 0), -1)
            if self._used < 0:
                raise self._missing_mean()
        return self._reading(mean, _number(metrics[self._used]))

    def _with_rates(self, optimizer: Sequence[Any], rate: float, iterations: int) -> list[Any]:
        """Returns the state of the optimizer with the rates in it."""
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
    """Metrics called `name` that are the mean of what they were given; those of `compile` lie in a container."""
    metrics = host.model.metrics
    parts = [part for metric in metrics for part in (metric, *getattr(metric, "metrics", ()))]
    result = host.library.metrics.Mean.result  # not that of a root of a mean
    named = [part for part in dict.fromkeys(parts) if part.name == name and hasattr(part, "count")]
    return [metric for metric in named if getattr(type(metric), "result", None) is result]


def _resource(variable: Variable) -> Value:
    """Returns the `tf.Variable` in a variable of Keras 3; that of tf_keras is one, with a method called `value`."""
    return variable if callable(variable.value) else variable.value


def _number(value: Value) -> float:
    """Returns the number in a host's scalar; on JAX in a fifth of the time that `float` takes."""
    item = getattr(value, "item", None)
    return float(value if item is None else item())


def _position(variable: Variable, variables: Sequence[Any]) -> int:
    return next(at for at, other in enumerate(variables) if other is variable)


def like(old: Variable, value: Value) -> Value:
    """Returns `value` with the type, and where it matters the placement, of the array `old`."""
    new = np.asarray(value, old.dtype)
    if not getattr(old, "committed", False):
        return new
    import jax

    return jax.device_put(new, old.sharding)
