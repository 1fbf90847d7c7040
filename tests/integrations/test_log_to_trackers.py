"""Tests that analyses are logged to TensorBoard, MLflow and W&B, as runs of their own, offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import Analysis, LRCurve, MissingDependencyError, analyze, load
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.integrations.trackers import log_to_mlflow, log_to_tensorboard, log_to_wandb
from tests.support import optional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("default")  # the trackers' own warnings do not matter here
pytest.importorskip("matplotlib", exc_type=ImportError)

PNG = b"\x89PNG"
NAMES = {"confidence", "suggested_rate", "suggested_lowest", "suggested_highest", "suggested_one_cycle_peak"}


def analyses() -> dict[str, Analysis]:
    """Returns an analysis with a suggestion, one without, and one with losses that are no numbers."""
    curve = synthetic_curve("u-shaped")
    ends = np.where(np.arange(len(curve)) < len(curve) - 2, curve.loss, [np.nan])
    broken = LRCurve(lr=curve.lr, loss=ends)
    return {"u-shaped": analyze(curve), "flat": analyze(synthetic_curve("flat")), "NaN at the end": analyze(broken)}


@pytest.fixture(params=["u-shaped", "flat", "NaN at the end"], name="analysis")
def _analysis(request: pytest.FixtureRequest) -> Analysis:
    return analyses()[request.param]


def expected(analysis: Analysis) -> set[str]:
    """Returns the names of the numbers that a run must have."""
    return NAMES if analysis.suggestion.lr is not None else {"confidence"}


def test_tensorboard_shows_a_run_beside_the_training(analysis: Analysis, tmp_path: Path) -> None:
    optional.module("tensorboard", environment="py")
    reader = optional.module("tensorboard.backend.event_processing.event_accumulator", environment="py")
    folder = log_to_tensorboard(analysis, tmp_path / "logs")
    assert folder == tmp_path / "logs" / "lr_scan"
    assert [path.parent for path in (tmp_path / "logs").rglob("events*")] == [folder]
    events = reader.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    scalars = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    assert set(scalars) == {f"lr_scan/{name}" for name in (*expected(analysis), "loss", "learning_rate")}
    assert [event.step for event in scalars["lr_scan/loss"]] == list(range(len(analysis.curve)))
    for name, values in (("loss", analysis.curve.loss), ("learning_rate", analysis.curve.lr)):
        np.testing.assert_allclose([event.value for event in scalars[f"lr_scan/{name}"]], values, rtol=1e-6)
    assert events.Images("lr_scan/curve")[0].encoded_image_string.startswith(PNG)
    texts = {
        name: events.Tensors(f"lr_scan/{name}")[0].tensor_proto.string_val[0] for name in ("verdict", "explanation")
    }
    assert f"| shape | {analysis.verdict.shape} |" in texts["verdict"].decode()
    assert analysis.explain().splitlines()[0] in texts["explanation"].decode()
    assert events.SummaryMetadata("lr_scan/explanation").plugin_data.plugin_name == "text"


@pytest.fixture(name="mlflow")
def _mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = optional.module("mlflow", environment="py")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    yield mlflow
    while mlflow.active_run() is not None:
        mlflow.end_run()


def test_mlflow_has_a_run_with_plot_explanation_suggestion_and_curve(
    mlflow: Any, analysis: Analysis, tmp_path: Path
) -> None:
    run = mlflow.get_run(log_to_mlflow(analysis))
    assert (run.info.run_name, run.info.status) == ("lr_scan", "FINISHED")
    assert set(run.data.metrics) == {f"lr_scan/{name}" for name in (*expected(analysis), "loss", "learning_rate")}
    assert run.data.params["lr_scan/shape"] == analysis.verdict.shape
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "lr_scan/loss")
    np.testing.assert_allclose([item.value for item in history], analysis.curve.loss)
    assert [item.step for item in history] == list(range(len(analysis.curve)))
    folder = tmp_path / "artifacts"
    mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="lr_scan", dst_path=str(folder))
    assert (folder / "lr_scan" / "curve.png").read_bytes().startswith(PNG)
    saved = load(folder / "lr_scan" / "analysis.json").to_dict()
    assert json.dumps(saved) == json.dumps(analysis.to_dict())
    assert (folder / "lr_scan" / "explanation.md").read_text().splitlines()[0].strip() in analysis.explain()


def test_the_run_of_the_training_in_mlflow_stays_active_and_empty(mlflow: Any) -> None:
    with mlflow.start_run() as training:
        scan = mlflow.get_run(log_to_mlflow(analyses()["u-shaped"]))
        assert mlflow.active_run().info.run_id == training.info.run_id
    assert scan.data.tags["mlflow.parentRunId"] == training.info.run_id
    data = mlflow.get_run(training.info.run_id).data
    assert (data.metrics, data.params) == ({}, {})


@pytest.fixture(name="wandb")
def _wandb() -> Any:
    return optional.module("wandb", environment="py")


BLOCK, FILE_HEADER, CHUNK_HEADER = 2**15, 7, 7
"""Sizes in bytes in W&B's files, which are logs of LevelDB: of a block, and of the headers of a file and of a chunk."""

