"""Tests the start states of a model and its outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from keras_lrscan import Analysis, LRCurve, ScanContext, analyze
from keras_lrscan.curves.context import OutputStart
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.reading.start_state import StartState, are_mixed, judged_outputs, state_of

BETTER, AT, WORSE = StartState.BETTER_THAN_CHANCE, StartState.AT_CHANCE, StartState.WORSE_THAN_CHANCE


def outputs(*ratios: float | None, chance: float = 2.0, uniform: float | None = None) -> ScanContext:
    """Returns a context with one output for each ratio of a first loss to the chance level."""
    return ScanContext(
        outputs=tuple(
            OutputStart(
                name=f"out{at}",
                chance_loss=chance,
                uniform_loss=uniform,
                start_loss=None if ratio is None else ratio * chance,
            )
            for at, ratio in enumerate(ratios)
        )
    )


def read(shape: str, *ratios: float, **changes: object) -> Analysis:
    """Returns the analysis of a synthetic curve of a model with outputs."""
    curve = synthetic_curve(shape)
    context = dataclasses.replace(curve.context, outputs=outputs(*ratios).outputs, **changes)  # type: ignore[arg-type]
    return analyze(dataclasses.replace(curve, context=context), num_copies=1)


@pytest.mark.parametrize(
    ("level", "uniform", "state"),
    [
        (1.79, None, BETTER),
        (1.81, None, AT),
        (2.79, None, AT),
        (2.81, None, WORSE),
        (2.81, 4.0, AT),
        (5.61, 4.0, WORSE),
    ],
)
def test_the_thresholds_are_shares_of_the_chance_level(level: float, uniform: float | None, state: StartState) -> None:
    assert state_of(level, 2.0, uniform) is state


@pytest.mark.parametrize(
    ("ratios", "states", "mixed"),
    [
        ((0.05, 1.0), [BETTER, AT], True),
        ((0.05, 3.0), [BETTER, WORSE], True),
        ((0.05, 1.0, 3.0), [BETTER, AT, WORSE], True),
        ((1.0, 3.0), [AT, WORSE], False),
        ((0.05, None, 1.0), [BETTER, AT], True),
        ((0.0, 1.0), [BETTER, AT], True),
    ],
)
def test_outputs_that_start_differently_are_judged_one_by_one(
    ratios: tuple[float | None, ...],
    states: list[StartState],
    mixed: bool,
) -> None:
    judged = judged_outputs(outputs(*ratios))
    assert [output.state for output in judged] == states
    assert are_mixed(judged) is mixed


@pytest.mark.parametrize(
    "context",
    [
        ScanContext(),
        outputs(1.0),
        outputs(0.05, 0.3),
        outputs(1.0, 1.2),
        outputs(0.05, None),
        outputs(0.05, -1.0),
        outputs(0.75, 1.0),
        outputs(0.05, 1.0, chance=-2.0),
        outputs(0.05, 1.0, chance=0.0),
    ],
    ids=["none", "one", "better", "at", "unknown", "below zero", "nearly equal", "negative level", "level of zero"],
)
def test_outputs_in_one_state_or_of_unknown_or_negative_loss_are_not_told_apart(context: ScanContext) -> None:
    assert judged_outputs(context) == ()


def test_a_fresh_classifier_of_rare_classes_is_not_worse_than_chance() -> None:
    assert judged_outputs(outputs(1.0, 2.5)) != ()
    assert judged_outputs(outputs(1.0, 2.5, uniform=5.0)) == ()


def test_the_whole_model_has_no_start_state_of_its_own_if_only_some_outputs_start_better() -> None:
    assert read("u-shaped", 0.05, 1.0).verdict.start_state is StartState.MIXED
    assert read("u-shaped", 1.0, 3.0).verdict.start_state is AT
    assert read("u-shaped", 0.9, 1.0).verdict.start_state is AT


def test_a_start_that_cannot_be_judged_remains_unknown() -> None:
    assert read("u-shaped", 0.05, 1.0, chance_loss=-1.0).verdict.start_state is StartState.UNKNOWN
    assert read("u-shaped", 0.05, 1.0, loss_name=None, num_classes=None).verdict.start_state is StartState.UNKNOWN


def test_first_losses_of_an_explosion_do_not_judge_the_outputs() -> None:
    x = np.linspace(-7, 1, 100)
    loss = np.where((x > -6.9) & (x < -5), 200.0, 2.3 - 0.2 * np.clip(x + 5, 0, 3))
    context = dataclasses.replace(synthetic_curve("u-shaped").context, outputs=outputs(0.05, 80.0).outputs)
    analysis = analyze(LRCurve(lr=10.0**x, loss=loss, context=context), num_copies=1)
    assert analysis.features.early_explosion > 5
    assert analysis.verdict.start_state is not StartState.MIXED
    assert "outputs start differently" not in " ".join(analysis.explain(level="full").split())


FRESH = ScanContext(chance_loss=100.0, optimizer_iterations=0, head_is_untrained=True, num_used_layers=0)


@pytest.mark.parametrize(
    ("context", "state"),
    [
        (FRESH, StartState.UNKNOWN),
        (dataclasses.replace(FRESH, optimizer_iterations=7), BETTER),
        (dataclasses.replace(FRESH, num_used_layers=1), BETTER),
        (dataclasses.replace(FRESH, head_is_untrained=None), BETTER),
        (dataclasses.replace(FRESH, chance_loss=10.0), AT),
    ],
    ids=["fresh", "trained", "pretrained", "not known", "at chance"],
)
def test_a_fresh_model_is_not_good_because_its_first_batches_are_easy(context: ScanContext, state: StartState) -> None:
    loss = 10.0 + np.random.default_rng(0).normal(size=100)
    analysis = analyze(LRCurve(lr=np.logspace(-7, 1, 100), loss=loss, context=context), num_copies=3)
    assert analysis.verdict.start_state is state
    assert ("first batches are easier than the rest" in " ".join(analysis.explain().split())) == (
        state is StartState.UNKNOWN
    )
    assert any(finding.name == "already-good" and finding.is_sure for finding in analysis.findings) == (state is BETTER)


def test_a_fresh_model_is_not_good_because_its_smoothed_loss_starts_low() -> None:
    loss = 84.0 + 10.0 * np.random.default_rng(0).normal(size=100)
    loss[:5] = 92.0, 70.0, 95.0, 72.0, 91.0
    analysis = analyze(LRCurve(lr=np.logspace(-7, 1, 100), loss=loss, context=FRESH), num_copies=3)
    assert analysis.landmarks.start is not None
    assert analysis.landmarks.start.loss < 90.0
    assert analysis.verdict.start_state is StartState.UNKNOWN
    text = " ".join(analysis.explain().split())
    assert "No layer shows signs of training, so this is luck" in text
    assert "already knows" not in text


def test_a_low_start_without_signs_of_training_may_be_luck() -> None:
    curve = LRCurve(lr=np.logspace(-7, 1, 100), loss=10.0 + np.random.default_rng(0).normal(size=100))
    for used, is_told in ((0, True), (3, False)):
        known = dataclasses.replace(FRESH, head_is_untrained=None, num_used_layers=used)
        analysis = analyze(dataclasses.replace(curve, context=known), num_copies=3)
        assert analysis.verdict.start_state is BETTER
        assert ("so this may be luck" in " ".join(analysis.explain().split())) == is_told
