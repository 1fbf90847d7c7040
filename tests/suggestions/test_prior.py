from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import LRCurve, ScanContext, analyze
from keras_lrscan.curves.optimizer_families import OPTIMIZER_FAMILIES
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.suggestions.methods import BEFORE_ELBOW, LEAST_MARGIN
from keras_lrscan.suggestions.prior import MOST_DRAWN, SMALL_MODEL, prior_rate, toward_prior_rate
from keras_lrscan.suggestions.suggest import LARGE_MODEL, SUGGESTION_METHODS

RATES = st.floats(1e-9, 1e3)
SIZES = st.integers(1, 10**10)
MEASURED = st.sampled_from(sorted(family.name for family in OPTIMIZER_FAMILIES if family.prior_rate is not None))


def of_a_model(shape: str, *, num_params: int | None, optimizer: str | None = "Adam", factor: float = 1.0) -> LRCurve:
    curve = synthetic_curve(shape, noise=0.0)
    context = dataclasses.replace(curve.context, optimizer=optimizer, num_trainable_params=num_params)
    return LRCurve(lr=curve.lr * factor, loss=curve.loss, context=context)


@given(lr=RATES, optimizer=MEASURED, num_params=SIZES)
def test_a_drawn_rate_lies_between_the_curves_and_the_prior_one(lr: float, optimizer: str, num_params: int) -> None:
    context = ScanContext(optimizer=optimizer, num_trainable_params=num_params)
    prior, drawn = prior_rate(context), toward_prior_rate(lr, context)
    assert prior is not None
    assert min(lr, prior) * (1 - 1e-9) <= drawn <= max(lr, prior) * (1 + 1e-9)
    assert abs(math.log10(drawn / lr)) <= MOST_DRAWN + 1e-9


@given(one=RATES, other=RATES, optimizer=MEASURED, num_params=SIZES)
def test_drawing_keeps_the_order_of_two_rates(one: float, other: float, optimizer: str, num_params: int) -> None:
    context = ScanContext(optimizer=optimizer, num_trainable_params=num_params)
    low, high = sorted((one, other))
    assert toward_prior_rate(low, context) <= toward_prior_rate(high, context) * (1 + 1e-9)


@given(optimizer=MEASURED, fewer=SIZES, more=SIZES)
def test_a_larger_model_gets_no_larger_prior_rate(optimizer: str, fewer: int, more: int) -> None:
    small, large = (
        prior_rate(ScanContext(optimizer=optimizer, num_trainable_params=size)) for size in sorted((fewer, more))
    )
    assert small is not None
    assert large is not None
    assert large <= small


@pytest.mark.parametrize(("times", "expected"), [(0.01, 1.0), (1, 1.0), (4, 0.5), (100, 0.1), (10_000, 0.01)])
def test_the_prior_rate_falls_with_the_root_of_the_size_beyond_small_models(times: float, expected: float) -> None:
    small, other = (
        prior_rate(ScanContext(optimizer="Adam", num_trainable_params=int(SMALL_MODEL * factor)))
        for factor in (1, times)
    )
    assert small is not None
    assert other == pytest.approx(expected * small)


@pytest.mark.parametrize(
    ("optimizer", "num_params"), [("SGD", 100), ("Muon", 100), (None, 100), ("Adam", None), ("Adam", 0)]
)
def test_where_nothing_was_measured_the_curve_alone_decides(optimizer: str | None, num_params: int | None) -> None:
    assert toward_prior_rate(0.5, ScanContext(optimizer=optimizer, num_trainable_params=num_params)) == 0.5
    analysis = analyze(of_a_model("u-shaped", num_params=num_params, optimizer=optimizer))
    assert analysis.suggestion.lr == analysis.suggest(method="valley-floor").lr
    assert analysis.suggestion.reason == SUGGESTION_METHODS["valley-floor"].says


@pytest.mark.parametrize("shape", ["u-shaped", "still-falling", "monotone-from-pretrained"])
@pytest.mark.parametrize("factor", [1e-4, 1e-2, 1.0, 100.0])
def test_the_default_of_a_small_model_is_drawn_and_stays_below_the_start_of_the_rise(shape: str, factor: float) -> None:
    small, alone = (analyze(of_a_model(shape, num_params=num, factor=factor)) for num in (1_000, None))
    assert small.suggestion.lr is not None
    assert alone.suggestion.lr is not None
    prior = prior_rate(small.curve.context)
    assert prior is not None
    assert abs(math.log(small.suggestion.lr / prior)) <= abs(math.log(alone.suggestion.lr / prior))
    elbow = small.landmarks.elbow
    if elbow is not None:
        assert small.suggestion.lr <= elbow.lr / 2 * (1 + 1e-9)


def test_the_reason_says_where_a_rate_was_moved_if_that_shows() -> None:
    far = analyze(of_a_model("u-shaped", num_params=1_000, factor=1e-2)).suggestion
    assert far.reason.endswith(
        "It was then moved toward 0.003, near which Adam is expected to train models of this size well."
    )
    own = analyze(of_a_model("u-shaped", num_params=1_000, factor=1e-2)).suggest(method="valley-floor")
    assert own.lr is not None
    assert far.lr is not None
    assert own.lr < far.lr
    assert own.reason == SUGGESTION_METHODS["valley-floor"].says


@pytest.mark.parametrize(("optimizer", "factor"), [("Adam", 2.5), (None, 2.5), ("SGD", 2.0)])
def test_the_peak_of_one_cycle_is_a_multiple_of_the_constant_rate(optimizer: str | None, factor: float) -> None:
    analysis = analyze(of_a_model("still-falling", num_params=1_000, optimizer=optimizer))
    constant, peak = (analysis.suggest(role=role).lr for role in ("constant", "one-cycle"))
    assert constant is not None
    assert peak == pytest.approx(factor * constant)


@pytest.mark.parametrize("shape", ["u-shaped", "monotone-from-pretrained", "flat-at-chance"])
def test_plain_gradient_descent_stays_below_the_start_of_the_rise(shape: str) -> None:
    curve = of_a_model(shape, num_params=1_000, optimizer="SGD")
    analysis = analyze(dataclasses.replace(curve, context=dataclasses.replace(curve.context, momentum=0.0)))
    constant, peak = (analysis.suggest(role=role).lr for role in ("constant", "one-cycle"))
    elbow = analysis.landmarks.elbow
    assert elbow is not None
    assert constant is not None
    assert peak is not None
    assert constant <= elbow.lr / (BEFORE_ELBOW if shape == "monotone-from-pretrained" else LEAST_MARGIN) * (1 + 1e-9)
    assert peak == pytest.approx(constant * (1.25 if shape == "u-shaped" else 2.0))


def test_a_model_larger_than_those_measured_gets_a_wider_range() -> None:
    small, large = (
        analyze(of_a_model("monotone-from-pretrained", num_params=num_params, optimizer=None)).suggestion
        for num_params in (LARGE_MODEL - 1, LARGE_MODEL)
    )
    assert small.low is not None
    assert large.low is not None
    assert large.lr == small.lr
    assert small.low / large.low == pytest.approx(1.5)
