"""Chooses the range of losses that a plot shows, and finds the chance level and the batches outside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.context import chance_loss

if TYPE_CHECKING:
    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["chance_level", "chance_name", "count_off_top", "view", "view_of_rates"]

HEADROOM = 0.6
"""The view ends above the larger of the first loss and the chance level by at most this share of its height."""

MAX_CLIMB = 3.0
"""A climb before the elbow is shown up to this many times the height of the rest."""

MIN_VIEW = 0.25
"""The view is at least this share of the first loss high, so that a flat curve looks flat."""

MAX_DROP = 1.5
"""A chance level below all losses is shown if it lies at most this many times their height below them."""


def chance_level(analysis: PureAnalysis, *, regularized: bool = True) -> float | None:
    """Returns the chance level of this curve, or `None` if it is unknown.

    Args:
        analysis: The analysis to plot.
        regularized: Whether to add the regularization loss, which the recorded losses contain too.
    """
    context = analysis.curve.context
    chance = chance_loss(context)
    if chance is None or not regularized:
        return chance
    return chance + (context.regularization_loss or 0.0)


def chance_name(analysis: PureAnalysis) -> str:
    """Returns the name of the chance level, which says whether it includes regularization."""
    lifted = chance_level(analysis) != chance_level(analysis, regularized=False)
    return "chance level with regularization" if lifted else "chance level"


def view(analysis: PureAnalysis) -> tuple[float, float]:
    """Returns the range of losses to show, from below the lowest loss to a little above the first loss."""
    finite = analysis.curve.loss[np.isfinite(analysis.curve.loss)]
    marks, smooth = analysis.landmarks, analysis.smoothed.loss
    if marks.start is None or not smooth.size:
        return 0.0, 1.0
    chance = chance_level(analysis)
    noise = min(3 * float(np.median(analysis.smoothed.noise)), abs(marks.start.loss))
    low = min(float(smooth.min()) - noise, float(np.percentile(finite, 2)))
    high = max(marks.start.loss + noise, *([] if chance is None else [chance]), low)
    height = max(high - low, MIN_VIEW * abs(marks.start.loss), 1e-9)
    if chance is not None and low - MAX_DROP * height <= chance:
        low = min(low, chance)
        height = max(high - low, height)
    calm = smooth[: len(smooth) if marks.elbow is None else marks.elbow.index + 1]
    high = max(high, min(float(calm.max()) + noise, high + MAX_CLIMB * height))
    height = max(high - low, height)
    top = min(high + HEADROOM * height, float(finite.max()) + 0.05 * height)
    bottom = low - 0.12 * height
    if finite.min() >= 0:
        bottom = max(bottom, -0.08 * height)
    return bottom, max(top, high + 0.2 * height)


def view_of_rates(analysis: PureAnalysis) -> tuple[float, float]:
    """Returns the range of learning rates to show, a little wider than the recorded one, also for a single point."""
    low, high = float(analysis.curve.lr[0]), float(analysis.curve.lr[-1])
    room = max((high / low) ** 0.015, 1.01)
    return low / room, high * room


def count_off_top(analysis: PureAnalysis, top: float) -> int:
    """Returns the number of batches with a loss above `top` or a loss of NaN."""
    return int((~(analysis.curve.loss <= top)).sum())
