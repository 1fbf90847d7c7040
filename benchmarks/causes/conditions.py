"""The table of the zoo: fits whose cause is known by construction.

A condition is a row: data, model, optimizer, what was done before, how `fit` and the scan are called. Half of the
conditions of each cause are set aside; only the others may be looked at when rules are written.
"""

from __future__ import annotations

import hashlib
import importlib
from collections import defaultdict
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
        feed: Of `build.FEEDS`: how `fit` is given the data.
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


@cache
def all_conditions() -> tuple[Condition, ...]:
    """Returns every condition."""
    names = ("healthy", "data", "feeding", "model", "training", "scan", "records")
    tables = [importlib.import_module(f"table_{name}") for name in names]  # here, since they import this module
    return tuple(condition for table in tables for condition in table.ROWS)


@cache
def set_aside() -> frozenset[str]:
    """Returns the names of the conditions that no rule may be set on.

    The rule is fixed: of the first and second condition of a cause, of its third and fourth, and so on, the one whose
    name has the larger SHA-256 is set aside; a last one without a partner is, if its first byte is odd.
    """
    groups = defaultdict(list)
    for condition in all_conditions():
        groups[condition.cause].append(condition.name)
    chosen = set()
    for names in groups.values():
        for first in range(0, len(names), 2):
            pair = names[first : first + 2]
            digests = {hashlib.sha256(name.encode()).digest(): name for name in pair}
            last = max(digests)
            if len(pair) == 2 or last[0] % 2:  # noqa: PLR2004 - a pair
                chosen.add(digests[last])
    return frozenset(chosen)
