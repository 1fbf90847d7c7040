"""Sorts the weights of a model into groups, by its structure or by names that the user gives."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from keras_lrscan._typing import Groups, Layer, Model, Value, Variable
from keras_lrscan.errors import InvalidOptionError, ScanError
from keras_lrscan.hosts.layer_tree import layers_in

__all__ = ["MAX_STAGES", "WeightGroup", "find_groups", "path_of"]

MAX_STAGES = 3
"""Most groups that the body of a model is divided into."""

MAX_NAMES = 8
"""Most weights that an error message names."""

BLOCK = re.compile(r"^(.*?\d+[a-z]?)(?=_|$)")
"""Prefix that all layers of a block share: `block_3` of `block_3_expand`, `conv2` of `conv2_block1`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightGroup:
    """Holds weights that are scanned together.

    Attributes:
        name: Name of the group.
        variables: Its trainable weights.
        holds: Description of its contents, such as the first and last layer.
    """

    name: str
    variables: tuple[Any, ...]
    holds: str = ""

    @property
    def num_params(self) -> int:
        """Number of scalars in the group."""
        return _num_scalars(self.variables)


def find_groups(model: Model, groups: Groups = None) -> tuple[WeightGroup, ...]:
    """Sorts the trainable weights of `model` into groups, ordered from input to output.

    By default, the body of the model is divided into up to three stages, and the layers after it form the head. The
    body is the nested model or layer that holds most of the weights, opened until its blocks are found, together with
    all layers before it. In a model without such a part, the body is everything except the last layer with weights.
    Stages hold whole blocks, recognized by the names of layers, and about equal numbers of layers.

    Args:
        model: A built model.
        groups: `None`, a dictionary, or a list. A dictionary maps names of groups to members: the name of a layer, a
            regular expression to search in the paths of weights, a layer, or a list of these. In a list, each such
            item is one group. Weights in no group do not change in the scan of any group.

    Raises:
        InvalidOptionError: If a group holds no trainable weight, or if a weight is in two groups.
        ScanError: If `groups` is `None` and only one part of the model has trainable weights.
    """
    found = _by_structure(model) if groups is None else _by_names(model, groups)
    taken: dict[int, str] = {}
    for group in found:
        for variable in group.variables:
            if id(variable) in taken:
                msg = (
                    f"Argument `groups` must not contain a weight twice. Received: {path_of(variable)!r} in "
                    f"{taken[id(variable)]!r} and in {group.name!r}."
                )
                raise InvalidOptionError(msg)
            taken[id(variable)] = group.name
    return found


def path_of(variable: Variable) -> str:
    """Returns the path of a weight, such as `"dense/kernel"`, which tf_keras stores as its name."""
    return str(getattr(variable, "path", variable.name))


def _by_names(model: Model, groups: Groups) -> tuple[WeightGroup, ...]:
    if isinstance(groups, Mapping):
        named = dict(groups)
    elif isinstance(groups, Sequence) and not isinstance(groups, str):
        named = {getattr(item, "name", str(item)): item for item in groups}
    else:
        msg = f"Argument `groups` must be a dictionary or a list. Received: groups={groups!r}."
        raise InvalidOptionError(msg)
    if not named:
        msg = f"Argument `groups` must contain at least one group. Received: groups={groups!r}."
        raise InvalidOptionError(msg)
    return tuple(_named_group(model, str(name), item) for name, item in named.items())


def _named_group(model: Model, name: str, item: Value) -> WeightGroup:
    items = list(item) if isinstance(item, Sequence) and not isinstance(item, str) else [item]
    variables: dict[int, Any] = {}
    for one in items:
        variables |= {id(variable): variable for variable in _selected(model, one)}
    if not variables:
        paths = [path_of(variable) for variable in model.trainable_variables]
        shown = ", ".join(paths[:MAX_NAMES]) + (", ..." if len(paths) > MAX_NAMES else "")
        msg = (
            f"Argument `groups` must contain trainable weights in every group. Received: {name}={item!r}, which is "
            f"neither a layer with trainable weights nor found in any of these paths: {shown}. To scan frozen layers, "
            "make them trainable and compile the model again."
        )
        raise InvalidOptionError(msg)
    holds = ", ".join(str(getattr(one, "name", one)) for one in items)
    return WeightGroup(name=name, variables=tuple(variables.values()), holds=holds)


