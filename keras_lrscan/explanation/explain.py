"""Explains an analysis in text, for a reader who has never seen such a curve.

This module selects sentences, fills their slots and puts them in order. Most of the sentences stand beside the rules:
in `reading.shapes`, the tables of `causes`, `questions` and `glossary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.causes.scan_settings import CAUSES_OF_RANGE
from keras_lrscan.curves.context import EPOCH, chance_loss, is_classifier
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import unknown_option
from keras_lrscan.explanation.formulas import formulas
from keras_lrscan.explanation.glossary import with_terms_explained
from keras_lrscan.explanation.layout import text
from keras_lrscan.explanation.questions import QUESTIONS, answer
from keras_lrscan.formatting import format_loss, format_lr, slots_of
from keras_lrscan.reading.facts import EXPLODES, MEASURES
from keras_lrscan.reading.features import MIN_FOR_START, StartState, has_natural_zero
from keras_lrscan.reading.features import WORSE_THAN_CHANCE as MAX_CLOSE
from keras_lrscan.reading.shapes import MIN_DECADES, MIN_POINTS, NO_CONFIDENCE, SHAPE_RULES, TRAIT_RULES
from keras_lrscan.suggestions.suggest import format_suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keras_lrscan.causes.cause import Finding
    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["LEVELS", "STOPS", "Section", "explain", "sections", "summarize", "title"]

LEVELS = ("beginner", "expert")
"""Readers that a text can be written for."""

MAX_LIKELY = 3
"""Maximum number of causes listed with their evidence."""

MAX_OTHERS = 4
"""Maximum number of further causes listed with a check that would settle them."""

READING_GUIDE = (
    "This is a test of many learning rates, not your training. The learning rate sets how big a step the model takes "
    "after each batch, a handful of samples. {recorded} The loss measures how wrong the model is; lower is better."
)
RESTORED = " Then your model was restored to its state before the test."
"""Added for scans by this package; other tools may not restore the model."""
INVESTIGATE = "`scan.investigate(x, y)` runs many of these checks on the model itself and then restores it."
"""Added for scans by this package that leave a cause open."""
EXPLAINED = ("learning rate", "loss")
"""Terms that the reading guide explains."""

AT_CHANCE = (
    "The loss starts near {start_level}, close to {chance_loss}, the chance level. So the model has not learned this "
    "task yet."
)
AT_UNIFORM = (
    "The loss starts near {start_level}. That is above {chance_loss}, the chance level, but usual for a new model when "
    "some classes are rare. So the model has not learned this task yet."
)
BETTER_THAN_CHANCE = (
    "The loss starts near {start_level}, well below {chance_loss}, the chance level. So the model already knows this "
    "task."
)
WORSE_THAN_CHANCE = "The loss starts near {start_level}, above {chance_loss}, the chance level. "
START_WORDS: Mapping[tuple[StartState, bool], str] = MappingProxyType(
    {
        (StartState.AT_CHANCE, True): AT_CHANCE,
        (StartState.AT_CHANCE, False): AT_CHANCE,
        (StartState.BETTER_THAN_CHANCE, True): BETTER_THAN_CHANCE,
        (StartState.BETTER_THAN_CHANCE, False): BETTER_THAN_CHANCE,
        (StartState.WORSE_THAN_CHANCE, True): WORSE_THAN_CHANCE + "So the model starts out confident and wrong.",
        (StartState.WORSE_THAN_CHANCE, False): (
            WORSE_THAN_CHANCE + "That is common for a new model when the numbers to predict are far from zero."
        ),
    }
)
"""Start state, and whether the model is a classifier → sentences about the start."""

UNKNOWN_START = "The chance level is unknown for this model, so the start of the loss cannot be judged."
NO_ZERO = "This loss can be below zero, so its start cannot be judged as a share of the chance level."
OTHER_FIRST = (
    "The first recorded loss is {first_loss}. The start given here is the median of the smoothed loss over the first "
    "batches."
)
"""Added where the first recorded loss is far from the start of the smoothed curve."""
FAR_FROM_START = 0.1
"""Difference of the two, as a share of the start, or of the range of a loss that can be below zero."""

SCAN_AGAIN = "Then scan again: the points below apply to the model as it is now."

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

RULES = MappingProxyType({rule.code: rule for rule in SHAPE_RULES})
TRAITS = MappingProxyType({rule.name: rule for rule in TRAIT_RULES})
CODES_OF_RANGE = frozenset(cause.code for cause in CAUSES_OF_RANGE)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Holds one heading of an explanation and the points under it.

    Attributes:
        heading: The heading; empty for the opening paragraph.
        sentences: One string per point, each of one or a few sentences.
    """

    heading: str
    sentences: tuple[str, ...]


