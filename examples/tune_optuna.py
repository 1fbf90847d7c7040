"""Tune a learning rate with Optuna, and count the trials that the range of one scan saves.

Scans a small classifier of digits. Then searches for a rate that reaches a validation loss of 0.5 in two epochs, once
over the range of the scan, and once over the usual 1e-5 to 1e-1.

    pip install "keras_lrscan[cpu,demo,tune]"
    python examples/tune_optuna.py
"""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Any

import keras
import optuna

from keras_lrscan import lr_scan
from keras_lrscan.datasets.digits import digits, digits_model
from keras_lrscan.integrations.tuners import suggest_float

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = 0.5
USUAL = (1e-5, 1e-1)
TRAINING = 1400
"""Images to train on; the other 397 are for validation."""


class Trainer:
    """Trains the same model from the same weights at a given rate."""

    def __init__(self) -> None:
        self.x, self.y = digits()
        self.model = digits_model()
        self.start = self.model.get_weights()

    def __call__(self, rate: float) -> float:
        """Returns the validation loss after two epochs."""
        self.model.set_weights(self.start)
        for variable in self.model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        self.model.optimizer.learning_rate = rate
        self.model.fit(self.x[:TRAINING], self.y[:TRAINING], epochs=2, verbose=0)
        return float(self.model.evaluate(self.x[TRAINING:], self.y[TRAINING:], verbose=0)[0])


def trials_needed(objective: Callable[[Any], float], *, seed: int, most: int) -> int:
    """Returns the number of trials until the target is reached; `most` + 1 if it is not."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))

    def stop(study: Any, trial: Any) -> None:
        if trial.value <= TARGET:
            study.stop()

    study.optimize(objective, n_trials=most, callbacks=[stop])
    return len(study.trials) if study.best_value <= TARGET else most + 1


def main() -> None:
    """Compares the two ranges over several seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one seed and at most three trials, to see that it runs")
    options = parser.parse_args()
    seeds, most = (1, 3) if options.quick else (10, 30)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    keras.utils.set_random_seed(0)
    train = Trainer()
    analysis = lr_scan(train.model, train.x[:TRAINING], train.y[:TRAINING], verbose=0)
    found = analysis.search_range()
    print(f"The scan says: {found.low:.1e} to {found.high:.1e}. {found.reason}")

    searches: dict[str, Callable[[Any], float]] = {
        "range of the scan": lambda trial: train(suggest_float(trial, analysis)),
        "1e-5 to 1e-1": lambda trial: train(trial.suggest_float("learning_rate", *USUAL, log=True)),
    }
    for name, objective in searches.items():
        needed = [trials_needed(objective, seed=seed, most=most) for seed in range(seeds)]
        print(f"{name}: {statistics.median(needed):g} trials (median of {seeds} seeds; each: {needed})")


if __name__ == "__main__":
    main()
