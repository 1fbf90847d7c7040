"""Defines a cause and judges it on one curve: `Cause` → `Finding`.

A cause is a row of a table. Its likelihood is a sum of log odds: the start of the cause plus the weight of each clue
that holds. Every clue has a sentence, so the printed evidence names each term of the sum that orders the findings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from keras_lrscan.files.decoding import Number, Share
from keras_lrscan.formatting import slots_of
from keras_lrscan.reading.facts import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from keras_lrscan.reading.facts import Condition

__all__ = ["Cause", "CauseStatus", "Clue", "Finding", "judge"]

LIKELY = 0.5
"""A cause that is at least this likely is called likely; any other is called possible."""

MAX_PERCENT = 99
"""Largest percentage to print: a curve alone never makes a cause certain."""

MIN_LIKELIHOOD = 0.1
"""A cause that is less likely than this is not reported."""


class CauseStatus(StrEnum):
    """Status of one cause, given the evidence."""

    CONFIRMED = "confirmed"
    """A probe of the model has shown it."""
    LIKELY = "likely"
    POSSIBLE = "possible"
    RULED_OUT = "ruled-out"
    """A number, or a probe of the model, speaks against it."""
    NOT_APPLICABLE = "not-applicable"
    """The cause cannot occur with this kind of model, data or curve."""


@dataclass(frozen=True, kw_only=True)
class Clue:
    """One piece of evidence for or against a cause.

    Attributes:
        when: Conditions that must all hold.
        weight: Term that it adds to the log odds of the cause; a negative one speaks against the cause.
        says: The evidence as a sentence, with names of facts in braces, such as `{start_ratio}`. Never empty.
    """

    when: tuple[Condition, ...]
    weight: float = 0.0
    says: str

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Returns whether all conditions hold."""
        return all(condition.holds(facts) for condition in self.when)

    def sentence(self, facts: Mapping[str, Any]) -> str:
        """Returns the evidence as a sentence, with its numbers filled in."""
        known = {name: facts[name] for name in slots_of(self.says)}
        return self.says.format_map(
            {name: "unknown" if value is None else MEASURES[name].show(value) for name, value in known.items()}
        )


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One possible cause.

    Attributes:
        code: Code that never changes, such as `"LRS301"`.
        name: The cause in a word or two.
        title: The cause in one sentence.
        means: Explanation of why the cause makes such a curve.
        start: Log odds before any clue, once `when` holds.
        when: Clues that must all hold before the cause is considered.
        clues: Evidence for and against.
        not_for: Clues that each show that the cause cannot occur here.
        rules_out: Clues that each rule the cause out.
        to_check: A check that confirms the cause or rules it out.
        advice: Advice for when the cause is true.
        advice_here: Advice that depends on the run: the first whose conditions hold replaces `advice`.
        is_not: A wrong conclusion, and why not to draw it.
        sources: Addresses of pages that describe the cause.
        alarm: Whether the user should fix something.
        stops_learning: Whether nothing can be learned before it is fixed, so that no rate is suggested.
    """

    code: str
    name: str
    title: str
    means: str
    start: float
    when: tuple[Clue, ...]
    clues: tuple[Clue, ...] = ()
    not_for: tuple[Clue, ...] = ()
    rules_out: tuple[Clue, ...] = ()
    to_check: str
    advice: str
    advice_here: tuple[Clue, ...] = ()
    is_not: str
    sources: tuple[str, ...] = ()
    alarm: bool
    stops_learning: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The judgment of one cause on one curve.

    Attributes:
        code: Code of the cause.
        name: The cause in a word or two.
        title: The cause in one sentence.
        means: Explanation of why the cause makes such a curve.
        status: Whether it is confirmed, likely, possible, ruled out or not applicable.
        likelihood: How likely it is, from 0 to 1; orders the findings.
        log_odds: Terms of the likelihood: the start of the cause, then the weight of each clue that holds. Their sum
            is ``ln(likelihood / (1 - likelihood))``.
        evidence: Sentences for and against the cause, with the observed values.
        to_check: A check that confirms the cause or rules it out.
        advice: Advice for when the cause is true.
        is_not: A wrong conclusion, and why not to draw it.
        sources: Addresses of pages that describe the cause.
        alarm: Whether the user should fix something.
        stops_learning: Whether nothing can be learned before it is fixed, so that no rate is suggested.
    """

    code: str
    name: str
    title: str
    means: str
    status: CauseStatus
    likelihood: Share
    log_odds: tuple[Number, ...]
    evidence: tuple[str, ...]
    to_check: str
    advice: str
    is_not: str
    sources: tuple[str, ...]
    alarm: bool
    stops_learning: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether the cause is confirmed or likely."""
        return self.status in {CauseStatus.CONFIRMED, CauseStatus.LIKELY}

    @property
    def percent(self) -> int:
        """The likelihood in whole percent. It is never 100, because only a probe can confirm a cause."""
        return min(round(100 * self.likelihood), MAX_PERCENT)


def judge(cause: Cause, facts: Mapping[str, Any]) -> Finding | None:
    """Judges one cause by the facts of one curve.

    Args:
        cause: The cause.
        facts: Features and context of one curve, by name.

    Returns:
        The finding, or `None` if the facts neither support nor exclude the cause.
    """
    for status, clues in ((CauseStatus.NOT_APPLICABLE, cause.not_for), (CauseStatus.RULED_OUT, cause.rules_out)):
        against = [clue.sentence(facts) for clue in clues if clue.holds(facts)]
        if against:
            return _finding(cause, facts, status, (), against)
    if not all(clue.holds(facts) for clue in cause.when):
        return None
    seen = [clue for clue in cause.clues if clue.holds(facts)]
    log_odds = (cause.start, *(clue.weight for clue in seen))
    likelihood = _share(log_odds)
    points_to_it = bool(cause.when) or any(clue.weight > 0 for clue in seen)
    if likelihood < MIN_LIKELIHOOD or not points_to_it:
        return None
    called = CauseStatus.LIKELY if likelihood >= LIKELY else CauseStatus.POSSIBLE
    sentences = [clue.sentence(facts) for clue in (*cause.when, *seen)]
    return _finding(cause, facts, called, log_odds, sentences)


def _share(log_odds: tuple[float, ...]) -> float:
    return 1 / (1 + math.exp(-sum(log_odds))) if log_odds else 0.0


def _finding(
    cause: Cause, facts: Mapping[str, Any], status: CauseStatus, log_odds: tuple[float, ...], evidence: list[str]
) -> Finding:
    here = (clue.sentence(facts) for clue in cause.advice_here if clue.holds(facts))
    return Finding(
        code=cause.code,
        name=cause.name,
        title=cause.title,
        means=cause.means,
        status=status,
        likelihood=_share(log_odds),
        log_odds=log_odds,
        evidence=tuple(evidence),
        to_check=cause.to_check,
        advice=next(here, cause.advice),
        is_not=cause.is_not,
        sources=cause.sources,
        alarm=cause.alarm,
        stops_learning=cause.stops_learning,
    )
