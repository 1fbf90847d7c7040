"""Logs an analysis to TensorBoard, MLflow or Weights & Biases, each time as a run of its own beside the training's.

Everything has a name that starts with `lr_scan/`: the plot, the explanation with verdict and causes, the suggestion,
and the curve. The libraries are imported on use.
"""

from __future__ import annotations

import importlib
import io
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Value
from keras_lrscan.errors import MissingDependencyError
from keras_lrscan.plots.curve_plot import FIGURE_SIZE
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure

    from keras_lrscan.analysis import Analysis

__all__ = ["log_to_mlflow", "log_to_tensorboard", "log_to_wandb"]

GROUP = "lr_scan"
"""Name of the run, and start of all names in it."""

DPI = 120
"""Dots per inch of the plot."""


def log_to_tensorboard(analysis: Analysis, log_dir: str | PathLike[str]) -> Path:
    """Writes an analysis for TensorBoard, as the run `lr_scan` in a folder of logs.

    Args:
        analysis: The analysis of a scan.
        log_dir: The folder that TensorBoard shows, such as the `log_dir` of the `TensorBoard` callback.

    Returns:
        The folder of the run, `log_dir/lr_scan`. Its steps are the batches of the scan.

    Raises:
        MissingDependencyError: If tensorboard or matplotlib is not installed.
        OSError: If the folder cannot be written.

    Example:
    ```python
    log_to_tensorboard(lr_scan(model, x, y), "logs")
    model.fit(x, y, callbacks=[keras.callbacks.TensorBoard("logs")])
    ```
    """
    event_pb2 = _imported("tensorboard.compat.proto.event_pb2", "tensorboard")
    summary_pb2 = _imported("tensorboard.compat.proto.summary_pb2", "tensorboard")
    text_metadata = _imported("tensorboard.plugins.text.metadata", "tensorboard")
    tensor_util = _imported("tensorboard.util.tensor_util", "tensorboard")
    writers = _imported("tensorboard.summary.writer.event_file_writer", "tensorboard")
    figure = _figure(analysis)
    width, height = (int(size * DPI) for size in FIGURE_SIZE)
    image = summary_pb2.Summary.Image(height=height, width=width, encoded_image_string=_png(figure))
    values = [summary_pb2.Summary.Value(tag=f"{GROUP}/curve", image=image)]
    for name, text in _texts(analysis).items():
        metadata = text_metadata.create_summary_metadata(display_name=None, description=None)
        tensor = tensor_util.make_tensor_proto(text.encode())
        values.append(summary_pb2.Summary.Value(tag=f"{GROUP}/{name}", metadata=metadata, tensor=tensor))
    values += [
        summary_pb2.Summary.Value(tag=f"{GROUP}/{name}", simple_value=value)
        for name, value in _numbers(analysis).items()
    ]
    folder = Path(log_dir, GROUP)
    writer = writers.EventFileWriter(os.fspath(folder))
    now = time.time()

    def write(step: int, items: list[Any]) -> None:
        writer.add_event(event_pb2.Event(wall_time=now, step=step, summary=summary_pb2.Summary(value=items)))

    try:
        write(0, values)
        for step, (lr, loss) in enumerate(zip(analysis.curve.lr, analysis.curve.loss, strict=True)):
            pair = ((f"{GROUP}/learning_rate", lr), (f"{GROUP}/loss", loss))
            write(step, [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in pair])
    finally:
        writer.close()
    return folder


def log_to_mlflow(analysis: Analysis) -> str:
    """Logs an analysis to MLflow, as a run `lr_scan`: a child of the active run, or in the current experiment.

    The active run itself stays active and gets no values of the scan.

    Args:
        analysis: The analysis of a scan.

    Returns:
        The id of the new run. Its artifacts are in `lr_scan/`, and the steps of its metrics are the batches of the
        scan. `keras_lrscan.load` reads `lr_scan/analysis.json`.

    Raises:
        MissingDependencyError: If mlflow or matplotlib is not installed.

    Example:
    ```python
    with mlflow.start_run():
        analysis = lr_scan(model, x, y)
        log_to_mlflow(analysis)
        analysis.apply(model)
        model.fit(x, y)
    ```
    """
    mlflow = _imported("mlflow", "mlflow")
    entities = _imported("mlflow.entities", "mlflow")
    figure = _figure(analysis)
    now = int(time.time() * 1000)
    metrics = [(name, value, 0) for name, value in _numbers(analysis).items()]
    for step, (lr, loss) in enumerate(zip(analysis.curve.lr.tolist(), analysis.curve.loss.tolist(), strict=True)):
        metrics += [("learning_rate", lr, step), ("loss", loss, step)]
    with mlflow.start_run(run_name=GROUP, nested=mlflow.active_run() is not None) as run:
        mlflow.log_figure(figure, f"{GROUP}/curve.png", save_kwargs={"dpi": DPI})
        mlflow.log_dict(analysis.to_dict(), f"{GROUP}/analysis.json")
        for name, text in _texts(analysis).items():
            mlflow.log_text(text, f"{GROUP}/{name}.md")
        mlflow.log_params({f"{GROUP}/{name}": text[:MLFLOW_LENGTH] for name, text in _words(analysis).items()})
        for start in range(0, len(metrics), MLFLOW_BATCH):
            batch = metrics[start : start + MLFLOW_BATCH]
            made = [entities.Metric(f"{GROUP}/{name}", value, now, step) for name, value, step in batch]
            mlflow.MlflowClient().log_batch(run.info.run_id, metrics=made)
    return str(run.info.run_id)


