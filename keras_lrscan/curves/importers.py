"""Imports the curves that other tools recorded, and undoes their averages.

The tools themselves are not imported: their objects are read by the names of their attributes.

Other tools pair the loss of a batch with the learning rate of the update with the same batch. An `LRCurve` pairs it
with the rate of the previous update, whose effect the loss shows, so the importers of objects shift the rates by one
step.
"""

from __future__ import annotations

import dataclasses
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, SupportsFloat, cast

import numpy as np

from keras_lrscan._typing import Array, ForeignRecord, Learner, Value
from keras_lrscan.curves.averaging import AVERAGES, Average, get_average, undo_losses, undo_notes
from keras_lrscan.curves.context import ScanContext, with_epoch_means, with_notes
from keras_lrscan.curves.curve import LRCurve, numbers
from keras_lrscan.curves.detect_averaging import detect_averaging
from keras_lrscan.curves.picture_importer import from_image
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, shown
from keras_lrscan.files.csv_tables import LOSS_COLUMN, LOSS_KEYS, RATE_COLUMN, RATE_KEYS, read_columns
from keras_lrscan.files.decoding import read_json_object
from keras_lrscan.files.read_write import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "IMPORTERS",
    "build_curve",
    "from_csv",
    "from_fastai",
    "from_image",
    "from_json",
    "from_keras_history",
    "from_ktrain",
    "from_lightning",
    "from_torch_lr_finder",
    "read_curve",
]

SAMPLE_COUNTS = ("nsamples", "samples", "n")
"""Names under which ktrain's data sets and Keras's image iterators give their number of samples."""

NON_FINITE = frozenset({"nan", "inf", "-inf"})
"""Strings for the losses that JSON numbers cannot represent, as this package writes them."""

UNKNOWN_STEPS = (
    "The average could not be undone, since it restarts at every epoch and the number of batches per epoch is unknown. "
    "Pass it as `steps_per_epoch` (`--steps-per-epoch`): samples / batch size, or more if the record ends within the "
    "first epoch."
)
"""Note on an average that needs the batches per epoch."""

UNUSED_STEPS = (
    "The number of batches per epoch ({steps:g}) was not used, since no average was detected that restarts at every "
    'epoch. If the tool stored Keras\'s `logs["loss"]`, name the average: running-mean.'
)
"""Note on a number of batches per epoch that was given."""

USUAL_LAG = 49
"""Mean age, in batches, of the losses in the usual moving average (decay 0.98)."""


def from_fastai(recorder: ForeignRecord, *, undo: bool = True, context: ScanContext | None = None) -> LRCurve:
    """Reads `learn.recorder` after fastai's `learn.lr_find()`, in which `losses` is a moving average (decay 0.98).

    Args:
        recorder: The `Recorder` with `lrs` and `losses`, or the `Learner` that has it.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If rates or losses are missing or are not numbers.
    """
    recorder = getattr(recorder, "recorder", recorder)
    rates, losses = _attributes(recorder, "recorder", "lrs", "losses")
    return build_curve(rates, losses, averaging="ema-0.98", undo=undo, context=context, shift=True)


def from_torch_lr_finder(
    history: ForeignRecord,
    *,
    averaging: str | Average | None = "ema-seeded-0.05",
    undo: bool = True,
    context: ScanContext | None = None,
) -> LRCurve:
    """Reads torch-lr-finder's `LRFinder.history`, in which the losses are a moving average from the first loss on.

    Args:
        history: Dictionary with `"lr"` and `"loss"`, or the `LRFinder` that has it.
        averaging: `None` if `range_test` ran with `smooth_f=0`; for another `smooth_f`, an `Average` with the stage
            `seeded_moving_average(smooth_f)`.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If rates or losses are missing or are not numbers.

    Example:
    >>> history = {"lr": [1e-4, 1e-3, 1e-2, 1e-1], "loss": [2.0, 1.95, 1.9525, 1.904875]}
    >>> from_torch_lr_finder(history).loss.round(3).tolist()
    [1.5, 2.0, 1.0]
    """
    rates, losses = _keys(getattr(history, "history", history), "history")
    return build_curve(rates, losses, averaging=averaging, undo=undo, context=context, shift=True)


