from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from keras_lrscan import CurveTooShortError, InvalidCurveError, InvalidOptionError, LRCurve, ScanContext, StopReason
from keras_lrscan.datasets.synthetic import synthetic_curve
from tests.support.strategies import any_curves

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"lr": [1e-4, 1e-3, 1e-2], "loss": [2.3, 1.9, 7.5]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": [1e-4, float("nan"), 1e-2]}, r"every learning rate to be finite and positive. Received: lr\[1\]=nan"),
        ({"lr": [0.0, 1e-3, 1e-2]}, r"finite and positive. Received: lr\[0\]=0.0"),
        ({"lr": [-1e-4, 1e-3, 1e-2]}, r"finite and positive. Received: lr\[0\]=-0.0001"),
        (
            {"lr": [-4.0, -3.0, 1.0]},
            r"positive learning rates. Received: rates from -4.0 to 1.0, which look like log10 of",
        ),
        ({"lr": [1e-200, 1e-3, 1e-2]}, r"at least 1e-100. Received: lr\[0\]=1e-200"),
        ({"lr": [1e-4, 1e-3, 1e200]}, r"`lr` to be within ±1e\+100. Received: lr\[2\]=1e\+200"),
        ({"lr": [1e-5, np.nextafter(1e-5, 1), 1.0]}, r"strictly increasing learning rates"),
        ({"loss": [1.0, -1e101, 2.0]}, r"`loss` to be within ±1e\+100. Received: loss\[1\]=-1e\+101"),
        ({"loss": [1.0, 10**400, 2.0]}, r"`loss` to be a sequence of numbers. Received: loss=\[1.0, 1000"),
        ({"loss": [1.0, np.longdouble("1e400"), 2.0]}, r"`loss` to be within ±1e\+100. Received: loss\[1\]=inf"),
        ({"loss": [1.0, 2j, 3.0]}, r"Received: loss=\[1.0, 2j, 3.0\]. Pass real numbers in the range of a float"),
        ({"loss": [True, False, True]}, r"Received: loss=\[True, False, True\]"),
        ({"loss": [1.0, None, 3.0]}, r"Received: loss=\[1.0, None, 3.0\]"),
        ({"loss": ["1.0", "2.0", "nan"]}, r"Received: loss=\['1.0', '2.0', 'nan'\]"),
        (
            {"lr": [1e-4, 1e-2, 1e-3]},
            r"strictly increasing learning rates. Received: lr\[1\]=0.01, lr\[2\]=0.001. Sort the points",
        ),
        (
            {"lr": [1e-4, 1e-4, 1e-3]},
            r"strictly increasing learning rates. Received: lr\[0\]=0.0001, lr\[1\]=0.0001. Average",
        ),
        ({"lr": [1e-4, 1e-3]}, r"the same length. Received: len\(lr\)=2, len\(loss\)=3"),
        ({"lr": [[1e-4, 1e-3, 1e-2]]}, r"`lr` to be one-dimensional. Received: lr.shape=\(1, 3\)"),
        ({"loss": ["a", "b", "c"]}, r"`loss` to be a sequence of numbers. Received: loss="),
        ({"stop": "bored"}, r"`stop` to be one of 'diverged', .* Received: stop='bored'"),
    ],
)
def test_a_curve_that_makes_no_sense_says_what_was_expected(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {**GOOD, **change}
    with pytest.raises(InvalidCurveError, match=message):
        LRCurve(**arguments)  # type: ignore[arg-type]


def test_a_curve_without_points_is_too_short() -> None:
    with pytest.raises(CurveTooShortError, match=r"at least one point. Received: len\(lr\)=0"):
        LRCurve(lr=[], loss=[])


def test_a_curve_cannot_be_changed_and_does_not_alias_its_input() -> None:
    lr = np.array([1e-4, 1e-3])
    curve = LRCurve(lr=lr, loss=[1.0, 2.0])
    lr[0] = 7.0
    assert curve.lr[0] == 1e-4
    with pytest.raises(ValueError, match="read-only"):
        curve.loss[0] = 0.0


@given(any_curves())
def test_json_gives_back_the_same_curve(curve: LRCurve) -> None:
    text = json.dumps(curve.to_dict(), allow_nan=False)
    again = LRCurve.from_dict(json.loads(text))
    np.testing.assert_array_equal(again.lr, curve.lr)
    np.testing.assert_array_equal(again.loss, curve.loss)
    assert (again.stop, again.context) == (curve.stop, curve.context)


def test_json_files_keep_the_context(tmp_path: Path) -> None:
    context = ScanContext(optimizer="Adam", num_classes=10, notes=("shuffled",))
    LRCurve(lr=[0.1], loss=[float("nan")], stop="non-finite", context=context).to_json(tmp_path / "scan.json")
    again = LRCurve.from_json(tmp_path / "scan.json")
    assert again.context == context
    assert again.stop is StopReason.NON_FINITE
    assert np.isnan(again.loss[0])


def test_csv_files_keep_every_digit(tmp_path: Path) -> None:
    curve = LRCurve(lr=[1 / 3e5, 1 / 3], loss=[np.pi, np.inf])
    curve.to_csv(tmp_path / "scan.csv")
    again = LRCurve.from_csv(tmp_path / "scan.csv")
    np.testing.assert_array_equal(again.lr, curve.lr)
    np.testing.assert_array_equal(again.loss, curve.loss)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rate,loss\n1e-4,2\n",
            r"columns 'lr' and 'loss'. Received: columns=\['rate', 'loss'\], without 'lr'. Rename",
        ),
        ("", "Received: an empty file"),
        ("lr,loss\n1e-4,2\n1e-3,high\n", r"a number in column 'loss'. Received: 'high' on line 3"),
        ("lr,loss\n1e-4\n", r"rows with a learning rate and a loss. Received: 1 rows, each lacking one of them"),
        ("lr,loss\n", r"at least one point"),
    ],
)
def test_a_csv_file_that_is_no_curve_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scan.csv").write_text(text)
    with pytest.raises(InvalidCurveError, match=message):
        LRCurve.from_csv(tmp_path / "scan.csv")


