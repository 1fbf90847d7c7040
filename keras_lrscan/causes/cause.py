"""What a cause is, and what is found of it on one curve: `Cause` → `Finding`.

A cause is a row of a table. Its likelihood is a sum in log odds: where it starts from, plus the weight of each clue
that holds. So the numbers that order the findings are the very ones that the evidence prints.
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
"""A cause at least this likely is called likely; one below is called possible."""

MAX_PERCENT = 99
"""What the evidence of a curve says is never called certain."""

MIN_LIKELIHOOD = 0.1
"""A cause less likely than this is not worth a reader's time."""


class CauseStatus(StrEnum):
    """What the evidence says of one cause."""

    CONFIRMED = "confirmed"
    """A probe of the model showed it."""
    LIKELY = "likely"
    POSSIBLE = "possible"
    RULED_OUT = "ruled-out"
    """A number, or a probe of the model, speaks against it."""
    NOT_APPLICABLE = "not-applicable"
    """The model, the data or the curve is not of the kind that it can happen to."""


@dataclass(frozen=True, kw_only=True)
class Clue:
    """One piece of evidence.

    Attributes:
        when: All of these hold.
        weight: What it adds to the log odds of the cause; below zero it speaks against it.
        says: The evidence in plain words, with facts in braces, such as `{start_ratio}`.
    """

    when: tuple[Condition, ...]
    weight: float = 0.0
    says: str

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Returns whether all conditions hold."""
        return all(condition.holds(facts) for condition in self.when)

    def sentence(self, facts: Mapping[str, Any]) -> str:
        """Returns the evidence with its numbers filled in."""
        known = {name: facts[name] for name in slots_of(self.says)}
        return self.says.format_map(
            {name: "unknown" if value is None else MEASURES[name].show(value) for name, value in known.items()}
        )


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One possible cause.

    Attributes:
        code: Stable for ever.
        name: The cause in a word or two.
        title: The cause in one sentence.
        means: Why that makes such a curve, in plain words.
        start: Log odds before any clue, once `when` holds.
        when: Clues that must all hold before the cause is considered.
        clues: Evidence for and against.
        not_for: Any of these says that it cannot happen here.
        rules_out: Any of these rules it out.
        to_check: What would confirm it or rule it out.
        advice: What to do if it is true.
        is_not: What it does not mean.
        sources: Addresses of where this was described.
        alarm: Whether something should be mended.
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
    is_not: str
    sources: tuple[str, ...] = ()
    alarm: bool


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the evidence of one curve says of one cause.

    Attributes:
        code: Code of the cause.
        name: The cause in a word or two.
        title: The cause in one sentence.
        means: Why that makes such a curve, in plain words.
        status: Whether it is confirmed, likely, possible, ruled out or not applicable.
        likelihood: How likely it is, from 0 to 1; orders the findings.
        log_odds: What the likelihood adds up from: where the cause starts, then the weight of each clue that holds.
            Their sum is ``ln(likelihood / (1 - likelihood))``.
        evidence: What points to it, or against it, with the values seen.
        to_check: What would confirm it or rule it out.
        advice: What to do if it is true.
        is_not: What it does not mean.
        sources: Addresses of where this was described.
        alarm: Whether something should be mended.
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

    @property
    def percent(self) -> int:
        """The likelihood in whole percent. Never 100: only a probe can confirm a cause."""
        return min(round(100 * self.likelihood), MAX_PERCENT)


def judge(cause: Cause, facts: Mapping[str, Any]) -> Finding | None:
    """Returns what the facts say of a cause, or `None` where they say nothing.

    Args:
        cause: The cause.
        facts: Features and context of one curve, by name.
    """
    for status, clues in ((CauseStatus.NOT_APPLICABLE, cause.not_for), (CauseStatus.RULED_OUT, cause.rules_out)):
        against = [clue.sentence(facts) for clue in clues if clue.holds(facts)]
        if against:
            return _finding(cause, status, (), against)
    if not all(clue.holds(facts) for clue in cause.when):
        return None
    seen = [clue for clue in cause.clues if clue.holds(facts)]
    log_odds = (cause.start, *(clue.weight for clue in seen))
    likelihood = _share(log_odds)
    points_to_it = bool(cause.when) or any(clue.weight > 0 for clue in seen)
    if likelihood < MIN_LIKELIHOOD or not points_to_it:
        return None
    called = CauseStatus.LIKELY if likelihood >= LIKELY else CauseStatus.POSSIBLE
    sentences = [clue.sentence(facts) for clue in (*cause.when, *seen) if clue.says]
    return _finding(cause, called, log_odds, sentences)


def _share(log_odds: tuple[float, ...]) -> float:
    return 1 / (1 + math.exp(-sum(log_odds))) if log_odds else 0.0


def _finding(cause: Cause, status: CauseStatus, log_odds: tuple[float, ...], evidence: list[str]) -> Finding:
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
        advice=cause.advice,
        is_not=cause.is_not,
        sources=cause.sources,
        alarm=cause.alarm,
    )
