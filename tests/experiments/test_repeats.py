"""Tests the summary of several scans of one model."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.experiments.repeats import Repeats, repeat_scans
from keras_lrscan.recording.trials import Trials
from tests.support.hosts import compiled, digits, lent, light, same_bits, state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATES = np.logspace(-6, 0, 80)
X = np.log10(RATES)
CLASSES = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10)


@functools.cache
def valley(*, at: float = -2.0, length: int = 80) -> Analysis:
    """Analyzes a curve with its minimum at `10 ** at`."""
    noise = 0.01 * np.random.default_rng(0).normal(size=RATES.size)
    loss = 2.3 - np.exp(-((X - at) ** 2)) + 10.0 ** (3 * (X - at - 1)) + noise
    return analyze(LRCurve(lr=RATES[:length], loss=loss[:length], stop="diverged", context=CLASSES))


@functools.cache
def flat() -> Analysis:
    """Analyzes a flat curve."""
    return analyze(synthetic_curve("flat"))


def repeats(*analyses: Analysis, planned: int | None = None) -> Repeats:
    return Repeats(analyses=analyses, num_planned=planned or len(analyses))


def test_the_spread_of_a_landmark_is_that_of_its_log_rates() -> None:
    found = repeats(*(valley(at=at) for at in (-2.4, -2.0, -1.6)))
    spread = {item.name: item for item in found.spreads}["minimum"]
    assert spread.num_found == 3
    assert spread.decades == pytest.approx(0.4, abs=0.05)
    assert (spread.low or 0) < (spread.median or 0) < (spread.high or 0)
    assert "Single scans suggest learning rates from" in " ".join(found.explain().split())


def test_scans_that_agree_are_said_to_agree() -> None:
    found = repeats(*[valley()] * 4)
    assert (found.shape, found.agreement) == ("u-shaped", 1.0)
    assert found.confidence == pytest.approx(5 / 6)
    single = valley().suggestion
    assert found.suggestion.lr == pytest.approx(single.lr)
    assert (found.suggestion.low, found.suggestion.high) == pytest.approx((single.low, single.high))
    assert "do not agree" not in found.explain()


def test_scans_of_the_same_batches_are_not_said_to_agree() -> None:
    copies = repeats(*[valley()] * 3).explain()
    assert "All scans used the same batches in the same order" in " ".join(copies.split())
    assert "probability that one more scan" not in copies


def test_scans_that_disagree_are_said_to_disagree() -> None:
    found = repeats(valley(), valley(at=-2.2), flat())
    assert found.shape == "u-shaped"
    assert found.agreement == pytest.approx(2 / 3)
    assert found.confidence == pytest.approx(3 / 5)
    assert "do not agree on the shape" in " ".join(found.explain().split())


def test_a_rate_that_most_scans_do_not_warrant_is_not_suggested() -> None:
    found = repeats(valley(), flat(), flat())
    assert found.suggestion.lr is None
    assert "only 1 of 3 scans" in found.explain()


@pytest.mark.parametrize("length", [60, 79])
def test_a_scan_that_ended_lies_above_the_others(length: int) -> None:
    found = repeats(valley(), valley(), valley(length=length))
    assert np.isfinite(found.median).all()
    top = found.band[1]
    assert np.isfinite(top[: length - 1]).all()
    assert np.isnan(top[length:]).all()
    assert (found.band[0] <= found.median + 1e-12).all()


def test_the_median_of_one_curve_is_its_smooth_line() -> None:
    found = repeats(valley(), valley())
    np.testing.assert_allclose(found.median, found.analyses[0].smoothed.loss)


def test_repeats_survive_a_file_and_say_what_is_missing(tmp_path: Path) -> None:
    kept = repeats(valley(), valley(at=-1.8), planned=5)
    kept.save(tmp_path / "repeats.json")
    assert Repeats.load(tmp_path / "repeats.json").explain() == kept.explain()
    assert "5 scans were requested, and 2 finished." in kept.explain()
    assert repr(kept).startswith("Repeats(analyses=(Analysis(u-shaped, lr=")
    assert "array" not in repr(kept)


def test_a_single_finished_scan_is_not_called_a_repetition() -> None:
    text = repeats(valley(), planned=5).explain()
    assert text.startswith("1 scan: ")
    assert "This is the suggestion of the only scan that finished." in " ".join(text.split())
    assert "1 scans" not in text


def test_the_picture_has_every_scan_and_their_middle() -> None:
    pytest.importorskip("matplotlib")
    labels = repeats(valley(), valley(at=-1.8)).plot().get_legend_handles_labels()[1]
    assert {"each scan, smoothed", "eight in ten scans", "median"} <= set(labels)


OPTIONS: dict[str, Any] = {"start_lr": 1e-4, "end_lr": 1e-1, "num_steps": 16, "verbose": 0}


@pytest.mark.keras
@pytest.mark.parametrize("fresh_weights", [pytest.param(False, marks=pytest.mark.one_backend), True])
def test_each_scan_sees_other_batches_and_the_model_is_as_it_was(keras: Any, fresh_weights: bool) -> None:
    model = compiled(keras)
    model.train_on_batch(*digits(32))
    before = state(model)
    found = repeat_scans(model, *digits(), num_scans=2, fresh_weights=fresh_weights, **OPTIONS)
    assert same_bits(before, state(model))
    losses = [tuple(analysis.curve.loss) for analysis in found.analyses]
    assert len(set(losses)) == len(losses) == 2
    iterations = {analysis.curve.context.optimizer_iterations for analysis in found.analyses}
    assert iterations == ({0} if fresh_weights else {1})


@pytest.mark.one_host
@pytest.mark.keras
def test_a_generator_that_runs_out_ends_the_repeats(keras: Any) -> None:
    def generated() -> Iterator[Any]:
        x, y = digits(20 * 40)
        for at in range(0, len(x), 20):
            yield x[at : at + 20], y[at : at + 20]

    found = repeat_scans(lent(keras), generated(), num_scans=4, **OPTIONS)
    assert (len(found.analyses), found.num_planned) == (2, 4)


@pytest.mark.one_host
@pytest.mark.keras
def test_ctrl_c_keeps_the_scans_that_were_finished(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = light(keras)
    model.train_on_batch(*digits(32))
    before, scan = state(model), Trials.scan

    def interrupted(trials: Trials, **options: Any) -> Any:
        press = functools.partial(signal.raise_signal, signal.SIGINT)
        return scan(trials, **options, after_step=press if trials.finished == 2 else None)

    monkeypatch.setattr(Trials, "scan", interrupted)
    found = repeat_scans(model, *digits(), num_scans=4, **OPTIONS)
    assert (len(found.analyses), found.num_planned) == (2, 4)
    assert same_bits(before, state(model))


@pytest.mark.parametrize(
    "options", [{"num_scans": 1}, {"num_scans": "5"}, {"num_scans": 2.5}, {"scratch": lambda: None}]
)
def test_options_that_make_no_repeats_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        repeat_scans(None, None, **options)
