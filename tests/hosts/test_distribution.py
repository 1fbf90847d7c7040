"""Tests scans on several devices: mirrored replicas, several workers, and data parallelism on JAX."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.hosts import BACKEND, IS_TF_KERAS

pytestmark = pytest.mark.keras

ROOT = Path(__file__).parents[2]


def run(*modes: str, environments: list[dict[str, str]] | None = None) -> list[dict[str, Any]]:
    """Runs one process for each environment, and returns the last line that each prints."""
    pytest.importorskip("tf_keras" if IS_TF_KERAS else "keras")
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.support.distributed_program", *modes],
                    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for environment in environments or [{}]
        ]
        outputs = [process.communicate(timeout=240) for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [json.loads(printed.splitlines()[-1]) for printed, _ in outputs]


def workers(number: int) -> list[dict[str, str]]:
    """Returns a `TF_CONFIG` for each of several workers on this machine."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for item in sockets:
            item.bind(("localhost", 0))
        cluster = {"worker": [f"localhost:{item.getsockname()[1]}" for item in sockets]}
    tasks = [{"type": "worker", "index": index} for index in range(number)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


@pytest.fixture(scope="module", name="mirrored")
def _mirrored() -> dict[str, Any]:
    """Returns what a process with two devices found."""
    if BACKEND != "tensorflow":
        pytest.skip("tf.distribute comes with TensorFlow")
    (found,) = run("mirrored")
    return found


def test_mirrored_replicas_record_the_curve_of_one_device_and_go_on_as_without_a_scan(mirrored: dict[str, Any]) -> None:
    assert mirrored["losses"] == pytest.approx(mirrored["single"], rel=1e-4)
    assert mirrored["same"]


def test_on_two_devices_the_mean_of_a_tracker_is_recorded_and_a_raw_loss_refused(mirrored: dict[str, Any]) -> None:
    found = mirrored["custom steps"]
    assert found["tracked"] == pytest.approx(found["single"], rel=1e-4)
    assert "not the value of a metric" in found["raw"]


def test_a_scan_made_before_the_host_was_loaded_passes_for_its_callback(mirrored: dict[str, Any]) -> None:
    assert mirrored["passes"]


@pytest.mark.skipif(not IS_TF_KERAS, reason="fit of Keras 3 does not run under MultiWorkerMirroredStrategy")
def test_every_worker_ends_with_the_same_true_curve() -> None:
    first, second = run("workers", environments=workers(2))
    assert first["losses"] == second["losses"]
    assert first["stop"] == second["stop"] == "end-lr"
    assert first["losses"] == pytest.approx(first["single"], rel=1e-4)
    assert first["same"]
    assert second["same"]


@pytest.mark.skipif(IS_TF_KERAS or BACKEND != "tensorflow", reason="this is about Keras 3 on TensorFlow")
def test_several_workers_under_keras_3_are_refused_in_one_sentence_or_run() -> None:
    for found in run("workers", environments=workers(2)):
        assert "error" not in found or "MultiWorkerMirroredStrategy" in found["error"]


@pytest.mark.skipif(BACKEND != "jax", reason="this is about JAX")
def test_data_parallelism_on_jax_records_the_curve_of_one_device() -> None:
    (found,) = run("parallel", environments=[{"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}])
    assert found["passes"]
    assert found["losses"] == pytest.approx(found["single"], rel=1e-4)
    assert found["same"]