MLFLOW_BATCH, MLFLOW_LENGTH = 1000, 500
"""Most metrics in one request, and most characters of a parameter, which all servers of MLflow accept."""


def log_to_wandb(analysis: Analysis, **options: Any) -> Value:
    """Logs an analysis to Weights & Biases, as a run `lr_scan` of the type `lr_scan`.

    A run that is active stays active and gets no values of the scan. The new run is in its project and group, unless
    `options` name others.

    Args:
        analysis: The analysis of a scan.
        **options: Arguments of `wandb.init`, such as `project`, `group`, or `mode="offline"`.

    Returns:
        The finished `wandb.Run`.

    Raises:
        MissingDependencyError: If wandb 0.20 or matplotlib is not installed.

    Example:
    ```python
    with wandb.init(project="digits"):
        analysis = lr_scan(model, x, y)
        log_to_wandb(analysis)
        analysis.apply(model)
        model.fit(x, y, callbacks=[WandbMetricsLogger()])
    ```
    """
    wandb = _imported("wandb", "wandb")
    figure = _figure(analysis)
    active = wandb.run
    own: dict[str, Any] = {"name": GROUP, "job_type": GROUP, "reinit": "create_new"}
    if active is not None:
        own |= {"project": active.project, "entity": active.entity, "group": active.group or None}
        own["config"] = {f"{GROUP}/beside_run": active.id}
    with wandb.init(**{**own, **options}) as run:
        run.define_metric(f"{GROUP}/*", step_metric=f"{GROUP}/learning_rate")
        for lr, loss in zip(analysis.curve.lr.tolist(), analysis.curve.loss.tolist(), strict=True):
            run.log({f"{GROUP}/learning_rate": lr, f"{GROUP}/loss": loss})
        run.log({f"{GROUP}/curve": wandb.Image(_imported("PIL.Image", "pillow").open(io.BytesIO(_png(figure))))})
        facts = {**_words(analysis), **_numbers(analysis), **_texts(analysis)}
        run.summary.update({f"{GROUP}/{name}": value for name, value in facts.items()})
    return run


def _imported(module: str, package: str) -> Value:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = f"Logging to {package} needs it to be installed. Received: {error}. Run: pip install {package}"
        raise MissingDependencyError(msg) from error


def _figure(analysis: Analysis) -> Figure:
    """Returns the plot of an analysis on a figure that no window shows."""
    figure: Figure = _imported("matplotlib.figure", "matplotlib").Figure(figsize=FIGURE_SIZE, layout="constrained")
    analysis.plot(ax=figure.subplots())
    return figure


def _png(figure: Figure) -> bytes:
    image = io.BytesIO()
    figure.savefig(image, dpi=DPI, format="png")
    return image.getvalue()


def _numbers(analysis: Analysis) -> dict[str, float]:
    """Returns the confidence and the suggested rates; a rate that is not suggested is left out."""
    rates = {
        "suggested_rate": analysis.suggestion.lr,
        "suggested_lowest": analysis.suggestion.low,
        "suggested_highest": analysis.suggestion.high,
        "suggested_one_cycle_peak": analysis.suggest(role=Role.ONE_CYCLE).lr,
    }
    return {
        "confidence": analysis.verdict.confidence,
        **{name: rate for name, rate in rates.items() if rate is not None},
    }


def _words(analysis: Analysis) -> dict[str, str]:
    """Returns the verdict, the reason for the suggestion, and the likely causes."""
    causes = [f"{finding.name} ({finding.status})" for finding in analysis.findings]
    return {
        "shape": str(analysis.verdict.shape),
        "start_state": str(analysis.verdict.start_state),
        "suggestion": analysis.suggestion.reason,
        "causes": ", ".join(causes) or "none",
    }


def _texts(analysis: Analysis) -> dict[str, str]:
    """Returns the texts of an analysis in Markdown."""
    rows = [f"| {name} | {value} |" for name, value in {**_words(analysis), **_numbers(analysis)}.items()]
    return {
        "verdict": "\n".join(["| | |", "|---|---|", *rows, ""]),
        "explanation": "".join(f"    {line}\n" for line in analysis.explain().splitlines()),
    }
