"""Reads learning rates and losses from the CSV files of this and other programs."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from typing import TYPE_CHECKING, NamedTuple

from keras_lrscan.errors import InvalidCurveError, shown
from keras_lrscan.files.read_write import Source, name_of, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOSS_COLUMN", "LOSS_KEYS", "RATE_COLUMN", "RATE_KEYS", "Columns", "is_number", "read_columns"]

RATE_COLUMN, LOSS_COLUMN = "lr", "loss"
"""Names of the columns that this package writes."""

RATE_KEYS = ("lr", "lrs", "learning_rate", "learning_rates")
LOSS_KEYS = ("loss", "losses", "train_loss", "train_loss_step", "batch_loss")
"""Names of columns and keys in other tools: Keras's CSVLogger, Lightning, torch-lr-finder, fastai and ktrain."""

LOG10_RATE_KEYS = tuple(f"log10_{key}" for key in RATE_KEYS)
LOG_RATE_KEYS = tuple(f"{log}_{key}" for log in ("log", "ln") for key in RATE_KEYS)
"""Names of columns with logarithms of the rates, to any base for the second ones."""

MAX_LOG10 = 100.0
"""Largest size of a log10 of a rate."""

RATE_PREFIX = "lr-"
"""Start of the column names of Lightning's monitor, which appends the name of the optimizer."""

STEP_COLUMN = "step"
"""Column that joins the two rows in which Lightning writes the rate and the loss of a step."""

STEP_KEYS = (STEP_COLUMN, "global_step")
"""Names of such columns in other tools, as in W&B's `_step` and `train/global_step`."""

SERIES, PARTS, EXTREMES = " - ", "/", ("__min", "__max")
"""W&B's separators of a run's name and a metric, and of the parts of a metric; endings of columns of extremes."""

NOT_BATCHES = frozenset({"epoch", "eval", "test", "val", "validation"})
"""First parts of metrics that belong to epochs or to other data."""

TENSORBOARD_COLUMNS = ["wall_time", "step", "value"]
"""Columns of TensorBoard's export of one scalar."""

HOW = "Rename your columns to `lr` and `loss`, or name them with `lr_column` and `loss_column`."

EPOCH_COLUMN = "epoch"
"""Column that numbers the rows of Keras's CSVLogger."""

DELIMITERS = (",", ";", "\t")
UNNAMED_DELIMITERS = (";", "\t", " ")
"""Marks between cells: of a header, and of numbers without one, where a comma may also be that of a decimal."""

UNNAMED = (RATE_COLUMN, LOSS_COLUMN)
"""Names for two columns without a header."""


class Columns(NamedTuple):
    """Holds the columns of a table that belong to a scan.

    Attributes:
        rates: The learning rates.
        losses: The losses, one per rate.
        notes: Sentences about skipped and joined rows, and about converted rates.
        has_epoch_means: Whether each row is one epoch, so that each loss is the mean of an epoch.
    """

    rates: list[float]
    losses: list[float]
    notes: tuple[str, ...]
    has_epoch_means: bool


class _Row(NamedTuple):
    line: int
    rate: str
    loss: str
    step: str
    epoch: str


def read_columns(path: Source, *, lr_column: str, loss_column: str) -> Columns:
    """Reads the learning rates and losses of a CSV file.

    Cells are separated by commas, semicolons, tabs or spaces, as detected from the header. Numbers have a decimal point
    or a decimal comma. If a column with the default name is missing, the names that other tools use are tried. Rows in
    which either cell is empty are skipped, or joined by the column `step` if it completes more rows. A column such as
    `log10_lr` is converted to rates. Of two columns without a header line, the one that only rises holds the rates.

    Args:
        path: The file, in UTF-8 or UTF-16, or an open file.
        lr_column: Name of the column of learning rates.
        loss_column: Name of the column of losses; a cell may contain `nan` or `inf`.

    Raises:
        InvalidCurveError: If a column is missing or ambiguous, or a cell is not a number.
        OSError: If the file cannot be read.
    """
    table, has_header = _read_cells(path)
    header, lines, unnamed = _with_header(table, has_header=has_header)
    rate = _find_column(header, lr_column, loss_column, RATE_COLUMN, RATE_KEYS)
    loss = _find_column(header, loss_column, lr_column, LOSS_COLUMN, LOSS_KEYS)
    step, epoch = _find_step(header), header.index(EPOCH_COLUMN) if header.count(EPOCH_COLUMN) == 1 else None
    rows = []
    for number, cells in lines:
        if any(cells[len(header) :]):
            msg = (
                f"Expected {len(header)} cells per row. Received: {len(cells)} cells on line {number}. Quote cells "
                "that contain the delimiter."
            )
            raise InvalidCurveError(msg)
        filled = [*cells, *[""] * len(header)]
        numbers = ("" if at is None else filled[at] for at in (step, epoch))
        rows.append(_Row(number, filled[rate], filled[loss], *numbers))
    whole, notes = _complete_rows(rows)
    if loss_column == LOSS_COLUMN:
        notes = (*notes, *_note_on_other_losses(header, loss))
    notes = (*unnamed, *notes)
    _check_decimal_marks([cell for row in whole for cell in (row.rate, row.loss)])
    rates = [_number(row.rate, header[rate], row.line) for row in whole]
    if _plain(header[rate]) in (*LOG10_RATE_KEYS, *LOG_RATE_KEYS):
        rates = _powers(rates, header[rate])
        notes = (*notes, f"The learning rates were computed as 10 ** {header[rate]}.")
    return Columns(
        rates,
        [_number(row.loss, header[loss], row.line) for row in whole],
        notes,
        STEP_COLUMN not in header and _are_consecutive([row.epoch for row in whole]),
    )


