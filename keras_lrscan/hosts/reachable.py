"""Finds the state that a training step can change: the variables, optimizers and plain numbers that a model reaches.

A host lists the variables that it tracks. A step may change others: those of a second optimizer, the memory of a
stateful layer, a `tf.Variable` or a random generator that a layer holds, a metric that is not listed, a counter in
Python. They are found by going through the attributes of the model, of its layers, and of the user's own objects in
them.
"""

from __future__ import annotations

import collections
import copy
import inspect
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import CallbackList, HostFunction, Layer, Model, Optimizer, Value
from keras_lrscan.hosts.optimizers import innermost, is_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Reachable", "keep_numbers", "reachable_from"]

HOSTS = frozenset({"absl", "jax", "jaxlib", "keras", "numpy", "tensorflow", "tf_keras", "torch", "wrapt"})
"""Libraries whose objects are opened only where they are parts of a model."""
MAX_OBJECTS = 200_000
"""Objects that are looked at, at most: a model may hold its data."""
MAX_ITEMS = 10_000
"""Items of a list or dictionary beyond which it is taken for data."""
MAX_NUMBERS = 1_000_000
"""Numbers in an array of NumPy beyond which it is taken for data."""

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


@dataclass(frozen=True, kw_only=True)
class Reachable:
    """Objects that a model reaches, each under the path of attributes that leads to it.

    Attributes:
        variables: Path → variable of any host, or random generator's state.
        optimizers: Path → optimizer, those inside of other optimizers left out.
        metrics: Path → metric.
        owners: Path → object of a class of the user's, whose attributes may be counters.
    """

    variables: dict[str, Any] = field(default_factory=dict)
    optimizers: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, Any] = field(default_factory=dict)


def reachable_from(model: Model) -> Reachable:
    """Returns the variables, optimizers, metrics and objects of the user's that `model` reaches.

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
    waiting = collections.deque([("model", model)])  # the nearest first, so that paths are short
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
        if _is_of_user(item):
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
    """Yields what an object holds that may lead to state."""
    if isinstance(item, dict):
        if len(item) <= MAX_ITEMS:
            yield from ((f"{path}[{key!r:.40}]", value) for key, value in list(item.items()))
    elif isinstance(item, (list, tuple, set, frozenset)):
        if len(item) <= MAX_ITEMS:
            yield from ((f"{path}[{at}]", value) for at, value in enumerate(list(item)))
    elif _is_part_of_model(item) or _is_of_user(item):
        public_first = sorted(vars(item).items(), key=lambda pair: pair[0].startswith("_"))
        yield from ((f"{path}.{name}", value) for name, value in public_first)
    elif hasattr(item, "state") and hasattr(item, "make_seeds"):  # `tf.random.Generator`
        yield f"{path}.state", item.state


def _library(item: object) -> str:
    return type(item).__module__.partition(".")[0]


def _is_of_user(item: object) -> bool:
    """Whether a class of the user's made `item`: neither Python's, nor a host's."""
    library = _library(item)
    return (
        hasattr(item, "__dict__")
        and library not in HOSTS
        and library not in sys.stdlib_module_names
        and not isinstance(item, (type, types.ModuleType, types.FunctionType, types.MethodType))
    )


def _is_part_of_model(item: object) -> bool:
    """Whether `item` is a layer, loss, metric, regularizer or the like of a host; a model's graph is not opened."""
    return _library(item) in {"keras", "tf_keras", "torch"} and (
        hasattr(type(item), "get_config") or hasattr(type(item), "named_buffers")
    )


def _is_optimizer(item: object) -> bool:
    return hasattr(item, "apply_gradients") and hasattr(item, "variables")


def keep_numbers(owners: dict[str, Any]) -> Callable[[], None]:
    """Keeps the numbers, texts and plain collections in the attributes of objects of the user's; returns what restores.

    Attributes that a host's own classes use, such as `built`, are left alone.

    Args:
        owners: The objects, by path.

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
            name: (value, copy.deepcopy(value))
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


def _put_back(owner: CallbackList, name: str, original: HostFunction, value: Value) -> None:
    """Sets an attribute to what it was; a collection that is still the same object gets its items back."""
    if isinstance(original, list):
        original[:] = copy.deepcopy(value)
    elif isinstance(original, (dict, set)):
        original.clear()
        original.update(copy.deepcopy(value))
    elif isinstance(original, np.ndarray) and original.flags.writeable:
        original[...] = value
    if vars(owner).get(name) is not original:
        setattr(owner, name, original)


def _is_plain(value: Value) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype != object and value.size <= MAX_NUMBERS
    if isinstance(value, (list, tuple, set)):
        return len(value) <= MAX_ITEMS and all(map(_is_plain, value))
    if isinstance(value, dict):
        return len(value) <= MAX_ITEMS and all(map(_is_plain, value.values()))
    return isinstance(value, PLAIN)


def _names_of_host(cls: type) -> frozenset[str]:
    """The attributes that the host classes above `cls` name in their own code."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in HOSTS:
            names.update(vars(base).get("__annotations__", ()))
            for member in vars(base).values():
                code = getattr(_function(member), "__code__", None)
                if code is not None:
                    names.update(_names_in(code))
    return frozenset(names)


def _function(member: Layer) -> HostFunction:
    member = getattr(member, "fget", None) or getattr(member, "__func__", member)
    return inspect.unwrap(member) if callable(member) else member


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from (text for text in code.co_consts if isinstance(text, str) and text.isidentifier())
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names_in(inner)
