"""Suggests a learning rate with a range around it, or gives the reason why the curve warrants none.

The methods in `METHODS` read a rate off a curve. This module picks one of them for the curve, adjusts its rate to the
role, and puts a range around it. A learning-rate range test shows only the order of magnitude of a good rate, so every
suggestion has a range.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.curves.context import chance_loss
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.errors import InvalidOptionError, shown, unknown_option
from keras_lrscan.files.decoding import Rate
from keras_lrscan.formatting import LARGEST, format_lr
from keras_lrscan.reading.facts import NO_FLOOR
from keras_lrscan.reading.features import EXPLODED
from keras_lrscan.reading.reading import Reading
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.suggestions.methods import METHODS, Method, SuggestionMethod, is_plain
from keras_lrscan.suggestions.prior import prior_rate, toward_prior_rate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import SupportsFloat

    from keras_lrscan.causes.cause import Finding
    from keras_lrscan.curves.context import ScanContext

__all__ = [
    "DEFAULT_METHODS",
    "GRADIENT_PEAK_FACTOR",
    "NEVER",
    "PEAK_FACTOR",
    "SUGGESTION_METHODS",
    "VALLEY_PEAK_FACTOR",
    "WHY_NONE",
    "Reading",
    "Role",
    "Suggestion",
    "SuggestionMethod",
    "all_suggestions",
    "format_range",
    "format_suggestion",
    "peak_factor",
    "suggest",
    "what_stops_learning",
    "why_hidden",
    "why_none",
    "why_nothing_is_learned",
]

PEAK_FACTOR = 2.5
"""Factor from a constant rate to the peak of a one-cycle schedule, which lasts only a short time.

In `benchmarks/suggestions`, the best peak is 2.5 to 3 times the suggested constant rate with optimizers that divide by
the size of the gradient.
"""

GRADIENT_PEAK_FACTOR = 2.0
"""The same factor for gradient descent, whose steps grow with the gradient."""

VALLEY_PEAK_FACTOR = 1.25
"""The same factor for gradient descent without momentum and a curve with a valley.

On the 104 such scans of `benchmarks/suggestions`, peaks by this factor have a mean regret of 0.085, and by a factor of
2 one of 0.101: `PLAIN_MARGIN_SHARE` has already moved the constant rate to the floor of the valley.
"""

PAST_ELBOW = 2.0
"""Factor by which a range may extend beyond the elbow of a curve without a fall.

Of the 532 such scans of `benchmarks/suggestions`, 8 % train well only beyond a range that ends at the elbow. With this
factor the range holds a good rate in 93 %, otherwise in 89 %.
"""

LARGE_MODEL, LARGE_SPREAD = 200_000, 1.5
"""Number of trainable weights from which the range is wider, and the factor by which it is, on either side.

The spreads were set on smaller ones. Of the 36 scans of such models in `benchmarks/finetuning`, the range then holds a
good rate in 35 at a constant rate, and otherwise in 31.
"""

ORDERED, MISREAD, UNSCALED = "ordered-data", "wrong-from-logits", frozenset({"unscaled-inputs", "small-targets"})
"""Causes of falls and rises that do not depend on the rate: all but the first if the valley is hardly below chance."""

HARDLY_LEARNS = 0.8
"""Ratio of the lowest loss to the chance level from which a model of unscaled data has learned next to nothing.

