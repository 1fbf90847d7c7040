"""Conditions: the one line from which a verdict, its evidence, the documentation and the boundary tests all come."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.facts import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["FALLS", "NO_FALL", "NO_RISE", "RISES", "Condition"]

OPERATORS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = MappingProxyType(
    {
        ">": (operator.gt, "above"),
        ">=": (operator.ge, "at least"),
        "<": (operator.lt, "below"),
        "<=": (operator.le, "at most"),
        "==": (operator.eq, "exactly"),
        "!=": (operator.ne, "anything but"),
        "in": (lambda value, options: value in options, "one of"),
    }
)
"""Operator → (function, how it is said)."""


@dataclass(frozen=True)
class Condition:
    """One test of one feature; it does not hold where the feature is unknown.

    Attributes:
        feature: A key of `MEASURES`.
        op: A key of `OPERATORS`.
        threshold: What the feature is compared with.

    Example:
    >>> condition = Condition("fall", ">=", 0.12)
    >>> condition.holds({"fall": 0.83})
    True
    >>> condition.evidence({"fall": 0.83})
    'fall to the first valley, as a share of the reference loss: 83% (rule: at least 12%)'
    """

    feature: str
    op: str
    threshold: float | str | tuple[str, ...]

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Returns whether the feature is known and passes."""
        value = facts[self.feature]
        return value is not None and OPERATORS[self.op][0](value, self.threshold)

    def evidence(self, facts: Mapping[str, Any]) -> str:
        """Returns the test as a sentence with the value seen."""
        value = facts[self.feature]
        seen = "unknown" if value is None else MEASURES[self.feature].show(value)
        return f"{MEASURES[self.feature].words}: {seen} (rule: {self})"

    def __str__(self) -> str:
        """Returns the rule without a value."""
        options = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,)
        return f"{OPERATORS[self.op][1]} {', '.join(MEASURES[self.feature].show(option) for option in options)}"


FALLS = Condition("fall", ">", 0)
NO_FALL = Condition("fall", "==", 0)
RISES = Condition("rise", ">", 0)
NO_RISE = Condition("rise", "==", 0)
