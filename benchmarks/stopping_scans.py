"""Draws noisy synthetic scans with known humps, valleys and explosions for `stopping_rule.py`.

Each scan covers rates from 1e-7 to 10 and comes from a seeded generator. Half of the seeds serve to tune thresholds,
and the other half to report results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Losses = NDArray[np.float64]

__all__ = ["KINDS", "Scan", "scans"]

FIRST, LAST = -7.0, 1.0
SIZES = (60, 100, 200, 400)
GROWN = 0.4
"""An explosion starts where the loss exceeds the start by this share of the starting level."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Holds one scan that ran to its end.

    Attributes:
        losses: Batch losses.
        valley: Step of the lowest noise-free loss.
        onset: First step after which the noise-free loss stays above the start, or `None`.
    """

    losses: Losses
    valley: int
    onset: int | None


@dataclass(frozen=True)
class _Draw:
    """Draws the parts of one scan, in units of the starting level. `x` is log10 of the rates."""

    random: np.random.Generator
    x: Losses

    def valley(self) -> tuple[Losses, float]:
        """Returns a loss that falls from 1 to a minimum, and log10 of the rate at which it arrives there."""
        center, width = self.random.uniform(-4.0, -2.0), self.random.uniform(0.15, 0.5)
        depth = self.random.uniform(0.3, 0.95)
        return 1 - depth / (1 + np.exp(-(self.x - center) / width)), center + 3 * width

    def explosion(self, onset: float, cap: float = math.inf) -> Losses:
        """Returns an exponential rise, which is 0.1 at `onset` and at most `cap`."""
        growth = self.random.uniform(3.0, 15.0)
        exponent = np.clip(growth * (self.x - onset), -600, 50)
        return np.minimum(0.1 * np.exp(exponent), cap)

    def hump(self) -> Losses:
        """Returns a hump in the first third, 0.5 to 4 high, 0.1 to 2 decades wide, symmetric or with a long tail."""
        height, width = self.random.uniform(0.5, 4.0), 10 ** self.random.uniform(-1, math.log10(2))
        center = self.random.uniform(FIRST + 0.3, FIRST + (LAST - FIRST) / 3)
        left = width / 2 if self.random.random() < 0.5 else width / 5
        away = self.x - center
        reach = np.where(away < 0, left, width - left)
        return height * np.exp2(-((away / reach) ** 2))

    def late(self, after: float) -> float:
        return self.random.uniform(min(after + 0.3, 0.4), 0.5)

    def early(self) -> float:
        return self.random.uniform(FIRST + 1.0, FIRST + (LAST - FIRST) / 3)


def _valley_then(draw: _Draw, cap: float = math.inf) -> Losses:
    falling, bottom = draw.valley()
    return falling + draw.explosion(draw.late(bottom), cap)


def _hump_then_valley(draw: _Draw) -> Losses:
    return draw.hump() + _valley_then(draw)


def _flat_then(draw: _Draw) -> Losses:
    return 1 + draw.explosion(draw.random.uniform(-3.5, 0.3))


def _early(draw: _Draw, cap: float = math.inf) -> Losses:
    return 1 + draw.explosion(draw.early(), cap)


def _valley_then_plateau(draw: _Draw) -> Losses:
    falling, bottom = draw.valley()
    return falling + draw.explosion(draw.late(bottom), 2.0 - float(falling[-1]))


@dataclass(frozen=True)
class Kind:
    """Describes how to draw one kind of scan.

    Attributes:
        shape: Draws the noise-free loss, in units of the starting level.
        level: Starting level.
        shift: Constant added to the final loss.
        noise: Smallest and largest batch-to-batch noise, as shares of the starting level.
    """

    shape: Callable[[_Draw], Losses]
    level: float = 2.3
    shift: float = 0.0
    noise: tuple[float, float] = (0.01, 0.2)


KINDS: Mapping[str, Kind] = {
    "early hump, then a valley": Kind(_hump_then_valley),
    "the same below zero": Kind(_hump_then_valley, shift=-7.0),
    "the same near zero": Kind(_hump_then_valley, level=1e-4),
    "valley, then an explosion": Kind(_valley_then),
    "valley, then twice the start": Kind(_valley_then_plateau),
    "flat, then an explosion": Kind(_flat_then),
    "already good": Kind(_flat_then, level=0.05, noise=(0.1, 0.6)),
    "valley below zero": Kind(_valley_then, shift=-7.0),
    "valley near zero": Kind(_valley_then, level=1e-4),
    "early explosion": Kind(_early),
    "early, up to seven times": Kind(lambda draw: _early(draw, 6.0)),
    "early, up to twice the start": Kind(lambda draw: _early(draw, 1.0)),
}
"""Kinds of scans by name."""


def make(kind: Kind, seed: int) -> Scan:
    """Draws one scan."""
    random = np.random.default_rng(seed)
    x = np.linspace(FIRST, LAST, int(random.choice(SIZES)))
    clean = kind.shape(_Draw(random, x))
    share = 10 ** random.uniform(*np.log10(kind.noise))
    scatter = share * (0.5 + 0.5 * np.abs(clean)) * random.standard_normal(x.size)
    high = clean > 1 + max(GROWN, GROWN * abs(1 + kind.shift / kind.level))
    below = np.flatnonzero(~high)
    onset = int(below[-1]) + 1 if high[-1] else None
    return Scan(losses=kind.level * (clean + scatter) + kind.shift, valley=int(np.argmin(clean)), onset=onset)


def scans(name: str, number: int, *, held_out: bool) -> list[Scan]:
    """Draws scans of one kind, either those for tuning thresholds or those held out."""
    first = 2 * number * sorted(KINDS).index(name) + number * held_out
    return [make(KINDS[name], seed) for seed in range(first, first + number)]
