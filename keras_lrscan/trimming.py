"""What is recorded long after an explosion says nothing of the rate and spoils the reading: `LRCurve` → `LRCurve`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter, minimum_filter1d

from keras_lrscan.curves.noise import difference_noise

if TYPE_CHECKING:
    from keras_lrscan.curves.curve import LRCurve

__all__ = ["trim"]

BEYOND = 100.0
"""Losses above the start by more than this many times the fall are beyond reading; a view squashed by 20 is not."""

LASTING = 5
"""Losses in a row that must be beyond: the last of them is the last that is kept."""

FEWEST_POINTS = 30
"""Of fewer points none is cut off: their first quarter is too short to tell a level and its noise."""

NOISE_SHARE = 5.0
"""Without a fall, what happens below the start counts as at least this many standard deviations of one batch."""

REFERENCE_SHARE = 0.2
"""Nor does it count as less than this share of the reference loss, where one is known."""


def trim(curve: LRCurve, *, reference: float | None = None) -> LRCurve:
    """Returns the curve up to where its loss is beyond reading for good.

    Args:
        curve: The recorded curve.
        reference: The chance level or the first loss (the model's unit), where it is known.

    Returns:
        The same curve where nothing is cut off.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> loss = np.concatenate([np.linspace(2, 1, 50), np.full(50, 1e6)])
    >>> len(trim(LRCurve(lr=np.logspace(-6, 0, 100), loss=loss)))
    55
    """
    loss = np.where(np.isfinite(curve.loss), curve.loss, np.inf)
    num = loss.size
    level = float(np.median(loss[: max(3, num // 25)]))
    early = loss[: max(3, num // 4)]
    if num < FEWEST_POINTS or not np.isfinite(early).all():
        return curve
    fall = level - float(median_filter(loss, size=LASTING, mode="nearest").min())
    scale = max(fall, NOISE_SHARE * difference_noise(early), REFERENCE_SHARE * (reference or 0.0))
    lowest_ahead = minimum_filter1d(loss, LASTING, origin=-(LASTING // 2), mode="nearest")
    beyond = np.flatnonzero(lowest_ahead[: num - LASTING] > level + BEYOND * scale)
    if scale <= 0 or not beyond.size:
        return curve
    keep = slice(int(beyond[0]) + LASTING)
    return dataclasses.replace(curve, lr=curve.lr[keep], loss=curve.loss[keep])
