"""Trains a model briefly at several learning rates around the suggested one, and selects the best (`race`)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import FitData, FitOption, Model
from keras_lrscan.analysis import Analysis, analyze, check_analysis
from keras_lrscan.errors import InvalidOptionError, unknown_option, whole_number
from keras_lrscan.experiments.race_result import Candidate, CandidateOutcome, RaceResult
from keras_lrscan.experiments.race_rules import (
    STEPS,
    WORSE,
    candidates_around,
    one_cycle,
    reach,
    rounds,
    standings,
    training_score,
)
from keras_lrscan.inspection.feeding import fed_alike
from keras_lrscan.recording.trials import Trials, checked_verbose
from keras_lrscan.suggestions.suggest import Role, Suggestion, what_stops_learning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.snapshot import Snapshot

__all__ = ["race"]

MIN_STEPS = 8
FIRST_BATCHES = 5
"""Number of batches at the lowest learning rate that define the training loss before any training."""
SCAN_STEPS = 100


@dataclass(kw_only=True)
class _Runner:
    """The state of one candidate during the race."""

    lr: float
    losses: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    score: float | None = None
    outcome: CandidateOutcome = CandidateOutcome.UNFINISHED
    kept: Snapshot | None = None

    @property
    def is_in(self) -> bool:
        """Whether the candidate still takes part."""
        return self.outcome is CandidateOutcome.UNFINISHED

    def leave(self, outcome: CandidateOutcome) -> None:
        """Records the outcome and deletes the saved state of the candidate."""
        self.outcome = outcome
        if self.kept is not None:
            self.kept.close()
            self.kept = None


def race(
    model: Model,
    x: FitData,
    y: FitData = None,
    *,
    candidates: Sequence[float] | None = None,
    analysis: Analysis | None = None,
    steps: int | None = None,
    validation_data: FitData = None,
    role: str = Role.CONSTANT,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: FitOption,
) -> RaceResult:
    """Trains at several learning rates from the same weights on the same batches, and suggests the best.

    Without `candidates` or `analysis`, the function first scans the model in 100 steps. Then four candidates race: the
    suggested learning rate, one a quarter of a decade above it, and two below it. At a constant learning rate, the last
    candidate drops out halfway. The race takes 280 steps, no more than three scans, and a scan before it 100 more. In
    the end the function restores the model bit for bit, as after `lr_scan`.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        candidates: At least two learning rates; peaks of the schedule if `role` is `"one-cycle"`. Shape `(k,)`.
        analysis: The analysis of a scan of this model, to race around its suggestion without another scan.
        steps: Integer, at least 8. Number of updates in the longest training. Defaults to 80 for a constant learning
            rate, and to 70, the whole schedule, for one-cycle.
        validation_data: Data to compare the candidates on, as for `fit`. Without it, training losses decide, which is
            less reliable.
        role: One of `"constant"`, `"one-cycle"`.
        snapshot: String. Storage for the states, one per candidate. One of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that determine its batches, such as `batch_size`. With `analysis`, they
            default to those of the `fit` that was scanned.

    Returns:
        A `RaceResult`. Its `suggestion` replaces that of the scan.

    Raises:
        InvalidOptionError: If an argument has an invalid value.
        ScanError: If the model is not compiled or runs on several devices, or if the data have no batch.
        KeyboardInterrupt: If Ctrl-C was pressed before any training had finished, once the model is restored. Later
            the function returns the results so far.

    Example:
    ```python
    result = race(model, x, y, validation_data=(x_val, y_val), batch_size=32)
    print(result.explain())
    if (lr := result.suggestion.lr) is not None:
        model.optimizer.learning_rate = lr
    ```
    """
    if role not in list(Role):
        raise unknown_option("role", role, Role)
    chosen, longest = Role(role), _check_steps(steps, Role(role))
    rates = None if candidates is None else _check_candidates(candidates)
    if hasattr(validation_data, "__next__"):
        msg = (
            "Argument `validation_data` must be data that can be read once for each candidate. Received: an iterator. "
            "Pass arrays, a `tf.data.Dataset` or a `keras.utils.Sequence`."
        )
        raise InvalidOptionError(msg)
    if analysis is not None:
        check_analysis(analysis)
    scans = rates is None and analysis is None
    number = 4 if rates is None else len(rates)
    if analysis is not None:
        fit_options = fed_alike(analysis.curve.context, x, fit_options)
    plan = SCAN_STEPS * scans + sum(left * span for left, span in _round_sizes(rounds(longest, chosen, number), number))
    with Trials(
        model,
        x,
        y,
        num_steps=max(SCAN_STEPS, longest) if scans else longest,
        planned_steps=plan,
        snapshot=snapshot,
        monitor=monitor,
        verbose=checked_verbose(verbose),
        fit_options=fit_options,
    ) as trials:
        if scans:
            curve = trials.scan()
            analysis = None if curve is None else analyze(curve)
        before = None if analysis is None else analysis.suggest(role=chosen)
        if rates is None:
            rates = () if analysis is None or before is None else _candidates_for(analysis, before)
        contest = _Race(
            trials,
            role=chosen,
            steps=min(longest, trials.num_steps),
            validation_data=validation_data,
            monitor=monitor,
            batch_size=fit_options.get("batch_size"),
        )
        return contest.run(rates, before)


class _Race:
    """Runs one race.

    Args:
        trials: The trials that own the model and its state.
        role: Use of the learning rate.
        steps: Number of updates in the longest training.
        validation_data: Data to compare the candidates on, or `None`.
        monitor: Key of the loss in the logs.
        batch_size: Batch size of the validation data; `None` for the default of Keras.
    """

    def __init__(
        self,
        trials: Trials,
        *,
        role: Role,
        steps: int,
        validation_data: FitData,
        monitor: str,
        batch_size: int | None,
    ) -> None:
        self._trials, self._role, self._steps = trials, role, steps
        self._data, self._monitor = validation_data, monitor
        self._batch_size = batch_size

    def run(self, rates: Sequence[float], before: Suggestion | None) -> RaceResult:
        """Races the learning rates and returns the result."""
        runners = [_Runner(lr=rate) for rate in rates]
        start = self._evaluate() if self._data is not None and runners else math.nan
        around = None if before is None or self._data is not None else before.lr
        at, behind = 0, np.full(len(runners), math.inf)
        for until, left in rounds(self._steps, self._role, len(runners)) if runners else ():
            if not self._train_round(runners, at, until):
                break
            if self._data is None and not math.isfinite(start):
                start = _start_of(runners[0].losses[:FIRST_BATCHES])
            behind = _rank(runners, start, around)
            for runner in _behind_first(runners, behind, left if until < self._steps else len(runners)):
                behind[runners.index(runner)] = math.inf
                runner.leave(CandidateOutcome.DROPPED)
            at = until
        suggestion = self._suggestion(runners, behind, before, start)
        return RaceResult(
            suggestion=suggestion,
            before=before,
            candidates=tuple(_as_candidate(runner, suggestion.lr, done=at == self._steps) for runner in runners),
            role=self._role,
            judged_by="training loss" if self._data is None else "validation loss",
            start_loss=start,
            num_steps=sum(runner.losses.size for runner in runners),
            interrupted=self._trials.interrupted,
            notes=self._trials.notes,
        )

    def _train_round(self, runners: list[_Runner], at: int, until: int) -> bool:
        """Trains the remaining candidates from step `at` to step `until`; returns False after Ctrl-C."""
        for runner in runners:
            if not runner.is_in:
                continue
            plan = (runner.lr,) * self._steps if self._role == Role.CONSTANT else one_cycle(runner.lr, self._steps)
            judge = functools.partial(self._judge, runner, keeps=until < self._steps)
            if self._trials.train(plan[at:until], start=runner.kept, first=at, then=judge) is None:
                return False
        return True

    def _judge(self, runner: _Runner, losses: NDArray[np.float64], *, keeps: bool) -> None:
        """Scores the trained model of a candidate, and keeps its state if the candidate trains on."""
        runner.losses = np.concatenate([runner.losses, losses])
        runner.score = self._score(runner)
        if not math.isfinite(runner.score):
            runner.leave(CandidateOutcome.BROKE)
        elif keeps:
            kept, runner.kept = runner.kept, self._trials.keep()
            if kept is not None:
                kept.close()

    def _score(self, runner: _Runner) -> float:
        """Returns the loss that decides, for the current model; infinite if its training diverged."""
        trained = training_score(runner.losses)
        if self._data is None or not math.isfinite(trained):
            return trained
        value = self._evaluate()
        return value if math.isfinite(value) else math.inf

    def _evaluate(self) -> float:
        """Returns the validation loss of the model: initial between trainings, trained at the end of one."""
        model, data = self._trials.host.model, self._data
        parts = list(data) if isinstance(data, tuple | list) else [data]
        names = ("x", "y", "sample_weight")
        options = dict(zip(names, parts, strict=False))
        if isinstance(data, tuple | list):
            options["batch_size"] = self._batch_size
        return float(model.evaluate(**options, verbose=0, return_dict=True)[self._monitor])

    def _suggestion(
        self, runners: list[_Runner], behind: NDArray[np.float64], before: Suggestion | None, start: float
    ) -> Suggestion:
        """Returns the suggestion of the race."""
        if not runners and before is not None:
            return before
        if not np.isfinite(behind).any():
            if before is not None and self._trials.interrupted:
                return before
            reason = TOO_EARLY if self._trials.interrupted else NONE_LEFT
            return Suggestion(method="race", role=self._role, lr=None, low=None, high=None, reason=reason)
        winner = runners[int(np.argmin(behind))]
        if winner.score is not None and start > 0 and winner.score > WORSE * start:
            return Suggestion(method="race", role=self._role, lr=None, low=None, high=None, reason=ALL_WORSE)
        low, high = reach([runner.lr for runner in runners], behind.tolist())
        by = "training" if self._data is None else "validation"
        reason = f"Of the {len(runners)} candidates, this learning rate won the comparison by {by} loss."
        return Suggestion(method="race", role=self._role, lr=winner.lr, low=low, high=high, reason=reason)


NONE_LEFT = "No learning rate is suggested: training diverged at every candidate. Race with smaller ones."
ALL_WORSE = "No learning rate is suggested: every candidate made the model worse. Race with smaller ones."
TOO_EARLY = "No learning rate is suggested: the race was interrupted before the candidates could be compared."


def _start_of(losses: NDArray[np.float64]) -> float:
    """Returns the loss before any training, of the first batches; updates that break the model raise all but the first.

    Args:
        losses: The first losses at the lowest learning rate, the very first before any update.
    """
    finite = losses[np.isfinite(losses)]
    return min(float(losses[0]), float(finite.mean())) if np.isfinite(losses[0]) else math.nan


def _rank(runners: list[_Runner], start: float, around: float | None) -> NDArray[np.float64]:
    """Returns the distance of each candidate from the best; infinite for those that have left."""
    scores = [runner.score if runner.is_in and runner.score is not None else math.inf for runner in runners]
    decades = None if around is None else [math.log10(runner.lr / around) for runner in runners]
    return standings(scores, start=start, decades=decades)


def _behind_first(runners: list[_Runner], behind: NDArray[np.float64], left: int) -> list[_Runner]:
    """Returns the candidates behind the first `left`."""
    order = [int(at) for at in np.argsort(behind, kind="stable") if math.isfinite(behind[at])]
    return [runners[at] for at in order[left:]]


def _as_candidate(runner: _Runner, winner: float | None, *, done: bool) -> Candidate:
    outcome = runner.outcome
    if runner.is_in and winner == runner.lr:
        outcome = CandidateOutcome.WON
    elif runner.is_in and done:
        outcome = CandidateOutcome.FINISHED
    runner.leave(outcome)
    return Candidate(lr=runner.lr, losses=runner.losses, score=runner.score, outcome=outcome)


def _candidates_for(analysis: Analysis, before: Suggestion) -> tuple[float, ...]:
    """Returns the candidates after a scan: around its suggestion, or more widely around the optimizer's own rate.

    There are none if the scan suggests no rate because nothing can be learned.
    """
    if before.lr is not None:
        return candidates_around(before.lr)
    own = analysis.curve.context.optimizer_lr
    if own is None:
        msg = (
            f"Expected a scan that suggests a learning rate, or an optimizer that has one. Received: {before.reason} "
            "Pass the learning rates to race as `candidates`."
        )
        raise InvalidOptionError(msg)
    # no rate helps before what stops learning is fixed
    return () if what_stops_learning(analysis.findings) is not None else candidates_around(own, wide=True)


def _round_sizes(plan: tuple[tuple[int, int], ...], number: int) -> list[tuple[int, int]]:
    """Returns the number of candidates and the number of steps of each round."""
    before = [(0, number), *plan]
    return [(left, until - at) for (at, left), (until, _) in zip(before, plan, strict=False)]


def _check_steps(steps: int | None, role: Role) -> int:
    return STEPS[role] if steps is None else whole_number("steps", steps, MIN_STEPS)


def _check_candidates(candidates: Sequence[float]) -> tuple[float, ...]:
    try:
        rates = sorted({float(rate) for rate in candidates})
    except (TypeError, ValueError):
        rates = []
    if len(rates) < 2 or not all(0 < rate < math.inf for rate in rates):
        msg = (
            "Argument `candidates` must contain at least two different positive numbers. "
            f"Received: candidates={candidates!r}."
        )
        raise InvalidOptionError(msg)
    return tuple(rates)
