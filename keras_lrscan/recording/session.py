"""`Session`: one scan inside one `fit`, from the first hook to the last variable put back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import CallbackList, StepResult
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.custom_steps import make_meter
from keras_lrscan.hosts.fit_call import running_fit
from keras_lrscan.hosts.logged_loss import prove_logged_loss
from keras_lrscan.hosts.model_state import ModelState
from keras_lrscan.hosts.optimizers import (
    RateControl,
    keeps_averages,
    optimizer_notes,
    python_numbers,
    update_phase,
)
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.hosts.snapshot import Snapshot
from keras_lrscan.inspection.describe import data_notes, describe, describe_labels
from keras_lrscan.inspection.first_batches import FirstBatches
from keras_lrscan.inspection.layers import movement_facts
from keras_lrscan.recording.interrupts import InterruptGuard
from keras_lrscan.recording.recorder import FEW_STEPS, Recorder, warn_of_few_steps
from keras_lrscan.recording.scope import EXHAUSTED, ModelGuard
from keras_lrscan.recording.step_watch import StepWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.batch_loss import Meter
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.snapshot import Place
    from keras_lrscan.recording.ramp import ExponentialRamp, Ramp

__all__ = ["Session"]


@dataclass(frozen=True, kw_only=True)
class _Grip:
    """What a scan holds of a model with weights.

    Attributes:
        step: Trains on one batch.
        shared: Whether `step` is the function that `fit` goes on to use after the scan.
        meter: Sets the rate and reads the loss around `step`.
        control: The optimizer's rate.
        state: What is kept of the model, to put it back.
        watch: Looks at the model after steps.
    """

    step: Callable[..., Any]
    shared: bool
    meter: Meter
    control: RateControl
    state: ModelState
    watch: StepWatch


class Session:
    """Scans one `fit` of `model`.

    While it lasts, the model's `train_function` is wrapped: the wrapper sets the rate, lets the host's own function do
    the step, and reads the loss. So nothing is traced or compiled anew, except where it cannot be helped: under a
    learning-rate schedule, which is part of the compiled step; with several steps per execution; and where a compiled
    step in use already holds random state that cannot be put back.

    Args:
        host: The host and its compiled model.
        ramp: The rates that were asked for.
        stop_on_divergence: Whether to end when the loss rises for good.
        place: Where the snapshot is kept.
        monitor: Key of the loss in the logs.
        on_end: Called once, after the model is as it was.
        in_fit: Whether the batches come from one `fit`; otherwise they come from calls of `train_on_batch`.

    Raises:
        ScanError: If there is no `fit` and the model has no weights yet.
    """

    def __init__(
        self,
        host: Host,
        *,
        ramp: ExponentialRamp,
        stop_on_divergence: bool,
        place: Place,
        monitor: str,
        on_end: Callable[[], None],
        in_fit: bool = True,
    ) -> None:
        self.host = host
        if not in_fit and not self.host.is_built:
            msg = "Expected a model that has weights. Received: one that is not built. Call it on one batch first."
            raise ScanError(msg)
        self.recorder: Recorder | None = None
        self.context = ScanContext(start_lr=ramp.start_lr, end_lr=ramp.end_lr)
        self._ramp = ramp
        self._stop_on_divergence = stop_on_divergence
        self._place = place
        self._monitor = monitor
        self._on_end = on_end
        self._in_fit = in_fit
        self._undo: list[Callable[[], None]] = []
        self._functions: dict[str, Any] = {}
        self._batches_of_epoch = 0
        self._numbers: list[Callable[[], None]] = []
        self._grip: _Grip | None = None
        self._first = FirstBatches(self.host, monitor)
        self._guard: InterruptGuard | None = None
        self._random: RandomStates | None = None

    @property
    def curve(self) -> LRCurve | None:
        """What is on record, or `None` before the first point."""
        if self.recorder is None or not self.recorder.num_points:
            return None
        return self.recorder.curve(self.context)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to record."""
        return self.recorder is not None and self._is_over(self.recorder)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C has asked for the end."""
        return self._guard is not None and self._guard.requested

    def begin(self, *, steps_per_epoch: int | None, notes: tuple[str, ...] = (), owner: CallbackList = None) -> None:
        """Takes the model over, in `on_train_begin`.

        Args:
            steps_per_epoch: Batches in an epoch, where it is known.
            notes: Sentences for the context.
            owner: The host's list of callbacks: once it is gone, the model is put back at the latest.
        """
        model, call = self.host.model, running_fit(self.host.model)
        if not self._in_fit:
            model.make_train_function()
        self._random = RandomStates()
        self._undo.append(self._random.restore)
        self._guard = InterruptGuard(model, call.code, self.restore)
        self._undo.append(self._guard.remove)
        notes = (*notes, *data_notes(call.x))
        self.context = dataclasses.replace(self.context, steps_per_epoch=steps_per_epoch, notes=notes)
        guard = ModelGuard(model, call.code if self._in_fit else None, self.restore, self._restart_meter)
        self._undo.append(guard.remove)
        if owner is not None:
            guard.follow(owner)
        self._undo.append(lambda: setattr(model, "stop_training", False))
        functions = self._functions = self.host.train_functions()
        self._undo.append(lambda: self._put_back(functions))
        try:
            if self.host.is_built:
                self._grip = self._take_hold()
        except BaseException:
            self.restore()
            raise
        model.train_function = self._execute

    def start_epoch(self, *, epochs_left: int) -> None:
        """Notes the start of an epoch; the first one settles how long the ramp can be."""
        self._batches_of_epoch = 0
        if self._grip is not None:
            self._grip.meter.start_epoch()
        if self.recorder is None:
            self.recorder = self._make_recorder(epochs_left)

    def _make_recorder(self, epochs_left: int) -> Recorder:
        _, batches_per_update, gathered = update_phase(self.host.optimizer)
        steps = self.context.steps_per_epoch
        batches = None if steps is None else steps * max(1, epochs_left)
        ramp = self._ramp.shortened_to(None if batches is None else (batches + gathered) // batches_per_update)
        self.context = dataclasses.replace(self.context, num_steps=ramp.num_steps)
        if ramp.num_steps < min(FEW_STEPS, self._ramp.num_steps):
            warn_of_few_steps(
                ramp.num_steps, self._ramp.num_steps, (self.context.steps_per_epoch or 1) // batches_per_update
            )
        return self._recorder_for(ramp, stop_on_divergence=self._stop_on_divergence)

    def _recorder_for(self, ramp: Ramp, *, stop_on_divergence: bool) -> Recorder:
        _, each, gathered = update_phase(self.host.optimizer)
        return Recorder(ramp, batches_per_update=each, batches_gathered=gathered, stop_on_divergence=stop_on_divergence)

    def restart(self, ramp: Ramp, *, stop_on_divergence: bool, values: Snapshot | None = None) -> Recorder:
        """Starts another scan, or a training at other rates, in the place of the one so far.

        Args:
            ramp: The rates.
            stop_on_divergence: Whether to end when the loss rises for good.
            values: What to start from; the state before the first scan, random generators included, when left out.

        Returns:
            The new recorder.

        Raises:
            ScanError: If the session does not hold a model.
        """
        if values is None and self._random is not None:
            self._random.restore()
        grip = self._held()
        (grip.state if values is None else values).restore()
        grip.watch.restart(expects_finite=stop_on_divergence)
        self.host.model.reset_metrics()
        self.context = dataclasses.replace(self.context, num_steps=ramp.num_steps)
        self.recorder = self._recorder_for(ramp, stop_on_divergence=stop_on_divergence)
        return self.recorder

    @property
    def first_values(self) -> Snapshot:
        """The values from before the first scan."""
        return self._held().state.snapshot

    def keep(self) -> Snapshot:
        """Returns a snapshot of the values as they are now, of the same variables as the one to put back."""
        return Snapshot(self._held().state.snapshot.variables, place=self._place)

    def _held(self) -> _Grip:
        if self._grip is None or not self._undo:
            msg = "Expected a session that holds a model. Received: one that has not begun, or is over."
            raise ScanError(msg)
        return self._grip

    def end(self) -> None:
        """Puts everything back at the end of `fit`.

        Raises:
            KeyboardInterrupt: If Ctrl-C ended the scan.
        """
        requested = self.interrupted
        if self.recorder is not None:
            stopped = requested or bool(self.host.model.stop_training)
            self.recorder.end(StopReason.INTERRUPTED if stopped else StopReason.OUT_OF_BATCHES)
        try:
            self._note_outcome()
        finally:
            self.restore()
        if requested:
            msg = "The scan was interrupted; the model is as it was before."
            raise KeyboardInterrupt(msg)

    def abort(self) -> None:
        """Ends the scan at an exception, and puts everything back."""
        if self.recorder is not None:
            self.recorder.end(StopReason.INTERRUPTED)
        self.restore()

    def restore(self) -> None:
        """Puts everything back; does nothing the second time."""
        undo, self._undo = self._undo, []
        if undo:
            self.host.sync()
            while undo:
                undo.pop()()
            self._on_end()

    def _note_outcome(self) -> None:
        """Notes how far the weights moved, unless Keras has put averages in their place, and what flat losses ask."""
        losses = () if self.recorder is None else self.recorder.losses
        self.context = describe_labels(self.host, self.context, losses, self._first.given)
        if self._grip is not None and losses and not keeps_averages(self.host.model.optimizer):
            self.host.sync()
            moved = movement_facts(self._grip.state.snapshot.pairs(self.host.model.trainable_variables))
            self.context = dataclasses.replace(self.context, **moved)

    def _put_back(self, functions: dict[str, Any]) -> None:
        """Puts the train functions back, and the numbers that tracing changed unless that trace stays in use."""
        model, shared = self.host.model, self._grip is not None and self._grip.shared
        self.host.put_back(functions, shared=shared)
        if not shared or self.host.runs_python or model.train_function is None:
            for restore in self._numbers:
                restore()

    def _take_hold(self) -> _Grip:
        """Keeps the state and takes hold of the rate; needs a model with weights."""
        host, model = self.host, self.host.model
        shared = self._functions["train_function"]
        state = ModelState(host, shared, place=self._place)
        self._undo += [state.close, state.restore]
        control = RateControl(host.optimizer, host.make_rate_variable)
        self._undo.append(control.restore)
        described = describe(host, control, self.context)
        notes = optimizer_notes(host.optimizer, control.iterations + self._ramp.num_steps)
        self.context = dataclasses.replace(described, notes=(*described.notes, *notes, *state.notes))
        anew = control.replaces_schedule or host.needs_own_step(shared)
        self._numbers = [python_numbers(host.optimizer), state.restore_numbers]
        step = host.own_step_function() if anew else shared
        if not self._in_fit:
            model.reset_metrics()
        meter = make_meter(host, control.variables, self._monitor, keeps_mean=self._in_fit)
        watch = StepWatch(host, state, meter, self._ramp.num_steps)
        return _Grip(step=step, shared=not anew, meter=meter, control=control, state=state, watch=watch)

    def _execute(self, *args: Any) -> StepResult:
        """Stands in for the model's train function."""
        try:
            if self._grip is None:
                self.host.build(args[0])
                self._grip = self._take_hold()
            if self.recorder is None:
                self.recorder = self._make_recorder(1)
            self.context, args = self._first.look(self.context, args)
            return self._execute_batches(self._grip, self.recorder, args)
        except BaseException as error:
            if type(error).__name__ not in EXHAUSTED:
                self.fail()
            raise

    def _execute_batches(self, grip: _Grip, recorder: Recorder, args: tuple[Any, ...]) -> StepResult:
        """Does as many batches as one call of the train function should."""
        result, logs = self._one_batch(grip, recorder, args)
        for _ in range(1, self.host.batches_per_execution if self._in_fit else 1):
            if self._is_over(recorder) or self._batches_of_epoch == self.context.steps_per_epoch:
                break
            args = grip.meter.next_args(args, result)
            try:
                result, logs = self._one_batch(grip, recorder, args)
            except Exception as error:
                if type(error).__name__ not in EXHAUSTED:
                    raise
                break
        if self._is_over(recorder):
            self.host.model.stop_training = True
        return grip.meter.with_logs(result, logs)

    def _one_batch(self, grip: _Grip, recorder: Recorder, args: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
        meter, rate = grip.meter, recorder.rate
        plan = rate, grip.control.iterations + recorder.num_points
        if meter.needs_proof:
            args = prove_logged_loss(grip.state, grip.step, meter, args, place=self._place, plan=plan)
        result = grip.step(*meter.before(args, *plan))
        self._batches_of_epoch += 1
        reading = meter.after(result)
        if reading.weight is not None and self.context.batch_size is None:
            self.context = dataclasses.replace(self.context, batch_size=round(reading.weight))
        recorder.add(reading.loss)
        grip.watch.after(result)
        if grip.watch.broken and recorder.stop is not StopReason.NON_FINITE:
            recorder.cut(grip.watch.finite_points, StopReason.NON_FINITE_WEIGHTS)
            note = f"Weights became NaN or infinite while the loss stayed finite: {', '.join(grip.watch.broken)}."
            self.context = dataclasses.replace(self.context, notes=(*self.context.notes, note))
        logs = {**meter.logs(result), self._monitor: reading.logged}
        self.context = self._first.metrics(self.context, logs)
        return result, {**logs, "learning_rate": rate} if self._in_fit else logs

    def _is_over(self, recorder: Recorder) -> bool:
        return recorder.stop is not None or self.interrupted

    def _restart_meter(self) -> None:
        if self._grip is not None:
            self._grip.meter.restart()

    def fail(self) -> None:
        """Puts everything back when a step, or a hook of a callback, ends by an exception.

        On JAX, Keras goes on to overwrite the weights with their averages when the optimizer keeps such averages; the
        state is then put back when the model is used next.
        """
        if self.recorder is not None:
            self.recorder.end(StopReason.INTERRUPTED)
        if not (self.host.backend == "jax" and keeps_averages(self.host.model.optimizer)):
            self.restore()
