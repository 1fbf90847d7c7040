"""Records scans with faults or peculiarities of the model, the loss or the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_lrscan import lr_scan
from recipes.data import digits
from recipes.healthy import classifier

if TYPE_CHECKING:
    from keras_lrscan import LRCurve

layers = keras.layers
CROSSENTROPY = "sparse_categorical_crossentropy"


def frozen_layers() -> LRCurve:
    """Every layer was frozen, and nothing was unfrozen before `compile`."""
    x, y = digits()
    model = classifier()
    model.trainable = False
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def dead_units() -> LRCurve:
    """Biases of -20 switch every unit off, and a unit that is off has no gradient."""
    x, y = digits()
    off = keras.initializers.Constant(-20)
    dead = layers.Dense(64, activation="relu", bias_initializer=off)
    model = keras.Sequential([keras.Input((64,)), dead, layers.Dense(10, use_bias=False, activation="softmax")])
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def logits_taken_for_probabilities() -> LRCurve:
    """No softmax at the end, and a loss that expects probabilities."""
    x, y = digits()
    model = keras.Sequential(
        [keras.Input((64,)), layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(10)]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def probabilities_taken_for_logits() -> LRCurve:
    """A softmax at the end, and a loss that applies another one."""
    x, y = digits()
    model = classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def summed_loss() -> LRCurve:
    """The losses of the 32 samples of a batch are added up instead of averaged."""
    x, y = digits()
    model = classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(reduction="sum")
    model.compile(keras.optimizers.SGD(0.01), loss, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=150, verbose=0).curve


def heavy_penalty() -> LRCurve:
    """A penalty on large weights makes up most of the loss."""
    x, y = digits()
    penalty = keras.regularizers.L2(0.03)
    hidden = [layers.Dense(128, activation="relu", kernel_regularizer=penalty) for _ in range(2)]
    model = keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10, activation="softmax")])
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, verbose=0).curve


def clipped_gradients() -> LRCurve:
    """Gradients are cut to a length of 0.1, so even at rate 10 no step is longer than 1."""
    x, y = digits()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01, global_clipnorm=0.1), CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=200, verbose=0).curve


def normalizing_optimizer() -> LRCurve:
    """LAMB makes each step as long as the weights times the rate, whatever the gradient is."""
    x, y = digits()
    model = classifier()
    model.compile(keras.optimizers.Lamb(0.001), CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=200, end_lr=1.0, verbose=0).curve


def half_precision() -> LRCurve:
    """Sensor counts of some thousands, unscaled, in a format whose largest number is 65,504."""
    x, y = digits()
    policy = keras.DTypePolicy("mixed_float16")
    hidden = [layers.Dense(64, activation="relu", dtype=policy) for _ in range(2)]
    head = layers.Dense(10, activation="softmax", dtype="float32")
    model = keras.Sequential([keras.Input((64,)), *hidden, head])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01))
    model.compile(optimizer, CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, 3000 * x, y, verbose=0).curve


def heavy_momentum() -> LRCurve:
    """With a momentum of 0.98, each step continues for some fifty more."""
    x, y = digits()
    model = classifier()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.98), CROSSENTROPY, metrics=["accuracy"])
    return lr_scan(model, x, y, num_steps=200, verbose=0).curve


RECIPES = {
    "frozen-layers": frozen_layers,
    "dead-units": dead_units,
    "logits-taken-for-probabilities": logits_taken_for_probabilities,
    "probabilities-taken-for-logits": probabilities_taken_for_logits,
    "summed-loss": summed_loss,
    "heavy-penalty": heavy_penalty,
    "clipped-gradients": clipped_gradients,
    "normalizing-optimizer": normalizing_optimizer,
    "half-precision": half_precision,
    "heavy-momentum": heavy_momentum,
}
