from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidOptionError, LRCurve
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.reading.adaptive_smoother import adaptive_hat, quiet_end
from keras_lrscan.reading.landmarks import find_landmarks
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.reading.smoothing import SMOOTHERS, Fit, smooth
from tests.support.strategies import any_curves

X = np.linspace(-7, 1, 100)


@given(level=st.floats(-100, 100), slope=st.floats(-10, 10))
def test_straight_lines_and_constants_are_kept(level: float, slope: float) -> None:
    line = level + slope * X
    smoothed = smooth(LRCurve(lr=10.0**X, loss=line))
    np.testing.assert_allclose(smoothed.loss, line, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(smoothed.slope, slope, rtol=1e-2, atol=1e-4)


@given(level=st.floats(-100, 100), slope=st.floats(-10, 10), seed=st.integers(0, 99))
def test_a_trend_under_noise_is_neither_moved_nor_bent(level: float, slope: float, seed: int) -> None:
    noise = 0.1 * np.random.default_rng(seed).standard_normal(X.size)
    smoothed = smooth(LRCurve(lr=10.0**X, loss=level + slope * X + noise))
    assert np.abs(smoothed.loss - level - slope * X).max() < 0.3


@pytest.mark.parametrize("shape", [Shape.U_SHAPED, Shape.VALLEY_THEN_PLATEAU])
@pytest.mark.parametrize("num_steps", [60, 100, 200, 250, 400, 1000])
def test_no_landmark_moves_by_more_than_one_step_on_a_noise_free_curve(shape: Shape, num_steps: int) -> None:
    curve = synthetic_curve(shape, num_steps=num_steps, noise=0.0)
    x = np.log10(curve.lr)
    marks = find_landmarks(smooth(curve), chance=np.log(10))
    assert marks.minimum is not None
    assert marks.steepest is not None
    step = (x[1] - x[0]) * 1.01
    assert abs(np.log10(marks.minimum.lr) - x[np.argmin(curve.loss)]) <= step
    assert abs(np.log10(marks.steepest.lr) - x[np.argmin(np.gradient(curve.loss, x))]) <= step


@pytest.mark.parametrize("num_steps", [5_000, 100_000])
def test_on_a_long_curve_no_landmark_moves_by_more_than_a_two_hundredth_of_a_decade(num_steps: int) -> None:
    curve = synthetic_curve("u-shaped", num_steps=num_steps, noise=0.0)
    marks = find_landmarks(smooth(curve), chance=np.log(10))
    assert marks.minimum is not None
    assert abs(np.log10(marks.minimum.lr / curve.lr[np.argmin(curve.loss)])) < 0.005


def test_a_moving_average_lags_where_the_line_does_not() -> None:
    curve = synthetic_curve("u-shaped", num_steps=100, noise=0.0)
    lowest = np.log10(curve.lr[np.argmin(curve.loss)])
    line, average = (smooth(curve, method=method) for method in SMOOTHERS)
    assert average.log10_lr[np.argmin(average.slope)] > line.log10_lr[np.argmin(line.slope)] + 0.4
    assert average.log10_lr[np.argmin(average.loss)] >= lowest


def test_the_moving_average_is_the_weighted_mean_of_what_came_before() -> None:
    loss = np.array([2.0, 1.0, 4.0, 3.0, 0.5, 0.25])
    weights = 0.98 ** np.arange(6)[::-1]
    smoothed = smooth(LRCurve(lr=np.logspace(-3, -2, 6), loss=loss), method="ema")
    assert smoothed.loss[-1] == pytest.approx(np.average(loss, weights=weights))


def test_the_steepest_fall_is_where_it_is_in_truth() -> None:
    curve = synthetic_curve("u-shaped", noise=0.05, seed=3)
    marks = find_landmarks(smooth(curve), chance=np.log(10))
    assert marks.steepest is not None
    assert np.log10(marks.steepest.lr) == pytest.approx(-2.5, abs=0.3)


@given(scale=st.floats(1e-3, 1e3))
def test_the_line_goes_along_when_the_loss_is_scaled(scale: float) -> None:
    curve = synthetic_curve("u-shaped")
    scaled = LRCurve(lr=curve.lr, loss=scale * curve.loss)
    np.testing.assert_allclose(smooth(scaled).loss, scale * smooth(curve).loss, rtol=1e-6)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, -3))
