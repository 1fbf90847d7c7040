"""A tool's rates and losses → `LRCurve`: numbers from tensors, averages undone, points of one rate made one."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, SupportsFloat, cast

import numpy as np

from keras_lrscan.averaging import AVERAGES, Average, get_average, undo_losses, undo_notes
from keras_lrscan.context import ScanContext
from keras_lrscan.curve import LRCurve, numbers
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, shown
from keras_lrscan.recognition import recognise_averaging

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keras_lrscan.averaging import Array

__all__ = ["build_curve", "with_notes"]

NO_DIGITS = frozenset({"nan", "inf", "-inf"})
"""How files of this package write losses that JSON has no number for."""

USUAL_LAG = 49
"""Mean age, in batches, of what the usual moving average (0.98) holds."""


def build_curve(
    rates: Iterable[Any],
    losses: Iterable[Any],
    *,
    averaging: str | Average | None = None,
    look: bool = False,
    steps_per_epoch: float | None = None,
    undo: bool,
    context: ScanContext | None,
    shift: bool = False,
) -> LRCurve:
    """Returns the curve that a tool's rates and losses make.

    Args:
        rates: One rate a batch; one more than losses if the last batch was not finished.
        losses: One loss a batch; tensors of one number will do.
        averaging: How the losses were averaged; `None` for single batches, or when `context` says it.
        look: Whether to look for averages that nobody declared.
        steps_per_epoch: Batches in an epoch; see `undo_averaging`.
        undo: Whether to recover the losses of single batches.
        context: What is known of the run.
        shift: Whether each rate is that of the batch's own update, and has to move on to the next loss.

    Raises:
        InvalidCurveError: If rates or losses are not numbers, or not as many.
    """
    lr, loss = _numbers("lr", rates), _numbers("loss", losses)
    lr = lr[: loss.size] if lr.size == loss.size + 1 else lr
    if lr.size != loss.size:
        msg = f"Expected one rate a loss. Received: {lr.size} rates, {loss.size} losses."
        raise InvalidCurveError(msg)
    known = context or ScanContext()
    steps = steps_per_epoch if steps_per_epoch is not None else known.steps_per_epoch
    declared = averaging if averaging is not None else known.averaging
    average = None if declared is None else get_average(declared)
    notes: tuple[str, ...] = ()
    if look or (average is not None and average.needs_epoch and steps is None):
        average, steps, notes = _looked_at(loss, average, steps)
    if average is not None:
        loss, undone, said = _undone(lr, loss, average, steps, undo=undo)
        notes = (*notes, *said)
        kept, taken_off = (None, average.name) if undone else (average.name, None)
        known = dataclasses.replace(known, averaging=kept, undone_averaging=taken_off)
    known = with_notes(known, *notes)
    lr = lr[: loss.size]
    return _merged(np.concatenate([lr[:1], lr[:-1]]) if shift else lr, loss, known)


def _looked_at(
    loss: Array, average: Average | None, steps: float | None
) -> tuple[Average | None, float | None, tuple[str, ...]]:
    """Returns the average, the batches per epoch, and what to say of how they were found."""
    if average is not None and (steps is not None or not average.needs_epoch):
        return average, steps, ()
    seen = recognise_averaging(LRCurve(lr=np.arange(1.0, loss.size + 1), loss=loss))
    why = "; ".join(seen.evidence)
    if average is not None:
        found = seen.steps_per_epoch if seen.averaging == average.name else None
        return average, found, () if found is None else (f"Batches in an epoch were read off the record: {why}.",)
    if not seen.averaged:
        return None, steps, ()
    if seen.averaging is None:
        return None, steps, (f"The losses are averages, which are not undone here: {why}. {_to_the_right(USUAL_LAG)}",)
    recognised = AVERAGES[seen.averaging]
    return recognised, steps if steps is not None else seen.steps_per_epoch, (f"Averages were recognised: {why}.",)


def _undone(
    lr: Array, loss: Array, average: Average, steps: float | None, *, undo: bool
) -> tuple[Array, bool, tuple[str, ...]]:
    kept = f"Each stored loss is {average.words}. {_to_the_right(_lag(average, loss.size, steps), lr)}"
    if not undo:
        return loss, False, (kept,)
    try:
        undone = undo_losses(loss, average, steps)
    except (InvalidCurveError, InvalidOptionError) as error:
        return loss, False, (kept, f"That could not be undone. {error}")
    return undone.loss, True, undo_notes(average, undone, lr)


def _lag(average: Average, size: int, steps: float | None) -> float:
    within = (steps if steps is not None else size) / 2 if average.needs_epoch else 0.0
    own = average.lag if average.lag is not None else USUAL_LAG * (average.name == "ktrain")
    return min(within + own, size / 2)


def _to_the_right(lag: float, lr: Array | None = None) -> str:
    if lr is None or lr.size < 2 or not lr[-1] > lr[0] > 0:  # noqa: PLR2004 - no step
        return f"Landmarks stand to the right of where they belong, by up to {lag:.0f} batches."
    decades = lag * math.log10(lr[-1] / lr[0]) / (lr.size - 1)
    return f"Landmarks stand to the right of where they belong, by about {decades:.1g} decades."


def _merged(lr: Array, loss: Array, context: ScanContext) -> LRCurve:
    """Returns a curve in which neighbouring points of the same rate became one, at the mean of their losses."""
    first = np.concatenate([[True], lr[1:] != lr[:-1]])[: lr.size]
    group = np.cumsum(first) - 1
    mean = np.bincount(group, weights=loss) / np.bincount(group) if loss.size else loss
    return LRCurve(lr=lr[first], loss=mean, context=context)


def with_notes(context: ScanContext | None, *notes: str) -> ScanContext:
    """Returns the context with sentences added to its notes."""
    known = context or ScanContext()
    return dataclasses.replace(known, notes=(*known.notes, *notes))


def _numbers(name: str, values: Iterable[Any]) -> Array:
    try:
        listed = [_number(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"Expected `{name}` to be a sequence of numbers. Received: {name}={shown(values)}."
        raise InvalidCurveError(msg) from error
    return numbers(name, listed)


def _number(value: Any) -> float:  # noqa: ANN401
    """Returns what a number, or a tensor of one, holds; of texts only what JSON has no number for."""
    if isinstance(value, (bool, np.bool_, np.complexfloating)) or (isinstance(value, str) and value not in NO_DIGITS):
        msg = "no real number"
        raise TypeError(msg)
    return float(cast("SupportsFloat", value))
