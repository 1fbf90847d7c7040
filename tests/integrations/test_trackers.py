"""Tests with MLflow and W&B, offline: a scan logs nothing to them, and the training logs as usual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan.experiments.repeats import repeat_scans
from keras_lrscan.scan import LRScan, lr_scan
from tests.support import optional
from tests.support.hosts import BACKEND, IS_TF_KERAS, compiled, digits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("default"),  # the trackers' own warnings do not matter here
    pytest.mark.skipif(IS_TF_KERAS or BACKEND != "tensorflow", reason="the trackers are tried under Keras 3 here"),
]

RANGE: dict[str, Any] = {"num_steps": 14, "verbose": 0}


@pytest.fixture(name="mlflow")
def _mlflow(keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = optional.module("mlflow", environment="py")
    for name in ("mlflow.keras", "mlflow.tensorflow"):
        optional.module(name, environment="py")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())  # MLflow creates the folder
    yield mlflow
    mlflow.keras.autolog(disable=True)
    mlflow.tensorflow.autolog(disable=True)


def logged(mlflow: Any) -> list[list[str]]:
    """Returns the metrics of each run, latest first."""
    return [sorted(run.data.metrics) for run in mlflow.search_runs(output_format="list")]


def files(folder: Path) -> list[str]:
    """Returns the names of model summaries, and of TensorBoard logs that contain a loss."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in found if path.name == "model_summary.txt" or b"epoch_loss" in path.read_bytes()]


@pytest.mark.parametrize("flavor", ["keras", "tensorflow"])
def test_the_run_that_autologging_opens_for_a_scan_holds_nothing_of_it(
    keras: Any, mlflow: Any, tmp_path: Path, flavor: str
) -> None:
    getattr(mlflow, flavor).autolog(log_models=False, log_datasets=False)
    model, scan = compiled(keras, metrics=["accuracy"]), LRScan(**RANGE)
    model.fit(*digits(), epochs=2, verbose=0, callbacks=[scan])
    assert (logged(mlflow), files(tmp_path)) == ([[]], [])
    assert any(
        note.startswith("MlflowCallback was skipped during the scan: it would log") for note in scan.curve.context.notes
    )
    model.fit(*digits(), epochs=1, verbose=0)
    assert logged(mlflow)[0] == ["accuracy", "loss"]
    assert len(files(tmp_path)) == (2 if flavor == "tensorflow" else 1)


@pytest.mark.parametrize("flavor", ["keras", "tensorflow"])
def test_scans_that_call_fit_themselves_open_no_run(keras: Any, mlflow: Any, flavor: str) -> None:
    getattr(mlflow, flavor).autolog(log_models=False, log_datasets=False)
    model = compiled(keras)
    lr_scan(model, *digits(), **RANGE)
    repeat_scans(model, *digits(), num_scans=2, **RANGE)
    assert logged(mlflow) == []
    model.fit(*digits(), epochs=1, verbose=0)
    assert len(logged(mlflow)) == 1


def test_the_callback_of_mlflow_logs_nothing_of_a_scan(keras: Any, mlflow: Any, tmp_path: Path) -> None:
    model = compiled(keras, metrics=["accuracy"])
    with mlflow.start_run():
        model.fit(*digits(), epochs=2, verbose=0, callbacks=[mlflow.keras.MlflowCallback(), LRScan(**RANGE)])
        assert (logged(mlflow), files(tmp_path)) == ([[]], [])
        model.fit(*digits(), epochs=1, verbose=0, callbacks=[mlflow.keras.MlflowCallback()])
    assert (logged(mlflow), files(tmp_path)) == ([["accuracy", "loss"]], ["model_summary.txt"])


def test_the_callbacks_of_wandb_log_nothing_of_a_scan(keras: Any, tmp_path: Path) -> None:
    wandb = optional.module("wandb", environment="py")
    callbacks = optional.module("wandb.integration.keras", environment="py")
    settings = wandb.Settings(silent=True, disable_git=True, x_disable_stats=True)
    model, scan = compiled(keras), LRScan(**RANGE)
    with wandb.init(mode="offline", project="scan", dir=str(tmp_path), settings=settings) as run:
        kept = tmp_path / "model.keras"
        others = [callbacks.WandbMetricsLogger(log_freq=1), callbacks.WandbModelCheckpoint(str(kept))]
        model.fit(*digits(), epochs=2, verbose=0, callbacks=[*others, scan])
        assert (dict(run.summary), run.step, kept.exists()) == ({}, 0, False)
        assert scan.curve.context.notes == tuple(
            f"{type(other).__name__} was skipped during the scan: it would log the scan as a training run."
            for other in others
        )
        model.fit(*digits(), epochs=1, verbose=0, callbacks=[callbacks.WandbMetricsLogger(log_freq=1)])
        assert run.step > 0
