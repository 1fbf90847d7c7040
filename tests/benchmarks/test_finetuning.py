"""Tests the benchmark of fine-tuning: what was recorded, how a recording becomes a row, and what the scores show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from keras_lrscan import LRCurve, ScanContext, StopReason, analyze
from tests.support import benchmark_scripts

tasks = benchmark_scripts.load("finetuning/tasks")
rows = benchmark_scripts.load("finetuning/rows")
scores = benchmark_scripts.load("finetuning/score")

RECORDED = rows.read(rows.RESULTS)
BY_NAME = {row["name"]: row for row in RECORDED}


def scan(loss: list[float], *, num_steps: int = 20, **facts: Any) -> dict[str, Any]:
    """Returns a recorded scan, which ended early if it has fewer losses than steps."""
    lr = np.geomspace(1e-7, 10, num_steps)[: len(loss)]
    stop = StopReason.END_LR if len(loss) == num_steps else StopReason.NON_FINITE
    context = ScanContext(start_lr=1e-7, end_lr=10.0, num_steps=num_steps, **facts)
    found: dict[str, Any] = LRCurve(lr=lr, loss=np.array(loss), stop=stop, context=context).to_dict()
    return found


def test_every_recorded_task_has_three_scans_and_two_seeds_for_each_role() -> None:
    for row in RECORDED:
        assert len(row["scans"]) == 3, row["name"]
        assert np.shape(row["sweep_val"]) == (2, 2, len(row["sweep_lr"])), row["name"]
        np.testing.assert_allclose(np.diff(np.log10(row["sweep_lr"])), 0.5, atol=1e-6)


def test_every_recorded_task_is_in_the_table_under_the_same_settings() -> None:
    table = {task.name: task for task in tasks.TASKS}
    for name, row in BY_NAME.items():
        assert {key: row[key] for key in vars(table[name])} == vars(table[name])


@pytest.mark.parametrize("setting", ["data", "trains", "optimizer", "batch_size"])
def test_the_table_and_the_recording_have_the_same_values_of_a_setting(setting: str) -> None:
    assert {row[setting] for row in RECORDED} == {getattr(task, setting) for task in tasks.TASKS}


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_scan_knows_what_is_frozen_and_how_it_was_fed(name: str) -> None:
    row = BY_NAME[name]
    for curve in rows.curves(row):
        context = curve.context
        assert context.batch_size == row["batch_size"]
        assert context.optimizer == row["optimizer"]
        assert bool(context.num_frozen_params) == (row["trains"] != "all" or "Net" in row["model"])
        assert context.shuffled is True


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_scan_of_every_task_is_read_and_explained(name: str) -> None:
    curve = rows.curves(BY_NAME[name])[0]
    assert analyze(curve, num_copies=4).explain()


def test_a_scan_is_cut_where_it_would_have_stopped_and_its_last_facts_go_with_the_rest() -> None:
    loss = [2.0] * 12 + [1.9, 1.5, 1.2, 4.0, 40.0, 400.0, 4000.0, 40000.0]
    stopped = rows.as_stopped(scan(loss, weight_change=9.0, num_layers=3))
    assert stopped.stop == StopReason.DIVERGED
    assert stopped.loss.tolist() == loss[: stopped.loss.size]
    assert stopped.context.weight_change is None
    assert stopped.context.num_layers == 3


def test_a_scan_that_would_not_have_stopped_keeps_everything() -> None:
    stopped = rows.as_stopped(scan([2.0] * 20, weight_change=9.0))
    assert stopped.loss.size == 20
    assert stopped.context.weight_change == 9.0


def test_a_scan_that_ended_in_nan_is_nan_to_its_end() -> None:
    lr, loss = rows.with_end(scan([2.0] * 11 + [math.nan]))
    assert lr.size == loss.size == 20
    assert np.isfinite(loss[:11]).all()
    assert np.isnan(loss[11:]).all()
    assert lr[-1] == pytest.approx(10.0)


def test_the_best_rate_is_that_of_the_lowest_median_and_a_failed_training_is_not_the_best() -> None:
    row = {"sweep_lr": [1e-4, 1e-3, 1e-2], "sweep_val": [[[2.0, 1.0, "nan"], [2.0, 1.2, 0.1]]] * 2, "start_val": 3.0}
    assert scores.best_lr(row, "constant") == 1e-3
    assert scores.regret_of(row, "one-cycle")(1e-3) == 0


def test_the_customary_rates_are_scored_beside_the_tools() -> None:
    suggested = scores.suggest((RECORDED[0], 0), copies=4)
    assert suggested["5e-5", "constant"].lr == 5e-5
    assert suggested["1e-3", "one-cycle"].lr == 1e-3
    assert ("ours: default", "constant") in suggested
    assert ("fastai valley", "constant") in suggested


def test_rates_that_are_all_ten_times_too_high_are_best_after_one_factor() -> None:
    some = [row for row in RECORDED if scores.regret_of(row, "constant") is not None][:3]
    found = [
        (at, {("ours: default", "constant"): scores.suggestions.Suggested(lr=10 * scores.best_lr(row, "constant"))})
        for at, row in enumerate(some)
    ]
    assert scores.best_of(some, found, "constant").max() < 1e-6


def test_several_scans_suggest_the_median_of_their_rates() -> None:
    rates = [1e-3, None, 1e-2]
    found = [
        {
            ("ours: default", role): scores.suggestions.Suggested(lr=lr, low=lr and lr / 2, high=lr and lr * 2)
            for role in rows.ROLES
        }
        for lr in rates
    ]
    together = scores.suggestions.together(found)
    assert together[scores.suggestions.TOGETHER, "constant"].lr == pytest.approx(10**-2.5)
    assert together[scores.suggestions.TOGETHER, "one-cycle"].high == pytest.approx(2 * 10**-2.5)
    assert scores.suggestions.together(found[:2])[scores.suggestions.TOGETHER, "constant"].lr is None
