"""What probes of the model found, and what that makes of an analysis: `ProbeResult`s → `Investigation`."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from keras_lrscan.analysis import Analysis
from keras_lrscan.causes.cause import CauseStatus, Finding
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.errors import InvalidCurveError, shown
from keras_lrscan.files.decoding import checked_object, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from keras_lrscan.causes.cause import Cause

__all__ = ["Investigation", "Outcome", "ProbeResult", "settle"]

WIDTH = 88

FORMAT = 1

AGAIN = "Investigate again with `investigate(model, x, y, analysis=...)`."
"""How to go on with an investigation that cannot be read."""


class Outcome(StrEnum):
    """The answer to the question that a probe asks."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"
    """The numbers are between a yes and a no."""
    NOT_POSSIBLE = "not-possible"
    """This model, this data or this curve cannot be asked; the evidence says why."""


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What one probe found.

    Attributes:
        name: Name of the probe, a key of `keras_lrscan.probes.table.PROBES`.
        question: What it asked.
        outcome: The answer.
        evidence: The answer in a sentence or two, with numbers.
        confirms: Names of the causes that it confirms.
        rules_out: Names of the causes that it rules out.
        details: Further numbers, a line each, such as the gradient of each layer.
    """

    name: str
    question: str
    outcome: Outcome
    evidence: str
    confirms: tuple[str, ...] = ()
    rules_out: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Investigation:
    """What an investigation found.

    Attributes:
        analysis: The analysis, its findings confirmed or ruled out by the results.
        results: What each probe found, in the order they ran.
        notes: Sentences on what the investigation could not put back, or could not do.
        interrupted: Whether Ctrl-C ended it before the last probe.
    """

    analysis: Analysis
    results: tuple[ProbeResult, ...]
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def explain(self) -> str:
        """Returns what was asked, what was found and what follows from it, in plain words."""
        parts = ["What probes of the model found", *(_told(result) for result in self.results)]
        if not self.results:
            parts.append(
                _paragraph(
                    "No probe ran: none of them could settle what is open here. Name probes with `probes=[...]` to run "
                    "them all the same."
                )
            )
        settled = [finding for finding in self.analysis.findings if finding.status == CauseStatus.CONFIRMED]
        named = {name for result in self.results for name in result.rules_out}
        gone = [finding for finding in self.analysis.excluded if finding.name in named]
        still = [finding for finding in self.analysis.findings if finding.status != CauseStatus.CONFIRMED]
        sections = (
            ("Confirmed", [f"{_titled(finding)} {finding.advice}" for finding in settled]),
            ("Ruled out", [_titled(finding) for finding in gone]),
            ("Still open", [f"{_titled(finding)} To check: {finding.to_check}" for finding in still]),
            ("About this investigation", self._remarks()),
        )
        parts += ["\n".join([heading, *map(_bullet, said)]) for heading, said in sections if said]
        return "\n\n".join(parts) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values that JSON can hold."""
        return {
            "format": FORMAT,
            "analysis": self.analysis.to_dict(),
            "results": [dataclasses.asdict(result) for result in self.results],
            "notes": list(self.notes),
            "interrupted": self.interrupted,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Investigation:
        """Rebuilds what `to_dict` returned.

        Raises:
            InvalidCurveError: If `data` does not hold an investigation of a format that this version knows.
        """
        data = checked_object(data)
        if data.get("format") != FORMAT or "results" not in data:
            msg = (
                f"Expected an investigation of format {FORMAT}. Received: format={shown(data.get('format'))}, "
                f"keys={sorted(map(str, data))!r:.200}. {AGAIN}"
            )
            raise InvalidCurveError(msg)
        return decode(cls, data, again=AGAIN)

    def _remarks(self) -> list[str]:
        ended = "It was interrupted; the probes above had finished, and the model is as it was before."
        return [*self.notes, *([ended] if self.interrupted else [])]


def settle(analysis: Analysis, results: Sequence[ProbeResult]) -> Analysis:
    """Returns the analysis with its findings confirmed or ruled out by what probes found.

    A confirmed cause gets the likelihood 1 and comes first, also if the curve alone had not pointed to it. A cause that
    is ruled out moves to `excluded`. Where results contradict each other, the cause keeps its standing. In each case
    what the probes said joins the evidence.

    Args:
        analysis: What was read from the curve.
        results: What the probes found.
    """
    judged = [_settled(finding, results) for finding in _with_confirmed(analysis, results)]
    found = [finding for finding in judged if finding.status not in {CauseStatus.RULED_OUT, CauseStatus.NOT_APPLICABLE}]
    order = {name: at for at, name in enumerate(finding.name for finding in judged)}
    excluded = [finding for finding in judged if finding not in found]
    return dataclasses.replace(
        analysis,
        findings=tuple(sorted(found, key=lambda finding: (-finding.likelihood, order[finding.name]))),
        excluded=tuple(sorted(excluded, key=lambda finding: finding.code)),
    )


def _with_confirmed(analysis: Analysis, results: Iterable[ProbeResult]) -> list[Finding]:
    """Returns all findings, and one more for each cause that was confirmed although nothing had been said of it."""
    present = [*analysis.findings, *analysis.excluded]
    known = {finding.name for finding in present}
    contradicted = {name for result in results for name in result.rules_out}
    confirmed = {name for result in results for name in result.confirms} - known - contradicted
    return [*present, *(_unexpected(cause) for cause in CAUSES if cause.name in confirmed)]


def _unexpected(cause: Cause) -> Finding:
    shared = {item.name for item in dataclasses.fields(Finding)} & {item.name for item in dataclasses.fields(cause)}
    return Finding(
        **{name: getattr(cause, name) for name in shared},
        status=CauseStatus.RULED_OUT,
        likelihood=0.0,
        log_odds=(),
        evidence=(),
    )


def _settled(finding: Finding, results: Iterable[ProbeResult]) -> Finding:
    told = [result for result in results if finding.name in (*result.confirms, *result.rules_out)]
    votes = {finding.name in result.confirms for result in told}
    if not votes:
        return finding
    said = tuple(result.evidence for result in told)
    evidence = tuple(dict.fromkeys((*finding.evidence, *said)))
    if len(votes) > 1:
        return dataclasses.replace(finding, evidence=evidence)
    if votes == {True}:
        certain = dataclasses.replace(finding, status=CauseStatus.CONFIRMED, likelihood=1.0)
        return dataclasses.replace(certain, log_odds=(), evidence=evidence)
    return dataclasses.replace(finding, status=CauseStatus.RULED_OUT, likelihood=0.0, log_odds=(), evidence=said)


def _told(result: ProbeResult) -> str:
    answer = f"{result.outcome.replace('-', ' ').capitalize()}. {result.evidence}"
    lines = [f"{result.question} [{result.name}]", textwrap.indent(_paragraph(answer, WIDTH - 2), "  ")]
    return "\n".join([*lines, *(f"    {line}" for line in result.details)])


def _titled(finding: Finding) -> str:
    return f"{finding.title} ({finding.code})"


def _bullet(sentence: str) -> str:
    return textwrap.fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _paragraph(sentence: str, width: int = WIDTH) -> str:
    return textwrap.fill(sentence, width, break_on_hyphens=False)