def from_lightning(results: ForeignRecord, *, undo: bool = True, context: ScanContext | None = None) -> LRCurve:
    """Reads the result of Lightning's `Tuner(trainer).lr_find(model)`, a moving average that starts at half the loss.

    Args:
        results: The returned object, or its dictionary `results` with `"lr"` and `"loss"`. The trainer must not have
            trained before, since the start of the average depends on the trainer's step.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If rates or losses are missing or are not numbers.
    """
    rates, losses = _keys(getattr(results, "results", results), "results")
    return build_curve(rates, losses, averaging="lightning", undo=undo, context=context, shift=True)


def from_ktrain(
    lr_finder: ForeignRecord,
    *,
    steps_per_epoch: float | None = None,
    undo: bool = True,
    context: ScanContext | None = None,
) -> LRCurve:
    """Reads `learner.lr_finder` after ktrain's `learner.lr_find()`, a moving average of Keras's running mean.

    A scan that `keras_lrscan.integrations.ktrain` recorded is returned as it is.

    Args:
        lr_finder: The `LRFinder` with `lrs` and `losses`, or the learner that has it.
        steps_per_epoch: Batches per epoch: samples / batch size. By default, it is taken from the learner, or else
            detected from the record.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If rates or losses are missing or are not numbers.
    """
    steps = steps_per_epoch if steps_per_epoch is not None else _steps_of_learner(lr_finder)
    finder = getattr(lr_finder, "lr_finder", lr_finder)
    own = getattr(getattr(finder, "analysis", None), "curve", None)
    if isinstance(own, LRCurve):
        return own
    rates, losses = _attributes(finder, "lr_finder", "lrs", "losses")
    return build_curve(rates, losses, averaging="ktrain", steps_per_epoch=steps, undo=undo, context=context, shift=True)


def from_keras_history(history: ForeignRecord, *, context: ScanContext | None = None) -> LRCurve:
    """Reads the `History` of a Keras `fit` in which a `LearningRateScheduler` raised the rate at every epoch.

    Each point is the mean loss of one epoch at one rate, so the losses do not lag and need no recovery.

    Args:
        history: The `History` that `fit` returned, or its dictionary with `"loss"` and `"learning_rate"` or `"lr"`.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If rates or losses are missing or are not numbers.

    Example:
    >>> curve = from_keras_history({"learning_rate": [1e-4, 1e-3, 1e-3, 1e-2], "loss": [2.3, 1.4, 1.0, 5.0]})
    >>> curve.loss.tolist()
    [2.3, 1.2, 5.0]
    """
    rates, losses = _keys(getattr(history, "history", history), "history")
    return build_curve(rates, losses, undo=False, context=with_epoch_means(context or ScanContext()))


def from_csv(
    path: Source,
    *,
    lr_column: str = RATE_COLUMN,
    loss_column: str = LOSS_COLUMN,
    averaging: str | Average | None = None,
    steps_per_epoch: float | None = None,
    undo: bool = True,
    context: ScanContext | None = None,
) -> LRCurve:
    """Reads a CSV file, and undoes averages that are named or detected.

    Cells are separated by commas, semicolons or tabs, numbers have a decimal point or a decimal comma, and the text is
    in UTF-8 or UTF-16. Without a column `lr` or `loss`, the column of Keras's CSVLogger (`learning_rate`), of Lightning
    (`lr-SGD`, `train_loss`) or of an export of W&B (`batch/loss`, `run-1 - train/learning_rate`) is read, if exactly
    one matches. Of two columns without a header line, the one that only rises holds the rates. Rows without a rate or a
    loss are joined by the column `step` or skipped. Notes in the context report all this. A file with one row per epoch
    holds the mean losses of epochs, as those of Keras's CSVLogger do.

    Args:
        path: The file, or an open file.
        lr_column: Name of the column of learning rates.
        loss_column: Name of the column of losses.
        averaging: A key of `AVERAGES` or an `Average`; `None` detects averages in the record.
        steps_per_epoch: Batches per epoch; see `undo_averaging`.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run.

    Raises:
        InvalidCurveError: If a column is missing or a cell is not a number.
        OSError: If the file cannot be read.
    """
    table = read_columns(path, lr_column=lr_column, loss_column=loss_column)
    has_epoch_means = table.has_epoch_means and averaging is None
    if has_epoch_means:
        context = with_epoch_means(context or ScanContext())
    return build_curve(
        table.rates,
        table.losses,
        averaging=averaging,
        detect=not has_epoch_means,
        steps_per_epoch=steps_per_epoch,
        undo=undo,
        context=with_notes(context, *table.notes),
    )


