"""When a scan's loss has diverged, judged from the noise and the level of its own curve.

A ratio to the best loss, the usual rule, is wrong for a loss near zero (any noise is a large ratio), for a negative
loss (the ratio turns round) and for a loss with a bounded top. Here a loss has diverged when it stays clearly above the
level that the curve *started* at, so a return from a valley to the starting level is not divergence: it is a shape
worth recording.

Early in a scan the loss may rise and settle again, and its valley come later. Such a hump and an explosion begin alike,
so a rise that begins early is watched for longer, until it is higher than such humps are.

The first five numbers below were set on published scans: fastai's CamVid and pets (explosions), its IMDB language model
(an upward drift), ktrain's income and 20 newsgroups tutorials (plateaus), three scans of ktrain on Reuters, and the
curves of `tests/recording/test_divergence_watch.py`; the others, which are about early humps, on one half of the scans
that `benchmarks/stopping_scans.py` draws. `benchmarks/README.md` holds them against scans that had no part in that.
"""

from __future__ import annotations

import math

__all__ = ["DivergenceWatch"]

NOISE_SHARE = 6.0
"""The rise, in standard deviations of one batch's loss, that noise does not explain."""
DROP_SHARE = 0.5
"""The rise, as a share of how far the loss fell first; a plateau near chance level stays below it."""
LEVEL_SHARE = 0.4
"""The rise, as a share of the starting level, which keeps a slow upward drift on record."""
NOISE_WARM_UP = 8
"""Differences of losses before one large difference is taken for an outlier."""
NOISE_CLIP = 3.0
"""A difference counts for at most so many standard deviations, so that the explosion is not taken for noise."""
EARLY = 1 / 3
"""A rise that begins within this share of the steps may be a hump.

No scan recorded for `benchmarks/suggestions`, from 1e-7 to 10, rises for good before half of its steps.
"""
WATCHED = 0.15
"""Share of the steps that such a rise is watched for: 1.2 of eight decades, and twice that while it subsides."""
SUBSIDED = 0.8
"""A rise subsides while the median is less than this share of its highest above the threshold."""
HIGH = 12.0
"""A rise above so many distances from start to threshold is no hump.

Where the starting level sets the threshold, that is 5.8 times the start: a hump of five times stays below it.
"""


class DivergenceWatch:
    """Follows the losses of one scan and tells when they have risen for good, in constant time and memory a step.

    With the starting level `L` (mean of the first losses), the noise `s` (standard deviation
    of one batch's loss, from the differences of neighbors) and the drop `D` (`L` less the lowest running median), the
    loss has diverged when the running median of three losses stayed above `L + max(6 s, D / 2, 0.4 |L|)` for `patience`
    steps in a row. The median hides single bad batches.

    A rise that began in the first third of the scan and never reached 12 times the threshold's distance from `L` may be
    a hump that settles. It counts as divergence once it has lasted for 15 % of all steps, or for 30 % while the median
    is less than 0.8 times as far above the threshold as it was at most.

    It works between two steps of a training, so it is written to be quick, and it changes in place.

    Args:
        num_steps: Steps of the whole scan. The starting level takes the first tenth of them, and `patience` is one
            fiftieth of them; three steps are the least for both.

    Example:
    >>> watch = DivergenceWatch(100)
    >>> for loss in [2.3, 2.31, 2.29, 2.3, 2.2, 2.0, 1.5, 2.2, 2.6, 4.0, 9.0, 30.0, 90.0, 300.0]:
    ...     watch.add(loss)
    >>> watch.diverged
    True
    """

    __slots__ = (
        "_above",
        "_before_last",
        "_count",
        "_highest",
        "_last",
        "_lowest",
        "_middle",
        "_num_early",
        "_num_squares",
        "_num_start",
        "_num_watched",
        "_passed",
        "_squares",
        "_start_sum",
        "patience",
    )

    def __init__(self, num_steps: int) -> None:
        self.patience = max(3, num_steps // 50)
        """Steps in a row above the threshold that make a divergence."""
        self._num_start = max(3, num_steps // 10)
        self._num_early = round(EARLY * num_steps)
        self._num_watched = max(self.patience, round(WATCHED * num_steps))
        self._count = 0
        self._start_sum = 0.0
        self._before_last = self._last = 0.0
        self._squares = 0.0
        self._num_squares = 0
        self._lowest = math.inf
        self._middle = self._passed = 0.0
        self._highest = -math.inf
        self._above = 0

    @property
    def noise(self) -> float:
        """Standard deviation of one batch's loss: the root mean square difference of neighbors over the root of 2."""
        return math.sqrt(self._squares / (2 * self._num_squares)) if self._num_squares else 0.0

    @property
    def start_level(self) -> float:
        """Mean of the first losses, in the model's unit."""
        return self._start_sum / max(1, min(self._count, self._num_start))

    @property
    def threshold(self) -> float:
        """Loss above which the curve is no longer near its starting level, in the model's unit."""
        level = self.start_level
        drop = max(0.0, level - self._lowest)
        return level + max(NOISE_SHARE * self.noise, DROP_SHARE * drop, LEVEL_SHARE * abs(level))

    @property
    def diverged(self) -> bool:
        """Whether the loss rose for good."""
        return self._above >= self.patience and not self._may_settle()

    def _may_settle(self) -> bool:
        """Returns whether the rise began early and has neither the height nor the length that no hump has."""
        if self._count - self._above >= self._num_early:
            return False
        level, threshold = self.start_level, self._passed
        if self._highest > level + HIGH * (threshold - level):
            return False
        subsides = self._middle - threshold < SUBSIDED * (self._highest - threshold)
        return self._above < self._num_watched * (2 if subsides else 1)

    def add(self, loss: float) -> None:
        """Takes one more batch's finite `loss`."""
        first, second = self._before_last, self._last
        self._before_last, self._last = second, loss
        self._count = count = self._count + 1
        middle = loss
        if count > 2:
            middle = max(min(first, second), min(max(first, second), loss))
            self._lowest = min(self._lowest, middle)
        if count <= self._num_start:
            self._start_sum += loss
        elif middle > (threshold := self.threshold):
            self._above += 1
            self._passed = threshold
            self._middle = middle
            self._highest = max(self._highest, middle)
            return
        self._above = 0
        self._highest = -math.inf
        if count > 1:
            self._add_difference(loss - second)

    def _add_difference(self, difference: float) -> None:
        square = difference * difference
        if self._num_squares >= NOISE_WARM_UP:
            square = min(square, NOISE_CLIP**2 * self._squares / self._num_squares)
        self._squares += square
        self._num_squares += 1
