"""Finds the state that a training step can change: variables, optimizers and plain numbers reachable from a model.

A host lists the variables that it tracks. A step may change others: those of a second optimizer, the state of a
stateful layer, a `tf.Variable` or a random generator in a layer, an untracked metric, or a counter in Python. This
module finds them by searching the attributes of the model, of its layers, and of custom objects in them.
"""

from __future__ import annotations

import collections
import inspect
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Model, Optimizer, Value
from keras_lrscan.hosts.optimizers import innermost, is_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Reachable", "keep_numbers", "reachable_from"]

HOSTS = frozenset({"absl", "jax", "jaxlib", "keras", "numpy", "tensorflow", "tf_keras", "torch", "wrapt"})
"""Libraries with objects that are searched only if they are parts of a model."""
MAX_OBJECTS = 200_000
"""Most objects to search, because a model may hold its data."""
MAX_ITEMS = 10_000
"""A list or dictionary with more items is considered data."""
MAX_NUMBERS = 1_000_000
"""A NumPy array with more numbers is considered data."""

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


@dataclass(frozen=True, kw_only=True)
class Reachable:
    """Holds the objects reachable from a model, each under the path of attributes that leads to it.

    Attributes:
        variables: Path → variable of any host, or state of a random generator.
        optimizers: Path → optimizer, except those inside other optimizers.
        metrics: Path → metric.
        owners: Path → object of a custom class, with attributes that may be counters.
    """

    variables: dict[str, Any] = field(default_factory=dict)
    optimizers: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, Any] = field(default_factory=dict)


def reachable_from(model: Model) -> Reachable:
    """Returns the variables, optimizers, metrics and custom objects reachable from `model`.

    Example:
    >>> class Variable:
    ...     shape = ()
    ...     def numpy(self):
    ...         return 1.0
    ...     def assign(self, value):
    ...         pass
    >>> class Model:
    ...     def __init__(self):
    ...         self.state = {"count": Variable()}
    >>> list(reachable_from(Model()).variables)
    ["model.state['count']"]
    """
    found = Reachable()
    seen: set[int] = set()
    waiting = collections.deque([("model", model)])  # breadth first, so that paths are short
    while waiting and len(seen) < MAX_OBJECTS:
        path, item = waiting.popleft()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if is_variable(item):
            found.variables[path] = item
            continue
        if _is_optimizer(item):
            found.optimizers[path] = item
            seen |= {id(part) for part in _parts_of_optimizer(item)}
        elif all(hasattr(item, name) for name in ("update_state", "result", "reset_state")):
            found.metrics[path] = item
        if _is_custom(item):
            found.owners[path] = item
        waiting.extend(_children(path, item))
    return found


def _parts_of_optimizer(optimizer: Optimizer) -> Iterator[Any]:
    yield from innermost(optimizer)
    inner = getattr(optimizer, "inner_optimizer", None)
    while inner is not None:
        yield inner
        inner = getattr(inner, "inner_optimizer", None)


def _children(path: str, item: Value) -> Iterator[tuple[str, Any]]:
    """Yields the contents of an object that may lead to state, with their paths."""
    if isinstance(item, dict):
        if len(item) <= MAX_ITEMS:
            yield from ((f"{path}[{key!r:.40}]", value) for key, value in list(item.items()))
    elif isinstance(item, (list, tuple, set, frozenset)):
        if len(item) <= MAX_ITEMS:
            yield from ((f"{path}[{at}]", value) for at, value in enumerate(list(item)))
    elif _is_part_of_model(item) or _is_custom(item):
        public_first = sorted(vars(item).items(), key=lambda pair: pair[0].startswith("_"))
        yield from ((f"{path}.{name}", value) for name, value in public_first)
    elif hasattr(item, "state") and hasattr(item, "make_seeds"):  # `tf.random.Generator`
        yield f"{path}.state", item.state


def _library(item: object) -> str:
    return type(item).__module__.partition(".")[0]


def _is_custom(item: object) -> bool:
    """Returns whether the class of `item` belongs neither to Python nor to a host."""
    library = _library(item)
    return (
        hasattr(item, "__dict__")
        and library not in HOSTS
        and library not in sys.stdlib_module_names
        and not isinstance(item, (type, types.ModuleType, types.FunctionType, types.MethodType))
    )


def _is_part_of_model(item: object) -> bool:
    """Returns whether `item` is a layer, loss, metric or similar object of a host; nodes of a graph do not count."""
    return _library(item) in {"keras", "tf_keras", "torch"} and (
        hasattr(type(item), "get_config") or hasattr(type(item), "named_buffers")
    )


def _is_optimizer(item: object) -> bool:
    return hasattr(item, "apply_gradients") and hasattr(item, "variables")


def keep_numbers(owners: dict[str, Any]) -> Callable[[], None]:
    """Saves the numbers, strings and plain collections in the attributes of custom objects.

    Attributes that the classes of a host use, such as `built`, are skipped.

    Args:
        owners: The objects, by path.

    Returns:
        A function that restores them.

    Example:
    >>> class Layer:
    ...     calls, seen = 0, None
    >>> layer = Layer()
    >>> layer.calls, layer.seen = 1, [0.5]
    >>> restore = keep_numbers({"model.layer": layer})
    >>> layer.calls += 1
    >>> layer.seen.append(0.7)
    >>> restore()
    >>> layer.calls, layer.seen
    (1, [0.5])
    """
    kept: list[tuple[Any, dict[str, tuple[Any, Any]]]] = []
    for owner in owners.values():
        of_host = _names_of_host(type(owner))
        plain = {
            name: (value, _copied(value))
            for name, value in vars(owner).items()
            if name not in of_host and _is_plain(value)
        }
        if plain:
            kept.append((owner, plain))

    def restore() -> None:
        for owner, values in kept:
            for name, (original, value) in values.items():
                _put_back(owner, name, original, value)

    return restore


def _put_back(owner: object, name: str, original: Value, value: Value) -> None:
    """Restores an attribute; a collection stays the same object, with its old items."""
    if isinstance(original, list):
        original[:] = _copied(value)
    elif isinstance(original, (dict, set)):
        original.clear()
        original.update(_copied(value))
    elif isinstance(original, np.ndarray) and original.flags.writeable:
        original[...] = value
    if vars(owner).get(name) is not original:
        setattr(owner, name, original)


def _copied(value: Value) -> Value:
    """Copies arrays and collections; the copy of a host's collection, which may know its owner, is one of Python."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(map(_copied, value))
    return value


def _is_plain(value: Value) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype != object and value.size <= MAX_NUMBERS
    if isinstance(value, (list, tuple, set)):
        return len(value) <= MAX_ITEMS and all(map(_is_plain, value))
    if isinstance(value, dict):
        return len(value) <= MAX_ITEMS and all(map(_is_plain, value.values()))
    return isinstance(value, PLAIN)


def _names_of_host(cls: type) -> frozenset[str]:
    """Returns the attributes that base classes of `cls` from a host mention in their code."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in HOSTS:
            names.update(vars(base).get("__annotations__", ()))
            for member in vars(base).values():
                code = getattr(_function(member), "__code__", None)
                if code is not None:
                    names.update(_names_in(code))
    return frozenset(names)


def _function(member: Value) -> Value:
    member = getattr(member, "fget", None) or getattr(member, "__func__", member)
    return inspect.unwrap(member) if callable(member) else member


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from (text for text in code.co_consts if isinstance(text, str) and text.isidentifier())
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names_in(inner)
