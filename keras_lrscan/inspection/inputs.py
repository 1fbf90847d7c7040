"""Describes the range of the inputs whose size matters to the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Layer, Model, Tensor
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.topology import class_names, first_layers
from keras_lrscan.inspection.array_statistics import Range, range_of
from keras_lrscan.inspection.arrays import array_of, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

__all__ = ["input_facts", "looks_up_inputs"]

LOOKS_UP = re.compile(r"Embedding|Lookup$|^(CategoryEncoding|Hashing|HashedCrossing|TextVectorization|Discretization)$")
"""Layers that treat their input as an index, or sort it into bins."""

SCALES = re.compile(r"^(Normalization|Rescaling|(Batch|Layer|Group|RMS|Unit)Normalization)$")
"""Layers that change the scale of their input."""

INPUT_SCALERS = frozenset({"Normalization", "Rescaling"})
"""Layers among `SCALES` that are made for the inputs of a model."""

IMAGE_AXES = 4
"""Axes of an array of images. Arrays of word indices have fewer."""


def input_facts(model: Model, x: FitData) -> dict[str, Any]:
    """Returns the range and spread of the measurements among the inputs, keyed by fields of `ScanContext`.

    If several inputs are measurements, describes the one with the largest absolute value.

    Args:
        model: A model of Keras 3 or tf_keras.
        x: Input data, as for `fit`.

    Returns:
        The facts. Empty if no input is a measurement.
    """
    found: list[Range] = []
    for part, tensor in _with_symbols(model, x):
        array = array_of(part)
        if array is not None and _is_measurement(model, tensor, array) and (lies := range_of(array)) is not None:
            found.append(lies)
    if not found:
        return {}
    largest = max(found, key=lambda item: item.size)
    return {
        "input_low": largest.low,
        "input_high": largest.high,
        "input_mean": largest.mean,
        "input_std": largest.std,
        "input_spread_ratio": largest.spread_ratio,
    }


def looks_up_inputs(model: Model) -> bool:
    """Returns whether a layer of the model looks up its input, such as the index of a word, or sorts it into bins."""
    return any(map(LOOKS_UP.search, _class_names_in(model)))


def _class_names_in(model: Model) -> set[str]:
    return {name for layer in layers_in(model, include_self=False) for name in class_names(layer)}


def _with_symbols(model: Model, x: FitData) -> Iterator[tuple[Any, Any]]:
    """Yields each input with the model's symbolic tensor for it, `None` if that is unknown."""
    tensors = list(getattr(model, "inputs", None) or [])
    if isinstance(x, dict):
        struct = getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None))
        named = struct if isinstance(struct, dict) else {tensor.name.partition(":")[0]: tensor for tensor in tensors}
        yield from ((part, named.get(name)) for name, part in x.items())
        return
    parts = parts_of(x)
    matches = len(parts) == len(tensors)
    yield from zip(parts, tensors if matches else [None] * len(parts), strict=True)


def _is_measurement(model: Model, tensor: Tensor, array: Array) -> bool:
    """Returns whether the size of the numbers matters to the model, unlike that of word indices or flags."""
    if array.dtype.kind == "b":
        return False
    uses = {_first_use(layer, array) for layer in first_layers(model, tensor)} if tensor is not None else set()
    if not uses:
        has_scaler = bool(_class_names_in(model) & INPUT_SCALERS)
        return not has_scaler and not (looks_up_inputs(model) and _may_be_indices(array))
    return uses == {"plain"}


def _first_use(layer: Layer, array: Array) -> str:
    """Returns `"scales"`, `"looks up"`, `"plain"` or `"unknown"`, depending on how a layer uses its input `array`."""
    inner = layers_in(layer)
    has_scaler = any(INPUT_SCALERS.intersection(class_names(item)) for item in inner)
    if has_scaler or any(map(SCALES.search, class_names(layer))):
        return "scales"
    if any(LOOKS_UP.search(name) for item in inner for name in class_names(item)) and _may_be_indices(array):
        return "looks up"
    return "plain" if getattr(layer, "weights", None) else "unknown"


def _may_be_indices(array: Array) -> bool:
    if array.ndim >= IMAGE_AXES:
        return False
    sample = array.reshape(len(array), -1)[:100]
    return array.dtype.kind in "iu" or bool((sample == np.floor(sample)).all())
