"""Tests that the model is restored, or can be, and the curve is kept, however a scan ends."""

from __future__ import annotations

import math
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import ScanError
from keras_lrscan.scan import LRScan, last_scan, lr_scan
from tests.support.hosts import BACKEND, compiled, digits, same_bits, state

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.keras


class BrokenDataError(Exception):
    """Raised by data that fails."""


def scan_of(model: Any, *data: Any, callbacks: tuple[Any, ...] = (), **options: Any) -> LRScan:
    recorder = LRScan(start_lr=1e-4, end_lr=1.0, num_steps=40, verbose=0)
    options = {"batch_size": 32, "epochs": 6, "verbose": 0, **options}
    try:
        model.fit(*data, callbacks=[recorder, *callbacks], **options)
    except ScanError:
        raise
    except BaseException as error:  # noqa: BLE001 - the test checks the state afterwards
        vars(recorder)["error"] = error
    return recorder


def stopper(keras: Any, action: Any) -> Any:
    class Stopper(keras.callbacks.Callback):  # type: ignore[misc]
        seen = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen += 1
            if self.seen == 5:
                action()

    return Stopper()


def used_model(keras: Any) -> Any:
    """Returns a model with momenta, which make a difference to what is put back."""
    model = compiled(keras, keras.optimizers.SGD(0.05, momentum=0.9))
    x, y = digits(64)
    model.fit(x, y, verbose=0)
    return model


@pytest.fixture(scope="module", name="model")
def _model(keras: Any) -> Any:
    """Returns the model that tests share, because each new one is compiled again."""
    return used_model(keras)


def test_ctrl_c_ends_the_scan_between_two_batches(keras: Any, model: Any) -> None:
    before, handler = state(model), signal.getsignal(signal.SIGINT)
    recorder = scan_of(model, *digits(), callbacks=(stopper(keras, lambda: os.kill(os.getpid(), signal.SIGINT)),))
    assert isinstance(vars(recorder)["error"], KeyboardInterrupt)
    assert recorder.curve.stop is StopReason.INTERRUPTED
    assert 5 <= len(recorder.curve) <= 6
    assert same_bits(before, state(model))
    assert signal.getsignal(signal.SIGINT) is handler
    assert last_scan() is recorder


def test_an_exception_in_another_callback_leaves_a_model_that_can_be_put_back(keras: Any, model: Any) -> None:
    before, handler = state(model), signal.getsignal(signal.SIGINT)

    def fail() -> None:
        raise BrokenDataError

    recorder = scan_of(model, *digits(), callbacks=(stopper(keras, fail),))
    assert isinstance(vars(recorder)["error"], BrokenDataError)
    assert recorder.curve.stop is StopReason.INTERRUPTED
    assert len(recorder.curve) == 5
    recorder.restore()
    assert same_bits(before, state(model))
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(recorder.curve) == 5
    model.fit(*digits(), verbose=0)
    trained = state(model)
    recorder.restore()
    assert same_bits(trained, state(model)), "a second restore must not undo later training"


@pytest.fixture(name="_ctrl_c_works")
def _ctrl_c() -> Iterator[None]:
    """Enables Ctrl-C, which a shell disables for background processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_works")
def test_ctrl_c_after_such_an_exception_is_not_swallowed(keras: Any, model: Any) -> None:
    before = state(model)

    def fail() -> None:
        raise BrokenDataError

    scan_of(model, *digits(), callbacks=(stopper(keras, fail),))
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert same_bits(before, state(model))


def broken_batches() -> Any:
    x, y = digits(640)
    for start in range(0, 160, 32):
        yield x[start : start + 32], y[start : start + 32]
    raise BrokenDataError


def test_an_exception_in_the_data_leaves_a_model_that_is_or_can_be_put_back(model: Any) -> None:
    before = state(model)
    recorder = scan_of(model, broken_batches(), shuffle=False, epochs=1, batch_size=None)
    assert hasattr(recorder, "error")
    recorder.restore()
    assert recorder.curve.stop is StopReason.INTERRUPTED
    assert 1 <= len(recorder.curve) <= 5
    assert same_bits(before, state(model))
    model.fit(*digits(), verbose=0)


def test_the_function_puts_the_model_back_whatever_happens(model: Any) -> None:
    before = state(model)
    with pytest.raises(Exception):  # noqa: B017, PT011 - each host wraps the error of the data
        lr_scan(model, broken_batches(), num_steps=20, verbose=0)
    assert same_bits(before, state(model))


def test_labels_out_of_range_leave_the_model_as_it_was(model: Any) -> None:
    before = state(model)
    x, y = digits(320)
    y[200:] = 77
    recorder = scan_of(model, x, y, shuffle=False)
    recorder.restore()
    assert same_bits(before, state(model))
    assert len(recorder.curve) >= 6
    finite = np.isfinite(recorder.curve.loss)
    assert finite[:6].all()


def test_a_batch_of_nans_stops_the_scan_and_is_kept(model: Any) -> None:
    before = state(model)
    x, y = digits(320)
    w = np.ones(320, "float32")
    w[200] = math.nan  # on some CPUs, ReLU turns NaN inputs into zero
    recorder = scan_of(model, x, y, shuffle=False, sample_weight=w)
    assert recorder.curve.stop is StopReason.NON_FINITE
    assert len(recorder.curve) == 7
    assert math.isnan(recorder.curve.loss[-1])
    assert same_bits(before, state(model))


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_another_callback_that_stops_training_is_told_apart_from_the_end_of_the_data(keras: Any, model: Any) -> None:
    recorder = scan_of(model, *digits(), callbacks=(stopper(keras, lambda: setattr(model, "stop_training", True)),))
    assert recorder.curve.stop is StopReason.INTERRUPTED
    assert len(recorder.curve) == 5
    x, y = digits(320)
    steps = iter([(x[:32], y[:32])] * 6)
    ended = scan_of(model, (batch for batch in steps), shuffle=False, epochs=1, batch_size=None)
    assert ended.curve.stop is StopReason.OUT_OF_BATCHES
    assert len(ended.curve) == 6


@pytest.mark.skipif(BACKEND != "jax", reason="only JAX destroys the arrays of a step that fails")
def test_a_step_that_fails_on_jax_leaves_living_arrays(keras: Any) -> None:
    model = used_model(keras)
    before = state(model)
    recorder = LRScan(num_steps=20, verbose=0)

    class Nasty(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            inner = model.train_function

            def fail(old: Any, iterator: Any) -> Any:
                inner(old, iterator)
                raise BrokenDataError

            model.train_function = fail

    with pytest.raises(BrokenDataError):
        model.fit(*digits(), epochs=3, verbose=0, callbacks=[Nasty(), recorder])
    recorder.restore()
    assert same_bits(before, state(model))


def test_the_model_is_put_back_when_a_look_at_the_data_fails(
    keras: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise BrokenDataError

    before = state(model)
    monkeypatch.setattr("keras_lrscan.recording.session.describe_labels", fails)
    recorder = scan_of(model, *digits(256))
    assert isinstance(vars(recorder)["error"], BrokenDataError)
    assert len(recorder.curve) > 1
    assert same_bits(before, state(model))
