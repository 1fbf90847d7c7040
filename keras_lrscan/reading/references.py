"""Chooses the losses that others are compared with: the chance level and the first losses.

A ratio of losses means something only if zero is the lowest possible loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.context import chance_loss
from keras_lrscan.reading.start_state import BETTER_THAN_CHANCE, is_untrained

if TYPE_CHECKING:
    from keras_lrscan.curves.curve import LRCurve

__all__ = ["SMALLEST_REFERENCE", "References", "has_natural_zero", "reference_loss"]

SMALLEST_REFERENCE = 1e-200
"""Smallest first loss that serves as a reference, since shares of a smaller one would leave the range of a float."""

MAX_NEGATIVE_SHARE = 0.05
"""Share of negative losses up to which a loss has a natural zero: losses recovered from averages can dip below it."""


@dataclass(frozen=True, kw_only=True)
class References:
    """Holds the losses that the others of a curve are compared with.

    Attributes:
        natural_zero: Whether zero is the lowest possible loss, without which ratios of losses mean nothing. A chance
            level at or below zero, or negative losses, show that it is not: minus Dice, a cosine similarity and the
            negative logarithm of a density fall below zero.
        start: Median of the first losses less regularization (the model's unit). It is the reference for falls and
            rises if the chance level is unknown, and `None` if ratios to it mean nothing.
        starts_too_low: Whether the first losses of an untrained model are well below the chance level. Such a model is
            no better than a constant, so these batches are unlike the rest: they lack, for example, the few samples
            that raise the mean loss of all.
        chance: Chance level (the model's unit), or `None` if other losses cannot be compared with it as ratios.
    """

    natural_zero: bool
    start: float | None
    starts_too_low: bool
    chance: float | None

    @classmethod
    def of(cls, curve: LRCurve) -> References:
        """Chooses the references of a curve."""
        context, chance = curve.context, chance_loss(curve.context)
        finite = curve.loss[np.isfinite(curve.loss)]
        negative = float((finite < 0).mean()) if finite.size else 0.0
        natural = not (chance is not None and chance <= 0) and negative <= MAX_NEGATIVE_SHARE
        level = float(np.median(finite[:5])) - (context.regularization_loss or 0.0) if finite.size else 0.0
        start = level if natural and level > SMALLEST_REFERENCE else None
        is_below = chance is not None and start is not None and start < BETTER_THAN_CHANCE * chance
        too_low = is_below and is_untrained(context)
        return cls(
            natural_zero=natural,
            start=start,
            starts_too_low=too_low,
            chance=chance if natural and not too_low else None,
        )

    @property
    def loss(self) -> float | None:
        """Reference for falls and rises: the chance level, or else the first losses; `None` if there is none."""
        return self.start if self.chance is None else self.chance


def has_natural_zero(curve: LRCurve) -> bool:
    """Returns whether zero is the lowest possible loss of a curve, see `References`."""
    return References.of(curve).natural_zero


def reference_loss(curve: LRCurve) -> float | None:
    """Returns the reference for falls and rises of a curve, or `None` if there is none, see `References.loss`."""
    return References.of(curve).loss