def test_csv_columns_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "scan.csv").write_text("\ufeffstep,rate,batch\n0,1e-4,2\n1,1e-3,1.5\n", encoding="utf-8")
    curve = LRCurve.from_csv(tmp_path / "scan.csv", lr_column="rate", loss_column="batch")
    assert curve.loss.tolist() == [2.0, 1.5]


def test_points_left_out_at_either_end_are_counted_in_a_note() -> None:
    curve = synthetic_curve("u-shaped", num_steps=100)
    kept = curve.trimmed(skip_start=10, skip_end=5)
    np.testing.assert_array_equal(kept.lr, curve.lr[10:-5])
    np.testing.assert_array_equal(kept.loss, curve.loss[10:-5])
    assert kept.context.notes[-1] == "Points left out by request: 10 at the lowest rates, 5 at the highest."
    assert kept.stop is StopReason.UNKNOWN


def test_the_reason_for_the_end_stays_with_the_end() -> None:
    curve = synthetic_curve("u-shaped", num_steps=100)
    assert curve.trimmed(skip_start=10).stop is curve.stop is StopReason.DIVERGED
    assert curve.trimmed() is curve


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"skip_start": -1},
            InvalidOptionError,
            r"`skip_start` must be an integer of .* Received: skip_start=-1",
        ),
        ({"skip_end": 1.5}, InvalidOptionError, r"`skip_end` must be an integer of at least 0. Received: skip_end=1.5"),
        ({"skip_end": True}, InvalidOptionError, r"Received: skip_end=True"),
        (
            {"skip_start": 1, "skip_end": 1},
            CurveTooShortError,
            r"of 2 points, skip_start=1, skip_end=1",
        ),
    ],
)
def test_points_that_cannot_be_left_out_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        LRCurve(lr=[1e-3, 1e-2], loss=[2.0, 1.0]).trimmed(**options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr,loss", "Expected a JSON file"),
        ("[1, 2]", "Expected a JSON object. Received: .*contains a list"),
        ('{"lr": [1]}', r"Expected the keys 'lr' and 'loss'. Received: keys=\['lr'\]"),
        ('{"format": 99, "lr": [1], "loss": [1]}', "Expected format 1. Received: format=99"),
        (
            '{"lr": [1], "loss": [1], "context": {"speed": 3}}',
            r"not 'speed', .* at `context`. Received: context.keys=",
        ),
    ],
)
def test_a_json_file_that_is_no_curve_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scan.json").write_text(text)
    with pytest.raises(InvalidCurveError, match=message):
        LRCurve.from_json(tmp_path / "scan.json")
