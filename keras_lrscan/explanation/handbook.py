"""Writes the handbook page of a shape, trait or cause in Markdown, from the tables that the package itself applies."""

from __future__ import annotations

import difflib
import re
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.errors import InvalidOptionError, unknown_option
from keras_lrscan.explanation.levels import BEGINNER, EXPERT, LEVELS
from keras_lrscan.explanation.questions import QUESTIONS
from keras_lrscan.explanation.slots import NOT_OVERFITTING
from keras_lrscan.formatting import slots_of
from keras_lrscan.reading.facts import MEASURES
from keras_lrscan.reading.shapes import SHAPE_RULES
from keras_lrscan.reading.traits import TRAIT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from keras_lrscan.causes.cause import Cause, Clue
    from keras_lrscan.explanation.questions import Question
    from keras_lrscan.reading.facts import Condition
    from keras_lrscan.reading.shapes import ShapeRule
    from keras_lrscan.reading.traits import TraitRule

__all__ = ["CODES", "page", "pages_about"]

LONG_WORD = 5
"""Letters of a word of a question that is offered for a topic that is misspelled."""

SLOT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "chance_end_decades": "few",
        "chance_loss": "the loss of a constant prediction",
        "descent_start_lr": "the rate where the loss starts to fall",
        "elbow_lr": "the rate where the loss starts to rise",
        "end_loss": "the last loss",
        "explosion": "many",
        "last_lr": "the last rate",
        "lowest_loss": "the lowest loss",
        "minimum_lr": "the rate of the lowest loss",
        "num_points": "only a few",
        "num_points_at_one_rate": "only a few",
        "only_lr": "the only rate",
        "start_loss": "the loss of the first batches",
        "start_lr": "the first rate",
        "suggestion": "the suggested rate",
        "reason": "",
        "narrow_range": "",
        "not_overfitting": NOT_OVERFITTING,
        "small_weight": "far below 1",
        "batches_for_scan": "100",
        "suggested_lr": "the suggested rate",
        "jumps": "shoots up",
        "no_problem": "",
        "learns": "",
        "order": "",
        "problem": "(The likely cause to fix first.)",
        "test_problem": "(The problem of the test.)",
    }
)
"""Slot → words that replace it on a page that is not about a particular curve."""


CONDITION_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "few_points": "If there are few points",
        "few_batches": "If there are few batches",
        "ended_low": "If the last rate is below 0.1",
        "few_epochs": "If each point is a whole epoch",
        "moved": "If the weights changed",
        "no_limit": "If the last rate is not unusually large",
        "beyond_usual": "If the last rate is far beyond the usual ones",
        "no_further": "If the last rate is far beyond the usual ones",
        "unmoved": "If the weights did not change",
        "unknown_start": "If the chance level is unknown",
        "starts_better": "If the loss starts below the chance level",
    }
)
"""Empty slot → the condition of the sentence that begins with it, on a page that is not about a particular curve."""

SLOT_CONDITIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "learns": ("fall that shows learning", "found"),
        "problem": ("likely cause to fix first", "found"),
        "test_problem": ("problem of the test itself", "found"),
        "suggestion": ("suggested rate", "found"),
    }
)
"""Slot of an answer that only some curves fill → the condition that it stands for."""


