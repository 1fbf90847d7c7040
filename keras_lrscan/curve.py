"""`LRCurve`: what a scan recorded, and the files it is kept in.

The curve is the only thing that passes from the side that runs models to the side that reads, draws and explains.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.context import ScanContext
from keras_lrscan.errors import CurveTooShortError, InvalidCurveError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from numpy.typing import ArrayLike, NDArray

__all__ = ["LRCurve", "StopReason"]

JSON_FORMAT = 1


class StopReason(StrEnum):
    """Why a scan ended."""

    DIVERGED = "diverged"
    """The loss rose for good, judged against the noise of this curve."""
    NON_FINITE = "non-finite"
    """A batch's loss was NaN or infinite."""
    NON_FINITE_WEIGHTS = "non-finite-weights"
    """A weight became NaN or infinite, while the loss stayed finite."""
    END_LR = "end-lr"
    """The rate reached `end_lr`."""
    OUT_OF_BATCHES = "out-of-batches"
    """`fit` ended before the rate reached `end_lr`."""
    INTERRUPTED = "interrupted"
    """Ctrl-C, an exception in `fit`, or another callback that stopped it."""
    UNKNOWN = "unknown"
    """The curve was not recorded by this package."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LRCurve:
    """One learning-rate scan: the loss of single batches while the rate rose.

    `loss[i]` is the loss of batch `i` alone, computed **before** that batch's own update, so it shows what the updates
    before it did. `lr[i]` is therefore the rate of the last of those, the update that followed batch `i - 1`. The first
    loss stands before any update and is paired with the first rate.

    Attributes:
        lr: Learning rates, strictly increasing. Array of shape `(n,)`.
        loss: Loss of one batch at each rate, in the model's unit; may end in NaN or infinity. Array of shape `(n,)`.
        stop: Why the scan ended.
        context: What was known of model, data and run.

    Raises:
        InvalidCurveError: If the two arrays differ in length or are not one-dimensional, or if a rate is not finite,
            not positive, or not above the one before it.
        CurveTooShortError: If there is no point at all.

    Example:
    >>> from keras_lrscan import LRCurve
    >>> curve = LRCurve(lr=[1e-4, 1e-3, 1e-2], loss=[2.3, 1.9, 7.5], stop="diverged")
    >>> len(curve), float(curve.loss[1])
    (3, 1.9)
    """

    lr: NDArray[np.float64]
    loss: NDArray[np.float64]
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
        lr, loss = _read_only("lr", self.lr), _read_only("loss", self.loss)
        if lr.shape != loss.shape:
            msg = f"Expected `lr` and `loss` of the same length. Received: len(lr)={lr.size}, len(loss)={loss.size}."
            raise InvalidCurveError(msg)
        if not lr.size:
            msg = "Expected a curve with at least one point. Received: len(lr)=0. Record at least one batch."
            raise CurveTooShortError(msg)
        _check_rates(lr)
        try:
            stop = StopReason(self.stop)
        except ValueError as error:
            known = ", ".join(repr(str(reason)) for reason in StopReason)
            msg = f"Expected `stop` to be one of {known}. Received: stop={self.stop!r}."
            raise InvalidCurveError(msg) from error
        object.__setattr__(self, "lr", lr)
        object.__setattr__(self, "loss", loss)
        object.__setattr__(self, "stop", stop)

    def __len__(self) -> int:
        """Returns the number of points."""
        return int(self.lr.size)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values that JSON can hold; non-finite losses become `"nan"`, `"inf"` or `"-inf"`."""
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
        """Rebuilds what `to_dict` returned.

        Raises:
            InvalidCurveError: If a key is missing, a value is not a number, or the format is newer than this version.
        """
        missing = [key for key in ("lr", "loss") if key not in data]
        if missing:
            msg = f"Expected the keys 'lr' and 'loss'. Received: keys={sorted(data)}, without {missing}."
            raise InvalidCurveError(msg)
        if data.get("format", JSON_FORMAT) != JSON_FORMAT:
            msg = f"Expected format {JSON_FORMAT}. Received: format={data['format']!r}. Install a newer keras_lrscan."
            raise InvalidCurveError(msg)
        context = ScanContext.from_dict(data.get("context", {}))
        stop = data.get("stop", StopReason.UNKNOWN)
        return cls(lr=data["lr"], loss=data["loss"], stop=stop, context=context)

    def to_json(self, path: str | PathLike[str]) -> None:
        """Writes the whole curve, with its context, to a JSON file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> LRCurve:
        """Reads a curve that `to_json` wrote.

        Raises:
            InvalidCurveError: If the file is not JSON or does not hold a curve.
            OSError: If the file cannot be read.
        """
        return cls.from_dict(read_json_object(path))

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Writes the columns `lr` and `loss`, without the context."""
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["lr", "loss"])
            writer.writerows(zip(self.lr.tolist(), self.loss.tolist(), strict=True))

    @classmethod
    def from_csv(
        cls,
        path: str | PathLike[str],
        *,
        lr_column: str = "lr",
        loss_column: str = "loss",
        context: ScanContext | None = None,
    ) -> LRCurve:
        """Reads a CSV file with a header line.

        Args:
            path: The file.
            lr_column: Name of the column of learning rates.
            loss_column: Name of the column of batch losses; a cell may read `nan` or `inf`.
            context: What is known of the run; a CSV file holds none of it.

        Raises:
            InvalidCurveError: If a column is missing or a cell is not a number.
            OSError: If the file cannot be read.
        """
        lr, loss = read_csv_columns(path, lr_column=lr_column, loss_column=loss_column)
        return cls(lr=lr, loss=loss, context=context or ScanContext())


