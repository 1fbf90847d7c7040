"""Tests that a changed file of an analysis or a result is refused by the place that was changed."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan import Analysis, InvalidCurveError, LRCurve, ScanContext, analyze, load
from keras_lrscan.curves.importers import from_json
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.experiments.contrast import Contrast
from keras_lrscan.experiments.race_result import RaceResult
from keras_lrscan.experiments.repeats import Repeats
from keras_lrscan.files.decoding import decode
from keras_lrscan.probes.investigation import Investigation

if TYPE_CHECKING:
    from pathlib import Path

ANALYSIS = analyze(synthetic_curve("u-shaped", num_steps=60), num_copies=2)
GONE = object()


def plain(result: Any) -> Any:
    """Returns the content of a result's JSON file."""
    return json.loads(json.dumps(result.to_dict()))


SAVED = plain(ANALYSIS)


def changed(data: Any, place: str, value: Any) -> Any:
    """Returns the data with another value at a place such as `findings.0.status`, or without that place."""
    data = copy.deepcopy(data)
    *way, last = (int(part) if part.isdigit() else part for part in place.split("."))
    holder = data
    for part in way:
        holder = holder[part]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value
    return data


PLACES = [
    (
        "findings.0.status",
        "maybe",
        r"a value that this version knows at `findings\[0\].status`. Received: .*='maybe'. An",
    ),
    (
        "findings.0.likelihood",
        "high",
        r"a number at `findings\[0\].likelihood`. Received: findings\[0\].likelihood='high'",
    ),
    ("findings.0.likelihood", 1.5, r"a number of at most 1.0 at `findings\[0\].likelihood`. Received: .*=1.5"),
    ("findings.0.evidence", "x", r"a list at `findings\[0\].evidence`. Received: findings\[0\].evidence='x'"),
    ("findings.0.evidence.0", 3, r"a string at `findings\[0\].evidence\[0\]`. Received: .*=3"),
    ("findings.0.title", GONE, r"the field 'title' at `findings\[0\]`. Received: findings\[0\].keys=\['code', 'name'"),
    (
        "findings.0.color",
        "red",
        r"only fields of `Finding`, not 'color', which a newer version may have written, at `findings",
    ),
    ("landmarks.start.lr", -1.0, r"a number of at least 1e-305 at `landmarks.start.lr`. Received: .*=-1.0"),
    ("landmarks.start.lr", float("inf"), r"a number at `landmarks.start.lr`. Received: landmarks.start.lr='inf'"),
    ("landmarks.minimum.index", 60, r"landmarks within 54 points, including start and minimum. Received: indices=\["),
    ("landmarks.minimum", None, r"including start and minimum"),
    ("landmarks", [], r"a dictionary at `landmarks`. Received: landmarks=\[\]"),
    ("smoothed.loss.3", None, r"a number at `smoothed.loss\[3\]`. Received: smoothed.loss\[3\]=None"),
    ("smoothed.loss.3", "inf", r"finite numbers, and increasing rates .* Location: `smoothed`"),
    ("smoothed.loss.3", GONE, r"five arrays of the same length, and outliers within it. .* Location: `smoothed`"),
    ("smoothed.log10_lr.3", -99.0, r"increasing rates within 101 decades"),
    ("smoothed.outliers", [-1], r"an index at `smoothed.outliers\[0\]`. Received: smoothed.outliers\[0\]=-1"),
    ("smoothed.outliers", [99], r"outliers within it"),
    ("features.fall", 10**400, r"a number in the range of a float at `features.fall`. Received: features.fall=1000"),
    ("features.num_points", 3.5, r"an integer at `features.num_points`. Received: features.num_points=3.5"),
    ("features.stop", None, r"a string at `features.stop`. Received: features.stop=None"),
    (
        "verdict.shape",
        "flat",
        r"the code of the shape. Received: code='LRS101', shape='flat'. Location: `verdict`",
    ),
    ("verdict.traits", ["odd"], r"traits that this version knows. Received: \['odd'\]"),
    ("suggestions", [], r"one suggestion per method and role, the default first. Received: \[\]"),
    ("suggestions.3", GONE, r"one suggestion per method and role, the default first"),
    ("suggestions.0.lr", 0, r"at least 1e-305 at `suggestions\[0\].lr`. Received: suggestions\[0\].lr=0"),
    ("curve.lr.5", 1e-9, r"strictly increasing learning rates. .* Location: `curve`"),
    ("curve.loss.53", "nan", r"at most one smoothed loss per finite loss. Received: 54 smoothed, 53 finite"),
    ("curve.loss.5", "high", r"a number at `curve.loss\[5\]`. Received: curve.loss\[5\]='high'"),
    ("curve.loss.5", True, r"a number at `curve.loss\[5\]`. Received: curve.loss\[5\]=True"),
    ("curve.context.num_classes", 0, r"`num_classes` to be at least 1. .* Location: `curve.context`"),
    ("curve.context.batch_size", -3, r"`batch_size` to be at least 0. Received: batch_size=-3"),
    ("curve.context.end_lr", -3.0, r"`end_lr` to be at least 1e-100. Received: end_lr=-3.0"),
    ("curve.context.notes", ["\ud800"], r"valid Unicode text at `curve.context.notes\[0\]`"),
    ("curve.context.speed", 3, r"only fields of `ScanContext`, not 'speed', .* at `curve.context`"),
    ("curve.format", 2, r"format 1, the only one that this version reads, at `curve.format`. Received: curve.format=2"),
    ("curve", 3, r"a dictionary at `curve`. Received: curve=3"),
]


