"""What the layers of a model tell: how many can train, which were trained before, what kinds there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.backbones import backbone_of
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.snapshot import read_value
from keras_lrscan.hosts.topology import class_names, own_weights, producer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.hosts.host import Host

__all__ = ["layer_facts"]

NORMALIZES = re.compile(r"\w+Norm(alization)?$")
"""Layers that normalise what is inside a model; `Normalization` by itself scales its inputs."""
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


def _is_used(layer: Any) -> bool | None:  # noqa: ANN401 - the hosts' layers share no type
    """Whether a layer was trained before; `None` where its weights do not tell."""
    told = [
        bool((read_value(variable) != first).any())
        for name in TELLING
        if (variable := getattr(layer, name, None)) is not None and (first := _first_value(layer, name)) is not None
    ]
    return any(told) if told else None


def _first_value(layer: Any, name: str) -> float | NDArray[Any] | None:  # noqa: ANN401
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


def _is_fresh(head: Any, used: dict[int, bool | None], *, is_used: bool | None) -> bool | None:  # noqa: ANN401
    """Whether the layer that makes the output is as initialised while others were trained."""
    others = any(value is True for key, value in used.items() if key != id(head))
    return others and not is_used if is_used is not None else (None if others else False)


def _head(model: Any, layers: list[Any]) -> Any | None:  # noqa: ANN401
    """The last layer with weights, where it is known which one that is."""
    head = producer(model, lambda layer: bool(own_weights(layer)[0]))
    body = getattr(model, getattr(model, "base_model_prefix", None) or " ", None)  # a task model of transformers
    if head is None and body is not None:
        inside = {id(layer) for layer in layers_in(body)}
        after = [layer for layer in layers if id(layer) not in inside and own_weights(layer)[0]]
        head = after[-1] if after else None
    return head


def _disturbs(layer: Any) -> bool:  # noqa: ANN401
    if any(map(DISTURBS.match, class_names(layer))):
        return getattr(layer, "rate", 1) != 0
    rates = [getattr(layer, name, 0) for name in ("dropout", "recurrent_dropout")]  # of a recurrent cell
    return any(own_weights(layer)) and any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)
