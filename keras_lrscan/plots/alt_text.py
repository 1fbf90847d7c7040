"""Describes the plot of an analysis in words: its title, its caption, and a text alternative for screen readers."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.plots.regions import regions
from keras_lrscan.plots.view import chance_level, chance_name, count_off_top, view
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.shapes import NO_CONFIDENCE, SHAPE_RULES
from keras_lrscan.reading.start_state import StartState
from keras_lrscan.suggestions.suggest import format_range, format_suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["STARTS", "caption", "describe_plot", "title"]

STARTS: Mapping[str, str] = MappingProxyType(
    {
        StartState.AT_CHANCE: "the model starts at chance level",
        StartState.BETTER_THAN_CHANCE: "the model starts better than chance level",
        StartState.WORSE_THAN_CHANCE: "the model starts worse than chance level",
        StartState.MIXED: "some outputs start better than chance level, others do not",
        StartState.UNKNOWN: "the start cannot be compared with a chance level",
    }
)
"""Start state → its clause in the caption."""

LANDMARKS: Mapping[str, str] = MappingProxyType(
    {
        "steepest": "It falls fastest",
        "minimum": "It reaches the bottom of its first valley",
        "elbow": "It starts to rise",
    }
)
"""Landmark → the beginning of its sentence."""


def title(analysis: PureAnalysis) -> str:
    """Returns the shape of the curve in a few words.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> title(analyze(synthetic_curve("flat")))
    'Flat everywhere'
    """
    words = next(rule.title for rule in SHAPE_RULES if rule.code == analysis.verdict.code)
    return f"{words[0].upper()}{words[1:]}"


def caption(analysis: PureAnalysis) -> str:
    """Returns the verdict, the start state and the suggestion in one sentence, and in another what to fix first.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> words = caption(analyze(synthetic_curve("u-shaped")))
    >>> words[: words.index(";")]
    'Verdict u-shaped (confidence 100 %): the model starts at chance level'
    """
    verdict, suggestion = analysis.verdict, analysis.suggestion
    advice = "no learning rate is suggested"
    reach = format_range(suggestion)
    if suggestion.lr is not None and reach is not None:
        advice = f"the suggested learning rate is about {format_lr(suggestion.lr)}, in a range from {reach}"
        if analysis.holds_averages:
            advice = f"a good learning rate is {format_suggestion(suggestion, at_most=True)}, since averages look back"
    confidence = "" if verdict.shape in NO_CONFIDENCE else f" (confidence {100 * verdict.confidence:.0f} %)"
    problem = "" if analysis.first_problem is None else f" Fix this first: {analysis.first_problem.title}"
    return f"Verdict {verdict.shape}{confidence}: {STARTS[verdict.start_state]}; {advice}.{problem}"


def describe_plot(analysis: PureAnalysis) -> str:
    """Describes the plot of an analysis, with all its numbers, for a reader who cannot see it.

    Args:
        analysis: The analysis that the plot shows.

    Returns:
        Several sentences, for example for the attribute `alt` of an image.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> text = describe_plot(analyze(synthetic_curve("u-shaped")))
    >>> print(text.split(". ")[0])
    Line plot of the loss of 177 batches over the learning rate, on a logarithmic axis from 1e-7 to 1
    """
    return " ".join(_sentences(analysis))


def _sentences(analysis: PureAnalysis) -> Iterator[str]:
    curve, smooth = analysis.curve, analysis.smoothed.loss
    low, high = format_lr(curve.lr[0]), format_lr(curve.lr[-1])
    if len(curve) == 1:
        yield f"Plot of the loss of a single batch, at a learning rate of {low}."
    else:
        yield (
            f"Line plot of the loss of {len(curve)} batches over the learning rate, on a logarithmic axis from {low} "
            f"to {high}."
        )
    if smooth.size:
        yield (
            f"The smoothed loss starts at {format_loss(smooth[0])}, has a minimum of {format_loss(smooth.min())} and a "
            f"maximum of {format_loss(smooth.max())}, and ends at {format_loss(smooth[-1])}."
        )
    else:
        yield "None of the losses is finite."
    if analysis.features.num_points >= MIN_FOR_START:
        yield from _describe_landmarks(analysis)
    yield from _describe_chance_level(analysis)
    parts = [f"{region.kind} from {format_lr(region.low)} to {format_lr(region.high)}" for region in regions(analysis)]
    if parts:
        yield f"Regions from left to right: {'; '.join(parts)}."
    cut = count_off_top(analysis, view(analysis)[1])
    if cut:
        yield f"{cut} batch{'es are' if cut > 1 else ' is'} off the top of the plot."
    yield caption(analysis)


def _describe_landmarks(analysis: PureAnalysis) -> Iterator[str]:
    for name, words in LANDMARKS.items():
        mark = getattr(analysis.landmarks, name)
        if mark is None or (name == "minimum" and not analysis.landmarks.valleys):
            continue
        margin = ""
        if mark.low is not None and mark.high is not None:
            margin = f" (margin of error: {format_lr(mark.low)} to {format_lr(mark.high)})"
        yield f"{words} at a learning rate of {format_lr(mark.lr)}{margin}, with a loss of {format_loss(mark.loss)}."


def _describe_chance_level(analysis: PureAnalysis) -> Iterator[str]:
    level = chance_level(analysis)
    if level is None:
        return
    bottom, top = view(analysis)
    name, shown = chance_name(analysis), format_loss(level)
    if bottom < level < top:
        yield f"A dotted line marks the {name}, {shown}."
    else:
        yield f"The {name}, {shown}, lies {'above' if level >= top else 'below'} the plot."