def page(code: str, *, level: str = BEGINNER) -> str:
    """Returns the handbook page of one code, in Markdown.

    Args:
        code: Code of a shape, trait or cause, such as `"LRS101"`.
        level: One of `"beginner"` and `"full"`, in words, and `"expert"`, with the weight of each piece of evidence.

    Raises:
        InvalidOptionError: If `code` or `level` is unknown.

    Example:
    >>> print(page("LRS204").splitlines()[0])
    # LRS204 spike
    """
    if code not in PAGES:
        near = _listed(difflib.get_close_matches(code.upper(), CODES, n=3) or CODES[:3])
        msg = f"Argument `code` must be the code of a shape, trait or cause. Received: code={code!r}. Near: {near}."
        raise InvalidOptionError(msg)
    if level not in LEVELS:
        raise unknown_option("level", level, LEVELS)
    name, parts = (EXPERT_PAGES if level == EXPERT else PAGES)[code]()
    blocks = [f"# {code} {name}"]
    for heading, lines in parts.items():
        if lines:
            blocks += [f"## {heading}" if heading else "", "\n\n".join(lines)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def pages_about(topic: str, *, level: str = BEGINNER) -> str:
    """Returns the pages about a code, a name or a question, in Markdown.

    Args:
        topic: A code such as `"LRS101"`, the name of a shape, trait or cause such as `"u-shaped"`, or a question or
            words of one, such as `"Is it overfitting?"` or `"overfitting"`. Case, spaces and hyphens do not matter.
        level: The level of `page`.

    Raises:
        InvalidOptionError: If no code, name or question matches, or if `level` is unknown.

    Example:
    >>> print(pages_about("U shaped").splitlines()[0])
    # LRS101 u-shaped
    >>> print(pages_about("overfitting").splitlines()[0])
    # Is it overfitting?
    """
    words = _words(topic)
    named = [code for code in CODES if words in (_words(code), _words(PAGES[code]()[0]))]
    if named:
        return "\n".join(page(code, level=level) for code in named)
    asked = [question for question in QUESTIONS if words and set(words) <= set(_words(question.asks))]
    if asked:
        return "\n".join(_question(question) for question in asked)
    asked_about = {word for question in QUESTIONS for word in _words(question.asks) if len(word) >= LONG_WORD}
    known = {name.lower(): name for name in (*CODES, *(PAGES[code]()[0] for code in CODES), *sorted(asked_about))}
    near = [known[name] for name in difflib.get_close_matches(topic.lower(), known, n=3)]
    msg = (
        "Expected a file, a code, the name of a shape, trait or cause, or a question. "
        f"Received: {topic!r:.80}. Near: {_listed(near or ['LRS101', 'u-shaped', 'Is it overfitting?'])}."
    )
    raise InvalidOptionError(msg)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _question(question: Question) -> str:
    """Returns the page of a question: each answer, with the curves that it is for."""
    blocks = [f"# {question.asks}"]
    for number, answer in enumerate(question.answers):
        slots = [SLOT_CONDITIONS[name] for name in sorted(slots_of(answer.says) & set(SLOT_CONDITIONS))]
        first = "Otherwise" if number else "For every curve"
        if answer.when or slots:
            first = "Otherwise, if all of this holds" if number else "If all of this holds"
        blocks += [f"{first}:", *([_conditions(answer.when, *slots)] if answer.when or slots else [])]
        blocks.append(_bullets([answer.says]))
    if question.sources:
        blocks += ["## Learn more", _bullets(f"<{source}>" for source in question.sources)]
    return "\n\n".join(blocks) + "\n"


def _shape(rule: ShapeRule) -> tuple[str, Mapping[str, Sequence[str]]]:
    rules = "\n\nor\n\n".join(_conditions(conditions) for conditions in rule.when)
    return str(rule.shape), {
        "": [f"{rule.title[0].upper()}{rule.title[1:]}."],
        "What you see": [_bullets(rule.sees)],
        "What it means": [_bullets(rule.means)],
        "Why (evidence)": [rules or "The verdict when copies of the curve with new noise disagree about its shape."],
        "What it does not mean": [_bullets(rule.is_not)],
        "What to try, in order": [_bullets(rule.tries)],
    }


def _trait(rule: TraitRule) -> tuple[str, Mapping[str, Sequence[str]]]:
    return rule.name, {"What you see": [_plain(rule.says)], "Why (evidence)": [_conditions(rule.when)]}


def _cause(cause: Cause, *, weighted: bool = False) -> tuple[str, Mapping[str, Sequence[str]]]:
    here = (f"If this holds ({_tests(clue)}): {_in_general(clue)}" for clue in cause.advice_here)
    return cause.name, {
        "": [cause.title],
        "What it means": [cause.means],
        "Why (evidence)": _weighted_evidence(cause) if weighted else _evidence(cause),
        "What it does not mean": [cause.is_not],
        "What to try, in order": [cause.advice, *here],
        "Could also be": [f"To check: {cause.to_check}"],
        "Learn more": [_bullets(f"<{source}>" for source in cause.sources)],
    }


def _evidence(cause: Cause) -> list[str]:
    """Returns the evidence in words, without weights."""
    groups = {
        "It is considered only if all of these hold:": cause.when,
        "Signs of it:": [clue for clue in cause.clues if clue.weight >= 0],
        "Signs against it:": [clue for clue in cause.clues if clue.weight < 0],
        "Ruled out by any of these:": cause.rules_out,
        "Not applicable if any of these holds:": cause.not_for,
    }
    return [
        f"{words}\n\n{_bullets(dict.fromkeys(_in_words(clue) for clue in clues))}"
        for words, clues in groups.items()
        if clues
    ]


def _in_words(clue: Clue) -> str:
    """Returns the evidence as a sentence, or its conditions if the sentence has numbers of one curve in it."""
    says = _tests(clue) if slots_of(clue.says) else clue.says.removeprefix("Against it: ")
    return says[0].upper() + says[1:]


def _tests(clue: Clue) -> str:
    return "; ".join(f"{MEASURES[condition.feature].words}: {condition}" for condition in clue.when)


def _weighted_evidence(cause: Cause) -> list[str]:
    """Returns the evidence as tables of tests, with the weight of each."""
    scope = "when all of these hold" if cause.when else "for every curve"
    return [
        f"Considered {scope}. Prior log odds: {cause.start:+.1f}.",
        *([_clues(cause.when)] if cause.when else []),
        *(
            [
                "Evidence, with weights in log odds:",
                _clues(cause.clues, weighted=True),
            ]
            if cause.clues
            else []
        ),
        *(["Ruled out by any of these:", _clues(cause.rules_out)] if cause.rules_out else []),
        *(["Not applicable if any of these holds:", _clues(cause.not_for)] if cause.not_for else []),
    ]


def _in_general(clue: Clue) -> str:
    """Returns the sentence of a clue with the names of its numbers in their places."""
    return clue.says.format_map({name: f"*{MEASURES[name].words}*" for name in slots_of(clue.says)})


def _plain(sentence: str) -> str:
    """Returns the sentence with each slot replaced by words."""
    return sentence.format_map({name: _words_for(name) for name in slots_of(sentence)}).strip()


def _words_for(slot: str) -> str:
    if slot in CONDITION_WORDS:
        return f"*{CONDITION_WORDS[slot]}:* "
    words = SLOT_WORDS[slot]
    return f"*{words}*" if words and not words.endswith(".") else words


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(sentence)}" for sentence in sentences)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _conditions(conditions: Iterable[Condition], *more: tuple[str, str]) -> str:
    rows = [(MEASURES[condition.feature].words, str(condition)) for condition in conditions]
    return _table(("measurement", "condition"), [*rows, *more])


def _clues(clues: Iterable[Clue], *, weighted: bool = False) -> str:
    rows = []
    for clue in clues:
        says = re.sub(r"\{\w+\}", "…", clue.says)
        rows.append((*([f"{clue.weight:+.1f}"] if weighted else []), _tests(clue), says))
    return _table((*(["weight"] if weighted else []), "test", "evidence"), rows)


PAGES: Mapping[str, Callable[[], tuple[str, Mapping[str, Sequence[str]]]]] = MappingProxyType(
    {rule.code: partial(_shape, rule) for rule in SHAPE_RULES}
    | {trait.code: partial(_trait, trait) for trait in TRAIT_RULES}
    | {cause.code: partial(_cause, cause) for cause in CAUSES}
)
"""Code → function that returns its name and the lines under each heading of its page."""

EXPERT_PAGES: Mapping[str, Callable[[], tuple[str, Mapping[str, Sequence[str]]]]] = MappingProxyType(
    {**PAGES, **{cause.code: partial(_cause, cause, weighted=True) for cause in CAUSES}}
)
"""The same for experts, with the weight of each piece of evidence."""

CODES = tuple(sorted(PAGES))
"""All codes that have a page."""
