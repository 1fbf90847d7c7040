"""Tests that a loss without a natural zero, such as minus Dice, is never described by ratios of losses."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_lrscan import Analysis, LRCurve, ScanContext, analyze, describe_plot
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.reading.divergence import Recoveries
from keras_lrscan.reading.facts import FALLS
from keras_lrscan.reading.references import has_natural_zero
from keras_lrscan.reading.start_state import StartState
from tests.support.strategies import valley_curves

SHARES_OF_CAUSES = re.compile(r"\d+% likely|Confidence in this shape: \d+%|confidence \d+ ?%")
RATIOS = ("start_ratio", "lowest_ratio", "end_ratio", "plateau_ratio", "chance_share", "first_jump")
FEW_SAMPLES = ScanContext(batch_size=4, regularization_loss=0.0, num_frozen_layers=0, num_layers=3)


def printed(analysis: Analysis) -> str:
    text = f"{analysis.explain()} {analysis.explain(level='expert')} {analysis.summary()} {describe_plot(analysis)}"
    return SHARES_OF_CAUSES.sub("", " ".join(text.split()))


def valley(start: float, depth: float, **context: Any) -> LRCurve:
    """Returns a curve that falls from `start` by `depth` and rises far above its start."""
    x = np.linspace(-7, 1, 200)
    loss = start - depth * 0.5 * (1 + np.tanh((x + 2.5) / 0.5)) + 3 * depth * np.maximum(x + 0.5, 0) ** 2
    loss += 0.01 * depth * np.random.default_rng(0).standard_normal(x.size)
    known = dataclasses.replace(FEW_SAMPLES, start_lr=1e-7, end_lr=10.0, num_steps=200, **context)
    return LRCurve(lr=10.0**x, loss=loss, stop="end-lr", context=known)


EXAMPLES = {
    "minus Dice": valley(
        -0.11, 0.7, chance_loss=-0.1, perfect_loss=-0.82, loss_name="dice", output_activation="sigmoid"
    ),
    "cosine similarity": valley(0.01, 0.8, chance_loss=0.0, loss_name="cosine_similarity"),
    "negative log-likelihood below zero": valley(-1.0, 3.0, chance_loss=-1.1, loss_name="nll"),
    "negative log-likelihood that falls below zero": valley(1.5, 4.0, chance_loss=1.42, loss_name="nll"),
    "positive losses, chance level below zero": valley(2.0, 1.0, chance_loss=-1.1),
    "negative losses, chance level unknown": valley(-0.1, 0.7),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_loss_that_can_be_below_zero_has_no_ratios(name: str) -> None:
    analysis = analyze(EXAMPLES[name])
    assert not has_natural_zero(EXAMPLES[name])
    assert analysis.verdict.shape == "u-shaped"
    assert analysis.verdict.start_state == StartState.UNKNOWN
    assert [analysis.facts[ratio] for ratio in (*RATIOS, "perfect_ratio")] == [None] * 7
    assert FALLS.holds(analysis.facts)
    text = printed(analysis)
    assert "%" not in text
    assert "times the chance level" not in text
    assert "share of the reference loss" not in text
    assert not re.search(r"-\d[\d.]* times", text)


def test_right_answers_of_minus_dice_are_no_sign_of_a_wrong_output() -> None:
    found = {finding.name for finding in analyze(EXAMPLES["minus Dice"]).findings}
    assert "wrong-from-logits" not in found
    raised = valley(2.1, 0.5, chance_loss=2.3, perfect_loss=1.5, output_activation="softmax", num_classes=10)
    assert "wrong-from-logits" in {finding.name for finding in analyze(raised).findings}


def test_a_loss_below_that_of_right_answers_refutes_what_those_cost() -> None:
    known = {"chance_loss": 2.3, "perfect_loss": 1.5, "output_activation": "softmax", "num_classes": 10}
    logits = {"loss_name": "sparse_categorical_crossentropy", "from_logits": True}
    refuted, held = (analyze(valley(2.1, depth, **known, **logits)) for depth in (2.0, 0.5))
    assert refuted.first_problem is None or refuted.first_problem.name != "wrong-from-logits"
    assert held.first_problem is not None
    assert held.first_problem.name == "wrong-from-logits"


@pytest.mark.parametrize("depth", [1e6, 1e20])
def test_a_loss_that_falls_without_end_gets_no_rate_and_no_larger_one_to_try(depth: float) -> None:
    x = np.linspace(-7, 1, 100)
    loss = 0.05 * np.random.default_rng(0).standard_normal(x.size) - 10.0 ** (math.log10(depth) * (x + 2) / 3)
    analysis = analyze(LRCurve(lr=10.0**x, loss=loss, stop="end-lr", context=ScanContext(end_lr=10.0, start_lr=1e-7)))
    assert analysis.verdict.shape == "still-falling"
    assert analysis.suggestion.lr is None
    assert "no lowest value" in analysis.suggestion.reason
    assert analysis.search_range().low is None
    text = printed(analysis)
    assert "falls without end" in text
    assert "10 to 100 times larger" not in text
    assert "nothing to fix" not in text


def test_the_text_says_why_the_start_is_not_judged() -> None:
    assert "This loss can be below zero, so its start cannot be judged" in printed(analyze(EXAMPLES["minus Dice"]))
    unknown = analyze(valley(2.0, 1.0))
    assert "The chance level is unknown for this model" in printed(unknown)


def test_a_flat_start_below_zero_is_not_called_already_good() -> None:
    curve = synthetic_curve("monotone-from-pretrained")
    context = dataclasses.replace(curve.context, chance_loss=-0.1, loss_name="dice", num_classes=None)
    text = printed(analyze(dataclasses.replace(curve, loss=curve.loss - 2.0, context=context)))
    assert "There are two explanations." in text
    assert "starts out already good" not in text


@settings(max_examples=15)
@given(valley_curves(), st.floats(-6.0, 6.0), st.booleans())
def test_a_shift_below_zero_leaves_no_percentage_and_no_multiple_of_the_chance_level(
    curve: LRCurve, above: float, knows_chance: bool
) -> None:
    shift = 2.1 + abs(above)  # the chance level is 2, the start at most 2
    context = dataclasses.replace(FEW_SAMPLES, chance_loss=2.0 - shift if knows_chance else None)
    analysis = analyze(dataclasses.replace(curve, loss=curve.loss - shift, context=context), num_copies=3)
    text = printed(analysis)
    assert "%" not in text
    assert "times the chance level" not in text


@settings(max_examples=15)
@given(valley_curves(), st.floats(-10.0, 10.0))
def test_no_shift_prints_a_negative_ratio(curve: LRCurve, shift: float) -> None:
    context = dataclasses.replace(FEW_SAMPLES, chance_loss=2.0 + shift)
    analysis = analyze(dataclasses.replace(curve, loss=curve.loss + shift, context=context), num_copies=3)
    assert not re.search(r"-\d[\d.,]*( times|%)", printed(analysis))
    assert all((analysis.facts[ratio] or 0.0) >= 0 for ratio in RATIOS if ratio != "first_jump")


def test_above_zero_the_ratios_are_printed() -> None:
    text = printed(analyze(valley(2.0, 1.0, chance_loss=2.0)))
    assert "The loss starts at 1.0 times the chance level." in text
    assert "%" in text


def test_a_penalty_as_large_as_the_loss_makes_a_ratio_of_zero_and_not_a_negative_one() -> None:
    curve = valley(2.0, 0.0001, chance_loss=2.3, num_classes=10)
    context = dataclasses.replace(curve.context, regularization_loss=2.005)
    features = analyze(dataclasses.replace(curve, context=context)).features
    assert features.start_ratio == 0.0
    assert features.start_state == StartState.BETTER_THAN_CHANCE
    assert features.regularization_share == 1.0
    larger = dataclasses.replace(curve.context, regularization_loss=4.0)
    features = analyze(dataclasses.replace(curve, context=larger)).features
    assert features.start_ratio is None
    assert features.regularization_share is None


def test_the_lowest_loss_is_compared_with_the_chance_level_and_not_the_fall_with_the_start() -> None:
    curve = valley(1.0, 1.0, chance_loss=1.0)
    bump = 0.8 * np.exp(-((np.log10(curve.lr) + 5) ** 2))
    features = analyze(dataclasses.replace(curve, loss=curve.loss + 0.3 + bump)).features
    assert features.startup_bump is not None
    assert features.startup_bump > 0.2
    assert features.lowest_ratio == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_recoveries_below_zero_are_counted_wherever_zero_lies(level: float) -> None:
    loss = np.repeat([2.0, 1.0, 5.0, 1.0, 9.0], 10) - 3 - level
    assert Recoveries.of(loss).count(noise=0.01) == 1


@pytest.mark.parametrize(("last", "expected"), [(-5.0, 0.0), (40.0, None)])
def test_a_rise_before_nan_is_no_share_of_a_negative_start(last: float, expected: float | None) -> None:
    loss = np.full(60, -5.0) + 0.01 * np.random.default_rng(0).standard_normal(60)
    loss[29], loss[30:] = last, np.nan
    loss[0] = -5.0
    curve = LRCurve(lr=np.logspace(-7, 1, 60), loss=loss, stop="non-finite")
    assert analyze(curve).features.rise_before_nonfinite == expected
