"""Tests CSV files of other programs: delimiters, decimal marks, column names and incomplete rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from keras_lrscan import InvalidCurveError, LRCurve
from keras_lrscan.cli import main
from keras_lrscan.curves.importers import from_csv

if TYPE_CHECKING:
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
    "spaced": "Learning Rate,Train Loss\n0.001,2.5\n0.01,1.5\n",
    "two spellings, one of them usual": "lr,learning_rate,loss,train_loss\n0.001,7,2.5,7\n0.01,7,1.5,7\n",
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_other_programs_are_read(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "scan.csv").write_bytes(text.encode(encoding))
    curve = LRCurve.from_csv(tmp_path / "scan.csv")
    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])
    assert curve.context.notes == ()


def test_rows_without_a_rate_or_a_loss_are_left_out_and_the_notes_say_so(tmp_path: Path) -> None:
    text = "lr,step,train_loss,val_loss\n0.001,0,2.5,\n,0,,9.0\n0.01,1,1.5,\n,1,,8.0\n0.1,2,,\n"
    (tmp_path / "metrics.csv").write_text(text)
    for read in (LRCurve.from_csv, from_csv):
        curve = read(tmp_path / "metrics.csv")
        assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.001, 0.01], [2.5, 1.5])
        assert curve.context.notes == ("3 of 5 rows in the file had no learning rate or no loss and were skipped.",)


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
        r"in which 'learning_rate', 'lrs' match. Name your columns with `lr_c",
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
    "a long cell": (
        f"lr,loss\n1e-3,{'1' * 200_000}\n",
        r"which cannot be parsed: field larger than field limit \(131072\)",
    ),
    "logs": ("lr,loss\n-7,2.5\n-3,2\n1,9\n", r"from -7.0 to 1.0, which look like log10 of learning rates. If so, pass"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_could_mean_two_things_or_nothing_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "scan.csv").write_text(text)
    for read in (LRCurve.from_csv, from_csv):
        with pytest.raises(InvalidCurveError, match=message):
            read(tmp_path / "scan.csv")
    assert main(["analyze", str(tmp_path / "scan.csv")]) == 2
    assert capsys.readouterr().err.startswith("lrscan: Expected ")


def test_a_column_that_is_named_is_not_looked_for_under_other_names(tmp_path: Path) -> None:
    (tmp_path / "scan.csv").write_text("lr,loss,train_loss\n1e-3,1,2\n")
    assert LRCurve.from_csv(tmp_path / "scan.csv", loss_column="train_loss").loss.tolist() == [2.0]
    with pytest.raises(InvalidCurveError, match=r"the columns 'lr' and 'val_loss'. .* without 'val_loss'"):
        LRCurve.from_csv(tmp_path / "scan.csv", loss_column="val_loss")
