"""Words: an `Analysis` → text for a reader who has never seen such a curve.

This file fills slots, picks sentences and orders them; what is said is written beside the rules, in `shapes`, `traits`,
the tables of causes, `questions` and `words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.causes.scan_settings import CAUSES_OF_RANGE
from keras_lrscan.curves.context import chance_loss, is_classifier
from keras_lrscan.errors import unknown_option
from keras_lrscan.explanation.formulas import formulas
from keras_lrscan.explanation.glossary import with_terms_explained
from keras_lrscan.explanation.layout import text
from keras_lrscan.explanation.questions import QUESTIONS, answer
from keras_lrscan.formatting import format_loss, format_lr, slots_of
from keras_lrscan.reading.features import StartState
from keras_lrscan.reading.shapes import SHAPE_RULES, TRAIT_RULES, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keras_lrscan.causes.cause import Finding
    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["LEVELS", "Section", "explain", "sections", "summarize", "title"]

LEVELS = ("beginner", "expert")
"""For whom a text can be."""

MAX_LIKELY = 3
"""So many causes are told with their evidence."""

MAX_OTHERS = 4
"""So many others are named with what would settle them."""

READING_GUIDE = (
    "This is a test of many learning rates, not your training. The learning rate says how big a step the model takes "
    "after each batch, a handful of samples. The test raised it from {start_lr} to {last_lr} and noted the loss of "
    "every batch. The loss says how wrong the model is; lower is better."
)
PUT_BACK = " Then your model was put back as it was."
"""Said of scans, and not of records of which nobody knows what came after."""
ASK = "`scan.investigate(x, y)` puts many of these questions to the model itself, and then puts it back."
"""Said of scans that left something open."""
TOLD = ("learning rate", "loss")
"""Terms that the reading guide explains."""

START_WORDS: Mapping[tuple[StartState, bool], str] = MappingProxyType(
    {
        (StartState.AT_CHANCE, True): (
            "The first loss, {start_loss}, is about what pure guessing would cost, {chance_loss}. So what learns here "
            "starts from nothing."
        ),
        (StartState.BETTER_THAN_CHANCE, True): (
            "The first loss, {start_loss}, is well below what pure guessing would cost, {chance_loss}. So the model "
            "already knows this task."
        ),
        (StartState.WORSE_THAN_CHANCE, True): (
            "The first loss, {start_loss}, is above what pure guessing would cost, {chance_loss}. So the model starts "
            "out sure of itself, and wrong."
        ),
        (StartState.AT_CHANCE, False): (
            "The first loss, {start_loss}, is about that of always giving the same best number, {chance_loss}. So what "
            "learns here starts from nothing."
        ),
        (StartState.BETTER_THAN_CHANCE, False): (
            "The first loss, {start_loss}, is well below that of always giving the same best number, {chance_loss}. So "
            "the model already knows this task."
        ),
        (StartState.WORSE_THAN_CHANCE, False): (
            "The first loss, {start_loss}, is above that of always giving the same best number, {chance_loss}. That is "
            "usual for a new model when the numbers to predict are far from zero."
        ),
    }
)
"""Start state, and whether the model chooses among classes → what to say of it."""

SCAN_AGAIN = "Then scan again: what follows holds for the model as it is now."

UNKNOWN_START = "Whether that start is good is not known: nobody said what loss pure guessing would have here."

RULES = MappingProxyType({rule.code: rule for rule in SHAPE_RULES})
TRAITS = MappingProxyType({rule.name: rule for rule in TRAIT_RULES})
CODES_OF_RANGE = frozenset(cause.code for cause in CAUSES_OF_RANGE)
SURE = frozenset({CauseStatus.CONFIRMED, CauseStatus.LIKELY})


@dataclass(frozen=True, kw_only=True)
class Section:
    """One heading of an explanation, and what is said under it.

    Attributes:
        heading: The heading; empty for the paragraph on top.
        sentences: A point each, of one or a few sentences.
    """

    heading: str
    sentences: tuple[str, ...]


def title(analysis: PureAnalysis) -> str:
    """Returns the headline: the shape in words, and its code."""
    rule = RULES[analysis.verdict.code]
    return f"{rule.title[0].upper()}{rule.title[1:]} ({analysis.verdict.shape}, {rule.code})"


def sections(analysis: PureAnalysis, *, level: str = "beginner") -> tuple[Section, ...]:
    """Returns the explanation in parts, in the order of reading.

    Args:
        analysis: What was read from a curve.
        level: One of `"beginner"`, with each term explained where it first appears, and `"expert"`, with every rule,
            weight and formula.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    if level not in LEVELS:
        raise unknown_option("level", level, LEVELS)
    slots = _slots(analysis)
    parts = [(heading, tuple(_fill(sentences, slots))) for heading, sentences in _parts(analysis)]
    parts.insert(-2, ("Questions people ask", tuple(_answers(analysis, slots))))
    if level == "expert":
        parts.insert(-2, ("Numbers and formulas", formulas(analysis)))
        return tuple(Section(heading=heading, sentences=said) for heading, said in parts if said)
    told = set(TOLD)
    return tuple(
        Section(heading=heading, sentences=with_terms_explained(said, told)) for heading, said in parts if said
    )


