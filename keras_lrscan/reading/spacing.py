"""Detects learning rates that grow by equal amounts, and thins such a curve until it is about even on the log axis."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.noise import correlation

if TYPE_CHECKING:
    from keras_lrscan.curves.curve import LRCurve

__all__ = ["LINEAR", "evenly_spaced", "linear_spacing"]

LINEAR = 0.05
"""Value of `linear_spacing` from which the rates grow by equal amounts. It is 0 or less if they grow by equal factors.

A linear ramp of 100 steps has 0.04 over one decade, 0.10 over two, and 0.16 over three.
"""

MAX_RATES = 10_000
"""Number of rates from which fewer are as good: the shape of a ramp is smooth."""

MAX_PER_DECADE = 25
"""Number of points per decade that are kept of a linear ramp.

The rules were set on 12 points per decade (scans of 100 steps) and hold for 50 (400 steps, `benchmarks/suggestions`).
"""


def linear_spacing(curve: LRCurve) -> float | None:
    """Returns the excess linearity of the rates over that of their logarithms; `None` for fewer than three points.

    A long ramp is judged by about `MAX_RATES` of its rates, evenly far apart.
    """
    lr = curve.lr[:: 1 + curve.lr.size // MAX_RATES]
    steps = np.arange(lr.size, dtype=float)
    return correlation(lr, steps) - correlation(np.log10(lr), steps) if steps.size > 2 else None


def evenly_spaced(curve: LRCurve) -> LRCurve:
    """Returns the curve without most points of its last decade if its rates grow by equal amounts.

    On a linear ramp, nine of ten points lie in the last factor of ten. They would outweigh the others wherever points
    are counted: in medians, in percentiles, and in the level before a rise. Points are left out and not averaged,
    so the noise stays that of single batches. The last point is kept. Batches are no longer one step apart, so the
    number of steps per epoch becomes unknown.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve
    >>> curve = LRCurve(lr=np.linspace(1e-3, 1, 1000), loss=np.linspace(2, 1, 1000))
    >>> len(evenly_spaced(curve)), evenly_spaced(curve).lr[:2].round(4).tolist()
    (60, [0.001, 0.002])
    """
    if (linear_spacing(curve) or 0.0) < LINEAR:
        return curve
    place = np.floor(MAX_PER_DECADE * np.log10(curve.lr / curve.lr[0]))
    kept = np.append(np.diff(place) > 0, True)
    context = dataclasses.replace(curve.context, steps_per_epoch=None)
    return dataclasses.replace(curve, lr=curve.lr[kept], loss=curve.loss[kept], context=context)
