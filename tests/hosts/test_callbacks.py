"""Tests that a scan and the other callbacks of the same `fit` do not harm each other."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.callbacks import TRACKERS, autologging_paused
from keras_lrscan.scan import LRScan
from tests.support.hosts import IS_TF_KERAS, compiled, digits, lent, same_bits, weights

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.keras


def clashing(keras: Any, folder: Path) -> list[Any]:
    callbacks = keras.callbacks
    found = [
        callbacks.BackupAndRestore(str(folder / "backup")),
        callbacks.CSVLogger(str(folder / "log.csv")),
        callbacks.EarlyStopping(monitor="loss", patience=0, restore_best_weights=True),
        callbacks.LearningRateScheduler(lambda _: 0.5),
        callbacks.ModelCheckpoint(str(folder / "model.weights.h5"), save_weights_only=True),
        callbacks.ReduceLROnPlateau(monitor="loss", patience=0),
    ]
    return found if IS_TF_KERAS else [*found, callbacks.SwapEMAWeights()]


@pytest.mark.parametrize("scan_first", [True, False])
def test_callbacks_that_judge_keep_or_steer_sit_out(keras: Any, tmp_path: Path, scan_first: bool) -> None:
    model = lent(keras)
    x, y = digits(200)
    before = [weight.tobytes() for weight in weights(model)]
    recorder, others = LRScan(num_steps=21, verbose=0), clashing(keras, tmp_path)
    model.fit(x, y, epochs=3, verbose=0, callbacks=[recorder, *others] if scan_first else [*others, recorder])
    assert [weight.tobytes() for weight in weights(model)] == before
    assert list(tmp_path.iterdir()) == []
    notes = " ".join(recorder.curve.context.notes)
    assert all(f"{type(other).__name__} was skipped during the scan: it" in notes for other in others)


def test_a_subclass_of_such_a_callback_sits_out_too(keras: Any) -> None:
    class Mine(keras.callbacks.EarlyStopping):  # type: ignore[misc]
        pass

    recorder = LRScan(num_steps=14, verbose=0)
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[Mine(monitor="loss", patience=0), recorder])
    assert "Mine was skipped during the scan" in recorder.curve.context.notes[0]


def test_two_scans_in_one_fit_are_refused_before_the_first_batch(keras: Any) -> None:
    model = lent(keras)
    before = weights(model)
    with pytest.raises(ScanError, match=r"Expected one `LRScan` in a `fit`. Received: two of them"):
        model.fit(*digits(), verbose=0, callbacks=[LRScan(verbose=0), LRScan(verbose=0)])
    assert same_bits(before, weights(model))


def test_harmless_callbacks_run_and_see_the_model_put_back_only_after_them(keras: Any) -> None:
    calls: list[str] = []

    class Spy(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            calls.append(f"epoch {epoch}")

        def on_train_end(self, logs: Any = None) -> None:
            calls.append("end")
            for weight in self.model.trainable_variables:
                weight.assign(weight * 0.0)

    model = lent(keras)
    before = weights(model)
    model.fit(*digits(), epochs=3, verbose=0, callbacks=[LRScan(num_steps=14, verbose=0), Spy()])
    assert calls == ["epoch 0", "epoch 1", "end"]
    assert same_bits(before, weights(model))


def test_validation_data_is_not_evaluated_in_a_scan_and_is_afterwards(keras: Any) -> None:
    model = compiled(keras, metrics=["accuracy"])
    x, y = digits(200)
    options = {"verbose": 0, "validation_data": (x[:50], y[:50])}
    scanned = model.fit(x, y, epochs=2, callbacks=[LRScan(num_steps=14, verbose=0)], **options).history
    assert sorted(scanned) == ["accuracy", "learning_rate", "loss"]
    assert "val_loss" in model.fit(x, y, **options).history


def test_a_scan_need_not_be_in_a_list(keras: Any) -> None:
    recorder = LRScan(num_steps=14, verbose=0)
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=recorder)
    assert len(recorder.curve) == 14


def test_callbacks_of_the_user_run_and_are_named(keras: Any) -> None:
    class Spy(keras.callbacks.Callback):  # type: ignore[misc]
        pass

    recorder, quiet = LRScan(num_steps=14, verbose=0), keras.callbacks.TerminateOnNaN()
    others = [Spy(), Spy(), keras.callbacks.LambdaCallback(), quiet]
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[recorder, *others])
    told = "ran during the scan and received its losses, because keras_lrscan does not know this callback."
    assert recorder.curve.context.notes == (f"Spy {told}", f"LambdaCallback {told}")


def of_package(keras: Any, package: str) -> Any:
    """Returns a callback of the user's that subclasses one of a tracker."""

    def unwanted(*_: Any, **__: Any) -> None:
        msg = f"{package} was told of the scan"
        raise AssertionError(msg)

    base = type("Tracker", (keras.callbacks.Callback,), {"__module__": f"{package}.keras", "on_train_begin": unwanted})
    return type("Own", (base,), {"on_epoch_end": unwanted, "on_train_batch_end": unwanted})()


def test_callbacks_of_trackers_sit_out_also_where_the_user_has_derived_from_them(keras: Any) -> None:
    others = [of_package(keras, package) for package in TRACKERS]
    recorder = LRScan(num_steps=14, verbose=0)
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[recorder, *others])
    reasons = dict.fromkeys(TRACKERS.values())
    assert recorder.curve.context.notes == tuple(f"Own was skipped during the scan: {reason}." for reason in reasons)


def test_without_the_way_to_pause_autologging_nothing_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.utils.autologging_utils", types.ModuleType("old"))
    with autologging_paused():
        pass
