"""Answers first: states in at most six lines what a scan shows, and what to do next.

The lines are the headline, whether something is wrong, the learning rate or why there is none, what to do next, and why
the test stopped. They stand alone, so whoever reads only them is not misled.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.curves.context import KTRAIN
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.explanation.layout import WIDTH
from keras_lrscan.explanation.outputs import differing_outputs, highest
from keras_lrscan.explanation.questions import BETTER, Answer, Question, answer
from keras_lrscan.formatting import format_lr, slots_of
from keras_lrscan.reading.facts import (
    CALM_START,
    FALLS,
    MEASURES,
    NO_FALL,
    NO_FLOOR,
    NO_RISE,
    Condition,
    is_false,
    is_true,
)
from keras_lrscan.reading.shapes import SHAPE_RULES, Shape
from keras_lrscan.reading.start_state import StartState
from keras_lrscan.suggestions.suggest import format_suggestion, why_hidden, why_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keras_lrscan.curves.context import ScanContext
    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["MAX_LINES", "RULES", "SENTENCE_END", "STOPS", "answer_lines", "title"]

MAX_LINES = 6
"""Largest number of printed lines of the answer, the headline included."""

RULES = MappingProxyType({rule.code: rule for rule in SHAPE_RULES})
"""Code → its shape."""

STOPS: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.DIVERGED: "the loss had risen for good",
        StopReason.NON_FINITE: "the loss of a batch was NaN or infinite",
        StopReason.NON_FINITE_WEIGHTS: "a weight became NaN or infinite",
        StopReason.END_LR: "it reached the last planned learning rate",
        StopReason.OUT_OF_BATCHES: "training ran out of batches",
        StopReason.INTERRUPTED: "it was interrupted",
    }
)
"""Reason for the end of a scan → its words."""

UNREADABLE = Condition("shape", "in", (Shape.NOISY, Shape.UNCLEAR, Shape.TOO_SHORT))

UNEQUAL_OUTPUTS = Condition("output_loss_ratio", ">=", 1e4)
"""In the sum of all losses, that of one output is then below the noise of another."""

OUTWEIGHED = Condition("regularization_share", ">=", 0.9)
"""With such a penalty, a classifier of digits stays below half of its accuracy, at any rate."""

PROBLEM = Question(
    asks="Problem",
    answers=(
        Answer(says=" ({sure}): {first_problem}"),
        Answer(says="{averaged}: in the record. It holds averages, which hide part of the curve."),
        Answer(
            when=(Condition("stop", "==", StopReason.NON_FINITE_WEIGHTS), NO_FALL),
            says=": likely. Weights became NaN or infinite while the loss was still finite.",
        ),
        Answer(when=(NO_FLOOR,), says=": not known. This loss falls without end at large rates, which is no learning."),
        Answer(when=(UNREADABLE,), says=": not known. This curve is {unreadable}."),
        Answer(
            when=(Condition("shape", "==", Shape.FALLS_TO_CHANCE),),
            says=": likely. The loss ends at the cost of guessing.",
        ),
        Answer(
            when=(UNEQUAL_OUTPUTS,),
            says=": likely. One output has {output_loss_ratio} times the loss of another, which hardly counts.",
        ),
        Answer(
            when=(OUTWEIGHED,),
            says=": likely. {regularization_share} of the loss is the penalty on the weights (regularization).",
        ),
        Answer(
            when=(FALLS, CALM_START, is_false("learns")),
            says=": not known. The loss falls, but nothing shows yet that the model learns.",
        ),
        Answer(
            when=(NO_FALL, BETTER),
            says=": none found. The model already knows this task, so there is little to gain.",
        ),
        Answer(when=(FALLS, CALM_START, is_true("learns")), says=": none found. The loss falls, so the model learns."),
        Answer(when=(FALLS, CALM_START), says=": none found. The loss falls."),
        Answer(
            when=(NO_FALL, Condition("start_state", "==", StartState.MIXED)),
            says=": perhaps. Some outputs start no better than guessing, and the loss never falls.",
        ),
        Answer(when=(NO_FALL, NO_RISE), says=": perhaps. No rate in this test changed the loss clearly."),
        Answer(
            when=(NO_FALL, Condition("start_state", "==", StartState.UNKNOWN)),
            says=": not known. A good model and one that learns nothing give this same curve.",
        ),
        Answer(when=(NO_FALL,), says=": perhaps. No rate in this test made the loss fall clearly."),
        Answer(says=": perhaps. The first rates already break the model."),
    ),
)
"""Whether something is wrong, as the continuation of one word."""

RATE = "Learning rate: {suggestion}."
RATE_UNTIL_THEN = "Learning rate until that is fixed: {suggestion}."
NO_RATE_UNTIL_THEN = "Learning rate: none until that is fixed."
NO_RATE = "Learning rate: none; {why}"
NO_TREND = "the curve has no clear fall or rise to read it from."

ASSIGN = "Next: `{optimizer}.learning_rate = {lr}`, then train with `model.fit(...)`."
SCHEDULE = "Next: use {lr} in your learning-rate schedule, compile again, and train."
LEARNER = "Next: `learner.fit({lr}, 3)` trains for 3 epochs at that rate."
BATCH_LOSSES = "Next: scan again with `LRScan`, which records the loss of each batch alone."
ANY_TOOL = "Next: train with a learning rate of {lr}."
FIRST_CHECK = "Next: check the accuracy before any training. If it is good, use {lr}; if not, look for a mistake."
OTHER_SIGN = "Next: watch a metric with a lowest value. If the loss should not fall below zero, look at its sign."
ONE_OUTPUT = 'Next: scan again with `LRScan(monitor="{name}_loss")`, to see `{name}` alone.'
EQUAL_OUTPUTS = "Next: scale the larger targets to about -1 to 1, or change `loss_weights`. Then scan again."
ALONE = "Next: set the learning rates of the other optimizers to 0 for the scan, and scan again."
LESS_PENALTY = "Next: use a regularization ten times weaker, then scan again."
LOOK_FOR_NAN = "Next: look for NaN in the data and in the loss function, then scan again."
LOOK_AT_WEIGHTS = "Next: look at the inputs of these weights. Zeros alone make some optimizers divide by zero."
"""The next step: where the rate goes (optimizer, schedule, another tool), or what to check before that."""

DOUBTFUL = frozenset({Shape.NOISY, Shape.UNCLEAR, Shape.FLAT, Shape.FLAT_AT_CHANCE})
"""Shapes after which something else comes before training at a suggested rate."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
"""Space between two sentences."""


