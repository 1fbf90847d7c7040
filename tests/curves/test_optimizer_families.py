"""Every optimizer of the installed Keras has a row, and each list of names keeps its members."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from keras_lrscan.curves.optimizer_families import (
    ADAM_LIKE,
    FIXED_STEP,
    OPTIMIZER_FAMILIES,
    PER_LAYER,
    PLAIN,
    OptimizerFamily,
    optimizer_family,
)

NOT_OPTIMIZERS = {"LossScaleOptimizer", "MultiOptimizer", "Optimizer", "OptimizerMap", "TFOptimizer"}
"""Wrappers, which a scan takes off, base classes and containers."""


@pytest.mark.keras
def test_every_optimizer_of_keras_has_a_row(keras: Any) -> None:
    classes = {name for name, kind in vars(keras.optimizers).items() if inspect.isclass(kind)}
    assert {"Adam", "SGD"} <= classes
    assert classes - NOT_OPTIMIZERS <= {family.name for family in OPTIMIZER_FAMILIES}


def test_names_are_unique() -> None:
    assert len({family.name for family in OPTIMIZER_FAMILIES}) == len(OPTIMIZER_FAMILIES)


@pytest.mark.parametrize(
    ("names", "members"),
    [
        (PLAIN, {"SGD", "SGDW", "Momentum"}),
        (ADAM_LIKE, {"Adam", "AdamW", "Adamax", "Nadam", "Lamb", "LAMB", "AdamWeightDecay", "RectifiedAdam"}),
        (PER_LAYER, {"Lamb", "LAMB", "LARS", "LARC", "NovoGrad"}),
    ],
)
def test_a_list_of_names_has_these_members(names: tuple[str, ...], members: set[str]) -> None:
    assert set(names) == members


def test_optimizers_that_fix_their_step_do_not_grow_it_with_the_gradient() -> None:
    assert {"Adafactor", "Lion", "Muon", *PER_LAYER} <= set(FIXED_STEP)
    assert not set(FIXED_STEP) & set(PLAIN)


@pytest.mark.parametrize(
    ("name", "share"), [("RMSprop", 0.0), ("Ftrl", 0.0), ("SGD", 0.5), ("Adam", 1.0), ("Unheard", 1.0), (None, 1.0)]
)
def test_momentum_delays_a_curve_by_this_share(name: str | None, share: float) -> None:
    assert optimizer_family(name).momentum_share == share


@pytest.mark.parametrize("name", ["Unheard", "Adam + Lion", "sgd", "", None])
def test_an_unknown_optimizer_and_several_have_the_defaults(name: str | None) -> None:
    assert optimizer_family(name) == OptimizerFamily(name=name or "")


@pytest.mark.parametrize(("name", "rate"), [("SGD", 1e-2), ("Ftrl", 1e-2), ("Adam + SGD", 1e-2), ("Adam", 1e-3)])
def test_a_family_has_a_rate_that_trains_most_models(name: str, rate: float) -> None:
    assert optimizer_family(name).usual_rate == rate
