"""The points of a curve that a reader would put a finger on: `SmoothedCurve` → `Landmarks`.

A smoothed curve still wanders a little, so a fall or a rise counts only when it is larger than `Landmarks.reversal`:
some standard errors of the smooth line, the noise of one batch, or a fifth of the largest fall. The same number
decides what is a valley. A model that is already good falls a little too, by chance or for real; a fall counts only
when it is a good part of the chance level. Where that is unknown, it must be a good part of the first loss, or far
larger than anything the wander of the line could make.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from keras_lrscan.curves.noise import NORMAL_MAD
from keras_lrscan.errors import InvalidCurveError
from keras_lrscan.files.decoding import Count, Floats, Number, Rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keras_lrscan.reading.smoothing import SmoothedCurve

    Array = Floats

__all__ = ["Landmark", "Landmarks", "find_landmarks", "with_ranges"]

START_DECADES = 0.3
"""The start level is the median over this much of the scan: the rates there are too small to matter in most scans."""

WANDER_DECADES = 0.5
"""Slow noise is what the smooth line does within this width."""

REVERSAL_SIGMA = 5.0
"""A turn counts from this many standard errors of the smooth line."""

REVERSAL_SHARE = 0.2
"""A turn counts from this share of the largest fall."""

REVERSAL_NOISE = 1.5
"""A turn counts from this many standard deviations of one batch.

On 180 synthetic scans of pure noise, of 50 to 200 points, this leaves a turn in one where a batch's noise is 2 % of the
chance level, and in 12 where it is 22 %.
"""

FALL_SHARE = 0.12
"""A fall counts from this share of the chance level, or of the first loss.