def title(analysis: PureAnalysis) -> str:
    """Returns the headline: the shape in words, with its name and code."""
    rule = RULES[analysis.verdict.code]
    return f"{rule.title[0].upper()}{rule.title[1:]} ({analysis.verdict.shape}, {rule.code})"


def sections(analysis: PureAnalysis, *, level: str = "beginner") -> tuple[Section, ...]:
    """Returns the explanation as sections, in reading order.

    Args:
        analysis: The analysis of a curve.
        level: One of `"beginner"`, which explains each term where it first appears, and `"expert"`, which adds every
            rule, weight and formula.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    if level not in LEVELS:
        raise unknown_option("level", level, LEVELS)
    slots = _slots(analysis)
    parts = [(heading, tuple(_fill(sentences, slots))) for heading, sentences in _parts(analysis)]
    if analysis.features.num_points >= MIN_FOR_START:
        parts.insert(-2, ("Questions people ask", tuple(_answers(analysis, slots))))
    if level == "expert":
        parts.insert(-2, ("Numbers and formulas", formulas(analysis)))
        return tuple(Section(heading=heading, sentences=said) for heading, said in parts if said)
    explained = set(EXPLAINED)
    return tuple(
        Section(heading=heading, sentences=with_terms_explained(said, explained)) for heading, said in parts if said
    )


def explain(analysis: PureAnalysis, *, level: str = "beginner") -> str:
    """Returns the explanation as text under fixed headings.

    Args:
        analysis: The analysis of a curve.
        level: One of `"beginner"`, which explains each term where it first appears, and `"expert"`, which adds every
            rule, weight and formula.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    parts = sections(analysis, level=level)
    return text(title(analysis), ((section.heading, section.sentences) for section in parts))


def summarize(analysis: PureAnalysis) -> str:
    """Returns what to fix first, the verdict, the suggestion and the next calls to make, in three lines."""
    verdict, suggestion, problem = analysis.verdict, analysis.suggestion, analysis.first_problem
    shape, state = RULES[verdict.code].title, str(verdict.start_state).replace("-", " ")
    confidence = "" if verdict.shape in NO_CONFIDENCE else f" confidence {verdict.confidence:.0%},"
    curve = f"{shape} ({verdict.shape}, {verdict.code}),{confidence} start: {state}."
    rate = format_suggestion(suggestion)
    third = "Explanation: print(keras_lrscan.last_scan().analysis.explain()). Plot: keras_lrscan.last_scan().plot()."
    if problem is None:
        second = suggestion.reason if rate is None else f"Suggested learning rate: {rate}. {suggestion.reason}"
        return f"LRScan: {curve}\n{second}\n{third}"
    until_then = f"Suggested until then: {rate}." if rate else "No rate is suggested until then."
    return f"LRScan: fix this first: {problem.title} ({problem.code})\nCurve: {curve} {until_then}\n{third}"


def _parts(analysis: PureAnalysis) -> Iterable[tuple[str, Iterable[str]]]:
    """Yields headings and sentences, with unfilled slots."""
    rule, verdict = RULES[analysis.verdict.code], analysis.verdict
    likely = [finding for finding in analysis.findings if finding.is_sure][:MAX_LIKELY]
    others = [finding for finding in analysis.findings if finding not in likely][:MAX_OTHERS]
    problems = [finding for finding in likely if finding.alarm]
    shown: set[str] = set()
    none_warranted = [analysis.suggestion.reason] if analysis.suggestion.lr is None else []
    context = analysis.curve.context
    yield "", [READING_GUIDE + (RESTORED if context.framework or context.loss_name else "")]
    yield (
        "What you see",
        [*rule.sees, OTHER_FIRST, *(TRAITS[name].says for name in verdict.traits), *_confidence(analysis)],
    )
    yield "What it means", [*_start(analysis), *rule.means]
    yield "Why (evidence)", [_escape_braces(_evidence(finding, shown)) for finding in likely]
    yield "What it does not mean", [*rule.is_not, *(finding.is_not for finding in likely[:1])]
    first = [
        _escape_braces(f"{word}: {finding.advice}")
        for word, finding in zip(("First", "Also", "Also"), problems, strict=False)
    ]
    then = [SCAN_AGAIN] if any(finding.code not in CODES_OF_RANGE for finding in problems) else []
    kind = [finding.advice for finding in likely[:1] if not problems]
    yield "What to try, in order", [*none_warranted, *first, *then, *rule.tries, *kind]
    open_ones = [_escape_braces(f"{finding.title} To check: {finding.to_check}") for finding in others]
    investigated = any(finding.status == CauseStatus.CONFIRMED for finding in analysis.findings)
    investigate = [INVESTIGATE] if open_ones and context.framework and not investigated else []
    yield "Could also be", [*open_ones, *investigate, *_ruled_out(analysis)]
    yield "About this record", [_escape_braces(note) for note in analysis.curve.context.notes]
    yield "Learn more", _further(analysis, likely)


