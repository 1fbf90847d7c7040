"""Proves that a custom `train_step` logs the loss of its own batch, before the first batch counts.

The step runs on the first batch several times, each time from the same state. A value that depends on this batch alone
is the same each time, regardless of the steps in between. A value that also holds earlier batches, such as a running
mean, differs. Afterwards all state is restored, so that the proof has no effect on the scan.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import StepResult, Value
from keras_lrscan.hosts.batch_loss import like
from keras_lrscan.hosts.custom_steps import CustomVariableMeter, unproven
from keras_lrscan.hosts.next_batch import peek
from keras_lrscan.hosts.optimizers import optimizer_variables
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.hosts.reachable import keep_numbers
from keras_lrscan.hosts.snapshot import Snapshot, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.batch_loss import Meter
    from keras_lrscan.hosts.model_state import ModelState
    from keras_lrscan.hosts.next_batch import NextBatch
    from keras_lrscan.hosts.snapshot import Place

__all__ = ["prove_logged_loss"]

PUSHES = (0.03, 0.3, 3.0, 30.0)
"""Distances to move the weights for the steps in between, tried in order until the value responds."""
MIN_RESPONSE = 1e-3
"""Smallest relative change of the value that counts as a response."""
EQUAL_TOLERANCE = 1e-6
"""Largest relative difference of equal values, because some accelerators sum in a different order each time."""
NOISE_RUNS = 6
"""Number of steps to measure the noise, if each draws random numbers that cannot be repeated."""
MIN_NOISE_RATIO = 20.0
"""Smallest response as a multiple of the range of the noise."""
RESPONSE_SHARE, NOISE_RANGES = 1e-3, 2.0
"""Largest difference of equal values, as a share of the response or in ranges of the noise. A mean of n values holds
1/n of the previous value, in the response as in the difference. With noise, a memory that decays below a tenth in one
step is not detected."""
MAX_SCALARS = 16
"""With more scalar variables than this, they are not tested one by one."""
LARGE_RATE = 1.0
"""Learning rate at which updates are compared."""


def prove_logged_loss(
    state: ModelState,
    step: Callable[..., Any],
    meter: Meter,
    args: tuple[Any, ...],
    *,
    place: Place,
    plan: tuple[float, int],
) -> tuple[Any, ...]:
    """Proves that the monitored value is the loss of one batch alone.

    Args:
        state: All state that `step` may change.
        step: Function that trains on one batch.
        meter: Meter that reads the value around `step`.
        args: The arguments of `step`.
        place: Where to store values during the proof, `"memory"` or `"disk"`.
        plan: Learning rate and number of updates for `meter`.

    Returns:
        The arguments for the first step that counts, with the same batch.

    Raises:
        ScanError: If it cannot be proved.
    """
    host = state.host
    source = None if host.strategy is not None else peek(args[-1])
    if source is None:
        if isinstance(meter, CustomVariableMeter):
            meter.reads_metric, meter.needs_proof = True, False
        return args
    kind = _StateRepeater if host.backend == "jax" else _VariableRepeater
    repeater = kind(state, step, meter, args, source, place=place, plan=plan)
    try:
        _prove(repeater, meter)
    finally:
        repeater.put_back()
    meter.needs_proof = False
    return repeater.args


def _prove(repeater: _StepRepeater, meter: Meter) -> None:
    """Repeats the step, and raises if the value does not respond to the weights or depends on earlier batches."""
    first, value = repeater.run(), repeater.run()
    if not math.isfinite(first) or not math.isfinite(value):
        return  # the scan ends at this batch in any case
    is_noisy = abs(first - value) > EQUAL_TOLERANCE * abs(value)
    if is_noisy and isinstance(meter, CustomVariableMeter) and meter.source_of(value) is not None:
        meter.reads_metric = True
        return
    repeated = [repeater.run() for _ in range(NOISE_RUNS)] if is_noisy else [value]
    value, noise = float(np.median(repeated)), float(np.ptp(repeated))
    response, push = _response(repeater, value, noise, meter.monitor)
    tolerance = EQUAL_TOLERANCE * abs(value) + (NOISE_RANGES * noise if is_noisy else RESPONSE_SHARE * response)
    later = [repeater.run(), repeater.run()]
    if not all(abs(again - value) <= tolerance for again in (first, *later)) or _remembers(
        repeater, value, tolerance, push, is_noisy=is_noisy
    ):
        raise unproven(meter.monitor, "that value also holds earlier batches")


def _response(repeater: _StepRepeater, value: float, noise: float, monitor: str) -> tuple[float, float]:
    """Returns the change of the value when the weights move, and the distance that they moved."""
    smallest = max(MIN_RESPONSE * abs(value), MIN_NOISE_RATIO * noise)
    for push in PUSHES:
        response = abs(repeater.run(push=push) - value)
        if not math.isfinite(response):  # every average with such a value is not finite either
            return abs(value), push
        if response > smallest:
            return response, push
    raise unproven(monitor, "that value hardly changes with the weights, or changes by itself")


def _remembers(repeater: _StepRepeater, value: float, tolerance: float, push: float, *, is_noisy: bool) -> bool:
    """Returns whether an untrained variable carries earlier batches into the value but not into the training.

    This holds for a running average that is stored in a variable. A codebook, or the slow copy of a network, also
    changes the update, so it is part of the loss itself. Scalar variables are tested one by one, all others together.
    """

    def differs(left: Sequence[int], rate: float | None = None) -> bool:
        repeater.run(push=push)
        return not abs(repeater.run(left=left, rate=rate) - value) <= tolerance

    repeater.run(push=push)
    changed = repeater.changed()
    if not changed or not differs(changed):
        return False
    scalars = [at for at in changed if repeater.size(at) == 1]
    groups = [[at] for at in scalars] + [[at for at in changed if at not in scalars]]
    if is_noisy or len(scalars) > MAX_SCALARS:
        return True
    repeater.run(rate=LARGE_RATE)
    usual = repeater.trained()
    return any(
        differs(group, LARGE_RATE) and not _is_other_update(repeater.first, usual, repeater.trained())
        for group in groups
        if group
    )


def _is_other_update(first: Sequence[Any], usual: Sequence[Any], other: Sequence[Any]) -> bool:
    return any(
        np.abs(c - b).max(initial=0.0) > MIN_RESPONSE * np.abs(b - a).max(initial=0.0)
        for a, b, c in zip(first, usual, other, strict=True)
    )


class _StepRepeater:
    """Repeats the training step on one batch, each time from the same state.

    Args:
        state: All state that `step` may change.
        step: Function that trains on one batch.
        meter: Meter that reads the value around `step`.
        args: The arguments of `step`.
        source: Result of `peek` for the last argument.
        place: Where to store values, `"memory"` or `"disk"`.
        plan: Learning rate and number of updates for `meter`.
    """

    def __init__(
        self,
        state: ModelState,
        step: Callable[..., Any],
        meter: Meter,
        args: tuple[Any, ...],
        source: NextBatch,
        *,
        place: Place,
        plan: tuple[float, int],
    ) -> None:
        self._kept_state, self._step, self._meter, self._source = state, step, meter, source
        self._plan = plan
        self._random = RandomStates()
        self._numbers = keep_numbers(state.owners) if state.host.runs_python else None
        self.args = (*args[:-1], source.source)
        self._start(place)
        self.first = self.trained()

    def run(self, *, push: float = 0.0, left: Sequence[int] = (), rate: float | None = None) -> float:
        """Runs the step from the initial state and returns the value.

        Args:
            push: Distance to move the weights before the step.
            left: Indices of variables, as from `changed`, that keep their values from the previous run.
            rate: Learning rate. Defaults to that of the plan.
        """
        self._random.restore()
        args = (*self._state(push, left), self._source.repeat())
        planned, iterations = self._plan
        result = self._step(*self._meter.before(args, planned if rate is None else rate, iterations))
        self._note(result)
        return self._meter.value(result)

    def changed(self) -> list[int]:
        """Returns the indices of variables that the last run changed, without weights, metrics and counters."""
        raise NotImplementedError

    def size(self, at: int) -> int:
        """Returns the number of elements of a variable."""
        raise NotImplementedError

    def trained(self) -> list[NDArray[Any]]:
        """Returns the values of the trainable weights and of the optimizer after the last run."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Restores the initial state."""
        self._random.restore()
        if self._numbers is not None:
            self._numbers()

    def _start(self, place: Place) -> None:
        raise NotImplementedError

    def _state(self, push: float, left: Sequence[int]) -> tuple[Any, ...]:
        raise NotImplementedError

    def _note(self, result: StepResult) -> None:
        raise NotImplementedError


