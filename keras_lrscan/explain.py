"""Words: an `Analysis` → text for a reader who has never seen such a curve.

This file fills slots and formats numbers; what is said is written beside the rules, in `shapes`, `traits`, `causes`.
"""

from __future__ import annotations

import string
import textwrap
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.errors import unknown_option
from keras_lrscan.features import StartState, chance_loss
from keras_lrscan.shapes import SHAPE_RULES
from keras_lrscan.traits import TRAIT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keras_lrscan.analysis import Analysis

__all__ = ["LEVELS", "Section", "explain", "format_loss", "format_lr", "sections", "summarize", "title"]

WIDTH = 88

LEVELS = ("beginner", "expert")
"""For whom a text can be."""

READING_GUIDE = (
    "This is a test of many learning rates, not your training. The learning rate says how big a step the model takes "
    "after each batch. The test raised it from {start_lr} to {last_lr} and noted the loss of every batch. The loss "
    "says how wrong the model is; lower is better."
)

START_WORDS: Mapping[str, str] = MappingProxyType(
    {
        StartState.AT_CHANCE: (
            "The first loss, {start_loss}, is about that of guessing, {chance_loss}: what learns here starts from "
            "nothing."
        ),
        StartState.BETTER_THAN_CHANCE: (
            "The first loss, {start_loss}, is well below that of guessing, {chance_loss}: the model already knows this "
            "task."
        ),
        StartState.WORSE_THAN_CHANCE: (
            "The first loss, {start_loss}, is above that of guessing, {chance_loss}: the model starts out confident "
            "and wrong."
        ),
        StartState.UNKNOWN: (
            "Whether that start is good is not known: nobody said what loss pure guessing would have here."
        ),
    }
)

RULES = MappingProxyType({rule.code: rule for rule in SHAPE_RULES})
TRAITS = MappingProxyType({rule.name: rule for rule in TRAIT_RULES})


@dataclass(frozen=True, kw_only=True)
class Section:
    """One heading of an explanation, and what is said under it.

    Attributes:
        heading: The heading; empty for the paragraph on top.
        sentences: A point each, of one or a few sentences.
    """

    heading: str
    sentences: tuple[str, ...]


def title(analysis: Analysis) -> str:
    """Returns the headline: the shape in words, and its code."""
    rule = RULES[analysis.verdict.code]
    return f"{rule.title[0].upper()}{rule.title[1:]} ({analysis.verdict.shape}, {rule.code})"


def sections(analysis: Analysis, *, level: str = "beginner") -> tuple[Section, ...]:
    """Returns the explanation in parts, in the order of reading.

    Args:
        analysis: What was read from a curve.
        level: One of `"beginner"` and `"expert"`; an expert is also told formulas and rules.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    if level not in LEVELS:
        raise unknown_option("level", level, LEVELS)
    rule, slots = RULES[analysis.verdict.code], _slots(analysis)
    likely, others = analysis.findings[:1], analysis.findings[1:]
    evidence = [f"{sentence[0].upper()}{sentence[1:]}." for sentence in analysis.verdict.evidence]
    none_warranted = [analysis.suggestion.reason] if analysis.suggestion.lr is None else []
    confidence = f"{analysis.verdict.confidence:.0%} of copies of this curve with other noise get the same shape."
    parts: tuple[tuple[str, Iterable[str]], ...] = (
        ("", [f"{READING_GUIDE} {confidence}"]),
        ("What you see", [*rule.sees, *(TRAITS[name].says for name in analysis.verdict.traits)]),
        ("What it means", [START_WORDS[analysis.verdict.start_state], *rule.means]),
        ("Why (evidence)", [*(f"{cause.title} ({cause.code})" for cause in likely), *evidence]),
        ("What it does not mean", rule.is_not),
        ("What to try, in order", [*none_warranted, *rule.tries, *(cause.advice for cause in likely)]),
        ("Could also be", [f"{cause.title} To check: {cause.to_check}" for cause in others]),
        ("About this record", [note.replace("{", "{{").replace("}", "}}") for note in analysis.curve.context.notes]),
        ("Learn more", [f"Shape {rule.code}. This is about one scan, and one scan tells an order of magnitude."]),
    )
    filled = [Section(heading=heading, sentences=tuple(_fill(sentences, slots))) for heading, sentences in parts]
    return tuple(section for section in filled if section.sentences)


def explain(analysis: Analysis, *, level: str = "beginner") -> str:
    """Explains an analysis in plain words, under fixed headings.

    Args:
        analysis: What was read from a curve.
        level: One of `"beginner"` and `"expert"`; an expert is also told formulas and rules.

    Raises:
        InvalidOptionError: If `level` is unknown.
    """
    blocks = [title(analysis)]
    for section in sections(analysis, level=level):
        if section.heading:
            blocks.append("\n".join([section.heading, *(_bullet(sentence) for sentence in section.sentences)]))
        else:
            blocks.extend(_paragraph(sentence) for sentence in section.sentences)
    return "\n\n".join(blocks) + "\n"


def summarize(analysis: Analysis) -> str:
    """Returns the verdict in three lines."""
    verdict, suggestion = analysis.verdict, analysis.suggestion
    shape = RULES[verdict.code].title
    first = f"LRScan: {shape} ({verdict.shape}, {verdict.code}), confidence {verdict.confidence:.0%}, start {{state}}."
    rate = _slots(analysis).get("suggestion")
    second = suggestion.reason if rate is None else f"Suggested learning rate: {rate}. {suggestion.reason}"
    third = "Why: print(keras_lrscan.last_scan().analysis.explain()). Picture: keras_lrscan.last_scan().plot()."
    return "\n".join([first.format(state=str(verdict.start_state).replace("-", " ")), second, third])


def format_lr(lr: float) -> str:
    """Returns a rate with one significant figure.

    >>> [format_lr(lr) for lr in (0.0213, 3.2e-5, 8.0, 12.0)]
    ['0.02', '3e-5', '8', '10']
    """
    mantissa, exponent = f"{lr:.0e}".split("e")
    if -4 < int(exponent) < 4:  # noqa: PLR2004 - shorter as a plain number
        return f"{float(f'{lr:.0e}'):.{max(0, -int(exponent))}f}"
    return f"{mantissa}e{int(exponent)}"


def format_loss(loss: float) -> str:
    """Returns a loss with three significant figures.

    >>> [format_loss(loss) for loss in (2.30259, 0.00512, 2754.48)]
    ['2.30', '0.00512', '2754']
    """
    if abs(loss) >= 1000 or loss == 0:  # noqa: PLR2004 - no decimals, no exponent
        return f"{loss:.0f}" if abs(loss) < 1e6 else f"{loss:.2e}"  # noqa: PLR2004
    return f"{loss:#.3g}".rstrip(".")


def _slots(analysis: Analysis) -> dict[str, str]:
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
    if suggestion.lr is not None and suggestion.low is not None and suggestion.high is not None:
        low, high = format_lr(suggestion.low), format_lr(suggestion.high)
        slots["suggestion"] = f"about {format_lr(suggestion.lr)} (somewhere from {low} to {high})"
        slots["reason"] = suggestion.reason
    return slots


def _fill(sentences: Iterable[str], slots: Mapping[str, str]) -> Iterable[str]:
    """Yields the sentences whose slots are all known, filled."""
    for sentence in sentences:
        needed = {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}
        if needed <= set(slots):
            yield sentence.format_map(slots).strip()


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _bullet(text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
