"""Runs one scan inside one `fit`, from the first hook to the restored model."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import CallbackList, Model, Nest, StepResult
from keras_lrscan.curves.context import ScanContext, has_far_targets
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import InvalidOptionError, ScanError, shown
from keras_lrscan.hosts.custom_steps import make_meter
from keras_lrscan.hosts.fit_call import running_fit
from keras_lrscan.hosts.logged_loss import prove_logged_loss
from keras_lrscan.hosts.model_state import ModelState
from keras_lrscan.hosts.optimizers import (
    RateControl,
    keeps_averages,
    largest_rate,
    optimizer_notes,
    python_numbers,
    update_phase,
)
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.hosts.snapshot import Snapshot
from keras_lrscan.inspection.describe import data_notes, describe, describe_labels, model_notes
from keras_lrscan.inspection.first_batches import FirstBatches
from keras_lrscan.inspection.output_losses import OutputLosses
from keras_lrscan.inspection.weight_change import movement_facts
from keras_lrscan.recording.interrupts import InterruptGuard
from keras_lrscan.recording.ramp import ScanRamp, ramp_name
from keras_lrscan.recording.recorder import FEW_STEPS, Recorder, warn_of_few_steps
from keras_lrscan.recording.scope import EXHAUSTED, ModelGuard
from keras_lrscan.recording.step_watch import StepWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.batch_loss import Meter
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.snapshot import Place
    from keras_lrscan.recording.ramp import Ramp

__all__ = ["Session", "check_not_in_loop", "checked_monitor"]

NOT_LOSSES = (
    "acc",
    "accuracy",
    "auc",
    "f1_score",
    "fbeta_score",
    "io_u",
    "mean_io_u",
    "precision",
    "r2_score",
    "recall",
)
"""Ends of Keras's names of metrics that rise as a model learns, as in `top_k_categorical_accuracy`.

