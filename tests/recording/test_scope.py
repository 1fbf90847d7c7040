"""Tests that a scan restores the model after an exception in any hook, in the data, or from an interrupt."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan.errors import ScanError
from keras_lrscan.experiments.race import race
from keras_lrscan.scan import LRScan, lr_scan
from tests.support.hosts import BACKEND, IS_TF_KERAS, compiled, digits, same_bits, state

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.keras,
    # Keras's own code for JAX and torch uses an outdated NumPy protocol
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
    "set_model",
)


class BrokenError(Exception):
    """Raised by a custom callback."""


def raises(error: type[BaseException]) -> Callable[[Any], None]:
    def fail(_: Any) -> None:
        raise error

    return fail


def interrupts_twice(_: Any) -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


FAILURES: dict[str, tuple[Callable[[Any], None], type[BaseException]]] = {
    "an exception": (raises(BrokenError), BrokenError),
    "KeyboardInterrupt": (raises(KeyboardInterrupt), KeyboardInterrupt),
    "SystemExit": (raises(SystemExit), SystemExit),
    "MemoryError": (raises(MemoryError), MemoryError),
    "two times Ctrl-C": (interrupts_twice, KeyboardInterrupt),
    "compile": (lambda model: model.compile("sgd", "mse"), ScanError),
}


@pytest.fixture(name="_ctrl_c_works", autouse=True)
def _ctrl_c() -> Any:
    """Enables Ctrl-C, which a shell disables for background processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(name="model", scope="module")
def _model(keras: Any) -> Any:
    """Returns a trained model that every test must leave unchanged."""
    model = compiled(keras, metrics=["accuracy"])
    x, y = digits(64)
    model.fit(x, y, verbose=0)
    return model


def failing(keras: Any, hook: str, action: Callable[[Any], None]) -> Any:
    """Returns a callback that fails in the second call of a batch hook, or in the first call of another hook."""

    class Failing(keras.callbacks.Callback):  # type: ignore[misc]
        calls = 0

    def fail(self: Any, *args: Any, **_: Any) -> None:
        self.calls += 1
        if hook == "set_model":
            self._model = args[0]
            if action is FAILURES["compile"][0]:  # compiling is allowed before the scan begins
                raise ScanError
        if self.calls == (2 if "batch" in hook else 1):
            action(args[0] if hook == "set_model" else self.model)

    setattr(Failing, hook, fail)
    return Failing()


def scan_by(way: str, model: Any, x: Any, y: Any, callback: Any) -> None:
    if way == "function":
        lr_scan(model, x, y, num_steps=8, batch_size=32, callbacks=[callback], verbose=0)
    else:
        callbacks = [callback, LRScan(num_steps=8, verbose=0)]
        model.fit(x, y, batch_size=32, epochs=3, callbacks=callbacks, verbose=0)


RAISED_ALIKE = {"SystemExit", "MemoryError"}
"""Failures that differ from others of the table by nothing that a host looks at."""


@pytest.mark.parametrize("way", ["callback", "function"])
@pytest.mark.parametrize(
    "failure",
    [pytest.param(name, marks=pytest.mark.one_host if name in RAISED_ALIKE else ()) for name in FAILURES],
)
@pytest.mark.parametrize("hook", HOOKS)
def test_no_failure_in_a_hook_leaves_anything_behind(keras: Any, model: Any, hook: str, failure: str, way: str) -> None:
    action, error = FAILURES[failure]
    before, handler, attributes = state(model), signal.getsignal(signal.SIGINT), set(vars(model))
    callback = failing(keras, hook, action)
    x, y = digits(96)
    with pytest.raises(error):
        scan_by(way, model, x, y, callback)
    assert callback.calls
    assert same_bits(before, state(model))
    assert signal.getsignal(signal.SIGINT) is handler
    assert set(vars(model)) <= attributes | {"history"}


def test_a_training_after_a_failed_scan_is_the_training_without_it(keras: Any) -> None:
    ends = []
    x, y = digits(96)
    for with_scan in (False, True):
        model = compiled(keras, keras.optimizers.SGD(0.05, momentum=0.9))
        model.fit(x, y, batch_size=32, verbose=0)
        if with_scan:
            callback = failing(keras, "on_epoch_end", raises(BrokenError))
            with pytest.raises(BrokenError):
                scan_by("callback", model, x, y, callback)
        history = model.fit(x, y, batch_size=32, validation_data=(x, y), verbose=0)
        ends.append((state(model), history.history))
    assert same_bits(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]
    assert "val_loss" in ends[1][1]


def broken_batches() -> Any:
    x, y = digits(640)
    for start in range(0, 96, 32):
        yield x[start : start + 32], y[start : start + 32]
    raise BrokenError


