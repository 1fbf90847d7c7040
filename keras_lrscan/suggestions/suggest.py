"""Which rate to take: a `Reading` → `Suggestion`s, each with a range, or with the reason why there is none.

`METHODS` has the ways to read a rate. This file picks one for the shape, moves it to what the rate is for, and puts a
range around it. A learning-rate range test gives an order of magnitude, so every suggestion is a range.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.errors import unknown_option
from keras_lrscan.files.decoding import Rate
from keras_lrscan.reading.reading import Reading
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.suggestions.methods import METHODS, Method, SuggestionMethod

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SUGGESTION_METHODS", "Reading", "Role", "Suggestion", "SuggestionMethod", "suggest"]

PEAK_FACTOR = 2.5
"""The peak of a one-cycle schedule may be this much above a constant rate: it is held for a short time only.

In `benchmarks/suggestions`, the best peak lies a factor of 2 to 3 above the best constant rate.
"""


class Role(StrEnum):
    """What a suggested rate is for."""

    CONSTANT = "constant"
    """Training at one rate, or the initial rate of a decay."""
    ONE_CYCLE = "one-cycle"
    """The highest rate of a one-cycle schedule."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A rate, or the reason why there is none.

    Attributes:
        method: Name of the method.
        role: What the rate is for.
        lr: The rate; `None` where none is warranted.
        low: Lower end of the range worth trying.
        high: Upper end of the range worth trying.
        reason: Where the rate comes from, or why there is none.
    """

    method: str
    role: Role
    lr: Rate | None
    low: Rate | None
    high: Rate | None
    reason: str


def suggest(reading: Reading, *, method: str | SuggestionMethod = "default", role: str = Role.CONSTANT) -> Suggestion:
    """Suggests a rate.

    Args:
        reading: What was read from the curve.
        method: A key of `SUGGESTION_METHODS`, or any function of a `Reading` that returns a rate or `None`.
        role: One of `"constant"`, `"one-cycle"`.

    Returns:
        A `Suggestion`; its `lr` is `None` where the curve warrants none.

    Raises:
        InvalidOptionError: If `method` or `role` is unknown.
    """
    if role not in list(Role):
        raise unknown_option("role", role, Role)
    if isinstance(method, str) and method not in SUGGESTION_METHODS:
        raise unknown_option("method", method, SUGGESTION_METHODS)
    if method == "default":
        chosen = _default_for(reading) or NO_DEFAULT
    else:
        chosen = SUGGESTION_METHODS[method] if isinstance(method, str) else _of_the_user(method)
    name = method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
    lr = chosen.rate(reading)
    if lr is None:
        shape = reading.verdict.shape
        shown = f"No rate is suggested: {WHY_NONE[shape]}" if shape in WHY_NONE else NO_LANDMARK
        return Suggestion(method=name, role=Role(role), lr=None, low=None, high=None, reason=shown)
    lr *= PEAK_FACTOR if role == Role.ONE_CYCLE else 1.0
    high = lr * chosen.spread
    elbow = reading.landmarks.elbow
    if role == Role.CONSTANT and elbow is not None and elbow.lr > lr:
        high = min(high, elbow.lr)
    return Suggestion(method=name, role=Role(role), lr=lr, low=lr / chosen.spread, high=high, reason=chosen.says)


def _of_the_user(function: SuggestionMethod) -> Method:
    name = getattr(function, "__name__", type(function).__name__)
    return Method(rate=function, says=f"Returned by the function `{name}`.")


def _default_for(reading: Reading) -> Method | None:
    if reading.verdict.shape in NEVER:
        return None
    methods = (METHODS[name] for name in DEFAULT_METHODS)
    return next((method for method in methods if method.rate(reading) is not None), None)


def default(reading: Reading) -> float | None:
    """`valley-floor` where the curve falls and rises, `open-valley` where it only falls, `wall` where it only rises.

    `None` where it does neither, and for the shapes `flat`, `diverges-at-once` and `too-short`.
    """
    method = _default_for(reading)
    return None if method is None else method.rate(reading)


NO_DEFAULT = Method(rate=lambda _: None, says="")

SUGGESTION_METHODS: Mapping[str, Method] = MappingProxyType(
    {"default": Method(rate=default, says="The method for the landmarks that this curve shows."), **METHODS}
)
"""Name → method."""

DEFAULT_METHODS = ("valley-floor", "open-valley", "wall")
"""Methods in the order of preference: for a valley with a right wall, a valley without, and a wall without a valley.

`benchmarks/suggestions` compares them with all others on real sweeps.
"""

NEVER = frozenset({Shape.FLAT, Shape.DIVERGES_AT_ONCE, Shape.TOO_SHORT})
"""Shapes that warrant no suggestion whatever landmarks they show."""

WHY_NONE: Mapping[str, str] = MappingProxyType(
    {
        Shape.NOISY: "the luck of single batches hides what the rate does.",
        Shape.FLAT: "the loss did not answer to the rate at all.",
        Shape.DIVERGES_AT_ONCE: "every rate of this test was already too large.",
        Shape.TOO_SHORT: "there are too few points to read.",
        Shape.UNCLEAR: "the curve has none of the shapes that could be read.",
    }
)
"""Shape → why there is no suggestion, where there is none."""

NO_LANDMARK = "The curve does not show the landmark that this method reads."