@pytest.mark.parametrize(("place", "value", "message"), PLACES)
def test_a_changed_analysis_is_refused_by_the_place_that_was_changed(place: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidCurveError, match=message):
        Analysis.from_dict(changed(SAVED, place, value))


def test_what_was_not_changed_is_read() -> None:
    assert plain(Analysis.from_dict(SAVED)) == plain(Analysis.from_dict(ANALYSIS.to_dict())) == SAVED


@pytest.mark.parametrize("kind", ["contrast", "repeats", "investigation"])
def test_results_of_experiments_name_the_place_as_well(kind: str) -> None:
    results: dict[str, tuple[Any, str]] = {
        "contrast": (Contrast(given=ANALYSIS, scratch=ANALYSIS), "scratch"),
        "repeats": (Repeats(analyses=(ANALYSIS, ANALYSIS), num_planned=2), "analyses.1"),
        "investigation": (Investigation(analysis=ANALYSIS, results=()), "analysis"),
    }
    result, place = results[kind]
    data = plain(result)
    assert plain(type(result).from_dict(data)) == data
    named = place.replace(".1", r"\[1\]")
    with pytest.raises(
        InvalidCurveError, match=rf"a string at `{named}.verdict.code`. Received: {named}.verdict.code=3"
    ):
        type(result).from_dict(changed(data, f"{place}.verdict.code", 3))
    with pytest.raises(InvalidCurveError, match=r"a list at `notes`. Received: notes='x'"):
        type(result).from_dict(changed(data, "notes", "x"))


def race(**changes: Any) -> dict[str, Any]:
    suggestion = SAVED["suggestions"][0]
    racer = {"lr": 0.1, "losses": [2.0, "inf"], "score": "inf", "outcome": "broke"}
    known = {"suggestion": suggestion, "before": None, "candidates": [racer], "role": "constant", "start_loss": "nan"}
    return {"format": 1, "kind": "race", **known, "judged_by": "training loss", "num_steps": 2, **changes}


def test_a_race_keeps_numbers_that_json_has_not() -> None:
    result = RaceResult.from_dict(race())
    assert result.candidates[0].score == float("inf")
    assert result.start_loss != result.start_loss
    assert result.to_dict()["candidates"][0]["losses"] == [2.0, "inf"]
    assert result.explain()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"judged_by": "eye"},
            r"`judged_by` must be one of 'validation loss', 'training loss'. Received: judged_by='eye'",
        ),
        ({"start_loss": "low"}, r"a number at `start_loss`. Received: start_loss='low'"),
        ({"candidates": [{"lr": 0}]}, r"at least 1e-305 at `candidates\[0\].lr`"),
        ({"num_steps": -1}, r"an integer of at least 0 at `num_steps`. Received: num_steps=-1"),
        ({"role": "pilot"}, r"a value that this version knows at `role`"),
    ],
)
def test_a_changed_race_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidCurveError, match=message):
        RaceResult.from_dict(race(**changes))


