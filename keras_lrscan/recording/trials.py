"""Runs several short scans or trainings of one model on the same batches, and restores the model at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_lrscan._typing import FitData, Model
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import InvalidOptionError, ScanError, shown
from keras_lrscan.hosts.fresh_weights import FreshWeights, renew_optimizer
from keras_lrscan.hosts.host import Host, keep_history, keep_next_fit_first
from keras_lrscan.hosts.optimizers import update_phase
from keras_lrscan.hosts.snapshot import checked_place
from keras_lrscan.inspection.settings import regularization_in
from keras_lrscan.recording.batch_source import BatchSource
from keras_lrscan.recording.ramp import RateList, checked_ramp
from keras_lrscan.recording.session import Session, check_not_in_loop, checked_monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.snapshot import Snapshot
    from keras_lrscan.recording.recorder import Recorder

__all__ = ["Trials", "checked_verbose"]


class Trials:
    """Runs several short scans and trainings of one model, each from the same state and on the same batches.

    Use it in a `with` statement. On entry, `num_steps` batches are collected from the data through the host's own `fit`
    and kept in memory, and the state of the model is saved. Each `scan` and each `train` starts from that state,
    including the random generators, and calls `train_on_batch`. On exit, also after an exception, all state is restored
    exactly, as after a scan by `LRScan`. Data that cannot be restored is listed in `notes`: a generator loses the
    batches that were taken from it, which are only as many as needed. Under tf_keras, layers such as dropout draw
    different numbers in every trial, because TensorFlow keeps their state out of reach of Python.

    Under torch, a training that continues from a kept state draws the random numbers of the first update again.

    Each trial also ends in that state, so between two trials the model is always as it was given. To evaluate or keep
    the trained model, pass a function as `then`, which is called before the state is restored.

    Ctrl-C ends the current trial between two batches. This trial and all later ones return `None`, and `interrupted`
    becomes true. At the end of the block, the model is restored, and `KeyboardInterrupt` is raised only if no trial has
    finished, so that finished results are not lost. A second Ctrl-C restores the model and is raised at once.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        start_lr: Float. First learning rate of a scan.
        end_lr: Float. Last learning rate of a scan.
        num_steps: Integer, at least 8. Number of optimizer updates of the longest trial. It is reduced if the data has
            fewer batches and cannot be iterated again.
        planned_steps: Integer. Number of updates of all trials together, for the progress bar. Defaults to `num_steps`.
        snapshot: String. Where to store the saved state, `"memory"` or `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, one progress bar for all trials is shown.
        fit_options: Dictionary of arguments of `fit` that determine its batches, such as `batch_size`.

    Raises:
        InvalidOptionError: If an argument has an invalid value.
        ScanError: If the model is not compiled or runs on several devices, or if the data has no batch.

    Example:
    ```python
    with Trials(model, x, y, num_steps=100, fit_options={"batch_size": 32}) as trials:
        curve = trials.scan()  # an `LRCurve`
        trained = []
        losses = trials.train([1e-3] * 50, then=lambda losses: trained.append(trials.keep()))  # on the same batches
        more = trials.train([1e-4] * 50, start=trained[0], first=50)  # continues the training
    ```
    """

    def __init__(
        self,
        model: Model,
        x: FitData,
        y: FitData = None,
        *,
        start_lr: float = 1e-7,
        end_lr: float = 10.0,
        num_steps: int = 100,
        planned_steps: int | None = None,
        snapshot: str = "memory",
        monitor: str = "loss",
        verbose: int = 1,
        fit_options: dict[str, Any] | None = None,
    ) -> None:
        self.ramp = checked_ramp(start_lr, end_lr, num_steps)
        self.finished = 0
        """Number of trials that were not interrupted."""
        self.batches: list[tuple[Any, ...]] = []
        """Inputs, targets and sample weights of each batch."""
        self._place, self.monitor = checked_place(snapshot), checked_monitor(monitor)
        self._verbose, self._planned_steps = checked_verbose(verbose), planned_steps
        self.host = Host(model)
        if self.host.strategy is not None:
            msg = (
                "Expected a model on one device. Received: a model with a distribution strategy. "
                "Build and compile it outside of `strategy.scope()`, or use `lr_scan`."
            )
            raise ScanError(msg)
        self._source = BatchSource(self.host, x, y, dict(fit_options or {}), monitor)
        self._stack = contextlib.ExitStack()
        self._session: Session | None = None
        self._bar: Any = None
        self._steps_shown = self._takes = 0
        self._phase = update_phase(self.host.optimizer)

    @property
    def num_steps(self) -> int:
        """Largest number of optimizer updates for which there are batches."""
        return self.ramp.num_steps

    @property
    def interrupted(self) -> bool:
        """Whether the user has pressed Ctrl-C."""
        return self._session is not None and self._session.interrupted

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on data that cannot be restored and on facts that could not be determined."""
        return self._source.notes

    @property
    def known(self) -> dict[str, Any]:
        """Facts about the data and how they are fed, by field of `ScanContext`."""
        return self._source.known

    def __enter__(self) -> Self:
        """Collects the batches and saves the state of the model."""
        check_not_in_loop(self.host.model)
        self._stack.enter_context(keep_history(self.host.model))
        self._stack.enter_context(keep_next_fit_first(self.host.model))
        try:
            self._take_first_batches()
            _, each, accumulated = self._phase
            self.ramp = self.ramp.shortened_to((len(self.batches) + accumulated) // each)
            session = Session(
                self.host,
                ramp=self.ramp,
                stop_on_divergence=True,
                place=self._place,
                monitor=self.monitor,
                on_end=lambda: None,
                in_fit=False,
            )
            session.begin(steps_per_epoch=None, notes=self._source.notes)
        except BaseException:
            self._stack.close()
            raise
        session.context = dataclasses.replace(session.context, **self._source.known)
        self._session = session
        if self._verbose:
            target = self._planned_steps or self.num_steps
            self._bar = self.host.library.utils.Progbar(target, stateful_metrics=["loss"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restores all state."""
        session = self._session
        with self._stack:
            if session is None:
                return
            if kind is not None:
                session.abort()
                return
            try:
                session.end()
            except KeyboardInterrupt:
                if not self.finished:
                    raise
            finally:
                self._show_end()

    def from_scratch(self, scratch: Callable[[], Any] | None) -> Callable[[], None]:
        """Returns a function that draws new weights and resets the optimizer to its state just after `compile`.

        Args:
            scratch: A function without arguments that returns the same architecture with new weights, for models with
                layers that neither can be recreated nor store their initializers.

        Raises:
            InvalidOptionError: If `scratch` is not a function.
            ScanError: Raised by the returned function, if the initialization of a weight is unknown.
        """
        if scratch is not None and not callable(scratch):
            msg = f"Argument `scratch` must be a function without arguments. Received: scratch={shown(scratch)}."
            raise InvalidOptionError(msg)
        fresh = FreshWeights(self.host, scratch=scratch)

        def start() -> None:
            fresh.draw(self.batches[0][0])
            renew_optimizer(self.host)

        return start

    def new_batches(self) -> bool:
        """Replaces the batches by the same number of other batches, for later trials.

        Data that can be iterated again is shuffled again if `fit` shuffles it, and continues after the batches taken
        so far. A generator continues at its position.

        Returns:
            Whether there are enough batches. The old batches remain if a generator has too few, or after Ctrl-C.
        """
        number = len(self.batches)
        taken = self._source.take(number, skip=self._takes * number, is_over=lambda: self.interrupted)
        if len(taken) < number:
            return False
        self.batches, self._takes = taken, self._takes + 1
        return True

    def scan(
        self,
        *,
        prepare: Callable[[], object] | None = None,
        after_step: Callable[[], object] | None = None,
        stop_on_divergence: bool = True,
        same_randomness: bool = True,
    ) -> LRCurve | None:
        """Scans the model from its initial state, with rates from `start_lr` to `end_lr`.

        Args:
            prepare: Function to call once the model is in its initial state. It may change variables of the model.
            after_step: Function to call after every step. It may change variables of the model.
            stop_on_divergence: Whether to stop when the loss diverges.
            same_randomness: Whether to restore the initial state of the random generators too.

        Returns:
            The recorded curve, or `None` after Ctrl-C.
        """
        session = self._held
        if session.interrupted:
            return None
        values = None if same_randomness else session.first_values
        recorder = session.restart(self.ramp, stop_on_divergence=stop_on_divergence, values=values)
        context = session.context
        if prepare is not None:
            prepare()
            session.context = dataclasses.replace(
                context,
                regularization_loss=regularization_in(self.host, self.monitor),
                optimizer_iterations=update_phase(self.host.optimizer)[0],
            )
        try:
            curve = session.curve if self._run(recorder, self.batches, after_step) else None
        finally:
            session.context = context
        self.reset()
        return curve

    def train(
        self,
        rates: Sequence[float],
        *,
        start: Snapshot | None = None,
        first: int = 0,
        batches: Sequence[tuple[Any, ...]] | None = None,
        then: Callable[[NDArray[np.float64]], object] | None = None,
    ) -> NDArray[np.float64] | None:
        """Trains the model at given rates.

        Args:
            rates: The rate of each update, positive. Shape `(n,)`.
            start: Snapshot returned by `keep`, to continue from. Defaults to the initial state.
            first: Integer. Number of updates to skip the batches of, when a training continues.
            batches: Batches to use instead of the collected ones. They repeat if there are too few.
            then: Function to call with the losses while the model is trained, before its initial state is restored.

        Returns:
            The batch loss before each update, or the mean batch loss of one update if gradients are accumulated. Array
            of shape `(n,)`, or shorter with a non-finite last value if the loss became non-finite. `None` after Ctrl-C.

        Raises:
            InvalidOptionError: If there are no rates, or too few batches for them.
        """
        if not len(rates) or (batches is None and len(rates) + first > self.num_steps):
            msg = (
                f"Argument `rates` must contain from 1 to {self.num_steps - first} rates, because there are no batches "
                f"for more. Received: len(rates)={len(rates)}, first={first}."
            )
            raise InvalidOptionError(msg)
        plan = RateList(tuple(float(rate) for rate in rates))
        if self.interrupted:
            return None
        recorder = self._held.restart(plan, stop_on_divergence=False, values=start)
        chosen = self.batches[self._batches_for(first) :] if batches is None else itertools.cycle(batches)
        losses = np.array(recorder.losses) if self._run(recorder, chosen, None) else None
        try:
            if losses is not None and then is not None:
                then(losses)
        finally:
            self.reset()
        return losses

    def reset(self) -> None:
        """Restores the initial state of the model and of the random generators."""
        self._held.restart(self.ramp, stop_on_divergence=False)

    def keep(self) -> Snapshot:
        """Returns a snapshot of the current values of all variables; call its `close` when it is no longer needed.

        Within the function `then` of `train`, these are the values after the training.
        """
        return self._held.keep()

    @property
    def _held(self) -> Session:
        if self._session is None:
            msg = "Expected trials inside a `with` block. Received: a trial outside of it."
            raise ScanError(msg)
        return self._session

    def _take_first_batches(self) -> None:
        self.batches = self._source.take(self._batches_for(self.num_steps))
        self._takes = 1
        if not self.batches:
            msg = "Expected data with at least one batch. Received: no batch. A generator may already be exhausted."
            raise ScanError(msg)

    def _batches_for(self, updates: int) -> int:
        _, each, accumulated = self._phase
        return max(0, updates * each - accumulated) if updates else 0

    def _run(
        self, recorder: Recorder, batches: Iterable[tuple[Any, ...]], after_step: Callable[[], object] | None
    ) -> bool:
        """Trains on the batches, and returns whether this was not interrupted."""
        session, train_on_batch = self._held, self.host.own("train_on_batch")
        for batch in batches:
            if session.is_over:
                break
            x, y, weights = batch
            with session.feeding(self._source.as_given(batch)):
                train_on_batch(x, y, sample_weight=weights)
            if after_step is not None:
                after_step()
            self._show(recorder)
        done = not session.interrupted
        if done:
            recorder.end(StopReason.OUT_OF_BATCHES)
        self.finished += done
        self._steps_shown += recorder.ramp.num_steps
        return done

    def _show(self, recorder: Recorder) -> None:
        if self._bar is not None and recorder.num_points:
            steps = min(self._steps_shown + recorder.num_points, self._bar.target - 1)
            self._bar.update(steps, values=[("loss", recorder.losses[-1])])

    def _show_end(self) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.target, finalize=True)


def checked_verbose(verbose: int) -> int:
    """Returns `verbose` if it is 0 or 1.

    Raises:
        InvalidOptionError: If it is not.
    """
    if verbose in {0, 1}:
        return int(verbose)
    msg = f"Argument `verbose` must be 0 or 1. Received: verbose={verbose!r}."
    raise InvalidOptionError(msg)
