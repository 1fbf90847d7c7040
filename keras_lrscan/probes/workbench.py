"""`Bench`: what every probe works with: a model that trials hold, its batches as arrays, and rates to train at."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Model
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.hosts.snapshot import read_value
from keras_lrscan.inspection.arrays import NoArrayError, joined, leaves, select, to_arrays
from keras_lrscan.inspection.guessing_loss import chance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from keras_lrscan.analysis import Analysis
    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.snapshot import Snapshot
    from keras_lrscan.probes.investigation import Outcome
    from keras_lrscan.recording.ramp import ExponentialRamp
    from keras_lrscan.recording.trials import Trials

    Array = NDArray[Any]
    Batch = tuple[Any, Any, Any]

__all__ = ["Answer", "Bench", "CannotAskError", "StoppedError"]

FEW_SAMPLES = 20
"""Samples that a model is asked to learn by heart."""

MAX_BATCHES = 10
"""Batches that an evaluation looks at."""


class CannotAskError(Exception):
    """The question cannot be put to a model, data or curve of this kind; the message says why, as a sentence."""


class StoppedError(Exception):
    """Ctrl-C came."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a probe returns; see `ProbeResult`."""

    outcome: Outcome
    says: str
    confirms: tuple[str, ...] = ()
    rules_out: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


class Bench:
    """A model on a bench: each question starts from the state that it came in.

    Args:
        analysis: What was read from the scan.
        trials: Hold the model.
        seed: Seed for what a probe draws.
    """

    def __init__(self, analysis: Analysis, trials: Trials, *, seed: int = 0) -> None:
        self.analysis = analysis
        self.seed = seed
        self.batches: list[Batch] = list(trials.batches)
        self._trials = trials

    @property
    def trials(self) -> Trials:
        """What holds the model."""
        return self._trials

    @property
    def host(self) -> Host:
        """The library that runs `fit`."""
        return self._trials.host

    @property
    def model(self) -> Model:
        """The model."""
        return self.host.model

    @property
    def batch_size(self) -> int:
        """Samples in the first batch."""
        return len(next(leaves(self.batches[0][0])))

    @property
    def regularization(self) -> float:
        """Sum of the penalties on the weights, in the unit of the loss."""
        return self.host.regularization_loss() or 0.0

    @property
    def steady_rates(self) -> tuple[float, ...]:
        """Rates at which training should be steady, the likeliest first."""
        context = self.analysis.curve.context
        usual = optimizer_family(context.optimizer).usual_rate
        rates = (self.analysis.suggestion.lr, context.optimizer_lr, usual, 10 * usual)
        return tuple(dict.fromkeys(float(f"{rate:.2g}") for rate in rates if rate))[:3]

    def train(self, batches: Sequence[Batch], rates: Sequence[float], *, start: Snapshot | None = None) -> Array:
        """Trains on one of `batches` after the other, over and over; returns their losses, each before its update.

        Raises:
            CannotAskError: If there is nothing to train.
            StoppedError: If Ctrl-C came.
        """
        self._check_trainable()
        losses = self._trials.train(rates, start=start, batches=batches)
        if losses is None:
            raise StoppedError
        return losses

    def scan(
        self,
        *,
        anew: bool = False,
        ramp: ExponentialRamp | None = None,
        batches: Sequence[Batch] | None = None,
    ) -> LRCurve:
        """Scans from the state that the model came in.

        Args:
            anew: Whether to take other batches, as many as `ramp` has steps, and other random numbers.
            ramp: The rates; those of the first scan when left out.
            batches: Batches to scan on in the place of those of the first scan.

        Raises:
            CannotAskError: If there is nothing to train, or too few other batches.
            StoppedError: If Ctrl-C came.
        """
        self._check_trainable()
        trials, planned = self._trials, self._trials.ramp
        wanted = planned if ramp is None else ramp
        try:
            trials.batches = self._others(-(-wanted.num_steps // planned.num_steps)) if anew else list(self.batches)
            if batches is not None:
                trials.batches = list(batches)
            trials.ramp = wanted
            curve = trials.scan(same_randomness=not anew)
        finally:
            trials.ramp, trials.batches = planned, list(self.batches)
        if curve is None:
            raise StoppedError
        return curve

    def _others(self, times: int) -> list[Batch]:
        """Returns `times` as many batches as there are, others than those."""
        found: list[Batch] = []
        for _ in range(times):
            if not self._trials.new_batches():
                if self._trials.interrupted:
                    raise StoppedError
                msg = "the data hold too few batches for another scan"
                raise CannotAskError(msg)
            found += self._trials.batches
        return found

    def _check_trainable(self) -> None:
        if not self.model.trainable_weights:
            msg = "the model has no weight that could train"
            raise CannotAskError(msg)

    def reset(self) -> None:
        """Puts the model into the state that it came in."""
        self._trials.reset()

    def evaluate(self, batches: Sequence[Batch]) -> list[dict[str, float]]:
        """Returns the loss, and the metrics, of each batch, with the model as it is now.

        Raises:
            StoppedError: If Ctrl-C came.
        """
        found = []
        for x, y, weights in batches:
            logs = self.host.own("test_on_batch")(x, y, sample_weight=weights, return_dict=True)
            found.append({name: float(value) for name, value in logs.items()})
            if self._trials.interrupted:
                raise StoppedError
        return found

    def predict(self, batch: Batch) -> Array:
        """Returns the first output for each sample of a batch, as the model is now. Shape `(n, ...)`."""
        predicted = self.host.own("predict_on_batch")(to_arrays(batch[0]))
        return np.asarray(next(leaves(predicted)), float)

    def guessing(self, batches: Sequence[Batch]) -> float | None:
        """Returns the loss of the best constant prediction for the labels of these batches; `None` if not known."""
        try:
            labels, weights = joined([batch[1] for batch in batches]), joined([batch[2] for batch in batches])
        except NoArrayError:
            return None
        given: Any = SimpleNamespace(f_locals={"y": labels, "sample_weight": weights})
        return chance_of(self.host, given).loss

    def trainable_values(self) -> list[Array]:
        """Returns copies of the values of all trainable weights."""
        return [read_value(weight).copy() for weight in self.model.trainable_weights]

    def small_batch(self) -> Batch:
        """Returns a batch of as many rows as any other, that holds `FEW_SAMPLES` samples over and over.

        So nothing is compiled for another size.
        """
        rows = np.arange(self.batch_size) % min(FEW_SAMPLES, self.batch_size)
        x, y, weights = (select(part, rows) for part in self.batches[0])
        return x, y, weights
