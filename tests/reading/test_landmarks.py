from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given

from keras_lrscan import LRCurve, analyze
from keras_lrscan._typing import Array
from keras_lrscan.curves.context import chance_loss
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.reading.landmarks import Landmark, Landmarks, find_landmarks, with_ranges
from keras_lrscan.reading.references import References
from keras_lrscan.reading.smoothing import smooth
from tests.support.strategies import any_curves, valley_curves


def read(curve: LRCurve) -> Landmarks:
    return find_landmarks(smooth(curve), reference=References.of(curve).start, chance=chance_loss(curve.context))


@given(any_curves())
def test_landmarks_are_in_order_on_any_curve(curve: LRCurve) -> None:
    marks = read(curve)
    order = [mark.index for mark in (marks.descent_start, marks.steepest, marks.minimum) if mark is not None]
    assert order == sorted(order)
    if marks.minimum is not None and marks.elbow is not None:
        assert marks.minimum.index <= marks.elbow.index


@given(valley_curves())
def test_a_clear_valley_has_every_landmark_where_it_belongs(curve: LRCurve) -> None:
    marks = read(curve)
    assert marks.descent_start is not None
    assert marks.steepest is not None
    assert marks.minimum is not None
    assert marks.elbow is not None
    assert marks.descent_start.lr < marks.steepest.lr < marks.minimum.lr < marks.elbow.lr
    assert math.log10(marks.elbow.lr / marks.minimum.lr) < 1.0


def test_the_elbow_of_a_flat_curve_is_where_it_leaves_its_level() -> None:
    marks = read(synthetic_curve("monotone-from-pretrained", num_steps=400, noise=0.005))
    assert marks.elbow is not None
    assert marks.steepest is None
    assert math.log10(marks.elbow.lr) == pytest.approx(-1.5, abs=0.15)


@pytest.mark.parametrize(
    ("start", "share", "counts"), [(0.2, 0.2, False), (0.2, 0.3, True), (2.3, 0.03, False), (2.3, 0.08, True)]
)
def test_a_clear_fall_counts_at_chance_and_a_considerable_one_below(
    start: float, share: float, *, counts: bool
) -> None:
    x = np.linspace(-7, 0, 200)
    loss = start * (1 - share * 0.5 * (1 + np.tanh((x + 3) / 0.5))) + 5 * np.maximum(x + 1, 0) ** 2
    smoothed = smooth(LRCurve(lr=10.0**x, loss=loss))
    assert bool(find_landmarks(smoothed, reference=start, chance=2.303).valleys) == counts


def test_a_shallow_fall_counts_only_if_the_noise_cannot_make_it() -> None:
    x = np.linspace(-7, 0, 200)
    loss = 2.3 - 0.2 * 0.5 * (1 + np.tanh((x + 3) / 0.5)) + 5 * np.maximum(x + 1, 0) ** 2
    noise = np.random.default_rng(0).standard_normal(x.size)
    for scale, counts in ((0.01, True), (0.1, False)):
        smoothed = smooth(LRCurve(lr=10.0**x, loss=loss + scale * noise))
        assert bool(find_landmarks(smoothed, reference=2.3, chance=2.303).valleys) == counts


def test_a_large_fall_counts_in_noisy_batches_without_a_chance_level() -> None:
    x = np.linspace(-7, 0, 120)
    noise = 0.35 * np.random.default_rng(0).standard_normal(x.size)
    steep, shallow = (1.6 - depth * 0.5 * (1 + np.tanh((x + 2.5) / 0.6)) for depth in (0.9, 0.35))
    assert read(LRCurve(lr=10.0**x, loss=steep + noise)).valleys
    assert not read(LRCurve(lr=10.0**x, loss=shallow + noise)).valleys


def test_a_valley_counts_that_is_uncertain_at_its_bottom_only() -> None:
    x = np.linspace(-7, 0, 120)
    line = smooth(LRCurve(lr=10.0**x, loss=2 - np.exp(-((x + 1.0) ** 2) / 0.5)))
    error = np.where(np.abs(x + 1.0) < 0.2, 1.0, 0.01)
    uncertain = dataclasses.replace(line, standard_error=error)
    assert find_landmarks(uncertain, chance=2.0).valleys
    assert not find_landmarks(dataclasses.replace(line, standard_error=np.ones_like(x)), chance=2.0).valleys


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_pure_noise_hardly_ever_falls_or_rises(noise: float) -> None:
    readings = [read(synthetic_curve("flat", noise=noise, seed=seed)) for seed in range(40)]
    assert sum(bool(marks.valleys) for marks in readings) <= 4
    assert sum(marks.elbow is not None for marks in readings) <= 2


def test_two_valleys_are_both_found_and_the_first_is_the_minimum() -> None:
    marks = read(synthetic_curve("several-valleys"))
    assert len(marks.valleys) == 2
    assert marks.minimum == marks.valleys[0]
    assert math.log10(marks.minimum.lr) == pytest.approx(-3.5, abs=0.1)


X = np.linspace(-7, 1, 201)
"""25 points per decade."""


def drawn(loss: Array, seed: int = 0) -> Landmarks:
    """Returns the landmarks of losses over eight decades, with noise of 1 % of the loss."""
    noise = np.random.default_rng(seed).standard_normal(X.size)
    return find_landmarks(smooth(LRCurve(lr=10.0**X, loss=loss * (1 + 0.01 * noise))), chance=2.3)


def dip(center: float, depth: float, width: float) -> Array:
    """Returns a smooth dip."""
    return np.asarray(-depth * np.exp(-(((X - center) / width) ** 2)))