def test_repeats_of_no_scan_are_refused() -> None:
    with pytest.raises(InvalidCurveError, match="at least one scan"):
        Repeats.from_dict({"format": 1, "kind": "repeats", "analyses": [], "num_planned": 2})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"lr": ' + "[" * 900 + "]" * 900 + ', "loss": [1], "format": 1}', "Expected "),
        ("9" * 5000, r"which is not JSON \(Exceeds the limit"),
        ('{"lr": [0.1], "loss": [%s]}' % ("9" * 400), "`loss` to be a sequence of numbers"),
        (
            '{"lr": [0.1], "loss": [%s], "format": 1}' % ("9" * 400),
            r"at `loss\[0\]`. Received: loss\[0\]=9999",
        ),
        ('{"lr": "0.1", "loss": [1]}', "`lr` to be a sequence of numbers. Received: lr='0.1'"),
        ('{"lr": 0.1, "loss": [1]}', "`lr` to be a sequence of numbers. Received: lr=0.1"),
        ('{"lr": {"a": 1}, "loss": [1]}', "`lr` to be a sequence of numbers. Received: lr={'a': 1}"),
        ('{"lr": [0.1], "loss": [true]}', r"`loss` to be a sequence of numbers. Received: loss=\[True\]"),
        ('{"lr": [0.1], "loss": [1], "stop": []}', r"`stop` to be one of .* Received: stop=\[\]"),
        (
            '{"lr": [0.1], "loss": [1], "context": []}',
            r"a dictionary at `context`. Received: context=\[\]",
        ),
        ("null", "a JSON object. Received: path=.* contains null"),
        ("", "which is not JSON"),
    ],
)
def test_json_that_holds_no_curve_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scan.json").write_text(text)
    with pytest.raises(InvalidCurveError, match=message):
        from_json(tmp_path / "scan.json")
    with pytest.raises(InvalidCurveError):
        load(tmp_path / "scan.json")


def test_other_tools_may_write_numbers_that_json_has_not(tmp_path: Path) -> None:
    (tmp_path / "scan.json").write_text('{"lr": [0.1, 0.2, 0.3], "loss": [1.0, Infinity, NaN], "format": 1}')
    assert from_json(tmp_path / "scan.json").to_dict()["loss"] == [1.0, "inf", "nan"]


def test_data_that_hold_themselves_are_refused() -> None:
    data: dict[str, Any] = {"notes": []}
    data["notes"].append(data["notes"])
    with pytest.raises(InvalidCurveError, match=r"nested too deeply\. Again"):
        decode(ScanContext, data, again="Again.")


@pytest.mark.parametrize("data", [None, 3, [1], "x", [10**5000]])
@pytest.mark.parametrize("kind", [Analysis, LRCurve, ScanContext, Contrast, Investigation])
def test_what_is_no_object_is_refused(kind: Any, data: object) -> None:
    with pytest.raises(InvalidCurveError, match=r"a dictionary, as `to_dict` returns. Received: "):
        kind.from_dict(data)


def test_numbers_that_python_does_not_print_are_refused_like_others() -> None:
    with pytest.raises(
        InvalidCurveError, match=r"a sequence of numbers. Received: loss=a value of type list that cannot"
    ):
        LRCurve(lr=[0.1], loss=[10**5000])
    with pytest.raises(
        InvalidCurveError, match=r"at `features.fall`. Received: features.fall=a value of type int that"
    ):
        Analysis.from_dict(changed(SAVED, "features.fall", 10**5000))


def test_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidCurveError, match="only strings as keys"):
        LRCurve.from_dict({"lr": [0.1], "loss": [1.0], "context": {1: 2}})