In 64 recorded valleys the fall is at least 0.16 of the start; in the curves of models that were already good, or
learned nothing, it is at most 0.10.
"""

FALL_SIGMA = 15.0
"""A smaller fall counts from this many standard errors of the smooth line."""

FALL_NOISE = 3.0
"""Where the chance level is unknown, a fall must be this many standard deviations of one batch."""

NEGLIGIBLE = 1e-3
"""No fall counts below this share of the first loss: a spline overshoots by about as much beside a sharp bend."""

ROUNDING = 1e-9
"""What happens on a smaller share of the whole range of the loss is an error of rounding."""

DESCENT_SHARE = 0.05
"""The descent has begun where this share of the whole fall is behind."""

FLAT_NOISE = 1.5
"""A curve without a fall is calm up to this many standard deviations of one batch above its level."""

FLAT_SHARE = 0.05
"""Nor does a rise by less than this share of the first loss count there."""

ELBOW_SHARE = 0.1
"""Divergence has begun where the loss is above its minimum by this share of the fall, or by its noise, for good."""

CEILING = 1.5
"""Losses further above the start than this many times the fall (or 5 noise levels) are all equally broken."""


RANGED = ("descent_start", "steepest", "minimum", "elbow")
"""The landmarks whose uncertainty is told."""


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """One point of the smoothed curve.

    Attributes:
        index: Position among the points with a finite loss.
        lr: Learning rate there.
        loss: Smoothed loss there (the model's unit).
        low: Lower end of the range that the landmark keeps to under other noise; `None` if unknown.
        high: Upper end of that range; `None` if unknown.
    """

    index: Count
    lr: Rate
    loss: Number
    low: Rate | None = None
    high: Rate | None = None


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """The landmarks of one curve; one that the curve does not show is `None`.

    Attributes:
        start: Loss before the rates matter: the median over the first 0.3 decade, at the first point.
        descent_start: Where 5 % of the fall is behind.
        steepest: Most negative slope (loss per decade) within the fall.
        minimum: The bottom of the first valley; without a fall, the lowest point before the loss rises.
        elbow: Onset of divergence: last point near the minimum before the loss rises or is no longer finite.
        valleys: The bottoms of all falls that count, in order of the rate.
        peaks: The tops between and around the valleys, in order of the rate.
        reversal: The smallest rise or fall that counts (the model's unit).
        wander: Standard deviation of the smooth line about its own mean over half a decade (the model's unit).
    """

    start: Landmark | None = None
    descent_start: Landmark | None = None
    steepest: Landmark | None = None
    minimum: Landmark | None = None
    elbow: Landmark | None = None
    valleys: tuple[Landmark, ...] = ()
    peaks: tuple[Landmark, ...] = ()
    reversal: Number = 0.0
    wander: Number = 0.0

    def check(self, size: int) -> None:
        """Checks that every landmark is a point of a curve of that size.

        Raises:
            InvalidCurveError: If one lies beyond its end, or start or minimum are missing where there are points.
        """
        single = (self.start, self.descent_start, self.steepest, self.minimum, self.elbow)
        marks = [mark for mark in (*single, *self.valleys, *self.peaks) if mark is not None]
        if any(mark.index >= size for mark in marks) or (size > 0) != (None not in {self.start, self.minimum}):
            places = [mark.index for mark in marks]
            msg = f"Expected landmarks among {size} points, start and minimum included. Received: indices={places}."
            raise InvalidCurveError(msg)


def find_landmarks(
    smoothed: SmoothedCurve, *, reference: float | None = None, chance: float | None = None, breaks: bool = False
) -> Landmarks:
    """Finds the landmarks of a smoothed curve; one without a single point has none.

    Args:
        smoothed: The smoothed curve.
        reference: The first loss (the model's unit), for losses that cannot fall below zero.
        chance: The loss of guessing (the model's unit), where it is known.
        breaks: Whether the record ends in a loss that is not finite. The last finite point is then an elbow, if the
            loss has not risen before.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> from keras_lrscan.reading.smoothing import smooth
    >>> x = np.linspace(-6, 0, 121)
    >>> curve = LRCurve(lr=10.0**x, loss=2 - np.exp(-((x + 2) ** 2)))
    >>> marks = find_landmarks(smooth(curve), chance=2.0)
    >>> f"{marks.minimum.lr:.2g}"
    '0.01'
    """
    x, loss = smoothed.log10_lr, smoothed.loss
    if not x.size:
        return Landmarks()
    start = _start_level(smoothed)
    level = max(start, float(np.median(loss)))
    negligible = max(NEGLIGIBLE * (reference or 0.0), ROUNDING * float(np.ptp(loss)))
    depth = max(level - float(loss.min()), 5 * float(np.median(smoothed.noise)), negligible)
    capped = np.minimum(loss, level + CEILING * depth)
    wander = _wander(x, capped)
    error = max(float(np.median(smoothed.standard_error[loss <= level])), 2 * wander)
    largest_fall = float(np.max(np.maximum.accumulate(capped) - capped))
    noise = float(np.median(smoothed.noise[loss <= level]))
    reversal = max(REVERSAL_SIGMA * error, REVERSAL_SHARE * largest_fall, REVERSAL_NOISE * noise)
    capped = np.minimum(loss, level + CEILING * max(depth, reversal))
    if largest_fall <= 0 or largest_fall < max(_smallest_fall(error, noise, reference, chance), reversal):
        reversal = max(reversal, largest_fall * (1 + 1e-9))
        valleys: list[int] = []
        peaks = _turns(capped, reversal)[1]
        margin = max(largest_fall / 2, 2 * error, FLAT_NOISE * noise, FLAT_SHARE * (reference or 0.0))
        bottom, elbow = _flat(capped, peaks, margin, reversal)
        descent_start, steepest = None, None
    else:
        valleys, peaks = _turns(capped, reversal)
        valleys = [valley for valley in valleys if _top_before(capped, peaks, valley) - capped[valley] >= reversal]
        bottom = valleys[0]
        elbow = _elbow(capped, bottom, peaks, max(ELBOW_SHARE * largest_fall, 2 * error))
        descent_start, steepest = _descent(smoothed, bottom, peaks)
    if breaks and elbow is None:
        elbow = x.size - 1

    def at(index: int) -> Landmark:
        return Landmark(index=index, lr=float(10.0 ** x[index]), loss=float(loss[index]))

    def maybe(index: int | None) -> Landmark | None:
        return None if index is None else at(index)

    return Landmarks(
        start=Landmark(index=0, lr=float(10.0 ** x[0]), loss=start),
        descent_start=maybe(descent_start),
        steepest=maybe(steepest),
        minimum=at(bottom),
        elbow=maybe(elbow),
        valleys=tuple(at(index) for index in valleys),
        peaks=tuple(at(index) for index in peaks),
        reversal=reversal,
        wander=wander,
    )


def with_ranges(marks: Landmarks, copies: Sequence[Landmarks]) -> Landmarks:
    """Returns `marks` with the range that each named landmark keeps to over noise-resampled copies of the curve.

    The range reaches as far to either side, on the log axis, as 90 % of the copies have their landmark from the curve's
    own. It is symmetric since the copies show the smoother's bias, too, and show it in the opposite direction. A
    landmark that fewer than half of the copies have keeps an unknown range.

    Args:
        marks: The landmarks of the curve.
        copies: Those of its copies.
    """
    ranged = {}
    for name in RANGED:
        mark = getattr(marks, name)
        rates = [other.lr for other in (getattr(copy, name) for copy in copies) if other is not None]
        if mark is not None and len(rates) >= max(1, len(copies) / 2):
            reach = 10.0 ** float(np.percentile(np.abs(np.log10(rates) - math.log10(mark.lr)), 90))
            ranged[name] = replace(mark, low=mark.lr / reach, high=mark.lr * reach)
    return replace(marks, **ranged)


def _smallest_fall(error: float, noise: float, reference: float | None, chance: float | None) -> float:
    if chance is not None and chance > 0:
        return FALL_SHARE * chance
    if reference is None:
        return max(FALL_SIGMA * error, FALL_NOISE * noise)
    return max(min(FALL_SHARE * reference, FALL_SIGMA * error), FALL_NOISE * noise, NEGLIGIBLE * reference)


def _start_level(smoothed: SmoothedCurve) -> float:
    x = smoothed.log10_lr
    head = max(1, int(np.searchsorted(x, x[0] + START_DECADES)))
    return float(np.median(smoothed.loss[: min(head, max(3, x.size // 10))]))


def _wander(x: Array, loss: Array) -> float:
    """Returns the standard deviation of the smooth line about its own mean over half a decade.

    Losses that were averaged before they were stored carry slow noise that no smoother can tell from the curve. The
    median makes it the wander of the curve at large, whatever one steep stretch does.
    """
    in_width = x.size * WANDER_DECADES / max(float(x[-1] - x[0]), WANDER_DECADES)
    width = max(3, min(int(in_width), x.size // 5))
    return NORMAL_MAD * float(np.median(np.abs(loss - uniform_filter1d(loss, width, mode="nearest"))))


def _turns(loss: Array, reversal: float) -> tuple[list[int], list[int]]:
    """Returns valleys and peaks between which the loss moves by at least `reversal`; either list may start first.

    A running extreme becomes a turn once the loss has moved away from it by `reversal`.
    """
    valleys: list[int] = []
    peaks: list[int] = []
    low = high = 0
    direction = 0
    for i, value in enumerate(loss):
        low = i if value < loss[low] else low
        high = i if value > loss[high] else high
        if direction >= 0 and loss[high] - value >= reversal > 0:
            peaks.append(high)
            direction, low = -1, i
        elif direction <= 0 and value - loss[low] >= reversal > 0:
            valleys.append(low)
            direction, high = 1, i
    (valleys if direction < 0 else peaks).append(low if direction < 0 else high)
    return valleys, peaks


def _top_before(loss: Array, peaks: list[int], index: int) -> float:
    before = [peak for peak in peaks if peak < index]
    return float(loss[before[-1]]) if before else float(loss[: index + 1].max())


def _flat(loss: Array, peaks: list[int], margin: float, reversal: float) -> tuple[int, int | None]:
    """Returns the lowest point before the rise of a curve that does not fall, and the last point before that rise."""
    end = peaks[-1] if peaks else loss.size - 1
    before = loss[: end + 1]
    level = float(np.median(before))
    calm = np.flatnonzero(before <= level + margin)
    rises = bool(peaks) and before[end] - level >= reversal and bool(calm.size)
    elbow = int(calm[-1]) if rises else None
    return int(np.argmin(before[: elbow + 1] if elbow is not None else before)), elbow


def _elbow(loss: Array, bottom: int, peaks: list[int], margin: float) -> int | None:
    """Returns the last point near the bottom before the loss climbs to the next peak, if it climbs at all."""
    after = [peak for peak in peaks if peak > bottom]
    if not after or loss[after[0]] - loss[bottom] < margin:
        return None
    climb = loss[bottom : after[0] + 1]
    return bottom + int(np.flatnonzero(climb <= loss[bottom] + margin)[-1])


def _descent(smoothed: SmoothedCurve, bottom: int, peaks: list[int]) -> tuple[int, int]:
    """Returns where the fall to `bottom` begins and where it is steepest."""
    before = [peak for peak in peaks if peak < bottom]
    first = before[-1] if before else 0
    loss = smoothed.loss[first : bottom + 1]
    threshold = loss.max() - DESCENT_SHARE * (loss.max() - loss[-1])
    begin = first + int(np.flatnonzero(loss >= threshold)[-1])
    return begin, first + int(np.argmin(smoothed.slope[first : bottom + 1]))
