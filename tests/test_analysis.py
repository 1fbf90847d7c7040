from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

import keras_lrscan
from keras_lrscan import Analysis, InvalidCurveError, InvalidOptionError, LRCurve, ScanContext, analyze, load
from keras_lrscan.analysis import CORRECTED_START
from keras_lrscan.curves.averaging import AVERAGES, UNKNOWN_AVERAGE
from keras_lrscan.curves.importers import from_lightning
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.reading.shapes import Shape
from tests.support.strategies import any_curves

if TYPE_CHECKING:
    from pathlib import Path


@given(any_curves())
def test_json_gives_back_the_same_analysis_of_any_curve(curve: LRCurve) -> None:
    analysis = analyze(curve, num_copies=5)
    text = json.dumps(analysis.to_dict(), allow_nan=False)
    again = Analysis.from_dict(json.loads(text))
    assert again.to_dict() == analysis.to_dict()
    assert again.landmarks == analysis.landmarks
    assert again.features == analysis.features
    assert again.verdict == analysis.verdict
    assert again.explain() == analysis.explain()


def test_a_saved_analysis_is_loaded_whole(tmp_path: Path) -> None:
    analysis = analyze(synthetic_curve("u-shaped"))
    analysis.save(tmp_path / "scan.json")
    again = load(tmp_path / "scan.json")
    assert again.suggestions == analysis.suggestions
    assert again.findings == analysis.findings
    assert again.version == keras_lrscan.__version__
    np.testing.assert_array_equal(again.smoothed.loss, analysis.smoothed.loss)


def test_the_five_figures_of_a_run_are_in_the_saved_file(tmp_path: Path) -> None:
    analyze(synthetic_curve("u-shaped")).save(tmp_path / "scan.json")
    saved = json.loads((tmp_path / "scan.json").read_text())
    figures = [saved["landmarks"][name]["lr"] for name in ("steepest", "minimum", "elbow")]
    figures += [saved["features"][name] for name in ("slope_mean", "slope_sd")]
    assert all(isinstance(figure, float) for figure in figures)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"format": 7, "curve": {}}, "Expected an analysis of format 1. Received: format=7"),
        ({"lr": [1], "loss": [1]}, r"Received: format=None, keys=\['loss', 'lr'\]. Analyze the curve again"),
        (
            {"format": 1, "curve": {"lr": [1], "loss": [1]}},
            r"Expected the field 'smoothed'. Received: keys=\['format', 'curve'\]",
        ),
    ],
)
def test_what_is_not_an_analysis_is_refused(tmp_path: Path, data: dict[str, object], message: str) -> None:
    (tmp_path / "scan.json").write_text(json.dumps(data))
    with pytest.raises(InvalidCurveError, match=message):
        load(tmp_path / "scan.json")


