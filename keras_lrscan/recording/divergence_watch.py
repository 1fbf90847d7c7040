"""Detects divergence of the loss during a scan from the noise and the starting level of the same curve.

The usual rule, a ratio to the best loss, fails for a loss near zero (any noise is a large ratio), for a negative loss
(the ratio is reversed) and for a loss with an upper bound. Here, a loss has diverged when it stays clearly above the
level at the *start* of the curve. A return from a valley to the starting level is therefore not divergence; it is a
shape worth recording.

Early in a scan, the loss may rise and settle again before its valley. Such a hump starts like an explosion, so a rise
that begins early is observed for longer, until it is higher than such humps.

The first five constants below were set on published scans: fastai's CamVid and pets (explosions), its IMDB language
model (an upward drift), ktrain's income and 20 newsgroups tutorials (plateaus), three scans of ktrain on Reuters, and
the curves of `tests/recording/test_divergence_watch.py`. The other constants concern early humps and were set on one
half of the scans that `benchmarks/stopping_scans.py` draws. `benchmarks/README.md` tests them on scans that were not
used to set them.
"""

from __future__ import annotations

import math

__all__ = ["DivergenceWatch"]

NOISE_SHARE = 6.0
"""Smallest rise that noise does not explain, in standard deviations of one batch loss."""
DROP_SHARE = 0.5
"""Smallest rise as a share of the previous drop; a plateau near chance level stays below it."""
LEVEL_SHARE = 0.4
"""Smallest rise as a share of the starting level, so that a slow upward drift is recorded."""
NOISE_WARM_UP = 8
"""Number of loss differences before a large one can count as an outlier."""
NOISE_CLIP = 3.0
"""Upper limit of a difference in standard deviations, so that an explosion is not mistaken for noise."""
EARLY = 1 / 3
"""A rise that begins within this share of the steps may be a hump.

No scan recorded for `benchmarks/suggestions`, from 1e-7 to 10, diverges before half of its steps.
"""
WATCHED = 0.15
"""Share of the steps for which such a rise is observed: 1.2 of eight decades, and twice that while it subsides."""
SUBSIDED = 0.8
"""A rise subsides while the median is less than this share of its highest value, both measured from the threshold."""
HIGH = 12.0
"""A rise is not a hump if it is higher than the threshold by this factor, both measured from the starting level.

If the starting level sets the threshold, this is 5.8 times the starting level. A hump of five times stays below it.
"""


class DivergenceWatch:
    """Follows the losses of one scan and detects divergence, in constant time and memory per step.

    Let `L` be the starting level (mean of the first losses), `s` the noise (standard deviation of one batch loss, from
    the differences of neighboring losses) and `D` the drop (`L` minus the lowest running median). The loss has diverged
    when the running median of three losses stays above `L + max(6 s, D / 2, 0.4 |L|)` for `patience` steps in a row.
    The median hides single bad batches.

    A rise that begins in the first third of the scan and never reaches 12 times the distance of the threshold from `L`
    may be a hump that settles. It counts as divergence after 15% of all steps, or after 30% while the distance of the
    median above the threshold is less than 0.8 times its maximum.

    The watch runs between two training steps, so it is optimized for speed and changes in place.

    Args:
        num_steps: Number of steps of the whole scan. The starting level uses the first tenth of them, and `patience` is
            one fiftieth of them, but both use at least three steps.
        has_outliers: Whether a few samples have far larger losses than the rest. Then three high medians in a row are
            common, and `patience` is five times as long.

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

    def __init__(self, num_steps: int, *, has_outliers: bool = False) -> None:
        self.patience = max(3, num_steps // 50) * (5 if has_outliers else 1)
        """Number of consecutive steps above the threshold that count as divergence."""
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
        """Standard deviation of one batch loss: the root mean square difference of neighbors, divided by sqrt(2)."""
        return math.sqrt(self._squares / (2 * self._num_squares)) if self._num_squares else 0.0

    @property
    def start_level(self) -> float:
        """Mean of the first losses, in the unit of the loss."""
        return self._start_sum / max(1, min(self._count, self._num_start))

    @property
    def threshold(self) -> float:
        """Loss above which the curve is no longer near its starting level, in the unit of the loss."""
        level = self.start_level
        drop = max(0.0, level - self._lowest)
        return level + max(NOISE_SHARE * self.noise, DROP_SHARE * drop, LEVEL_SHARE * abs(level))

    @property
    def diverged(self) -> bool:
        """Whether the loss has diverged."""
        return self._above >= self.patience and not self._may_settle()

    def _may_settle(self) -> bool:
        """Returns whether the rise may be a hump: it began early, and is neither too high nor too long for one."""
        if self._count - self._above >= self._num_early:
            return False
        level, threshold = self.start_level, self._passed
        if self._highest > level + HIGH * (threshold - level):
            return False
        subsides = self._middle - threshold < SUBSIDED * (self._highest - threshold)
        return self._above < self._num_watched * (2 if subsides else 1)

    def add(self, loss: float) -> None:
        """Adds the finite `loss` of the next batch."""
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