U = 2.3 - 1.6 * 0.5 * (1 + np.tanh((X + 3) / 0.5)) + 6 * np.maximum(X + 1.0, 0)
"""A valley from -2 to -1, followed by a rise."""


@pytest.mark.parametrize("seed", range(5))
def test_a_second_dip_counts_if_it_is_apart_from_the_first_and_wide(seed: int) -> None:
    two = 2.3 + dip(-3.5, 1.2, 0.4) + dip(-0.9, 1.5, 0.4) + 8 * np.maximum(X - 0.2, 0)
    near = U + dip(-1.75, 0.3, 0.1) + 0.8 * np.exp(-(((X + 1.95) / 0.08) ** 2))
    narrow = np.where(np.isin(np.arange(X.size), [185, 186]), 0.4, U)
    assert len(drawn(two, seed).valleys) == 2
    assert len(drawn(near, seed).valleys) == 1
    assert len(drawn(narrow, seed).valleys) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("height", "number"), [(0.4, 1), (1.0, 2)])
def test_a_low_hill_parts_no_valleys(height: float, number: int, seed: int) -> None:
    wide = 2.3 - 1.6 * 0.5 * (1 + np.tanh((X + 4) / 0.5)) + 8 * np.maximum(X - 0.2, 0)
    hill = height * np.exp(-(((X + 1.8) / 0.3) ** 2))
    assert len(drawn(wide + hill, seed).valleys) == number


@pytest.mark.parametrize("seed", range(5))
def test_a_shallow_dip_before_a_low_hill_is_part_of_the_fall(seed: int) -> None:
    stairs = 2.3 - 0.7 * 0.5 * (1 + np.tanh((X + 4) / 0.3)) - 0.9 * 0.5 * (1 + np.tanh((X + 0.7) / 0.2))
    hill = 0.4 * np.exp(-(((X + 2) / 0.3) ** 2))
    marks = drawn(stairs + hill + 8 * np.maximum(X - 0.5, 0), seed)
    assert marks.minimum is not None
    assert math.log10(marks.minimum.lr) > -0.6


def test_a_curve_that_moves_within_half_a_decade_is_no_slow_noise() -> None:
    x = np.linspace(-2, 1, 84)
    loss = 1.5 + 0.9 * np.cos(2 * np.pi * (x + 2) / 1.5) + 0.5 * np.maximum(x + 1, 0)
    marks = find_landmarks(smooth(LRCurve(lr=10.0**x, loss=loss)), reference=2.3, chance=2.3)
    assert marks.wander < 0.05
    assert marks.valleys


@pytest.mark.parametrize("seed", range(5))
def test_a_single_high_batch_within_a_fall_is_no_end_of_it(seed: int) -> None:
    bumped = U.copy()
    bumped[102] = 2.6
    marks = drawn(bumped, seed)
    assert marks.minimum is not None
    assert -2.2 < math.log10(marks.minimum.lr) < -0.9


@pytest.mark.parametrize("seed", range(5))
def test_the_minimum_of_a_long_floor_is_where_the_floor_begins(seed: int) -> None:
    marks = drawn(2.3 - 2.29 * 0.5 * (1 + np.tanh((X + 4) / 0.5)), seed)
    assert marks.elbow is None
    assert marks.minimum is not None
    assert math.log10(marks.minimum.lr) == pytest.approx(-2.9, abs=0.4)


def test_two_batches_do_not_make_the_steepest_point() -> None:
    loss = U.copy()
    loss[150] -= 0.4  # the last batch before the rise is low by chance
    marks = drawn(loss)
    assert marks.steepest is not None
    assert math.log10(marks.steepest.lr) == pytest.approx(-3.0, abs=0.3)


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_scaling_the_rates_moves_every_landmark_along(shape: str) -> None:
    curve = synthetic_curve(shape)
    moved = LRCurve(lr=100 * curve.lr, loss=curve.loss, stop=curve.stop, context=curve.context)
    for name in ("descent_start", "steepest", "minimum", "elbow"):
        before, after = getattr(read(curve), name), getattr(read(moved), name)
        assert (before is None) == (after is None)
        if before is not None:
            assert after.lr == pytest.approx(100 * before.lr, rel=1e-6)


def test_a_curve_without_a_finite_loss_has_no_landmarks() -> None:
    assert read(LRCurve(lr=[0.1, 0.2], loss=[np.nan, np.inf])) == Landmarks()


def range_of_the_minimum(shape: str, noise: float, seed: int) -> tuple[float, float]:
    """Returns log10 of both ends of the range of the minimum."""
    mark = analyze(synthetic_curve(shape, noise=noise, seed=seed)).landmarks.minimum
    assert mark is not None
    assert mark.low is not None
    assert mark.high is not None
    assert mark.low <= mark.lr <= mark.high
    return math.log10(mark.low), math.log10(mark.high)


def test_the_range_of_a_landmark_is_wider_under_more_noise() -> None:
    rough, calm = (range_of_the_minimum("u-shaped", noise, seed=1) for noise in (0.1, 0.005))
    assert rough[1] - rough[0] > calm[1] - calm[0]


def test_over_many_scans_the_range_of_the_minimum_mostly_holds_where_it_truly_is() -> None:
    ranges = [range_of_the_minimum("several-valleys", noise=0.1, seed=seed) for seed in range(20)]
    assert sum(low <= -3.5 <= high for low, high in ranges) >= 15


def test_a_landmark_that_the_copies_do_not_show_has_no_range() -> None:
    mark, line = Landmark(index=3, lr=0.1, loss=1.0), smooth(synthetic_curve("flat"))
    assert (
        with_ranges(Landmarks(minimum=mark), [Landmarks(), Landmarks(minimum=mark), Landmarks()], line).minimum == mark
    )
