"""Tests that divergence is detected from the noise and the level of the curve itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan.recording.divergence_watch import DivergenceWatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 100
Curve = "NDArray[np.float64]"


def stop_at(losses: NDArray[np.float64]) -> int | None:
    watch = DivergenceWatch(len(losses))
    for step, loss in enumerate(losses):
        watch.add(float(loss))
        if watch.diverged:
            return step
    return None


def noise(scale: float, seed: int = 0) -> NDArray[np.float64]:
    return scale * np.random.default_rng(seed).normal(size=STEPS)


def valley(start: float = 2.3, bottom: float = 0.3, plateau: float = 2.3) -> NDArray[np.float64]:
    position = np.linspace(0.0, 1.0, STEPS)
    fall = (start - bottom) / (1 + np.exp(-30 * (position - 0.4)))
    rise = (plateau - bottom) / (1 + np.exp(-40 * (position - 0.75)))
    return start - fall + rise


def explosion(base: NDArray[np.float64], onset: int, factor: float = 1.5, size: float = 0.1) -> NDArray[np.float64]:
    steps = np.arange(STEPS)
    return base + np.where(steps >= onset, size * factor ** np.clip(steps - onset, 0, None), 0.0)


RISES = {
    "from scratch": explosion(valley() + noise(0.05), 80),
    "near zero": explosion(np.abs(noise(1e-4)), 60, size=1e-4),
    "negative": explosion(-5.0 + noise(0.1), 60),
    "already good": explosion(0.05 + np.abs(noise(0.03)), 60, size=0.02),
    "with a bounded top": np.minimum(explosion(2.3 + noise(0.05), 60), 16.118),
    "a huge level": explosion(7000 + noise(10.0), 60, size=30.0),
    "a thousand classes, bounded": np.minimum(explosion(6.9 + noise(0.05), 60), 16.118),
}


def hump(height: float, center: int, width: int) -> NDArray[np.float64]:
    """Returns a rise of `height` that is `width` steps wide at half of its height."""
    return height * np.exp2(-(((np.arange(STEPS) - center) / (width / 2)) ** 2))


HUMPS = {
    "half the start": hump(1.15, 25, 12),
    "twice the start": hump(2.3, 22, 15),
    "five times the start": hump(9.2, 20, 8),
    "at the very beginning": hump(2.3, 8, 12),
    "quick up, slow down": np.where(np.arange(STEPS) < 20, hump(4.0, 20, 3), hump(4.0, 20, 24)),
}
"""Early rises that settle, followed by a valley and an explosion."""
HUMP_SCANS = {
    "from scratch": explosion(valley() + noise(0.05), 80),
    "noisy": explosion(valley() + noise(0.2), 80),
    "negative": explosion(valley() - 7.0 + noise(0.05), 80),
    "near zero": 1e-4 * explosion(valley() + noise(0.05), 80),
}
CALM = {
    "a valley that returns to chance": valley() + noise(0.05),
    "a valley that returns a little above chance": valley(plateau=2.6) + noise(0.08),
    "flat": 2.3 + noise(0.1),
    "flat and constant": np.full(STEPS, 0.7),
    "zero": np.zeros(STEPS),
    "still falling": np.linspace(2.3, 0.2, STEPS) + noise(0.05),
    "falling below zero": np.linspace(1.0, -4.0, STEPS) + noise(0.1),
    "noise around zero": noise(1e-3),
    "a slow upward drift": np.linspace(4.6, 4.9, STEPS) + noise(0.02),
}


@pytest.mark.parametrize("name", RISES)
def test_a_loss_that_explodes_stops_the_scan_soon(name: str) -> None:
    losses = RISES[name]
    step = stop_at(losses)
    assert step is not None
    assert losses[step] > losses[:10].max(), "enough of the rise is on record"
    assert step < STEPS - 5


@pytest.mark.parametrize("name", CALM)
def test_a_loss_that_does_not_explode_runs_to_the_end(name: str) -> None:
    assert stop_at(CALM[name]) is None


def test_single_bad_batches_do_not_stop_a_scan() -> None:
    losses = valley() + noise(0.05)
    losses[[20, 45, 60, 63]] = 50.0
    assert stop_at(losses) is None


@given(st.floats(1e-3, 1e3), st.sampled_from(sorted(RISES)))
def test_the_unit_of_the_loss_does_not_matter(scale: float, name: str) -> None:
    assert stop_at(scale * RISES[name]) == stop_at(RISES[name])


@pytest.mark.parametrize("place", HUMP_SCANS)
@pytest.mark.parametrize("name", HUMPS)
def test_an_early_hump_does_not_hide_the_valley_after_it(name: str, place: str) -> None:
    unit = 1e-4 if place == "near zero" else 1.0
    step = stop_at(HUMP_SCANS[place] + unit * HUMPS[name])
    assert step is not None
    assert 80 < step < STEPS - 5


def test_a_late_hump_is_taken_for_an_explosion_at_once() -> None:
    step = stop_at(2.3 + noise(0.05) + hump(4.0, 60, 12))
    assert step is not None
    assert 54 < step < 60


@pytest.mark.parametrize("onset", [12, 20, 30])
def test_an_early_explosion_stops_the_scan_almost_as_soon_as_a_late_one(onset: int) -> None:
    base = 2.3 + noise(0.05)
    late, early = (stop_at(explosion(base, at)) for at in (60, onset))
    assert late is not None
    assert early is not None
    assert early - onset <= late - 60 + 4


@pytest.mark.parametrize("top", [4.6, 9.2])
def test_an_early_rise_that_does_not_settle_stops_the_scan_after_a_while(top: float) -> None:
    step = stop_at(np.minimum(explosion(2.3 + noise(0.05), 20), top))
    assert step is not None
    assert 35 <= step <= 45


@given(st.floats(1e-3, 1e3), st.sampled_from(sorted(HUMPS)), st.sampled_from(sorted(HUMP_SCANS)))
def test_the_unit_of_the_loss_does_not_matter_after_a_hump(scale: float, name: str, place: str) -> None:
    losses = HUMP_SCANS[place] + HUMPS[name]
    assert stop_at(scale * losses) == stop_at(losses)


@given(st.floats(-4, 4), st.integers(0, 99), st.integers(11, 60), st.floats(10, 1000))
def test_a_shift_of_the_loss_does_not_matter_where_noise_decides(
    shift: float, seed: int, onset: int, top: float
) -> None:
    losses = np.minimum(explosion(noise(1.0, seed), onset, size=1.0), top)
    assert stop_at(losses + shift) == stop_at(losses)


@given(st.integers(0, 99), st.integers(11, 90), st.floats(1.05, 2.0))
def test_what_comes_after_the_stop_does_not_matter(seed: int, onset: int, factor: float) -> None:
    losses = explosion(2.3 + noise(0.1, seed), onset, factor)
    step = stop_at(losses)
    if step is not None:
        losses[step + 1 :] = 0.0
        assert stop_at(losses) == step


@given(st.integers(0, 200))
def test_noise_alone_never_stops_a_scan(seed: int) -> None:
    assert stop_at(2.3 + noise(0.5, seed)) is None


def test_the_starting_level_and_the_noise_are_those_of_the_curve() -> None:
    watch = DivergenceWatch(STEPS)
    for loss in 2.0 + noise(0.3):
        watch.add(float(loss))
    assert watch.start_level == pytest.approx(2.0, abs=0.3)
    assert watch.noise == pytest.approx(0.3, rel=0.3)


@pytest.mark.parametrize(("has_outliers", "stops"), [(True, False), (False, True)])
def test_a_scan_of_targets_with_outliers_waits_for_longer(*, has_outliers: bool, stops: bool) -> None:
    watch = DivergenceWatch(STEPS, has_outliers=has_outliers)
    stopped = False
    for loss in [29.0, 30.0] * 6 + [3000.0, 3000.0, 29.0, 3000.0, 3000.0] + [30.0, 29.0] * 10:
        watch.add(loss)
        stopped |= watch.diverged
    assert stopped == stops
    for step in range(STEPS):
        watch.add(1e4 * 1.2**step)
    assert watch.diverged
