"""Tests that state is found through all attributes of a model, and that counters in Python are restored."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan.hosts.reachable import MAX_ITEMS, keep_numbers, reachable_from


class Variable:
    """Imitates a variable of a host."""

    shape = ()

    def __init__(self, value: float = 0.0) -> None:
        self.value = np.array(value)

    def numpy(self) -> Any:
        return self.value

    def assign(self, value: Any) -> None:
        self.value = np.array(value)


class Optimizer:
    """Imitates an optimizer of a host."""

    def __init__(self, inner: Any = None) -> None:
        self.variables = [Variable()]
        if inner is not None:
            self.inner_optimizer = inner

    def apply_gradients(self) -> None:
        """Does nothing."""


class Model:
    """Holds its arguments as attributes."""

    def __init__(self, **held: Any) -> None:
        vars(self).update(held)


def test_variables_are_found_in_collections_and_objects_of_the_user() -> None:
    model = Model(plain=Variable(), nest={"a": [Variable(), (Variable(),)]}, other=Model(deep=Model(last=Variable())))
    assert sorted(reachable_from(model).variables) == [
        "model.nest['a'][0]",
        "model.nest['a'][1][0]",
        "model.other.deep.last",
        "model.plain",
    ]


def test_the_shortest_public_path_names_an_object() -> None:
    shared = Variable()
    model = Model(_hidden=shared, deep=Model(it=shared), name=shared)
    assert list(reachable_from(model).variables) == ["model.name"]


def test_a_circle_ends() -> None:
    model = Model(own=Variable())
    model.__dict__["itself"] = [model, {"again": model}]
    assert list(reachable_from(model).variables) == ["model.own"]


def test_an_optimizer_within_another_is_no_second_one() -> None:
    inner = Optimizer()
    found = reachable_from(Model(optimizer=Optimizer(inner), inner=inner, second=Optimizer()))
    assert list(found.optimizers) == ["model.optimizer", "model.second"]


def test_data_are_not_searched() -> None:
    model = Model(data=[Variable()] * (MAX_ITEMS + 1), module=np, function=test_a_circle_ends)
    assert not reachable_from(model).variables


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=3), items, max_size=4),
    max_leaves=8,
)


@given(held=st.dictionaries(st.sampled_from("abcd"), values), later=st.dictionaries(st.sampled_from("abcd"), values))
def test_plain_attributes_come_back_whatever_happened_to_them(held: dict[str, Any], later: dict[str, Any]) -> None:
    model = Model(**copy.deepcopy(held))
    identities = {name: id(value) for name, value in vars(model).items()}
    restore = keep_numbers({"model": model})
    for name, value in later.items():
        old = getattr(model, name, None)
        if isinstance(old, list):
            old.append(value)
        elif isinstance(old, dict):
            old["new"] = value
        elif hasattr(model, name):
            setattr(model, name, value)
    restore()
    assert vars(model) == held
    assert {name: id(value) for name, value in vars(model).items()} == identities


def test_arrays_come_back_in_place() -> None:
    array = np.arange(3.0)
    model = Model(array=array)
    restore = keep_numbers({"model": model})
    array += 1
    restore()
    assert model.__dict__["array"] is array
    assert array.tolist() == [0.0, 1.0, 2.0]


class Tracked(dict[str, Any]):
    """A dictionary that cannot be copied, as one of a host that knows the layer it belongs to."""

    def __deepcopy__(self, memo: object) -> Tracked:
        raise NotImplementedError


def test_the_dictionary_of_a_layer_is_kept_without_a_copy_of_its_owner() -> None:
    model = Model(names=Tracked(first=[1]))
    restore = keep_numbers({"model": model})
    model.__dict__["names"]["first"].append(2)
    model.__dict__["names"]["second"] = 3
    restore()
    assert model.__dict__["names"] == Tracked(first=[1])
    assert isinstance(model.__dict__["names"], Tracked)