@pytest.mark.parametrize("loss", [[np.nan], [1.0], [np.nan, np.inf, 1.0], [2.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
def test_a_curve_too_short_to_read_is_a_verdict_and_no_error(loss: list[float]) -> None:
    analysis = analyze(LRCurve(lr=np.arange(1, len(loss) + 1) / 100, loss=loss))
    assert analysis.verdict.shape is Shape.TOO_SHORT
    assert analysis.verdict.confidence == (len(loss) / 30 if len(loss) >= 4 else 0.0)
    assert analysis.suggestion.lr is None
    assert analysis.explain()


SCALES = [1e100, 1e99, 1e30, 1e-30, 1e-90, 1e-99, 1e-150, 5e-324, 0.0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("smoother", ["adaptive", "ema"])
def test_a_curve_of_any_scale_is_read_saved_and_loaded(tmp_path: Path, scale: float, smoother: str) -> None:
    own = synthetic_curve("u-shaped", num_steps=60)
    loss = own.loss / own.loss.max() * scale
    for chance in (None, scale, 1e-300):
        curve = LRCurve(lr=own.lr, loss=np.append(loss[:-1], np.nan), context=ScanContext(chance_loss=chance))
        analysis = analyze(curve, smoother=smoother, num_copies=3)
        analysis.save(tmp_path / "scan.json")
        assert load(tmp_path / "scan.json").to_dict() == analysis.to_dict()
        assert analysis.explain(level="expert")


def test_the_scale_of_the_loss_does_not_change_the_shape() -> None:
    own = synthetic_curve("u-shaped")
    shapes = {analyze(LRCurve(lr=own.lr, loss=own.loss * scale)).verdict.shape for scale in (1e98, 1.0, 1e-90)}
    assert shapes == {Shape.U_SHAPED}


def test_losses_next_to_nothing_are_read_as_zero_and_kept_as_they_are() -> None:
    curve = LRCurve(lr=np.logspace(-6, 0, 60), loss=np.full(60, 1e-120))
    analysis = analyze(curve, num_copies=1)
    assert analysis.curve.loss[0] == 1e-120
    assert analysis.smoothed.loss[0] == 0.0


@pytest.mark.parametrize("low", [-100.0, 90.0])
def test_rates_at_the_ends_of_what_is_accepted_are_read(low: float) -> None:
    lr = np.geomspace(10.0**low, 10.0 ** (low + 8), 200)
    analysis = analyze(LRCurve(lr=lr, loss=synthetic_curve("still-falling").loss))
    assert analysis.suggestion.lr is not None
    assert analysis.suggestion.lr > 10.0**low
    assert Analysis.from_dict(json.loads(json.dumps(analysis.to_dict(), allow_nan=False))).explain()


@pytest.mark.parametrize("rates", [[1e-100, 1e90, 1e100], [2e-89, 3e-79, 3e-69, 3e62, 3e82], [1e-8, 1.0, 10.0]])
def test_few_points_over_many_decades_are_read_saved_and_loaded(tmp_path: Path, rates: list[float]) -> None:
    analysis = analyze(LRCurve(lr=rates, loss=[1.0] * (len(rates) - 1) + [np.nan]), num_copies=1)
    wall = analysis.suggest(method="wall").lr
    assert wall is not None
    assert wall > 0.01 * rates[0] * (rates[0] / rates[-2])
    analysis.save(tmp_path / "scan.json")
    assert load(tmp_path / "scan.json").to_dict() == analysis.to_dict()


@pytest.mark.parametrize("name", ["lightning", "keras-one-cycle"])
def test_a_valley_in_averages_that_start_too_low_or_too_high_is_a_valley(name: str) -> None:
    raw = synthetic_curve("u-shaped", noise=0.002)
    context = dataclasses.replace(raw.context, averaging=name)
    stored = dataclasses.replace(raw, loss=AVERAGES[name].apply(raw.loss), context=context)
    analysis, of_raw = analyze(stored), analyze(raw)
    assert analysis.verdict.shape == "u-shaped"
    assert analysis.landmarks.start is not None
    assert of_raw.landmarks.start is not None
    assert analysis.landmarks.start.loss == pytest.approx(of_raw.landmarks.start.loss, rel=0.05)
    assert analysis.curve.loss.tolist() == stored.loss.tolist()


def start_of(analysis: Analysis) -> float:
    assert analysis.landmarks.start is not None
    return analysis.landmarks.start.loss


def test_averages_in_a_picture_are_read_without_the_bias_that_their_start_shows() -> None:
    raw = synthetic_curve("u-shaped", noise=0.002)
    stored = AVERAGES["lightning"].apply(raw.loss)
    drawn, scanned = (
        analyze(LRCurve(lr=raw.lr, loss=stored, context=ScanContext(**origin)))
        for origin in ({"from_picture": True, "averaging": UNKNOWN_AVERAGE}, {"framework": "keras 3.15.1"})
    )
    level = float(np.median(raw.loss[:10]))
    assert start_of(drawn) == pytest.approx(level, rel=0.03)
    assert start_of(scanned) < 0.9 * level  # such a scan holds batch losses, which did begin that low
    assert CORRECTED_START in drawn.curve.context.notes
    assert CORRECTED_START not in scanned.curve.context.notes


@pytest.mark.parametrize("from_picture", [None, True])
def test_a_raw_start_that_really_is_low_stays_low(from_picture: bool | None) -> None:
    t, noise = np.arange(200), np.random.default_rng(3).standard_normal(200)
    loss = (2.3 - 1.15 * np.exp(-t / 5)) * (1 + 0.05 * noise)
    curve = LRCurve(lr=np.logspace(-7, 1, 200), loss=loss, context=ScanContext(from_picture=from_picture))
    assert start_of(analyze(curve)) < 1.8
    assert CORRECTED_START not in analyze(curve).curve.context.notes


@pytest.mark.parametrize("skip", [0, 10])
def test_averages_without_their_first_points_start_where_the_losses_do(skip: int) -> None:
    raw = synthetic_curve("flat-at-chance", noise=0.0)
    for name in ("lightning", "keras-one-cycle"):
        context = dataclasses.replace(raw.context, averaging=name)
        stored = dataclasses.replace(raw, loss=AVERAGES[name].apply(raw.loss), context=context)
        analysis = analyze(stored.trimmed(skip_start=skip))
        assert start_of(analysis) == pytest.approx(start_of(analyze(raw)), rel=0.02)
        assert analysis.verdict.shape == "flat-at-chance"


def test_averages_that_lightning_draws_from_the_second_point_on_start_where_the_losses_do() -> None:
    raw = synthetic_curve("flat-at-chance", noise=0.0)
    record = {"lr": raw.lr.tolist(), "loss": AVERAGES["lightning"].apply(raw.loss).tolist()}
    analysis = analyze(from_lightning(record, undo=False))
    assert start_of(analysis) == pytest.approx(start_of(analyze(raw)), rel=0.05)
    assert analysis.verdict.shape not in {"u-shaped", "still-falling"}


def test_a_reading_does_not_depend_on_chance() -> None:
    curve = synthetic_curve("u-shaped", noise=0.1)
    assert analyze(curve).to_dict() == analyze(curve).to_dict()


def test_fewer_copies_vote_when_asked_and_none_is_refused() -> None:
    curve = synthetic_curve("u-shaped")
    assert round(analyze(curve, num_copies=3).verdict.confidence * 3, 9) in {0, 1, 2, 3}
    with pytest.raises(InvalidOptionError, match="Argument `num_copies` must be an integer of at least 1"):
        analyze(curve, num_copies=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_copies": 1.5}, "Argument `num_copies` must be an integer of at least 1. Received: num_copies=1.5."),
        ({"num_copies": "3"}, "Argument `num_copies` must be an integer of at least 1. Received: num_copies='3'."),
        ({"smoother": "none"}, "Argument `smoother` must be one of 'adaptive', 'ema'. Received: smoother='none'."),
    ],
)
def test_an_error_names_the_argument_of_analyze(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError) as refused:
        analyze(synthetic_curve("u-shaped"), **options)
    assert str(refused.value) == message


@pytest.mark.parametrize("thing", [[1, 2], None, analyze(synthetic_curve("flat"), num_copies=1)])
def test_what_is_not_a_curve_is_not_analyzed(thing: Any) -> None:
    with pytest.raises(
        InvalidCurveError, match=r"Expected `curve` to be an `LRCurve`\. Received: .*the attribute `curve`"
    ):
        analyze(thing)


@pytest.mark.parametrize(("kind", "lr"), [("u-shaped", "0.02"), ("flat", "None")])
def test_an_analysis_prints_as_one_line(kind: str, lr: str) -> None:
    analysis = analyze(synthetic_curve(kind), num_copies=1)
    assert repr(analysis) == f"Analysis({kind}, lr={lr}, points={len(analysis.curve)})"
