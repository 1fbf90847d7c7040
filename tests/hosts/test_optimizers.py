"""Tests the notes on optimizers with a step size that depends on more than the learning rate."""

from __future__ import annotations

from typing import Any

import pytest

from keras_lrscan.hosts.optimizers import optimizer_notes
from keras_lrscan.scan import lr_scan
from tests.support.hosts import compiled, digits


class Adafactor:
    def __init__(self, *, relative_step: bool = True) -> None:
        self.relative_step = relative_step


class Wrapper:
    def __init__(self, *inner: Any) -> None:
        self.optimizers = inner


def test_the_cap_of_adafactor_is_told_as_it_is_at_the_end_of_the_scan() -> None:
    (note,) = optimizer_notes(Adafactor(), 400)
    assert "0.05 at the end of this scan" in note


def test_adafactor_without_its_cap_needs_no_note() -> None:
    assert optimizer_notes(Adafactor(relative_step=False), 400) == ()


def test_optimizers_within_another_are_looked_at_and_named_once() -> None:
    assert len(optimizer_notes(Wrapper(Adafactor(), Adafactor()), 100)) == 1


@pytest.mark.keras
@pytest.mark.parametrize("name", ["Adafactor", "ScheduleFreeAdamW", "Adam"])
def test_a_scan_says_so(keras: Any, name: str) -> None:
    if not hasattr(keras.optimizers, name):
        pytest.skip("this Keras has no such optimizer")
    model = compiled(keras, getattr(keras.optimizers, name)(1e-3))
    analysis = lr_scan(model, *digits(320), num_steps=10, batch_size=32, verbose=0)
    told = [note for note in analysis.curve.context.notes if note.startswith(name)]
    assert len(told) == (name != "Adam")


@pytest.mark.keras
@pytest.mark.one_host
@pytest.mark.parametrize("relative_step", [True, False])
def test_a_scan_ends_at_the_largest_rate_that_the_optimizer_takes(keras: Any, *, relative_step: bool) -> None:
    x, y = digits(320)
    model = compiled(keras, keras.optimizers.Adafactor(1e-3, relative_step=relative_step))
    curve = lr_scan(model, x + 1e-3, y, num_steps=25, batch_size=32, verbose=0).curve
    assert curve.context.end_lr == pytest.approx(0.2 if relative_step else 10)
    assert curve.lr[-1] <= curve.context.end_lr