def from_json(
    path: Source,
    *,
    averaging: str | Average | None = None,
    steps_per_epoch: float | None = None,
    undo: bool = True,
    context: ScanContext | None = None,
) -> LRCurve:
    """Reads a JSON file of this package, or a JSON object with two lists such as `{"lr": [...], "loss": [...]}`.

    The lists may also be called `lrs`, `learning_rate` and `losses`, as in torch-lr-finder, Lightning, fastai, ktrain
    and Keras.

    Args:
        path: The file, or an open file.
        averaging: A key of `AVERAGES` or an `Average`; `None` takes the average that the file declares, or else
            detects averages in the record.
        steps_per_epoch: Batches per epoch; see `undo_averaging`.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run, for files that do not contain them.

    Raises:
        InvalidCurveError: If the file is not JSON or does not contain rates and losses.
        OSError: If the file cannot be read.
    """
    return read_curve(
        read_json_object(path), averaging=averaging, steps_per_epoch=steps_per_epoch, undo=undo, context=context
    )


def read_curve(
    data: Mapping[str, Any],
    *,
    averaging: str | Average | None = None,
    steps_per_epoch: float | None = None,
    undo: bool = True,
    context: ScanContext | None = None,
) -> LRCurve:
    """Builds a curve from the content of a JSON file; see `from_json`.

    Raises:
        InvalidCurveError: If `data` does not contain rates and losses.
    """
    how: dict[str, Any] = {"averaging": averaging, "steps_per_epoch": steps_per_epoch, "undo": undo, "detect": True}
    if "format" in data or "context" in data:
        own = LRCurve.from_dict(data)
        own = dataclasses.replace(own, context=own.context.completed(context))
        if own.context.from_picture:  # an average cannot be undone from pixels
            average = own.context.averaging if averaging is None else get_average(averaging).name
            return dataclasses.replace(own, context=dataclasses.replace(own.context, averaging=average))
        if averaging is None and own.context.averaging is None:
            notes = () if steps_per_epoch is None else (UNUSED_STEPS.format(steps=steps_per_epoch),)
            return dataclasses.replace(own, context=with_notes(own.context, *notes))
        return dataclasses.replace(build_curve(own.lr, own.loss, context=own.context, **how), stop=own.stop)
    rates, losses = _keys(data, "data")
    curve = build_curve(rates, losses, context=context, **how)
    return dataclasses.replace(curve, stop=data["stop"]) if "stop" in data else curve