def title(analysis: PureAnalysis) -> str:
    """Returns the headline: the shape in words, with its name and code."""
    rule = RULES[analysis.verdict.code]
    return f"{rule.title[0].upper()}{rule.title[1:]} ({analysis.verdict.shape}, {rule.code})"


def answer_lines(analysis: PureAnalysis, slots: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the answer below the headline: the problem, the rate, the next step, and the reason for the end.

    Args:
        analysis: The analysis of a curve.
        slots: Words and numbers for the sentences of its shape.
    """
    return (_problem(analysis), _rate(analysis), _next(analysis, slots), _stop(analysis))


def _problem(analysis: PureAnalysis) -> str:
    problem, slots = analysis.first_problem, {}
    if problem is not None:
        sure = "confirmed" if problem.status == CauseStatus.CONFIRMED else f"{problem.percent}% likely"
        slots = {"sure": sure, "first_problem": problem.title}
    if analysis.holds_averages:
        slots["averaged"] = ""
    if UNEQUAL_OUTPUTS.holds(analysis.facts):
        slots["output_loss_ratio"] = MEASURES["output_loss_ratio"].show(analysis.facts["output_loss_ratio"])
    if OUTWEIGHED.holds(analysis.facts):
        slots["regularization_share"] = MEASURES["regularization_share"].show(analysis.facts["regularization_share"])
    slots["unreadable"] = RULES[analysis.verdict.code].title.replace("no clear shape", "too unclear to read")
    return f"{PROBLEM.asks}{answer(PROBLEM, analysis.facts, slots)}"


def _rate(analysis: PureAnalysis) -> str:
    rate = format_suggestion(analysis.suggestion, at_most=analysis.holds_averages)
    if rate is not None:
        has_problem = analysis.first_problem is not None or any(
            fault.holds(analysis.facts) for fault in (UNEQUAL_OUTPUTS, OUTWEIGHED)
        )
        return (RATE_UNTIL_THEN if has_problem else RATE).format(suggestion=rate)
    hidden = why_hidden(analysis, analysis.findings)
    if hidden is not None and analysis.first_problem is not None:
        return NO_RATE_UNTIL_THEN
    return NO_RATE.format(why=why_none(analysis.verdict.shape, analysis.curve.context) or hidden or NO_TREND)


def _next(analysis: PureAnalysis, slots: Mapping[str, str]) -> str:
    """Returns the next step: to fix the first problem, to train at the rate, or to look for the reason for none."""
    context, lr, shape = analysis.curve.context, analysis.suggestion.lr, analysis.verdict.shape
    if analysis.first_problem is not None:
        step = f"Next: {SENTENCE_END.split(analysis.first_problem.advice)[0]}"
        again = f"{step} Then scan again."
        return again if len(again) <= WIDTH and "scan" not in step.lower() else step
    known = _known_fault(analysis)
    if known is not None:
        return known
    if lr is None or shape in DOUBTFUL:
        tries = (said for said in RULES[analysis.verdict.code].tries if slots_of(said) <= set(slots))
        first = next(tries, None)
        return LOOK_FOR_NAN if first is None else f"Next: {SENTENCE_END.split(first.format_map(slots))[0]}"
    state = analysis.verdict.start_state
    if shape == Shape.MONOTONE_FROM_PRETRAINED and state == StartState.UNKNOWN:
        return FIRST_CHECK.format(lr=format_lr(lr))
    if shape == Shape.MONOTONE_FROM_PRETRAINED and state == StartState.MIXED:
        return ONE_OUTPUT.format(name=highest(differing_outputs(analysis)))
    return _place(context).format(lr=format_lr(lr), optimizer=context.optimizer_path or "model.optimizer")


def _known_fault(analysis: PureAnalysis) -> str | None:
    """Returns the step after a fault that is no cause: in the record, in the outputs, or in the weights."""
    context, stop = analysis.curve.context, analysis.curve.stop
    has_rate, family = analysis.suggestion.lr is not None, optimizer_family(context.optimizer)
    faults = (
        (analysis.holds_averages, BATCH_LOSSES),
        (UNEQUAL_OUTPUTS.holds(analysis.facts), EQUAL_OUTPUTS),
        (OUTWEIGHED.holds(analysis.facts), LESS_PENALTY),
        (NO_FLOOR.holds(analysis.facts), OTHER_SIGN),
        (bool(context.num_other_optimizers) and not has_rate, ALONE),
        (bool(family.why_no_rate), f"Next: {family.instead}"),
        (stop == StopReason.NON_FINITE_WEIGHTS and not has_rate, LOOK_AT_WEIGHTS),
    )
    return next((step for holds, step in faults if holds), None)


def _place(context: ScanContext) -> str:
    """Returns the sentence that says where a rate goes."""
    if context.framework is None:
        return ANY_TOOL
    if context.framework.endswith(KTRAIN):
        return LEARNER
    has_schedule = context.optimizer_lr is None and context.optimizer_iterations is not None
    return SCHEDULE if has_schedule else ASSIGN


def _stop(analysis: PureAnalysis) -> str:
    stop = analysis.curve.stop
    return (
        f"The test stopped because {STOPS[stop]}." if stop in STOPS else "The record does not say why the test ended."
    )
