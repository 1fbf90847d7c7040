"""Records scans with faults or peculiarities of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_lrscan import lr_scan
from recipes.data import digits, handwriting, patients, tumors, wines
from recipes.healthy import classifier

if TYPE_CHECKING:
    from keras_lrscan import LRCurve

layers = keras.layers


def raw_pixels() -> LRCurve:
    """Pixels from 0 to 255, never divided by 255."""
    x, y = handwriting()
    model = keras.Sequential(
        [keras.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x.reshape(-1, 784), y, verbose=0).curve


def uneven_columns() -> LRCurve:
    """Measurements in their own units: the spread of one column is some thousand times that of another."""
    x, y = wines()
    model = keras.Sequential(
        [keras.Input((13,)), layers.Dense(32, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, batch_size=16, verbose=0).curve


def down_to_guessing() -> LRCurve:
    """The same measurements under gradient descent: its first large steps leave one answer for every wine."""
    x, y = wines()
    model = keras.Sequential(
        [keras.Input((13,)), layers.Dense(32, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, batch_size=64, verbose=0).curve


def labels_shuffled() -> LRCurve:
    """The labels were shuffled and the images were not: a bug in the pipeline, made on purpose."""
    x, y = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, np.random.default_rng(0).permutation(y), verbose=0).curve


def empty_images() -> LRCurve:
    """Every image is black, since a step of the preprocessing went wrong."""
    x, y = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, np.zeros_like(x), y, verbose=0).curve


def nan_in_data() -> LRCurve:
    """One pixel of one image is NaN, in the forty-first batch."""
    x, y = digits()
    x[1300, 20] = np.nan
    model = keras.Sequential(
        [keras.Input((64,)), layers.Dense(64, activation="gelu"), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, shuffle=False, verbose=0).curve


def outside_domain() -> LRCurve:
    """A Poisson loss, which takes the logarithm of predictions, on a last layer that predicts negative numbers."""
    x, y = patients()
    model = keras.Sequential([keras.Input((10,)), layers.Dense(32, activation="relu"), layers.Dense(1)])
    model.compile("adam", "poisson")
    return lr_scan(model, x, y / 100, verbose=0).curve


def swallowed_nan() -> LRCurve:
    """Some pixels are NaN, and a unit that takes the larger of 0 and NaN hides it: the loss stays a number."""
    x, y = digits()
    x[50::100, 20] = np.nan
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, shuffle=False, verbose=0).curve


def sorted_by_class() -> LRCurve:
    """All zeros first, then all ones, and so on, without shuffling."""
    x, y = digits()
    order = np.argsort(y, kind="stable")[::4]
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x[order], y[order], num_steps=300, batch_size=16, shuffle=False, verbose=0).curve


def few_samples_repeated() -> LRCurve:
    """Sixty images, seen again and again during the scan."""
    x, y = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x[:60], y[:60], num_steps=300, batch_size=10, verbose=0).curve


def large_targets() -> LRCurve:
    """The same patients as in the other regression, but the targets run from 25 to 346."""
    x, y = patients()
    model = keras.Sequential([keras.Input((10,)), layers.Dense(32, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mean_squared_error")
    return lr_scan(model, x, y, num_steps=150, verbose=0).curve


def rare_class() -> LRCurve:
    """Malignant tumors are reduced to one in thirty."""
    x, y = tumors()
    kept = np.sort(np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:12]]))
    model = keras.Sequential(
        [keras.Input((30,)), layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x[kept], y[kept], num_steps=150, verbose=0).curve


def outlying_targets() -> LRCurve:
    """Occasional outlying targets, in batches of four."""
    x, y = digits()
    targets = y - 4.5 + 5 * np.random.default_rng(0).standard_t(1.5, len(y))
    model = keras.Sequential([keras.Input((64,)), layers.Dense(16, activation="tanh"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    return lr_scan(model, x, targets, batch_size=4, end_lr=0.05, verbose=0).curve


def outlying_targets_again() -> LRCurve:
    """The same in batches of eight, up to a larger rate."""
    x, y = digits()
    targets = y - 4.5 + 5 * np.random.default_rng(0).standard_t(1.5, len(y))
    model = keras.Sequential([keras.Input((64,)), layers.Dense(16, activation="tanh"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    return lr_scan(model, x, targets, batch_size=8, end_lr=1.0, verbose=0).curve


def harder_and_harder() -> LRCurve:
    """A trained model meets images that get noisier from batch to batch, in order."""
    x, y = digits()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    growing = np.linspace(0, 0.35, len(x))[:, None]
    noisier = x + growing * np.random.default_rng(0).standard_normal(x.shape)
    options = {"num_steps": 112, "batch_size": 16, "end_lr": 1e-3, "shuffle": False}
    return lr_scan(model, noisier.astype("float32"), y, verbose=0, **options).curve


RECIPES = {
    "raw-pixels": raw_pixels,
    "uneven-columns": uneven_columns,
    "down-to-guessing": down_to_guessing,
    "labels-shuffled": labels_shuffled,
    "empty-images": empty_images,
    "nan-in-data": nan_in_data,
    "outside-domain": outside_domain,
    "swallowed-nan": swallowed_nan,
    "sorted-by-class": sorted_by_class,
    "few-samples-repeated": few_samples_repeated,
    "large-targets": large_targets,
    "rare-class": rare_class,
    "outlying-targets": outlying_targets,
    "outlying-targets-again": outlying_targets_again,
    "harder-and-harder": harder_and_harder,
}