USES: dict[str, Callable[[Any], Any]] = {
    "evaluate": lambda model: model.evaluate(*digits(32), verbose=0),
    "get_weights": lambda model: model.get_weights(),
    "predict": lambda model: model.predict(digits(32)[0], verbose=0),
    "test_on_batch": lambda model: model.test_on_batch(*digits(32)),
}


@pytest.mark.parametrize("use", USES)
def test_data_that_break_leave_a_model_that_is_put_back_before_it_is_used(model: Any, use: str) -> None:
    before = state(model)
    scan = LRScan(num_steps=20, start_lr=1e-2, verbose=0)
    # each host wraps the error of the data in its own; a reference to it keeps the frames of `fit` alive
    with pytest.raises(Exception) as held:  # noqa: PT011 - each host wraps it in its own
        model.fit(broken_batches(), callbacks=[scan], shuffle=False, verbose=0)
    USES[use](model)
    assert same_bits(before, state(model))
    assert held.value is not None


def test_data_that_break_leave_a_model_that_is_put_back_once_the_error_is_handled(model: Any) -> None:
    before = state(model)
    scan = LRScan(num_steps=20, start_lr=1e-2, verbose=0)
    with contextlib.suppress(Exception):
        model.fit(broken_batches(), callbacks=[scan], shuffle=False, verbose=0)
    assert same_bits(before, state(model))
    assert "fit" not in vars(model)


def test_a_callback_may_evaluate_within_a_scan(keras: Any, model: Any) -> None:
    """Its results are correct, and the losses of the scan are the same as without it."""
    x, y = digits(96)
    seen: list[float] = []

    class Evaluates(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                seen.append(float(self.model.evaluate(x[:40], y[:40], verbose=0, return_dict=True)["loss"]))

    curves = []
    for callbacks in ([], [Evaluates()]):
        scan = LRScan(num_steps=8, start_lr=1e-9, end_lr=1e-8, verbose=0)
        model.fit(x, y, batch_size=32, epochs=4, shuffle=False, verbose=0, callbacks=[*callbacks, scan])
        curves.append(scan.curve.loss)
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert seen[0] == pytest.approx(
        float(model.evaluate(x[:40], y[:40], verbose=0, return_dict=True)["loss"]), rel=1e-4
    )


@pytest.mark.parametrize("method", ["compile", "fit", "train_on_batch"])
def test_what_would_train_or_exchange_the_step_within_a_scan_is_refused(keras: Any, model: Any, method: str) -> None:
    before = state(model)
    x, y = digits(96)
    arguments = ("sgd", "mse") if method == "compile" else (x[:32], y[:32])
    callback = failing(keras, "on_epoch_end", lambda model: getattr(model, method)(*arguments))
    with pytest.raises(ScanError, match=rf"Received: a call of `model.{method}` within the scan"):
        model.fit(x, y, batch_size=32, epochs=3, callbacks=[callback, LRScan(num_steps=8, verbose=0)], verbose=0)
    assert same_bits(before, state(model))


def test_compiling_within_a_scan_of_a_loop_is_refused(model: Any) -> None:
    before = state(model)
    x, y = digits(32)

    def loop() -> None:
        with LRScan(verbose=0).on(model):
            model.train_on_batch(x, y)
            model.compile("sgd", "mse")

    with pytest.raises(ScanError, match="while a scan runs"):
        loop()
    assert same_bits(before, state(model))


@pytest.mark.parametrize("again", ["same", "other", "experiment"])
def test_a_model_within_a_scan_of_a_loop_is_not_scanned_again(model: Any, again: str) -> None:
    before = state(model)
    x, y = digits(32)

    def loop() -> None:
        outer = LRScan(verbose=0)
        with outer.on(model):
            model.train_on_batch(x, y)
            if again == "experiment":
                race(model, x, y, candidates=[1e-3, 1e-2], verbose=0)
            with (outer if again == "same" else LRScan(verbose=0)).on(model):
                model.train_on_batch(x, y)

    with pytest.raises(ScanError, match="not being scanned"):
        loop()
    assert same_bits(before, state(model))


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_the_end_of_the_data_told_by_a_callback_ends_an_epoch_only(keras: Any, model: Any) -> None:
    """Keras interprets a StopIteration as the end of the data, so the scan continues and restores the model later."""
    if IS_TF_KERAS or BACKEND != "tensorflow":
        pytest.skip("other hosts let the exception out")
    before = state(model)
    callback = failing(keras, "on_train_batch_end", raises(StopIteration))
    scan = LRScan(num_steps=8, verbose=0)
    x, y = digits(96)
    model.fit(x, y, batch_size=32, epochs=5, callbacks=[callback, scan], verbose=0)
    assert len(scan.curve) == 8
    assert same_bits(before, state(model))