def test_the_line_goes_along_when_a_loss_without_a_floor_is_scaled_and_shifted(scale: float, shift: float) -> None:
    curve = synthetic_curve("u-shaped")
    base = LRCurve(lr=curve.lr, loss=curve.loss - 3)
    moved = LRCurve(lr=curve.lr, loss=scale * (curve.loss + shift))
    expected = scale * (smooth(base).loss + 3 + shift)
    np.testing.assert_allclose(smooth(moved).loss, expected, rtol=1e-6, atol=1e-6 * scale)


def test_noise_is_taken_off_and_measured() -> None:
    truth = SYNTHETIC_LOSSES[Shape.STILL_FALLING](np.linspace(-7, 1, 400))
    smoothed = smooth(synthetic_curve("still-falling", num_steps=400, noise=0.1))
    assert np.sqrt(np.mean((smoothed.loss - truth) ** 2)) < 0.03
    assert np.median(smoothed.noise) == pytest.approx(0.1, rel=0.15)
    within = np.abs(smoothed.loss - truth) < 3 * smoothed.standard_error
    assert within.mean() > 0.9


def test_a_lone_bad_batch_leaves_the_line_alone() -> None:
    curve = synthetic_curve("flat", noise=0.02)
    loss = curve.loss.copy()
    loss[80] = 50.0
    spiked = smooth(LRCurve(lr=curve.lr, loss=loss))
    assert 80 in spiked.outliers
    assert np.abs(spiked.loss - smooth(curve).loss).max() < 0.05


def test_an_explosion_does_not_decide_how_the_rest_is_smoothed() -> None:
    calm = synthetic_curve("u-shaped", stop_above=1.0)
    wild = synthetic_curve("u-shaped", stop_above=1.0)
    lr = np.append(wild.lr, wild.lr[-1] * np.array([1.1, 1.2]))
    exploded = smooth(LRCurve(lr=lr, loss=np.append(wild.loss, [1e4, 1e6])))
    left = slice(0, len(calm) - 15)
    assert np.abs(exploded.loss[left] - smooth(calm).loss[left]).max() < 0.1


def broken_soon(seed: int) -> LRCurve:
    """Returns a curve with a calm start, a fall of a dozen batches, and wild losses above the start."""
    random = np.random.default_rng(seed)
    loss = 2.3 + 0.01 * random.standard_normal(100)
    loss[60:72] -= 0.9 * np.linspace(0, 1, 12) ** 2
    loss[72:] += random.normal(0.3, 0.5, 28)
    return LRCurve(lr=np.logspace(-7, 1, 100), loss=loss)


@pytest.mark.parametrize("seed", range(5))
def test_a_short_fall_that_ends_in_wild_losses_is_not_passed_over(seed: int) -> None:
    curve = broken_soon(seed)
    line = smooth(curve)
    lowest = float(np.median(curve.loss[67:72]))
    assert line.loss[65:74].min() < lowest + 0.3
    assert find_landmarks(line, chance=2.3).valleys


@given(any_curves())
def test_the_line_is_finite_and_within_the_losses_of_any_curve(curve: LRCurve) -> None:
    line, finite = smooth(curve).loss, curve.loss[np.isfinite(curve.loss)]
    assert np.isfinite(line).all()
    if finite.size:
        room = 1e-6 * float(np.ptp(finite)) + 1e-9 * float(np.abs(finite).max())
        assert finite.min() - room <= line.min()
        assert line.max() <= finite.max() + room


def test_the_line_follows_a_narrow_valley_and_stays_calm_before_it() -> None:
    x = np.linspace(-7, 1, 100)
    truth = 2.3 - 1.6 * np.exp(-((x + 1.5) ** 2) / 0.08)
    valley, calm = np.abs(x + 1.5) < 0.5, x < -3
    errors = []
    for seed in range(10):
        noisy = LRCurve(lr=10.0**x, loss=truth + 0.1 * np.random.default_rng(seed).standard_normal(x.size))
        away = np.abs(smooth(noisy).loss - truth)
        errors.append((float(away[valley].mean()), float(away[calm].mean())))
    in_valley, before = np.mean(errors, axis=0)
    assert in_valley < 0.1  # the noise of one batch
    assert before < 0.03