def explain(analysis: PureAnalysis, *, level: str = "beginner") -> str:
    """Explains an analysis in words, under fixed headings.

    Args:
        analysis: What was read from a curve.
        level: One of `"beginner"`, with each term explained where it first appears, and `"expert"`, with every rule,
            weight and formula.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    parts = sections(analysis, level=level)
    return text(title(analysis), ((section.heading, section.sentences) for section in parts))


def summarize(analysis: PureAnalysis) -> str:
    """Returns the verdict in three lines."""
    verdict, suggestion = analysis.verdict, analysis.suggestion
    shape = RULES[verdict.code].title
    first = f"LRScan: {shape} ({verdict.shape}, {verdict.code}), confidence {verdict.confidence:.0%}, start {{state}}."
    rate = _slots(analysis).get("suggestion")
    second = suggestion.reason if rate is None else f"Suggested learning rate: {rate}. {suggestion.reason}"
    third = "Why: print(keras_lrscan.last_scan().analysis.explain()). Picture: keras_lrscan.last_scan().plot()."
    return "\n".join([first.format(state=str(verdict.start_state).replace("-", " ")), second, third])


def _parts(analysis: PureAnalysis) -> Iterable[tuple[str, Iterable[str]]]:
    """Yields headings and sentences, with their slots open."""
    rule, verdict = RULES[analysis.verdict.code], analysis.verdict
    likely = [finding for finding in analysis.findings if finding.status in SURE][:MAX_LIKELY]
    others = [finding for finding in analysis.findings if finding not in likely][:MAX_OTHERS]
    mend = [finding for finding in likely if finding.alarm]
    start = START_WORDS.get((verdict.start_state, is_classifier(analysis.curve.context)), UNKNOWN_START)
    confidence = f"How sure that shape is: {verdict.confidence:.0%} of copies with other noise get the same one."
    sure = [] if verdict.shape == Shape.UNCLEAR else [confidence]
    told: set[str] = set()
    none_warranted = [analysis.suggestion.reason] if analysis.suggestion.lr is None else []
    context = analysis.curve.context
    yield "", [READING_GUIDE + (PUT_BACK if context.framework or context.loss_name else "")]
    yield (
        "What you see",
        [*rule.sees, *(TRAITS[name].says for name in verdict.traits), *sure],
    )
    yield "What it means", [start, *rule.means]
    yield "Why (evidence)", [_as_it_is(_evidence(finding, told)) for finding in likely]
    yield "What it does not mean", [*rule.is_not, *(finding.is_not for finding in likely[:1])]
    first = [
        _as_it_is(f"{word}: {finding.advice}") for word, finding in zip(("First", "Also", "Also"), mend, strict=False)
    ]
    then = [SCAN_AGAIN] if any(finding.code not in CODES_OF_RANGE for finding in mend) else []
    kind = [finding.advice for finding in likely[:1] if not mend]
    yield "What to try, in order", [*none_warranted, *first, *then, *rule.tries, *kind]
    open_ones = [_as_it_is(f"{finding.title} To check: {finding.to_check}") for finding in others]
    asked = any(finding.status == CauseStatus.CONFIRMED for finding in analysis.findings)
    ask = [ASK] if open_ones and context.framework and not asked else []
    yield "Could also be", [*open_ones, *ask, *_ruled_out(analysis)]
    yield "About this record", [_as_it_is(note) for note in analysis.curve.context.notes]
    yield "Learn more", _further(analysis, likely)


def _evidence(finding: Finding, told: set[str]) -> str:
    """Returns a cause with its evidence, without what was `told` already."""
    sure = "confirmed" if finding.status == CauseStatus.CONFIRMED else f"{finding.percent}% likely"
    seen = [sentence for sentence in finding.evidence if sentence not in told]
    told.update(seen)
    return " ".join([f"{finding.title.rstrip('.')} ({finding.code}, {sure}).", finding.means, *seen])


def _ruled_out(analysis: PureAnalysis) -> list[str]:
    names = [item.name for item in analysis.excluded if item.alarm and item.status == CauseStatus.RULED_OUT]
    listed = ", ".join(name.replace("-", " ") for name in names)
    return [f"Ruled out by numbers: {listed}. The expert's text has the numbers."] if names else []


def _further(analysis: PureAnalysis, likely: list[Finding]) -> list[str]:
    codes = ", ".join(f"`lrscan explain {code}`" for code in (analysis.verdict.code, *(item.code for item in likely)))
    sources = dict.fromkeys(source for finding in likely[:1] for source in finding.sources)
    return [
        "This is about one scan, and one scan tells an order of magnitude, not a precise rate.",
        f"In the handbook: {codes}.",
        *(f"See {source}" for source in sources),
    ]


def _answers(analysis: PureAnalysis, slots: Mapping[str, str]) -> Iterable[str]:
    known = analysis.facts
    for question in QUESTIONS:
        said = answer(question, known, slots)
        if said is not None:
            yield f"{question.asks} {said}"


def _slots(analysis: PureAnalysis) -> dict[str, str]:
    """Returns every slot whose value is known."""
    marks, suggestion = analysis.landmarks, analysis.suggestion
    slots = {"start_lr": format_lr(analysis.curve.lr[0]), "last_lr": format_lr(analysis.curve.lr[-1])}
    for name in ("descent_start", "steepest", "minimum", "elbow"):
        mark = getattr(marks, name)
        if mark is not None:
            slots[f"{name}_lr"] = format_lr(mark.lr)
    losses = {
        "start_loss": None if marks.start is None else marks.start.loss,
        "lowest_loss": None if marks.minimum is None else marks.minimum.loss,
        "end_loss": float(analysis.smoothed.loss[-1]) if analysis.smoothed.loss.size else None,
        "chance_loss": chance_loss(analysis.curve.context),
    }
    slots |= {name: format_loss(loss) for name, loss in losses.items() if loss is not None}
    slots["num_points"] = str(len(analysis.curve))
    if analysis.verdict.start_state == StartState.UNKNOWN:
        slots["unknown_start"] = ""
    for finding in reversed(analysis.findings):
        if finding.alarm and finding.status in SURE:
            slots["mend_test" if finding.code in CODES_OF_RANGE else "mend"] = finding.title
    if suggestion.lr is not None and suggestion.low is not None and suggestion.high is not None:
        low, high = format_lr(suggestion.low), format_lr(suggestion.high)
        slots["suggestion"] = f"about {format_lr(suggestion.lr)} (somewhere from {low} to {high})"
        slots["reason"] = suggestion.reason
    return slots


def _as_it_is(sentence: str) -> str:
    """Returns the sentence with its braces kept from being slots."""
    return sentence.replace("{", "{{").replace("}", "}}")


def _fill(sentences: Iterable[str], slots: Mapping[str, str]) -> Iterable[str]:
    """Yields the sentences whose slots are all known, filled."""
    for sentence in sentences:
        if slots_of(sentence) <= set(slots):
            yield sentence.format_map(slots).strip()