def _selected(model: Model, item: Value) -> list[Any]:
    """Returns the trainable weights of a layer, given directly or by name, or those with a path that matches."""
    if hasattr(item, "trainable_variables"):
        return list(item.trainable_variables)
    for layer in layers_in(model, include_self=False):
        if layer.name == item:
            return list(layer.trainable_variables)
    try:
        pattern = re.compile(str(item))
    except re.error as error:
        msg = (
            f"Argument `groups` must contain layers, their names, or regular expressions. Received: {item!r}: {error}."
        )
        raise InvalidOptionError(msg) from error
    return [variable for variable in model.trainable_variables if pattern.search(path_of(variable))]


def _by_structure(model: Model) -> tuple[WeightGroup, ...]:
    units = _parts(model)
    main = max(units, key=_size, default=None)
    title = "body"
    if main is not None and len(_parts(main)) > 1 and 2 * _size(main) > sum(map(_size, units)):
        at, title = units.index(main), main.name
        body, head = [*units[:at], *_opened(main)], units[at + 1 :]
    else:
        body, head = units, []
    if not head:
        body, head = body[:-1], body[-1:]
    stages = _stages(body)
    if not stages:
        msg = (
            "Expected a model with trainable weights in several parts. Received: a model with "
            f"{len(units)} such part(s). Name the groups yourself, by weights or layers, with `groups=`."
        )
        raise ScanError(msg)
    names = [title] if len(stages) == 1 else [f"{title} {number}/{len(stages)}" for number in range(1, len(stages) + 1)]
    parts = [*zip(names, stages, strict=True), ("head", head)]
    seen: set[int] = set()
    return tuple(_group(name, layers, seen) for name, layers in parts)


def _group(name: str, layers: list[Any], seen: set[int]) -> WeightGroup:
    """Returns a group of layers; a shared weight belongs to the first group with it."""
    variables = {id(variable): variable for layer in layers for variable in layer.trainable_variables}
    variables = {key: variable for key, variable in variables.items() if key not in seen}
    seen.update(variables)
    ends = dict.fromkeys((layers[0].name, layers[-1].name))
    return WeightGroup(name=name, variables=tuple(variables.values()), holds=" to ".join(ends))


def _parts(layer: Layer) -> list[Any]:
    """Returns the direct sublayers of `layer` with trainable weights, in order."""
    below = layers_in(layer, include_self=False, recursive=False)
    return [part for part in below if part.trainable_variables]


def _opened(layer: Layer) -> list[Any]:
    """Returns the parts of `layer`, opened until they suffice for the stages and none holds most of the weights."""
    parts = _parts(layer)
    while whole := [part for part in parts if len(_parts(part)) > 1]:
        largest = max(whole, key=_size)
        if len(parts) >= MAX_STAGES and 2 * _size(largest) <= sum(map(_size, parts)):
            break
        at = parts.index(largest)
        parts[at : at + 1] = _parts(largest)
    return parts


def _stages(layers: list[Any]) -> list[list[Any]]:
    """Divides a sequence of layers into stages of whole blocks."""
    blocks = [list(block) for _, block in groupby(layers, key=_block)]
    number = min(MAX_STAGES, len(blocks))
    stages: list[list[Any]] = [[] for _ in range(number)]
    done = 0
    for index, block in enumerate(blocks):
        middle = (done + len(block) / 2) / len(layers)
        at = min(int(middle * number), index)
        stages[max(at, number - (len(blocks) - index))].extend(block)
        done += len(block)
    return [stage for stage in stages if stage]


def _block(layer: Layer) -> str:
    found = BLOCK.match(layer.name)
    return found.group(1) if found is not None else str(layer.name)


def _size(layer: Layer) -> int:
    return _num_scalars(layer.trainable_variables)


def _num_scalars(variables: Iterable[Any]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)
