"""Scans that look odd at first sight, each for a reason of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_lrscan import LRCurve, lr_scan
from recipes.data import digits, tumors
from recipes.healthy import classifier

if TYPE_CHECKING:
    from collections.abc import Mapping

layers = keras.layers
CROSSENTROPY = "sparse_categorical_crossentropy"


def softmax_by_hand(logits: keras.KerasTensor) -> keras.KerasTensor:
    """Returns the softmax as the formula has it; `keras.ops.softmax` takes the largest logit off first."""
    powers = keras.ops.exp(logits)
    return powers / keras.ops.sum(powers, axis=-1, keepdims=True)


def handmade_softmax() -> LRCurve:
    """A softmax written by hand, in float16: from a logit of 11.1 on, its exponential is infinite."""
    x, y = digits()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
        model = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, activation=softmax_by_hand)])
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def bounded_steps() -> LRCurve:
    """Adafactor never takes a rate above one over the root of the number of steps, whatever it is told."""
    x, y = tumors()
    model = keras.Sequential(
        [keras.Input((30,)), layers.Dense(16, activation="relu"), layers.Dense(1, activation="sigmoid")]
    )
    model.compile("adafactor", "binary_crossentropy", metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def catapult() -> LRCurve:
    """A wide network, squared errors and plain gradient descent, at 67 steps a decade."""
    x, y = digits()
    model = keras.Sequential([keras.Input((64,)), layers.Dense(1024, activation="relu"), layers.Dense(10)])
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    return lr_scan(model, x, np.eye(10)[y], start_lr=1e-5, num_steps=400, batch_size=64, verbose=0).curve


def trained_deep() -> keras.Model:
    """Returns a deep and wide network for the digits after five epochs of plain gradient descent."""
    x, y = digits()
    model = classifier(width=1024, depth=5)
    model.compile(keras.optimizers.SGD(0.1), CROSSENTROPY, metrics=["accuracy"])
    model.fit(x, y, epochs=5, verbose=0)
    return model


def fresh_adam() -> LRCurve:
    """A trained network goes on under a fresh Adam, from Adam's usual rate on."""
    x, y = digits()
    model = trained_deep()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, start_lr=1e-3, num_steps=200, verbose=0).curve


class TutorialFinder(keras.callbacks.Callback):
    """What many tutorials show: raise the rate after each batch, and keep what Keras calls the loss."""

    def __init__(self, start: float, factor: float) -> None:
        super().__init__()
        self.rate, self.factor = start, factor
        self.lrs: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Sets the rate."""
        self.model.optimizer.learning_rate = self.rate

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the rate and the loss, and raises the rate."""
        self.lrs.append(self.rate)
        self.losses.append((logs or {})["loss"])
        self.rate *= self.factor


def tutorial_callback() -> LRCurve:
    """The textbook classifier, recorded by a callback as in many tutorials: its losses are running means."""
    x, y = digits()
    model = classifier()
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    finder = TutorialFinder(1e-7, 10 ** (8 / 112))
    model.fit(x, y, batch_size=16, epochs=1, callbacks=[finder], verbose=0)
    return LRCurve(lr=finder.lrs, loss=finder.losses)


def hundred_classes() -> LRCurve:
    """Two digits side by side are a number from 0 to 99, under plain gradient descent."""
    x, y = digits()
    second = np.random.default_rng(0).permutation(len(x))
    hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((128,)), *hidden, layers.Dense(100, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.01), CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, np.concatenate([x, x[second]], axis=1), 10 * y + y[second], verbose=0).curve


RECIPES = {
    "handmade-softmax": handmade_softmax,
    "bounded-steps": bounded_steps,
    "catapult": catapult,
    "fresh-adam": fresh_adam,
    "tutorial-callback": tutorial_callback,
    "hundred-classes": hundred_classes,
}
