"""What a picture of a scan shows, in words and numbers: title, caption, range of losses, and a text for the blind."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.context import chance_loss
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.plots.regions import regions
from keras_lrscan.reading.features import StartState
from keras_lrscan.reading.shapes import SHAPE_RULES, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["GUESSING_WITH", "caption", "count_off_top", "describe_plot", "guessing_level", "title", "view"]

HEADROOM = 0.6
"""Losses above the larger of start and chance by more than this share of the view's height are cut off."""

LARGEST_CLIMB = 3.0
"""What climbs before the rise is shown up to this many times the height of the rest."""

MIN_VIEW = 0.25
"""The view is at least this share of the first loss high, so that a flat curve looks flat."""

LARGEST_REACH = 1.5
"""A level of guessing below all losses is shown up to this many times their height further down."""

STARTS: Mapping[str, str] = MappingProxyType(
    {
        StartState.AT_CHANCE: "the model starts at the level of guessing",
        StartState.BETTER_THAN_CHANCE: "the model starts out better than guessing",
        StartState.WORSE_THAN_CHANCE: "the model starts out worse than guessing",
        StartState.UNKNOWN: "whether the model starts out better than guessing is not known",
    }
)
"""Start state → half of the caption."""

GUESSING_WITH = MappingProxyType({False: "guessing: {level}", True: "guessing, with regularization: {level}"})
"""Whether a regularization term lifts the level of guessing → the name of its line."""


def title(analysis: PureAnalysis) -> str:
    """Returns the shape in a few words.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> title(analyze(synthetic_curve("flat")))
    'Flat everywhere'
    """
    words = next(rule.title for rule in SHAPE_RULES if rule.code == analysis.verdict.code)
    return f"{words[0].upper()}{words[1:]}"


def caption(analysis: PureAnalysis) -> str:
    """Returns the verdict, the start state and the suggestion in one sentence.

    Example:
    >>> from keras_lrscan import analyze
    >>> from keras_lrscan.datasets.synthetic import synthetic_curve
    >>> caption(analyze(synthetic_curve("flat")))
    'Verdict flat (confidence 100 %): the model starts at the level of guessing; no rate is suggested.'
    """
    verdict, suggestion = analysis.verdict, analysis.suggestion
    advice = "no rate is suggested"
    if suggestion.lr is not None and suggestion.low is not None and suggestion.high is not None:
        low, high = format_lr(suggestion.low), format_lr(suggestion.high)
        advice = f"a rate to train at is about {format_lr(suggestion.lr)}, somewhere from {low} to {high}"
    sure = "" if verdict.shape == Shape.UNCLEAR else f" (confidence {100 * verdict.confidence:.0f} %)"
    return f"Verdict {verdict.shape}{sure}: {STARTS[verdict.start_state]}; {advice}."


def guessing_level(analysis: PureAnalysis, *, regularized: bool = True) -> float | None:
    """Returns what guessing would cost on this curve, or `None` where that is not known.

    Args:
        analysis: What was read from the curve.
        regularized: Add the regularization that the recorded losses hold, so that the level can be compared with them.
    """
    context = analysis.curve.context
    chance = chance_loss(context)
    if chance is None or not regularized:
        return chance
    return chance + (context.regularization_loss or 0.0)


def view(analysis: PureAnalysis) -> tuple[float, float]:
    """Returns the range of losses to show: from the lowest to a little above what the model started with."""
    finite = analysis.curve.loss[np.isfinite(analysis.curve.loss)]
    marks, smooth = analysis.landmarks, analysis.smoothed.loss
    if marks.start is None or not smooth.size:
        return 0.0, 1.0
    chance = guessing_level(analysis)
    noise = min(3 * float(np.median(analysis.smoothed.noise)), abs(marks.start.loss))
    low = min(float(smooth.min()) - noise, float(np.percentile(finite, 2)))
    high = max(marks.start.loss + noise, *([] if chance is None else [chance]), low)
    height = max(high - low, MIN_VIEW * abs(marks.start.loss), 1e-9)
    if chance is not None and low - LARGEST_REACH * height <= chance:
        low = min(low, chance)
        height = max(high - low, height)
    calm = smooth[: len(smooth) if marks.elbow is None else marks.elbow.index + 1]
    high = max(high, min(float(calm.max()) + noise, high + LARGEST_CLIMB * height))
    height = max(high - low, height)
    top = min(high + HEADROOM * height, float(finite.max()) + 0.05 * height)
    bottom = low - 0.12 * height
    if finite.min() >= 0:
        bottom = max(bottom, -0.08 * height)
    return bottom, max(top, high + 0.2 * height)


def count_off_top(analysis: PureAnalysis, top: float) -> int:
    """Returns how many batches have a loss above `top`, or one that is not a number."""
    return int((~(analysis.curve.loss <= top)).sum())


def describe_plot(analysis: PureAnalysis) -> str:
    """Describes the picture of an analysis for a reader who cannot see it, with all its numbers.

    Args:
        analysis: What was read from the curve.

    Returns:
        Some sentences, for example for the attribute `alt` of an image.

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
    yield (
        f"Line plot of the loss of {len(curve)} batches over the learning rate, on a logarithmic axis from {low} to "
        f"{high}."
    )
    if smooth.size:
        yield f"With the noise of single batches taken off, the loss starts at {format_loss(smooth[0])},"
        yield (
            f"is lowest at {format_loss(smooth.min())}, highest at {format_loss(smooth.max())}, and ends at "
            f"{format_loss(smooth[-1])}."
        )
    else:
        yield "Not one of the losses is a finite number."
    yield from _landmarks(analysis)
    level = guessing_level(analysis)
    if level is not None:
        words = GUESSING_WITH[level != guessing_level(analysis, regularized=False)]
        yield f"A dotted line marks {words.format(level=format_loss(level))}."
    parts = [f"{region.kind} from {format_lr(region.low)} to {format_lr(region.high)}" for region in regions(analysis)]
    if parts:
        yield f"Shaded stretches, from left to right: {'; '.join(parts)}."
    cut = count_off_top(analysis, view(analysis)[1])
    if cut:
        yield f"{cut} batch{'es are' if cut > 1 else ' is'} off the top of the picture."
    yield caption(analysis)


def _landmarks(analysis: PureAnalysis) -> Iterator[str]:
    names = {
        "steepest": "It falls fastest",
        "minimum": "The bottom of the first valley is",
        "elbow": "It starts to rise",
    }
    for name, words in names.items():
        mark = getattr(analysis.landmarks, name)
        if mark is None or (name == "minimum" and not analysis.landmarks.valleys):
            continue
        reach = ""
        if mark.low is not None and mark.high is not None:
            reach = f" (from {format_lr(mark.low)} to {format_lr(mark.high)} under other noise)"
        yield f"{words} at the rate {format_lr(mark.lr)}{reach}, with a loss of {format_loss(mark.loss)}."
