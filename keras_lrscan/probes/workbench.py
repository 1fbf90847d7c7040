"""Gives probes access to the model: training, scans, evaluation, and batches as arrays (`Workbench`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from keras_lrscan._typing import Model
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.hosts.fit_call import FitCall
from keras_lrscan.hosts.gradients import gradients
from keras_lrscan.hosts.snapshot import read_value
from keras_lrscan.inspection.arrays import NoArrayError, joined, leaves, select, to_arrays
from keras_lrscan.inspection.chance_level import chance_of
from keras_lrscan.inspection.settings import regularization_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from keras_lrscan.analysis import Analysis
    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.gradients import Gradient
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.probes.investigation import Outcome
    from keras_lrscan.recording.ramp import ScanRamp
    from keras_lrscan.recording.trials import Trials

    Array = NDArray[Any]
    Batch = tuple[Any, Any, Any]

T = TypeVar("T")

__all__ = ["Answer", "CannotAskError", "StoppedError", "Workbench"]

FEW_SAMPLES = 20
"""Number of samples that a model has to overfit."""

MAX_BATCHES = 10
"""Maximum number of batches in an evaluation."""


class CannotAskError(Exception):
    """Raised if a probe does not apply to a model, data or curve; the message gives the reason as a sentence."""


class StoppedError(Exception):
    """Raised after Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a probe, without its name and question; see `ProbeResult`."""

    outcome: Outcome
    says: str
    confirms: tuple[str, ...] = ()
    rules_out: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


class Workbench:
    """Runs the training and evaluation of probes, each time from the initial state of the model.

    Every method begins and ends in that state. `after_training` looks at a trained model before the state is restored.

    Args:
        analysis: The analysis of the scan.
        trials: The trials that own the model and its state.
        seed: Seed for the random numbers of a probe.
    """

    def __init__(self, analysis: Analysis, trials: Trials, *, seed: int = 0) -> None:
        self.analysis = analysis
        self.seed = seed
        self.batches: list[Batch] = list(trials.batches)
        self._trials = trials

    @property
    def trials(self) -> Trials:
        """The trials that own the model and its state."""
        return self._trials

    @property
    def host(self) -> Host:
        """The model together with its library, Keras 3 or tf_keras."""
        return self._trials.host

    @property
    def model(self) -> Model:
        """The model."""
        return self.host.model

    @property
    def batch_size(self) -> int:
        """Number of samples in the first batch."""
        return len(next(leaves(self.batches[0][0])))

    @property
    def known(self) -> Mapping[str, Any]:
        """What is known of the scan: its features, its context, and what follows from them."""
        return self.analysis.facts

    @property
    def regularization(self) -> float:
        """Sum of the penalties on the weights in the monitored loss (the model's unit)."""
        return regularization_in(self.host, self.monitor) or 0.0

    @property
    def monitor(self) -> str:
        """Key of the loss in the logs."""
        return self._trials.monitor

    @property
    def steady_rates(self) -> tuple[float, ...]:
        """Learning rates at which training should be stable, the most likely first."""
        context = self.analysis.curve.context
        usual = optimizer_family(context.optimizer).usual_rate
        rates = (self.analysis.suggestion.lr, context.optimizer_lr, usual, 10 * usual)
        return tuple(dict.fromkeys(float(f"{rate:.2g}") for rate in rates if rate))[:3]

    def train(self, batches: Sequence[Batch], rates: Sequence[float]) -> Array:
        """Trains on `batches` in a cycle, one update per learning rate, and returns each loss before its update.

        Raises:
            CannotAskError: If the model has no trainable weight.
            StoppedError: After Ctrl-C.
        """
        self._check_trainable()
        losses = self._trials.train(rates, batches=batches)
        if losses is None:
            raise StoppedError
        return losses

    def after_training(self, batches: Sequence[Batch], rates: Sequence[float], look: Callable[[], T]) -> T:
        """Trains like `train`, and returns the result of `look`, which is called while the model is trained.

        Raises:
            CannotAskError: If the model has no trainable weight.
            StoppedError: After Ctrl-C.
        """
        self._check_trainable()
        found: list[T] = []
        losses = self._trials.train(rates, batches=batches, then=lambda _: found.append(look()))
        if losses is None:
            raise StoppedError
        return found[0]

    def scan(
        self,
        *,
        renew: bool = False,
        ramp: ScanRamp | None = None,
        batches: Sequence[Batch] | None = None,
    ) -> LRCurve:
        """Scans from the initial state of the model.

        Args:
            renew: Whether to use other batches, as many as `ramp` has steps, and other random numbers.
            ramp: The learning rates. Defaults to those of the first scan.
            batches: Batches to use instead of those of the first scan.

        Raises:
            CannotAskError: If the model has no trainable weight, or if the data have too few other batches.
            StoppedError: After Ctrl-C.
        """
        self._check_trainable()
        trials, planned = self._trials, self._trials.ramp
        wanted = planned if ramp is None else ramp
        try:
            trials.batches = (
                self._other_batches(-(-wanted.num_steps // planned.num_steps)) if renew else list(self.batches)
            )
            if batches is not None:
                trials.batches = list(batches)
            trials.ramp = wanted
            curve = trials.scan(same_randomness=not renew)
        finally:
            trials.ramp, trials.batches = planned, list(self.batches)
        if curve is None:
            raise StoppedError
        return curve

    def _other_batches(self, times: int) -> list[Batch]:
        """Returns other batches than the current ones, `times` as many."""
        found: list[Batch] = []
        for _ in range(times):
            if not self._trials.new_batches():
                if self._trials.interrupted:
                    raise StoppedError
                msg = "the data have too few batches for another scan"
                raise CannotAskError(msg)
            found += self._trials.batches
        return found

    def _check_trainable(self) -> None:
        if not self.model.trainable_weights:
            msg = "the model has no trainable weight"
            raise CannotAskError(msg)

    def evaluate(self, batches: Sequence[Batch]) -> list[dict[str, float]]:
        """Returns the loss and the metrics of each batch, of the initial model or within `after_training`.

        Raises:
            StoppedError: After Ctrl-C.
        """
        found = []
        for x, y, weights in batches:
            logs = self.host.own("test_on_batch")(x, y, sample_weight=weights, return_dict=True)
            found.append({name: float(value) for name, value in logs.items()})
            if self._trials.interrupted:
                raise StoppedError
        return found

    def loss_in(self, logs: Mapping[str, float]) -> float:
        """Returns the monitored loss in a result of `evaluate`.

        Raises:
            CannotAskError: If the model logs it only in training.
        """
        if self.monitor not in logs:
            msg = f"the model does not log the monitored key `{self.monitor}` outside of training"
            raise CannotAskError(msg)
        return logs[self.monitor]

    def predict(self, batch: Batch) -> Array:
        """Returns the first output for each sample of a batch, of the initial model or within `after_training`.

        Returns:
            Array of shape `(n, ...)`.
        """
        predicted = self.host.own("predict_on_batch")(to_arrays(batch[0]))
        return np.asarray(next(leaves(predicted)), float)

    def gradients(self, batch: Batch) -> tuple[Gradient, ...]:
        """Returns the gradients of one batch, of the initial model or within `after_training`.

        The forward pass moves the means of batch normalization and the seeds of dropout, which are put back.
        """
        before = self._trials.keep()
        try:
            return gradients(self.host, batch)
        finally:
            before.restore()
            before.close()

    def chance_loss(self, batches: Sequence[Batch]) -> float | None:
        """Returns the chance level for the labels of these batches, or `None` if it is unknown."""
        try:
            labels, weights = joined([batch[1] for batch in batches]), joined([batch[2] for batch in batches])
        except NoArrayError:
            return None
        return chance_of(self.host, FitCall(y=labels, sample_weight=weights), self.monitor).loss

    def trainable_values(self) -> list[Array]:
        """Returns copies of the values of all trainable weights."""
        return [read_value(weight).copy() for weight in self.model.trainable_weights]

    def small_batch(self) -> Batch:
        """Returns a batch of the usual size that repeats `FEW_SAMPLES` samples, so that nothing compiles again."""
        rows = np.arange(self.batch_size) % min(FEW_SAMPLES, self.batch_size)
        x, y, weights = (select(part, rows) for part in self.batches[0])
        return x, y, weights