In two scans of digits from 0 to 255 with plain gradient descent, it falls to 0.84 and 0.92, and training at the rates
below ends at chance.
"""

DRAWN_MARGIN = 2.0
"""Margin below the elbow up to which a rate may be drawn."""

NOTICED = 1.25
"""Factor from which the text says that a rate was drawn toward that of the prior; smaller ones vanish in rounding."""


class Role(StrEnum):
    """Uses of a suggested rate."""

    CONSTANT = "constant"
    """Training at a constant rate, or the initial rate of a decay."""
    ONE_CYCLE = "one-cycle"
    """The peak of a one-cycle schedule."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Holds a suggested learning rate with its range, or the reason why the curve warrants none.

    Attributes:
        method: Name of the method.
        role: Use of the rate.
        lr: The rate; `None` if the curve warrants none.
        low: Lower end of the range worth trying; `None` without a rate.
        high: Upper end of the range worth trying; `None` without a rate.
        reason: Origin of the rate, or the reason for no rate.
    """

    method: str
    role: Role
    lr: Rate | None
    low: Rate | None
    high: Rate | None
    reason: str


def suggest(
    reading: Reading,
    *,
    method: str | SuggestionMethod = "default",
    role: str = Role.CONSTANT,
    findings: Sequence[Finding] = (),
) -> Suggestion:
    """Suggests a learning rate.

    Args:
        reading: The reading of the curve.
        method: A key of `SUGGESTION_METHODS`, or a function that takes a `Reading` and returns a rate or `None`.
        role: One of `"constant"`, `"one-cycle"`.
        findings: Causes that the curve points to. The default method gives no rate if one of those that stop all
            learning is likely.

    Returns:
        A `Suggestion`; its `lr` is `None` if the curve warrants no rate. If the loss explodes at the first rates and
        then recovers, no method of this package gives one: its landmarks are those of the recovery.

    Raises:
        InvalidOptionError: If `method` or `role` is unknown, or if the function returns anything but a positive finite
            number or `None`.
    """
    if role not in list(Role):
        raise unknown_option("role", role, Role)
    if isinstance(method, str) and method not in SUGGESTION_METHODS:
        raise unknown_option("method", method, SUGGESTION_METHODS)
    return _for_roles(reading, method, [Role(role)], findings)[0]


def all_suggestions(reading: Reading, findings: Sequence[Finding]) -> tuple[Suggestion, ...]:
    """Returns the suggestion of each method for each role, the default first."""
    found = [_for_roles(reading, method, list(Role), findings) for method in SUGGESTION_METHODS]
    return tuple(itertools.chain.from_iterable(zip(*found, strict=True)))


def _for_roles(
    reading: Reading, method: str | SuggestionMethod, roles: Sequence[Role], findings: Sequence[Finding]
) -> list[Suggestion]:
    """Returns the suggestion of one method for each of the roles, which share the rate read off the curve."""
    if method == "default":
        chosen, hidden = _default_for(reading) or NO_DEFAULT, why_hidden(reading, findings)
    else:
        chosen, hidden = SUGGESTION_METHODS[method] if isinstance(method, str) else _custom_method(method), None
    name = method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)
    recovers = isinstance(method, str) and reading.features.early_explosion >= EXPLODED
    lr = None if recovers else chosen.rate(reading)
    if lr is not None and hidden is None:
        return [_with_range(reading, chosen, name, role, lr) for role in roles]
    if lr is not None:
        reason = f"No rate is suggested, because {hidden}"
    else:
        why = why_none(reading.verdict.shape, reading.curve.context)
        reason = NO_LANDMARK if why is None else f"No rate is suggested: {why}"
    return [Suggestion(method=name, role=role, lr=None, low=None, high=None, reason=reason) for role in roles]


def _with_range(reading: Reading, method: Method, name: str, role: Role, lr: float) -> Suggestion:
    """Returns the suggestion for one role from the rate that a method read off the curve."""
    lr *= peak_factor(reading) if role == Role.ONE_CYCLE else 1.0
    is_large = (reading.curve.context.num_trainable_params or 0) >= LARGE_MODEL
    spread = method.spread * (LARGE_SPREAD if is_large else 1.0)
    high = lr * spread
    elbow = reading.landmarks.elbow
    if role == Role.CONSTANT and elbow is not None and elbow.lr > lr:
        high = min(high, elbow.lr * (PAST_ELBOW if reading.landmarks.steepest is None else 1.0))
    return Suggestion(method=name, role=role, lr=lr, low=lr / spread, high=high, reason=method.says)


def peak_factor(reading: Reading) -> float:
    """Returns the factor from a constant rate to the peak of a one-cycle schedule."""
    if optimizer_family(reading.curve.context.optimizer).is_adaptive:
        return PEAK_FACTOR
    has_valley = reading.landmarks.steepest is not None and reading.landmarks.elbow is not None
    return VALLEY_PEAK_FACTOR if has_valley and is_plain(reading) else GRADIENT_PEAK_FACTOR


def what_stops_learning(findings: Sequence[Finding]) -> Finding | None:
    """Returns the first cause that is confirmed or likely and stops all learning, or `None`."""
    return next((item for item in findings if item.stops_learning and item.is_sure), None)


def why_nothing_is_learned(cause: Finding) -> str:
    """Returns the reason for no rate that lies in a cause, as the end of a sentence."""
    sure = "" if cause.status == CauseStatus.CONFIRMED else "most likely "
    return f"{sure}nothing can be learned before this is fixed: {cause.title}"


def why_hidden(reading: Reading, findings: Sequence[Finding]) -> str | None:
    """Returns why landmarks of a curve say nothing about the rate, as the end of a sentence, or `None`."""
    stops = what_stops_learning(findings)
    if stops is not None:
        return why_nothing_is_learned(stops)
    sure = {item.name for item in findings if item.is_sure}
    features, context, marks = reading.features, reading.curve.context, reading.landmarks
    chance, low = chance_loss(context), marks.minimum
    reasons = (
        (
            MISREAD in sure and chance is not None and low is not None and low.loss >= chance,
            "the loss at its first minimum is no lower than that of guessing.",
        ),
        (ORDERED in sure, "the order of the data moves the loss more than the rate does."),
        (
            bool(UNSCALED & sure) and (features.lowest_ratio or 0.0) >= HARDLY_LEARNS,
            "the loss stays about as high as that of guessing, or higher.",
        ),
        (
            bool(context.num_other_optimizers) and marks.steepest is None,
            "the other optimizers of this model train too, so the rise of the loss may be theirs.",
        ),
        (
            NO_FLOOR.holds({"depth_below_zero": features.depth_below_zero}),
            "this loss has no lowest value, and large steps only drive it down.",
        ),
    )
    return next((reason for holds, reason in reasons if holds), None)


def format_suggestion(suggestion: Suggestion, *, at_most: bool = False) -> str | None:
    """Returns the rate and its range in words, or `None` without a rate.

    Args:
        suggestion: The suggestion.
        at_most: Whether the rate is an upper limit, since it was read off averages.

    Example:
    >>> suggestion = Suggestion(method="valley", role=Role.CONSTANT, lr=0.0042, low=0.0011, high=0.013, reason="")
    >>> format_suggestion(suggestion)
    'about 0.004 (somewhere from 0.001 to 0.01)'
    >>> format_suggestion(suggestion, at_most=True)
    'no more than about 0.004'
    """
    reach = format_range(suggestion)
    if suggestion.lr is None or reach is None:
        return None
    if at_most:
        return f"no more than about {format_lr(suggestion.lr)}"
    return f"about {format_lr(suggestion.lr)} (somewhere from {reach})"


def format_range(suggestion: Suggestion) -> str | None:
    """Returns the range of a suggestion in words, or `None` without a rate.

    Example:
    >>> format_range(Suggestion(method="valley", role=Role.CONSTANT, lr=0.0042, low=0.0011, high=0.013, reason=""))
    '0.001 to 0.01'
    """
    if suggestion.low is None or suggestion.high is None:
        return None
    return f"{format_lr(suggestion.low)} to {format_lr(suggestion.high)}"


def _custom_method(function: SuggestionMethod) -> Method:
    if not callable(function):
        known = ", ".join(map(repr, SUGGESTION_METHODS))
        msg = f"Argument `method` must be one of {known}, or a function. Received: method={shown(function)}."
        raise InvalidOptionError(msg)
    name = getattr(function, "__name__", type(function).__name__)
    says = f"Returned by the function `{name}`."
    return Method(rate=lambda reading: _checked_rate(function(reading), name), says=says)


def _checked_rate(lr: SupportsFloat | None, name: str) -> float | None:
    """Returns the result of a function of the user's if it can be a learning rate."""
    if lr is None:
        return None
    try:
        rate = float(lr)
    except (TypeError, ValueError, OverflowError):
        rate = math.nan
    if not 1 / LARGEST <= rate <= LARGEST:
        msg = (
            "Argument `method` must be a function that returns a positive finite learning rate, or `None`. "
            f"Received: {shown(lr)}, returned by `{name}`."
        )
        raise InvalidOptionError(msg)
    return rate


