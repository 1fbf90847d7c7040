"""When a scan's loss has diverged, judged from the noise and the level of its own curve.

A ratio to the best loss, the usual rule, is wrong for a loss near zero (any noise is a large ratio), for a negative
loss (the ratio turns round) and for a loss with a bounded top. Here a loss has diverged when it stays clearly above the
level that the curve *started* at, so a return from a valley to the starting level is not divergence: it is a shape
worth recording.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median

__all__ = ["DivergenceState"]

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
WINDOW = 3
"""Losses in the running median, which hides single bad batches."""


@dataclass(frozen=True)
class DivergenceState:
    """What must be remembered of a curve to tell whether it diverges; every step makes the next state in constant time.

    With the starting level `L` (mean of the first losses), the noise `s` (standard deviation
    of one batch's loss, from the differences of neighbours) and the drop `D` (`L` less the lowest running median), the
    loss has diverged when the running median of three losses stayed above `L + max(6 s, D / 2, 0.4 |L|)` for `patience`
    steps in a row.

    Args:
        num_steps: Steps of the whole scan. The starting level takes the first tenth of them, and `patience` is one
            fiftieth of them; three steps are the least for both.

    Example:
    >>> state = DivergenceState(100)
    >>> for loss in [2.3, 2.31, 2.29, 2.3, 2.2, 2.0, 1.5, 2.2, 2.6, 4.0, 9.0, 30.0, 90.0, 300.0]:
    ...     state = state.after(loss)
    >>> state.diverged
    True
    """

    num_steps: int
    count: int = 0
    start_sum: float = 0.0
    recent: tuple[float, ...] = ()
    squares: float = 0.0
    num_squares: int = 0
    lowest: float = math.inf
    above: int = 0

    @property
    def patience(self) -> int:
        """Steps in a row above the threshold that make a divergence."""
        return max(3, self.num_steps // 50)

    @property
    def noise(self) -> float:
        """Standard deviation of one batch's loss: the root mean square difference of neighbours over the root of 2."""
        return math.sqrt(self.squares / (2 * self.num_squares)) if self.num_squares else 0.0

    @property
    def start_level(self) -> float:
        """Mean of the first losses, in the model's unit."""
        return self.start_sum / max(1, min(self.count, self._num_start))

    @property
    def threshold(self) -> float:
        """Loss above which the curve is no longer near its starting level, in the model's unit."""
        level = self.start_level
        drop = max(0.0, level - self.lowest)
        return level + max(NOISE_SHARE * self.noise, DROP_SHARE * drop, LEVEL_SHARE * abs(level))

    @property
    def diverged(self) -> bool:
        """Whether the loss rose for good."""
        return self.above >= self.patience

    def after(self, loss: float) -> DivergenceState:
        """Returns the state after one more batch's finite `loss`."""
        recent = (*self.recent, loss)[-WINDOW:]
        middle = median(recent)
        in_start = self.count < self._num_start
        state = replace(
            self,
            count=self.count + 1,
            start_sum=self.start_sum + (loss if in_start else 0.0),
            recent=recent,
            lowest=min(self.lowest, middle) if len(recent) == WINDOW else self.lowest,
        )
        if not in_start and middle > state.threshold:
            return replace(state, above=self.above + 1)
        if not self.recent:
            return state
        square = (loss - self.recent[-1]) ** 2
        if self.num_squares >= NOISE_WARM_UP:
            square = min(square, NOISE_CLIP**2 * self.squares / self.num_squares)
        return replace(state, above=0, squares=self.squares + square, num_squares=self.num_squares + 1)

    @property
    def _num_start(self) -> int:
        return max(3, self.num_steps // 10)
