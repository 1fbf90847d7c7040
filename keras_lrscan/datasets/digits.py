"""Loads handwritten digits and builds a small classifier for them, for the demo and the examples.

The digits are the 1,797 images of 8 x 8 pixels in scikit-learn (UCI, Alpaydin and Kaynak, 1998).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_lrscan._typing import Model
from keras_lrscan.errors import missing_dependency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["digits", "digits_model"]

PURPOSE = "The demo"


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns images of shape `(1797, 64)`, scaled to the range 0 to 1, and labels 0 to 9 of shape `(1797,)`.

    Raises:
        MissingDependencyError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing_dependency(PURPOSE, "scikit-learn", "demo") from error
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y.astype("int64")


def digits_model() -> Model:
    """Returns a compiled classifier with dense layers of 64, 64 and 10 units and the Adam optimizer.

    Raises:
        MissingDependencyError: If Keras or its configured backend is not installed.
    """
    try:
        import keras
    except ImportError as error:
        raise missing_dependency(PURPOSE, "Keras with TensorFlow", "cpu") from error
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