def build_curve(
    rates: Iterable[Any],
    losses: Iterable[Any],
    *,
    averaging: str | Average | None = None,
    detect: bool = False,
    steps_per_epoch: float | None = None,
    undo: bool,
    context: ScanContext | None,
    shift: bool = False,
) -> LRCurve:
    """Builds a curve from the learning rates and losses of another tool.

    Args:
        rates: One rate per batch; one more rate than losses if the last batch was not finished.
        losses: One loss per batch; scalar tensors are allowed.
        averaging: Average of the losses; `None` for single batches, or if `context` declares it.
        detect: Whether to detect undeclared averages.
        steps_per_epoch: Batches per epoch; see `undo_averaging`.
        undo: Whether to recover the losses of single batches.
        context: Known facts about the run.
        shift: Whether each rate belongs to the update with the same batch, so that it must be moved to the next loss.

    Raises:
        InvalidCurveError: If rates or losses are not numbers, or differ in number.
    """
    lr, loss = _numbers("lr", rates), _numbers("loss", losses)
    lr = lr[: loss.size] if lr.size == loss.size + 1 else lr
    if lr.size != loss.size:
        msg = f"Expected one learning rate per loss. Received: {lr.size} rates, {loss.size} losses."
        raise InvalidCurveError(msg)
    known = context or ScanContext()
    steps = steps_per_epoch if steps_per_epoch is not None else known.steps_per_epoch
    declared = averaging if averaging is not None else known.averaging
    average = None if declared is None else get_average(declared)
    notes: tuple[str, ...] = ()
    if detect or (average is not None and average.needs_epoch and steps is None):
        average, steps, notes = _detected(loss, average, steps)
    if steps_per_epoch is not None and not (average is not None and average.needs_epoch):
        notes = (*notes, UNUSED_STEPS.format(steps=steps_per_epoch))
    if average is not None:
        loss, is_undone, more = _undone(lr, loss, average, steps, undo=undo)
        notes = (*notes, *more)
        kept, undone = (None, average.name) if is_undone else (average.name, None)
        known = dataclasses.replace(known, averaging=kept, undone_averaging=undone)
    known = with_notes(known, *notes)
    lr = lr[: loss.size]
    return _merged(np.concatenate([lr[:1], lr[:-1]]) if shift else lr, loss, known)


IMPORTERS: Mapping[str, Callable[..., LRCurve]] = MappingProxyType(
    {
        "fastai": from_fastai,
        "torch-lr-finder": from_torch_lr_finder,
        "lightning": from_lightning,
        "ktrain": from_ktrain,
        "keras-history": from_keras_history,
        "csv": from_csv,
        "json": from_json,
        "image": from_image,
    }
)
"""Tool or file format → the function that imports its record."""


def _attributes(record: object, name: str, *attributes: str) -> tuple[Any, Any]:
    missing = [attribute for attribute in attributes if not hasattr(record, attribute)]
    if missing:
        msg = (
            f"Expected `{name}` to have the attributes {', '.join(map(repr, attributes))}. Received: "
            f"{name}={record!r:.80}, without {missing}. Run the scan first."
        )
        raise InvalidCurveError(msg)
    rates, losses = (getattr(record, attribute) for attribute in attributes)
    return rates, losses


def _keys(record: ForeignRecord, name: str) -> tuple[Any, Any]:
    keys = list(record) if hasattr(record, "keys") else []
    rate = next((key for key in RATE_KEYS if key in keys), None)
    loss = next((key for key in LOSS_KEYS if key in keys), None)
    if rate is None or loss is None:
        msg = (
            f"Expected `{name}` to contain one of the keys {', '.join(map(repr, RATE_KEYS))} and one of "
            f"{', '.join(map(repr, LOSS_KEYS))}. Received: keys={sorted(map(str, keys))}. Run the scan first."
        )
        raise InvalidCurveError(msg)
    return record[rate], record[loss]


