"""Known pretrained architectures, told by the names that their makers gave to models, layers and classes."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["backbone_of"]

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
