"""Tests suggestions for another batch size than that of the scan."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidCurveError, InvalidOptionError, ScanContext
from keras_lrscan.suggestions.batch_size import MAX_CHANGE, MEASURED, for_batch_size
from keras_lrscan.suggestions.suggest import Role, Suggestion

FOUND = Suggestion(method="default", role=Role.CONSTANT, lr=1e-3, low=4e-4, high=2.5e-3, reason="A rate.")
CONTEXT = ScanContext(batch_size=32, optimizer="Adam")


@given(scanned=st.integers(1, 4096), change=st.floats(1 / MAX_CHANGE, MAX_CHANGE))
def test_the_rate_moves_with_the_square_root_within_a_range_that_never_narrows(scanned: int, change: float) -> None:
    size = min(max(math.ceil(scanned / MAX_CHANGE), round(scanned * change)), scanned * MAX_CHANGE)
    moved = for_batch_size(FOUND, dataclasses.replace(CONTEXT, batch_size=scanned), size)
    assert moved.lr == pytest.approx(1e-3 * math.sqrt(size / scanned))
    assert moved.low is not None
    assert moved.high is not None
    assert moved.high / moved.low >= 2.5e-3 / 4e-4 * (1 - 1e-9)


def test_the_rate_of_sgd_moves_in_proportion_with_momentum_and_with_the_square_root_without() -> None:
    heavy, plain = (
        for_batch_size(FOUND, ScanContext(batch_size=32, optimizer="SGD", momentum=momentum), 128)
        for momentum in (0.9, 0.0)
    )
    assert heavy.lr == pytest.approx(4e-3)
    assert heavy.reason == "A rate. It was multiplied by 128/32, for as many epochs."
    assert plain.lr == pytest.approx(2e-3)


def test_the_reason_names_the_move() -> None:
    moved = for_batch_size(FOUND, CONTEXT, 128)
    assert moved.reason == "A rate. It was multiplied by the square root of 128/32, for as many epochs."


def test_the_batch_size_of_the_scan_changes_nothing() -> None:
    assert for_batch_size(FOUND, dataclasses.replace(CONTEXT, optimizer="Lion"), 32) == FOUND


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"optimizer": "Lion"}, "the rule was measured with SGD, Adam, AdamW, RMSprop, and not with Lion."),
        ({"optimizer": None}, "and not with an unknown optimizer."),
        ({"optimizer": "SGD"}, "the momentum of this SGD is unknown."),
        ({"loss_reduction": "sum"}, "the loss adds up the samples of a batch"),
        ({"loss_adds_up": "samples"}, "the loss adds up the samples of a batch"),
    ],
)
def test_no_rate_is_given_where_the_rule_was_not_measured(facts: dict[str, Any], reason: str) -> None:
    moved = for_batch_size(FOUND, dataclasses.replace(CONTEXT, **facts), 64)
    assert (moved.lr, moved.low, moved.high) == (None, None, None)
    assert reason in moved.reason
    assert moved.reason.endswith("Scan again with batches of 64.")


def test_a_curve_without_a_suggestion_gives_none_for_any_batch_size() -> None:
    none = Suggestion(method="default", role=Role.CONSTANT, lr=None, low=None, high=None, reason="It is flat.")
    assert for_batch_size(none, CONTEXT, 64) == none


@pytest.mark.parametrize("optimizer", MEASURED)
def test_every_measured_optimizer_gets_a_rate(optimizer: str) -> None:
    assert for_batch_size(FOUND, dataclasses.replace(CONTEXT, optimizer=optimizer, momentum=0.0), 64).lr is not None


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (7, r"`batch_size` must be from 8 to 128, within a factor of 4 of that of the scan. Received: batch_size=7"),
        (129, r"Received: batch_size=129. Scan again with that batch size"),
        (0, r"an integer of at least 1. Received: batch_size=0"),
        (64.0, r"an integer of at least 1. Received: batch_size=64.0"),
        (True, r"Received: batch_size=True"),
    ],
)
def test_a_batch_size_beyond_the_measured_change_is_refused(size: Any, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        for_batch_size(FOUND, CONTEXT, size)


def test_a_scan_with_an_unknown_batch_size_is_refused() -> None:
    with pytest.raises(InvalidCurveError, match="context has no `batch_size`"):
        for_batch_size(FOUND, ScanContext(optimizer="Adam"), 64)
