"""Tests that a scan is an instance of the host's callback class, and remains an `LRScan`."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan.scan import LRScan, last_scan
from tests.support import optional
from tests.support.hosts import BACKEND, IS_TF_KERAS, digits, lent, light

if TYPE_CHECKING:
    from pathlib import Path


class OtherCallback:
    """Imitates the callback class of a second host."""


def test_without_a_host_a_scan_is_what_it_is() -> None:
    code = "from keras_lrscan import LRScan; assert LRScan().__class__ is LRScan"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.keras
def test_a_scan_passes_for_a_callback_and_for_nothing_else(keras: Any) -> None:
    scan = LRScan()
    assert isinstance(scan, keras.callbacks.Callback)
    assert isinstance(scan, LRScan)
    assert type(scan) is LRScan
    assert not isinstance(scan, keras.callbacks.History | keras.callbacks.CallbackList | dict | list)


@pytest.mark.keras
def test_a_scan_passes_for_the_callbacks_of_two_hosts(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = types.SimpleNamespace(callbacks=types.SimpleNamespace(Callback=OtherCallback))
    monkeypatch.setitem(sys.modules, "keras" if IS_TF_KERAS else "tf_keras", other)
    scan: Any = LRScan()
    assert isinstance(scan, keras.callbacks.Callback)
    assert isinstance(scan, OtherCallback)


@pytest.mark.parametrize("broken", [types.ModuleType("keras"), types.SimpleNamespace(callbacks=None)])
def test_a_host_that_is_loading_at_the_moment_does_no_harm(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", broken)
    assert isinstance(LRScan(), LRScan)


@pytest.mark.keras
def test_the_type_that_is_shown_makes_true_scans(keras: Any) -> None:
    shown = LRScan().__class__
    assert issubclass(shown, keras.callbacks.Callback)
    assert (shown.__name__, shown.__module__) == ("LRScan", "keras_lrscan.scan")
    assert shown is LRScan().__class__
    assert type(shown(num_steps=12)) is LRScan


@pytest.mark.keras
def test_a_scan_survives_pickle_with_its_curve(keras: Any) -> None:
    scan = LRScan(num_steps=14, verbose=0)
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[scan])
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(scan, protocol))
        assert type(again) is LRScan
        assert again.curve.loss.tolist() == scan.curve.loss.tolist()


@pytest.mark.keras
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_scans_as_its_original_would(keras: Any, copied: Any) -> None:
    scan = copied(LRScan(num_steps=14, verbose=0))
    lent(keras).fit(*digits(), epochs=2, verbose=0, callbacks=[scan])
    assert (type(scan), len(scan.curve)) == (LRScan, 14)


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(IS_TF_KERAS or BACKEND != "tensorflow", reason="KerasTuner is for Keras 3 here")
def test_keras_tuner_takes_a_scan(keras: Any, tmp_path: Path) -> None:
    keras_tuner = optional.module("keras_tuner")
    tuner = keras_tuner.RandomSearch(lambda _: light(keras), "loss", max_trials=1, directory=str(tmp_path))
    tuner.search(*digits(), epochs=2, verbose=0, callbacks=[LRScan(num_steps=14, verbose=0)])
    found = last_scan()
    assert found is not None
    assert len(found.curve) == 14


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("how", ["instance", "class"])
def test_scikeras_takes_a_scan(keras: Any, how: str) -> None:
    if IS_TF_KERAS:
        pytest.skip("scikeras is for Keras 3")
    scikeras = optional.module("scikeras.wrappers", environment="py")
    options = {"callbacks": LRScan(num_steps=14, verbose=0)}
    if how == "class":
        options = {"callbacks": LRScan, "callbacks__num_steps": 14, "callbacks__verbose": 0}  # type: ignore[dict-item]
    scikeras.KerasClassifier(lambda: light(keras), epochs=2, verbose=0, **options).fit(*digits())
    found = last_scan()
    assert found is not None
    assert len(found.curve) == 14
