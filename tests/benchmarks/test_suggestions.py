"""Tests the tables of the suggestions benchmark that compare a scan with other ways to a learning rate."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from keras_lrscan import LRCurve
from tests.support.benchmark_scripts import load

if TYPE_CHECKING:
    from collections.abc import Callable

held_out = load("suggestions/race_held_out")
alternatives = load("suggestions/alternatives")
batch_sizes = load("suggestions/batch_sizes")
variants = load("suggestions/scan_variants")
regret = load("suggestions/regret")
tasks = load("suggestions/tasks")

RECORDED = Path(regret.__file__).parent

LR = np.logspace(-6, 2, 25)


def bowl(best: float, *, width: float = 1.0) -> np.ndarray:
    """Returns validation losses that are lowest at 10**best, as a parabola on the log axis."""
    return ((np.log10(LR) - best) / width) ** 2


@pytest.mark.parametrize("by_val", [True, False])
@pytest.mark.parametrize("budget", held_out.BUDGETS)
def test_the_plans_of_a_budget_use_nearly_all_of_it_and_have_recorded_trainings(budget: int, *, by_val: bool) -> None:
    plans = held_out.plans_within(budget, by_val=by_val)
    assert len({str(plan) for plan in plans}) == len(plans) > 20
    for plan in plans:
        assert 0.9 * budget <= plan.cost <= budget
        assert plan.rounds[-1][0] <= held_out.LONGEST
        assert all(until % 10 == 0 for until, _ in plan.rounds)
        assert plan.penalizes_distance or not by_val


def test_the_shipped_plan_is_among_those_of_its_budget() -> None:
    shipped = held_out.PLANS["constant"][held_out.SHIPPED]
    assert str(shipped) in map(str, held_out.plans_within(280, by_val=True))
    assert held_out.in_words(shipped) == "at -0.5, -0.25, 0, 0.25 decades: 40 steps, 3 of them to 80"


def test_a_random_search_comes_closer_to_the_best_rate_with_more_trials() -> None:
    val = np.stack([bowl(-3.0)] * 3)
    measured = regret.Regret.from_sweep(LR, val, 25.0)
    few, many = (
        np.mean(alternatives.searched(LR, val, measured, trials, np.random.default_rng(0))) for trials in (1, 30)
    )
    assert many < 0.01 < few


def test_a_random_search_never_keeps_a_trial_that_diverged_if_another_did_not() -> None:
    val = np.where(LR > 1e-4, np.nan, 1.0)[None]
    measured = regret.Regret.from_sweep(LR, val, 2.0)
    found = alternatives.searched(LR, val, measured, 40, np.random.default_rng(0))
    assert max(found) < 0.5


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_exponent_of_the_batch_size_is_found_between_the_rates_of_the_grid(exponent: float) -> None:
    places = [-2.9 + exponent * math.log10(size / 8) for size in batch_sizes.SIZES]
    regrets = [regret.Regret.from_sweep(LR, bowl(place)[None], 100.0) for place in places]
    best = np.array([batch_sizes.best_place(one) for one in regrets])
    np.testing.assert_allclose(best, places, atol=1e-3)
    swept = batch_sizes.Swept(optimizer="SGD", family="", best=best, regrets=regrets)
    assert swept.exponent == pytest.approx(exponent, abs=1e-3)


def test_a_best_rate_at_an_end_of_the_grid_is_unknown() -> None:
    assert math.isnan(batch_sizes.best_place(regret.Regret.from_sweep(LR, bowl(5.0)[None], 1000.0)))


def test_a_validation_loss_belongs_to_the_last_update_before_it() -> None:
    curve = LRCurve(lr=np.logspace(-6, 0, 10), loss=np.ones(10), stop="end-lr")
    found = variants.validated(curve, np.arange(1.0, 51.0), 0.5)
    np.testing.assert_array_equal(found.lr, curve.lr[:: variants.EVERY])
    assert found.loss.tolist() == [0.5, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("file", "of_table", "sizes"),
    [("results.npz", tasks.all_tasks, (10, 21_000)), ("wide.npz", tasks.wide_tasks, (70_000, 1_300_000))],
)
def test_every_recorded_task_is_in_the_table_and_of_the_size_that_is_documented(
    file: str, of_table: Callable[[], list[object]], sizes: tuple[int, int]
) -> None:
    with np.load(RECORDED / file) as results:
        recorded = json.loads(str(results["tasks"]))
        assert results["scan_loss"].shape == (len(recorded), 5, 100)
        assert results["sweep_val"].shape == (len(recorded), 2, 3, 25)
    assert {task["name"] for task in recorded} <= {task.name for task in of_table()}  # type: ignore[attr-defined]
    assert all(sizes[0] <= task["num_trainable"] <= sizes[1] for task in recorded)
