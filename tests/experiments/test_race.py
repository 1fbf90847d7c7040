"""Tests races of learning rates: the winner, the restored state, and the explanation."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidOptionError, analyze, race
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.experiments.race_result import CandidateOutcome, RaceResult
from keras_lrscan.experiments.race_rules import STEPS, candidates_around, one_cycle, reach, rounds, standings
from keras_lrscan.suggestions.suggest import Role
from tests.support.hosts import IS_TF_KERAS, classifier, compiled, digits, same_bits, state

if TYPE_CHECKING:
    from pathlib import Path

RATES = (1e-6, 1e-2, 1e3)
"""Rates that are too small to learn anything, good, and far too large."""
SCORES = st.lists(st.floats(-5, 5) | st.just(math.inf), min_size=1, max_size=6)


@functools.cache
def shared(keras: Any) -> Any:
    """Returns a fresh model that every race must leave unchanged. Each new one would be compiled again."""
    return compiled(keras)


def raced(keras: Any, **options: Any) -> tuple[Any, RaceResult]:
    model = shared(keras)
    settings: dict[str, Any] = {"candidates": RATES, "steps": 24, "verbose": 0, "batch_size": 16}
    return model, race(model, *digits(), **{**settings, **options})


def outcomes(result: RaceResult) -> list[str]:
    return [str(candidate.outcome) for candidate in result.candidates]


@pytest.mark.keras
@pytest.mark.parametrize("role", [Role.CONSTANT, pytest.param(Role.ONE_CYCLE, marks=pytest.mark.one_host)])
def test_the_rate_that_learns_wins_and_the_model_is_as_it_was(keras: Any, role: Role) -> None:
    model = compiled(keras, model=classifier(keras, rich=not IS_TF_KERAS))
    model.train_on_batch(*digits(32))
    before = state(model)
    result = race(model, *digits(), candidates=RATES, steps=24, role=role, verbose=0, batch_size=16)
    assert result.suggestion.lr == 1e-2
    assert result.suggestion.role is role
    assert result.suggestion.method == "race"
    assert result.suggestion.low is not None
    assert result.suggestion.high is not None
    assert result.suggestion.low < 1e-2 < result.suggestion.high
    assert same_bits(before, state(model))


@pytest.mark.one_host
@pytest.mark.keras
def test_all_race_on_the_same_batches_from_the_same_weights(keras: Any) -> None:
    _, result = raced(keras, candidates=(1e-9, 2e-9, 3e-9))
    first, *others = (candidate.losses[:12] for candidate in result.candidates)
    for losses in others:
        np.testing.assert_allclose(losses, first, rtol=1e-4)


@pytest.mark.one_host
@pytest.mark.keras
def test_a_race_goes_on_where_its_first_round_ended(keras: Any) -> None:
    _, two_rounds = raced(keras, candidates=(1e-3, 1e-2))
    _, one_round = raced(keras, candidates=(1e-3, 1e-2), steps=12)
    for longer, shorter in zip(two_rounds.candidates, one_round.candidates, strict=True):
        assert (longer.losses.size, shorter.losses.size) == (24, 12)
        np.testing.assert_array_equal(longer.losses[:6], shorter.losses[:6])
        assert longer.losses[12:].mean() < longer.losses[:12].mean()


@pytest.mark.one_host
@pytest.mark.keras
def test_the_last_drops_out_half_way(keras: Any) -> None:
    _, result = raced(keras, candidates=(1e-6, 3e-3, 1e-2, 3e-2))
    assert outcomes(result)[0] == CandidateOutcome.DROPPED
    assert [candidate.losses.size for candidate in result.candidates] == [12, 24, 24, 24]
    assert result.num_steps == 84
    assert "array" not in repr(result)


@pytest.mark.one_host
@pytest.mark.keras
def test_validation_data_decide_where_they_are_given(keras: Any) -> None:
    x, y = digits()
    wrong = (y + 1) % 10  # the candidate that learns the training labels best is worst on these
    model, result = raced(keras, candidates=(1e-6, 1e-2), validation_data=(x, wrong))
    assert result.suggestion.lr == 1e-6
    assert result.judged_by == "validation loss"
    assert result.start_loss == pytest.approx(float(model.evaluate(x, wrong, verbose=0)), rel=1e-4)


@pytest.mark.one_backend
@pytest.mark.keras
def test_a_candidate_whose_loss_is_no_longer_finite_breaks_and_cannot_win(keras: Any) -> None:
    model = compiled(keras, keras.optimizers.SGD(), loss="mse")
    x, y = digits()
    result = race(model, x, np.eye(10)[y], candidates=(0.1, 1e30), steps=8, verbose=0)
    assert outcomes(result) == [CandidateOutcome.WON, CandidateOutcome.BROKE]
    assert result.candidates[1].losses.size < 8
    again = RaceResult.from_dict(json.loads(json.dumps(result.to_dict(), allow_nan=False)))
    assert again.to_dict() == result.to_dict()
    none = race(model, x, np.eye(10)[y], candidates=(1e30, 2e30), steps=8, verbose=0)
    assert none.suggestion.lr is None
    assert "training diverged at every candidate" in none.explain()


@pytest.mark.one_host
@pytest.mark.keras
def test_without_candidates_the_model_is_scanned_and_four_rates_race_around_its_suggestion(keras: Any) -> None:
    result = race(shared(keras), *digits(), steps=12, verbose=0)
    assert result.before is not None
    assert result.before.lr is not None
    rates = [candidate.lr for candidate in result.candidates]
    assert rates == pytest.approx(candidates_around(result.before.lr))


@pytest.mark.one_host
@pytest.mark.keras
def test_the_loss_before_any_training_is_that_of_the_initial_model_also_after_a_scan(keras: Any) -> None:
    x, y = digits()
    model = compiled(keras, metrics=["accuracy"])
    evaluated = model.evaluate(x, y, batch_size=16, verbose=0)
    expected = float(evaluated[0] if isinstance(evaluated, list) else evaluated)
    result = race(model, x, y, validation_data=(x, y), steps=16, verbose=0, batch_size=16)
    assert result.start_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.one_host
@pytest.mark.keras
def test_an_analysis_spares_the_scan_and_one_without_a_suggestion_leaves_the_optimizers_own_rate(keras: Any) -> None:
    _, around = raced(keras, candidates=None, analysis=(valley := analyze(synthetic_curve("u-shaped"))), steps=8)
    assert around.before == valley.suggestion
    with pytest.raises(InvalidOptionError, match=r"Received: No (learning )?rate is suggested: .* as `candidates`\."):
        raced(keras, candidates=None, analysis=analyze(synthetic_curve("flat")), steps=8)


@pytest.mark.one_host
@pytest.mark.keras
def test_ctrl_c_ends_the_race_and_leaves_the_model_as_it_was(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled(keras)
    model.train_on_batch(*digits(32))
    before, calls, step = state(model), [0], keras.Model.train_on_batch

    def interrupting(*args: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args, **options)

    monkeypatch.setattr(keras.Model, "train_on_batch", interrupting)
    result = race(model, *digits(), candidates=RATES, steps=24, verbose=0)
    assert result.interrupted
    assert result.suggestion.lr is None
    assert "interrupted before the candidates could be compared" in " ".join(result.explain().split())
    assert same_bits(before, state(model))


@pytest.mark.one_host
@pytest.mark.keras
def test_a_race_is_told_and_drawn_and_kept(keras: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    _, result = raced(keras)
    text = " ".join(result.explain().split())
    for words in (
        "3 learning rates, each from the same weights",
        "- 0.01 won, with a training loss of",
        "Train at about 0.01.",
    ):
        assert words in text
    axes = result.plot()
    assert len(axes.lines) == len(result.candidates)
    assert axes.get_xlabel() == "step"
    result.save(tmp_path / "race.json")
    assert RaceResult.load(tmp_path / "race.json").explain() == result.explain()


@pytest.mark.one_host
@pytest.mark.keras
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"candidates": (1e-3,)},
            r"`candidates` must contain at least two different positive numbers\. Received: candidates=",
        ),
        ({"candidates": (1e-3, -1.0)}, r"at least two different positive numbers"),
        ({"candidates": 5}, r"at least two different positive numbers"),
        ({"candidates": "ab"}, r"at least two different positive numbers"),
        ({"analysis": 3}, r"`analysis` must be an `Analysis`, as `lr_scan` returns it\. Received: analysis=3\."),
        ({"validation_data": iter([digits()])}, r"`validation_data` must be data that can be read once for each"),
        ({"steps": 3}, r"`steps` must be an integer of at least 8\. Received: steps=3"),
        ({"role": "peak"}, r"`role` must be one of 'constant', 'one-cycle'\. Received: role='peak'"),
    ],
)
def test_what_makes_no_race_is_refused(keras: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        raced(keras, **options)


@pytest.mark.one_host
@pytest.mark.keras
def test_rates_that_all_break_the_model_win_nothing(keras: Any) -> None:
    _, result = raced(keras, candidates=(1e3, 1e4))
    assert result.start_loss < 5
    assert result.suggestion.lr is None


@pytest.mark.one_host
@pytest.mark.keras
def test_no_rate_races_where_nothing_can_be_learned(keras: Any) -> None:
    curve = synthetic_curve("flat-at-chance")
    facts: dict[str, Any] = {
        "labels_follow_inputs": False,
        "majority_share": 1.0,
        "data_seen": "arrays",
        "optimizer_lr": 1e-3,
    }
    context = dataclasses.replace(curve.context, **facts)
    analysis = analyze(dataclasses.replace(curve, context=context))
    _, result = raced(keras, candidates=None, analysis=analysis)
    assert (result.candidates, result.suggestion) == ((), analysis.suggestion)
    assert "No learning rate raced." in result.explain()


@given(scores=SCORES, start=st.floats(-5, 5))
def test_the_lowest_score_leads_and_what_broke_is_infinitely_behind(scores: list[float], start: float) -> None:
    behind = standings(scores, start=start)
    assert [math.isinf(value) for value in behind] == [math.isinf(score) for score in scores]
    assert (behind >= 0).all()
    if np.isfinite(behind).any():
        assert behind.min() == 0
        assert scores[int(np.argmin(behind))] == min(scores)


@given(scores=st.lists(st.floats(0, 5), min_size=2, max_size=6), scale=st.floats(0.1, 10), shift=st.floats(-3, 3))
def test_the_unit_of_the_loss_does_not_matter(scores: list[float], scale: float, shift: float) -> None:
    moved = standings([scale * score + shift for score in scores], start=scale * 6 + shift)
    np.testing.assert_allclose(moved, standings(scores, start=6), atol=1e-6)


@given(behind=st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_the_range_holds_the_winner_and_ends_before_the_first_that_is_worse(behind: list[float]) -> None:
    rates = [10.0 ** (at / 2 - 4) for at in range(len(behind))]
    low, high = reach(rates, behind)
    winner = int(np.argmin(behind))
    assert low < rates[winner] < high
    assert rates[0] / low < 1.34
    assert high / rates[-1] < 1.34
    for rate, value in zip(rates, behind, strict=True):
        assert not (low < rate < high) or value <= min(behind) + 0.05


@pytest.mark.parametrize("steps", [8, 70, 101])
def test_a_one_cycle_schedule_has_its_peak_after_a_quarter_and_ends_near_nothing(steps: int) -> None:
    rates = one_cycle(2.0, steps)
    assert len(rates) == steps
    assert int(np.argmax(rates)) == round(steps / 4)
    assert max(rates) == 2.0
    assert rates[0] == pytest.approx(0.08)
    assert 0 < rates[-1] < 0.5


@pytest.mark.parametrize("role", Role)
def test_a_race_of_four_costs_no_more_than_three_scans(role: Role) -> None:
    spans, at, alive = 0, 0, 4
    for until, left in rounds(STEPS[role], role, 4):
        spans, at, alive = spans + alive * (until - at), until, left
    assert spans <= 300
