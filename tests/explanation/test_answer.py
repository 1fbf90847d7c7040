"""Tests the answer at the top of an explanation: its order, its length, and its conditions."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from keras_lrscan import Analysis, LRCurve, StopReason, analyze
from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.explanation.answer import MAX_LINES, STOPS, answer_lines, title
from keras_lrscan.explanation.explain import MAX_LINES as MAX_SHORT_LINES
from keras_lrscan.explanation.layout import WIDTH
from keras_lrscan.explanation.slots import slots_for
from keras_lrscan.reading.shapes import SHAPE_RULES
from tests.support.catalog import PAIRS
from tests.support.strategies import any_curves

if TYPE_CHECKING:
    from keras_lrscan.causes.cause import Cause
    from keras_lrscan.reading.shapes import ShapeRule


def lines_of(analysis: Analysis) -> list[str]:
    """Returns the printed lines of the answer, with the headline."""
    headline, rest = analysis.explain().split("\n\n", 1)
    return [headline, *rest.split("\n\n")[0].splitlines()]


def answers(curve: LRCurve) -> tuple[str, ...]:
    analysis = analyze(curve, num_copies=3)
    return answer_lines(analysis, slots_for(analysis))


@given(any_curves())
def test_the_answer_to_any_curve_has_at_most_six_lines_in_a_fixed_order(curve: LRCurve) -> None:
    analysis = analyze(curve, num_copies=3)
    problem, rate, step, stop = answer_lines(analysis, slots_for(analysis))
    assert len(lines_of(analysis)) <= MAX_LINES
    assert problem.startswith("Problem")
    assert rate.startswith("Learning rate")
    assert step.startswith("Next: ")
    assert stop.startswith("The test stopped because ") or curve.stop == StopReason.UNKNOWN


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause.alarm], ids=lambda cause: cause.code)
def test_the_answer_has_at_most_six_lines_with_any_problem(cause: Cause) -> None:
    analysis = analyze(PAIRS[cause.code][0], num_copies=3)
    finding = next(item for item in analysis.findings if item.code == cause.code)
    for status in (CauseStatus.LIKELY, CauseStatus.CONFIRMED):
        first = dataclasses.replace(finding, status=status, likelihood=0.99)
        found = dataclasses.replace(analysis, findings=(first, *analysis.findings))
        wrapped = [textwrap.wrap(line, WIDTH) for line in answer_lines(found, slots_for(found))]
        assert 1 + sum(map(len, wrapped)) <= MAX_LINES


@pytest.mark.parametrize("rule", SHAPE_RULES, ids=lambda rule: rule.code)
def test_each_headline_fits_into_one_line(rule: ShapeRule) -> None:
    analysis = analyze(PAIRS[rule.code][0], num_copies=10)
    assert len(title(analysis)) <= WIDTH


@pytest.mark.parametrize("code", PAIRS)
def test_the_shortest_text_fits_on_one_screen(code: str) -> None:
    for curve in PAIRS[code]:
        text = analyze(curve, num_copies=3).explain()
        assert text.count("\n") <= MAX_SHORT_LINES
        assert max(map(len, text.splitlines())) <= WIDTH


@pytest.mark.parametrize("stop", StopReason)
def test_the_end_of_the_test_has_its_reason(stop: StopReason) -> None:
    said = answers(dataclasses.replace(synthetic_curve("u-shaped"), stop=stop))[-1]
    expected = f"The test stopped because {STOPS[stop]}." if stop in STOPS else "The record does not say why"
    assert said.startswith(expected)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"framework": "keras 3.15.1", "optimizer_lr": 0.001}, "`model.optimizer.learning_rate = 0.02`"),
        (
            {"framework": "keras 3.15.1", "optimizer_lr": 0.001, "optimizer_path": "model.d_optimizer"},
            "`model.d_optimizer.learning_rate = 0.02`",
        ),
        ({"framework": "keras 3.15.1", "optimizer_iterations": 0}, "use 0.02 in your learning-rate schedule"),
        ({"framework": "tf_keras 2.21.0, ktrain", "optimizer_lr": 0.001}, "`learner.fit(0.02, 3)`"),
        ({"framework": None}, "train with a learning rate of 0.02"),
    ],
)
def test_the_next_step_says_where_the_number_goes(facts: dict[str, Any], expected: str) -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, **facts)
    step = answers(dataclasses.replace(curve, context=context))[2]
    assert expected in step


def test_with_a_problem_the_next_step_is_to_fix_it() -> None:
    curve = PAIRS["LRS305"][0]
    context = dataclasses.replace(curve.context, labels_follow_inputs=False)
    problem, rate, step, _ = answers(dataclasses.replace(curve, context=context))
    assert problem.endswith("or the link between them is too hard to find in so short a test.")
    assert rate == "Learning rate: none until that is fixed."
    assert step == "Next: Check that inputs and labels belong together, and how labels are encoded."


def test_a_flat_start_of_unknown_height_is_to_be_checked_before_training() -> None:
    curve = synthetic_curve("monotone-from-pretrained")
    unknown = LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop)
    assert answers(unknown)[2].startswith("Next: check the accuracy before any training.")


def test_an_output_that_drowns_another_is_the_first_problem() -> None:
    curve = synthetic_curve("u-shaped")
    unequal = dataclasses.replace(curve.context, output_loss_ratio=3e10)
    problem, _, step, _ = answers(dataclasses.replace(curve, context=unequal))
    assert problem == "Problem: likely. One output has 30,000,000,000 times the loss of another, which hardly counts."
    assert step.startswith("Next: scale the larger targets")


def test_a_penalty_that_outweighs_the_error_is_the_first_problem() -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, regularization_loss=100.0)
    problem, rate, step, _ = answers(dataclasses.replace(curve, loss=curve.loss + 100.0, context=context))
    assert problem == "Problem: likely. 98% of the loss is the penalty on the weights (regularization)."
    assert rate.startswith("Learning rate until that is fixed: about ")
    assert step == "Next: use a regularization ten times weaker, then scan again."


def test_a_rise_that_another_optimizer_can_cause_has_no_rate() -> None:
    for shape, has_rate in (("monotone-from-pretrained", False), ("u-shaped", True)):
        curve = synthetic_curve(shape)
        context = dataclasses.replace(curve.context, framework="keras 3.15.1", num_other_optimizers=1)
        analysis = analyze(dataclasses.replace(curve, context=context))
        assert (analysis.suggestion.lr is not None) == has_rate
        assert ("set the learning rates of the other optimizers to 0" in analysis.explain()) == (not has_rate)


def test_a_loss_that_falls_far_beyond_usual_rates_needs_no_wider_scan() -> None:
    curve = synthetic_curve("still-falling")
    assert curve.lr[-1] >= 5
    for optimizer, is_beyond in (("Adam", True), ("SGD", False)):
        context = dataclasses.replace(curve.context, optimizer=optimizer)
        text = " ".join(analyze(dataclasses.replace(curve, context=context)).explain().split())
        assert ("Do not scan further: 10 is far beyond the usual rates" in text) == is_beyond
        assert ("Scan again with an `end_lr` 10 to 100 times larger" in text) != is_beyond


def test_small_sample_weights_are_named_where_gradient_descent_stays_flat() -> None:
    curve = synthetic_curve("flat")
    for optimizer, is_told in (("SGD", True), ("Adam", False)):
        context = dataclasses.replace(curve.context, optimizer=optimizer, mean_weight=8e-4)
        text = " ".join(analyze(dataclasses.replace(curve, context=context)).explain().split())
        assert ("Divide the sample weights by their mean, 0.0008: such" in text) == is_told


def test_a_test_of_many_passes_is_not_said_to_be_too_short_to_memorize() -> None:
    curve = synthetic_curve("monotone-from-pretrained")
    for passes, is_told in ((2, True), (40, False)):
        context = dataclasses.replace(curve.context, num_samples=64, batch_size=64 * passes // 100 or 1)
        text = " ".join(analyze(dataclasses.replace(curve, context=context)).explain(level="full").split())
        assert ("It is not overfitting" in text) == is_told
        assert ("This test is far too short for that" in text) == is_told


def test_the_end_of_a_flat_curve_is_told_as_it_was() -> None:
    x = np.linspace(-7, 1, 100)
    loss = np.where(x < -3, 2.3 + 0.01 * np.sin(40 * x), np.nan)
    text = analyze(LRCurve(lr=10.0**x, loss=loss, stop=StopReason.NON_FINITE), num_copies=3).explain()
    assert "then turns NaN or infinite after about" in " ".join(text.split())


def test_weights_that_are_lost_at_once_are_the_problem_and_not_the_short_curve() -> None:
    curve = LRCurve(lr=[1e-7], loss=[2.4], stop=StopReason.NON_FINITE_WEIGHTS)
    problem, _, step, _ = answers(curve)
    assert problem == "Problem: likely. Weights became NaN or infinite while the loss was still finite."
    assert step.startswith("Next: look at the inputs of these weights.")


def test_a_step_is_not_named_twice() -> None:
    curve = synthetic_curve("still-falling")
    kept = curve.lr < 1e-2
    context = dataclasses.replace(curve.context, optimizer="SGD", start_lr=1e-7, end_lr=1e-2)
    short = dataclasses.replace(
        curve, lr=curve.lr[kept], loss=curve.loss[kept], stop=StopReason.END_LR, context=context
    )
    analysis = analyze(short)
    assert any(finding.name == "range-too-low" and finding.is_sure for finding in analysis.findings)
    text = " ".join(analysis.explain().partition("What to try")[2].split())
    assert text.count("Scan again with an `end_lr` 10 to 100 times larger") == 1
