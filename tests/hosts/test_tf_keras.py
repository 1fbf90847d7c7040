"""Tests optimizers that exist only in tf_keras: legacy ones, with decay and schedules, and those of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_lrscan.scan import LRScan
from tests.support.hosts import IS_TF_KERAS, batches_of, classifier, compiled, digits, replayed_losses, same_bits, state

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(not IS_TF_KERAS, reason="only tf_keras has these optimizers"),
]


def with_warm_up(keras: Any) -> Any:
    transformers = pytest.importorskip("transformers.optimization_tf", reason="transformers is not installed")
    decay = keras.optimizers.schedules.PolynomialDecay(1e-3, 50)
    schedule = transformers.WarmUp(initial_learning_rate=1e-3, decay_schedule_fn=decay, warmup_steps=5)
    return transformers.AdamWeightDecay(learning_rate=schedule, weight_decay_rate=0.01)


OPTIMIZERS: dict[str, Any] = {
    "legacy": lambda keras: keras.optimizers.legacy.Adam(1e-3),
    "legacy with decay": lambda keras: keras.optimizers.legacy.SGD(1e-2, momentum=0.9, decay=0.1),
    "legacy with a schedule": lambda keras: keras.optimizers.legacy.Adam(
        keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9)
    ),
    "transformers": with_warm_up,
}


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("legacy", False),
        ("legacy", True),
        ("legacy with decay", True),
        ("legacy with a schedule", False),
        ("transformers", False),
        ("transformers", True),
    ],
)
def test_training_after_a_scan_equals_training_without_one(keras: Any, name: str, used: bool) -> None:
    x, y = digits(200)
    ends = []
    for with_scan in (False, True):
        model = compiled(keras, OPTIMIZERS[name](keras), model=classifier(keras, rich=True))
        if used:
            model.fit(x, y, verbose=0)
        if with_scan:
            recorder = LRScan(start_lr=1e-5, end_lr=1.0, num_steps=12, verbose=0)
            model.fit(x, y, epochs=2, verbose=0, callbacks=[recorder])
            assert len(recorder.curve) == 12
        model.fit(x, y, epochs=2, verbose=0)
        ends.append(state(model))
    assert same_bits(*ends)


def notes_of(keras: Any, optimizer: Any, *, rich: bool, eager: bool, used: bool = False) -> str:
    """Returns the notes of a scan of a model with or without random layers."""
    x, y = digits(96)
    model = compiled(keras, optimizer, model=classifier(keras, rich=rich), run_eagerly=eager)
    if used:
        model.fit(x, y, verbose=0)
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=8, verbose=0)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[recorder])
    return " ".join(recorder.curve.context.notes)


def test_random_layers_in_eager_mode_are_named_as_what_cannot_be_restored(keras: Any) -> None:
    note = "out of reach in eager mode"
    assert note in notes_of(keras, keras.optimizers.SGD(0.01), rich=True, eager=True)
    assert note not in notes_of(keras, keras.optimizers.SGD(0.01), rich=False, eager=True)
    assert note not in notes_of(keras, keras.optimizers.SGD(0.01), rich=True, eager=False)


def test_nadam_in_its_first_fit_is_named_as_what_may_not_be_restored(keras: Any) -> None:
    note = "Nadam of tf_keras counts in Python"
    assert note in notes_of(keras, keras.optimizers.Nadam(0.01), rich=True, eager=False)
    assert note not in notes_of(keras, keras.optimizers.Nadam(0.01), rich=True, eager=False, used=True)
    assert note not in notes_of(keras, keras.optimizers.legacy.Nadam(0.01), rich=True, eager=False)
    assert note not in notes_of(keras, keras.optimizers.Adam(0.01), rich=True, eager=False)


@pytest.mark.parametrize("name", ["legacy with decay", "legacy with a schedule"])
def test_the_rates_are_those_of_the_ramp_whatever_the_optimizer_makes_of_its_own(keras: Any, name: str) -> None:
    x, y = digits(200)
    recorder = LRScan(start_lr=1e-4, end_lr=1e-1, num_steps=12, verbose=0)
    compiled(keras, OPTIMIZERS[name](keras)).fit(
        x, y, epochs=2, batch_size=32, shuffle=False, verbose=0, callbacks=[recorder]
    )
    rates = recorder.curve.lr.tolist()
    plain = keras.optimizers.legacy
    twin = plain.SGD(1e-2, momentum=0.9) if "decay" in name else plain.Adam(1e-2)
    batches = batches_of(x, y, size=32, epochs=2)
    losses = replayed_losses(compiled(keras, twin), batches, [*rates[1:], rates[-1]])
    np.testing.assert_allclose(recorder.curve.loss, losses, rtol=1e-4)
