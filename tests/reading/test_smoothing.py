from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidOptionError, LRCurve
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.reading.landmarks import find_landmarks
from keras_lrscan.reading.linear_smoothers import Bottom
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.reading.smoothing import LINEAR_SMOOTHERS, SMOOTHERS, Fit, smooth
from tests.support.strategies import any_curves

X = np.linspace(-7, 1, 100)


@pytest.mark.parametrize("method", LINEAR_SMOOTHERS)
@given(level=st.floats(-100, 100), slope=st.floats(-10, 10))
def test_straight_lines_and_constants_are_kept(method: str, level: float, slope: float) -> None:
    line = level + slope * X
    smoothed = smooth(LRCurve(lr=10.0**X, loss=line), method=method)
    np.testing.assert_allclose(smoothed.loss, line, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(smoothed.slope, slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", LINEAR_SMOOTHERS)
@given(level=st.floats(-100, 100), slope=st.floats(-10, 10), seed=st.integers(0, 99))
def test_a_trend_under_noise_is_neither_moved_nor_bent(method: str, level: float, slope: float, seed: int) -> None:
    noise = 0.1 * np.random.default_rng(seed).standard_normal(X.size)
    smoothed = smooth(LRCurve(lr=10.0**X, loss=level + slope * X + noise), method=method)
    assert np.abs(smoothed.loss - level - slope * X).max() < 0.3


@pytest.mark.parametrize("method", LINEAR_SMOOTHERS)
@pytest.mark.parametrize("shape", [Shape.U_SHAPED, Shape.VALLEY_THEN_PLATEAU])
@pytest.mark.parametrize("num_steps", [60, 100, 200, 250, 400, 1000])
def test_no_landmark_moves_by_more_than_one_step_on_a_noise_free_curve(
    method: str, shape: Shape, num_steps: int
) -> None:
    curve = synthetic_curve(shape, num_steps=num_steps, noise=0.0)
    x = np.log10(curve.lr)
    marks = find_landmarks(smooth(curve, method=method), chance=np.log(10))
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


def test_a_moving_average_lags_where_the_spline_does_not() -> None:
    curve = synthetic_curve("u-shaped", num_steps=100, noise=0.0)
    lowest = np.log10(curve.lr[np.argmin(curve.loss)])
    spline, average = (smooth(curve, method=method) for method in ("spline", "ema"))
    assert average.log10_lr[np.argmin(average.slope)] > spline.log10_lr[np.argmin(spline.slope)] + 0.4
    assert average.log10_lr[np.argmin(average.loss)] >= lowest


def test_the_moving_average_is_the_weighted_mean_of_what_came_before() -> None:
    loss = np.array([2.0, 1.0, 4.0, 3.0, 0.5, 0.25])
    weights = 0.98 ** np.arange(6)[::-1]
    smoothed = smooth(LRCurve(lr=np.logspace(-3, -2, 6), loss=loss), method="ema")
    assert smoothed.loss[-1] == pytest.approx(np.average(loss, weights=weights))


@pytest.mark.parametrize("method", LINEAR_SMOOTHERS)
def test_both_smoothers_that_do_not_lag_see_the_same_valley(method: str) -> None:
    curve = synthetic_curve("u-shaped", noise=0.05, seed=3)
    marks = find_landmarks(smooth(curve, method=method), chance=np.log(10))
    assert marks.steepest is not None
    assert np.log10(marks.steepest.lr) == pytest.approx(-2.5, abs=0.3)


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_smoothing_goes_along_when_the_loss_is_scaled_and_shifted(scale: float, shift: float) -> None:
    curve = synthetic_curve("u-shaped")
    moved = LRCurve(lr=curve.lr, loss=scale * curve.loss + shift)
    expected = scale * smooth(curve).loss + shift
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


@pytest.mark.parametrize("method", ["spline", "local", "adaptive"])
@pytest.mark.parametrize("seed", range(5))
def test_a_short_fall_that_ends_in_wild_losses_is_not_passed_over(method: str, seed: int) -> None:
    curve = broken_soon(seed)
    line = smooth(curve, method=method)
    lowest = float(np.median(curve.loss[67:72]))
    assert line.loss[65:74].min() < lowest + 0.3
    assert find_landmarks(line, chance=2.3).valleys


@given(any_curves())
def test_the_adaptive_line_is_finite_for_any_curve(curve: LRCurve) -> None:
    assert np.isfinite(smooth(curve, method="adaptive").loss).all()


def test_the_adaptive_line_follows_a_narrow_valley_and_stays_calm_before_it() -> None:
    x = np.linspace(-7, 1, 100)
    truth = 2.3 - 1.6 * np.exp(-((x + 1.5) ** 2) / 0.08)
    valley, calm = np.abs(x + 1.5) < 0.5, x < -3
    errors: dict[str, list[tuple[float, float]]] = {"spline": [], "adaptive": []}
    for seed in range(10):
        noisy = LRCurve(lr=10.0**x, loss=truth + 0.1 * np.random.default_rng(seed).standard_normal(x.size))
        for method, found in errors.items():
            away = np.abs(smooth(noisy, method=method).loss - truth)
            found.append((float(away[valley].mean()), float(away[calm].mean())))
    spline, adaptive = (np.mean(errors[method], axis=0) for method in ("spline", "adaptive"))
    assert (adaptive < 0.8 * spline).all()


@pytest.mark.parametrize("seed", range(5))
def test_wild_losses_at_the_end_leave_the_error_of_the_calm_part_alone(seed: int) -> None:
    curve = broken_soon(seed)
    assert np.median(smooth(curve).standard_error[:50]) < 0.015


@given(st.integers(0, 10_000), st.integers(60, 250))
def test_in_pure_noise_there_is_no_bottom_to_reach(seed: int, num_points: int) -> None:
    noise = 0.2 * np.random.default_rng(seed).standard_normal(num_points)
    bottom = Bottom.of(noise)
    assert bottom is None or bottom.far > 0


def test_a_loss_that_stands_above_its_start_at_once_has_no_bottom() -> None:
    assert Bottom.of(np.concatenate([np.zeros(10), np.ones(90)])) is None


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
    with pytest.raises(InvalidOptionError, match=r"`method` must be one of 'spline'.* Received: method='luck'"):
        smooth(synthetic_curve("flat"), method="luck")
