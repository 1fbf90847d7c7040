"""Tests scans of a loop over `train_on_batch`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import ScanError
from keras_lrscan.scan import LRScan, last_scan
from tests.support.hosts import (
    batches_of,
    classifier,
    compiled,
    digits,
    lent,
    light,
    replayed_losses,
    same_bits,
    state,
    twin,
)

pytestmark = pytest.mark.keras

STEPS = 16


def loop(model: Any, *, num_steps: int = STEPS, evaluate: bool = False) -> LRScan:
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=num_steps, verbose=0)
    x, y = digits(200)
    with recorder.on(model):
        for batch in batches_of(x, y, size=32, epochs=5):
            model.train_on_batch(*batch)
            if evaluate:
                model.evaluate(x, y, verbose=0)
            if recorder.is_over:
                break
    return recorder


@pytest.mark.parametrize("evaluate", [False, True], ids=["alone", "evaluating in between"])
def test_losses_are_exact_and_stand_at_the_rates_of_a_fit(keras: Any, evaluate: bool) -> None:
    recorder = loop(lent(keras), evaluate=evaluate)
    rates = recorder.curve.lr.tolist()
    assert (len(rates), recorder.curve.stop) == (STEPS, StopReason.END_LR)
    expected = replayed_losses(twin(keras), batches_of(*digits(200), size=32, epochs=5), [*rates[1:], rates[-1]])
    np.testing.assert_allclose(recorder.curve.loss, expected, rtol=1e-4)
    assert last_scan() is recorder


def test_the_model_is_as_it_was_after_the_loop(keras: Any) -> None:
    model = compiled(keras, model=classifier(keras, rich=True), metrics=["accuracy"])
    x, y = digits(64)
    model.train_on_batch(x, y)
    before = state(model)
    loop(model)
    assert same_bits(before, state(model))


def test_an_exception_in_the_loop_puts_the_model_back_and_keeps_the_record(keras: Any) -> None:
    model = lent(keras)
    x, y = digits(64)
    before = state(model)
    recorder = LRScan(verbose=0)

    def broken_loop() -> None:
        with recorder.on(model):
            for count in range(3, -1, -1):
                model.train_on_batch(x, y)
                assert 1 / count > 0

    with pytest.raises(ZeroDivisionError):
        broken_loop()
    assert same_bits(before, state(model))
    assert (len(recorder.curve), recorder.curve.stop) == (4, StopReason.INTERRUPTED)


def test_the_call_returns_the_loss_of_its_batch_alone(keras: Any) -> None:
    model = compiled(keras, metrics=["accuracy"])
    x, y = digits(64)
    recorder = LRScan(num_steps=8, verbose=0)
    with recorder.on(model):
        returned = [model.train_on_batch(x[at : at + 8], y[at : at + 8], return_dict=True) for at in range(0, 64, 8)]
    assert [set(logs) for logs in returned] == [{"accuracy", "loss"}] * 8
    np.testing.assert_allclose([float(logs["loss"]) for logs in returned], recorder.curve.loss, rtol=1e-6)


def test_a_model_without_weights_is_refused(keras: Any) -> None:
    with (
        pytest.raises(ScanError, match="Call it on one batch first"),
        LRScan().on(light(keras, model=classifier(keras, given_input=False))),
    ):
        pytest.fail("the block must not run")
