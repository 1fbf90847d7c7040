"""`prove_logged_loss`: shows that a custom `train_step` logs the loss of its own batch, before the first batch counts.

The first batch is trained on several times, each time from the same state. A value that holds nothing but the batch is
the same each time, whatever was trained on in between; one that holds earlier batches, as a running mean does, is not.
Afterwards everything is put back, so that the scan begins as if none of this had been.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import StepResult, Value
from keras_lrscan.hosts.batch_loss import like
from keras_lrscan.hosts.custom_steps import CustomVariableMeter, unproven
from keras_lrscan.hosts.optimizers import optimizer_variables
from keras_lrscan.hosts.peeking import peek
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.hosts.reachable import keep_numbers
from keras_lrscan.hosts.snapshot import Snapshot, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.batch_loss import Meter
    from keras_lrscan.hosts.model_state import ModelState
    from keras_lrscan.hosts.peeking import Peeked
    from keras_lrscan.hosts.snapshot import Place

__all__ = ["prove_logged_loss"]

PUSHES = (0.03, 0.3, 3.0, 30.0)
"""How far weights are moved for the training in between; as far as it takes for the value to answer."""
SMALLEST_ANSWER = 1e-3
"""Relative change of the value that counts as an answer."""
SAME = 1e-6
"""Relative difference of equal values; some accelerators add up in another order each time."""
NOISE_RUNS = 6
"""Trainings that measure the noise, where each draws random numbers that cannot be put back."""
MIN_NOISES = 20.0
"""As many times the spread of the noise must an answer be."""
SHARE, SPREADS = 1e-3, 2.0
"""By how much equal values may differ: a share of the answer, or spreads of the noise. A mean of n values holds 1/n of
the one before, in the answer as in the difference; what fades faster than to a tenth in one step is lost in noise."""
MAX_SCALARS = 16
"""No more variables that hold one number are looked at one by one."""
LARGE_RATE = 1.0
"""Rate at which updates are compared."""


def prove_logged_loss(
    state: ModelState,
    step: Callable[..., Any],
    meter: Meter,
    args: tuple[Any, ...],
    *,
    place: Place,
    plan: tuple[float, int],
) -> tuple[Any, ...]:
    """Shows that the value under the monitored key is the loss of one batch alone.

    Args:
        state: All state that `step` may change.
        step: Trains on one batch.
        meter: Reads the value around `step`.
        args: The arguments of `step`.
        place: Where values are kept meanwhile.
        plan: Rate and number of updates for `meter`.

    Returns:
        Arguments for the step that counts, with the same batch.

    Raises:
        ScanError: If it cannot be shown.
    """
    host = state.host
    source = None if host.strategy is not None else peek(args[-1])
    if source is None:
        if isinstance(meter, CustomVariableMeter):
            meter.reads_metric, meter.needs_proof = True, False
        return args
    kind = _StateStage if host.backend == "jax" else _VariableStage
    stage = kind(state, step, meter, args, source, place=place, plan=plan)
    try:
        _prove(stage, meter)
    finally:
        stage.put_back()
    meter.needs_proof = False
    return stage.args


def _prove(stage: _Stage, meter: Meter) -> None:
    """Trains on one batch again and again; raises where the value does not tell, or holds more than the batch."""
    first, value = stage.run(), stage.run()
    if not math.isfinite(first) or not math.isfinite(value):
        return  # the scan ends here, whatever the value is
    is_noisy = abs(first - value) > SAME * abs(value)
    if is_noisy and isinstance(meter, CustomVariableMeter) and meter.source_of(value) is not None:
        meter.reads_metric = True
        return
    repeated = [stage.run() for _ in range(NOISE_RUNS)] if is_noisy else [value]
    value, noise = float(np.median(repeated)), float(np.ptp(repeated))
    answer, push = _answer(stage, value, noise, meter.monitor)
    tolerance = SAME * abs(value) + (SPREADS * noise if is_noisy else SHARE * answer)
    later = [stage.run(), stage.run()]
    if not all(abs(again - value) <= tolerance for again in (first, *later)) or _remembers(
        stage, value, tolerance, push, is_noisy=is_noisy
    ):
        raise unproven(meter.monitor, "that value also holds earlier batches")


def _answer(stage: _Stage, value: float, noise: float, monitor: str) -> tuple[float, float]:
    """Returns by how much the value answers when the weights are moved, and how far that is."""
    smallest = max(SMALLEST_ANSWER * abs(value), MIN_NOISES * noise)
    for push in PUSHES:
        answer = abs(stage.run(push=push) - value)
        if not math.isfinite(answer):  # and stays so in every average
            return abs(value), push
        if answer > smallest:
            return answer, push
    raise unproven(monitor, "that value hardly answers when the weights change, or changes by itself")


def _remembers(stage: _Stage, value: float, tolerance: float, push: float, *, is_noisy: bool) -> bool:
    """Whether a variable that is not trained brings earlier batches into the value, and not into the training.

    A running average that is kept in a variable does so. A codebook, or the slow copy of a network, changes the update
    as well: that is the loss itself. Variables of one number are asked one by one, the others together.
    """

    def differs(left: Sequence[int], rate: float | None = None) -> bool:
        stage.run(push=push)
        return not abs(stage.run(left=left, rate=rate) - value) <= tolerance

    stage.run(push=push)
    changed = stage.changed()
    if not changed or not differs(changed):
        return False
    scalars = [at for at in changed if stage.size(at) == 1]
    groups = [[at] for at in scalars] + [[at for at in changed if at not in scalars]]
    if is_noisy or len(scalars) > MAX_SCALARS:
        return True
    stage.run(rate=LARGE_RATE)
    usual = stage.trained()
    return any(
        differs(group, LARGE_RATE) and not _is_other_update(stage.first, usual, stage.trained())
        for group in groups
        if group
    )


def _is_other_update(first: Sequence[Any], usual: Sequence[Any], other: Sequence[Any]) -> bool:
    return any(
        np.abs(c - b).max(initial=0.0) > SMALLEST_ANSWER * np.abs(b - a).max(initial=0.0)
        for a, b, c in zip(first, usual, other, strict=True)
    )


class _Stage:
    """One batch, to be trained on again and again from one state.

    Args:
        state: All state that `step` may change.
        step: Trains on one batch.
        meter: Reads the value around `step`.
        args: The arguments of `step`.
        source: What `peek` says of the last of them.
        place: Where values are kept.
        plan: Rate and number of updates for `meter`.
    """

    def __init__(
        self,
        state: ModelState,
        step: Callable[..., Any],
        meter: Meter,
        args: tuple[Any, ...],
        source: Peeked,
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
        """Trains on the batch, from the state at the start, and returns the value.

        Args:
            push: How far to move the weights before.
            left: Numbers of the variables, as from `changed`, that stay as the last training left them.
            rate: Learning rate, if not that of the plan.
        """
        self._random.restore()
        args = (*self._state(push, left), self._source.again())
        planned, iterations = self._plan
        result = self._step(*self._meter.before(args, planned if rate is None else rate, iterations))
        self._note(result)
        return self._meter.value(result)

    def changed(self) -> list[int]:
        """Returns the numbers of the variables that the last training changed, less weights, metrics and counters."""
        raise NotImplementedError

    def size(self, at: int) -> int:
        """Returns how many numbers a variable holds."""
        raise NotImplementedError

    def trained(self) -> list[NDArray[Any]]:
        """Returns the values of the weights that train, and of the optimizer, as the last training left them."""
        raise NotImplementedError

    def put_back(self) -> None:
        """Puts the state at the start back."""
        self._random.restore()
        if self._numbers is not None:
            self._numbers()

    def _start(self, place: Place) -> None:
        raise NotImplementedError

    def _state(self, push: float, left: Sequence[int]) -> tuple[Any, ...]:
        raise NotImplementedError

    def _note(self, result: StepResult) -> None:
        raise NotImplementedError


class _VariableStage(_Stage):
    """For hosts that keep the state in variables."""

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


class _StateStage(_Stage):
    """For JAX, where the state goes in and comes out, and what goes in is used up."""

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
    """Returns weights that are not only scaled or shifted, to which a model may be blind."""
    pattern = push * np.cos(1.0 + np.arange(value.size)).reshape(value.shape)
    pushed: NDArray[Any] = (value + pattern).astype(value.dtype)
    return pushed
