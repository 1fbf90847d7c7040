"""Draws new initial values for the weights of a model from the initializers of its layers.

The model remains the same object: its variables receive new values, and a snapshot restores the old ones. This works
for subclassed models and for nested and shared layers, and requires no recompilation.
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

MAX_NAMES = 6
"""Most weights that an error message names."""


class FreshWeights:
    """Draws new initial values for every weight of a model.

    Each layer with its own weights is recreated from its config and the shapes it was built with, and the values of
    this copy are used: kernels, biases, embeddings, the moving statistics of batch normalization. If a layer cannot be
    recreated, the value comes from an initializer stored as an attribute, such as `kernel_initializer`. Layers with an
    `adapt` method (input normalization, vocabularies) and the states of random generators do not change, because they
    depend on the data and not on the initialization.

    Args:
        host: The host and its model, built.
        scratch: A function without arguments that returns the same architecture with other weights, for models with
            layers that neither can be recreated nor store their initializers.

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
        """Assigns every weight a new initial value.

        Args:
            inputs: One batch of inputs, to build a model that `scratch` returns without weights.

        Raises:
            ScanError: If the initialization of a weight is unknown, or if `scratch` returns another architecture.
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
            values = _values_of_copy(layer, own) or [_initial_value(layer, variable) for variable in own]
            unknown += [_path(variable) for variable, value in zip(own, values, strict=True) if value is None]
            yield from zip(own, values, strict=True)
        if unknown:
            shown = ", ".join(unknown[:MAX_NAMES]) + (", ..." if len(unknown) > MAX_NAMES else "")
            msg = (
                f"Expected layers that can be recreated from their config or store their initializers. Received: "
                f"{len(unknown)} weights without either: {shown}. Pass `scratch=`, a function that returns the same "
                "architecture with new weights."
            )
            raise ScanError(msg)

    def _from_scratch(self, scratch: Callable[[], Any], inputs: Nest) -> Iterator[tuple[Any, Any]]:
        other, model = scratch(), self._host.model
        if other is model:
            msg = "Argument `scratch` must return another model. Received: a function that returns the model itself."
            raise ScanError(msg)
        if not other.built or not other.weights:
            other(inputs)
        shapes = [[tuple(variable.shape) for variable in one.weights] for one in (model, other)]
        if shapes[0] != shapes[1]:
            msg = (
                "Argument `scratch` must return a model of the same architecture. Received: one with weights of shapes "
                f"{shapes[1]!s:.120}, instead of {shapes[0]!s:.120}."
            )
            raise ScanError(msg)
        for variable, source in zip(model.weights, other.weights, strict=True):
            yield variable, read_value(source)


def renew_optimizer(host: Host) -> None:
    """Resets the optimizer to its state just after `compile`, except for the learning rate.

    Raises:
        ScanError: If the optimizer cannot be recreated from its config.
    """
    optimizer = host.optimizer
    values = initial_state(optimizer, host.model.trainable_variables)
    for variable, value in zip(optimizer_state(optimizer), values, strict=True):
        variable.assign(value)


def _own_variables(layer: Layer) -> list[Any]:
    """Returns the variables of `layer` itself, without those of its sublayers."""
    names = ("_trainable_variables", "_non_trainable_variables", "_trainable_weights", "_non_trainable_weights")
    found = [variable for name in names for variable in vars(layer).get(name, ()) if is_variable(variable)]
    return list({id(variable): variable for variable in found}.values())


def _values_of_copy(layer: Layer, own: list[Any]) -> list[Any] | None:
    """Returns the values of a new copy of `layer`, or `None` if it cannot be created or has other variables."""
    try:
        twin = type(layer).from_config(layer.get_config())
        twin.build_from_config(layer.get_build_config())
    except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError):
        return None  # a custom layer may have no config, or one that does not recreate it
    made = _own_variables(twin)
    if [tuple(variable.shape) for variable in made] != [tuple(variable.shape) for variable in own]:
        return None
    return [read_value(variable) for variable in made]


def _initial_value(layer: Layer, variable: Variable) -> Tensor:
    """Returns a value from the initializer that `layer` stores under the name of the variable, or `None`."""
    name = variable.name.rpartition("/")[2].partition(":")[0]
    initializer: Any = getattr(layer, f"{name}_initializer", None)
    if not hasattr(initializer, "from_config"):
        return None
    recreated = type(initializer).from_config(initializer.get_config())  # an old one without a seed repeats its values
    return recreated(tuple(variable.shape), dtype=variable.dtype)


def _path(variable: Variable) -> str:
    return str(getattr(variable, "path", variable.name))
