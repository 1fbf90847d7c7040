from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import LRCurve, analyze
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.reading.divergence import trim
from tests.support.strategies import any_curves


def exploded(shape: str, num_more: int, height: float) -> LRCurve:
    curve = synthetic_curve(shape)
    more = height * np.exp(np.random.default_rng(0).standard_normal(num_more))
    lr = [*curve.lr, *(curve.lr[-1] * 1.05 ** np.arange(1, num_more + 1))]
    return LRCurve(lr=lr, loss=[*curve.loss, *more], context=curve.context)


@pytest.mark.parametrize("shape", ["u-shaped", "monotone-from-pretrained", "flat-at-chance"])
def test_what_was_recorded_after_the_explosion_does_not_change_the_shape(shape: str) -> None:
    assert analyze(exploded(shape, 100, 1e6)).verdict.shape == shape


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_a_scan_that_stopped_in_time_is_kept_whole(shape: str) -> None:
    curve = synthetic_curve(shape)
    assert trim(curve, reference=math.log(10)) is curve


def test_one_bad_batch_cuts_nothing_off() -> None:
    curve = synthetic_curve("still-falling")
    loss = curve.loss.copy()
    loss[100:103] = 1e9
    bad = LRCurve(lr=curve.lr, loss=loss)
    assert trim(bad) is bad


@given(curve=any_curves(), scale=st.floats(0.1, 10))
def test_the_cut_does_not_depend_on_the_unit_of_the_loss(curve: LRCurve, scale: float) -> None:
    scaled = LRCurve(lr=curve.lr, loss=scale * curve.loss)
    assert abs(len(trim(scaled)) - len(trim(curve))) <= 1


@given(curve=any_curves())
def test_what_is_kept_is_the_beginning_of_the_curve(curve: LRCurve) -> None:
    kept = trim(curve)
    np.testing.assert_array_equal(kept.loss, curve.loss[: len(kept)])
    assert kept.context == curve.context