def _confidence(analysis: PureAnalysis) -> list[str]:
    verdict = analysis.verdict
    if verdict.shape in NO_CONFIDENCE:
        return []
    says = f"Confidence in this shape: {verdict.confidence:.0%}."
    if analysis.features.num_points < MIN_POINTS:
        return [f"{says} It is low because the curve has fewer than {MIN_POINTS} points."]
    return [f"{says} That is the share of copies of this curve, each with new random noise, that get the same shape."]


def _start(analysis: PureAnalysis) -> list[str]:
    """Returns the sentence about the start, or none for a record of one or two losses."""
    state, ratio, context = analysis.verdict.start_state, analysis.features.start_ratio, analysis.curve.context
    if analysis.features.num_points < MIN_FOR_START:
        return []
    if state == StartState.UNKNOWN:
        return [UNKNOWN_START if has_natural_zero(analysis.curve) else NO_ZERO]
    if state == StartState.AT_CHANCE and ratio is not None and ratio > MAX_CLOSE:
        return [AT_UNIFORM]
    return [START_WORDS[state, is_classifier(context)]]


def _evidence(finding: Finding, shown: set[str]) -> str:
    """Returns a cause with its evidence, and adds the evidence to `shown` so that no sentence appears twice."""
    sure = "confirmed" if finding.status == CauseStatus.CONFIRMED else f"{finding.percent}% likely"
    seen = [sentence for sentence in finding.evidence if sentence not in shown]
    shown.update(seen)
    return " ".join([f"{finding.title.rstrip('.')} ({finding.code}, {sure}).", finding.means, *seen])


def _ruled_out(analysis: PureAnalysis) -> list[str]:
    names = [item.name for item in analysis.excluded if item.alarm and item.status == CauseStatus.RULED_OUT]
    listed = ", ".join(name.replace("-", " ") for name in names)
    return [f"Ruled out by the numbers: {listed}. The expert level shows those numbers."] if names else []


def _further(analysis: PureAnalysis, likely: list[Finding]) -> list[str]:
    codes = ", ".join(f"`lrscan explain {code}`" for code in (analysis.verdict.code, *(item.code for item in likely)))
    sources = dict.fromkeys(source for finding in likely[:1] for source in finding.sources)
    return [
        "One scan shows roughly how large a good learning rate is, not its exact value.",
        f"In the handbook: {codes}.",
        *(f"See {source}" for source in sources),
    ]


def _answers(analysis: PureAnalysis, slots: Mapping[str, str]) -> Iterable[str]:
    facts = analysis.facts
    for question in QUESTIONS:
        reply = answer(question, facts, slots)
        if reply is not None:
            yield f"{question.asks} {reply}"


