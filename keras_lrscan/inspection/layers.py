"""What the layers of a model tell: how many can train, which were trained before, what kinds there are."""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Layer, Model
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.snapshot import read_value
from keras_lrscan.hosts.topology import class_names, own_weights, producer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from keras_lrscan.hosts.host import Host

    Array = NDArray[Any]

__all__ = ["backbone_of", "layer_facts", "movement_facts"]

NORMALIZES = re.compile(r"\w+Norm(alization)?$")
"""Layers that normalize what is inside a model; `Normalization` by itself scales its inputs."""
DISTURBS = re.compile(r"\w*Dropout(\dD)?$|\w+Noise$|Random[A-Z]\w+$|DropPath$|StochasticDepth$")
"""Layers that drop or disturb values at random in training."""
TELLING = ("bias", "beta", "gamma", "moving_mean", "moving_variance")
"""Weights whose first value is known from the initializer beside them, and changes in the first update."""


def layer_facts(host: Host, iterations: int) -> dict[str, Any]:
    """Returns what the layers tell, by fields of the context.

    A layer counts as used where one of its biases, scales or moving statistics is off the value that its initializer
    gives. Where the optimizer has made updates, all layers that can train are used.

    Args:
        host: The host and its model, built.
        iterations: Updates that the optimizer has made.
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
    is_used = None if head is None else used.get(id(head))
    return {
        "num_layers": len(weighted),
        "num_frozen_layers": len(frozen),
        "num_used_layers": sum(value is True for value in used.values()),
        "head_is_fresh": None if head is None else _is_fresh(head, used, is_used=is_used),
        "head_is_untrained": None if is_used is None else not is_used,
        "has_activity_penalty": any(getattr(layer, "activity_regularizer", None) is not None for layer in layers),
        "backbone": backbone_of(layers),
        "num_normalization_layers": sum(any(map(NORMALIZES.match, class_names(layer))) for layer in layers),
        "num_dropout_layers": sum(map(_disturbs, layers)),
    }


def _is_used(layer: Layer) -> bool | None:
    """Whether a layer was trained before; `None` where its weights do not tell."""
    told = [
        bool((read_value(variable) != first).any())
        for name in TELLING
        if (variable := getattr(layer, name, None)) is not None and (first := _first_value(layer, name)) is not None
    ]
    return any(told) if told else None


def _first_value(layer: Layer, name: str) -> float | NDArray[Any] | None:
    """What the initializer of a weight gives, where that is always the same."""
    initializer = getattr(layer, f"{name}_initializer", None)
    kind = type(initializer).__name__
    value = {"Zeros": 0.0, "Ones": 1.0, "Constant": getattr(initializer, "value", None)}.get(kind)
    if not isinstance(value, (int, float)):
        return None
    if name == "bias" and getattr(layer, "unit_forget_bias", False):  # an LSTM's forget gate begins at one
        units = int(layer.units)
        return np.repeat([value, 1.0, value, value], units)
    return float(value)


def _is_fresh(head: Layer, used: dict[int, bool | None], *, is_used: bool | None) -> bool | None:
    """Whether the layer that makes the output is as initialized while others were trained."""
    others = any(value is True for key, value in used.items() if key != id(head))
    return others and not is_used if is_used is not None else (None if others else False)


def _head(model: Model, layers: list[Any]) -> Layer | None:
    """The last layer with weights, where it is known which one that is."""
    head = producer(model, lambda layer: bool(own_weights(layer)[0]))
    body = getattr(model, getattr(model, "base_model_prefix", None) or " ", None)  # a task model of transformers
    if head is None and body is not None:
        inside = {id(layer) for layer in layers_in(body)}
        after = [layer for layer in layers if id(layer) not in inside and own_weights(layer)[0]]
        head = after[-1] if after else None
    return head


def _disturbs(layer: Layer) -> bool:
    if any(map(DISTURBS.match, class_names(layer))):
        return getattr(layer, "rate", 1) != 0
    rates = [getattr(layer, name, 0) for name in ("dropout", "recurrent_dropout")]  # of a recurrent cell
    return any(own_weights(layer)) and any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)


BLOCK = 2**16
"""Numbers that are looked at in one go, so that no second copy of a large weight is made."""
MATRIX = 2
"""Axes of a kernel; biases and scales have fewer, and may begin at zero, of which nothing is a share."""


def movement_facts(pairs: Iterable[tuple[Array, Array]]) -> dict[str, Any]:
    """Returns how far weights moved, by fields of the context.

    Lengths are Euclidean. A share is `None` where it is not a finite number.

    Args:
        pairs: Each weight as it was and as it is. Arrays of the same shape.

    Example:
    >>> movement_facts([(np.array([3.0, 4.0]), np.array([3.0, 4.5]))])
    {'weight_change': 0.1, 'still_share': 0.5, 'layer_change_ratio': None}
    >>> kernel = np.ones((2, 2))
    >>> movement_facts([(kernel, 1.5 * kernel), (kernel, 2 * kernel)])["layer_change_ratio"]
    0.5
    """
    moved = length = 0.0
    still = size = 0
    shares: list[float] = []
    for before, after in pairs:
        step, own, same = _compare(before.reshape(-1), after.reshape(-1))
        moved, length, still, size = moved + step, length + own, still + same, size + before.size
        share = _share(step, own)
        shares += [share] if before.ndim >= MATRIX and share is not None else []
    return {
        "weight_change": _share(moved, length),
        "still_share": still / size if size else None,
        "layer_change_ratio": min(shares) / max(shares) if len(shares) > 1 and max(shares) > 0 else None,
    }


def _compare(old: Array, new: Array) -> tuple[float, float, int]:
    """Returns the squared length of the change, that of the weight as it was, and how many numbers did not change."""
    moved = length = 0.0
    still = 0
    for start in range(0, old.size, BLOCK):
        a, b = old[start : start + BLOCK], new[start : start + BLOCK]
        still += int(np.count_nonzero((a == b) | ((a != a) & (b != b))))  # noqa: PLR0124 - NaN and NaN are the same
        wide = a.astype(np.float64)
        length += float(np.dot(wide, wide))
        with np.errstate(invalid="ignore", over="ignore"):
            step = b.astype(np.float64) - wide
            moved += float(np.dot(step, step))
    return moved, length, still


def _share(moved: float, length: float) -> float | None:
    return math.sqrt(moved / length) if length > 0 and math.isfinite(moved) and math.isfinite(length) else None


OF_APPLICATIONS = re.compile(
    r"^(vgg1[69]|resnet(50|101|152)(v2)?|xception|inception_v3|inception_resnet_v2|densenet(121|169|201)"
    r"|nasnet(_mobile|_large)?|mobilenet_[\d.]+_\w+|mobilenetv2_[\d.]+_\w+|mobilenet_?v3_?(small|large)\w*"
    r"|efficientnet-?b\d|efficientnetv2-(b\d|s|m|l)|convnext_(tiny|small|base|large|xlarge)|regnet[xy]\d+)(_\d+)?$",
    re.IGNORECASE,
)
"""Names of the models of `keras.applications`."""

LAYERS_OF_APPLICATIONS: Mapping[str, str] = MappingProxyType(
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
"""A layer that only one of these architectures has, whatever the model was cut from or built into → its name."""

LIBRARIES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "keras_hub": re.compile(r"(\w+)Backbone$"),
        "keras_nlp": re.compile(r"(\w+)Backbone$"),
        "keras_cv": re.compile(r"(\w+)Backbone$"),
        "transformers": re.compile(r"TF(\w+?)(MainLayer|Model|For\w+)$"),
        "tensorflow_hub": re.compile(r"(KerasLayer)$"),
    }
)
"""Library of pretrained models → the class of its backbones, with the name of the architecture in brackets."""


def backbone_of(layers: Iterable[Any]) -> str | None:
    """Returns the name of the known architecture among the layers of a model, the model itself included, or `None`.

    Example:
    >>> from types import SimpleNamespace
    >>> backbone_of([SimpleNamespace(name="model_1"), SimpleNamespace(name="resnet50")])
    'resnet50'
    """
    by_layer = None
    for layer in layers:
        name = str(getattr(layer, "name", ""))
        found = _of_class(type(layer)) or (name if OF_APPLICATIONS.match(name) else None)
        if found is not None:
            return found
        by_layer = by_layer or LAYERS_OF_APPLICATIONS.get(name.lower())
    return by_layer


def _of_class(kind: type[Any]) -> str | None:
    for cls in kind.__mro__:
        pattern = LIBRARIES.get(cls.__module__.partition(".")[0])
        match = pattern.match(cls.__name__) if pattern is not None else None
        if match is not None:
            return match.group(1)
    return None
