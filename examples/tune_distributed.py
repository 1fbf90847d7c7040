"""Tune on several workers with KerasTuner's own distributed mode, over the range of one scan.

The model is scanned once. The workers read the analysis from a file, and set the range of their search from it. Here a
chief and two workers run on this machine; on a cluster, the same three environment variables name another host.

    pip install "keras_lrscan[cpu,demo,tune]"
    python examples/tune_distributed.py
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_lrscan import load, lr_scan
from keras_lrscan.datasets.digits import digits, digits_model
from keras_lrscan.integrations.tuners import hp_float

TRAINING = 1400
"""Images to train on; the other 397 are for validation."""


def tuner_in(folder: Path, trials: int) -> Any:
    """Returns the tuner, which is the same for the chief and the workers."""
    analysis = load(folder / "scan.json")

    def build(hp: Any) -> Any:
        model = digits_model()
        model.optimizer.learning_rate = hp_float(hp, analysis)
        return model

    return keras_tuner.RandomSearch(
        build,
        objective="val_loss",
        max_trials=trials,
        max_consecutive_failed_trials=1,
        seed=0,
        directory=folder,
        project_name="digits",
    )


def take_part(folder: Path, trials: int) -> None:
    """Searches as the chief or as a worker, depending on the environment."""
    x, y = digits()
    tuner = tuner_in(folder, trials)
    tuner.search(x[:TRAINING], y[:TRAINING], validation_data=(x[TRAINING:], y[TRAINING:]), epochs=2, verbose=0)


def free_port() -> int:
    """Returns an unused port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(role: str, port: int, folder: Path, trials: int) -> subprocess.Popen[bytes]:
    """Starts this script again as the chief or as a worker."""
    where = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port), "KERASTUNER_TUNER_ID": role}
    command = [sys.executable, __file__, "--folder", str(folder), "--trials", str(trials)]
    return subprocess.Popen(command, env={**os.environ, **where})


def search(folder: Path, trials: int) -> None:
    """Runs a chief and two workers until the search ends."""
    port = free_port()
    chief = start("chief", port, folder, trials)
    workers = [start(f"worker-{number}", port, folder, trials) for number in range(2)]
    try:
        failed = [worker.args for worker in workers if worker.wait() != 0]
    finally:
        for process in (chief, *workers):
            process.terminate()  # otherwise the chief checks only every 20 s whether it may stop
            process.wait()
    if failed:
        sys.exit(f"A worker failed: {failed}")


def main() -> None:
    """Scans, searches, and prints the trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two trials, to see that it runs")
    parser.add_argument("--trials", type=int, default=8, help="number of trials")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        take_part(options.folder, options.trials)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keras.utils.set_random_seed(0)
        x, y = digits()
        analysis = lr_scan(digits_model(), x[:TRAINING], y[:TRAINING], verbose=0)
        analysis.save(folder / "scan.json")
        found = analysis.search_range()
        print(f"The scan says: {found.low:.1e} to {found.high:.1e}. {found.reason}", flush=True)
        trials = 2 if options.quick else options.trials
        search(folder, trials)
        oracle = tuner_in(folder, trials).oracle
        oracle.reload()
        for trial in (oracle.trials[number] for number in oracle.end_order):
            rate = trial.hyperparameters.get("learning_rate")
            print(f"trial {trial.trial_id}: rate {rate:.1e}, validation loss {trial.score:.3f}")


if __name__ == "__main__":
    main()
