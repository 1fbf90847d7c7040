"""Finds the landmarks of a smoothed curve: start, descent, steepest point, minimum, elbow, valleys and peaks.

A smoothed curve still wanders a little, so a fall or a rise counts only if it exceeds `Landmarks.reversal`: several
standard errors of the smoothed curve, the noise of one batch, or a fifth of the largest fall. The same threshold
defines valleys. The loss of a model that is already good also falls a little, by chance or by learning, so a fall
counts only if it is a considerable share of the chance level, or, without that, of the first loss, or if it is far
larger than noise and wander of the curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter1d

from keras_lrscan._typing import Array
from keras_lrscan.curves.noise import NORMAL_MAD
from keras_lrscan.errors import InvalidCurveError
from keras_lrscan.files.decoding import Count, Number, Rate
from keras_lrscan.reading.start_state import BETTER_THAN_CHANCE
from keras_lrscan.reading.valleys import distinct_valleys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from keras_lrscan.reading.smoothing import SmoothedCurve

__all__ = ["Landmark", "Landmarks", "find_landmarks", "with_ranges"]

START_DECADES = 0.3
"""Decades over which the median loss is the start level; in most scans, the rates there have no effect yet."""

WANDER_DECADES, WANDER_WINDOWS = 0.5, 12
"""Width within which movements of the smoothed curve count as slow noise, and how often it fits in the curve at least.

In half a decade of a scan of three decades, the curve itself moves. On the first sample of `benchmarks/shapes`, 5 and 8
windows hide the fall of a valley with a plateau, 12 and 16 do not, and no other shape depends on that number.
"""

REVERSAL_SIGMA = 5.0
"""Smallest reversal, in standard errors of the smoothed curve."""

REVERSAL_SHARE = 0.2
"""Smallest reversal, as a share of the largest fall."""

REVERSAL_NOISE = 1.5
"""Smallest reversal, in standard deviations of one batch.

On 180 synthetic scans of pure noise with 50 to 200 points, this leaves a reversal in one scan if the noise of a batch
is 2 % of the chance level, and in 12 scans if it is 22 %.
"""

VALLEY_SIGMA = 3.0
"""Smallest fall, in standard errors of the smoothed curve at the bottom of the valley or on the way down to it."""

FALL_SHARE = 0.12
"""Smallest fall, as a share of the chance level or of the first loss.

In 64 recorded valleys, the fall is at least 0.16 of the start. In curves of models that were already good or learned
nothing, it is at most 0.10.
"""

FALL_SIGMA = 15.0
"""Smallest fall below that share, in standard errors of the smoothed curve."""

FALL_NOISE = 3.0
"""Smallest fall below that share of the chance level, or without a chance level, in standard deviations of one batch.

With shallow falls, the mean regret on `benchmarks/suggestions` is lower by 0.001 at a constant rate and by 0.002 with
one-cycle.
"""

LARGE_SHARE = 0.3
"""Share of the first loss from which a fall counts in spite of noisy batches, if the chance level is unknown.

Set on the first sample of `benchmarks/shapes` without its contexts: 91 % of the scans then get a shape by eye, 87 %
without this rule, and 90 % with 0.45.
"""

CLEAR_SHARE, CLEAR_SHARE_IF_GOOD = 0.05, 0.25
"""Smallest clear fall below the chance level, and of a model that starts better than chance, as a share of each.

A fall down to the chance level alone teaches how frequent the answers are, and nothing about the inputs. Set on the
first sample of `benchmarks/shapes`, and on `slow-start` and `float16-overflow` in `benchmarks/causes`.
"""

NEGLIGIBLE = 1e-3
"""Smallest fall, as a share of the first loss: splines overshoot by about as much next to a sharp bend."""

ROUNDING = 1e-9
"""Share of the range of the loss below which differences are rounding errors."""

DESCENT_SHARE = 0.05
"""Share of the fall that is completed at the start of the descent."""

FLAT_NOISE = 1.5
"""Largest rise above the level of a curve without a fall before its elbow, in standard deviations of one batch."""

FLAT_SHARE = 0.05
"""Largest rise before that elbow, as a share of the first loss."""

ELBOW_SHARE = 0.1
"""Rise above the minimum that counts as divergence, as a share of the fall, if that exceeds the noise of the curve."""

FLOOR_SHARE = 0.01
"""Height above the lowest loss at which a fall that is not followed by a rise has ended, as a share of the fall.

