"""The table of the zoo: fits whose cause is known by construction.

A condition is a row: data, model, optimizer, what was done before, how `fit` and the scan are called. Those of the
files `aside_*.py` are set aside; only those of the files `table_*.py` may be looked at when rules are written.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEALTHY", "SEEDS", "Condition", "Training", "all_conditions", "set_aside"]

SEEDS = (0, 1, 2)
HEALTHY = ("fresh-start", "new-head", "partly-trained", "already-good", "slow-start")
"""Causes with which nothing is wrong."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What was done with the model before the scan.

    Attributes:
        steps: Batches of training.
        lr: Its rate.
        changes: Changes of the data it trained on, in place of those of the condition.
        new_head: Whether the last layer is replaced afterwards.
        keeps_optimizer: Whether the scan goes on with the same optimizer; otherwise the model is compiled anew.
    """

    steps: int
    lr: float = 2e-3
    changes: tuple[Any, ...] | None = None
    new_head: bool = False
    keeps_optimizer: bool = True


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One fit.

    Attributes:
        name: Unique; begins with the cause.
        cause: The true one, a name of the product's table.
        says: What somebody did to get here.
        data: Name of the data set.
        changes: Changes of the data, of `arrays.CHANGES`.
        model: Body, of `models.BODIES`, with its options.
        head: Last layers, of `models.HEADS`, with their options.
        loss: Of `build.LOSSES`, or a loss's name in Keras.
        optimizer: Class name and options.
        compile: Further options of `compile`.
        before: Training before the scan.
        twist: Of `build.TWISTS`: what is done to the model before the scan.
        precision: Dtype policy.
        feed: Of `feeds.FEEDS`: how `fit` is given the data.
        fit: Options of `fit`.
        scan: Options of `LRScan`.
        record: Of `build.RECORDS`: who keeps the losses.
    """

    name: str
    says: str
    data: str
    model: tuple[str, Mapping[str, Any]]
    optimizer: tuple[str, Mapping[str, Any]]
    changes: tuple[Any, ...] = ()
    head: tuple[str, Mapping[str, Any]] = ("plain", {})
    loss: str = "auto"
    compile: Mapping[str, Any] = field(default_factory=dict)
    before: Training | None = None
    twist: str | None = None
    precision: str = "float32"
    feed: str = "arrays"
    fit: Mapping[str, Any] = field(default_factory=dict)
    scan: Mapping[str, Any] = field(default_factory=dict)
    record: str = "scan"

    @property
    def cause(self) -> str:
        """The true cause."""
        return self.name.split("/", maxsplit=1)[0]


TABLES = ("healthy", "data", "feeding", "model", "training", "scan", "records")


def rows(kind: str, suffix: str = "") -> tuple[Condition, ...]:
    """Returns the rows of all files of a kind, `"table"` or `"aside"`, whose names end in the suffix."""
    files = [importlib.import_module(f"{kind}_{name}{suffix}") for name in TABLES]  # here: they import this module
    return tuple(condition for file in files for condition in file.ROWS)


@cache
def all_conditions() -> tuple[Condition, ...]:
    """Returns every condition, those that are set aside last."""
    return rows("table") + rows("table", "_2") + rows("aside")


@cache
def set_aside() -> frozenset[str]:
    """Returns the names of the conditions that no rule may be set on: those of the files `aside_*.py`.

    They were written by somebody who did not see the rules. Once they have been looked at, they belong in the tables,
    and new ones have to be written.
    """
    return frozenset(condition.name for condition in rows("aside"))
