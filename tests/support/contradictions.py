"""Finds sentences of an explanation that contradict the curve, its context or each other."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.explanation.answer import MAX_LINES, RULES
from keras_lrscan.explanation.explain import MAX_LINES as MAX_SHORT_LINES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keras_lrscan import Analysis

__all__ = ["ONLY_IF", "contradictions"]


def state(*states: str) -> Callable[[Analysis], bool]:
    """Returns the condition that the start state is one of `states`."""
    return lambda analysis: analysis.verdict.start_state in states


def nothing_to_fix(analysis: Analysis) -> bool:
    return analysis.first_problem is None


def never_falls(analysis: Analysis) -> bool:
    return analysis.features.fall == 0


def learns(analysis: Analysis) -> bool:
    return analysis.features.fall > 0 and analysis.facts["learns"] is not False


def has_no_rate(analysis: Analysis) -> bool:
    return analysis.suggestion.lr is None


def nothing_frozen(analysis: Analysis) -> bool:
    return not analysis.curve.context.num_frozen_layers


def is_averaged(analysis: Analysis) -> bool:
    return is_averaged_or_undone(analysis) and analysis.curve.context.undone_averaging is None


def is_averaged_or_undone(analysis: Analysis) -> bool:
    return any(finding.name == "averaging" for finding in analysis.findings if finding.is_sure)


def is_not_convex(analysis: Analysis) -> bool:
    """Returns whether the loss can have several valleys: more than the last layer trains, as far as is known."""
    return not analysis.facts["has_single_valley"]


ONLY_IF: Mapping[str, Callable[[Analysis], bool]] = MappingProxyType(
    {
        # the start
        r"close to [\d.e-]+, the chance level": state("at-chance"),
        r"no better than guessing": state("at-chance", "worse-than-chance", "mixed"),
        r"well below [\d.e-]+, the chance level": state("better-than-chance"),
        r"already good \(chance level|already knows this|model already knows|already works well": state(
            "better-than-chance"
        ),
        r"already knows? something about (its|their)": state("better-than-chance", "mixed"),
        r"[Ss]ome outputs start (better|no better)": state("mixed"),
        r"worse than (chance|guessing)": state("worse-than-chance"),
        r"starts at only .* times the chance level": state("better-than-chance"),
        r"chance level( \([^)]*\))? is unknown": state("unknown"),
        r"There are two explanations": state("unknown"),
        # the fall
        r"[Ii]t never falls|loss never falls|does not fall": never_falls,
        r"so the model learns|As the curve falls, the model learns": learns,
        r"Is the model broken\? No|is not a sign of a bug|nothing to fix here|Problem: none": nothing_to_fix,
        r"does not mean that something is broken|says nothing about your model": nothing_to_fix,
        r"no (other|learning) rate helps": has_no_rate,
        # the advice
        r"with the others frozen": nothing_frozen,
        r"Then unfreeze layers": lambda analysis: not nothing_frozen(analysis),
        r"[Ss]huffle[:.]|Shuffle the data": lambda analysis: analysis.facts["well_shuffled"] is not True,
        r"model\.optimizer\.learning_rate = ": lambda analysis: not has_no_rate(analysis),
        r"Train at about|Use about": lambda analysis: not has_no_rate(analysis),
        r"Learning rate: about": lambda analysis: not is_averaged(analysis),
        r"Rates that are read off that plot": is_averaged_or_undone,
        r"Why is it not a U\?": lambda analysis: analysis.verdict.shape != "u-shaped",
        r"\(a catapult\)": is_not_convex,
        # the record
        r"restored to its state": lambda analysis: bool(
            analysis.curve.context.framework or analysis.curve.context.loss_name
        ),
    }
)
"""Pattern → the condition under which a text may contain it."""

NEVER = (
    r"too small to (notice|matter)",  # true only in a test this short
    r"healthy start",  # also where something else is wrong
    r"[{}]|\bNone\b|\bnan\b(?! in data)",
    r"(?<![\d.,])1 (points|batches|epochs|updates|samples|layers)\b",
    r"(?<![\w.-])(\d\S*) to \1(?![\w.-])",  # a range of a single number
)
"""Patterns that no text may contain."""

NEVER_TOGETHER = (
    ("already-good", "partly-trained"),
    ("already-good", "fresh-start"),
    ("already-good", "new-head"),
    ("fresh-start", "partly-trained"),
    ("fresh-start", "new-head"),
)
"""Causes of which at most one can be true of one model, so at most one of them is called likely."""


def contradictions(analysis: Analysis) -> list[str]:
    """Returns one line for each contradiction in the texts of an analysis, at every level."""
    short, full = analysis.explain(), analysis.explain(level="full")
    notes = " ".join(analysis.curve.context.notes)
    texts = [short, full, analysis.summary()]
    said = " ".join(" ".join(texts).split()).replace(notes, "")
    found = [
        f"{match.group()!r} against {condition.__name__}"
        for pattern, condition in ONLY_IF.items()
        if (match := re.search(pattern, said)) and not condition(analysis)
    ]
    found += [f"{match.group()!r}" for pattern in NEVER if (match := re.search(pattern, said))]
    sure = {finding.name for finding in analysis.findings if finding.is_sure}
    found += [f"likely at once: {pair}" for pair in NEVER_TOGETHER if set(pair) <= sure]
    ruled_out = {finding.name for finding in analysis.excluded}
    found += [f"likely and ruled out: {name}" for name in sorted(sure & ruled_out)]
    return [*found, *_wrong_lines(analysis, short, full)]


def _wrong_lines(analysis: Analysis, short: str, full: str) -> list[str]:
    """Returns what is wrong with the order and the length of the texts."""
    found = []
    headline, _, rest = short.partition("\n\n")
    lines = [headline, *rest.split("\n\n")[0].splitlines()]
    if len(lines) > MAX_LINES:
        found.append(f"the answer has {len(lines)} lines")
    if RULES[analysis.verdict.code].shape not in headline:
        found.append("the headline does not name the shape")
    for text in (short, full):
        starts = [line.split(" ")[0].rstrip(":") for line in text.split("\n\n")[1].splitlines()]
        if [word for word in starts if word in {"Problem", "Learning", "Next"}] != ["Problem", "Learning", "Next"]:
            found.append(f"the answer is not in order: {starts}")
    notes = analysis.curve.context.notes
    if short.count("\n") > MAX_SHORT_LINES and len(notes) < 2 and len(" ".join(notes)) < 200:
        found.append(f"the short text has {short.count(chr(10))} lines")
    return found
