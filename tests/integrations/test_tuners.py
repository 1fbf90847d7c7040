"""Tests search ranges with KerasTuner and Optuna themselves."""

from __future__ import annotations

import pytest

from keras_lrscan import Analysis, InvalidCurveError, InvalidOptionError, analyze
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.integrations.tuners import hp_float, suggest_float
from tests.support import optional

VALLEY = analyze(synthetic_curve("u-shaped"))
NOTHING = analyze(synthetic_curve("flat"))


def ends(analysis: Analysis, kind: str = "to-elbow") -> tuple[float, float]:
    found = analysis.search_range(kind=kind)
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@pytest.mark.parametrize("kind", ["to-elbow", "around-steepest"])
def test_keras_tuner_is_given_the_range_on_a_log_scale(kind: str) -> None:
    hp = optional.module("keras_tuner").HyperParameters()
    rate = hp_float(hp, VALLEY, name="lr", kind=kind)
    (space,) = hp.space
    assert (space.name, space.sampling) == ("lr", "log")
    assert (space.min_value, space.max_value) == pytest.approx(ends(VALLEY, kind))
    assert rate == space.default == VALLEY.suggestion.lr


def test_keras_tuner_draws_rates_of_the_range_only() -> None:
    keras_tuner = optional.module("keras_tuner")
    hp = keras_tuner.HyperParameters()
    hp_float(hp, VALLEY)
    oracle = keras_tuner.oracles.RandomSearchOracle(objective="val_loss", max_trials=50, hyperparameters=hp, seed=1)
    rates = [oracle.populate_space(str(trial))["values"]["learning_rate"] for trial in range(50)]
    low, high = ends(VALLEY)
    assert low <= min(rates) < max(rates) <= high
    middle = (low * high) ** 0.5
    assert 15 <= sum(rate < middle for rate in rates) <= 35


def test_keras_tuner_starts_at_the_low_end_where_the_suggestion_is_outside_of_the_range() -> None:
    hp = optional.module("keras_tuner").HyperParameters()
    assert hp_float(hp, NOTHING, otherwise=(1e-5, 1e-1)) == 1e-5


@pytest.mark.parametrize("kind", ["to-elbow", "around-steepest"])
def test_optuna_draws_rates_of_the_range_on_a_log_scale(kind: str) -> None:
    optuna = optional.module("optuna")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    trials = [study.ask() for _ in range(50)]
    rates = [suggest_float(trial, VALLEY, name="lr", kind=kind) for trial in trials]
    low, high = ends(VALLEY, kind)
    assert low <= min(rates) < max(rates) <= high
    assert trials[0].distributions == {"lr": optuna.distributions.FloatDistribution(low, high, log=True)}


def test_optuna_can_be_told_to_try_the_suggestion_first() -> None:
    optuna = optional.module("optuna")
    study = optuna.create_study()
    study.enqueue_trial({"learning_rate": VALLEY.suggestion.lr})
    assert suggest_float(study.ask(), VALLEY) == VALLEY.suggestion.lr


def test_a_curve_without_a_range_is_refused_unless_told_what_to_search_otherwise() -> None:
    optuna = optional.module("optuna")
    trial = optuna.create_study().ask()
    with pytest.raises(InvalidCurveError, match=r"Received: flat\. .* Pass `otherwise="):
        suggest_float(trial, NOTHING)
    assert 1e-5 <= suggest_float(trial, NOTHING, otherwise=(1e-5, 1e-1)) <= 1e-1


@pytest.mark.parametrize("otherwise", [(1e-1, 1e-5), (0.0, 1.0)])
def test_what_is_no_range_is_refused(otherwise: tuple[float, float]) -> None:
    with pytest.raises(
        InvalidOptionError, match=r"must be two positive rates, the lower one first\. Received: otherwise="
    ):
        hp_float(None, VALLEY, otherwise=otherwise)