WHOLE, LAST = 1, 4
"""Kinds of chunks that end a record."""


def records_of(folder: Path) -> list[Any]:
    """Returns the records that an offline run wrote."""
    (path,) = folder.glob("*.wandb")
    make = optional.module("wandb.proto.wandb_internal_pb2", environment="py").Record
    data, at, begun, records = path.read_bytes(), FILE_HEADER, b"", []
    while at + CHUNK_HEADER <= len(data):
        rest = BLOCK - at % BLOCK
        if rest < CHUNK_HEADER:
            at += rest
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        begun += data[at + CHUNK_HEADER : at + CHUNK_HEADER + size]
        at += CHUNK_HEADER + size
        if kind in {WHOLE, LAST}:
            records.append(make.FromString(begun))
            begun = b""
    return records


def name_of(item: Any) -> str:
    return str(item.key or "/".join(item.nested_key))


def test_wandb_has_a_run_with_plot_explanation_suggestion_and_curve(
    wandb: Any, analysis: Analysis, tmp_path: Path
) -> None:
    run = log_to_wandb(analysis, project="digits", mode="offline", dir=str(tmp_path))
    assert (run.name, run.job_type, run.project) == ("lr_scan", "lr_scan", "digits")
    (folder,) = (tmp_path / "wandb").glob(f"offline-run-*-{run.id}")
    records = records_of(folder)
    rows = [{name_of(item): item.value_json for item in record.history.item} for record in records]
    losses = [json.loads(row["lr_scan/loss"]) for row in rows if "lr_scan/loss" in row]
    np.testing.assert_allclose(np.array(losses, float), analysis.curve.loss)
    summary = {name_of(item): item.value_json for record in records for item in record.summary.update}
    assert json.loads(summary["lr_scan/shape"]) == analysis.verdict.shape
    assert {f"lr_scan/{name}" for name in expected(analysis)} <= set(summary)
    assert json.loads(summary["lr_scan/explanation"]).splitlines()[0].strip() in analysis.explain()
    (image,) = folder.rglob("*.png")
    assert image.read_bytes().startswith(PNG)


def test_the_run_of_the_training_in_wandb_stays_active_and_empty(wandb: Any, tmp_path: Path) -> None:
    with wandb.init(project="digits", group="g", mode="offline", dir=str(tmp_path)) as training:
        scan = log_to_wandb(analyses()["u-shaped"], mode="offline", dir=str(tmp_path))
        assert wandb.run is training
        training.log({"loss": 1.0})
        assert dict(training.summary)["loss"] == 1.0
        assert not any(name.startswith("lr_scan") for name in dict(training.summary))
    assert (scan.project, scan.group, scan.config["lr_scan/beside_run"]) == ("digits", "g", training.id)
    assert scan.id != training.id


@pytest.mark.parametrize(
    ("log", "package"),
    [
        (lambda analysis: log_to_tensorboard(analysis, "logs"), "tensorboard"),
        (log_to_mlflow, "mlflow"),
        (log_to_wandb, "wandb"),
    ],
)
def test_a_missing_tracker_is_named(
    log: Callable[[Analysis], Any], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (package, "tensorboard.compat.proto.event_pb2", "mlflow.entities"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingDependencyError, match=rf"Logging to {package} needs it to be installed.*pip install"):
        log(analyses()["u-shaped"])
