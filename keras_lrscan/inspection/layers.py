"""Describes the layers of a model: frozen layers, layers trained before, and the architecture they come from."""

from __future__ import annotations

import functools
import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Layer, Model, Value
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.snapshot import read_value
from keras_lrscan.hosts.topology import class_names, own_weights, producer
from keras_lrscan.inspection.array_statistics import thinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from keras_lrscan.hosts.host import Host

__all__ = ["backbone_of", "layer_facts"]

NORMALIZES = re.compile(r"\w+Norm(alization)?$")
"""Layers that normalize activations inside a model. `Normalization` itself scales inputs and does not match."""

RANDOMIZES = re.compile(r"\w*Dropout(\dD)?$|\w+Noise$|Random[A-Z]\w+$|DropPath$|StochasticDepth$")
"""Layers that drop or perturb values at random during training."""

USUALLY_CONSTANT = ("bias", "beta", "gamma", "moving_mean", "moving_variance")
"""Weights that usually start at a constant value and change in the first update."""

USUALLY_RANDOM = ("kernel", "depthwise_kernel", "pointwise_kernel", "embeddings")
"""Weights that usually start at random values of a known distribution; all are named after their initializers."""

CLEARLY_OTHER = 6.0
"""Standard errors by which the spread of random weights must differ from that of their initializer."""

MIN_RANDOM = 100
"""Fewest random weights to compare with their initializer."""

TRUNCATED_SPREAD = 0.8796
"""Standard deviation of a normal distribution with standard deviation 1 that is cut off at 2 on both sides."""

APPLICATION_NAMES = re.compile(
    r"^(vgg1[69]|resnet(50|101|152)(v2)?|xception|inception_v3|inception_resnet_v2|densenet(121|169|201)"
    r"|nasnet(_mobile|_large)?|mobilenet_[\d.]+_\w+|mobilenetv2_[\d.]+_\w+|mobilenet_?v3_?(small|large)\w*"
    r"|efficientnet-?b\d|efficientnetv2-(b\d|s|m|l)|convnext_(tiny|small|base|large|xlarge)|regnet[xy]\d+)(_\d+)?$",
    re.IGNORECASE,
)
"""Names of the models in `keras.applications`."""

APPLICATION_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "block5_conv4": "vgg19",
        "block5_conv3": "vgg16",
        "conv5_block16_concat": "densenet121",
        "conv5_block32_concat": "densenet",
        "conv4_block36_out": "resnet152",
        "conv4_block23_out": "resnet101",
        "conv5_block3_out": "resnet50",
        "block14_sepconv2": "xception",
        "mixed10": "inception_v3",
        "block8_10": "inception_resnet_v2",
        "block_16_project_bn": "mobilenetv2",
        "conv_pw_13_bn": "mobilenet",
        "block7a_project_bn": "efficientnet",
        "block6a_se_expand": "efficientnetv2",
    }
)
"""Name of a layer that only one of these architectures has → the architecture. Finds cut and embedded models, too."""

LIBRARIES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "keras_hub": re.compile(r"(\w+)Backbone$"),
        "keras_nlp": re.compile(r"(\w+)Backbone$"),
        "keras_cv": re.compile(r"(\w+)Backbone$"),
        "transformers": re.compile(r"TF(\w+?)(MainLayer|Model|For\w+)$"),
        "tensorflow_hub": re.compile(r"(KerasLayer)$"),
    }
)
"""Library of pretrained models → a pattern for its backbone classes. The group is the name of the architecture."""


