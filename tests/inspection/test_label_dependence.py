"""Tests whether labels depend on inputs, and when a scan runs this test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import lr_scan
from keras_lrscan.inspection.label_dependence import labels_follow_inputs
from tests.support.hosts import compiled, digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(400, 5)).astype("float32")


@pytest.mark.parametrize(
    ("loss", "labels", "expected"),
    [
        ("sparse_categorical_crossentropy", (X[:, 0] > 0).astype(int), True),
        ("sparse_categorical_crossentropy", RANDOM.integers(0, 3, 400), False),
        ("categorical_crossentropy", np.eye(2)[(X[:, 1] > 0).astype(int)], True),
        ("mean_squared_error", X[:, 0] + 0.1 * X[:, 1], True),
        ("mean_squared_error", RANDOM.normal(size=400), False),
        ("mean_squared_error", np.zeros(400), None),
        ("sparse_categorical_crossentropy", RANDOM.integers(0, 3, (400, 7)), None),
        ("a_loss_of_my_own", X[:, 0], None),
    ],
)
def test_labels_that_hang_on_inputs_are_told_from_those_that_do_not(
    loss: str,
    labels: NDArray[Any],
    expected: object,
) -> None:
    assert labels_follow_inputs(loss, [X], labels, are_words=False) is expected


def test_words_count_and_their_numbers_do_not() -> None:
    words = RANDOM.integers(10, 1000, (400, 12))
    labels = RANDOM.integers(0, 2, 400)
    words[:, 3] = np.where(labels == 1, 7, words[:, 3])
    assert labels_follow_inputs("binary_crossentropy", [words], labels, are_words=True)


def test_keys_whose_effects_do_not_add_up_are_not_called_unrelated() -> None:
    users, items = RANDOM.integers(0, 30, (400, 1)), RANDOM.integers(0, 20, (400, 1))
    tastes, kinds = RANDOM.normal(size=(30, 4)), RANDOM.normal(size=(20, 4))
    ratings = (tastes[users[:, 0]] * kinds[items[:, 0]]).sum(axis=1)
    assert labels_follow_inputs("mean_squared_error", [users, items], ratings, are_words=True) is None
    assert labels_follow_inputs("mean_squared_error", [users, items], users[:, 0], are_words=True)
    words = RANDOM.integers(0, 30, (400, 12))
    assert labels_follow_inputs("mean_squared_error", [words], ratings, are_words=True) is False


def test_samples_that_hold_no_numbers_are_left_out() -> None:
    broken = np.where(np.arange(400)[:, None] % 5 == 0, np.nan, X)
    assert labels_follow_inputs("mean_squared_error", [broken], X[:, 0], are_words=False)


@pytest.mark.keras
@pytest.mark.one_backend
def test_a_scan_whose_loss_does_not_fall_says_whether_labels_hang_on_inputs(keras: Any) -> None:
    x, y = digits(1200)
    model = compiled(keras)
    healthy = lr_scan(model, x, y, batch_size=32, verbose=0)
    shuffled = lr_scan(model, x, np.random.default_rng(0).permutation(y), batch_size=32, verbose=0)
    assert healthy.curve.context.labels_follow_inputs is None
    assert shuffled.curve.context.labels_follow_inputs is False
    assert shuffled.findings[0].name == "labels-not-reaching-loss"
