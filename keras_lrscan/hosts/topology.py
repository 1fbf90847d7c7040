"""Follows data through the layers of a model, to find the first layers after an input and the one before the output.

Functional and sequential models record how their layers are connected. A subclassed model with its own `call` does not,
and the answer is then `None`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Layer, Model, Nest, Tensor
from keras_lrscan.hosts.layer_tree import layers_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keras_lrscan.hosts.host import Host

__all__ = [
    "class_names",
    "first_layers",
    "num_outputs",
    "output_activation",
    "output_layer",
    "own_weights",
    "producer",
    "squashed_twice",
]

PASSING = re.compile(
    r"^(InputLayer|Flatten|Reshape|Permute|RepeatVector|Cropping\dD|ZeroPadding\dD|UpSampling\dD|(\w*)Pooling\dD"
    r"|(\w*)Dropout(\dD)?|GaussianNoise|ActivityRegularization|Masking|Identity|Cast|Resizing|CenterCrop|Random\w+"
    r"|Squeeze|ExpandDims|Transpose|Concatenate)$"
)
"""Layers and operations of Keras with outputs in the range of their inputs."""
MERGING = re.compile(r"^(Average|Maximum|Minimum)$")
"""Layers that merge several tensors into one with values in the same range."""
SQUASHING = frozenset({"softmax", "sigmoid", "hard_sigmoid"})
"""Activations that produce probabilities."""


def class_names(layer: Layer) -> list[str]:
    """Returns the names of the class of `layer` and of its base classes."""
    return [cls.__name__ for cls in type(layer).__mro__]


def own_weights(layer: Layer) -> tuple[list[Any], list[Any]]:
    """Returns the trainable and the other weights of `layer` itself, without those of its sublayers.

    Freezing a layer does not move its weights from the first list to the second.
    """
    if hasattr(layer, "_trainable_variables"):  # Keras 3; the public lists include sublayers
        return list(layer._trainable_variables), list(layer._non_trainable_variables)  # noqa: SLF001 - see above
    return list(getattr(layer, "_trainable_weights", [])), list(getattr(layer, "_non_trainable_weights", []))


def first_layers(model: Model, tensor: Tensor) -> Iterator[Any]:
    """Yields the first layers that compute with the values of a symbolic input of `model`.

    Args:
        model: A functional or sequential model.
        tensor: One of its symbolic inputs.
    """
    seen: set[int] = set()
    waiting = [(_operation_of(tensor), model)]
    while waiting:
        operation, within = waiting.pop()
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        inner = _inputs_of(operation)
        if inner:
            waiting += [(_operation_of(item), operation) for item in inner]
        elif PASSING.match(type(operation).__name__):
            waiting += [(follower, within) for follower in _followers(operation, within)]
        else:
            yield operation


def output_layer(model: Model) -> Layer | None:
    """Returns the layer that determines the range of the only output, or `None` if it is unknown."""
    outputs = _outputs_of(model)
    if len(outputs) != 1:
        return None
    tensor = outputs[0]
    for _ in range(len(_operations_of(model)) + 1):
        operation = _operation_of(tensor)
        if _outputs_of(operation):
            return output_layer(operation)
        sources = _sources(operation)
        is_linear = _is_activation_layer(operation) and _activation(operation) == "linear"
        passes = is_linear or PASSING.match(type(operation).__name__)
        if not passes or len(sources) != 1:
            return _unwrapped(operation)
        tensor = sources[0]
    return None


def producer(model: Model, counts: Callable[[Any], bool]) -> Layer | None:
    """Returns the last layer before the only output for which `counts` is true, or `None` if it is unknown.

    The search enters wrappers and nested models, and ends at a layer with several inputs.
    """
    outputs = _outputs_of(model)
    if len(outputs) != 1:
        return None
    tensor = outputs[0]
    for _ in range(len(_operations_of(model)) + 1):
        operation = _operation_of(tensor)
        if _outputs_of(operation):
            return producer(operation, counts)
        inside = layers_in(operation)
        found = [layer for layer in inside if counts(layer)]
        sources = _sources(operation)
        if found or len(sources) != 1:
            return found[-1] if found else None
        tensor = sources[0]
    return None


def output_activation(model: Model) -> str | None:
    """Returns the name of the activation of the only output, such as `"softmax"` or `"linear"`, or `None`.

    For an average of several layers, returns the activation that they share.
    """
    layer = output_layer(model)
    if layer is None or not MERGING.match(type(layer).__name__):
        return None if layer is None else _activation(layer)
    names = {trail[0] if trail else "linear" for tensor in _sources(layer) for trail in _trails(tensor)}
    return names.pop() if len(names) == 1 else None


def squashed_twice(model: Model) -> bool | None:
    """Returns whether the only output passes through two softmaxes or sigmoids without weights between them.

    The second one receives values from 0 to 1 and hardly distinguishes them. Returns `None` if the layers are unknown.
    """
    outputs = _outputs_of(model)
    if len(outputs) != 1:
        return None
    return all(sum(name in SQUASHING for name in trail) > 1 for trail in _trails(outputs[0]))


def _trails(tensor: Tensor) -> Iterator[tuple[str, ...]]:
    """Yields the activations between `tensor` and the previous layer with weights, last one first, on each path.

    A path also ends at a layer or operation with an unknown effect on the range of values.
    """
    operation = _operation_of(tensor)
    if _outputs_of(operation):
        for inner in _outputs_of(operation):
            yield from _trails(inner)
        return
    layer = _unwrapped(operation)
    name = _activation(layer)
    own = () if name in {None, "linear"} else (name,)
    is_known = any(rule.match(type(operation).__name__) for rule in (PASSING, MERGING))
    passes = own or is_known or _is_activation_layer(operation)
    has_weights = hasattr(layer, "weights") and bool(layer.weights)
    sources = [] if has_weights or not passes else _sources(operation)
    if not sources:
        yield own
    for source in sources:
        yield from ((*own, *rest) for rest in _trails(source))


def num_outputs(host: Host) -> int | None:
    """Returns the number of values that the model predicts for one sample, over all outputs, or `None`."""
    shape = getattr(host.model, "output_shape", None)
    if shape is None:
        return None
    shapes = list(shape.values()) if isinstance(shape, dict) else [shape]
    shapes = list(shape) if isinstance(shape, list) or isinstance(shapes[0][0], tuple) else shapes
    total = 0
    for sizes in shapes:
        size = 1
        for number in sizes[1:]:
            if number is None:
                return None
            size *= int(number)
        total += size
    return total


def _is_activation_layer(operation: Layer) -> bool:
    return type(operation).__name__ == "Activation"


def _activation(layer: Layer) -> str | None:
    name = type(layer).__name__
    if name in SELF_NAMED:
        return SELF_NAMED[name]
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    found = getattr(activation, "__name__", None) or type(activation).__name__
    return str(found).lower() if re.fullmatch(r"\w+", str(found)) else None


SELF_NAMED = {
    "Softmax": "softmax",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "Relu": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
}
"""Layers and operations that are an activation themselves → the name of that activation."""


def _unwrapped(layer: Layer) -> Layer:
    """Returns the layer inside a wrapper such as `TimeDistributed`, or `layer` itself."""
    inner = getattr(layer, "layer", None)
    return layer if inner is None or not hasattr(inner, "activation") else inner


def _operation_of(tensor: Tensor) -> Layer:
    history = getattr(tensor, "_keras_history", None)
    return getattr(history, "operation", None) or getattr(history, "layer", None)


def _inputs_of(model: Model) -> list[Any]:
    """Returns the symbolic inputs of a model, or an empty list."""
    return _flat(getattr(model, "inputs", None)) if _is_graph(model) else []


def _outputs_of(model: Model) -> list[Any]:
    """Returns the symbolic outputs of a model, or an empty list."""
    return _flat(getattr(model, "outputs", None)) if _is_graph(model) else []


def _is_graph(model: Model) -> bool:
    names = class_names(model)
    return "Functional" in names or ("Sequential" in names and bool(getattr(model, "built", False)))


def _flat(tensors: Nest) -> list[Any]:
    found = list(tensors) if isinstance(tensors, (list, tuple)) else []
    return found if all(hasattr(tensor, "_keras_history") for tensor in found) else []


def _operations_of(model: Model) -> list[Any]:
    return list(getattr(model, "operations", None) or getattr(model, "layers", None) or [])


def _followers(operation: Layer, model: Model) -> list[Any]:
    """Returns the layers of `model` that take the output of `operation`."""
    operations = _operations_of(model)
    return [item for item in operations if any(_operation_of(source) is operation for source in _sources(item))]


def _sources(operation: Layer) -> list[Any]:
    """Returns the symbolic tensors that `operation` is called on."""
    found = []
    for node in getattr(operation, "_inbound_nodes", []):
        tensors = getattr(node, "input_tensors", None)
        if tensors is None:
            continue
        found += list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
    return found