class _VariableRepeater(_StepRepeater):
    """Repeats the step on hosts that keep the state in variables."""

    def _start(self, place: Place) -> None:
        state, model = self._kept_state, self._kept_state.host.model
        self._kept = Snapshot(state.snapshot.variables, place=place)
        ours = list(optimizer_variables(state.host.optimizer))
        theirs = [variable for item in state.other_optimizers.values() for variable in optimizer_variables(item)]
        not_memory = {id(variable) for variable in (*model.trainable_variables, *ours, *theirs)}
        self._memory = [v for v in self._kept.variables if id(v) not in not_memory and _has_fractions(read_value(v))]
        self._trained = [v for v in (*model.trainable_variables, *ours) if _has_fractions(read_value(v))]

    def _state(self, push: float, left: Sequence[int]) -> tuple[Any, ...]:
        values = [(self._memory[at], read_value(self._memory[at]).copy()) for at in left]
        self._kept.restore()
        for variable, value in values:
            variable.assign(value)
        for variable in self._kept_state.host.model.trainable_variables if push else ():
            variable.assign(_pushed(read_value(variable), push))
        return ()

    def _note(self, result: StepResult) -> None:
        pass

    def changed(self) -> list[int]:
        pairs = self._kept.pairs(self._memory)
        return [at for at, (old, new) in enumerate(pairs) if not np.array_equal(old, new, equal_nan=True)]

    def size(self, at: int) -> int:
        return int(read_value(self._memory[at]).size)

    def trained(self) -> list[NDArray[Any]]:
        return [np.array(read_value(variable), np.float64) for variable in self._trained]

    def put_back(self) -> None:
        self._kept.restore()
        self._kept.close()
        self._kept_state.renew()
        super().put_back()