def why_none(shape: Shape, context: ScanContext) -> str | None:
    """Returns why a curve of this shape and optimizer gets no rate, as the end of a sentence, or `None`."""
    return optimizer_family(context.optimizer).why_no_rate or WHY_NONE.get(shape)


def _default_for(reading: Reading) -> Method | None:
    if reading.verdict.shape in NEVER or optimizer_family(reading.curve.context.optimizer).why_no_rate:
        return None
    for method in (METHODS[name] for name in DEFAULT_METHODS):
        lr = method.rate(reading)
        if lr is not None:
            return _drawn(method, lr, reading)
    return None


def _drawn(method: Method, lr: float, reading: Reading) -> Method:
    """Returns the method with its rate drawn toward that of the prior, and never close to the start of the rise."""
    context, elbow = reading.curve.context, reading.landmarks.elbow
    prior, drawn = prior_rate(context), toward_prior_rate(lr, context)
    if elbow is not None:
        drawn = min(drawn, max(lr, elbow.lr / DRAWN_MARGIN))
    if prior is None or 1 / NOTICED < drawn / lr < NOTICED:
        return replace(method, rate=lambda _: drawn)
    moved = f"It was then moved toward {format_lr(prior)}, near which {context.optimizer} is expected to train models"
    return replace(method, rate=lambda _: drawn, says=f"{method.says} {moved} of this size well.")


