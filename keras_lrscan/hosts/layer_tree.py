"""Lists the layers of a model, including nested ones, in the order of the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Layer, Model, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["frozen_layers", "layers_in"]


def layers_in(layer: Layer, *, include_self: bool = True, recursive: bool = True) -> list[Any]:
    """Returns the layers in `layer`, a layer or a model of either host, each once.

    The hosts have a private method for this. In releases without it, the attributes of each layer are searched, which
    finds the same layers.

    Args:
        layer: The layer or model.
        include_self: Whether `layer` itself comes first.
        recursive: Whether to include the sublayers of sublayers.

    Returns:
        The layers, or an empty list if `layer` is neither a layer nor a model.
    """
    method = getattr(layer, "_flatten_layers", None)
    if method is not None:
        return list(method(include_self=include_self, recursive=recursive))
    if not _is_layer(layer):
        return []
    found = {id(item): item for item in _below(layer, recursive=recursive) if item is not layer}
    return [*([layer] if include_self else []), *found.values()]


def _below(layer: Layer, *, recursive: bool) -> Iterator[Any]:
    """Yields the layers in the attributes of `layer`, each before its own sublayers."""
    seen, waiting = {id(layer)}, list(reversed(list(_held(vars(layer).values()))))
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        if recursive:
            waiting += reversed(list(_held(vars(item).values())))


def _held(values: Value) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from _held(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _held(value)
        elif _is_layer(value):
            yield value


def _is_layer(value: object) -> bool:
    return all(hasattr(type(value), name) for name in ("trainable_weights", "get_config", "build"))


def frozen_layers(model: Model) -> list[str]:
    """Returns the names of the direct layers of `model` with weights that do not train them."""
    return [layer.name for layer in model.layers if layer.weights and not layer.trainable]
