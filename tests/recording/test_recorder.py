"""Tests the pairing of losses with rates, and the end of a scan."""

from __future__ import annotations

import math

import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import CurveTooShortError
from keras_lrscan.recording.ramp import ExponentialRamp
from keras_lrscan.recording.recorder import Recorder

RAMP = ExponentialRamp(1e-4, 1e-1, 4)


def test_the_update_of_a_batch_uses_the_rate_that_the_next_loss_stands_at() -> None:
    recorder = Recorder(RAMP)
    rates = []
    for loss in (2.0, 1.5, 1.0, 0.5):
        rates.append(recorder.rate)
        recorder.add(loss)
    curve = recorder.curve()
    assert curve.lr.tolist() == [RAMP(step) for step in range(4)]
    assert rates == [*curve.lr[1:].tolist(), 1e-1]
    assert curve.loss.tolist() == [2.0, 1.5, 1.0, 0.5]
    assert curve.stop is StopReason.END_LR


def test_losses_of_batches_that_make_one_update_become_one_point() -> None:
    recorder = Recorder(RAMP, batches_per_update=2)
    rates = []
    for loss in (2.0, 4.0, 1.0, 3.0):
        rates.append(recorder.rate)
        recorder.add(loss)
    assert rates == [RAMP(1), RAMP(1), RAMP(2), RAMP(2)]
    assert recorder.curve().loss.tolist() == [3.0, 2.0]


def test_batches_accumulated_before_the_scan_shorten_the_first_group() -> None:
    recorder = Recorder(RAMP, batches_per_update=3, batches_accumulated=2)
    for loss in (2.0, 1.0, 1.0, 4.0):
        recorder.add(loss)
    assert recorder.curve().loss.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_scan_at_once_and_is_kept(bad: float) -> None:
    recorder = Recorder(RAMP, batches_per_update=3, stop_on_divergence=False)
    recorder.add(2.0)
    recorder.add(bad)
    assert recorder.stop is StopReason.NON_FINITE
    assert recorder.num_points == 1
    assert not math.isfinite(recorder.curve().loss[0])


def test_divergence_ends_the_scan_unless_it_is_told_not_to() -> None:
    ramp = ExponentialRamp(1e-7, 10.0, 100)
    judging, tolerant = Recorder(ramp), Recorder(ramp, stop_on_divergence=False)
    for step in range(60):
        for recorder in (judging, tolerant):
            recorder.add(2.3 if step < 40 else 2.0 ** (step - 38))
    assert judging.stop is StopReason.DIVERGED
    assert tolerant.stop is None


def test_losses_after_the_end_are_ignored() -> None:
    recorder = Recorder(RAMP)
    for _ in range(9):
        recorder.add(1.0)
    assert recorder.num_points == 4


def test_the_first_reason_to_end_is_the_one_that_counts() -> None:
    recorder = Recorder(RAMP)
    recorder.add(1.0)
    recorder.end(StopReason.OUT_OF_BATCHES)
    recorder.end(StopReason.INTERRUPTED)
    assert recorder.curve().stop is StopReason.OUT_OF_BATCHES


def test_a_scan_that_is_not_over_reads_as_interrupted() -> None:
    recorder = Recorder(RAMP)
    recorder.add(1.0)
    assert recorder.curve().stop is StopReason.INTERRUPTED


def test_a_loss_beyond_reckoning_reads_as_infinite() -> None:
    recorder = Recorder(RAMP, stop_on_divergence=False)
    for loss in (1.0, 1e101, -1e200, 1e100):
        recorder.add(loss)
    assert recorder.curve().loss.tolist() == [1.0, math.inf, -math.inf, 1e100]


def test_there_is_no_curve_without_a_point() -> None:
    with pytest.raises(CurveTooShortError):
        Recorder(RAMP).curve()
