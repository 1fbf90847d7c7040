"""Tests the fit of an axis to its labels, with labels that are misread or missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan.pictures.axis import Tick, axis_from_range, factor_of, fit_axis, values_of


def ticks(texts: list[str], *, step: float = 50.0) -> list[Tick]:
    return [Tick(at=20 + step * index, text=text, values=values_of(text)[0]) for index, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10-7", 1e-7),
        ("1e-05", 1e-5),
        ("le-05", 1e-5),
        ("0.001", 1e-3),
        ("\u221225", -25.0),
        ("2x10-3", 2e-3),
        ("05", 0.5),
    ],
)
def test_a_label_is_read_as_its_number(text: str, value: float) -> None:
    assert values_of(text)[0][0] == pytest.approx(value)


@pytest.mark.parametrize("text", ["loss", "", "10-", "---", "1.2.3", "e5"])
def test_a_text_that_is_no_number_has_no_value(text: str) -> None:
    assert values_of(text)[0] == ()


def test_powers_of_ten_give_a_logarithmic_axis() -> None:
    axis = fit_axis(ticks(["10-7", "10-6", "10-5", "10-4"]), length=200, upward=True)
    assert axis is not None
    assert axis.is_log
    assert axis.values(np.array([20.0, 120.0])).tolist() == pytest.approx([1e-7, 1e-5])


def test_a_misread_label_is_outvoted() -> None:
    axis = fit_axis(ticks(["0.5", "1.0", "15", "2.0", "2.5"]), length=250, upward=True)
    assert axis is not None
    assert not axis.is_log
    assert float(axis.values(np.array([120.0]))[0]) == pytest.approx(1.5)


def test_a_hundred_among_powers_is_ten_to_the_zero() -> None:
    axis = fit_axis(ticks(["10-3", "10-2", "10-1", "100"]), length=200, upward=True)
    assert axis is not None
    assert float(axis.values(np.array([170.0]))[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("texts", "is_log"), [(["0.001", "0.01"], True), (["0.5", "1.0"], False), (["1", "10"], True), (["0", "2"], False)]
)
def test_two_labels_tell_the_scale_by_their_distance(texts: list[str], is_log: bool) -> None:
    axis = fit_axis(ticks(texts), length=100, upward=True)
    assert axis is not None
    assert axis.is_log is is_log


@pytest.mark.parametrize("texts", [["3", "1", "7", "2"], ["5"], [], ["a", "b", "c"], ["3", "2", "1"], ["0.3", "1.7"]])
def test_labels_that_do_not_agree_are_not_guessed_at(texts: list[str]) -> None:
    assert fit_axis(ticks(texts), length=200, upward=True) is None


@given(st.floats(-6, 0), st.floats(0.5, 6), st.floats(0, 300))
def test_a_given_range_is_met_at_both_places(low: float, decades: float, first: float) -> None:
    values = (10.0**low, 10.0 ** (low + decades))
    axis = axis_from_range((first, first + 400), values, is_log=True)
    assert axis.values(np.array([first, first + 400])).tolist() == pytest.approx(values)
    assert axis.place(values[0]) == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "factor"),
    [("1e6", (1e6, 0.0)), ("+2.3", (1.0, 2.3)), ("1e-7+2.302585", (1e-7, 2.302585)), ("title", (1.0, 0.0))],
)
def test_the_text_above_an_axis_is_a_factor_or_nothing(text: str, factor: tuple[float, float]) -> None:
    assert factor_of(text) == factor
