"""`race`: trains a model at a few rates around the suggested one for a short while, and takes the best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, FitOption, Model
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.errors import InvalidOptionError, unknown_option
from keras_lrscan.experiments.race_result import Candidate, CandidateOutcome, RaceResult
from keras_lrscan.experiments.race_rules import (
    STEPS,
    candidates_around,
    one_cycle,
    reach,
    rounds,
    standings,
    training_score,
)
from keras_lrscan.inspection.feeding import fed_alike
from keras_lrscan.recording.trials import Trials, checked_verbose
from keras_lrscan.suggestions.suggest import Role, Suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.snapshot import Snapshot

__all__ = ["race"]

MIN_STEPS = 8
FIRST_BATCHES = 5
"""The training loss before any training is the mean over this many batches, at the smallest rate."""
SCAN_STEPS = 100


@dataclass(kw_only=True)
class _Runner:
    """A candidate on its way."""

    lr: float
    losses: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    score: float | None = None
    outcome: CandidateOutcome = CandidateOutcome.UNFINISHED
    kept: Snapshot | None = None

    @property
    def is_in(self) -> bool:
        """Whether it still races."""
        return self.outcome is CandidateOutcome.UNFINISHED

    def leave(self, outcome: CandidateOutcome) -> None:
        """Ends its race."""
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
    """Trains at a few rates around the suggested one, each from the same weights on the same batches; the best wins.

    Without `candidates` or `analysis` the model is scanned first, which takes 100 steps. Then four rates race: the
    suggested one, one half a decade above, and two below. The last drops out half way. All that takes no more steps
    than three scans do. In the end the model is put back to the last bit, as after `lr_scan`.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        candidates: Rates to race, at least two; peaks, if `role` is `"one-cycle"`. Shape `(k,)`.
        analysis: What a scan of this model said, to race around its suggestion without another scan.
        steps: Integer, at least 8. Updates of the longest training; 80 for a constant rate and 70, the whole
            schedule, for one-cycle when left out.
        validation_data: Data to judge by, as for `fit`. Without it, training losses decide, which is less reliable.
        role: One of `"constant"`, `"one-cycle"`.
        snapshot: String. Where states are kept, one of `"memory"` and `"disk"`; there is one for each candidate.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`. With `analysis`,
            what is left out is as in the `fit` that was scanned.

    Returns:
        A `RaceResult`, whose `suggestion` takes the place of the scan's.

    Raises:
        InvalidOptionError: If an argument has a value that makes no race.
        ScanError: If the model is not compiled or runs on several devices, or if the data holds no batch.
        KeyboardInterrupt: If Ctrl-C was pressed before anything had finished, once the model is put back. Later, what
            had finished is returned.

    Example:
    ```python
    result = race(model, x, y, validation_data=(x_val, y_val), batch_size=32)
    print(result.explain())
    model.optimizer.learning_rate = result.suggestion.lr
    ```
    """
    if role not in list(Role):
        raise unknown_option("role", role, Role)
    chosen, longest = Role(role), _checked_steps(steps, Role(role))
    rates = None if candidates is None else _checked_rates(candidates)
    scans = rates is None and analysis is None
    number = 4 if rates is None else len(rates)
    if analysis is not None:
        fit_options = fed_alike(analysis.curve.context, x, fit_options)
    plan = SCAN_STEPS * scans + sum(left * span for left, span in _spans(rounds(longest, chosen, number), number))
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
            rates = () if analysis is None or before is None else _rates_for(analysis, before)
        track = _Track(
            trials,
            role=chosen,
            steps=min(longest, trials.num_steps),
            validation_data=validation_data,
            monitor=monitor,
            batch_size=fit_options.get("batch_size"),
        )
        return track.run(rates, before)


class _Track:
    """One race.

    Args:
        trials: What trains.
        role: What the rate is for.
        steps: Updates of the longest training.
        validation_data: Data to judge by, or `None`.
        monitor: Key of the loss.
        batch_size: Of validation batches; Keras's own when left out.
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
        """Races the rates and returns the result."""
        runners = [_Runner(lr=rate) for rate in rates]
        start = self._evaluate() if self._data is not None and runners else math.nan
        around = None if before is None or self._data is not None else before.lr
        at, behind = 0, np.full(len(runners), math.inf)
        for until, left in rounds(self._steps, self._role, len(runners)) if runners else ():
            if not self._go_on(runners, at, until):
                break
            if self._data is None and not math.isfinite(start):
                first = runners[0].losses[:FIRST_BATCHES]
                start = float(first[np.isfinite(first)].mean()) if np.isfinite(first[0]) else math.nan
            behind = _rank(runners, start, around)
            for runner in _last(runners, behind, left if until < self._steps else len(runners)):
                behind[runners.index(runner)] = math.inf
                runner.leave(CandidateOutcome.DROPPED)
            at = until
        suggestion = self._suggestion(runners, behind, before)
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

    def _go_on(self, runners: list[_Runner], at: int, until: int) -> bool:
        """Trains each that is still in from step `at` to step `until`; returns whether that came to its end."""
        for runner in runners:
            if not runner.is_in:
                continue
            plan = (runner.lr,) * self._steps if self._role == Role.CONSTANT else one_cycle(runner.lr, self._steps)
            losses = self._trials.train(plan[at:until], start=runner.kept, first=at)
            if losses is None:
                return False
            runner.losses = np.concatenate([runner.losses, losses])
            runner.score = self._score(runner)
            if not math.isfinite(runner.score):
                runner.leave(CandidateOutcome.BROKE)
            elif until < self._steps:
                kept, runner.kept = runner.kept, self._trials.keep()
                if kept is not None:
                    kept.close()
        return True

    def _score(self, runner: _Runner) -> float:
        """Returns the loss that decides, of the model as the last training left it; infinite if that broke."""
        trained = training_score(runner.losses)
        if self._data is None or not math.isfinite(trained):
            return trained
        value = self._evaluate()
        return value if math.isfinite(value) else math.inf

    def _evaluate(self) -> float:
        """Returns the validation loss of the model as it is now."""
        model, data = self._trials.host.model, self._data
        parts = list(data) if isinstance(data, tuple | list) else [data]
        names = ("x", "y", "sample_weight")
        options = dict(zip(names, parts, strict=False))
        if isinstance(data, tuple | list):
            options["batch_size"] = self._batch_size
        return float(model.evaluate(**options, verbose=0, return_dict=True)[self._monitor])

    def _suggestion(self, runners: list[_Runner], behind: NDArray[np.float64], before: Suggestion | None) -> Suggestion:
        """Returns what the race suggests."""
        if not np.isfinite(behind).any():
            if before is not None and self._trials.interrupted:
                return before
            reason = NOT_OVER if self._trials.interrupted else NONE_LEFT
            return Suggestion(method="race", role=self._role, lr=None, low=None, high=None, reason=reason)
        winner = runners[int(np.argmin(behind))]
        low, high = reach([runner.lr for runner in runners], behind.tolist())
        by = "training" if self._data is None else "validation"
        reason = f"Of the {len(runners)} rates that raced, this one came out ahead by its {by} loss."
        return Suggestion(method="race", role=self._role, lr=winner.lr, low=low, high=high, reason=reason)


NONE_LEFT = "No rate is suggested: training broke at every rate that raced. Race smaller ones."
NOT_OVER = "No rate is suggested: the race was interrupted before the candidates could be compared."


def _rank(runners: list[_Runner], start: float, around: float | None) -> NDArray[np.float64]:
    """Returns how far each is behind the best; infinite for those that are out."""
    scores = [runner.score if runner.is_in and runner.score is not None else math.inf for runner in runners]
    decades = None if around is None else [math.log10(runner.lr / around) for runner in runners]
    return standings(scores, start=start, decades=decades)


def _last(runners: list[_Runner], behind: NDArray[np.float64], left: int) -> list[_Runner]:
    """Returns those who are behind the first `left`."""
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


def _rates_for(analysis: Analysis, before: Suggestion) -> tuple[float, ...]:
    """Returns the rates that race after a scan: around its suggestion, or far around the optimizer's own rate."""
    if before.lr is not None:
        return candidates_around(before.lr)
    own = analysis.curve.context.optimizer_lr
    if own is None:
        msg = (
            f"Expected a scan that suggests a rate, or an optimizer that has one. Received: {before.reason} "
            "Pass the rates to race as `candidates`."
        )
        raise InvalidOptionError(msg)
    return candidates_around(own, wide=True)


def _spans(plan: tuple[tuple[int, int], ...], number: int) -> list[tuple[int, int]]:
    """Returns how many candidates run for how many steps, in each round."""
    before = [(0, number), *plan]
    return [(left, until - at) for (at, left), (until, _) in zip(before, plan, strict=False)]


def _checked_steps(steps: int | None, role: Role) -> int:
    longest: Any = STEPS[role] if steps is None else steps
    if not isinstance(longest, int) or longest < MIN_STEPS:
        msg = f"Argument `steps` must be an integer of at least {MIN_STEPS}. Received: steps={steps!r}."
        raise InvalidOptionError(msg)
    return int(longest)


def _checked_rates(candidates: Sequence[float]) -> tuple[float, ...]:
    rates = sorted({float(rate) for rate in candidates})
    if len(rates) < 2 or not all(0 < rate < math.inf for rate in rates):
        msg = f"Argument `candidates` must hold at least two different positive rates. Received: {candidates!r}."
        raise InvalidOptionError(msg)
    return tuple(rates)
