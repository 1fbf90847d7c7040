"""Tests that curves on a linear ramp are thinned, and then read as those on an exponential ramp."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import LRCurve, ScanContext, analyze
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.reading.spacing import MAX_PER_DECADE, evenly_spaced, linear_spacing
from keras_lrscan.recording.ramp import ExponentialRamp, LinearRamp, ScanRamp
from keras_lrscan.suggestions.methods import PLAIN_MARGIN_SHARE

RANGE = (1e-4, 0.6)


def recorded(shape: Shape, ramp: ScanRamp, *, seed: int = 0, **facts: float | str) -> LRCurve:
    """Returns a noisy curve of a shape, with the rates of a ramp."""
    lr = np.array([ramp(step) for step in range(ramp.num_steps)])
    noise = 0.02 * np.random.default_rng(seed).standard_normal(lr.size)
    context = ScanContext.from_dict({"chance_loss": math.log(10), "start_lr": RANGE[0], "end_lr": RANGE[1], **facts})
    return LRCurve(lr=lr, loss=SYNTHETIC_LOSSES[shape](np.log10(lr)) + noise, context=context)


@given(start=st.floats(-9, -2), decades=st.floats(0.1, 8), steps=st.integers(3, 500))
def test_a_curve_on_an_exponential_ramp_is_read_whole(start: float, decades: float, steps: int) -> None:
    lr = np.logspace(start, start + decades, steps)
    curve = LRCurve(lr=lr, loss=np.ones(steps))
    assert evenly_spaced(curve) is curve


@given(decades=st.floats(1.5, 6), steps=st.integers(100, 2000))
def test_a_curve_on_a_linear_ramp_keeps_some_of_its_points_and_the_last(decades: float, steps: int) -> None:
    lr = np.linspace(10.0**-decades, 1.0, steps)
    thin = evenly_spaced(LRCurve(lr=lr, loss=np.arange(steps), context=ScanContext(steps_per_epoch=10)))
    assert len(thin) < steps
    assert set(thin.loss) <= set(range(steps))
    assert (thin.lr[-1], thin.loss[-1]) == (1.0, steps - 1)
    assert (thin.lr > 0.1).sum() <= MAX_PER_DECADE + 1
    assert thin.context.steps_per_epoch is None


@pytest.mark.parametrize(
    "shape", [Shape.U_SHAPED, Shape.MONOTONE_FROM_PRETRAINED, Shape.FLAT_AT_CHANCE, Shape.STILL_FALLING]
)
def test_a_linear_ramp_gives_the_shape_and_the_rate_of_an_exponential_one(shape: Shape) -> None:
    usual, linear = (
        analyze(recorded(shape, kind(*RANGE, 400), optimizer="RMSprop")) for kind in (ExponentialRamp, LinearRamp)
    )
    assert linear.verdict.shape == usual.verdict.shape == shape
    assert usual.suggestion.lr is not None
    assert linear.suggestion.lr is not None
    assert abs(math.log10(linear.suggestion.lr / usual.suggestion.lr)) < 0.1


def test_numbers_about_points_are_those_of_the_whole_linear_record() -> None:
    curve = recorded(Shape.U_SHAPED, LinearRamp(*RANGE, 400))
    analysis = analyze(curve)
    assert analysis.features.num_points == len(curve)
    assert analysis.features.points_per_decade is None
    assert analysis.features.linear_spacing == linear_spacing(curve)
    assert "range-too-high" not in [finding.name for finding in analysis.findings if finding.is_sure]
    assert len(analysis.smoothed.loss) < len(curve)
    assert "linear-sweep" in analysis.verdict.traits


@pytest.mark.parametrize("steps", [100, 400])
def test_momentum_lowers_the_rate_by_five_steps_of_the_linear_ramp(steps: int) -> None:
    ramp = LinearRamp(*RANGE, steps)
    plain, heavy = (
        analyze(recorded(Shape.U_SHAPED, ramp, optimizer="SGD", momentum=momentum)) for momentum in (0.0, 0.9)
    )
    assert plain.landmarks.elbow is not None
    assert plain.suggestion.lr is not None
    assert heavy.suggestion.lr is not None
    elbow = plain.landmarks.elbow.lr
    lag = elbow / (elbow - 5 * (ramp(1) - ramp(0)))
    assert plain.suggestion.lr / heavy.suggestion.lr == pytest.approx(lag / PLAIN_MARGIN_SHARE)