def _slots(analysis: PureAnalysis) -> dict[str, str]:
    """Returns the slots whose values are known."""
    marks, suggestion = analysis.landmarks, analysis.suggestion
    slots = {"start_lr": format_lr(analysis.curve.lr[0]), **_slots_of_record(analysis)}
    for name in ("descent_start", "steepest", "minimum", "elbow"):
        mark = getattr(marks, name)
        if mark is not None:
            slots[f"{name}_lr"] = format_lr(mark.lr)
    exploded = EXPLODES.holds(analysis.facts)
    if exploded:
        slots["explosion"] = MEASURES["early_explosion"].show(analysis.features.early_explosion)
    start = None if marks.start is None else marks.start.loss
    losses = {
        "start_loss": float(analysis.curve.loss[0]) if exploded else start,
        "lowest_loss": None if marks.minimum is None else marks.minimum.loss,
        "end_loss": float(analysis.smoothed.loss[-1]) if analysis.smoothed.loss.size else None,
        "chance_loss": None
        if analysis.verdict.start_state == StartState.UNKNOWN
        else chance_loss(analysis.curve.context),
    }
    slots |= {name: format_loss(loss) for name, loss in losses.items() if loss is not None}
    slots |= _slots_of_start(analysis)
    if analysis.verdict.start_state == StartState.UNKNOWN:
        slots["unknown_start"] = ""
    for finding in reversed(analysis.findings):
        if finding.alarm and finding.is_sure:
            slots["test_problem" if finding.code in CODES_OF_RANGE else "problem"] = finding.title
    slots |= dict.fromkeys(_short_of(analysis), "")
    rate = format_suggestion(suggestion)
    if rate is not None:
        slots |= {"suggestion": rate, "reason": suggestion.reason}
    return slots


def _short_of(analysis: PureAnalysis) -> Iterable[str]:
    """Yields the empty slots of the sentences on a curve with few points or a narrow range of rates."""
    from_picture = analysis.curve.context.from_picture  # which shows no number of batches
    has_ended = analysis.curve.stop == StopReason.NON_FINITE  # no other range or number of batches changes that
    if analysis.features.decades < MIN_DECADES and not has_ended:
        yield "narrow_range"
    if analysis.features.num_points < MIN_POINTS and not from_picture:
        in_epochs = analysis.curve.context.averaged_over == EPOCH
        yield "few_epochs" if in_epochs else "few_points"
        if not in_epochs and not has_ended:
            yield "few_batches"


def _slots_of_record(analysis: PureAnalysis) -> dict[str, str]:
    """Returns the slots about the recorded rates, of which a sentence about another number of rates has none."""
    curve, slots = analysis.curve, {}
    first, last, num = format_lr(curve.lr[0]), format_lr(curve.lr[-1]), len(curve)
    in_epochs = curve.context.averaged_over == EPOCH
    loss, unit, units = ("mean loss", "epoch", "epochs") if in_epochs else ("loss", "batch", "batches")
    if curve.stop in STOPS:
        slots["stop_reason"] = STOPS[curve.stop]
    if num == 1:
        recorded = f"The test recorded the {loss} of a single {unit}, at a rate of {first}."
        return slots | {"only_lr": first, "recorded": recorded}
    if first == last:
        recorded = f"The test recorded the {loss} of {num} {units}, all at rates close to {first}."
        return slots | {"num_points_at_one_rate": str(num), "recorded": recorded}
    recorded = f"The test raised it from {first} to {last} and recorded the loss of every batch."
    if in_epochs:
        recorded = (
            f"The test raised it from {first} to {last}, with one epoch at each rate, and each point is the mean loss "
            "of one epoch."
        )
    if curve.context.from_picture:
        recorded = f"The picture shows the loss while the test raised the rate from {first} to {last}."
    return slots | {"last_lr": last, "num_points": str(num), "recorded": recorded}


def _slots_of_start(analysis: PureAnalysis) -> dict[str, str]:
    """Returns the start with and without regularization, and the first loss if it is far from the start."""
    curve, start = analysis.curve, analysis.landmarks.start
    if start is None or analysis.features.num_points < MIN_FOR_START:
        return {}
    first = float(curve.loss[np.isfinite(curve.loss)][0])
    level = first if EXPLODES.holds(analysis.facts) else start.loss
    whole, without = format_loss(level), format_loss(level - (curve.context.regularization_loss or 0.0))
    slots = {"start_level": whole if without == whole else f"{without} ({whole} with regularization)"}
    size = abs(start.loss) if has_natural_zero(curve) else float(np.ptp(analysis.smoothed.loss))
    if abs(first - level) > FAR_FROM_START * size:
        slots["first_loss"] = format_loss(first)
    return slots


def _escape_braces(sentence: str) -> str:
    """Returns the sentence with its braces doubled, so that `str.format` keeps them."""
    return sentence.replace("{", "{{").replace("}", "}}")


def _fill(sentences: Iterable[str], slots: Mapping[str, str]) -> Iterable[str]:
    """Fills and yields the sentences whose slots are all known."""
    for sentence in sentences:
        if slots_of(sentence) <= set(slots):
            yield sentence.format_map(slots).strip()
