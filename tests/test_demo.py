"""Tests the demo on a real model and real data."""

from __future__ import annotations

import contextlib
import functools
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import keras_lrscan
from keras_lrscan.cli import main
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.datasets.digits import digits, digits_model
from keras_lrscan.reading.shapes import Shape
from tests.support.hosts import BACKEND, IS_TF_KERAS, array_of, same_bits, weights

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.keras
SEEDS = [0, 1, 2] if BACKEND == "tensorflow" and not IS_TF_KERAS else [0]
"""Seeds of the demo. One is enough for the other hosts, because the analysis does not depend on the host."""


@pytest.fixture
def x_y() -> tuple[Any, Any]:
    pytest.importorskip("sklearn", exc_type=ImportError)
    return digits()


class Demo(NamedTuple):
    """Holds a scan of a fresh classifier of digits, its model, the first weights, and what was printed."""

    scan: keras_lrscan.LRScan
    model: Any
    before: list[Any]
    printed: list[str]


@functools.cache
def demo(keras: Any, seed: int) -> Demo:
    """Scans a fresh classifier of digits, once for all tests."""
    keras.utils.set_random_seed(seed)
    model = digits_model()
    before = weights(model)
    scan = keras_lrscan.LRScan()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        model.fit(*digits(), epochs=3, callbacks=[scan], verbose=0)
    assert keras_lrscan.last_scan() is scan
    return Demo(scan, model, before, printed.getvalue().splitlines())


@pytest.mark.usefixtures("x_y")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fresh_digits_classifier_draws_a_u_from_chance(keras: ModuleType, seed: int) -> None:
    scan, model, before, _ = demo(keras, seed)
    # a few batches that are low by chance after the break can look like a second valley
    assert scan.analysis.verdict.shape in ({Shape.U_SHAPED} if seed < 2 else {Shape.U_SHAPED, Shape.SEVERAL_VALLEYS})
    assert scan.analysis.verdict.start_state == "at-chance"
    assert scan.analysis.suggestion.lr is not None
    assert 3e-4 <= scan.analysis.suggestion.lr <= 5e-2
    assert same_bits(before, weights(model))
    assert array_of(model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert array_of(model.optimizer.iterations) == 0


@pytest.mark.one_host
def test_a_trained_digits_classifier_is_told_to_be_already_good(keras: ModuleType, x_y: tuple[Any, Any]) -> None:
    keras.utils.set_random_seed(0)
    model = digits_model()
    model.fit(*x_y, epochs=10, verbose=0)
    scan = keras_lrscan.LRScan(verbose=0)
    model.fit(*x_y, epochs=3, callbacks=[scan], verbose=0)
    assert scan.analysis.verdict.shape is Shape.MONOTONE_FROM_PRETRAINED
    assert scan.analysis.verdict.start_state == "better-than-chance"
    text = " ".join(scan.analysis.explain().split())
    assert "already good" in text
    assert "It is not overfitting" in text


@pytest.mark.usefixtures("x_y")
def test_the_verdict_is_printed_without_a_handle(keras: ModuleType) -> None:
    printed = demo(keras, 0).printed
    assert len(printed) == 3
    assert printed[0].startswith("LRScan: ")
    assert printed[1].startswith("Learning rate: ")


@pytest.mark.one_host
@pytest.mark.usefixtures("keras", "x_y")
def test_the_demo_explains_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    assert main(["demo", "--json", "--plot", str(tmp_path / "demo.png")]) == 0
    assert '"shape": "u-shaped"' in capsys.readouterr().out
    assert (tmp_path / "demo.png").stat().st_size > 10_000


@pytest.mark.one_host
@pytest.mark.usefixtures("x_y")
def test_a_scan_saved_on_one_machine_is_read_on_another(keras: ModuleType, tmp_path: Path) -> None:
    scan = demo(keras, 0).scan
    scan.curve.to_json(tmp_path / "scan.json")
    again = keras_lrscan.analyze(LRCurve.from_json(tmp_path / "scan.json"))
    assert again.to_dict() == scan.analysis.to_dict()


@pytest.mark.one_host
def test_a_missing_package_is_named_with_its_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(keras_lrscan.MissingDependencyError, match=r'pip install "keras_lrscan\[demo\]"'):
        digits()