class _StateRepeater(_StepRepeater):
    """Repeats the step on JAX, where the step takes the state as an argument, invalidates it, and returns a new one."""

    def _start(self, place: Place) -> None:
        self._first = self._last = self.args[0]

    def _state(self, push: float, left: Sequence[int]) -> tuple[Any, ...]:
        trainable, other, optimizer, metrics = _copied(self._first)
        if push:
            trainable = [like(value, _pushed(np.asarray(value), push)) for value in trainable]
        if left:
            last = _copied([self._last[1][at] for at in left])
            for at, value in zip(left, last, strict=True):
                other[at] = value
        return ((trainable, other, optimizer, metrics),)

    def _note(self, result: StepResult) -> None:
        self._last = result[1]

    def changed(self) -> list[int]:
        pairs = zip(self._first[1], self._last[1], strict=True)
        return [
            at
            for at, (old, new) in enumerate(pairs)
            if _has_fractions(old) and not np.array_equal(np.asarray(old), np.asarray(new), equal_nan=True)
        ]

    def size(self, at: int) -> int:
        return int(self._first[1][at].size)

    def trained(self) -> list[NDArray[Any]]:
        return [np.asarray(v, np.float64) for part in (self._last[0], self._last[2]) for v in part if _has_fractions(v)]


def _copied(state: Value) -> Value:
    import jax

    return jax.tree.map(lambda value: jax.numpy.array(value, copy=True), state)


def _has_fractions(value: Value) -> bool:
    return "float" in str(value.dtype)


def _pushed(value: NDArray[Any], push: float) -> NDArray[Any]:
    """Returns weights moved by a pattern, because a model may not respond to a change of scale or a constant shift."""
    pattern = push * np.cos(1.0 + np.arange(value.size)).reshape(value.shape)
    pushed: NDArray[Any] = (value + pattern).astype(value.dtype)
    return pushed
