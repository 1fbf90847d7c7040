from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidOptionError, LRCurve, ScanContext, analyze
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.suggestions.search_range import RangeKind, SearchRange
from keras_lrscan.suggestions.suggest import NEVER
from tests.support.strategies import any_curves, valley_curves

FALLING = ("u-shaped", "valley-then-plateau", "several-valleys", "still-falling")
RISING = ("monotone-from-pretrained", "flat-at-chance")


@given(any_curves())
def test_a_search_range_has_two_ends_in_order_or_none_with_a_reason(curve: LRCurve) -> None:
    analysis = analyze(curve, num_copies=10)
    for kind in RangeKind:
        found = analysis.search_range(kind=kind)
        assert found.kind is kind
        assert found.reason.endswith(".")
        if found.low is None or found.high is None:
            assert found.low is found.high is found.decades is None
            assert found.reason.startswith("There is no range to search: ")
        else:
            assert 0 < found.low < found.high
            assert found.decades == pytest.approx(math.log10(found.high) - math.log10(found.low))


@given(curve=valley_curves(), factor=st.floats(1e-2, 1e2))
def test_scaling_the_rates_scales_the_search_range(curve: LRCurve, factor: float) -> None:
    moved = LRCurve(lr=factor * curve.lr, loss=curve.loss)
    before, after = (analyze(one, num_copies=10) for one in (curve, moved))
    for kind in RangeKind:
        first, second = before.search_range(kind=kind), after.search_range(kind=kind)
        assert first.low is not None
        assert first.high is not None
        assert second.low == pytest.approx(factor * first.low, rel=1e-6)
        assert second.high == pytest.approx(factor * first.high, rel=1e-6)


def test_the_range_to_the_elbow_runs_from_a_tenth_of_the_steepest_fall() -> None:
    analysis = analyze(synthetic_curve("u-shaped"))
    found, marks = analysis.search_range(), analysis.landmarks
    assert marks.steepest is not None
    assert marks.elbow is not None
    assert found.low == pytest.approx(marks.steepest.lr / 10)
    assert found.high == pytest.approx(marks.elbow.lr)


def test_the_range_around_the_steepest_fall_is_two_decades_wide() -> None:
    analysis = analyze(synthetic_curve("u-shaped"))
    found, steepest = analysis.search_range(kind="around-steepest"), analysis.landmarks.steepest
    assert steepest is not None
    assert found.decades == pytest.approx(2)
    assert found.low == pytest.approx(steepest.lr / 10)


def test_a_curve_that_has_not_turned_is_searched_up_to_its_last_rate() -> None:
    curve = synthetic_curve("still-falling")
    found = analyze(curve).search_range()
    assert found.high == pytest.approx(curve.lr[-1])
    assert "does not rise" in found.reason


@pytest.mark.parametrize("shape", RISING)
def test_a_curve_that_never_falls_is_searched_over_the_two_decades_below_its_elbow(shape: str) -> None:
    analysis = analyze(synthetic_curve(shape))
    found, elbow = analysis.search_range(), analysis.landmarks.elbow
    assert elbow is not None
    assert found.high == pytest.approx(elbow.lr)
    assert found.decades == pytest.approx(2)


@pytest.mark.parametrize("shape", RISING)
def test_a_curve_that_never_falls_has_nothing_steep_to_search_around(shape: str) -> None:
    found = analyze(synthetic_curve(shape)).search_range(kind="around-steepest")
    assert found.low is None
    assert "never falls" in found.reason


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_a_shape_has_a_range_unless_its_curve_says_nothing_about_rates(shape: str) -> None:
    analysis = analyze(synthetic_curve(shape))
    assert analysis.verdict.shape == shape
    assert (analysis.search_range().low is None) == (shape in NEVER)


@pytest.mark.parametrize("shape", [shape for shape in SYNTHETIC_LOSSES if shape not in NEVER])
def test_the_suggested_rate_lies_in_the_range_to_the_elbow(shape: str) -> None:
    analysis = analyze(synthetic_curve(shape))
    found, lr = analysis.search_range(), analysis.suggestion.lr
    assert lr is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= lr <= found.high


def test_a_curve_of_noise_has_no_range() -> None:
    curve = dataclasses.replace(synthetic_curve("flat", noise=0.5, seed=1), context=ScanContext())
    found = analyze(curve).search_range()
    assert found == SearchRange(low=None, high=None, kind=RangeKind.TO_ELBOW, reason=found.reason)
    assert "neither falls nor rises" in found.reason


def test_an_unknown_kind_is_refused_by_name() -> None:
    message = "`kind` must be one of 'to-elbow', 'around-steepest'. Received: kind='all'"
    with pytest.raises(InvalidOptionError, match=message):
        analyze(synthetic_curve("flat")).search_range(kind="all")
