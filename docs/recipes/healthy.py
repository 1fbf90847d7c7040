"""Fits with nothing to mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_lrscan import lr_scan
from recipes.data import digits, handwriting, patients, standardized

if TYPE_CHECKING:
    from keras_lrscan import LRCurve

layers = keras.layers


def classifier(width: int = 64, depth: int = 2) -> keras.Model:
    """Returns a dense network for the digits."""
    hidden = [layers.Dense(width, activation="relu") for _ in range(depth)]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, activation="softmax")])


def fresh_classifier() -> LRCurve:
    """Nothing special: fresh weights, scaled inputs, Adam."""
    x, y = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def half_trained() -> LRCurve:
    """One epoch of training, then the scan."""
    x, y = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=1, verbose=0)
    return lr_scan(model, x, y, verbose=0).curve


def trained() -> LRCurve:
    """Ten epochs of training, then the scan."""
    x, y = digits()
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=10, verbose=0)
    return lr_scan(model, x, y, verbose=0).curve


def convolutions() -> LRCurve:
    """A small convolutional network on MNIST."""
    x, y = handwriting()
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=150, batch_size=64, verbose=0).curve


def recurrence() -> LRCurve:
    """A recurrent network reads each image row by row."""
    x, y = digits()
    model = keras.Sequential([keras.Input((8, 8)), layers.GRU(32), layers.Dense(10, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x.reshape(-1, 8, 8), y, num_steps=150, verbose=0).curve


def plain_descent() -> LRCurve:
    """Plain gradient descent needs far larger rates than Adam."""
    x, y = digits()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=150, verbose=0).curve


def regression() -> LRCurve:
    """A regression whose targets were standardized first."""
    x, y = patients()
    model = keras.Sequential([keras.Input((10,)), layers.Dense(32, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mean_squared_error")
    return lr_scan(model, x, standardized(y), num_steps=150, verbose=0).curve


def collapse() -> LRCurve:
    """Four hidden layers under Adam, with many steps in four decades: after the valley it never comes back."""
    x, y = digits()
    model = classifier(depth=4)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, start_lr=1e-4, end_lr=1.0, num_steps=300, batch_size=64, verbose=0).curve


RECIPES = {
    "fresh-classifier": fresh_classifier,
    "half-trained": half_trained,
    "trained": trained,
    "convolutions": convolutions,
    "recurrence": recurrence,
    "plain-descent": plain_descent,
    "regression": regression,
    "collapse": collapse,
}