def _note_on_other_losses(header: Sequence[str], chosen: int) -> tuple[str, ...]:
    """Returns a note on the column of losses that was read if the names of others contain "loss" too."""
    others = [name for at, name in enumerate(header) if at != chosen and "loss" in name.lower()]
    if not others:
        return ()
    return (f"The losses are from column {shown(header[chosen])}, and not from {', '.join(map(shown, others))}.",)


def _powers(logs: list[float], column: str) -> list[float]:
    """Returns ten to the power of each number, or refuses a column that may hold logarithms to another base."""
    if _plain(column) in LOG_RATE_KEYS or not all(abs(log) <= MAX_LOG10 for log in logs):
        msg = (
            f"Expected a column of learning rates, or of their log10 with a name such as 'log10_lr'. Received: column "
            f"{column!r}, which may hold logarithms to any base. Rename it to 'log10_lr' if the base is 10, or store "
            "the rates themselves in a column 'lr'."
        )
        raise InvalidCurveError(msg)
    return [10.0**log for log in logs]


def _are_consecutive(epochs: list[str]) -> bool:
    """Returns whether the cells number the rows one by one, as those of epochs do."""
    if len(epochs) < 2 or not all(cell.isascii() and cell.isdigit() for cell in epochs):
        return False
    return [int(cell) for cell in epochs] == list(range(int(epochs[0]), int(epochs[0]) + len(epochs)))


def _plain(name: str) -> str:
    """Returns the name of a column in lower case, with underscores between words: `log10(LR)` is `log10_lr`."""
    return "_".join(re.findall(r"[a-z0-9]+", name.lower()))


def _read_cells(path: Source) -> tuple[list[tuple[int, list[str]]], bool]:
    """Returns the non-empty lines with their line numbers, and whether the first one is a header."""
    text = read_text(path)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    has_header = not all(is_number(part) for part in re.split(r"[;,\s]+", first) if part)
    try:
        delimiter = max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))
        if has_header and not any(mark in first for mark in DELIMITERS):
            delimiter = " "
        if not has_header and ", " not in first:  # then a comma may be that of a decimal
            delimiter = next((mark for mark in UNNAMED_DELIMITERS if mark in first), delimiter)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter == " ")
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        msg = f"Expected a CSV file. Received: path={name_of(path)!r}, which cannot be parsed: {error}."
        raise InvalidCurveError(msg) from error
    return [(line, row) for line, row in rows if any(row)], has_header


def _with_header(
    lines: list[tuple[int, list[str]]], *, has_header: bool
) -> tuple[list[str], list[tuple[int, list[str]]], tuple[str, ...]]:
    """Returns the names of the columns, the other lines, and a note if the names follow from the numbers.

    Raises:
        InvalidCurveError: If there is no header, and the numbers do not show which of two columns holds the rates.
    """
    if has_header or not lines:
        return (lines[0][1], lines[1:], ()) if lines else ([], [], ())
    cells = [[cell for cell in row if cell] for _, row in lines]
    rising = [_only_rises(column) for column in zip(*cells, strict=False)]
    if any(len(row) != len(UNNAMED) for row in cells) or sum(rising) != 1:
        msg = (
            "Expected a header line with the names of the columns. Received: "
            f"{' '.join(lines[0][1])!r:.80} as the first line. Add a line such as 'lr,loss' above it."
        )
        raise InvalidCurveError(msg)
    at = rising.index(True)
    note = f"The file has no header line. Its {('first', 'second')[at]} column only rises, so it holds the rates."
    names = UNNAMED if at == 0 else UNNAMED[::-1]
    return list(names), [(line, row) for (line, _), row in zip(lines, cells, strict=True)], (note,)


