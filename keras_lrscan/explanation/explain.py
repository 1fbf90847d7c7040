"""Explains an analysis in text, for a reader who has never seen such a curve.

This module selects sentences, fills their slots and puts them in order. Most of the sentences stand beside the rules:
in `reading.shapes`, the tables of `causes`, `questions` and `glossary`. `answer` has the first lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.curves.context import is_classifier
from keras_lrscan.errors import unknown_option
from keras_lrscan.explanation.answer import RULES, SENTENCE_END, answer_lines, title
from keras_lrscan.explanation.formulas import formulas
from keras_lrscan.explanation.glossary import with_terms_explained
from keras_lrscan.explanation.layout import text
from keras_lrscan.explanation.levels import BEGINNER, EXPERT, LEVELS
from keras_lrscan.explanation.outputs import differing_outputs, starts_in_words
from keras_lrscan.explanation.questions import QUESTIONS, answer
from keras_lrscan.explanation.slots import CODES_OF_RANGE, escape_braces, fill, slots_for, starts_by_luck
from keras_lrscan.formatting import slots_of
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.references import has_natural_zero
from keras_lrscan.reading.shapes import MIN_POINTS, NO_CONFIDENCE
from keras_lrscan.reading.start_state import WORSE_THAN_CHANCE as WORSE_THAN_CHANCE_RATIO
from keras_lrscan.reading.start_state import StartState
from keras_lrscan.reading.traits import TRAIT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keras_lrscan.causes.cause import Finding
    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["Section", "explain", "sections", "summarize"]

MAX_LINES = 40
"""Largest number of printed lines of the shortest text, which fits on one screen."""

MAX_LIKELY = 3
"""Maximum number of causes listed with their evidence."""

MAX_OTHERS = 4
"""Maximum number of further causes listed with a check that would settle them."""

MAX_EVIDENCE = 3
"""Maximum number of sentences of evidence for each cause in the shortest text: those with the largest weights."""

READING_GUIDE = (
    "This is a test of many learning rates, not your training. The learning rate sets how big a step the model takes "
    "{after}. {recorded} The loss measures how wrong the model is; lower is better."
)
RESTORED = " Then your model was restored to its state before the test."
"""Added for scans by this package; other tools may not restore the model."""
INVESTIGATE = "`scan.investigate(x, y)` runs many of these checks on the model itself and then restores it."
"""Added for scans by this package that leave a cause open."""
EXPLAINED = ("learning rate", "loss")
"""Terms that the reading guide explains."""

NO_BETTER = "So, at the start, the model does no better than guessing."
AT_CHANCE = "The loss starts near {start_level}, close to {chance_loss}, the chance level. " + NO_BETTER
ABOVE_CHANCE = (
    "The loss starts near {start_level}, somewhat above {chance_loss}, the chance level, as that of new models often "
    "does. " + NO_BETTER
)
AT_UNIFORM = (
    "The loss starts near {start_level}. That is above {chance_loss}, the chance level, but usual for a new model, "
    "which does not know yet how frequent each answer is. " + NO_BETTER
)
BETTER_THAN_CHANCE = (
    "The loss starts near {start_level}, well below {chance_loss}, the chance level. So the model already knows "
    "something about this task."
)
BETTER_WITHOUT_SIGNS = (
    "The loss starts near {start_level}, well below {chance_loss}, the chance level. No layer shows signs of training, "
    "so this may be luck. Otherwise the model already knows something about this task."
)
WORSE_THAN_CHANCE = "The loss starts near {start_level}, above {chance_loss}, the chance level. "
START_WORDS: Mapping[tuple[StartState, bool], str] = MappingProxyType(
    {
        (StartState.AT_CHANCE, True): AT_CHANCE,
        (StartState.AT_CHANCE, False): AT_CHANCE,
        (StartState.BETTER_THAN_CHANCE, True): BETTER_THAN_CHANCE,
        (StartState.BETTER_THAN_CHANCE, False): BETTER_THAN_CHANCE,
        (StartState.WORSE_THAN_CHANCE, True): WORSE_THAN_CHANCE + "So its first answers are worse than guessing.",
        (StartState.WORSE_THAN_CHANCE, False): (
            WORSE_THAN_CHANCE + "That is common for a new model whose first predictions are far from the targets."
        ),
    }
)
"""Start state, and whether the model is a classifier → sentences about the start."""

OUTPUTS_DIFFER = (
    "The total loss starts near {start_level} (chance level: {chance_loss}), but the outputs start differently. "
)
"""Said before the starts of the outputs, in place of a sentence about the start of the whole model."""

CLOSE = 1.15
"""Largest ratio of a start to the chance level that is called close to it."""

UNKNOWN_START = "The chance level is unknown for this model, so the start of the loss cannot be judged."
STARTS_BY_LUCK = (
    "The loss starts near {start_level}, which is below the loss of a constant prediction over all data, "
    "{constant_loss}. No layer shows signs of training, so this is luck: the first weights happen to help, or the "
    "first batches are easier than the rest, as when a few samples with very large losses are missing from them."
)
NO_ZERO = "This loss can be below zero, so its start cannot be judged as a share of the chance level."
OTHER_FIRST = (
    "The first recorded loss is {first_loss}. The start given here is the median of the smoothed loss over the first "
    "batches."
)
"""Added where the first recorded loss is far from the start of the smoothed curve."""

SCAN_AGAIN = "Then scan again. Any points below are about the model as it is now."
MORE = '`explain(level="full")` adds other causes to check, those ruled out, and answers to common questions.'

SUMMARY_MORE = "Explanation: print(keras_lrscan.last_scan().analysis.explain()). Plot: keras_lrscan.last_scan().plot()."

SEES, WHY, IS_NOT, TRY, RECORD = (
    "What you see",
    "Why (evidence)",
    "What it does not mean",
    "What to try, in order",
    "About this record",
)
SHORTENED = (SEES, IS_NOT, TRY, WHY, RECORD)
"""Sections of the shortest text, in the order in which sentences after the first are left out until it fits.