`cosine_similarity` is missing, since Keras has a loss and a metric of that name.
"""

NUMBER = re.compile(r"_\d+$")
"""Ending that Keras adds to the names of further metrics of the same kind."""


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """Bundles the objects that scan a model with weights.

    Attributes:
        step: Function that trains on one batch.
        shared: Whether `fit` continues to use `step` after the scan.
        meter: Meter that sets the rate and reads the loss around `step`.
        control: Control of the learning rate of the optimizer.
        state: Saved state of the model.
        watch: Checks of the model after steps.
    """

    step: Callable[..., Any]
    shared: bool
    meter: Meter
    control: RateControl
    state: ModelState
    watch: StepWatch


class Session:
    """Scans one `fit` of a model.

    During the scan, the `train_function` of the model is wrapped: the wrapper sets the rate, calls the host's own
    function, and reads the loss. Nothing is traced or compiled again, except in three cases: with a learning-rate
    schedule, which is part of the compiled step; with several steps per execution; and if the compiled step already
    holds random state that cannot be restored.

    Args:
        host: The host and its compiled model.
        ramp: The requested learning rates.
        stop_on_divergence: Whether to end when the loss diverges.
        place: Where to store the snapshot, `"memory"` or `"disk"`.
        monitor: Key of the loss in the logs.
        on_end: Function to call once, after the model is restored.
        in_fit: Whether the batches come from one `fit`. Otherwise they come from calls of `train_on_batch`.

    Raises:
        ScanError: If the model has no weights and the batches do not come from `fit`.
    """

    def __init__(
        self,
        host: Host,
        *,
        ramp: ScanRamp,
        stop_on_divergence: bool,
        place: Place,
        monitor: str,
        on_end: Callable[[], None],
        in_fit: bool = True,
    ) -> None:
        self.host = host
        if not in_fit and not self.host.is_built:
            msg = "Expected a model with weights. Received: a model that is not built. Call it on one batch first."
            raise ScanError(msg)
        self.recorder: Recorder | None = None
        self.context = ScanContext(start_lr=ramp.start_lr, end_lr=ramp.end_lr, ramp=ramp_name(ramp))
        self._ramp = ramp
        self._stop_on_divergence = stop_on_divergence
        self._place = place
        self._monitor = monitor
        self._on_end = on_end
        self._in_fit = in_fit
        self._undo: list[Callable[[], None]] = []
        self._functions: dict[str, Any] = {}
        self._batches_of_epoch = 0
        self._is_stream = False
        self._numbers: list[Callable[[], None]] = []
        self._tools: _Tools | None = None
        self._first = FirstBatches(self.host, monitor)
        self._outputs = OutputLosses(self.host, monitor)
        self._fed: list[Any] = []
        self._guard: InterruptGuard | None = None
        self._random: RandomStates | None = None

    @property
    def curve(self) -> LRCurve | None:
        """The recorded curve, or `None` before the first point."""
        if self.recorder is None or not self.recorder.num_points:
            return None
        return self.recorder.curve(self.context)

    @property
    def is_in_loop(self) -> bool:
        """Whether the batches come from calls of `train_on_batch`."""
        return not self._in_fit

    @property
    def is_over(self) -> bool:
        """Whether the scan has ended or was interrupted."""
        return self.recorder is not None and self._is_over(self.recorder)

    @property
    def interrupted(self) -> bool:
        """Whether the user has pressed Ctrl-C."""
        return self._guard is not None and self._guard.requested

    def begin(self, *, steps_per_epoch: int | None, notes: tuple[str, ...] = (), owner: CallbackList = None) -> None:
        """Saves the state of the model and wraps its training step, in `on_train_begin`.

        Args:
            steps_per_epoch: Number of batches in an epoch, or `None` if unknown.
            notes: Notes for the context.
            owner: The host's list of callbacks. The model is restored at the latest when this list is deleted.
        """
        model, call = self.host.model, running_fit(self.host.model)
        if not self._in_fit:
            model.make_train_function()
        self._random = RandomStates()
        self._undo.append(self._random.restore)
        self._guard = InterruptGuard(model, call.code, self.restore)
        self._undo.append(self._guard.remove)
        notes = (*notes, *data_notes(call.x))
        self._is_stream = hasattr(call.x, "__next__")
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
                self._tools = self._prepare()
        except BaseException:
            self.restore()
            raise
        model.train_function = self._execute

    def start_epoch(self, *, epochs_left: int) -> None:
        """Starts an epoch; the first epoch determines the length of the ramp."""
        self._batches_of_epoch = 0
        if self._tools is not None:
            self._tools.meter.start_epoch()
        if self.recorder is None:
            self.recorder = self._make_recorder(epochs_left)

    def end_epoch(self) -> None:
        """Ends the scan if an iterator has ended, since Keras 3 would go on with the first batches that it took."""
        steps = self.context.steps_per_epoch
        if self._is_stream and self.recorder is not None and steps is not None and self._batches_of_epoch < steps:
            self.recorder.end(StopReason.OUT_OF_BATCHES)
            self.host.model.stop_training = True

    def _make_recorder(self, epochs_left: int) -> Recorder:
        _, batches_per_update, accumulated = update_phase(self.host.optimizer)
        steps = self.context.steps_per_epoch
        batches = None if steps is None else steps * max(1, epochs_left)
        ramp = self._ramp.shortened_to(None if batches is None else (batches + accumulated) // batches_per_update)
        self.context = dataclasses.replace(self.context, num_steps=ramp.num_steps)
        if batches != 0 and ramp.num_steps < min(FEW_STEPS, self._ramp.num_steps):
            warn_of_few_steps(ramp.num_steps, self._ramp.num_steps, (steps or 1) / batches_per_update)
        return self._recorder_for(ramp, stop_on_divergence=self._stop_on_divergence)

    def _recorder_for(self, ramp: Ramp, *, stop_on_divergence: bool) -> Recorder:
        iterations, each, accumulated = update_phase(self.host.optimizer)
        largest = largest_rate(self.host.optimizer, iterations + ramp.num_steps)
        if largest is not None and isinstance(ramp, ScanRamp) and ramp.start_lr < largest < ramp.end_lr:
            ramp = dataclasses.replace(ramp, end_lr=largest)
            self.context = dataclasses.replace(self.context, end_lr=largest)
        return Recorder(
            ramp,
            batches_per_update=each,
            batches_accumulated=accumulated,
            stop_on_divergence=stop_on_divergence,
            has_outliers=has_far_targets(self.context),
        )

    def restart(self, ramp: Ramp, *, stop_on_divergence: bool, values: Snapshot | None = None) -> Recorder:
        """Replaces the current scan by another scan, or by a training at given rates.

        Args:
            ramp: The learning rates.
            stop_on_divergence: Whether to end when the loss diverges.
            values: Values to start from. Defaults to the state before the first scan, including random generators.

        Returns:
            The new recorder.

        Raises:
            ScanError: If the session has not begun or is over.
        """
        if values is None and self._random is not None:
            self._random.restore()
        tools = self._running_tools()
        (tools.state if values is None else values).restore()
        tools.watch.restart(expects_finite=stop_on_divergence)
        self.host.model.reset_metrics()
        self.context = dataclasses.replace(self.context, num_steps=ramp.num_steps)
        self.recorder = self._recorder_for(ramp, stop_on_divergence=stop_on_divergence)
        return self.recorder

    @contextlib.contextmanager
    def feeding(self, batch: Nest) -> Iterator[None]:
        """Gives `batch` to the training step in this form.

        In Keras 3, `train_on_batch` always gives inputs, targets and weights, `None` included, while `fit` leaves out
        missing parts. A `train_step` that unpacks two values would fail, and any other would be traced once more.
        """
        self._fed = [] if self.host.is_tf_keras or self.host.strategy is not None else [batch]
        try:
            yield
        finally:
            self._fed = []

    @property
    def first_values(self) -> Snapshot:
        """The values before the first scan."""
        return self._running_tools().state.snapshot

    def keep(self) -> Snapshot:
        """Returns a snapshot of the current values of all saved variables."""
        return Snapshot(self._running_tools().state.snapshot.variables, place=self._place)

    def _running_tools(self) -> _Tools:
        if self._tools is None or not self._undo:
            msg = "Expected a running session. Received: a session that has not begun or is over."
            raise ScanError(msg)
        return self._tools

    def end(self) -> None:
        """Ends the scan and restores the model at the end of `fit`.

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
            msg = "The scan was interrupted. The model has been restored."
            raise KeyboardInterrupt(msg)

    def abort(self) -> None:
        """Ends the scan after an exception and restores the model."""
        if self.recorder is not None:
            self.recorder.end(StopReason.INTERRUPTED)
        self.restore()

    def restore(self) -> None:
        """Restores the model and all other state; does nothing the second time."""
        undo, self._undo = self._undo, []
        if undo:
            self.host.sync()
            while undo:
                undo.pop()()
            self._on_end()

    def _note_outcome(self) -> None:
        """Adds facts to the context that are known only after the last step.

        These are the other optimizers that trained, the movement of the weights, unless Keras has replaced them by
        their averages, and the dependence of the labels on the inputs, if the loss hardly fell.
        """
        losses = () if self.recorder is None else self.recorder.losses
        self.context = describe_labels(self.host, self.context, losses, self._first.given)
        if self._tools is not None:
            self.context = dataclasses.replace(self.context, num_other_optimizers=self._tools.watch.num_others)
        if self._tools is not None and losses and not keeps_averages(self.host.model.optimizer):
            self.host.sync()
            moved = movement_facts(self._tools.state.snapshot.pairs(self.host.model.trainable_variables))
            self.context = dataclasses.replace(self.context, **moved)

    def _put_back(self, functions: dict[str, Any]) -> None:
        """Restores the train functions, and the numbers that tracing changed unless `fit` keeps the traced function."""
        model, shared = self.host.model, self._tools is not None and self._tools.shared
        self.host.put_back(functions, shared=shared)
        if not shared or self.host.runs_python or model.train_function is None:
            for restore in self._numbers:
                restore()

    def _prepare(self) -> _Tools:
        """Saves the state of a model with weights and prepares its optimizer and training step for the scan."""
        host, model = self.host, self.host.model
        shared = self._functions["train_function"]
        state = ModelState(host, shared, place=self._place)
        self._undo += [state.close, state.restore]
        control = RateControl(host.optimizer, host.make_rate_variable)
        self._undo.append(control.restore)
        described = describe(host, control, self.context, self._monitor)
        notes = optimizer_notes(host.optimizer, control.iterations + self._ramp.num_steps)
        notes = (*described.notes, *notes, *state.notes, *model_notes(host, described))
        self.context = dataclasses.replace(described, notes=notes, optimizer_path=state.optimizer_path)
        needs_new_step = control.replaces_schedule or host.needs_own_step(shared)
        self._numbers = [python_numbers(host.optimizer), state.restore_numbers]
        step = host.own_step_function() if needs_new_step else shared
        if not self._in_fit:
            model.reset_metrics()
        meter = make_meter(host, control.variables, self._monitor, keeps_mean=self._in_fit)
        watch = StepWatch(host, state, meter, self._ramp.num_steps)
        return _Tools(step=step, shared=not needs_new_step, meter=meter, control=control, state=state, watch=watch)

    def _execute(self, *args: Any) -> StepResult:
        """Runs in place of the train function of the model."""
        try:
            if self._tools is None:
                self.host.build(args[0])
                self._tools = self._prepare()
            if self.recorder is None:
                self.recorder = self._make_recorder(1)
            if self._fed:
                args = (*args[:-1], self._fed if isinstance(args[-1], list) else iter(self._fed))
            self.context, args = self._first.look(self.context, args)
            return self._execute_batches(self._tools, self.recorder, args)
        except BaseException as error:
            if type(error).__name__ not in EXHAUSTED:
                self.fail()
            raise

    def _execute_batches(self, tools: _Tools, recorder: Recorder, args: tuple[Any, ...]) -> StepResult:
        """Trains on as many batches as one call of the train function should process."""
        result, logs = self._one_batch(tools, recorder, args)
        for _ in range(1, self.host.batches_per_execution if self._in_fit else 1):
            if self._is_over(recorder) or self._batches_of_epoch == self.context.steps_per_epoch:
                break
            args = tools.meter.next_args(args, result)
            try:
                result, logs = self._one_batch(tools, recorder, args)
            except Exception as error:
                if type(error).__name__ not in EXHAUSTED:
                    raise
                break
        if self._is_over(recorder):
            self.host.model.stop_training = True
        return tools.meter.with_logs(result, logs)

    def _one_batch(self, tools: _Tools, recorder: Recorder, args: tuple[Any, ...]) -> tuple[Any, dict[str, Any]]:
        meter, rate = tools.meter, recorder.rate
        plan = rate, tools.control.iterations + recorder.num_points
        if meter.needs_proof:
            args = prove_logged_loss(tools.state, tools.step, meter, args, place=self._place, plan=plan)
        result = tools.step(*meter.before(args, *plan))
        self._batches_of_epoch += 1
        reading = meter.after(result)
        if reading.weight is not None and self.context.batch_size is None:
            self.context = dataclasses.replace(self.context, batch_size=round(reading.weight))
        recorder.add(reading.loss)
        tools.watch.after(result)
        if tools.watch.broken and recorder.stop is not StopReason.NON_FINITE:
            recorder.cut(tools.watch.finite_points, StopReason.NON_FINITE_WEIGHTS)
            note = f"Weights became NaN or infinite while the loss stayed finite: {', '.join(tools.watch.broken)}."
            self.context = dataclasses.replace(self.context, notes=(*self.context.notes, note))
        logs = {**meter.logs(result), self._monitor: reading.logged}
        self.context = self._first.metrics(self.context, logs)
        if self._in_fit:  # `train_on_batch` leaves the metrics to the user between two batches
            self.context = self._outputs.read(self.context, logs, rate=rate, batch=self._batches_of_epoch)
        return result, {**logs, "learning_rate": rate} if self._in_fit else logs

    def _is_over(self, recorder: Recorder) -> bool:
        return recorder.stop is not None or self.interrupted

    def _restart_meter(self) -> None:
        self._outputs.close()
        if self._tools is not None:
            self._tools.meter.restart()

    def fail(self) -> None:
        """Restores the model after an exception in a step or in a hook of a callback.

        On JAX, if the optimizer keeps averages of the weights, Keras overwrites the weights with them after this call.
        The state is then restored when the model is next used.
        """
        if self.recorder is not None:
            self.recorder.end(StopReason.INTERRUPTED)
        if not (self.host.backend == "jax" and keeps_averages(self.host.model.optimizer)):
            self.restore()


