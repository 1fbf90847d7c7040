"""Tests scans of compiled and eager steps, several steps at once, accumulated gradients and several optimizers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.scan import LRScan
from tests.support.hosts import (
    BACKEND,
    IS_TF_KERAS,
    array_of,
    batches_of,
    compiled,
    digits,
    light,
    replayed_losses,
    same_bits,
    twin,
    weights,
)

pytestmark = [pytest.mark.keras, pytest.mark.optimized]

STEPS = 20


def scan(model: Any, *, epochs: int = 3, num_steps: int = STEPS) -> LRScan:
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=num_steps, verbose=0)
    x, y = digits(250)
    model.fit(x, y, batch_size=32, epochs=epochs, shuffle=False, verbose=0, callbacks=[recorder])
    return recorder


@cache
def expected(keras: Any, rates: tuple[float, ...]) -> list[float]:
    """Returns the losses of training by hand, which are the same in all modes."""
    batches = batches_of(*digits(250), size=32, epochs=3)
    return replayed_losses(twin(keras), batches, [*rates[1:], rates[-1]])


MODES: dict[str, dict[str, Any]] = {
    "compiled": {"jit_compile": True},
    "not compiled": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "five steps at once": {"steps_per_execution": 5},
    "five compiled steps at once": {"steps_per_execution": 5, "jit_compile": True},
}


IN_MINORS = {"compiled", "five steps at once"}
"""Modes that are also tested with older versions of Keras."""


MARKS = {
    **dict.fromkeys(IN_MINORS, (pytest.mark.minors,)),
    "five compiled steps at once": (pytest.mark.one_host,),  # the others have both of its options
}


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=MARKS.get(mode, ())) for mode in MODES])
def test_losses_are_exact_and_training_goes_on_as_without_a_scan(keras: Any, mode: str) -> None:
    options = MODES[mode]
    if BACKEND == "torch" and ("steps_per_execution" in options or options.get("jit_compile")):
        pytest.skip("Keras on torch runs one step at a time, and torch.compile needs a C++ compiler")
    ends = []
    for with_scan in (True, False):
        model = light(keras, **options)
        if with_scan:
            recorder = scan(model)
            assert len(recorder.curve) == STEPS
            np.testing.assert_allclose(recorder.curve.loss, expected(keras, tuple(recorder.curve.lr)), rtol=1e-4)
        model.fit(*digits(96), shuffle=False, verbose=0)
        ends.append(weights(model))
    assert same_bits(*ends)


def test_several_steps_at_once_end_with_the_data_of_an_epoch(keras: Any) -> None:
    if BACKEND == "torch":
        pytest.skip("Keras on torch runs one step at a time")
    model = light(keras, steps_per_execution=5)
    recorder = scan(model, num_steps=100, epochs=5)
    assert recorder.curve.context.num_steps == 40
    assert recorder.curve.stop is StopReason.END_LR
    steps = model._steps_per_execution if IS_TF_KERAS else model.steps_per_execution
    assert int(array_of(steps) if IS_TF_KERAS else steps) == 5


@pytest.mark.skipif(IS_TF_KERAS, reason="tf_keras has no gradient accumulation")
def test_the_rate_advances_once_per_real_update(keras: Any) -> None:
    def gathering() -> Any:
        return compiled(keras, keras.optimizers.SGD(1e-3, gradient_accumulation_steps=4))

    model = gathering()
    recorder = scan(model, epochs=6, num_steps=10)
    rates = recorder.curve.lr.tolist()
    batches = batches_of(*digits(250), size=32, epochs=6)
    each = [rate for rate in [*rates[1:], rates[-1]] for _ in range(4)]
    losses = np.reshape(replayed_losses(gathering(), batches, each), (10, 4)).mean(axis=1)
    np.testing.assert_allclose(recorder.curve.loss, losses, rtol=1e-4)
    assert recorder.curve.context.num_steps == 10


@pytest.mark.skipif(BACKEND == "torch", reason="half precision on torch needs a GPU")
def test_half_precision_with_loss_scaling(keras: Any) -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        ends = []
        for with_scan in (True, False):
            model = compiled(keras)
            if with_scan:
                recorder = scan(model)
                assert np.isfinite(recorder.curve.loss).all()
                assert len(recorder.curve) == STEPS
                assert (recorder.curve.context.optimizer, recorder.curve.context.precision) == (
                    "Adam",
                    "mixed_float16",
                )
            model.fit(*digits(96), shuffle=False, verbose=0)
            ends.append(weights(model))
        assert same_bits(*ends)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.skipif(IS_TF_KERAS, reason="tf_keras keeps no map of optimizers")
def test_several_optimizers_keep_the_ratio_of_their_rates(keras: Any) -> None:
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    main = keras.optimizers.SGD(1e-2)
    slow = keras.optimizers.SGD(1e-3)
    chosen = keras.optimizers.OptimizerMap(main)
    model = light(keras)
    chosen[model.layers[0].kernel.path] = slow
    model = compiled(keras, keras.optimizers.MultiOptimizer(chosen), model=model)
    seen = []

    class Spy(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model  # noqa: B018 - on JAX, the property updates the variables
            seen.append((float(array_of(main._learning_rate)), float(array_of(slow._learning_rate))))

    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=16, verbose=0)
    model.fit(*digits(250), epochs=2, verbose=0, callbacks=[recorder, Spy()])
    assert seen[0][0] == pytest.approx(recorder.curve.lr[8])
    assert seen[0][1] == pytest.approx(0.1 * seen[0][0])
    assert float(array_of(slow._learning_rate)) == pytest.approx(1e-3)
