"""Tune a learning rate with KerasTuner, and count the trials that the range of one scan saves.

Scans a small classifier of digits. Then searches for a rate that reaches a validation loss of 0.5 in two epochs, once
over the range of the scan, and once over the usual 1e-5 to 1e-1.

    pip install "keras_lrscan[cpu,demo,tune]"
    python examples/tune_keras_tuner.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner

from keras_lrscan import lr_scan
from keras_lrscan.datasets.digits import digits, digits_model
from keras_lrscan.integrations.tuners import hp_float

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = 0.5
USUAL = {"min_value": 1e-5, "max_value": 1e-1, "sampling": "log"}
TRAINING = 1400
"""Images to train on; the other 397 are for validation."""


def model_with(rate: float) -> Any:
    """Returns the classifier with a given learning rate."""
    model = digits_model()
    model.optimizer.learning_rate = rate
    return model


def trials_needed(build: Callable[[Any], Any], *, seed: int, trials: int) -> int:
    """Returns the number of trials until the target is reached; one more than `trials` if it is not."""
    x, y = digits()
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            build, objective="val_loss", max_trials=trials, seed=seed, directory=folder, max_consecutive_failed_trials=1
        )
        tuner.search(x[:TRAINING], y[:TRAINING], validation_data=(x[TRAINING:], y[TRAINING:]), epochs=2, verbose=0)
        scores = [tuner.oracle.trials[name].score for name in tuner.oracle.start_order]
    reached = [number for number, score in enumerate(scores, start=1) if score is not None and score <= TARGET]
    return reached[0] if reached else trials + 1


def main() -> None:
    """Compares the two ranges over several seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one seed and one trial, to see that it runs")
    options = parser.parse_args()
    seeds, trials = (1, 1) if options.quick else (5, 10)
    keras.utils.set_random_seed(0)
    x, y = digits()
    analysis = lr_scan(digits_model(), x[:TRAINING], y[:TRAINING], verbose=0)
    found = analysis.search_range()
    print(f"The scan says: {found.low:.1e} to {found.high:.1e}. {found.reason}")

    searches: dict[str, Callable[[Any], Any]] = {
        "range of the scan": lambda hp: model_with(hp_float(hp, analysis)),
        "1e-5 to 1e-1": lambda hp: model_with(hp.Float("learning_rate", **USUAL)),
    }
    for name, build in searches.items():
        needed = [trials_needed(build, seed=seed, trials=trials) for seed in range(seeds)]
        print(f"{name}: {statistics.median(needed):g} trials (median of {seeds} seeds; each: {needed})")


if __name__ == "__main__":
    main()