def check_not_in_loop(model: Model) -> None:
    """Checks that no scan of a loop over `train_on_batch` is running on a model.

    Raises:
        ScanError: If one is. Both scans would set the learning rate.
    """
    running = getattr(getattr(model, "train_function", None), "__self__", None)
    if isinstance(running, Session) and running.is_in_loop:
        msg = (
            "Expected a model that is not being scanned. Received: a model within the `with` block of `LRScan.on`. "
            "Leave the block first."
        )
        raise ScanError(msg)


def checked_monitor(monitor: str) -> str:
    """Returns `monitor` if it can be the key of a loss in the logs.

    Raises:
        InvalidOptionError: If it is no string, or the name that Keras gives to a metric that rises as a model learns.

    Example:
    >>> checked_monitor("decoder_loss")
    'decoder_loss'
    """
    if not isinstance(monitor, str):
        msg = f"Argument `monitor` must be a string, the key of a loss. Received: monitor={shown(monitor)}."
        raise InvalidOptionError(msg)
    name = f"_{NUMBER.sub('', monitor)}"
    if any(name.endswith(f"_{metric}") for metric in NOT_LOSSES):
        msg = (
            "Argument `monitor` must be the key of a loss, which falls as a model learns. Received: "
            f"monitor={monitor!r}, the name of a metric that rises. Pass the key of a loss, such as 'loss'."
        )
        raise InvalidOptionError(msg)
    return monitor
