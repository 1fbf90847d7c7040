"""Lists the numbers behind an analysis and their formulas, for experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_lrscan.causes.cause import LIKELY, MIN_LIKELIHOOD
from keras_lrscan.curves.context import chance_loss, uniform_loss
from keras_lrscan.formatting import format_loss
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.references import has_natural_zero
from keras_lrscan.reading.shapes import MIN_POINTS, NO_CONFIDENCE
from keras_lrscan.reading.start_state import BETTER_THAN_CHANCE, largest_at_chance
from keras_lrscan.suggestions.suggest import SUGGESTION_METHODS, Role, format_range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keras_lrscan.causes.cause import Finding
    from keras_lrscan.pure_analysis import PureAnalysis
    from keras_lrscan.suggestions.suggest import Suggestion

__all__ = ["formulas"]

LANDMARKS = ("descent_start", "steepest", "minimum", "elbow")


def formulas(analysis: PureAnalysis) -> tuple[str, ...]:
    """Returns one line each for the rules that held, the start state, the landmarks, the causes and the suggestions.

    Args:
        analysis: The analysis of a curve.
    """
    return (*_verdict(analysis), *_landmarks(analysis), *_causes(analysis), *_suggestions(analysis))


def _verdict(analysis: PureAnalysis) -> Iterable[str]:
    verdict, smoothed = analysis.verdict, analysis.smoothed
    yield f"Shape {verdict.shape}: {'; '.join(verdict.evidence)}."
    if verdict.shape not in NO_CONFIDENCE:
        limit = "" if analysis.features.num_points >= MIN_POINTS else f", at most the number of points / {MIN_POINTS}"
        yield f"Confidence {verdict.confidence:.2f}: share of noise-resampled copies with that shape{limit}."
    yield from _start(analysis)
    yield f"Smoothed curve: {smoothed.method}, window {smoothed.window:.3g} steps; slope is d loss / d log10(rate)."


def _start(analysis: PureAnalysis) -> Iterable[str]:
    context, start, ratio = analysis.curve.context, analysis.landmarks.start, analysis.features.start_ratio
    chance, source = chance_loss(context), context.chance_source or "ln of the number of classes, or as given"
    if chance is None or start is None:
        return
    if ratio is not None:
        first, penalty = format_loss(start.loss), format_loss(context.regularization_loss or 0.0)
        yield (
            f"Start {analysis.verdict.start_state}: (loss at the start - regularization) / chance level = "
            f"({first} - {penalty}) / {format_loss(chance)} = {ratio:.3g}; better below {BETTER_THAN_CHANCE}, worse "
            f"above {largest_at_chance(chance, uniform_loss(context)):.3g}. Chance level: {source}."
        )
    elif not has_natural_zero(analysis.curve):
        yield (
            f"Start unknown: this loss can be below zero, so it has no ratio to the chance level, "
            f"{format_loss(chance)}. Chance level: {source}."
        )


def _landmarks(analysis: PureAnalysis) -> Iterable[str]:
    for name in LANDMARKS if analysis.features.num_points >= MIN_FOR_START else ():
        mark = getattr(analysis.landmarks, name)
        if mark is not None:
            spread = "" if mark.low is None or mark.high is None else f", range {mark.low:.2e} to {mark.high:.2e}"
            yield f"{name.replace('_', ' ').capitalize()}: rate {mark.lr:.2e}, loss {mark.loss:.4g}{spread}."


def _causes(analysis: PureAnalysis) -> Iterable[str]:
    yield (
        "Likelihood of a cause: 1 / (1 + exp(-s)), where s is its prior log odds plus the weight of each clue that "
        f"holds; likely from {LIKELY}, listed from {MIN_LIKELIHOOD}."
    )
    for finding in analysis.findings:
        yield f"{finding.code} {finding.name}: {_sum_of(finding)}, {finding.status}."
    for finding in analysis.excluded:
        yield f"{finding.code} {finding.name}, {str(finding.status).replace('-', ' ')}: {' '.join(finding.evidence)}"


def _sum_of(finding: Finding) -> str:
    terms = " ".join(f"{term:+.1f}" for term in finding.log_odds)
    return f"s = {terms} = {sum(finding.log_odds):+.1f}, {finding.likelihood:.2f}"


def _suggestions(analysis: PureAnalysis) -> Iterable[str]:
    by_method: dict[str, dict[Role, Suggestion]] = {}
    for suggestion in analysis.suggestions:
        by_method.setdefault(suggestion.method, {})[suggestion.role] = suggestion
    for name, roles in by_method.items():
        rates = "; ".join(f"{role} {_rate(suggestion)}" for role, suggestion in roles.items())
        yield f"Method {name}: {rates}. {SUGGESTION_METHODS[name].says if name in SUGGESTION_METHODS else ''}".strip()


def _rate(suggestion: Suggestion) -> str:
    reach = format_range(suggestion)
    return "none" if suggestion.lr is None or reach is None else f"{suggestion.lr:.2e} ({reach})"
