"""`FreshWeights`: values that a model's weights could have started from, drawn anew by the layers' own initializers.

The model stays the same object: its variables get other values, and a snapshot puts the old ones back. So it works for
subclassed models, nested and shared layers, and nothing is compiled anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Layer, Nest, Tensor, Variable
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.optimizers import initial_state, is_variable, optimizer_state
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keras_lrscan.hosts.host import Host

__all__ = ["FreshWeights", "renew_optimizer"]

NAMES_SHOWN = 6
"""Weights that an error names, at most."""


class FreshWeights:
    """Draws new initial values for every weight of a model.

    Each layer that holds weights of its own is made once more from its config and the shapes it was built with, and the
    values of that twin are taken over: kernels, biases, embeddings, the moving statistics of batch normalization.
    Where a layer cannot be made again, an initializer kept as an attribute, such as `kernel_initializer`, is asked.
    Layers that learn by `adapt` (normalization of inputs, vocabularies) and the states of random generators are left
    alone: they are a part of the data, not of the start.

    Args:
        host: The host and its model, built.
        scratch: A function without arguments that returns the same architecture with other weights, for models whose
            layers cannot say how they start.

    Example:
    ```python
    fresh = FreshWeights(Host(model))
    fresh.draw()  # every weight has a new value
    ```
    """

    def __init__(self, host: Host, *, scratch: Callable[[], Any] | None = None) -> None:
        self._host = host
        self._scratch = scratch

    def draw(self, inputs: Nest = None) -> None:
        """Gives every weight a new initial value.

        Args:
            inputs: One batch of inputs, to build a model that `scratch` returns without weights.

        Raises:
            ScanError: If there are weights of which nobody says how they start, or if `scratch` returns another
                architecture.
        """
        scratch = self._scratch
        pairs = self._from_layers() if scratch is None else self._from_scratch(scratch, inputs)
        for variable, value in list(pairs):
            variable.assign(value)

    def _from_layers(self) -> Iterator[tuple[Any, Any]]:
        unknown: list[str] = []
        layers = layers_in(self._host.model)
        for layer in {id(layer): layer for layer in layers}.values():
            own = _own_variables(layer)
            if not own or hasattr(layer, "adapt"):
                continue
            values = _values_of_twin(layer, own) or [_initial_value(layer, variable) for variable in own]
            unknown += [_path(variable) for variable, value in zip(own, values, strict=True) if value is None]
            yield from zip(own, values, strict=True)
        if unknown:
            shown = ", ".join(unknown[:NAMES_SHOWN]) + (", ..." if len(unknown) > NAMES_SHOWN else "")
            msg = (
                f"Expected layers that can be made again from their config, or that keep their initializers. Received: "
                f"{len(unknown)} weights without either: {shown}. Pass `scratch=`, a function that returns the same "
                "architecture with new weights."
            )
            raise ScanError(msg)

    def _from_scratch(self, scratch: Callable[[], Any], inputs: Nest) -> Iterator[tuple[Any, Any]]:
        twin, model = scratch(), self._host.model
        if twin is model:
            msg = "Argument `scratch` must return another model. Received: a function that returns the model itself."
            raise ScanError(msg)
        if not twin.built or not twin.weights:
            twin(inputs)
        shapes = [[tuple(variable.shape) for variable in one.weights] for one in (model, twin)]
        if shapes[0] != shapes[1]:
            msg = (
                "Argument `scratch` must return a model of the same architecture. Received: one with weights of shapes "
                f"{shapes[1]!s:.120}, instead of {shapes[0]!s:.120}."
            )
            raise ScanError(msg)
        for variable, source in zip(model.weights, twin.weights, strict=True):
            yield variable, read_value(source)


def renew_optimizer(host: Host) -> None:
    """Gives the optimizer the state it would have just after `compile`; the rate stays.

    Raises:
        ScanError: If the optimizer cannot be made again from its config.
    """
    optimizer = host.optimizer
    values = initial_state(optimizer, host.model.trainable_variables)
    for variable, value in zip(optimizer_state(optimizer), values, strict=True):
        variable.assign(value)


def _own_variables(layer: Layer) -> list[Any]:
    """The variables that a layer itself has made, those of its sublayers left out."""
    names = ("_trainable_variables", "_non_trainable_variables", "_trainable_weights", "_non_trainable_weights")
    found = [variable for name in names for variable in vars(layer).get(name, ()) if is_variable(variable)]
    return list({id(variable): variable for variable in found}.values())


def _values_of_twin(layer: Layer, own: list[Any]) -> list[Any] | None:
    """Values of the variables of a copy of `layer`; `None` where it cannot be made, or is not one."""
    try:
        twin = type(layer).from_config(layer.get_config())
        twin.build_from_config(layer.get_build_config())
    except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError):
        return None  # a layer of the user's may have no config, or one that does not make it again
    made = _own_variables(twin)
    if [tuple(variable.shape) for variable in made] != [tuple(variable.shape) for variable in own]:
        return None
    return [read_value(variable) for variable in made]


def _initial_value(layer: Layer, variable: Variable) -> Tensor:
    """A value from the initializer that `layer` keeps under the variable's name, or `None`."""
    name = variable.name.rpartition("/")[2].partition(":")[0]
    initializer: Any = getattr(layer, f"{name}_initializer", None)
    if not hasattr(initializer, "from_config"):
        return None
    anew = type(initializer).from_config(initializer.get_config())  # one without a seed would draw the same again
    return anew(tuple(variable.shape), dtype=variable.dtype)


def _path(variable: Variable) -> str:
    return str(getattr(variable, "path", variable.name))
