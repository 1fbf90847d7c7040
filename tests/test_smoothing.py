from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidOptionError, LRCurve
from keras_lrscan.landmarks import find_landmarks
from keras_lrscan.shapes import Shape
from keras_lrscan.smoothing import MAX_KNOTS, SMOOTHERS, resample, smooth
from keras_lrscan.synthetic import SYNTHETIC_LOSSES, synthetic_curve

X = np.linspace(-7, 1, 100)


@pytest.mark.parametrize("method", SMOOTHERS)
@given(level=st.floats(-100, 100), slope=st.floats(-10, 10))
def test_straight_lines_and_constants_are_kept(method: str, level: float, slope: float) -> None:
    line = level + slope * X
    smoothed = smooth(LRCurve(lr=10.0**X, loss=line), method=method)
    np.testing.assert_allclose(smoothed.loss, line, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(smoothed.slope, slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", SMOOTHERS)
@pytest.mark.parametrize("num_steps", [100, 400, 1000, 5000])
def test_no_landmark_moves_by_more_than_one_step_beside_its_knot_on_a_noise_free_curve(
    method: str, num_steps: int
) -> None:
    curve = synthetic_curve("u-shaped", num_steps=num_steps, noise=0.0)
    x = np.log10(curve.lr)
    marks = find_landmarks(smooth(curve, method=method), chance=np.log(10))
    assert marks.minimum is not None
    assert marks.steepest is not None
    knot = 0.0 if len(curve) <= MAX_KNOTS else 1.5 * (x[-1] - x[0]) / MAX_KNOTS
    step = (x[1] - x[0]) * 1.01 + knot
    assert abs(np.log10(marks.minimum.lr) - x[np.argmin(curve.loss)]) <= step
    assert abs(np.log10(marks.steepest.lr) - x[np.argmin(np.gradient(curve.loss, x))]) <= step


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
    copies = np.stack([copy.loss for copy in resample(np.log10(curve.lr), curve.loss, smoothed, num_copies=200)])
    ratio = np.median(copies.std(axis=0) / smoothed.standard_error)
    assert 0.6 < ratio < 1.6


def test_an_unknown_smoother_is_refused_by_name() -> None:
    with pytest.raises(InvalidOptionError, match=r"`method` must be one of 'spline'.* Received: method='ema'"):
        smooth(synthetic_curve("flat"), method="ema")
