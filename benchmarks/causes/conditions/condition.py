"""Defines a condition: a fit that produces a known cause."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Condition", "Training"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Describes the training of a model before its scan.

    Attributes:
        steps: Number of training batches.
        lr: Learning rate of the training.
        changes: Changes applied to the training data, instead of those of the condition.
        new_head: Whether the last layer is replaced after the training.
        keeps_optimizer: Whether the scan continues with the same optimizer. Otherwise the model is compiled again.
    """

    steps: int
    lr: float = 2e-3
    changes: tuple[Any, ...] | None = None
    new_head: bool = False
    keeps_optimizer: bool = True


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Describes one fit with a known cause.

    Attributes:
        name: Unique name, which starts with the cause.
        description: How a user arrives at this fit. Nothing is computed from it.
        data: Name of the data set.
        changes: Changes applied to the data, from `arrays.CHANGES`.
        model: Body of the model, from `models.BODIES`, and its options.
        head: Last layers of the model, from `models.HEADS`, and their options.
        loss: Key of `twists.LOSSES`, or the name of a Keras loss.
        optimizer: Class name and options.
        compile: Further options of `compile`.
        before: Training before the scan, if any.
        twist: Change applied to the model before the scan, from `twists.TWISTS`.
        precision: Dtype policy.
        feed: How the data are passed to `fit`, from `feeds.FEEDS`.
        fit: Options of `fit`.
        scan: Options of `LRScan`.
        record: Which tool records the losses, from `build.RECORDS`.
    """

    name: str
    description: str = field(repr=False)
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
        """Name of the true cause."""
        return self.name.split("/", maxsplit=1)[0]
