"""Draws a rate that was read off a curve toward the rates that train small models well.

One scan is noisy evidence: its landmarks move by some tenths of a decade from scan to scan, while the best rates of an
adaptive optimizer lie within half a decade of each other for most small models. A rate between the two is better than
either. That holds only where it was measured, so large models and other optimizers keep the rate of the curve.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keras_lrscan.curves.context import ScanContext

__all__ = ["USUAL_RATES", "toward_usual_rate", "usual_rate"]

USUAL_RATES: Mapping[str, float] = MappingProxyType(
    {"Adagrad": 0.1, "Adam": 3e-3, "AdamW": 3e-3, "Lion": 1e-3, "Nadam": 3e-3, "RMSprop": 3e-3}
)
"""Optimizer → learning rate toward which suggestions for small models are drawn.

Each lies half a decade below the median of the best constant rates in `benchmarks/suggestions`, rounded. Gradient
descent has none: its best rate depends on the unit of the loss.
"""

DRAWN_SHARE = 0.25
"""Share of the distance to the usual rate, in decades, by which a suggestion is drawn.

In `benchmarks/suggestions`, with families of tasks left out, shares from 0.2 to 0.35 are about as good as each other.
"""

MOST_DRAWN = 0.4
"""Largest distance in decades by which a suggestion is drawn."""

SMALL_MODEL, LARGE_MODEL = 20_000, 200_000
"""Number of trainable parameters up to which suggestions are drawn in full, and from which they are not drawn at all.

The models of `benchmarks/suggestions` have up to 20,000. In `benchmarks/finetuning`, drawing lowers the mean regret of
new last layers on frozen bodies, which have up to 13,000, from 0.133 to 0.113. It would raise that of whole networks.
"""


def usual_rate(context: ScanContext) -> float | None:
    """Returns the rate toward which a suggestion is drawn, or `None` if the optimizer or the model has none."""
    params = context.num_trainable_params
    if context.optimizer is None or not params or params >= LARGE_MODEL:
        return None
    return USUAL_RATES.get(context.optimizer)


def toward_usual_rate(lr: float, context: ScanContext) -> float:
    """Returns a rate read off a curve, drawn toward the usual rate of such an optimizer and model.

    The drawn rate is ``lr * (usual / lr) ** share``. `share` is 1/4 up to 20,000 trainable parameters, falls to 0 at
    200,000 in proportion to the logarithm of their number, and never moves a rate by more than 0.4 decade.

    Args:
        lr: Constant rate that the curve suggests.
        context: Context of the curve.

    Returns:
        The drawn rate; `lr` itself if the optimizer or the number of parameters is unknown or was not measured.

    Example:
    >>> from keras_lrscan import ScanContext
    >>> toward_usual_rate(0.03, ScanContext(optimizer="Adam", num_trainable_params=5_000))
    0.0168...
    >>> toward_usual_rate(0.03, ScanContext(optimizer="Adam", num_trainable_params=20_000_000))
    0.03
    """
    usual, params = usual_rate(context), context.num_trainable_params
    if usual is None or params is None:
        return lr
    smallness = math.log(LARGE_MODEL / max(params, SMALL_MODEL)) / math.log(LARGE_MODEL / SMALL_MODEL)
    decades = DRAWN_SHARE * smallness * math.log10(usual / lr)
    return float(lr * 10.0 ** min(max(decades, -MOST_DRAWN), MOST_DRAWN))
