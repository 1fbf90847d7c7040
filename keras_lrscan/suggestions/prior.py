"""Draws a rate that was read off a curve toward the rates that train models of its size well.

One scan is noisy evidence: its landmarks move by some tenths of a decade from scan to scan, while the best rates of an
adaptive optimizer lie within half a decade of each other for most models of one size. A rate between the two is better
than either. Optimizers whose rates were not measured keep the rate of the curve.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from keras_lrscan.curves.optimizer_families import optimizer_family

if TYPE_CHECKING:
    from keras_lrscan.curves.context import ScanContext

__all__ = ["DRAWN_SHARE", "MOST_DRAWN", "SMALL_MODEL", "prior_rate", "toward_prior_rate"]

DRAWN_SHARE = 0.4
"""Share of the distance to the prior rate, in decades, by which a suggestion is drawn.

In `benchmarks/suggestions`, shares from 0.35 to 0.45 are about as good as each other. In `benchmarks/finetuning`, which
had no part in setting it, so are shares from 0.3 to 0.6 for models of 200,000 weights and more.
"""

MOST_DRAWN = 0.8
"""Largest distance in decades by which a suggestion is drawn."""

SMALL_MODEL = 20_000
"""Number of trainable parameters up to which the prior rate is that of the optimizer.

The small models of `benchmarks/suggestions` have up to 20,000, and their best rates hardly depend on that number.
"""

SIZE_EXPONENT = 0.5
"""Exponent by which the prior rate of a larger model falls with its number of trainable parameters.

The best rate of Adam falls in proportion to the width of a network (Yang et al.), and the number of weights grows with
the square of it. The best constant rates of 37 runs with Adam, AdamW, Nadam or RMSprop fall with the power 0.56: of
wide models in `benchmarks/suggestions`, and of pretrained ones with 200,000 weights and more in
`benchmarks/finetuning`. Beyond 12 million the rule is extrapolated: for a BERT of 110 million it gives 4e-5, where its
authors recommend 2e-5 to 5e-5 (Devlin et al.).

References:
    Yang et al. (2021), "Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer".
    Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding".
"""


def prior_rate(context: ScanContext) -> float | None:
    """Returns the rate toward which a suggestion is drawn, or `None` if it is unknown for the optimizer or the size.

    It is that of the optimizer up to 20,000 trainable parameters, and falls with the square root of their number after.

    Example:
    >>> from keras_lrscan import ScanContext
    >>> prior_rate(ScanContext(optimizer="Adam", num_trainable_params=5_000))
    0.003
    >>> round(prior_rate(ScanContext(optimizer="Adam", num_trainable_params=2_000_000)), 6)
    0.0003
    """
    rate, params = optimizer_family(context.optimizer).prior_rate, context.num_trainable_params
    if rate is None or not params:
        return None
    return float(rate * (SMALL_MODEL / max(params, SMALL_MODEL)) ** SIZE_EXPONENT)


def toward_prior_rate(lr: float, context: ScanContext) -> float:
    """Returns a rate read off a curve, drawn toward the prior rate of such an optimizer and model.

    The drawn rate is ``lr * (prior / lr) ** 0.4``, and at most 0.8 decade away.

    Args:
        lr: Constant rate that the curve suggests.
        context: Context of the curve.

    Returns:
        The drawn rate; `lr` itself if the number of parameters is unknown or the optimizer was not measured.

    Example:
    >>> from keras_lrscan import ScanContext
    >>> round(toward_prior_rate(0.03, ScanContext(optimizer="Adam", num_trainable_params=5_000)), 4)
    0.0119
    >>> toward_prior_rate(0.03, ScanContext(optimizer="SGD", num_trainable_params=5_000))
    0.03
    """
    prior = prior_rate(context)
    if prior is None:
        return lr
    decades = DRAWN_SHARE * math.log10(prior / lr)
    return float(lr * 10.0 ** min(max(decades, -MOST_DRAWN), MOST_DRAWN))