The answer has the first thing to try already, so that section can be left out altogether.
"""

TRAITS = MappingProxyType({rule.name: rule for rule in TRAIT_RULES})


@dataclass(frozen=True, kw_only=True)
class Section:
    """Holds one heading of an explanation and the points under it.

    Attributes:
        heading: The heading; empty for the opening paragraph.
        sentences: One string per point, each of one or a few sentences.
    """

    heading: str
    sentences: tuple[str, ...]


def sections(analysis: PureAnalysis, *, level: str = BEGINNER) -> tuple[Section, ...]:
    """Returns the explanation as sections, in reading order; the first is the answer and has no heading.

    Args:
        analysis: The analysis of a curve.
        level: One of `"beginner"`, at most 40 lines; `"full"`, everything in words; and `"expert"`, which adds every
            rule, weight and formula. The first two explain each term where it first appears.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    if level not in LEVELS:
        raise unknown_option("level", level, LEVELS)
    slots = slots_for(analysis)
    first = Section(heading="", sentences=answer_lines(analysis, slots))
    if level == BEGINNER:
        return _shortened(first, _filled(_short_parts(analysis), slots), title(analysis))
    parts = _filled(_parts(analysis), slots)
    if analysis.features.num_points >= MIN_FOR_START:
        parts.insert(-2, ("Questions people ask", tuple(_answers(analysis, slots))))
    if level == EXPERT:
        parts.insert(-2, ("Numbers and formulas", formulas(analysis)))
        return (first, *(Section(heading=heading, sentences=said) for heading, said in parts if said))
    return (first, *_explained(parts))


