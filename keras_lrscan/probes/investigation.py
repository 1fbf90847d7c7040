"""Holds the results of probes, and confirms or rules out the findings of an analysis with them."""

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
from keras_lrscan.suggestions.suggest import all_suggestions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from keras_lrscan.causes.cause import Cause

__all__ = ["Investigation", "Outcome", "ProbeResult", "settle"]

WIDTH = 88

FORMAT = 1

AGAIN = "Investigate again with `investigate(model, x, y, analysis=...)`."
"""Advice in the error for an investigation that cannot be read."""


class Outcome(StrEnum):
    """The answer to the question of a probe."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"
    """The numbers lie between those for yes and no."""
    NOT_POSSIBLE = "not-possible"
    """The probe does not apply to this model, data or curve; the evidence gives the reason."""


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """The result of one probe.

    Attributes:
        name: Name of the probe, a key of `keras_lrscan.probes.table.PROBES`.
        question: Question of the probe.
        outcome: The answer.
        evidence: One or two sentences with the numbers behind the answer.
        confirms: Names of the causes that it confirms.
        rules_out: Names of the causes that it rules out.
        details: Further lines with numbers, such as the gradient of each layer.
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
    """The results of all probes, and the analysis that follows from them.

    Attributes:
        analysis: The analysis, with its findings confirmed or ruled out by the results.
        results: The result of each probe, in the order of `PROBES`.
        notes: Sentences about limits of the investigation, such as state that it could not restore.
        interrupted: Whether Ctrl-C ended it before the last probe.
    """

    analysis: Analysis
    results: tuple[ProbeResult, ...]
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def explain(self) -> str:
        """Returns the questions, the answers and the conclusions in plain words."""
        parts = ["Results of the probes", *(_describe(result) for result in self.results)]
        if not self.results:
            parts.append(
                _paragraph(
                    "No probe ran, because none could settle an open cause of this analysis. To run probes anyway, "
                    "name them with `probes=[...]`."
                )
            )
        confirmed = [finding for finding in self.analysis.findings if finding.status == CauseStatus.CONFIRMED]
        named = {name for result in self.results for name in result.rules_out}
        gone = [finding for finding in self.analysis.excluded if finding.name in named]
        still = [finding for finding in self.analysis.findings if finding.status != CauseStatus.CONFIRMED]
        sections = (
            ("Confirmed", [f"{_title(finding)} {finding.advice}" for finding in confirmed]),
            ("Ruled out", [_title(finding) for finding in gone]),
            ("Still open", [f"{_title(finding)} To check: {finding.to_check}" for finding in still]),
            ("About this investigation", self._remarks()),
        )
        parts += ["\n".join([heading, *map(_bullet, sentences)]) for heading, sentences in sections if sentences]
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
        """Creates an investigation from the output of `to_dict`.

        Raises:
            InvalidCurveError: If `data` is not an investigation in a format that this version supports.
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
        interruption = "It was interrupted. The probes above had finished, and the model was restored."
        return [*self.notes, *([interruption] if self.interrupted else [])]


def settle(analysis: Analysis, results: Sequence[ProbeResult]) -> Analysis:
    """Confirms or rules out the findings of an analysis with the results of probes.

    A confirmed cause gets likelihood 1 and comes first, even if the curve alone did not suggest it. A cause that is
    ruled out moves to `excluded`, with the probes' evidence as the reason. If results contradict each other, the cause
    keeps its status and likelihood. The evidence of the probes is added to that of confirmed and contradicted causes.
    There is no suggestion while a cause that stops all learning is confirmed or likely.

    Args:
        analysis: The analysis of the curve.
        results: The results of the probes.

    Returns:
        A new analysis.
    """
    judged = [_settle_finding(finding, results) for finding in _with_confirmed(analysis, results)]
    found = [finding for finding in judged if finding.status not in {CauseStatus.RULED_OUT, CauseStatus.NOT_APPLICABLE}]
    order = {name: at for at, name in enumerate(finding.name for finding in judged)}
    excluded = [finding for finding in judged if finding not in found]
    ranked = tuple(sorted(found, key=lambda finding: (-finding.likelihood, order[finding.name])))
    return dataclasses.replace(
        analysis,
        findings=ranked,
        excluded=tuple(sorted(excluded, key=lambda finding: finding.code)),
        suggestions=all_suggestions(analysis, ranked),
    )


def _with_confirmed(analysis: Analysis, results: Iterable[ProbeResult]) -> list[Finding]:
    """Returns all findings, and a new one for each confirmed cause that the analysis does not mention."""
    present = [*analysis.findings, *analysis.excluded]
    known = {finding.name for finding in present}
    contradicted = {name for result in results for name in result.rules_out}
    confirmed = {name for result in results for name in result.confirms} - known - contradicted
    return [*present, *(_new_finding(cause) for cause in CAUSES if cause.name in confirmed)]


def _new_finding(cause: Cause) -> Finding:
    shared = {item.name for item in dataclasses.fields(Finding)} & {item.name for item in dataclasses.fields(cause)}
    return Finding(
        **{name: getattr(cause, name) for name in shared},
        status=CauseStatus.RULED_OUT,
        likelihood=0.0,
        log_odds=(),
        evidence=(),
    )


def _settle_finding(finding: Finding, results: Iterable[ProbeResult]) -> Finding:
    relevant = [result for result in results if finding.name in (*result.confirms, *result.rules_out)]
    votes = {finding.name in result.confirms for result in relevant}
    if not votes:
        return finding
    added = tuple(result.evidence for result in relevant)
    evidence = tuple(dict.fromkeys((*finding.evidence, *added)))
    if len(votes) > 1:
        return dataclasses.replace(finding, evidence=evidence)
    if votes == {True}:
        certain = dataclasses.replace(finding, status=CauseStatus.CONFIRMED, likelihood=1.0)
        return dataclasses.replace(certain, log_odds=(), evidence=evidence)
    return dataclasses.replace(finding, status=CauseStatus.RULED_OUT, likelihood=0.0, log_odds=(), evidence=added)


def _describe(result: ProbeResult) -> str:
    answer = f"{result.outcome.replace('-', ' ').capitalize()}. {result.evidence}"
    lines = [f"{result.question} [{result.name}]", textwrap.indent(_paragraph(answer, WIDTH - 2), "  ")]
    return "\n".join([*lines, *(f"    {line}" for line in result.details)])


def _title(finding: Finding) -> str:
    return f"{finding.title} ({finding.code})"


def _bullet(sentence: str) -> str:
    return textwrap.fill(sentence, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def _paragraph(sentence: str, width: int = WIDTH) -> str:
    return textwrap.fill(sentence, width, break_on_hyphens=False)