def is_number(text: str) -> bool:
    """Returns whether a cell holds a number with a decimal point, `nan` or `inf`."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _only_rises(cells: Sequence[str]) -> bool:
    """Returns whether the cells hold positive numbers, each larger than the one before."""
    points = [cell.replace(",", ".", 1) for cell in cells]
    return all(map(is_number, points)) and all(
        low < high for low, high in itertools.pairwise([0.0, *map(float, points)])
    )


def _find_step(header: Sequence[str]) -> int | None:
    """Returns the index of the column with the steps, or `None`."""
    if header.count(STEP_COLUMN) == 1:
        return header.index(STEP_COLUMN)
    return next((at for at, name in enumerate(header) if _metric(name) in STEP_KEYS), None)


def _metric(name: str) -> str:
    """Returns the last part of a metric of a batch, or an empty string for others.

    >>> [_metric(name) for name in ("run-1 - batch/loss", "run-1 - batch/loss__MIN", "val/loss", "_step")]
    ['loss', '', '', 'step']
    """
    *group, metric = name.rpartition(SERIES)[2].lower().split(PARTS)
    return "" if metric.endswith(EXTREMES) or NOT_BATCHES & set(group) else _plain(metric)


def _find_column(header: Sequence[str], wanted: str, other: str, usual: str, known: tuple[str, ...]) -> int:
    """Returns the index of the named column; the default name also matches the names that other tools use."""
    found = [at for at, name in enumerate(header) if name == wanted]
    if not found and wanted == usual:
        plain = [name.lower().replace(" ", "_") for name in header]
        prefix = RATE_PREFIX if usual == RATE_COLUMN else None
        found = [at for at, name in enumerate(plain) if name in known or (prefix and name.startswith(prefix))]
        logs = (*LOG10_RATE_KEYS, *LOG_RATE_KEYS) if usual == RATE_COLUMN else ()
        found = found or [at for at, name in enumerate(header) if _plain(name) in logs]
        found = found or [at for at, name in enumerate(header) if _metric(name) in known]
    if len(found) == 1:
        return found[0]
    if [_plain(name) for name in header] == TENSORBOARD_COLUMNS:
        msg = (
            f"Expected a CSV file with the columns {RATE_COLUMN!r} and {LOSS_COLUMN!r}. Received: "
            f"columns={list(header)!r}, a single scalar that TensorBoard exported. Export the loss and the learning "
            "rate, and join both files by 'Step' into one."
        )
        raise InvalidCurveError(msg)
    if not header:
        msg = f"Expected a CSV file with the columns {RATE_COLUMN!r} and {LOSS_COLUMN!r}. Received: an empty file."
        raise InvalidCurveError(msg)
    columns = f"{list(header)!r:.400}"
    pair = (wanted, other) if usual == RATE_COLUMN else (other, wanted)
    if found:
        which = ", ".join(repr(header[at]) for at in found)
        msg = f"Expected exactly one column {wanted!r}. Received: columns={columns}, in which {which} match. {HOW}"
    else:
        msg = (
            f"Expected a CSV file with the columns {pair[0]!r} and {pair[1]!r}. Received: columns={columns}, without "
            f"{wanted!r}. {HOW}"
        )
    raise InvalidCurveError(msg)


def _complete_rows(rows: list[_Row]) -> tuple[list[_Row], tuple[str, ...]]:
    """Returns the rows with both cells, joined by step if necessary, and notes about the others."""
    whole, joined = [row for row in rows if row.rate and row.loss], _joined_rows(rows)
    if len(joined) > len(whole):
        return joined, ("Learning rates and losses were in separate rows and were joined by step.",)
    if rows and not whole:
        msg = (
            f"Expected rows with a learning rate and a loss. Received: {len(rows)} rows, each lacking one of them. "
            "Write both into the same row, add a column 'step' by which to join them, or name other columns with "
            "`lr_column` and `loss_column`."
        )
        raise InvalidCurveError(msg)
    skipped = len(rows) - len(whole)
    if not skipped:
        return whole, ()
    return whole, (f"{skipped} of {len(rows)} rows in the file had no learning rate or no loss and were skipped.",)


def _joined_rows(rows: list[_Row]) -> list[_Row]:
    """Returns one row for each step that has a rate and a loss, in rows of their own or in the same row."""
    joined: dict[str, _Row] = {}
    for row in rows:
        before = joined.get(row.step, row)
        joined[row.step] = row._replace(rate=row.rate or before.rate, loss=row.loss or before.loss)
    joined.pop("", None)
    return [row for row in joined.values() if row.rate and row.loss]


def _check_decimal_marks(cells: list[str]) -> None:
    """Refuses a file in which a comma may separate either decimals or thousands."""
    commas = next((cell for cell in cells if "," in cell), None)
    points = next((cell for cell in cells if "." in cell), None)
    if commas is not None and points is not None:
        msg = (
            f"Expected either decimal points or decimal commas in all numbers. Received: {commas!r:.40} and "
            f"{points!r:.40}. Write all numbers with a decimal point."
        )
        raise InvalidCurveError(msg)


def _number(cell: str, column: str, line: int) -> float:
    try:
        number = float(cell.replace(",", ".", 1))
    except ValueError as error:
        msg = f"Expected a number in column {column!r}. Received: {cell!r:.80} on line {line}."
        raise InvalidCurveError(msg) from error
    if math.isinf(number) and any(digit in cell for digit in "123456789"):
        msg = f"Expected a number in the range of a float in column {column!r}. Received: {cell!r:.80} on line {line}."
        raise InvalidCurveError(msg)
    return number