def explain(analysis: PureAnalysis, *, level: str = BEGINNER) -> str:
    """Returns the explanation as text: the answer first, then the rest under fixed headings.

    Args:
        analysis: The analysis of a curve.
        level: One of `"beginner"`, at most 40 lines; `"full"`, everything in words; and `"expert"`, which adds every
            rule, weight and formula. The first two explain each term where it first appears.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    return _laid_out(title(analysis), sections(analysis, level=level))


def summarize(analysis: PureAnalysis, *, more: str = SUMMARY_MORE) -> str:
    """Returns the answer in three lines: shape and problem, rate and next step, and why the test stopped.

    Args:
        analysis: The analysis of a curve.
        more: Where to find the explanation and the plot, at the end of the third line.
    """
    problem, rate, step, stop = answer_lines(analysis, slots_for(analysis))
    return f"LRScan: {title(analysis)}. {problem}\n{rate} {step}\n{stop} {more}"


def _laid_out(headline: str, parts: Iterable[Section]) -> str:
    return text(headline, ((section.heading, section.sentences) for section in parts))


def _filled(parts: Iterable[tuple[str, Iterable[str]]], slots: Mapping[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(heading, tuple(fill(sentences, slots))) for heading, sentences in parts]


def _explained(parts: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[Section, ...]:
    """Returns the sections with sentences, with each term explained where it first appears."""
    explained = set(EXPLAINED)
    return tuple(
        Section(heading=heading, sentences=with_terms_explained(said, explained)) for heading, said in parts if said
    )


def _shortened(first: Section, parts: list[tuple[str, tuple[str, ...]]], headline: str) -> tuple[Section, ...]:
    """Leaves out the last sentences of sections until the text fits on one screen."""
    while True:
        found = (first, *_explained(parts))
        sizes = {heading: len(said) - (heading != TRY) for heading, said in parts}
        longest = next((heading for heading in SHORTENED if sizes.get(heading, 0) > 0), None)
        if longest is None or _laid_out(headline, found).count("\n") <= MAX_LINES:
            return found
        parts = [(heading, said[:-1] if heading == longest else said) for heading, said in parts]


def _short_parts(analysis: PureAnalysis) -> Iterable[tuple[str, Iterable[str]]]:
    """Yields headings and sentences of the shortest text, with unfilled slots."""
    rule, verdict = RULES[analysis.verdict.code], analysis.verdict
    likely = [finding for finding in analysis.findings if finding.is_sure]
    shown: set[str] = set()
    yield "How to read it", [_guide(analysis)]
    yield SEES, [*rule.sees, *(TRAITS[name].says for name in verdict.traits), *_confidence(analysis)]
    reasons = [escape_braces(_evidence(finding, shown, MAX_EVIDENCE)) for finding in likely[: MAX_LIKELY - 1]]
    yield WHY, [*reasons, *_start(analysis)] if analysis.holds_averages else [*_start(analysis), *reasons]
    yield IS_NOT, [*rule.is_not[:2], *_wrong_conclusions(likely)]
    tries = [said for said in rule.tries if "suggestion" not in slots_of(said)]
    yield TRY, [*_fixes(likely[:MAX_LIKELY]), *_kind(likely), *_unsaid(tries, likely[:MAX_LIKELY])]
    yield RECORD, [escape_braces(note) for note in analysis.curve.context.notes]
    yield "Learn more", [MORE, _handbook(analysis, likely[:1])]


def _parts(analysis: PureAnalysis) -> Iterable[tuple[str, Iterable[str]]]:
    """Yields headings and sentences, with unfilled slots."""
    rule, verdict = RULES[analysis.verdict.code], analysis.verdict
    likely = [finding for finding in analysis.findings if finding.is_sure][:MAX_LIKELY]
    others = [finding for finding in analysis.findings if finding not in likely][:MAX_OTHERS]
    shown: set[str] = set()
    none_warranted = [analysis.suggestion.reason] if analysis.suggestion.lr is None else []
    yield "How to read it", [_guide(analysis)]
    yield SEES, [*rule.sees, OTHER_FIRST, *(TRAITS[name].says for name in verdict.traits), *_confidence(analysis)]
    yield "What it means", [*_start(analysis), *rule.means]
    yield WHY, [escape_braces(_evidence(finding, shown)) for finding in likely]
    yield IS_NOT, [*rule.is_not, *_wrong_conclusions(likely)]
    yield TRY, [*none_warranted, *_fixes(likely), *_unsaid(rule.tries, likely), *_kind(likely)]
    open_ones = [escape_braces(f"{finding.title} To check: {finding.to_check}") for finding in others]
    investigated = any(finding.status == CauseStatus.CONFIRMED for finding in analysis.findings)
    investigate = [INVESTIGATE] if open_ones and analysis.curve.context.framework and not investigated else []
    yield "Could also be", [*open_ones, *investigate, *_ruled_out(analysis)]
    yield RECORD, [escape_braces(note) for note in analysis.curve.context.notes]
    yield "Learn more", [*_further(analysis, likely)]


def _guide(analysis: PureAnalysis) -> str:
    context = analysis.curve.context
    return READING_GUIDE + (RESTORED if context.framework or context.loss_name else "")


def _wrong_conclusions(likely: list[Finding]) -> list[str]:
    return [escape_braces(finding.is_not) for finding in likely[:1]]


def _fixes(likely: list[Finding]) -> list[str]:
    """Returns the advice on the causes that need a fix, the first to fix first."""
    problems = [finding for finding in likely if finding.alarm]
    words = ("First", *("Also",) * len(problems))
    fixes = [escape_braces(f"{word}: {finding.advice}") for word, finding in zip(words, problems, strict=False)]
    return [*fixes, SCAN_AGAIN] if any(finding.code not in CODES_OF_RANGE for finding in problems) else fixes


def _unsaid(tries: Iterable[str], likely: list[Finding]) -> list[str]:
    """Returns the steps of a shape without those that the advice on a cause already names."""
    given = [SENTENCE_END.split(finding.advice)[0].rstrip(".") for finding in likely if finding.alarm]
    return [said for said in tries if not any(step in said for step in given)]


def _kind(likely: list[Finding]) -> list[str]:
    """Returns the advice on the likeliest cause if nothing needs a fix."""
    return [] if any(finding.alarm for finding in likely) else [escape_braces(item.advice) for item in likely[:1]]


def _confidence(analysis: PureAnalysis) -> list[str]:
    verdict = analysis.verdict
    if verdict.shape in NO_CONFIDENCE:
        return []
    says = f"Confidence in this shape: {verdict.confidence:.0%}."
    if analysis.features.num_points < MIN_POINTS:
        return [f"{says} It is low because the curve has fewer than {MIN_POINTS} points."]
    return [f"{says} That share of copies of the curve, with random noise drawn anew, has the same shape."]


def _start(analysis: PureAnalysis) -> list[str]:
    """Returns the sentence about the start, or none for a record of one or two losses."""
    state, ratio, context = analysis.verdict.start_state, analysis.features.start_ratio, analysis.curve.context
    if analysis.features.num_points < MIN_FOR_START:
        return []
    if state == StartState.UNKNOWN:
        unknown = UNKNOWN_START if has_natural_zero(analysis.curve) else NO_ZERO
        return [STARTS_BY_LUCK if starts_by_luck(analysis) else unknown]
    outputs = differing_outputs(analysis)
    if outputs:
        return [f"{OUTPUTS_DIFFER}{escape_braces(starts_in_words(outputs))}"]
    if state == StartState.AT_CHANCE and ratio is not None and ratio > CLOSE:
        return [AT_UNIFORM if ratio > WORSE_THAN_CHANCE_RATIO else ABOVE_CHANCE]
    if state == StartState.BETTER_THAN_CHANCE and context.num_used_layers == 0 == context.optimizer_iterations:
        return [BETTER_WITHOUT_SIGNS]
    return [START_WORDS[state, is_classifier(context)]]


def _evidence(finding: Finding, shown: set[str], most: int | None = None) -> str:
    """Returns a cause with its evidence, and adds the evidence to `shown` so that no sentence appears twice.

    Args:
        finding: The cause.
        shown: The sentences of evidence that were said before.
        most: Maximum number of sentences of evidence; those with the largest weights are said.
    """
    sure = "confirmed" if finding.status == CauseStatus.CONFIRMED else f"{finding.percent}% likely"
    seen = [sentence for sentence in _strongest(finding, most) if sentence not in shown]
    shown.update(seen)
    return " ".join([f"{finding.title.rstrip('.')} ({finding.code}, {sure}).", finding.means, *seen])


def _strongest(finding: Finding, most: int | None) -> list[str]:
    """Returns the evidence with the largest weights in its order. The conditions of a cause come first, unweighted."""
    weights = [abs(term) for term in finding.log_odds[1:]]
    weights = [0.0] * (len(finding.evidence) - len(weights)) + weights
    ranked = sorted(range(len(finding.evidence)), key=lambda index: -weights[index])
    return [finding.evidence[index] for index in sorted(ranked[:most])]


def _ruled_out(analysis: PureAnalysis) -> list[str]:
    names = [item.name for item in analysis.excluded if item.alarm and item.status == CauseStatus.RULED_OUT]
    listed = ", ".join(name.replace("-", " ") for name in names)
    return [f"Ruled out by the numbers ({listed}); the expert level shows those numbers."] if names else []


def _further(analysis: PureAnalysis, likely: list[Finding]) -> list[str]:
    sources = dict.fromkeys(source for finding in likely[:1] for source in finding.sources)
    return [
        "One scan shows roughly how large a good learning rate is, not its exact value.",
        _handbook(analysis, likely),
        *(f"See {source}" for source in sources),
    ]


def _handbook(analysis: PureAnalysis, likely: list[Finding]) -> str:
    codes = ", ".join(f"`lrscan explain {code}`" for code in (analysis.verdict.code, *(item.code for item in likely)))
    return f"In the handbook: {codes}."


def _answers(analysis: PureAnalysis, slots: Mapping[str, str]) -> Iterable[str]:
    facts = analysis.facts
    for question in QUESTIONS:
        reply = answer(question, facts, slots)
        if reply is not None:
            yield f"{question.asks} {reply}"
