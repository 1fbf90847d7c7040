"""Builds the models and data of the probes' tests: each fault, and a healthy model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.scan import lr_scan
from tests.support.hosts import classifier, compiled, digits

if TYPE_CHECKING:
    from keras_lrscan.analysis import Analysis

SAMPLES = 320
STEPS = 40


def fresh(keras: Any, **options: Any) -> Any:
    """Builds a compiled classifier."""
    return compiled(keras, **options)


def frozen(keras: Any) -> Any:
    """Builds a model whose layers are all frozen."""
    model = fresh(keras)
    for layer in model.layers:
        layer.trainable = False
    return fresh(keras, model=model)


def dead(keras: Any) -> Any:
    """Builds a model whose hidden units are inactive for every input."""
    model = fresh(keras)
    kernel, bias = model.layers[-2].get_weights()
    model.layers[-2].set_weights([kernel, bias - 100.0])
    return model


def trained(keras: Any) -> Any:
    """Builds a model that has learned the digits."""
    model = fresh(keras, optimizer=keras.optimizers.Adam(1e-2))
    x, y = digits(SAMPLES)
    model.fit(x, y, epochs=15, verbose=0)
    return model


def of_logits(keras: Any) -> Any:
    """Builds a model whose loss takes its probabilities for logits."""
    return fresh(keras, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def penalised(keras: Any) -> Any:
    """Builds a model whose regularization outweighs the loss."""
    model = classifier(keras)
    model.pop()
    model.add(keras.layers.Dense(10, "softmax", kernel_regularizer=keras.regularizers.L2(0.5)))
    return fresh(keras, model=model)


def of_sums(keras: Any) -> Any:
    """Builds a model whose loss adds up the samples of a batch."""
    return fresh(keras, loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum"))


def shuffled_labels() -> tuple[Any, Any]:
    """Returns digits with the labels of others."""
    x, y = digits(SAMPLES)
    return x, np.random.default_rng(5).permutation(y)


def constant_inputs() -> tuple[Any, Any]:
    """Returns inputs that say nothing about the labels."""
    x, y = digits(SAMPLES)
    return np.ones_like(x), y


def sorted_by_class() -> tuple[Any, Any]:
    """Returns digits in the order of their classes."""
    x, y = digits(SAMPLES)
    order = np.argsort(y, kind="stable")
    return x[order], y[order]


def with_a_nan() -> tuple[Any, Any]:
    """Returns digits, of which one is not a number."""
    x, y = digits(SAMPLES)
    x[5, 0] = np.nan
    return x, y


def of_large_numbers() -> tuple[Any, Any]:
    """Returns digits that are not scaled."""
    x, y = digits(SAMPLES)
    return 100 * x + 50, y


def plain() -> tuple[Any, Any]:
    """Returns digits as they should be."""
    return digits(SAMPLES)


def scanned(model: Any, x: Any, y: Any, **options: Any) -> Analysis:
    """Returns the analysis of a short scan."""
    return lr_scan(model, x, y, num_steps=STEPS, verbose=0, **options)