def test_in_pure_noise_the_line_keeps_its_level() -> None:
    moves = []
    for seed in range(40):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(100)
        moves.append(float(np.ptp(smooth(LRCurve(lr=10.0**X, loss=2.3 + noise)).loss)) / 0.1)
    assert np.mean(moves) < 0.6
    assert np.mean(np.array(moves) > 1.5) <= 0.05


@given(st.integers(0, 10_000), st.integers(60, 250))
def test_a_step_of_ten_noises_ends_the_quiet_part_near_it(seed: int, num_points: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(num_points)
    place = 2 * num_points // 3
    end = quiet_end(noise - 10.0 * (np.arange(num_points) >= place))
    assert end <= place
    assert quiet_end(np.zeros(num_points)) == num_points


@given(seed=st.integers(0, 1000), num_points=st.integers(4, 80))
def test_a_mean_of_lines_keeps_straight_lines_and_lies_between_both_extremes(seed: int, num_points: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.linspace(-7, 1, num_points), rng.standard_normal(num_points)
    hat = adaptive_hat(x, rng.uniform(0.5, 2.0, num_points), y)
    np.testing.assert_allclose(hat.matrix @ np.ones(num_points), 1.0, rtol=1e-6)
    np.testing.assert_allclose(hat.matrix @ x, x, rtol=1e-4, atol=1e-4)
    assert 2 - 1e-6 <= hat.dof <= num_points


@pytest.mark.parametrize("seed", range(5))
def test_wild_losses_at_the_end_leave_the_error_of_the_calm_part_alone(seed: int) -> None:
    curve = broken_soon(seed)
    assert np.median(smooth(curve).standard_error[:50]) < 0.015


def test_non_finite_losses_are_left_out() -> None:
    curve = synthetic_curve("u-shaped")
    tail = np.array([np.nan, np.inf, np.nan])
    lr = np.append(curve.lr, curve.lr[-1] * np.array([2, 3, 4]))
    np.testing.assert_array_equal(smooth(LRCurve(lr=lr, loss=np.append(curve.loss, tail))).loss, smooth(curve).loss)
    assert smooth(LRCurve(lr=[1.0], loss=[np.nan])).loss.size == 0


@pytest.mark.parametrize("num_points", [1, 2, 3, 4, 5, 6])
def test_a_handful_of_points_is_smoothed_too(num_points: int) -> None:
    smoothed = smooth(LRCurve(lr=np.logspace(-3, -2, num_points), loss=np.arange(num_points)))
    assert np.isfinite(smoothed.loss).all()
    assert smoothed.loss.size == num_points


def test_copies_scatter_as_much_as_the_line_is_uncertain() -> None:
    curve = synthetic_curve("u-shaped", noise=0.1, stop_above=1.0)
    smoothed = smooth(curve)
    fit = Fit.of(curve)
    assert fit is not None
    copies = np.stack([copy.loss for copy in fit.copies(200)])
    ratio = np.median(copies.std(axis=0) / smoothed.standard_error)
    assert 0.6 < ratio < 1.6


@pytest.mark.parametrize("method", SMOOTHERS)
def test_every_smoother_returns_as_many_points_as_it_got(method: str) -> None:
    smoothed = smooth(synthetic_curve("u-shaped", num_steps=300), method=method)
    sizes = {array.size for array in (smoothed.log10_lr, smoothed.loss, smoothed.slope, smoothed.noise)}
    assert sizes == {smoothed.standard_error.size}
    assert np.isfinite(smoothed.standard_error).all()


def test_an_unknown_smoother_is_refused_by_name() -> None:
    with pytest.raises(InvalidOptionError, match=r"`method` must be one of 'adaptive'.* Received: method='luck'"):
        smooth(synthetic_curve("flat"), method="luck")
