"""Tests whether a loss is a sum or a mean, and the chance level of losses that sum over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan.inspection.loss_sums import NOTHING, OUTPUTS, SAMPLES, adds_up
from keras_lrscan.scan import LRScan
from tests.support.hosts import stacked

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=(600, 8)).astype("float32")
Y = (X @ RANDOM.normal(size=(8, 3)) + 2).astype("float32")
ARRAYS: dict[str, tuple[Callable[[Any, Any], Any], str | None]] = {
    "mean of all": (lambda a, b: ((a - b) ** 2).mean(), NOTHING),
    "mean of each": (lambda a, b: ((a - b) ** 2).mean(-1), NOTHING),
    "sum of all": (lambda a, b: ((a - b) ** 2).sum(), SAMPLES),
    "sum of each": (lambda a, b: ((a - b) ** 2).sum(-1), OUTPUTS),
    "mean of sums": (lambda a, b: ((a - b) ** 2).sum(-1).mean(), OUTPUTS),
    "length": (lambda a, b: np.sqrt(((a - b) ** 2).sum()), None),
    "nothing at all": (lambda a, b: 0 * (a - b).sum(), None),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_what_a_loss_adds_up(name: str) -> None:
    loss, expected = ARRAYS[name]
    assert adds_up(loss, Y, np.zeros_like(Y)) == expected


def test_shares_of_classes_are_summed_as_they_should_be() -> None:
    shares = RANDOM.dirichlet(np.ones(4), size=50)
    assert adds_up(lambda a, b: -(a * np.log(b)).sum(-1), shares, np.full((50, 4), 0.25)) == NOTHING


def test_losses_of_several_places_are_summed_over_them_or_not() -> None:
    codes = RANDOM.integers(0, 4, (50, 6))
    said = RANDOM.dirichlet(np.ones(4), size=(50, 6))

    def of_each(labels: Any, predicted: Any) -> Any:
        return -np.log(np.take_along_axis(predicted, labels[..., None], axis=-1))[..., 0]

    assert adds_up(lambda a, b: of_each(a, b).sum(-1), codes, said) == OUTPUTS
    assert adds_up(of_each, codes, said) == NOTHING


@given(st.integers(2, 200), st.integers(1, 6), st.floats(0.01, 100))
def test_a_sum_is_told_from_a_mean_whatever_the_size(rows: int, outputs: int, scale: float) -> None:
    truth = np.arange(rows * outputs, dtype=float).reshape(rows, outputs) + 1
    assert adds_up(lambda a, b: scale * np.abs(a - b).sum(), truth, truth * 0) == SAMPLES
    assert adds_up(lambda a, b: scale * np.abs(a - b).mean(), truth, truth * 0) == NOTHING


def test_one_sample_cannot_tell() -> None:
    assert adds_up(lambda a, b: (a - b).sum(), Y[:1], Y[:1] * 0) is None


def summed(truth: Any, said: Any) -> Any:
    return ((truth - said) ** 2).sum() if hasattr(said, "sum") else _tensorflow().reduce_sum((truth - said) ** 2)


def _tensorflow() -> Any:
    return pytest.importorskip("tensorflow")


@pytest.mark.keras
def test_the_chance_level_is_that_of_a_batch_where_the_loss_is_its_sum(keras: Any) -> None:
    model = stacked(keras, (8,), lambda k: [k.Dense(3)], loss=summed)
    scan = LRScan(start_lr=1e-7, end_lr=1e-5, num_steps=10, verbose=0)
    model.fit(X, Y, batch_size=20, verbose=0, callbacks=[scan])
    context = scan.curve.context
    assert context.loss_adds_up == SAMPLES
    assert context.chance_loss == pytest.approx(20 * Y.var(axis=0).sum(), rel=0.02)


@pytest.mark.one_backend
@pytest.mark.keras
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_losses_of_keras_are_means(keras: Any, loss: str) -> None:
    model = stacked(keras, (8,), lambda k: [k.Dense(3)], loss=loss)
    scan = LRScan(start_lr=1e-7, end_lr=1e-5, num_steps=10, verbose=0)
    model.fit(X, Y, verbose=0, callbacks=[scan])
    assert scan.curve.context.loss_adds_up == NOTHING


@pytest.mark.parametrize("growth", [3.0, float("inf"), 1.5])
def test_a_loss_that_grows_by_another_factor_than_two_is_no_sum(growth: float) -> None:
    def aligned(truth: Any, predictions: Any) -> Any:
        return np.full(len(truth), 1.0 if truth.shape[1] == 1 else growth)

    assert adds_up(aligned, np.ones((8, 1)), np.zeros((8, 1, 4))) is None
