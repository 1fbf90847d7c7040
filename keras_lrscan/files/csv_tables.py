"""CSV files → rates and losses, whatever program wrote them."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, NamedTuple

from keras_lrscan.errors import InvalidCurveError
from keras_lrscan.files.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

__all__ = ["LOSS_COLUMN", "LOSS_KEYS", "RATE_COLUMN", "RATE_KEYS", "Columns", "read_columns"]

RATE_COLUMN, LOSS_COLUMN = "lr", "loss"
"""The columns that this package writes."""

RATE_KEYS = ("lr", "lrs", "learning_rate", "learning_rates")
LOSS_KEYS = ("loss", "losses", "train_loss", "train_loss_step", "batch_loss")
"""Other tools' names, of columns and of keys: Keras's CSVLogger, Lightning, torch-lr-finder, fastai, ktrain."""

RATE_PREFIX = "lr-"
"""Lightning's monitor calls its columns `lr-` and the name of the optimizer."""

STEP_COLUMN = "step"
"""Lightning writes the rate and the loss of a step in two rows with the same step."""

DELIMITERS = (",", ";", "\t")


class Columns(NamedTuple):
    """What a table holds of a scan.

    Attributes:
        rates: The rates.
        losses: The losses, as many.
        notes: Sentences on what was left out.
    """

    rates: list[float]
    losses: list[float]
    notes: tuple[str, ...]


class _Row(NamedTuple):
    line: int
    rate: str
    loss: str
    step: str


def read_columns(path: str | PathLike[str], *, lr_column: str, loss_column: str) -> Columns:
    """Reads the rates and the losses of a CSV file with a header line.

    Cells are set apart by commas, semicolons or tabs, told by the header. Numbers have a point or a comma. Where a
    column with the usual name is missing, the names of other tools are looked for. Rows in which either cell is empty
    are left out.

    Args:
        path: The file, in UTF-8 or UTF-16.
        lr_column: Name of the column of learning rates.
        loss_column: Name of the column of losses; a cell may read `nan` or `inf`.

    Raises:
        InvalidCurveError: If a column is missing or could be one of several, or a cell is not a number.
        OSError: If the file cannot be read.
    """
    header, lines = _cells(path)
    rate = _find(header, lr_column, loss_column, RATE_COLUMN, RATE_KEYS)
    loss = _find(header, loss_column, lr_column, LOSS_COLUMN, LOSS_KEYS)
    step = header.index(STEP_COLUMN) if header.count(STEP_COLUMN) == 1 else None
    rows = []
    for number, cells in lines:
        if any(cells[len(header) :]):
            msg = f"Expected {len(header)} cells in a row. Received: {len(cells)} on line {number}. Quote the text."
            raise InvalidCurveError(msg)
        filled = [*cells, *[""] * len(header)]
        rows.append(_Row(number, filled[rate], filled[loss], "" if step is None else filled[step]))
    whole, notes = _whole(rows)
    _check_marks([cell for row in whole for cell in (row.rate, row.loss)])
    return Columns(
        [_number(row.rate, header[rate], row.line) for row in whole],
        [_number(row.loss, header[loss], row.line) for row in whole],
        notes,
    )


def _cells(path: str | PathLike[str]) -> tuple[list[str], Iterable[tuple[int, list[str]]]]:
    """Returns the names of the columns, and each line that is not empty with its number."""
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        msg = f"Expected a CSV file. Received: path={str(path)!r}, which is none: {error}."
        raise InvalidCurveError(msg) from error
    rows = [(line, row) for line, row in rows if any(row)]
    return (rows[0][1], rows[1:]) if rows else ([], [])


def _find(header: Sequence[str], wanted: str, other: str, usual: str, known: tuple[str, ...]) -> int:
    """Returns the place of a column: the one that was named, or that of another tool in place of the usual one."""
    found = [at for at, name in enumerate(header) if name == wanted]
    if not found and wanted == usual:
        plain = [name.lower().replace(" ", "_") for name in header]
        prefix = RATE_PREFIX if usual == RATE_COLUMN else None
        found = [at for at, name in enumerate(plain) if name in known or (prefix and name.startswith(prefix))]
    if len(found) == 1:
        return found[0]
    how = "Name yours with `lr_column` and `loss_column` (`--lr-column`, `--loss-column`)."
    columns = f"{list(header)!r:.400}"
    pair = (wanted, other) if usual == RATE_COLUMN else (other, wanted)
    if found:
        which = ", ".join(repr(header[at]) for at in found)
        msg = f"Expected one column {wanted!r}. Received: columns={columns}, of which each of {which} may be it. {how}"
    else:
        msg = (
            f"Expected a CSV file with the columns {pair[0]!r} and {pair[1]!r}. Received: columns={columns}, without "
            f"{wanted!r}. {how}"
        )
    raise InvalidCurveError(msg)


def _whole(rows: list[_Row]) -> tuple[list[_Row], tuple[str, ...]]:
    """Returns the rows that have both cells, and says how many have not."""
    whole = [row for row in rows if row.rate and row.loss]
    if rows and not whole:
        joined: dict[str, _Row] = {}
        for row in rows:
            before = joined.get(row.step, row)
            joined[row.step] = row._replace(rate=row.rate or before.rate, loss=row.loss or before.loss)
        joined.pop("", None)
        whole = [row for row in joined.values() if row.rate and row.loss]
        if not whole:
            msg = (
                f"Expected rows with a rate and a loss. Received: {len(rows)} rows, each without one of them. Write "
                "both into the same row, or name the step of each in a column 'step'."
            )
            raise InvalidCurveError(msg)
        return whole, ("Rates and losses stood in rows of their own and were put together by their step.",)
    left = len(rows) - len(whole)
    if not left:
        return whole, ()
    return whole, (f"{left} of {len(rows)} rows of the file had no rate or no loss and were left out.",)


def _check_marks(cells: list[str]) -> None:
    """Refuses a file in which a comma can be the mark of decimals or of thousands."""
    commas = next((cell for cell in cells if "," in cell), None)
    points = next((cell for cell in cells if "." in cell), None)
    if commas is not None and points is not None:
        msg = (
            f"Expected numbers with a decimal point, or all with a decimal comma. Received: {commas!r:.40} and "
            f"{points!r:.40}. Write every number with a point."
        )
        raise InvalidCurveError(msg)


def _number(cell: str, column: str, line: int) -> float:
    try:
        number = float(cell.replace(",", ".", 1))
    except ValueError as error:
        msg = f"Expected a number in column {column!r}. Received: {cell!r:.80} on line {line}."
        raise InvalidCurveError(msg) from error
    if math.isinf(number) and any(digit in cell for digit in "123456789"):
        msg = f"Expected a number that a float can hold in column {column!r}. Received: {cell!r:.80} on line {line}."
        raise InvalidCurveError(msg)
    return number
