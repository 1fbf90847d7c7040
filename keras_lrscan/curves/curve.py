"""Holds the recorded curve of a scan, and reads and writes it as JSON or CSV: `LRCurve`.

The curve is the only object that passes from the code that runs models to the code that reads, draws and explains.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from keras_lrscan._typing import Array, DataFrame
from keras_lrscan.curves.context import ScanContext, with_epoch_means
from keras_lrscan.curves.frames import frame_of
from keras_lrscan.errors import CurveTooShortError, InvalidCurveError, shown, whole_number
from keras_lrscan.files.csv_tables import LOSS_COLUMN, RATE_COLUMN, read_columns
from keras_lrscan.files.decoding import Floats, checked_object, decode, read_json_object
from keras_lrscan.files.read_write import Source, write_file
from keras_lrscan.formatting import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import ArrayLike

__all__ = ["LRCurve", "StopReason", "numbers"]

JSON_FORMAT = 1

NOT_REAL = "cbOSUMmT"
"""NumPy's kinds of types other than real numbers: complex numbers, Booleans, objects, strings and times."""

MAX_LOG10 = 20.0
"""Rising numbers up to this size that start at -1 or below look like log10 of learning rates."""


class StopReason(StrEnum):
    """Names the reasons why a scan ends."""

    DIVERGED = "diverged"
    """The loss rose for good, as judged against the noise of the curve."""
    NON_FINITE = "non-finite"
    """The loss of a batch was NaN or infinite."""
    NON_FINITE_WEIGHTS = "non-finite-weights"
    """A weight became NaN or infinite while the loss stayed finite."""
    END_LR = "end-lr"
    """The learning rate reached `end_lr`."""
    OUT_OF_BATCHES = "out-of-batches"
    """`fit` ended before the learning rate reached `end_lr`."""
    INTERRUPTED = "interrupted"
    """Ctrl-C, an exception in `fit` or another callback stopped the scan."""
    UNKNOWN = "unknown"
    """The curve was not recorded by this package."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LRCurve:
    """Holds one learning-rate scan: the losses of single batches under a rising learning rate.

    `loss[i]` is the loss of batch `i` alone, computed **before** the update with that batch, so it shows the effect of
    the earlier updates. `lr[i]` is therefore the rate of the last of these, the update with batch `i - 1`. The first
    loss precedes all updates and is paired with the first rate.

    Attributes:
        lr: Learning rates, strictly increasing. Array of shape `(n,)`.
        loss: Loss of one batch at each rate, in the model's unit; may end in NaN or infinity. Array of shape `(n,)`.
            Finite losses are within ±1e100, rates between 1e-100 and 1e100.
        stop: Reason why the scan ended.
        context: Known facts about the model, the data and the run.

    Raises:
        InvalidCurveError: If the two arrays differ in length, are not one-dimensional or contain anything but real
            numbers, or if a rate is not finite, not positive or not larger than the previous rate.
        CurveTooShortError: If the curve has no points.

    Example:
    >>> from keras_lrscan import LRCurve
    >>> curve = LRCurve(lr=[1e-4, 1e-3, 1e-2], loss=[2.3, 1.9, 7.5], stop="diverged")
    >>> curve
    LRCurve(points=3, lr=0.0001 to 0.01, stop='diverged')
    >>> len(curve), float(curve.loss[1])
    (3, 1.9)
    """

    lr: Floats
    loss: Floats
    stop: StopReason = StopReason.UNKNOWN
    context: ScanContext = field(default_factory=ScanContext)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            lr: ArrayLike,
            loss: ArrayLike,
            stop: StopReason | str = StopReason.UNKNOWN,
            context: ScanContext = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Copies the arrays, makes them read-only and checks them."""
        lr, loss = numbers("lr", self.lr), numbers("loss", self.loss)
        if lr.shape != loss.shape:
            msg = (
                f"Expected `lr` and `loss` to have the same length. Received: len(lr)={lr.size}, len(loss)={loss.size}."
            )
            raise InvalidCurveError(msg)
        if not lr.size:
            msg = "Expected a curve with at least one point. Received: len(lr)=0. Record at least one batch."
            raise CurveTooShortError(msg)
        _check_rates(lr)
        try:
            stop = StopReason(self.stop)
        except ValueError as error:
            known = ", ".join(repr(str(reason)) for reason in StopReason)
            msg = f"Expected `stop` to be one of {known}. Received: stop={shown(self.stop)}."
            raise InvalidCurveError(msg) from error
        lr.setflags(write=False)
        loss.setflags(write=False)
        object.__setattr__(self, "lr", lr)
        object.__setattr__(self, "loss", loss)
        object.__setattr__(self, "stop", stop)

    def without_dust(self) -> LRCurve:
        """Returns the curve with losses below 1e-100 in size set to zero, which keeps all ratios of losses finite."""
        dust = (np.abs(self.loss) < 1 / LARGEST) & (self.loss != 0)
        return dataclasses.replace(self, loss=np.where(dust, 0.0, self.loss)) if dust.any() else self

    def trimmed(self, *, skip_start: SupportsIndex = 0, skip_end: SupportsIndex = 0) -> LRCurve:
        """Returns the curve without its first and last points, as other tools leave them out of their plots.

        An analysis then takes the first remaining loss for the loss at the start. A note in the context counts the
        points left out, and the reason for the end becomes `"unknown"` if the end is among them. Importers undo
        averages first, so the remaining losses are the same with and without the others.

        Args:
            skip_start: Integer, at least 0. Number of points to leave out at the lowest learning rates.
            skip_end: Integer, at least 0. Number of points to leave out at the highest learning rates.

        Raises:
            InvalidOptionError: If a number is not an integer of at least 0.
            CurveTooShortError: If no point would remain.

        Example:
        >>> from keras_lrscan import LRCurve
        >>> curve = LRCurve(lr=[1e-4, 1e-3, 1e-2, 1e-1], loss=[2.3, 2.2, 1.9, 7.5])
        >>> curve.trimmed(skip_start=1, skip_end=1).loss.tolist()
        [2.2, 1.9]
        """
        first, last = whole_number("skip_start", skip_start, 0), whole_number("skip_end", skip_end, 0)
        if not first and not last:
            return self
        if first + last >= len(self):
            msg = (
                f"Expected at least one point to remain. Received: a curve of {len(self)} points, skip_start={first}, "
                f"skip_end={last}."
            )
            raise CurveTooShortError(msg)
        kept = slice(first, len(self) - last)
        note = f"Points left out by request: {first} at the lowest rates, {last} at the highest."
        context = dataclasses.replace(self.context, notes=(*self.context.notes, note))
        stop = StopReason.UNKNOWN if last else self.stop
        return LRCurve(lr=self.lr[kept], loss=self.loss[kept], stop=stop, context=context)

    def __repr__(self) -> str:
        """Returns the number of points, the first and last rate, and the reason for the end."""
        rates = f"{self.lr[0]:.3g} to {self.lr[-1]:.3g}"
        return f"LRCurve(points={len(self)}, lr={rates}, stop={str(self.stop)!r})"

    def __len__(self) -> int:
        """Returns the number of points."""
        return int(self.lr.size)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values for JSON; non-finite losses become `"nan"`, `"inf"` or `"-inf"`."""
        loss = [value if math.isfinite(value) else str(value) for value in self.loss.tolist()]
        return {
            "format": JSON_FORMAT,
            "stop": str(self.stop),
            "context": self.context.to_dict(),
            "lr": self.lr.tolist(),
            "loss": loss,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LRCurve:
        """Rebuilds a curve from the result of `to_dict`.

        Raises:
            InvalidCurveError: If a key is missing, a value is not a number, or this version cannot read the format.
        """
        data = checked_object(data)
        missing = [key for key in ("lr", "loss") if key not in data]
        if missing:
            msg = f"Expected the keys 'lr' and 'loss'. Received: keys={shown(list(data))}, without {missing}."
            raise InvalidCurveError(msg)
        if data.get("format", JSON_FORMAT) != JSON_FORMAT:
            known = f"Expected format {JSON_FORMAT}."
            msg = f"{known} Received: format={shown(data['format'])}. Install a newer keras_lrscan."
            raise InvalidCurveError(msg)
        parts = {item.name: data[item.name] for item in dataclasses.fields(cls) if item.name in data}
        return decode(cls, parts, again="Save the curve again with `LRCurve.to_json`.")

    def to_json(self, path: str | PathLike[str]) -> None:
        """Writes the curve and its context to a JSON file.

        Raises:
            InvalidOptionError: If `path` is not the path of a regular file.
            OSError: If the file cannot be written.
        """
        write_file(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def from_json(cls, path: Source) -> LRCurve:
        """Reads a curve from a JSON file written by `to_json`.

        Raises:
            InvalidCurveError: If the file is not JSON or does not contain a curve.
            OSError: If the file cannot be read.
        """
        return cls.from_dict(read_json_object(path))

    def to_frame(self) -> DataFrame:
        """Returns a pandas data frame with one row per batch and the columns `step`, `lr` and `loss`.

        Raises:
            MissingDependencyError: If pandas is not installed.

        Example:
        ```python
        analysis.curve.to_frame().plot("lr", "loss", logx=True)
        ```
        """
        return frame_of([{"lr": self.lr, "loss": self.loss}])

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Writes the columns `lr` and `loss` to a CSV file, without the context.

        Raises:
            InvalidOptionError: If `path` is not the path of a regular file.
            OSError: If the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([RATE_COLUMN, LOSS_COLUMN])
        writer.writerows(zip(self.lr.tolist(), self.loss.tolist(), strict=True))
        write_file(path, text.getvalue())

    @classmethod
    def from_csv(
        cls,
        path: Source,
        *,
        lr_column: str = RATE_COLUMN,
        loss_column: str = LOSS_COLUMN,
        context: ScanContext | None = None,
    ) -> LRCurve:
        """Reads a curve from a CSV file; see `keras_lrscan.importers.from_csv` for the tables.

        Args:
            path: The file, or an open file.
            lr_column: Name of the column of learning rates.
            loss_column: Name of the column of batch losses; a cell may contain `nan` or `inf`.
            context: Known facts about the run, which a CSV file does not contain.

        Raises:
            InvalidCurveError: If a column is missing or a cell is not a number.
            OSError: If the file cannot be read.
        """
        table = read_columns(path, lr_column=lr_column, loss_column=loss_column)
        known = context or ScanContext()
        known = with_epoch_means(known) if table.has_epoch_means else known
        known = dataclasses.replace(known, notes=(*known.notes, *table.notes))
        return cls(lr=table.rates, loss=table.losses, context=known)


def numbers(name: str, values: ArrayLike) -> Array:
    """Returns a copy of the values as a float64 array after checking their type, dimension and size.

    Args:
        name: Name of the argument, for error messages.
        values: One number per batch.

    Raises:
        InvalidCurveError: If the values are not real numbers in one dimension, or a finite one is beyond ±1e100.
    """
    try:
        given = np.asarray(values)
        with np.errstate(over="ignore"):
            array = None if given.dtype.kind in NOT_REAL else np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise _not_numbers(name, values) from error
    if array is None:
        raise _not_numbers(name, values)
    if array.ndim != 1:
        msg = f"Expected `{name}` to be one-dimensional. Received: {name}.shape={array.shape}."
        raise InvalidCurveError(msg)
    far = np.flatnonzero(np.isfinite(given) & ~(np.abs(array) <= LARGEST))
    if far.size:
        first = f"{name}[{far[0]}]={array[far[0]]:.3g}"
        expected = f"Expected `{name}` to be within ±{LARGEST:.0e}."
        msg = f"{expected} Received: {first}. Scale the numbers down, or omit this point."
        raise InvalidCurveError(msg)
    return array


def _not_numbers(name: str, values: object) -> InvalidCurveError:
    expected = f"Expected `{name}` to be a sequence of numbers."
    msg = f"{expected} Received: {name}={shown(values)}. Pass real numbers in the range of a float."
    return InvalidCurveError(msg)


def _check_rates(lr: Array) -> None:
    if lr[0] <= -1 and np.all(np.abs(lr) <= MAX_LOG10) and np.all(np.diff(lr) > 0):
        msg = (
            f"Expected positive learning rates. Received: rates from {lr[0]} to {lr[-1]}, which look like log10 of "
            "learning rates. If so, give the rates themselves, which are 10 to the power of these numbers."
        )
        raise InvalidCurveError(msg)
    bad = np.flatnonzero(~(np.isfinite(lr) & (lr > 0)))
    if bad.size:
        msg = f"Expected every learning rate to be finite and positive. Received: lr[{bad[0]}]={lr[bad[0]]}."
        raise InvalidCurveError(msg)
    falls = np.flatnonzero(np.diff(np.log10(lr)) <= 0)
    if falls.size:
        at = int(falls[0])
        remedy = (
            "Sort the points by learning rate, or, if the record holds several scans, give one at a time."
            if lr[at + 1] < lr[at]
            else "Average the losses of points with the same rate."
        )
        received = f"lr[{at}]={lr[at]}, lr[{at + 1}]={lr[at + 1]}"
        msg = f"Expected strictly increasing learning rates. Received: {received}. {remedy}"
        raise InvalidCurveError(msg)
    if lr[0] < 1 / LARGEST:
        msg = f"Expected learning rates of at least {1 / LARGEST:.0e}. Received: lr[0]={lr[0]}. Omit the smaller ones."
        raise InvalidCurveError(msg)
