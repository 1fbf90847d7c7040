"""Moves a suggested rate to another batch size, by the rules and within the limits that were measured."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, SupportsIndex

from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, whole_number
from keras_lrscan.suggestions.suggest import Role, Suggestion

if TYPE_CHECKING:
    from keras_lrscan.curves.context import ScanContext

__all__ = ["MAX_CHANGE", "MEASURED", "for_batch_size"]

SQUARE_ROOT, LINEAR = 0.5, 1.0
"""Exponents of the batch size in the best rate after as many epochs.

In `benchmarks/suggestions/batch_sizes.py`, the regret after a move by the square root is smaller than after no move or
a proportional one with Adam, AdamW, RMSprop and plain SGD. With momentum, that of a proportional move is.
"""

SPREAD = 0.35
"""Largest distance of a measured exponent from its rule, without the sixths at both ends; widens the range."""

MAX_CHANGE = 4
"""Largest factor between the two batch sizes. The measured ones are 8, 32 and 128."""

MEASURED = ("SGD", "Adam", "AdamW", "RMSprop")
"""Optimizers with which the rules were measured, SGD with and without momentum."""


def for_batch_size(suggestion: Suggestion, context: ScanContext, batch_size: SupportsIndex) -> Suggestion:
    """Returns a constant rate for training with another batch size than the scan; see `PureAnalysis.for_batch_size`."""
    size, scanned = whole_number("batch_size", batch_size, 1), context.batch_size
    if not scanned:
        msg = (
            "Expected a scan with a known batch size. Received: a curve whose context has no `batch_size`. Pass "
            "`context=ScanContext(batch_size=..., optimizer=...)` to the importer."
        )
        raise InvalidCurveError(msg)
    if not scanned <= size * MAX_CHANGE or not size <= scanned * MAX_CHANGE:
        msg = (
            f"Argument `batch_size` must be from {-(-scanned // MAX_CHANGE)} to {scanned * MAX_CHANGE}, within a "
            f"factor of {MAX_CHANGE} of that of the scan. Received: batch_size={size}. Scan again with that batch size."
        )
        raise InvalidOptionError(msg)
    if suggestion.lr is None or suggestion.low is None or suggestion.high is None or size == scanned:
        return suggestion
    why_not = _why_not(context)
    if why_not is not None:
        reason = f"No rate is suggested for another batch size: {why_not} Scan again with batches of {size}."
        return dataclasses.replace(suggestion, lr=None, low=None, high=None, reason=reason)
    ratio, exponent = size / scanned, LINEAR if context.momentum else SQUARE_ROOT
    factor, spread = ratio**exponent, max(ratio, 1 / ratio) ** SPREAD
    words = f"{size}/{scanned}" if exponent == LINEAR else f"the square root of {size}/{scanned}"
    return Suggestion(
        method=suggestion.method,
        role=Role.CONSTANT,
        lr=suggestion.lr * factor,
        low=suggestion.low * factor / spread,
        high=suggestion.high * factor * spread,
        reason=f"{suggestion.reason} It was multiplied by {words}, for as many epochs.",
    )


def _why_not(context: ScanContext) -> str | None:
    """Returns the reason why the rule does not apply, or `None`."""
    if context.optimizer not in MEASURED:
        other = context.optimizer or "an unknown optimizer"
        return f"the rule was measured with {', '.join(MEASURED)}, and not with {other}."
    if context.optimizer == "SGD" and context.momentum is None:
        return "with momentum the rule is another one, and the momentum of this SGD is unknown."
    if context.loss_reduction == "sum" or context.loss_adds_up == "samples":
        return "the loss adds up the samples of a batch, so the batch size also changes the size of the gradient."
    return None