def read_csv_columns(path: str | PathLike[str], *, lr_column: str, loss_column: str) -> tuple[list[float], list[float]]:
    """Reads the rates and the losses of a CSV file with a header line.

    Raises:
        InvalidCurveError: If a column is missing or a cell is not a number.
        OSError: If the file cannot be read.
    """
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        missing = [name for name in (lr_column, loss_column) if name not in columns]
        if missing:
            msg = (
                f"Expected a CSV file with the columns {lr_column!r} and {loss_column!r}. Received: "
                f"columns={columns}, without {missing}. Name yours with `lr_column` and `loss_column`."
            )
            raise InvalidCurveError(msg)
        rows = [(row[lr_column], row[loss_column]) for row in reader]
    lr = [_number(cell, lr_column, line) for line, (cell, _) in enumerate(rows, start=2)]
    loss = [_number(cell, loss_column, line) for line, (_, cell) in enumerate(rows, start=2)]
    return lr, loss


def read_json_object(path: str | PathLike[str]) -> dict[str, Any]:
    """Reads a file that must hold one JSON object.

    Raises:
        InvalidCurveError: If it does not.
        OSError: If the file cannot be read.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = (
            f"Expected a JSON file written by this package. Received: path={str(path)!r}, which is not JSON ({error})."
        )
        raise InvalidCurveError(msg) from error
    if not isinstance(data, dict):
        msg = f"Expected a JSON object. Received: path={str(path)!r}, which holds a {type(data).__name__}."
        raise InvalidCurveError(msg)
    return data


def _read_only(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"Expected `{name}` to be a sequence of numbers. Received: {name}={values!r:.80}."
        raise InvalidCurveError(msg) from error
    if array.ndim != 1:
        msg = f"Expected `{name}` to have one dimension. Received: {name}.shape={array.shape}."
        raise InvalidCurveError(msg)
    array.setflags(write=False)
    return array


def _check_rates(lr: NDArray[np.float64]) -> None:
    bad = np.flatnonzero(~(np.isfinite(lr) & (lr > 0)))
    if bad.size:
        msg = f"Expected every learning rate to be finite and positive. Received: lr[{bad[0]}]={lr[bad[0]]}."
        raise InvalidCurveError(msg)
    falls = np.flatnonzero(np.diff(lr) <= 0)
    if falls.size:
        at = int(falls[0])
        msg = (
            f"Expected learning rates that rise at every point. Received: lr[{at}]={lr[at]}, lr[{at + 1}]={lr[at + 1]}."
            " Average the losses of points that share a rate, and pass one scan at a time."
        )
        raise InvalidCurveError(msg)


def _number(cell: str | None, column: str, line: int) -> float:
    try:
        return float(cell or "")
    except ValueError as error:
        msg = f"Expected a number in column {column!r}. Received: {cell!r} on line {line}."
        raise InvalidCurveError(msg) from error
