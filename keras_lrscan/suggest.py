"""Which rate to take: a `Reading` → `Suggestion`s, each with a range, or with the reason why there is none.

A method is a function of a reading that returns a rate or `None`; `SUGGESTION_METHODS` names those that come with the
package. A learning-rate range test gives an order of magnitude, so every suggestion is a range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.errors import unknown_option
from keras_lrscan.shapes import Shape

if TYPE_CHECKING:
    from keras_lrscan.curve import LRCurve
    from keras_lrscan.features import CurveFeatures
    from keras_lrscan.landmarks import Landmarks
    from keras_lrscan.shapes import ShapeVerdict
    from keras_lrscan.smoothing import SmoothedCurve

__all__ = ["SUGGESTION_METHODS", "Reading", "Role", "Suggestion", "SuggestionMethod", "suggest"]

SPREAD = 3.0
"""A suggestion reaches this factor to either side: repeated scans of one model differ by about a decade in all."""

ELBOW_MARGIN = 10.0
"""For a model that is already good: this far below the onset of divergence.

On seven recorded curves of models that were already good, a tenth of the onset is within a factor of two of the rate
the experts used in five.
"""

CLIFF_MARGIN = 3.0
"""No suggestion read from a valley comes closer to the onset of divergence than this factor."""

PEAK_FACTOR = 2.0
"""The peak of a one-cycle schedule may be this much above a constant rate: it is held for a short time only."""


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
    lr: float | None
    low: float | None
    high: float | None
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What a suggestion method may look at."""

    curve: LRCurve
    smoothed: SmoothedCurve
    landmarks: Landmarks
    features: CurveFeatures
    verdict: ShapeVerdict


SuggestionMethod = Callable[[Reading], float | None]
"""Returns a rate for constant training, or `None`."""


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
    function = SUGGESTION_METHODS[method][0] if isinstance(method, str) else method
    name = method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
    reason = _reason(reading, method) if isinstance(method, str) else f"Returned by the function `{name}`."
    lr = function(reading)
    if lr is None:
        why = WHY_NONE.get(reading.verdict.shape, "The curve does not show the landmark that this method reads.")
        return Suggestion(method=name, role=Role(role), lr=None, low=None, high=None, reason=why)
    lr *= PEAK_FACTOR if role == Role.ONE_CYCLE else 1.0
    high = lr * SPREAD
    if reading.landmarks.elbow is not None and reading.landmarks.elbow.lr > lr:
        high = min(high, reading.landmarks.elbow.lr)
    return Suggestion(method=name, role=Role(role), lr=lr, low=lr / SPREAD, high=high, reason=reason)


def _reason(reading: Reading, method: str) -> str:
    return SUGGESTION_METHODS[_default_for(reading) or method if method == "default" else method][1]


def _default_for(reading: Reading) -> str | None:
    return DEFAULT_METHODS.get(reading.verdict.shape)


def default(reading: Reading) -> float | None:
    """The method that `DEFAULT_METHODS` names for the shape; `None` for a shape without one."""
    method = _default_for(reading)
    return None if method is None else SUGGESTION_METHODS[method][0](reading)


def steepest(reading: Reading) -> float | None:
    """The rate at which the smooth loss falls fastest per decade."""
    mark = reading.landmarks.steepest
    return None if mark is None else mark.lr


def minimum_tenth(reading: Reading) -> float | None:
    """A tenth of the rate of the lowest smooth loss.

    References:
        Gugger (2018), "How Do You Find A Good Learning Rate".
    """
    mark = reading.landmarks.minimum
    return None if mark is None or not reading.landmarks.valleys else mark.lr / 10


def geometric_mean(reading: Reading) -> float | None:
    """``sqrt(steepest * minimum)``, at most a third of the onset of divergence.

    On the recorded scans of ktrain's author it lies within a factor of 2.5 of the rate he trained at in six of seven.
    """
    low, high = reading.landmarks.steepest, reading.landmarks.minimum
    if low is None or high is None:
        return None
    lr = math.sqrt(low.lr * high.lr)
    elbow = reading.landmarks.elbow
    return lr if elbow is None else min(lr, elbow.lr / CLIFF_MARGIN)


def elbow_tenth(reading: Reading) -> float | None:
    """A tenth of the onset of divergence."""
    elbow = reading.landmarks.elbow
    return None if elbow is None else elbow.lr / ELBOW_MARGIN


SUGGESTION_METHODS: Mapping[str, tuple[SuggestionMethod, str]] = MappingProxyType(
    {
        "default": (default, "The method that suits this shape."),
        "steepest": (steepest, "The rate at which the loss falls fastest."),
        "minimum/10": (minimum_tenth, "A tenth of the rate of the lowest loss."),
        "geometric-mean": (geometric_mean, "Midway, on the log axis, between the steepest fall and the lowest loss."),
        "elbow/10": (elbow_tenth, "A tenth of the rate at which the loss begins to break."),
    }
)
"""Name → (function of a `Reading`, where its rate comes from)."""

DEFAULT_METHODS: Mapping[str, str] = MappingProxyType(
    {
        Shape.U_SHAPED: "geometric-mean",
        Shape.VALLEY_THEN_PLATEAU: "geometric-mean",
        Shape.SEVERAL_VALLEYS: "geometric-mean",
        Shape.STILL_FALLING: "steepest",
        Shape.MONOTONE_FROM_PRETRAINED: "elbow/10",
        Shape.UPWARD_DRIFT: "elbow/10",
    }
)
"""Shape → method; a shape that is not here warrants no suggestion."""

WHY_NONE: Mapping[str, str] = MappingProxyType(
    {
        Shape.NOISY: "No rate is suggested: the luck of single batches hides what the rate does.",
        Shape.FLAT_AT_CHANCE: "No rate is suggested: no rate of this test taught the model anything.",
        Shape.FLAT: "No rate is suggested: the loss did not answer to the rate at all.",
        Shape.DIVERGES_AT_ONCE: "No rate is suggested: every rate of this test was already too large.",
        Shape.TOO_SHORT: "No rate is suggested: there are too few points to read.",
        Shape.UNCLEAR: "No rate is suggested: the curve has none of the shapes that could be read.",
    }
)
"""Shape → why it warrants no suggestion."""