def default(reading: Reading) -> float | None:
    """Returns the rate of the first of `DEFAULT_METHODS` whose landmarks the curve shows.

    That is `valley-floor` if the loss falls and rises, `open-valley` if it only falls, and `wall` if it only rises.
    `toward_prior_rate` then draws the rate toward the prior rate of the optimizer and the size of the model. The result
    is `None` if the loss neither falls nor rises, and for the shapes in `NEVER`.
    """
    method = _default_for(reading)
    return None if method is None else method.rate(reading)


NO_DEFAULT = Method(rate=lambda _: None, says="")

SUGGESTION_METHODS: Mapping[str, Method] = MappingProxyType(
    {"default": Method(rate=default, says="The method that fits the landmarks of this curve."), **METHODS}
)
"""Name of each method, including the default → the method."""

DEFAULT_METHODS = ("valley-floor", "open-valley", "wall")
"""Methods in order of preference: for a valley with a right wall, a valley without one, and a wall without a valley.

`benchmarks/suggestions` compares them with all other methods on real sweeps.
"""

NEVER = frozenset({Shape.FLAT, Shape.DIVERGES_AT_ONCE, Shape.FALLS_TO_CHANCE, Shape.TOO_SHORT})
"""Shapes that warrant no suggestion, even if they show landmarks."""

WHY_NONE: Mapping[str, str] = MappingProxyType(
    {
        Shape.NOISY: "batch-to-batch noise hides the effect of the learning rate.",
        Shape.FLAT: "the loss did not respond clearly to the learning rate.",
        Shape.DIVERGES_AT_ONCE: "even the smallest rate of this test was too large.",
        Shape.FALLS_TO_CHANCE: "the loss falls only to the cost of guessing.",
        Shape.TOO_SHORT: "the curve is too short to read.",
        Shape.UNCLEAR: "the curve has no clear shape.",
    }
)
"""Shape → reason, if such a curve gets no suggestion."""

NO_LANDMARK = "The curve does not show the landmark that this method needs."
