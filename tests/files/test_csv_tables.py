"""Tests CSV files of other programs: delimiters, decimal marks, column names and incomplete rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import InvalidCurveError, LRCurve
from keras_lrscan.cli import Exit, main
from keras_lrscan.curves.importers import from_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READ = {
    "commas": "lr,loss\n0.001,2.5\n0.01,1.5\n",
    "semicolons": "lr;loss\n0.001;2.5\n0.01;1.5\n",
    "decimal commas": "lr;loss\n0,001;2,5\n0,01;1,5\n",
    "tabs": "lr\tloss\n0.001\t2.5\n1e-2\t1.5\n",
    "quoted decimal commas": 'lr,loss\n"0,001","2,5"\n"0,01","1,5"\n',
    "spaces and blank lines": "\n lr , loss \n\n0.001, 2.5\n ,\n0.01, 1.5 \n",
    "carriage returns": "lr,loss\r\n0.001,2.5\r\n0.01,1.5\r\n",
    "a comma at the end": "lr,loss\n0.001,2.5,\n0.01,1.5,\n",
    "Keras's CSVLogger": "epoch,accuracy,learning_rate,loss\n0,0.1,0.001,2.5\n1,0.2,0.01,1.5\n",
    "Keras's CSVLogger with tabs": "epoch\tlearning_rate\tloss\tval_loss\n0\t0.001\t2.5\t9\n1\t0.01\t1.5\t9\n",
    "Lightning": "epoch,lr-SGD,step,train_loss\n0,0.001,0,2.5\n0,0.01,1,1.5\n",
    "capitals": "LR,Loss\n0.001,2.5\n0.01,1.5\n",
    "plural": "lrs,losses\n0.001,2.5\n0.01,1.5\n",
    "spaces between columns": "lr loss\n0.001 2.5\n0.01  1.5\n",
    "spaced": "Learning Rate,Train Loss\n0.001,2.5\n0.01,1.5\n",
    "two spellings, one of them usual": "lr,learning_rate,loss,train_loss\n0.001,7,2.5,7\n0.01,7,1.5,7\n",
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_other_programs_are_read(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "scan.csv").write_bytes(text.encode(encoding))
    curve = LRCurve.from_csv(tmp_path / "scan.csv")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])
    expected = ("Each loss is the mean over one epoch", "The losses are from column 'loss', and not from ")
    assert not [note for note in curve.context.notes if not note.startswith(expected)]


@pytest.mark.parametrize("read", [LRCurve.from_csv, from_csv])
@pytest.mark.parametrize("name", READ)
def test_one_row_per_epoch_holds_the_means_of_epochs(tmp_path: Path, read: Callable[..., LRCurve], name: str) -> None:
    (tmp_path / "scan.csv").write_text(READ[name])
    context = read(tmp_path / "scan.csv").context
    assert context.averaged_over == ("epoch" if "CSVLogger" in name else None)
    assert len(context.notes) == ("CSVLogger" in name) + ("_loss" in READ[name] and "Lightning" not in name)


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 on JAX with numpy 2
def test_a_file_of_the_csv_logger_is_read_whatever_mark_separates_its_columns(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * 2.0**epoch)
    files = {mark: tmp_path / f"{number}.csv" for number, mark in enumerate([",", ";", "\t"])}
    loggers = [keras.callbacks.CSVLogger(str(file), separator=mark) for mark, file in files.items()]
    data = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    history = model.fit(*data, epochs=4, verbose=0, callbacks=[scheduler, *loggers], validation_split=0.5).history
    for mark, file in files.items():
        assert f"epoch{mark}" in file.read_text()
        curve = from_csv(file)
        np.testing.assert_allclose(curve.loss, history["loss"], rtol=1e-6)
        np.testing.assert_allclose(curve.lr, 1e-3 * 2.0 ** np.arange(4), rtol=1e-6)
        assert curve.context.averaged_over == "epoch"


@pytest.mark.parametrize("name", ["log10_lr", "log10(lr)", "Log10 learning rate"])
def test_log10_of_rates_under_that_name_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "scan.csv").write_text(f"{name},loss\n-3,2.5\n-2,1.5\n1,9\n")
    for column in ("lr", name):
        curve = from_csv(tmp_path / "scan.csv", lr_column=column)
        np.testing.assert_allclose(curve.lr, [1e-3, 1e-2, 10.0])
        assert curve.context.notes == (f"The learning rates were computed as 10 ** {name}.",)


def test_a_column_of_rates_comes_before_one_of_logarithms(tmp_path: Path) -> None:
    (tmp_path / "scan.csv").write_text("log_lr,lr,loss\n-3,0.002,2.5\n-2,0.02,1.5\n")
    assert from_csv(tmp_path / "scan.csv").lr.tolist() == [0.002, 0.02]


def test_rows_are_joined_by_step_even_if_some_are_complete(tmp_path: Path) -> None:
    text = "lr-SGD,step,train_loss\n0.001,0,\n,0,2.5\n0.01,1,\n,1,1.5\n0.1,2,9\n"
    (tmp_path / "metrics.csv").write_text(text)
    curve = from_csv(tmp_path / "metrics.csv")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01, 0.1], [2.5, 1.5, 9.0])
    assert "joined by step" in curve.context.notes[0]


def test_rows_without_a_rate_or_a_loss_are_left_out_and_the_notes_say_so(tmp_path: Path) -> None:
    text = "lr,step,train_loss,val_loss\n0.001,0,2.5,\n,0,,9.0\n0.01,1,1.5,\n,1,,8.0\n0.1,2,,\n"
    (tmp_path / "metrics.csv").write_text(text)
    for read in (LRCurve.from_csv, from_csv):
        curve = read(tmp_path / "metrics.csv")
        assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])
        assert curve.context.notes[0] == "3 of 5 rows in the file had no learning rate or no loss and were skipped."


def test_rates_and_losses_in_rows_of_their_own_are_put_together_by_their_step(tmp_path: Path) -> None:
    text = "epoch,lr-Adam,step,train_loss\n,0.001,0,\n0,,0,2.5\n,0.01,1,\n0,,1,1.5\n,0.1,2,\n0,,,7\n"
    (tmp_path / "metrics.csv").write_text(text)
    curve = LRCurve.from_csv(tmp_path / "metrics.csv")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])
    assert curve.context.notes == ("Learning rates and losses were in separate rows and were joined by step.",)


REFUSED = {
    "two rates": (
        "lr-Adam,lr-SGD,loss\n1,1,1\n",
        r"one column 'lr'. Received: columns=\['lr-Adam', 'lr-SGD', 'loss'\], ",
    ),
    "which ones": (
        "learning_rate,lrs,loss\n1,1,1\n",
        r"in which 'learning_rate', 'lrs' match. Rename your columns to `lr` and `loss`, or name them",
    ),
    "two losses": ("lr,losses,train_loss\n1,1,1\n", r"one column 'loss'. .* in which 'losses', 'train_loss' match"),
    "one name twice": ("lr,loss,loss\n1,1,1\n", r"one column 'loss'. .* in which 'loss', 'loss' match"),
    "no rate": ("x,loss\n1,1\n", r"the columns 'lr' and 'loss'. Received: columns=\['x', 'loss'\], without 'lr'"),
    "no loss": ("lr,x\n1,1\n", r"the columns 'lr' and 'loss'. Received: columns=\['lr', 'x'\], without 'loss'"),
    "both marks": (
        "lr;loss\n0.001;2,5\n",
        r"decimal commas in all numbers. Received: '2,5' and '0.001'. Write all numbers with a",
    ),
    "thousands": ('lr,loss\n1,"1,000.5"\n', r"Received: '1,000.5' and '1,000.5'"),
    "two commas": ('lr,loss\n1,"1,000,5"\n', r"a number in column 'loss'. Received: '1,000,5' on line 2"),
    "too many cells": ("lr,loss\n0,001,2,5\n", r"2 cells per row. Received: 4 cells on line 2. Quote cells"),
    "too large": (
        "lr,loss\n1e-3,1e999\n",
        r"a number in the range of a float in column 'loss'. Received: '1e999' on line",
    ),
    "beyond the limit": ("lr,loss\n1e-3,-1e101\n", r"`loss` to be within ±1e\+100. Received: loss\[0\]=-1e\+101"),
    "no pair": (
        "lr,loss\n1e-3,\n,2\n",
        r"rows with a learning rate and a loss. Received: 2 rows, each lacking one of them",
    ),
    "no pair, which option": ("lr,loss\n1e-3,\n,2\n", r"or name other columns with `lr_column` and `loss_column`"),
    "logs to any base": (
        "log_lr,loss\n-7,2.5\n-3,2\n",
        r"Received: column 'log_lr', which may hold logarithms to any base. Rename it to 'log10_lr' if the base is 10",
    ),
    "far too large logs": ("log10_lr,loss\n-7,2.5\n400,2\n", r"column 'log10_lr', which may hold"),
    "logs below zero": ("learning_rate,loss\n-7,2.5\n-6,2\n-5,9\n", r"which look like log10 of learning rates"),
    "falling logs": ("lr,loss\n-3,2.5\n-5,2\n", r"every learning rate to be finite and positive. Received: lr\[0\]=-3"),
    "a long cell": (
        f"lr,loss\n1e-3,{'1' * 200_000}\n",
        r"which cannot be parsed: field larger than field limit \(131072\)",
    ),
    "no header, both rise": (
        "1e-3,1\n1e-2,2\n",
        r"a header line with the names of the columns. Received: '1e-3 1' as the first line. Add a line such as 'lr,l",
    ),
    "no header, none rises": ("1,2\n1,2\n", r"Received: '1 2' as the first line"),
    "no header, three columns": ("1e-3,2,7\n1e-2,1,7\n", r"Received: '1e-3 2 7' as the first line"),
    "a scalar of TensorBoard": (
        "Wall time,Step,Value\n1,0,2.5\n2,1,1.5\n",
        r"a single scalar that TensorBoard exported. Export the loss and the learning rate, and join both files by",
    ),
    "two runs of W&B": (
        '"Step","a - batch/loss","b - batch/loss","a - batch/learning_rate"\n0,2,2,1e-3\n',
        r"one column 'loss'. .* in which 'a - batch/loss', 'b - batch/loss' match",
    ),
    "only epochs": ("_step,epoch/loss,batch/learning_rate\n0,2,1e-3\n", r"without 'loss'"),
    "logs": ("lr,loss\n-7,2.5\n-3,2\n1,9\n", r"from -7.0 to 1.0, which look like log10 of learning rates. If so, give"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_could_mean_two_things_or_nothing_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "scan.csv").write_text(text)
    for read in (LRCurve.from_csv, from_csv):
        with pytest.raises(InvalidCurveError, match=message):
            read(tmp_path / "scan.csv")
    assert main(["analyze", str(tmp_path / "scan.csv")]) == Exit.BAD_INPUT
    assert capsys.readouterr().err.startswith("lrscan: Expected ")


EXPORTS = {
    "panel of W&B": (
        '"Step","run-1 - batch/learning_rate","run-1 - batch/learning_rate__MIN","run-1 - batch/learning_rate__MAX",'
        '"run-1 - batch/loss","run-1 - batch/loss__MIN","run-1 - batch/loss__MAX"\n'
        "0,0.001,0.001,0.001,2.5,2.5,2.5\n1,0.01,0.01,0.01,1.5,1.5,1.5\n"
    ),
    "history of W&B's Keras callback": (
        "_step,_runtime,batch/loss,batch/learning_rate,batch/batch_step,epoch/loss,epoch/learning_rate\n"
        "0,1.5,2.5,0.001,0,,\n1,1.6,1.5,0.01,1,,\n2,1.7,,,,2.0,0.01\n"
    ),
    "history of W&B's Trainer": (
        "train/learning_rate,train/loss,train/global_step,eval/loss,_step\n0.001,2.5,1,,0\n0.01,1.5,2,,1\n,,2,1.9,2\n"
    ),
    "history of W&B in rows of their own": "_step,lr,loss\n0,0.001,\n0,,2.5\n1,0.01,\n1,,1.5\n",
}


@pytest.mark.parametrize("text", EXPORTS.values(), ids=EXPORTS)
def test_the_columns_of_exports_are_recognized(tmp_path: Path, text: str) -> None:
    (tmp_path / "export.csv").write_text(text)
    curve = LRCurve.from_csv(tmp_path / "export.csv")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])


UNNAMED = {
    "commas": "0.001,2.5\n0.01,1.5\n",
    "semicolons": "0.001;2.5\n0.01;1.5\n",
    "decimal commas": "0,001;2,5\n0,01;1,5\n",
    "tabs": "1e-3\t2.5\n1e-2\t1.5\n",
    "spaces, as NumPy saves it": "1.000000000000000021e-03 2.500000000000000000e+00\n1e-2 1.5e+00\n",
    "comma and space": "0.001, 2.5\n0.01, 1.5\n",
}


@pytest.mark.parametrize("text", UNNAMED.values(), ids=UNNAMED)
def test_two_columns_without_a_header_are_read_and_the_notes_say_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "scan.txt").write_text(text)
    curve = LRCurve.from_csv(tmp_path / "scan.txt")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])
    expected = "The file has no header line. Its first column only rises, so it holds the rates."
    assert curve.context.notes == (expected,)


def test_of_two_columns_without_a_header_the_rising_one_holds_the_rates() -> None:
    curve = from_csv(io.StringIO("2.5,0.001\nnan,0.01\n"))
    assert curve.lr.tolist() == [0.001, 0.01]
    assert "second column" in curve.context.notes[0]


@pytest.mark.parametrize("open_file", [io.StringIO("lr,loss\n1e-3,2\n"), io.BytesIO(b"lr;loss\n1e-3;2\n")])
def test_an_open_file_is_read(open_file: Any) -> None:
    assert from_csv(open_file).loss.tolist() == [2.0]


def test_a_column_that_is_named_is_not_looked_for_under_other_names(tmp_path: Path) -> None:
    (tmp_path / "scan.csv").write_text("lr,loss,train_loss\n1e-3,1,2\n")
    assert LRCurve.from_csv(tmp_path / "scan.csv", loss_column="train_loss").loss.tolist() == [2.0]
    with pytest.raises(InvalidCurveError, match=r"the columns 'lr' and 'val_loss'. .* without 'val_loss'"):
        LRCurve.from_csv(tmp_path / "scan.csv", loss_column="val_loss")


def test_the_notes_name_the_losses_that_were_not_read(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("lr,loss,val_loss,aux_loss\n0.001,2.5,9,1\n0.01,1.5,9,1\n")
    curve = LRCurve.from_csv(tmp_path / "log.csv")
    assert curve.context.notes == ("The losses are from column 'loss', and not from 'val_loss', 'aux_loss'.",)