def layer_facts(host: Host, iterations: int) -> dict[str, Any]:
    """Returns facts about the layers, keyed by fields of `ScanContext`.

    A layer counts as used, which means trained before, if one of its biases, scales or moving statistics differs from
    its initial value, or, in a layer without any of these, if its kernel cannot come from its initializer. After an
    update by the optimizer, all trainable layers count as used.

    Args:
        host: The host and its model, built.
        iterations: Number of updates that the optimizer has made.
    """
    layers = layers_in(host.model)
    trainable = {id(variable) for variable in host.model.trainable_variables}
    weighted = [layer for layer in layers if own_weights(layer)[0]]
    frozen = [layer for layer in weighted if not any(id(item) in trainable for item in own_weights(layer)[0])]
    is_frozen = {id(layer) for layer in frozen}
    used = {id(layer): _is_used(layer) for layer in layers if any(own_weights(layer))}
    if iterations:
        used |= {id(layer): True for layer in weighted if id(layer) not in is_frozen}
    head = _head(host.model, layers)
    head = None if id(head) in is_frozen else head  # a last layer that does not train is no new one
    is_used = None if head is None else used.get(id(head))
    return {
        "num_layers": len(weighted),
        "num_frozen_layers": len(frozen),
        "num_used_layers": sum(value is True for value in used.values()),
        "head_is_fresh": None if head is None else _is_fresh(head, used, is_used=is_used),
        "head_is_untrained": None if is_used is None else not is_used,
        "body_is_frozen": None if is_used is None else bool(frozen) and _are_unused(weighted, is_frozen, used),
        "has_activity_penalty": any(getattr(layer, "activity_regularizer", None) is not None for layer in layers),
        "backbone": backbone_of(layers),
        "num_normalization_layers": sum(any(map(NORMALIZES.match, class_names(layer))) for layer in layers),
        "num_dropout_layers": sum(map(_randomizes, layers)),
    }


def backbone_of(layers: Iterable[Any]) -> str | None:
    """Returns the name of a known architecture among layers, or `None`.

    The name or class of a whole model wins over the name of a single layer.

    Args:
        layers: The layers of a model, and the model itself.

    Example:
    >>> from types import SimpleNamespace
    >>> backbone_of([SimpleNamespace(name="model_1"), SimpleNamespace(name="resnet50")])
    'resnet50'
    """
    by_layer = None
    for layer in layers:
        name = str(getattr(layer, "name", ""))
        found = _architecture_of(type(layer)) or (name if APPLICATION_NAMES.match(name) else None)
        if found is not None:
            return found
        by_layer = by_layer or APPLICATION_LAYERS.get(name.lower())
    return by_layer


def _are_unused(layers: list[Any], frozen: set[int], used: dict[int, bool | None]) -> bool:
    """Returns whether the layers that train, of which there is one at least, show no sign of earlier training."""
    training = [layer for layer in layers if id(layer) not in frozen]
    return bool(training) and not any(used.get(id(layer)) for layer in training)


def _is_used(layer: Layer) -> bool | None:
    """Returns whether a layer was trained before, or `None` if its weights do not tell."""
    differs = [
        bool((read_value(variable) != first).any())
        for name in USUALLY_CONSTANT
        if (variable := getattr(layer, name, None)) is not None and (first := _first_value(layer, name)) is not None
    ]
    if differs:
        return any(differs)
    return True if any(_is_other_than_drawn(layer, name) for name in USUALLY_RANDOM) else None


def _is_other_than_drawn(layer: Layer, name: str) -> bool:
    """Returns whether a weight cannot be a draw from its initializer: a wider range, or another spread."""
    stems = (name, name.removesuffix("_kernel"), "depthwise")  # Keras 3 calls the kernel of that layer just `kernel`
    found = (getattr(layer, f"{stem}_initializer", None) for stem in stems)
    initializer = next((item for item in found if item is not None), None)
    variable = getattr(layer, name, None)
    if variable is None or initializer is None or math.prod(variable.shape) < MIN_RANDOM or hasattr(layer, "equation"):
        return False  # `EinsumDense` draws its kernel in another shape
    drawn = _distribution_of(initializer, tuple(variable.shape))
    if drawn is None:
        return False
    values = thinned(np.asarray(read_value(variable), np.float32).reshape(-1)).astype(np.float64)
    mean, spread, limit = drawn
    error = spread / math.sqrt(2 * values.size)
    return bool(np.abs(values - mean).max() > 1.01 * limit or abs(values.std() - spread) > CLEARLY_OTHER * error)


