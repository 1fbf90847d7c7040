"""Records badly configured scans of healthy models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_lrscan import LRScan, lr_scan
from recipes.data import digits
from recipes.healthy import classifier

if TYPE_CHECKING:
    from keras_lrscan import LRCurve

CROSSENTROPY = "sparse_categorical_crossentropy"


def low_range() -> LRCurve:
    """Plain gradient descent, but no rate above 0.001 was tried."""
    x, y = digits()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01), CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, end_lr=1e-3, verbose=0).curve


def stopped_while_falling() -> LRCurve:
    """Adam, but no rate above 0.005 was tried."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, end_lr=5e-3, num_steps=300, verbose=0).curve


def too_few_epochs() -> LRCurve:
    """A generator ends after 56 batches, but the scan needs 85."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    batches = ((x[i : i + 32], y[i : i + 32]) for i in range(0, len(x) - 31, 32))
    scan = LRScan(num_steps=85, verbose=0)
    model.fit(batches, epochs=1, callbacks=[scan], verbose=0)
    return scan.curve


def tiny_batches() -> LRCurve:
    """Batches of two."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, batch_size=2, verbose=0).curve


def half_trained_batches_of_two() -> LRCurve:
    """One epoch of training, then a scan of 60 steps in batches of two."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    model.fit(x, y, epochs=1, verbose=0)
    return lr_scan(model, x, y, batch_size=2, num_steps=60, verbose=0).curve


def hasty_ramp() -> LRCurve:
    """Eight decades in 40 steps: five steps per decade."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=40, verbose=0).curve


def twenty_steps() -> LRCurve:
    """Twenty batches in all."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=20, verbose=0).curve


def high_start() -> LRCurve:
    """The first rate, 0.002, already trains."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, start_lr=2e-3, verbose=0).curve


def breaking_start() -> LRCurve:
    """The first rate, 1e-5, is already too large for inputs from 0 to 300."""
    x, y = digits()
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    return lr_scan(model, 300 * x, y - 4.5, start_lr=1e-5, verbose=0).curve


def narrow_range() -> LRCurve:
    """From 5e-4 to 0.02 only: not even two decades."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, start_lr=5e-4, end_lr=0.02, verbose=0).curve


RECIPES = {
    "low-range": low_range,
    "stopped-while-falling": stopped_while_falling,
    "too-few-epochs": too_few_epochs,
    "tiny-batches": tiny_batches,
    "half-trained-batches-of-two": half_trained_batches_of_two,
    "hasty-ramp": hasty_ramp,
    "twenty-steps": twenty_steps,
    "high-start": high_start,
    "breaking-start": breaking_start,
    "narrow-range": narrow_range,
}
