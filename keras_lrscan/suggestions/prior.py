"""Draws a rate that was read off a curve toward the rates that train small models well.

One scan is noisy evidence: its landmarks move by some tenths of a decade from scan to scan, while the best rates of an
adaptive optimizer lie within half a decade of each other for most small models. A rate between the two is better than
either. That holds only where it was measured, so large models and other optimizers keep the rate of the curve.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from keras_lrscan.curves.optimizer_families import optimizer_family

if TYPE_CHECKING:
    from keras_lrscan.curves.context import ScanContext

__all__ = ["DRAWN_SHARE", "LARGE_MODEL", "MOST_DRAWN", "prior_rate", "toward_prior_rate"]

DRAWN_SHARE = 0.4
"""Share of the distance to the prior rate, in decades, by which a suggestion is drawn.

In `benchmarks/suggestions`, shares from 0.35 to 0.45 are about as good as each other, and in `benchmarks/finetuning`,
which had no part in setting it, shares from 0.25 to 0.45.
"""

MOST_DRAWN = 0.8
"""Largest distance in decades by which a suggestion is drawn."""

SMALL_MODEL, LARGE_MODEL = 20_000, 200_000
"""Number of trainable parameters up to which suggestions are drawn in full, and from which they are not drawn at all.

The models of `benchmarks/suggestions` have up to 20,000. In `benchmarks/finetuning`, drawing lowers the mean regret of
new last layers on frozen bodies, which have up to 13,000, from 0.102 to 0.071, and with one-cycle from 0.148 to 0.101.
It would raise that of more layers, from 0.161 to 0.194.
"""


def prior_rate(context: ScanContext) -> float | None:
    """Returns the rate toward which a suggestion is drawn, or `None` if the optimizer or the model has none."""
    params = context.num_trainable_params
    if not params or params >= LARGE_MODEL:
        return None
    return optimizer_family(context.optimizer).prior_rate


def toward_prior_rate(lr: float, context: ScanContext) -> float:
    """Returns a rate read off a curve, drawn toward the prior rate of such an optimizer and model.

    The drawn rate is ``lr * (prior / lr) ** share``. `share` is 0.4 up to 20,000 trainable parameters, falls to 0 at
    200,000 in proportion to the logarithm of their number, and never moves a rate by more than 0.8 decade.

    Args:
        lr: Constant rate that the curve suggests.
        context: Context of the curve.

    Returns:
        The drawn rate; `lr` itself if the optimizer or the number of parameters is unknown or was not measured.

    Example:
    >>> from keras_lrscan import ScanContext
    >>> toward_prior_rate(0.03, ScanContext(optimizer="Adam", num_trainable_params=5_000))
    0.0119...
    >>> toward_prior_rate(0.03, ScanContext(optimizer="Adam", num_trainable_params=20_000_000))
    0.03
    """
    prior, params = prior_rate(context), context.num_trainable_params
    if prior is None or params is None:
        return lr
    smallness = math.log(LARGE_MODEL / max(params, SMALL_MODEL)) / math.log(LARGE_MODEL / SMALL_MODEL)
    decades = DRAWN_SHARE * smallness * math.log10(prior / lr)
    return float(lr * 10.0 ** min(max(decades, -MOST_DRAWN), MOST_DRAWN))
