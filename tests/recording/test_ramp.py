"""Tests the learning rate as a function of the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.recording.ramp import RAMPS, ExponentialRamp, LinearRamp, checked_ramp, ramp_name


@given(st.floats(1e-9, 1e-3), st.floats(1e-2, 1e3), st.integers(2, 500))
def test_rates_rise_evenly_on_a_log_scale_from_end_to_end(start: float, end: float, steps: int) -> None:
    ramp = ExponentialRamp(start, end, steps)
    rates = np.array([ramp(step) for step in range(steps)])
    assert (rates[0], rates[-1]) == (start, end)
    widths = np.diff(np.log(rates))
    np.testing.assert_allclose(widths, widths.mean(), rtol=1e-6)


@given(st.floats(1e-9, 1e-3), st.floats(1e-2, 1e3), st.integers(2, 500))
def test_rates_of_a_linear_ramp_rise_by_equal_amounts_from_end_to_end(start: float, end: float, steps: int) -> None:
    ramp = LinearRamp(start, end, steps)
    rates = np.array([ramp(step) for step in range(steps)])
    assert (rates[0], rates[-1]) == (start, end)
    np.testing.assert_allclose(np.diff(rates), (end - start) / (steps - 1), rtol=1e-6)


@pytest.mark.parametrize("name", RAMPS)
def test_a_ramp_keeps_its_kind_when_it_is_shortened(name: str) -> None:
    ramp = checked_ramp(1e-3, 1e-1, 100, name)
    assert ramp_name(ramp.shortened_to(20)) == ramp_name(ramp) == name


@pytest.mark.parametrize("kind", RAMPS.values())
def test_steps_outside_the_ramp_get_the_nearest_end(kind: type[ExponentialRamp | LinearRamp]) -> None:
    ramp = kind(1e-4, 1e-1, 4)
    assert (ramp(-1), ramp(4), ramp(99)) == (1e-4, 1e-1, 1e-1)


@pytest.mark.parametrize(("available", "expected"), [(None, 100), (40, 40), (100, 100), (500, 100), (0, 1)])
def test_a_ramp_fits_what_is_there(available: int | None, expected: int) -> None:
    assert ExponentialRamp(1e-4, 1e-1, 100).shortened_to(available).num_steps == expected


def test_a_ramp_of_one_step_stays_at_the_start() -> None:
    assert ExponentialRamp(1e-4, 1e-1, 1)(0) == 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_lr": 0.0}, r"`start_lr` must be a positive finite number. Received: start_lr=0.0"),
        ({"start_lr": -1e-3}, r"`start_lr` must be a positive finite number. Received: start_lr=-0.001"),
        ({"end_lr": float("nan")}, r"`end_lr` must be a positive finite number. Received: end_lr=nan"),
        ({"end_lr": float("inf")}, r"`end_lr` must be a positive finite number. Received: end_lr=inf"),
        ({"start_lr": 1e-101}, r"`start_lr` must be from 1e-100 to 1e\+100. Received: start_lr=1e-101"),
        ({"end_lr": 1e101}, r"`end_lr` must be from 1e-100 to 1e\+100. Received: end_lr=1e\+101"),
        ({"end_lr": 10**400}, r"`end_lr` must be a number. Received: end_lr=1000"),
        ({"start_lr": "fast"}, r"`start_lr` must be a number. Received: start_lr='fast'"),
        ({"start_lr": 1.0, "end_lr": 1.0}, r"`end_lr` must be above `start_lr`. Received: start_lr=1.0, end_lr=1.0"),
        ({"start_lr": 1.0, "end_lr": 0.1}, r"`end_lr` must be above `start_lr`. Received: start_lr=1.0, end_lr=0.1"),
        ({"num_steps": 7}, r"`num_steps` must be an integer of at least 8. Received: num_steps=7"),
        ({"num_steps": True}, r"`num_steps` must be an integer of at least 8. Received: num_steps=True"),
        ({"kind": "cosine"}, r"`ramp` must be one of 'exponential', 'linear'. Received: ramp='cosine'"),
        ({"kind": "linear"}, r"num_steps=100, which leaves no rate between 1e-7 and 0.1. Pass a narrower range"),
        ({"num_steps": 20.0}, r"`num_steps` must be an integer. Received: num_steps=20.0"),
    ],
)
def test_a_range_that_makes_no_scan_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        checked_ramp(**{"start_lr": 1e-7, "end_lr": 10.0, "num_steps": 100, **options})
