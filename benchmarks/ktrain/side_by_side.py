"""Compares ktrain's `lr_find` with its replacement by batches, seconds, and the loss that the suggested rates reach.

    pip install "keras_lrscan[ktrain]" scikit-learn && pip install --no-deps tf_keras
    python benchmarks/ktrain/side_by_side.py            # writes results.csv, about five minutes on two cores
    python benchmarks/ktrain/side_by_side.py --table    # prints the table of README.md from it

Each finder scans the same fresh learner with its default settings. Then the model trains from the same weights with a
fresh optimizer for 150 steps at each suggested rate. The loss is the mean over the last 50 steps.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import statistics
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # before TensorFlow is imported, which ktrain does

import numpy as np
import tf_keras
from sklearn.datasets import load_digits

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ktrain

from keras_lrscan.integrations.ktrain import lr_find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS = Path(__file__).parent / "results.csv"
COLUMNS = ("task", "seed", "finder", "method", "batches", "seconds", "rate", "loss")
METHODS = ("steepest fall", "lowest loss / 10", "valley")
STEPS, LAST = 150, 50
SEEDS = range(3)
LOSS = "sparse_categorical_crossentropy"


def adam() -> Any:
    """Returns ktrain's usual optimizer."""
    return tf_keras.optimizers.legacy.Adam(1e-3)


def sgd() -> Any:
    """Returns plain SGD."""
    return tf_keras.optimizers.legacy.SGD(1e-2)


def dense() -> Any:
    """Returns a small dense network."""
    layers = tf_keras.layers
    hidden = layers.Dense(64, activation="relu", input_shape=(64,))
    return tf_keras.Sequential([hidden, layers.Dense(10, activation="softmax")])


def cnn() -> Any:
    """Returns a small convolutional network."""
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Reshape((8, 8, 1), input_shape=(64,)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


TASKS: dict[str, tuple[Callable[[], Any], Callable[[], Any], int, int]] = {
    "dense, batch 16": (dense, adam, 16, 0),
    "dense, batch 32": (dense, adam, 32, 0),
    "dense, batch 16, SGD": (dense, sgd, 16, 0),
    "dense, batch 16, trained for 8 epochs": (dense, adam, 16, 8),
    "CNN, batch 16": (cnn, adam, 16, 0),
}
"""Name → (model, optimizer, batch size, number of epochs before the scan)."""


class Task:
    """Creates learners of one task, all from the same weights and data."""

    def __init__(self, name: str, seed: int) -> None:
        self._model, self._optimizer, self._batch_size, epochs = TASKS[name]
        self._seed = seed
        digits = load_digits()
        self._data = ((digits.data / 16).astype("float32"), digits.target.astype("int32"))
        tf_keras.utils.set_random_seed(seed)
        model = self._model()
        if epochs:
            model.compile(optimizer=self._optimizer(), loss=LOSS)
            model.fit(*self._data, batch_size=self._batch_size, epochs=epochs, verbose=0)
        self._weights = model.get_weights()

    def learner(self) -> Any:
        """Returns a new learner with the initial weights."""
        tf_keras.utils.set_random_seed(self._seed)
        model = self._model()
        model.set_weights(self._weights)
        model.compile(optimizer=self._optimizer(), loss=LOSS, metrics=["accuracy"])
        return ktrain.get_learner(model, train_data=self._data, batch_size=self._batch_size)

    def loss_at(self, rate: float) -> float:
        """Trains at `rate` and returns the mean loss of the last steps, infinite if the training diverged."""
        model = self.learner().model
        model.optimizer.learning_rate = rate
        rows = np.random.default_rng(self._seed).permutation(np.tile(np.arange(len(self._data[0])), 3))
        batches = rows[: STEPS * self._batch_size].reshape(STEPS, -1)
        losses = []
        for batch in batches:
            model.reset_metrics()
            losses.append(model.train_on_batch(*(part[batch] for part in self._data))[0])
        mean = float(np.mean(losses[-LAST:]))
        return mean if math.isfinite(mean) else math.inf


def measured(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """Yields one row for each rate that either finder suggests."""
    task = Task(name, seed)
    common = {"task": name, "seed": seed}
    for finder in ("keras_lrscan", "ktrain"):
        learner = task.learner()
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = lr_find(learner, verbose=0) if finder != "ktrain" else learner.lr_find(verbose=0)
        took = time.perf_counter() - begin
        rates = (
            {"suggestion": answer.suggestion.lr} if answer else dict(zip(METHODS, learner.lr_estimate(), strict=True))
        )
        for method, rate in rates.items():
            yield {
                **common,
                "finder": finder,
                "method": method,
                "batches": len(learner.lr_finder.lrs),
                "seconds": round(took, 2),
                "rate": "" if rate is None else f"{rate:.2e}",
                "loss": "" if rate is None else f"{task.loss_at(float(rate)):.4f}",
            }


def run() -> None:
    """Measures every task and writes the results."""
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for seed in SEEDS:
            for name in TASKS:
                print(f"{name}, seed {seed}", flush=True)
                for row in measured(name, seed):
                    writer.writerow(row)
                    file.flush()


def table() -> None:
    """Prints a table of medians over the seeds."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    with RESULTS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            groups[row["task"], row["finder"], row["method"]].append(row)
    print("| task | suggested by | batches | seconds | rates | loss after 150 steps |\n|---|---|---|---|---|---|")
    for (name, finder, method), rows in groups.items():
        batches = statistics.median(int(row["batches"]) for row in rows)
        seconds = statistics.median(float(row["seconds"]) for row in rows)
        losses = sorted(float(row["loss"] or "inf") for row in rows)
        rates = ", ".join(row["rate"] or "none" for row in rows)
        who = f"**{finder}**" if finder != "ktrain" else f"{finder}, {method}"
        print(f"| {name} | {who} | {batches:g} | {seconds:.1f} | {rates} | {losses[len(losses) // 2]:.3f} |")


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", action="store_true", help="only print the table of the existing results")
    if not parser.parse_args().table:
        run()
    table()


if __name__ == "__main__":
    main()
