"""Tests the benchmark of suggestions: the suggestions of other tools, and the regret of a rate."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.support.benchmark_scripts import load

RATES = np.logspace(-7, 1, 101)[1:]
"""Rates of 100 updates."""

DECADES = np.log10(RATES)


peers = load("suggestions/peers")
regret = load("suggestions/regret")


def curve(*, noise: float = 0.0, seed: int = 0) -> Any:
    """Returns a fall around 10^-2.2 and a rise from 10^-0.3 on."""
    fall = 2.3 - 1.8 / (1 + np.exp(-(DECADES + 2.2) * 4))
    rise = np.where(DECADES > -0.3, np.expm1(np.maximum(0, 3 * (DECADES + 0.3))), 0)
    return fall + rise + noise * np.random.default_rng(seed).normal(size=100)


@pytest.mark.parametrize("module", [peers, regret])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    found = doctest.testmod(module)
    assert (found.failed, found.attempted > 0) == (0, True)


def test_the_rules_agree_with_figures_from_an_independent_implementation() -> None:
    """Compares medians over ten noisy curves of nearly this form, including faults. A step is 0.08 decades."""
    expected = {
        "fastai steep": (-1.80, -1.32),
        "fastai slide": (-1.80, -1.56),
        "fastai minimum/10": (-1.4, -1.0),
        "Lightning < 2.5.3": (-1.60, -1.20),
    }
    for name, (low, high) in expected.items():
        found = [float(np.log10(peers.PEERS[name](RATES, curve(noise=0.05, seed=seed)))) for seed in range(10)]
        assert low - 0.2 <= np.median(found) <= high + 0.2, (name, found)


def test_a_slope_per_unit_of_the_rate_takes_noise_at_the_left_end_for_the_steepest_fall() -> None:
    curves = [curve(noise=0.05, seed=seed) for seed in range(10)]
    per_point, per_rate = (
        np.median([np.log10(peers.PEERS[name](RATES, loss)) for loss in curves])
        for name in ("Lightning < 2.5.3", "Lightning >= 2.5.3")
    )
    assert per_rate < per_point - 2


def test_a_lagging_average_moves_the_steepest_fall_to_the_right() -> None:
    assert -1.8 < np.log10(peers.PEERS["fastai steep"](RATES, curve())) < -1.2
    assert np.log10(RATES[np.argmin(np.gradient(curve()))]) == pytest.approx(-2.2, abs=0.05)


def test_ktrain_reads_its_slopes_32_points_too_far_left() -> None:
    smooth = peers.ema(peers.running_mean(curve()), 0.98)
    right = int(np.argmin(np.gradient(smooth[32 : np.argmin(smooth)])))
    assert peers.PEERS["ktrain gradient"](RATES, curve()) == RATES[right]
    assert right + 32 < 100


def test_lightning_takes_the_first_loss_for_half_of_it() -> None:
    assert peers.ema(np.array([2.0]), 0.98, ahead=1)[0] == pytest.approx(1.0101, abs=1e-4)


def test_a_rising_curve_gets_the_largest_rate_from_the_valley_rule() -> None:
    rising = np.concatenate([[1.0, 0.9], np.linspace(1.1, 3, 98)])
    assert peers.longest_valley(RATES, rising) == RATES[-1]


def test_a_negative_loss_stops_tools_that_take_four_times_the_best() -> None:
    assert all(
        peers.PEERS[name](RATES, curve() - 10) is None for name in ("fastai valley", "torch-lr-finder", "fastai slide")
    )


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_no_tool_raises_on_a_scan_that_breaks_early_or_ends_in_nan(name: str) -> None:
    broken = curve()
    broken[80:] = np.nan
    for loss in (broken, np.full(100, np.nan), np.geomspace(1, 1e30, 100), np.ones(100)):
        rate = peers.PEERS[name](RATES, loss)
        assert rate is None or 1e-9 <= rate <= 10


def test_an_early_end_leaves_tools_without_enough_points() -> None:
    assert peers.PEERS["fastai slide"](RATES, np.geomspace(1, 1e30, 100)) is None
    assert peers.PEERS["torch-lr-finder"](RATES, np.geomspace(1, 1e30, 100)) is None


GRID = np.logspace(-6, 1, 22)
losses = arrays(float, (3, 22), elements=st.floats(0.1, 10))


@given(losses, st.floats(0.1, 100), st.floats(-50, 50))
def test_the_unit_and_the_zero_of_the_loss_leave_regret_alone(val: Any, scale: float, shift: float) -> None:
    first = regret.Regret.from_sweep(GRID, val, 11.0)
    second = regret.Regret.from_sweep(GRID, val * scale + shift, 11.0 * scale + shift)
    np.testing.assert_allclose(first.values, second.values, atol=1e-6)


@given(losses)
def test_the_best_rate_of_the_grid_has_no_regret_and_none_has_more_than_one(val: Any) -> None:
    found = regret.Regret.from_sweep(GRID, val, 11.0)
    assert found(float(GRID[np.argmin(np.median(val, axis=0))])) == 0
    assert found.values.max() <= 1


@given(losses, st.floats(1e-8, 100), st.floats(1, 100))
def test_a_range_holds_a_rate_no_worse_than_any_in_it(val: Any, low: float, factor: float) -> None:
    found = regret.Regret.from_sweep(GRID, val, 11.0)
    inside = min(found(float(rate)) for rate in np.geomspace(low, low * factor, 50))
    assert found.lowest(low, low * factor) <= inside + 1e-9


def test_a_rate_between_two_of_the_grid_gets_the_mean_by_log_rate() -> None:
    found = regret.Regret.from_sweep(np.array([1e-4, 1e-2]), np.array([[1.0, 2.0]] * 3), 3.0)
    assert found(1e-3) == pytest.approx(0.25)


def test_training_that_fails_for_most_seeds_has_full_regret_and_for_one_seed_none() -> None:
    val = np.array([[1.0, np.nan, np.nan], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0]])
    assert regret.Regret.from_sweep(GRID[:3], val, 2.0).values.tolist() == [0, 1, 0]


def test_beyond_the_grid_the_end_counts() -> None:
    found = regret.Regret.from_sweep(GRID[:3], np.array([[2.0, 1.0, 1.5]] * 3), 3.0)
    assert (found(1e-12), found(1e3)) == (found.values[0], found.values[-1])


def test_a_task_that_no_rate_improves_has_no_regret() -> None:
    assert regret.Regret.from_sweep(GRID[:3], np.full((3, 3), 2.0), 2.0) is None