On the 71 scans of `benchmarks/suggestions` that only fall, this lowers the mean regret from 0.030 to 0.025.
"""

CEILING = 1.5
"""Height above the start at which losses are capped, as a multiple of the fall or of 5 noise levels."""

BOTTOM_SIGMA = 2.0
"""Height above the minimum, in standard errors of the smoothed curve, up to which a point may be as low.

On 12 scans each of two synthetic valleys with three levels of noise, the range then holds the true minimum in 50 to
100 %, and with 1 standard error in 17 to 83 %; the copies alone hold it in 8 to 75 %, since all have the same bias.
"""

RANGED = ("descent_start", "steepest", "minimum", "elbow")
"""Landmarks that get a range of uncertainty."""


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """Holds one point of the smoothed curve.

    Attributes:
        index: Index among the points with a finite loss.
        lr: Learning rate at this point.
        loss: Smoothed loss at this point (the model's unit).
        low: Lower end of the range of the landmark under resampled noise; `None` if unknown.
        high: Upper end of that range; `None` if unknown.
    """

    index: Count
    lr: Rate
    loss: Number
    low: Rate | None = None
    high: Rate | None = None


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """Holds the landmarks of one curve; a landmark that the curve does not show is `None`.

    Attributes:
        start: First point, with the loss before the rates have an effect: the median over the first 0.3 decade.
        descent_start: Point at which 5 % of the fall is completed.
        steepest: Point with the most negative slope within the fall, averaged over a quarter of a decade.
        minimum: Bottom of the first valley, or its first point if it stays flat up to the last rate; without a fall,
            the lowest point before the loss rises.
        elbow: Onset of divergence: the last point near the minimum before the loss rises or becomes non-finite.
        valleys: Bottoms of all falls that count, in order of the rate.
        peaks: Tops between and around the valleys, in order of the rate.
        reversal: Smallest rise or fall that counts (the model's unit).
        wander: Standard deviation of the smoothed curve about its mean over half a decade (the model's unit).
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

    @property
    def fall(self) -> float:
        """The fall from the start to the first valley (the model's unit), or 0 without a valley."""
        if not self.valleys or self.start is None or self.minimum is None:
            return 0.0
        return max(0.0, self.start.loss - self.minimum.loss)

    def check(self, size: int) -> None:
        """Checks that every landmark is a point of a curve with `size` points.

        Raises:
            InvalidCurveError: If a landmark lies beyond the end, or a curve with points has no start or no minimum.
        """
        single = (self.start, self.descent_start, self.steepest, self.minimum, self.elbow)
        marks = [mark for mark in (*single, *self.valleys, *self.peaks) if mark is not None]
        if any(mark.index >= size for mark in marks) or (size > 0) != (None not in {self.start, self.minimum}):
            places = [mark.index for mark in marks]
            msg = f"Expected landmarks within {size} points, including start and minimum. Received: indices={places}."
            raise InvalidCurveError(msg)


def find_landmarks(
    smoothed: SmoothedCurve, *, reference: float | None = None, chance: float | None = None, breaks: bool = False
) -> Landmarks:
    """Finds the landmarks of a smoothed curve; a curve without points has none.

    Args:
        smoothed: The smoothed curve.
        reference: The first loss (the model's unit), for losses that cannot fall below zero.
        chance: The chance level (the model's unit), if known.
        breaks: Whether the record ends in a non-finite loss. The last finite point is then the elbow, unless the loss
            rises before.

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
    largest_fall = max(0.0, start - float(capped.min()))
    noise = float(np.median(smoothed.noise[loss <= level]))
    reversal = max(REVERSAL_SIGMA * error, REVERSAL_SHARE * largest_fall, REVERSAL_NOISE * noise)
    capped = np.minimum(loss, level + CEILING * max(depth, reversal))
    valleys, peaks = _turns(capped, reversal)
    smallest = max(_smallest_fall(error, noise, reference, chance), reversal)
    highest = start - np.maximum(smallest, VALLEY_SIGMA * smoothed.standard_error)
    low = (index for index in valleys if _is_low(capped, highest, peaks, index))
    falls = dropwhile(lambda index: not _is_fall(capped, peaks, index, reversal), low)
    level = start if chance is None or chance <= 0 else min(start, chance)
    valleys = distinct_valleys(x, capped, list(falls), start=start, level=level, noise=noise)
    if not valleys:
        margin = max(largest_fall / 2, 2 * error, FLAT_NOISE * noise, FLAT_SHARE * (reference or 0.0))
        bottom, elbow = _flat(loss, margin, reversal)
        descent_start, steepest = None, None
    else:
        elbow = _elbow(capped, valleys[0], peaks, max(ELBOW_SHARE * largest_fall, 2 * error))
        if elbow is None and not breaks:
            valleys[0] = _floor(capped, valleys[0], peaks, FLOOR_SHARE * largest_fall)
        bottom = valleys[0]
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


def with_ranges(marks: Landmarks, copies: Sequence[Landmarks], smoothed: SmoothedCurve) -> Landmarks:
    """Returns the landmarks with ranges of uncertainty from noise-resampled copies of the curve.

    On the log axis, the range extends to either side by the distance within which 90 % of the copies have the landmark.
    It is symmetric because the copies also show the bias of the smoother, but in the opposite direction. The range of
    the minimum also holds all points around it that the noise cannot tell from it. If fewer than half of the copies
    show a landmark, its range remains unknown.

    Args:
        marks: The landmarks of the curve.
        copies: The landmarks of its copies.
        smoothed: The smoothed curve.
    """
    ranged = {}
    for name in RANGED:
        mark = getattr(marks, name)
        rates = [other.lr for other in (getattr(copy, name) for copy in copies) if other is not None]
        if mark is not None and len(rates) >= max(1, len(copies) / 2):
            reach = 10.0 ** float(np.percentile(np.abs(np.log10(rates) - math.log10(mark.lr)), 90))
            low, high = mark.lr / reach, mark.lr * reach
            if name == "minimum":
                first, last = _as_low_as(smoothed, mark.index)
                low, high = min(low, first), max(high, last)
            ranged[name] = replace(mark, low=low, high=high)
    return replace(marks, **ranged)


def _as_low_as(smoothed: SmoothedCurve, bottom: int) -> tuple[float, float]:
    """Returns the first and the last rate around the bottom at which the smoothed loss may be as low as there."""
    higher = np.flatnonzero(smoothed.loss > smoothed.loss[bottom] + BOTTOM_SIGMA * smoothed.standard_error[bottom])
    first = int(np.max(higher[higher < bottom], initial=-1)) + 1
    last = int(np.min(higher[higher > bottom], initial=smoothed.loss.size)) - 1
    return float(10.0 ** smoothed.log10_lr[first]), float(10.0 ** smoothed.log10_lr[last])


def _smallest_fall(error: float, noise: float, reference: float | None, chance: float | None) -> float:
    if chance is not None and chance > 0:
        first = chance if reference is None else reference
        is_good = first < BETTER_THAN_CHANCE * chance
        least = CLEAR_SHARE_IF_GOOD * first if is_good else max(first - chance, 0.0) + CLEAR_SHARE * chance
        return min(FALL_SHARE * chance, max(FALL_SIGMA * error, FALL_NOISE * noise, least))
    if reference is None:
        return max(FALL_SIGMA * error, FALL_NOISE * noise)
    least = max(min(FALL_SHARE * reference, FALL_SIGMA * error), FALL_NOISE * noise, NEGLIGIBLE * reference)
    return min(least, max(LARGE_SHARE * reference, FALL_SIGMA * error))


def _start_level(smoothed: SmoothedCurve) -> float:
    x = smoothed.log10_lr
    head = max(1, int(np.searchsorted(x, x[0] + START_DECADES)))
    return float(np.median(smoothed.loss[: min(head, max(3, x.size // 10))]))


def _wander(x: Array, loss: Array) -> float:
    """Returns the standard deviation of the smoothed curve about its mean over half a decade.

    Losses that were averaged before storage contain slow noise that no smoother can separate from the curve. The median
    limits the influence of steep stretches.
    """
    in_width = x.size * WANDER_DECADES / max(float(x[-1] - x[0]), WANDER_DECADES)
    width = max(3, min(int(in_width), x.size // WANDER_WINDOWS))
    return NORMAL_MAD * float(np.median(np.abs(loss - uniform_filter1d(loss, width, mode="nearest"))))


def _turns(loss: Array, reversal: float) -> tuple[list[int], list[int]]:
    """Returns alternating valleys and peaks between which the loss moves by at least `reversal`.

    A running extreme becomes a valley or a peak once the loss has moved away from it by `reversal`.
    """
    valleys: list[int] = []
    peaks: list[int] = []
    low = high = 0
    direction = 0
    for i in _turning_points(loss):
        value = float(loss[i])
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


def _turning_points(loss: Array) -> list[int]:
    """Returns both ends and every point at which the loss turns; between them, it only rises or only falls."""
    moves = np.flatnonzero(np.diff(loss))
    turns = moves[:-1][np.diff(np.sign(np.diff(loss)[moves])) != 0] + 1
    return [0, *turns.tolist(), loss.size - 1]


def _last_peak(peaks: list[int], place: int) -> int:
    """Returns the last peak before a place, or the first point."""
    return max((peak for peak in peaks if peak < place), default=0)


def _is_low(loss: Array, highest: Array, peaks: list[int], valley: int) -> bool:
    """Returns whether the loss is low at a valley or on the way down to it, where its error may be smaller."""
    top = _last_peak(peaks, valley)
    return bool(np.any(loss[top : valley + 1] <= highest[top : valley + 1]))


def _is_fall(loss: Array, peaks: list[int], valley: int, reversal: float) -> bool:
    """Returns whether the loss falls below everything before the last peak; otherwise it only comes back from there."""
    before = [peak for peak in peaks if peak < valley]
    top = before[-1] if before else int(np.argmax(loss[: valley + 1]))
    return float(loss[: top + 1].min() - loss[valley]) >= reversal


def _flat(loss: Array, margin: float, reversal: float) -> tuple[int, int | None]:
    """Returns the lowest point before the rise of a curve without a fall, and the last point before the rise.

    The rise begins where the fewest points are on the wrong side: high before it, or back at the level after it.
    """
    split = _best_split(loss <= float(np.median(loss)) + margin)
    level = float(np.median(loss[: split + 1]))  # without the part after the rise
    calm = loss <= level + margin
    split = _best_split(calm)
    before = np.flatnonzero(calm[: split + 1])
    rises = split < loss.size - 1 and bool(before.size) and float(loss[split + 1 :].max()) - level >= reversal
    elbow = int(before[-1]) if rises else None
    return int(np.argmin(loss if elbow is None else loss[: elbow + 1])), elbow


def _best_split(calm: NDArray[np.bool_]) -> int:
    """Returns the last index of the first part, with the fewest points that are not calm in it or calm after it."""
    return int(np.argmin(np.cumsum(~calm) - np.cumsum(calm)))


def _elbow(loss: Array, bottom: int, peaks: list[int], margin: float) -> int | None:
    """Returns the last point near the bottom before the loss rises to the next peak, or `None` if it does not rise."""
    after = [peak for peak in peaks if peak > bottom]
    if not after or loss[after[0]] - loss[bottom] < margin:
        return None
    climb = loss[bottom : after[0] + 1]
    return bottom + int(np.flatnonzero(climb <= loss[bottom] + margin)[-1])


def _floor(loss: Array, bottom: int, peaks: list[int], margin: float) -> int:
    """Returns the first point of a fall that is hardly above its bottom; any point of a long floor may be lowest."""
    first = _last_peak(peaks, bottom)
    return first + int(np.argmax(loss[first : bottom + 1] <= loss[bottom] + margin))


def _descent(smoothed: SmoothedCurve, bottom: int, peaks: list[int]) -> tuple[int, int]:
    """Returns the points where the fall to `bottom` begins and where it is steepest."""
    first = _last_peak(peaks, bottom)
    loss = smoothed.loss[first : bottom + 1]
    threshold = loss.max() - DESCENT_SHARE * (loss.max() - loss[-1])
    begin = first + int(np.flatnonzero(loss >= threshold)[-1])
    return begin, first + int(np.argmin(smoothed.mean_slope[first : bottom + 1]))
