"""Tests the data frames of curves and of experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import LRCurve, MissingDependencyError, analyze
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.experiments.contrast import Contrast
from keras_lrscan.experiments.layer_groups import GroupReading, LayerGroups
from keras_lrscan.experiments.race_result import Candidate, CandidateOutcome, RaceResult
from keras_lrscan.experiments.repeats import Repeats
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from keras_lrscan.experiments.result import Result

CURVE = synthetic_curve("u-shaped")
READING = analyze(CURVE)
GROUP = GroupReading(name="head", holds="", paths=("a",), num_params=1, analysis=READING)
RACERS = (
    Candidate(lr=0.1, losses=np.array([2.0, 1.0, 0.5]), score=0.5, outcome=CandidateOutcome.WON),
    Candidate(lr=1.0, losses=np.array([2.0, np.inf]), score=np.inf, outcome=CandidateOutcome.BROKE),
)


@pytest.fixture(name="pandas")
def _pandas() -> Any:
    return pytest.importorskip("pandas", exc_type=ImportError)


def test_a_curve_is_a_frame_with_a_row_per_batch(pandas: Any) -> None:
    curve = LRCurve(lr=[1e-3, 1e-2], loss=[2.0, np.nan], stop=StopReason.NON_FINITE)
    expected = pandas.DataFrame({"step": [0, 1], "lr": [1e-3, 1e-2], "loss": [2.0, np.nan]})
    pandas.testing.assert_frame_equal(curve.to_frame(), expected)


STACKED: dict[str, tuple[Result, str, list[str]]] = {
    "repeats": (Repeats(analyses=(READING, READING), num_planned=2), "scan", ["0", "1"]),
    "contrast": (Contrast(given=READING, scratch=READING), "weights", ["given", "scratch"]),
    "contrast after Ctrl-C": (Contrast(given=READING, scratch=None), "weights", ["given"]),
    "groups": (
        LayerGroups(together=READING, groups=(GROUP,), num_planned=1, optimizer="SGD"),
        "group",
        ["together", "head"],
    ),
}


@pytest.mark.parametrize(("result", "column", "names"), STACKED.values(), ids=STACKED)
def test_scans_are_stacked_and_named(pandas: Any, result: Result, column: str, names: list[str]) -> None:
    frame = result.to_frame()
    assert list(frame.columns) == ["step", column, "lr", "loss"]
    assert list(dict.fromkeys(frame[column].astype(str))) == names
    for _, part in frame.groupby(column):
        np.testing.assert_array_equal(part["step"], np.arange(len(CURVE)))
        np.testing.assert_array_equal(part["loss"], CURVE.loss)


def test_a_race_has_its_candidates_below_each_other(pandas: Any) -> None:
    result = RaceResult(
        suggestion=READING.suggestion,
        before=None,
        candidates=RACERS,
        role=Role.CONSTANT,
        judged_by="training loss",
        start_loss=2.0,
        num_steps=5,
    )
    frame = result.to_frame()
    assert list(frame.columns) == ["step", "lr", "outcome", "loss"]
    assert frame["lr"].tolist() == [0.1, 0.1, 0.1, 1.0, 1.0]
    assert frame["step"].tolist() == [0, 1, 2, 0, 1]
    assert frame["outcome"].tolist() == ["won"] * 3 + ["broke"] * 2


def test_without_pandas_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"`to_frame` needs pandas. .* pip install pandas"):
        CURVE.to_frame()