def _distribution_of(initializer: Value, shape: tuple[int, ...]) -> tuple[float, float, float] | None:
    """Returns the mean, the standard deviation and the largest distance from the mean of an initializer's draws.

    References:
        The classes `RandomUniform`, `RandomNormal`, `TruncatedNormal` and `VarianceScaling` of Keras.

    Example:
    >>> class RandomUniform:
    ...     minval, maxval = -0.05, 0.05
    >>> _distribution_of(RandomUniform(), (3, 4))[2]
    0.05
    """
    kinds = [cls.__name__ for cls in type(initializer).__mro__]
    get = functools.partial(getattr, initializer)
    if "RandomUniform" in kinds:
        half = (get("maxval") - get("minval")) / 2
        return get("minval") + half, half / math.sqrt(3), half
    if "RandomNormal" in kinds:
        return get("mean"), get("stddev"), math.inf
    if "TruncatedNormal" in kinds:
        return get("mean"), TRUNCATED_SPREAD * get("stddev"), 2 * get("stddev")
    if "VarianceScaling" not in kinds:
        return None
    places = math.prod(shape[:-2])
    if len(shape) < 2:
        return None
    incoming, outgoing = float(places * shape[-2]), float(places * shape[-1])
    fans = {"fan_in": incoming, "fan_out": outgoing, "fan_avg": (incoming + outgoing) / 2}
    spread = math.sqrt(get("scale") / max(1.0, fans[get("mode")]))
    limits = {"uniform": math.sqrt(3) * spread, "truncated_normal": 2 * spread / TRUNCATED_SPREAD}
    return 0.0, spread, limits.get(get("distribution"), math.inf)


def _first_value(layer: Layer, name: str) -> float | NDArray[Any] | None:
    """Returns the initial value of a weight, or `None` if its initializer is random or unknown."""
    initializer = getattr(layer, f"{name}_initializer", None)
    kind = type(initializer).__name__
    value = {"Zeros": 0.0, "Ones": 1.0, "Constant": getattr(initializer, "value", None)}.get(kind)
    if not isinstance(value, (int, float)):
        return None
    if name == "bias" and getattr(layer, "unit_forget_bias", False):  # an LSTM's forget gate starts at one
        units = int(layer.units)
        return np.repeat([value, 1.0, value, value], units)
    return float(value)


def _is_fresh(head: Layer, used: dict[int, bool | None], *, is_used: bool | None) -> bool | None:
    """Returns whether the output layer has its initial weights while others were trained, or `None` if unknown."""
    others = any(value is True for key, value in used.items() if key != id(head))
    return others and not is_used if is_used is not None else (None if others else False)


def _head(model: Model, layers: list[Any]) -> Layer | None:
    """Returns the last layer with weights, or `None` if it is unknown."""
    head = producer(model, lambda layer: bool(own_weights(layer)[0]))
    body = getattr(model, getattr(model, "base_model_prefix", None) or " ", None)  # a task model of transformers
    if head is None and body is not None:
        inside = {id(layer) for layer in layers_in(body)}
        after = [layer for layer in layers if id(layer) not in inside and own_weights(layer)[0]]
        head = after[-1] if after else None
    return head


def _randomizes(layer: Layer) -> bool:
    if any(map(RANDOMIZES.match, class_names(layer))):
        return getattr(layer, "rate", 1) != 0
    rates = [getattr(layer, name, 0) for name in ("dropout", "recurrent_dropout")]  # of a recurrent cell
    return any(own_weights(layer)) and any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)


def _architecture_of(kind: type[Any]) -> str | None:
    for cls in kind.__mro__:
        pattern = LIBRARIES.get(cls.__module__.partition(".")[0])
        match = pattern.match(cls.__name__) if pattern is not None else None
        if match is not None:
            return match.group(1)
    return None
