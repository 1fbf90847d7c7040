"""Measures the regret of a learning rate against the best one of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regret:
    """Interpolates regret over the learning rate: 0 is the best rate of the grid, 1 is no better than not training.

    ``regret = clip((val - best) / (start - best), 0, 1)``, where `val` is the median over seeds of the final validation
    loss and `best` is its lowest value on the grid. Between grid points, regret is linear in the log of the rate.
    Beyond the grid, it keeps the value at the end. A non-finite loss has regret 1.

    Args:
        log10_lr: log10 of the grid's rates, increasing. Array of shape `(g,)`.
        values: Regret at each rate. Array of shape `(g,)`.
        is_harmful: Whether training at each rate ends worse than it starts, by more than twice the standard deviation
            between seeds. Array of shape `(g,)`.
    """

    log10_lr: Array
    values: Array
    is_harmful: NDArray[np.bool_]

    @classmethod
    def from_sweep(cls, lr: Array, val: Array, start: float) -> Regret | None:
        """Computes the regret of a sweep.

        Args:
            lr: Rates of the grid, increasing. Array of shape `(g,)`.
            val: Final validation losses. Array of shape `(seeds, g)`.
            start: Validation loss before any training.

        Returns:
            The regret, or `None` if no rate of the grid improved on the start, which makes the denominator zero or
            negative.

        >>> regret = Regret.from_sweep(np.array([1e-3, 1e-2, 1e-1]), np.array([[2.0, 1.0, np.nan]]), 3.0)
        >>> regret(10**-2.5), regret(1e-9), regret(1.0)
        (0.25, 0.5, 1.0)
        """
        middle = np.median(np.where(np.isfinite(val), val, np.inf), axis=0)
        best = float(middle.min())
        if not best < start:
            return None
        spread = float(np.std(val[:, middle.argmin()], ddof=1)) if len(val) > 1 else 0.0
        values = np.clip((middle - best) / (start - best), 0.0, 1.0)
        return cls(np.log10(lr), values, middle > start + 2 * spread)

    def __call__(self, lr: float) -> float:
        """Returns the regret of a learning rate."""
        return float(np.interp(np.log10(lr), self.log10_lr, self.values))

    def harms(self, lr: float) -> bool:
        """Returns whether training at the rate of the grid that is nearest on the log axis is harmful."""
        return bool(self.is_harmful[np.abs(self.log10_lr - np.log10(lr)).argmin()])

    def lowest(self, low: float, high: float) -> float:
        """Returns the lowest regret of any rate between `low` and `high`."""
        inside = (self.log10_lr >= np.log10(low)) & (self.log10_lr <= np.log10(high))
        return min(self(low), self(high), float(self.values[inside].min(initial=1.0)))
