"""`Trials`: several short scans or trainings of one model on the same batches, with the model put back at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_lrscan._typing import FitData, Model
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import InvalidOptionError, ScanError
from keras_lrscan.hosts.fresh_weights import FreshWeights, renew_optimizer
from keras_lrscan.hosts.host import Host, keep_next_fit_first
from keras_lrscan.hosts.optimizers import update_phase
from keras_lrscan.hosts.snapshot import checked_place
from keras_lrscan.recording.batch_source import BatchSource
from keras_lrscan.recording.ramp import RateList, checked_ramp
from keras_lrscan.recording.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.snapshot import Snapshot
    from keras_lrscan.recording.recorder import Recorder

__all__ = ["Trials", "checked_verbose"]


class Trials:
    """Holds a model for several short scans and trainings, each from the same state and on the same batches.

    Used with `with`. At its start the batches are taken out of the data once, through the host's own `fit`, and kept in
    memory (`num_steps` of them), and the state of the model is kept. Each `scan` and each `train` starts from that
    state, the random generators included, and goes through `train_on_batch`. At the end, however it comes, everything
    is put back to the last bit, as after a scan by `LRScan`; what of the data cannot be put back is in `notes`: the
    items of a generator that were taken are gone, as many as were needed and no more. Under tf_keras, dropout and
    its kin draw other numbers in every trial: TensorFlow keeps their state where Python cannot reach it.

    Between two trials the model is as the last one left it, so `model.evaluate` may be called.

    Ctrl-C ends the trial that is running, between two batches: it returns `None`, as do all later ones, and
    `interrupted` turns true. At the end of the block the model is put back, and the `KeyboardInterrupt` is raised only
    if no trial had finished, so that what was finished is kept. A second Ctrl-C is raised at once, the model put back.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        start_lr: Float. First learning rate of a scan.
        end_lr: Float. Last learning rate of a scan.
        num_steps: Integer, at least 8. Optimizer updates of the longest trial. Data that holds fewer, and cannot be
            gone through again, gives what it has: `num_steps` is then lower.
        planned_steps: Integer. Updates of all trials together, for the progress bar; `num_steps` when left out.
        snapshot: String. Where the state to put back is kept, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, one progress bar over all trials is shown.
        fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`.

    Raises:
        InvalidOptionError: If an argument has a value that makes no trial.
        ScanError: If the model is not compiled or runs on several devices, or if the data holds no batch.

    Example:
    ```python
    with Trials(model, x, y, num_steps=100, fit_options={"batch_size": 32}) as trials:
        curve = trials.scan()  # an `LRCurve`
        losses = trials.train([1e-3] * 50)  # of each batch alone, from the same start, on the same batches
        there = trials.keep()
        more = trials.train([1e-4] * 50, start=there, first=50)  # goes on where the last one ended
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
        """Trials that ran to their end."""
        self.batches: list[tuple[Any, ...]] = []
        """Inputs, targets and sample weights of each batch."""
        self._place, self._monitor = checked_place(snapshot), monitor
        self._verbose, self._planned_steps = checked_verbose(verbose), planned_steps
        self.host = Host(model)
        if self.host.strategy is not None:
            msg = (
                "Expected a model on one device. Received: a model under a distribution strategy. "
                "Build and compile it outside of `strategy.scope()`, or use `lr_scan`."
            )
            raise ScanError(msg)
        self._source = BatchSource(self.host, x, y, dict(fit_options or {}))
        self._stack = contextlib.ExitStack()
        self._session: Session | None = None
        self._bar: Any = None
        self._steps_shown = self._takes = 0
        self._phase = update_phase(self.host.optimizer)

    @property
    def num_steps(self) -> int:
        """Optimizer updates that the batches are enough for, at most."""
        return self.ramp.num_steps

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C has asked for the end."""
        return self._session is not None and self._session.interrupted

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what of the data cannot be put back."""
        return self._source.notes

    def __enter__(self) -> Self:
        """Takes the batches, and takes the model over."""
        self._stack.enter_context(keep_next_fit_first(self.host.model))
        try:
            self._take_first_batches()
            _, each, gathered = self._phase
            self.ramp = self.ramp.shortened_to((len(self.batches) + gathered) // each)
            session = Session(
                self.host,
                ramp=self.ramp,
                stop_on_divergence=True,
                place=self._place,
                monitor=self._monitor,
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
        """Puts everything back."""
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
        """Returns a function that gives the model new weights, and an optimizer as it is just after `compile`.

        Args:
            scratch: A function without arguments that returns the same architecture with new weights, for models whose
                layers do not tell how they start.

        Raises:
            ScanError: If there are weights of which nobody says how they start.
        """
        fresh = FreshWeights(self.host, scratch=scratch)

        def start() -> None:
            fresh.draw(self.batches[0][0])
            renew_optimizer(self.host)

        return start

    def new_batches(self) -> bool:
        """Takes as many other batches, for the trials to come.

        Data that can be gone through again is shuffled anew, where `fit` shuffles it, and in any case begun where the
        batches so far ended; a generator goes on.

        Returns:
            Whether there are as many. Where a generator has fewer left, or Ctrl-C came, the batches stay as they were.
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
        """Raises the rate from `start_lr` to `end_lr`, from the state at the start.

        Args:
            prepare: Called when the model is in that state, and may change its variables.
            after_step: Called after every step, and may change them too.
            stop_on_divergence: Whether to stop when the loss has risen for good.
            same_randomness: Whether the random generators start from their state at the start, too.

        Returns:
            What was recorded, or `None` if Ctrl-C came first.
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
                regularization_loss=self.host.regularization_loss(),
                optimizer_iterations=update_phase(self.host.optimizer)[0],
            )
        try:
            return session.curve if self._run(recorder, self.batches, after_step) else None
        finally:
            session.context = context

    def train(
        self,
        rates: Sequence[float],
        *,
        start: Snapshot | None = None,
        first: int = 0,
        batches: Sequence[tuple[Any, ...]] | None = None,
    ) -> NDArray[np.float64] | None:
        """Trains at given rates.

        Args:
            rates: The rate of each update, positive. Shape `(n,)`.
            start: What `keep` returned, to go on from there; the state at the start when left out.
            first: Integer. Updates whose batches are passed over, for a training that goes on.
            batches: Batches to train on in the place of those that are kept, over and over where they are too few.

        Returns:
            Losses of each batch alone (the mean of the batches of one update where gradients are gathered), before its
            update. Array of shape `(n,)`, or less where the loss was no longer finite: then that loss is the last.
            `None` if Ctrl-C came first.

        Raises:
            InvalidOptionError: If there are no rates, or not batches enough for them.
        """
        if not len(rates) or (batches is None and len(rates) + first > self.num_steps):
            msg = (
                f"Argument `rates` must hold from 1 to {self.num_steps - first} rates, as many as there are batches "
                f"for. Received: len(rates)={len(rates)}, first={first}."
            )
            raise InvalidOptionError(msg)
        plan = RateList(tuple(float(rate) for rate in rates))
        if self.interrupted:
            return None
        recorder = self._held.restart(plan, stop_on_divergence=False, values=start)
        chosen = self.batches[self._batches_for(first) :] if batches is None else itertools.cycle(batches)
        done = self._run(recorder, chosen, None)
        return np.array(recorder.losses) if done else None

    def reset(self) -> None:
        """Puts the model, and the random generators, into their state at the start."""
        self._held.restart(self.ramp, stop_on_divergence=False)

    def keep(self) -> Snapshot:
        """Returns the values of all variables as the last trial left them; `close` it when it is of no more use."""
        return self._held.keep()

    @property
    def _held(self) -> Session:
        if self._session is None:
            msg = "Expected trials within `with`. Received: a trial outside of it."
            raise ScanError(msg)
        return self._session

    def _take_first_batches(self) -> None:
        self.batches = self._source.take(self._batches_for(self.num_steps))
        self._takes = 1
        if not self.batches:
            msg = "Expected data with at least one batch. Received: none. A generator may have been used up before."
            raise ScanError(msg)

    def _batches_for(self, updates: int) -> int:
        _, each, gathered = self._phase
        return max(0, updates * each - gathered) if updates else 0

    def _run(
        self, recorder: Recorder, batches: Iterable[tuple[Any, ...]], after_step: Callable[[], object] | None
    ) -> bool:
        """Goes through the batches; returns whether that came to its end."""
        session, train_on_batch = self._held, self.host.own("train_on_batch")
        for x, y, weights in batches:
            if session.is_over:
                break
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
            shown = min(self._steps_shown + recorder.num_points, self._bar.target - 1)
            self._bar.update(shown, values=[("loss", recorder.losses[-1])])

    def _show_end(self) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.target, finalize=True)


def checked_verbose(verbose: int) -> int:
    """Returns `verbose` when it is 0 or 1.

    Raises:
        InvalidOptionError: If it is not.
    """
    if verbose in {0, 1}:
        return int(verbose)
    msg = f"Argument `verbose` must be 0 or 1. Received: verbose={verbose!r}."
    raise InvalidOptionError(msg)
