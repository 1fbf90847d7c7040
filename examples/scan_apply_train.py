"""Trains a classifier of digits at its optimizer's default rate, at the rate of a scan, and with a one-cycle schedule.

Run it with: pip install "keras_lrscan[cpu,demo]" && python scan_apply_train.py
"""

from __future__ import annotations

import argparse
import math

import keras
import numpy as np

from keras_lrscan import lr_scan
from keras_lrscan.datasets.digits import digits, digits_model

EPOCHS, BATCH_SIZE, NUM_VALIDATION = 10, 32, 360
OPTIMIZERS = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
WAYS = ("default", "apply", "one_cycle")


def validation_loss(optimizer: str, way: str, *, seed: int, epochs: int) -> float:
    """Returns the validation loss after training in one of the `WAYS`, from the same weights for each seed."""
    keras.utils.set_random_seed(seed)
    x, y = digits()
    order = np.random.default_rng(seed).permutation(len(x))
    train, validation = order[NUM_VALIDATION:], order[:NUM_VALIDATION]
    model = digits_model()
    model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy")
    if way != "default":
        analysis = lr_scan(model, x[train], y[train], batch_size=BATCH_SIZE, verbose=0)
    if way == "apply":
        analysis.apply(model)
    if way == "one_cycle":
        schedule = analysis.one_cycle(num_steps=epochs * math.ceil(len(train) / BATCH_SIZE))
        model.compile(OPTIMIZERS[optimizer](schedule), "sparse_categorical_crossentropy")
    model.fit(x[train], y[train], epochs=epochs, batch_size=BATCH_SIZE, verbose=0)
    return float(model.evaluate(x[validation], y[validation], verbose=0, return_dict=True)["loss"])


def main() -> None:
    """Prints the mean validation loss of every optimizer and way over several seeds, with the lowest and highest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="train for one epoch, with one seed and one optimizer")
    quick = parser.parse_args().quick
    epochs, seeds = (1, range(1)) if quick else (EPOCHS, range(5))
    for optimizer in list(OPTIMIZERS)[: 1 if quick else None]:
        for way in WAYS:
            losses = [validation_loss(optimizer, way, seed=seed, epochs=epochs) for seed in seeds]
            print(f"{optimizer:8}{way:10}{np.mean(losses):.3f} ({min(losses):.3f} to {max(losses):.3f})", flush=True)


if __name__ == "__main__":
    main()