def _steps_of_learner(learner: Learner) -> float | None:
    """Returns the batches per epoch of ktrain's scan of the learner, or `None` if unknown.

    For arrays, Keras includes the last, smaller batch. For a data set, ktrain makes it use full batches only.
    """
    data = getattr(learner, "train_data", None)
    batch_size = getattr(data, "batch_size", None) or getattr(learner, "batch_size", None)
    if data is None or batch_size is None:
        return None
    if isinstance(data, (tuple, list)):
        return float(len(data[1]) / batch_size)
    count = next((getattr(data, name) for name in SAMPLE_COUNTS if hasattr(data, name)), None)
    size = count() if callable(count) else count
    return None if size is None else float(size // batch_size)


def _detected(
    loss: Array, average: Average | None, steps: float | None
) -> tuple[Average | None, float | None, tuple[str, ...]]:
    """Returns the average, the batches per epoch, and notes on how they were detected."""
    if average is not None and (steps is not None or not average.needs_epoch):
        return average, steps, ()
    seen = detect_averaging(LRCurve(lr=np.arange(1.0, loss.size + 1), loss=loss))
    why = "; ".join(seen.evidence)
    if average is not None:
        found = seen.steps_per_epoch if seen.averaging == average.name else None
        note = f"The batches per epoch were detected from the record: {why}."
        return average, found, () if found is None else (note,)
    if not seen.averaged:
        return None, steps, ()
    if seen.averaging is None:
        return None, steps, (f"The losses are averages that could not be undone: {why}. {_lag_note(USUAL_LAG)}",)
    detected = AVERAGES[seen.averaging]
    return detected, steps if steps is not None else seen.steps_per_epoch, (f"Averages were detected: {why}.",)


def _undone(
    lr: Array, loss: Array, average: Average, steps: float | None, *, undo: bool
) -> tuple[Array, bool, tuple[str, ...]]:
    kept = f"Each stored loss is {average.words}. {_lag_note(_lag(average, loss.size, steps), lr)}"
    if not undo:
        return loss, False, (kept,)
    if average.needs_epoch and steps is None:
        return loss, False, (kept, UNKNOWN_STEPS)
    try:
        undone = undo_losses(loss, average, steps)
    except (InvalidCurveError, InvalidOptionError) as error:
        return loss, False, (kept, f"The average could not be undone. {error}")
    return undone.loss, True, undo_notes(average, undone, lr)


def _lag(average: Average, size: int, steps: float | None) -> float | None:
    """Returns the mean age of the averaged losses in batches, or `None` if it depends on unknown batches per epoch.

    A mean since the epoch began is as old as half of the batches before it, on average a quarter of an epoch.
    """
    if average.needs_epoch and steps is None:
        return None
    within = min(steps, size) / 4 if average.needs_epoch and steps is not None else 0.0
    own = average.lag if average.lag is not None else USUAL_LAG * (average.name == "ktrain")
    return min(within + own, size / 2)


def _lag_note(lag: float | None, lr: Array | None = None) -> str:
    if lag is None:
        return "The lag of the average shifts landmarks to the right."
    if lr is None or lr.size < 2 or not lr[-1] > lr[0] > 0:
        return f"The lag of the average shifts landmarks to the right by up to {lag:.0f} batches."
    decades = lag * math.log10(lr[-1] / lr[0]) / (lr.size - 1)
    return f"The lag of the average shifts landmarks to the right by up to {decades:.1g} decades."


def _merged(lr: Array, loss: Array, context: ScanContext) -> LRCurve:
    """Returns the curve after merging neighboring points with the same rate into one point with their mean loss."""
    first = np.concatenate([[True], lr[1:] != lr[:-1]])[: lr.size]
    group = np.cumsum(first) - 1
    mean = np.bincount(group, weights=loss) / np.bincount(group) if loss.size else loss
    return LRCurve(lr=lr[first], loss=mean, context=context)


def _numbers(name: str, values: Iterable[Any]) -> Array:
    try:
        listed = [_number(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"Expected `{name}` to be a sequence of numbers. Received: {name}={shown(values)}."
        raise InvalidCurveError(msg) from error
    return numbers(name, listed)


def _number(value: Value) -> float:
    """Returns a number or scalar tensor as a float; strings are refused, except for non-finite numbers."""
    if isinstance(value, (bool, np.bool_, np.complexfloating)) or (isinstance(value, str) and value not in NON_FINITE):
        msg = "not a real number"
        raise TypeError(msg)
    return float(cast("SupportsFloat", value))
