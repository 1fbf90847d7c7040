"""How data runs through the layers of a model: which layer sees an input first, which one makes the output.

A model knows this where its layers were connected by calling them on symbolic inputs (functional and sequential
models). A model that only has a `call` of its own does not, and the answer is then `None`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import HostFunction, Layer, Model, Tensor
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
"""Layers, and operations of Keras, that hand on numbers of the size that they are given."""
MERGING = re.compile(r"^(Average|Maximum|Minimum)$")
"""Layers that make one tensor of several, with numbers in the range of theirs."""
SQUASHING = frozenset({"softmax", "sigmoid", "hard_sigmoid"})
"""Activations that make probabilities."""


def class_names(layer: Layer) -> list[str]:
    """Returns the names of the class of `layer` and of those it was made from."""
    return [cls.__name__ for cls in type(layer).__mro__]


def own_weights(layer: Layer) -> tuple[list[Any], list[Any]]:
    """Returns the weights that `layer` holds itself: those that training can change, and the others.

    The lists keep their members when a layer is frozen; that of a layer inside is not among them.
    """
    if hasattr(layer, "_trainable_variables"):  # Keras 3; no public name leaves the layers inside out
        return list(layer._trainable_variables), list(layer._non_trainable_variables)  # noqa: SLF001 - see above
    return list(getattr(layer, "_trainable_weights", [])), list(getattr(layer, "_non_trainable_weights", []))


def first_layers(model: Model, tensor: Tensor) -> Iterator[Any]:
    """Yields the layers that are the first to do something to the numbers of a symbolic input of `model`.

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
    """Returns the layer that gives the numbers of the only output their range, or `None` where it is not known."""
    outputs = _outputs_of(model)
    if len(outputs) != 1:
        return None
    tensor = outputs[0]
    for _ in range(len(_operations_of(model)) + 1):
        operation = _operation_of(tensor)
        if _outputs_of(operation):
            return output_layer(operation)
        sources = _sources(operation)
        passes = PASSING.match(type(operation).__name__) or _activation(operation) == "linear" == _kind(operation)
        if not passes or len(sources) != 1:
            return _unwrapped(operation)
        tensor = sources[0]
    return None


def producer(model: Model, counts: Callable[[Any], bool]) -> Layer | None:
    """Returns the last layer for which `counts` holds on the way to the only output, or `None` where it is not known.

    Wrappers and models inside are gone into; where a layer takes several inputs, the way back ends.
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
    """Returns the name of the activation that makes the only output, such as `"softmax"` or `"linear"`, or `None`.

    Of an average of several layers it is theirs, if it is the same for all.
    """
    layer = output_layer(model)
    if layer is None or not MERGING.match(type(layer).__name__):
        return None if layer is None else _activation(layer)
    names = {trail[0] if trail else "linear" for tensor in _sources(layer) for trail in _trails(tensor)}
    return names.pop() if len(names) == 1 else None


def squashed_twice(model: Model) -> bool | None:
    """Returns whether the only output went through two softmaxes or sigmoids with no weights between them.

    The second finds numbers from 0 to 1, between which it sees hardly any difference. `None` where the layers are not
    known.
    """
    outputs = _outputs_of(model)
    if len(outputs) != 1:
        return None
    return all(sum(name in SQUASHING for name in trail) > 1 for trail in _trails(outputs[0]))


def _trails(tensor: Tensor) -> Iterator[tuple[str, ...]]:
    """Yields the activations that `tensor` went through since a layer with weights, the last first, on each way back.

    A way also ends at a layer or operation of which it is not known what it does to the size of numbers.
    """
    operation = _operation_of(tensor)
    if _outputs_of(operation):
        for inner in _outputs_of(operation):
            yield from _trails(inner)
        return
    layer = _unwrapped(operation)
    name = _activation(layer)
    own = () if name in {None, "linear"} else (name,)
    hands_on = own or any(rule.match(type(operation).__name__) for rule in (PASSING, MERGING)) or _kind(operation)
    has_weights = hasattr(layer, "weights") and bool(layer.weights)
    sources = [] if has_weights or not hands_on else _sources(operation)
    if not sources:
        yield own
    for source in sources:
        yield from ((*own, *rest) for rest in _trails(source))


def num_outputs(host: Host) -> int | None:
    """Returns how many numbers the model predicts for one sample, over all outputs, or `None`."""
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


def _kind(operation: HostFunction) -> str | None:
    """`"linear"` for a layer that does nothing but apply the activation of that name."""
    return "linear" if type(operation).__name__ == "Activation" else None


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
"""Layers and operations that are an activation → its name."""


def _unwrapped(layer: Layer) -> Layer:
    """Returns the layer in a wrapper such as `TimeDistributed`."""
    inner = getattr(layer, "layer", None)
    return layer if inner is None or not hasattr(inner, "activation") else inner


def _operation_of(tensor: Tensor) -> HostFunction:
    history = getattr(tensor, "_keras_history", None)
    return getattr(history, "operation", None) or getattr(history, "layer", None)


def _inputs_of(model: Model) -> list[Any]:
    """The symbolic inputs of a model, or none."""
    return _flat(getattr(model, "inputs", None)) if _is_graph(model) else []


def _outputs_of(model: Model) -> list[Any]:
    """The symbolic outputs of a model, or none."""
    return _flat(getattr(model, "outputs", None)) if _is_graph(model) else []


def _is_graph(model: Model) -> bool:
    names = class_names(model)
    return "Functional" in names or ("Sequential" in names and bool(getattr(model, "built", False)))


def _flat(tensors: Tensor) -> list[Any]:
    found = list(tensors) if isinstance(tensors, (list, tuple)) else []
    return found if all(hasattr(tensor, "_keras_history") for tensor in found) else []


def _operations_of(model: Model) -> list[Any]:
    return list(getattr(model, "operations", None) or getattr(model, "layers", None) or [])


def _followers(operation: HostFunction, model: Model) -> list[Any]:
    """The layers of `model` that take what `operation` makes."""
    operations = _operations_of(model)
    return [item for item in operations if any(_operation_of(source) is operation for source in _sources(item))]


def _sources(operation: HostFunction) -> list[Any]:
    """The symbolic tensors that `operation` is called on."""
    found = []
    for node in getattr(operation, "_inbound_nodes", []):
        tensors = getattr(node, "input_tensors", None)
        if tensors is None:
            continue
        found += list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]
    return found
