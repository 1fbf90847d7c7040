"""Computes the learning rate for each step of a scan or of a training."""

from __future__ import annotations

import abc
import dataclasses
import math
import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, Self

from keras_lrscan.errors import InvalidOptionError, unknown_option
from keras_lrscan.formatting import LARGEST, format_lr

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MIN_STEPS",
    "RAMPS",
    "ExponentialRamp",
    "LinearRamp",
    "Ramp",
    "RateList",
    "ScanRamp",
    "checked_ramp",
    "ramp_name",
]

MIN_STEPS = 8
"""Fewest steps that a user may request for a scan."""

MAX_FIRST_STEP = 100.0
"""Largest factor between the first two rates of a ramp, above which a linear one misses two decades or more."""


class Ramp(Protocol):
    """Maps a step to a learning rate, for a given number of steps."""

    @property
    def num_steps(self) -> int:
        """Number of steps."""

    def __call__(self, step: int) -> float:
        """Returns the rate of `step`, or that of the last step for later ones."""


@dataclass(frozen=True)
class ScanRamp(abc.ABC):
    """Raises the rate from `start_lr` to `end_lr`; a subclass defines the rates between them.

    Steps below 0 and above `num_steps - 1` have the rate of the nearest end.

    Args:
        start_lr: Rate of step 0, positive.
        end_lr: Rate of step `num_steps - 1`, above `start_lr`.
        num_steps: Number of steps, at least 1. A ramp of one step stays at `start_lr`.
    """

    start_lr: float
    end_lr: float
    num_steps: int

    def __call__(self, step: int) -> float:
        """Returns the rate of `step`."""
        last = self.num_steps - 1
        if step <= 0 or last < 1:
            return self.start_lr
        return self.end_lr if step >= last else self._between(step / last)

    @abc.abstractmethod
    def _between(self, share: float) -> float:
        """Returns the rate after a share of the ramp, between 0 and 1."""

    def shortened_to(self, num_steps: int | None) -> Self:
        """Returns the same range in at most `num_steps` steps, or unchanged if `num_steps` is `None` for unknown.

        >>> ExponentialRamp(1e-4, 1e-1, 100).shortened_to(40).num_steps
        40
        """
        if num_steps is None or num_steps >= self.num_steps:
            return self
        return dataclasses.replace(self, num_steps=max(1, num_steps))


class ExponentialRamp(ScanRamp):
    """Raises the rate by equal factors: `lr(t) = start_lr * (end_lr / start_lr) ** (t / (num_steps - 1))`.

    Example:
    >>> ramp = ExponentialRamp(1e-4, 1e-1, 4)
    >>> [f"{ramp(step):.0e}" for step in range(5)]
    ['1e-04', '1e-03', '1e-02', '1e-01', '1e-01']
    """

    def _between(self, share: float) -> float:
        return self.start_lr * math.pow(self.end_lr / self.start_lr, share)


class LinearRamp(ScanRamp):
    """Raises the rate by equal amounts: `lr(t) = start_lr + (end_lr - start_lr) * t / (num_steps - 1)`.

    References:
        Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    Example:
    >>> ramp = LinearRamp(1e-4, 1e-1, 4)
    >>> [f"{ramp(step):.2g}" for step in range(5)]
    ['0.0001', '0.033', '0.067', '0.1', '0.1']
    """

    def _between(self, share: float) -> float:
        return self.start_lr + (self.end_lr - self.start_lr) * share


RAMPS: Mapping[str, type[ScanRamp]] = MappingProxyType({"exponential": ExponentialRamp, "linear": LinearRamp})
"""Name → ramp."""


@dataclass(frozen=True)
class RateList:
    """Lists the rates of a training, in which the update after batch `i` uses `rates[i]`.

    Example:
    >>> rates = RateList((0.1, 0.2))
    >>> rates.num_steps, rates(1), rates(2), rates(3)
    (2, 0.1, 0.2, 0.2)
    """

    rates: tuple[float, ...]

    @property
    def num_steps(self) -> int:
        """Number of updates."""
        return len(self.rates)

    def __call__(self, step: int) -> float:
        """Returns the rate of `step`, which is `i + 1` for the update after batch `i`."""
        return self.rates[min(max(step - 1, 0), len(self.rates) - 1)]


def checked_ramp(start_lr: float, end_lr: float, num_steps: int, kind: str = "exponential") -> ScanRamp:
    """Returns the ramp with these settings after checking them.

    Raises:
        InvalidOptionError: If a rate is not a positive finite number, if `end_lr` is not above `start_lr`, if
            `num_steps` is not an integer of at least `MIN_STEPS`, if `kind` is not one of `RAMPS`, or if a linear ramp
            rises by more than `MAX_FIRST_STEP` at once.
    """
    start, end = _positive("start_lr", start_lr), _positive("end_lr", end_lr)
    if end <= start:
        msg = f"Argument `end_lr` must be above `start_lr`. Received: start_lr={start_lr!r}, end_lr={end_lr!r}."
        raise InvalidOptionError(msg)
    try:
        steps = operator.index(num_steps)
    except TypeError as error:
        msg = f"Argument `num_steps` must be an integer. Received: num_steps={num_steps!r}."
        raise InvalidOptionError(msg) from error
    if isinstance(num_steps, bool) or steps < MIN_STEPS:
        msg = (
            f"Argument `num_steps` must be an integer of at least {MIN_STEPS}. Received: num_steps={num_steps!r}. "
            "A curve is easy to read with about 100 steps or more."
        )
        raise InvalidOptionError(msg)
    if kind not in RAMPS:
        raise unknown_option("ramp", kind, RAMPS)
    ramp = RAMPS[kind](start, end, steps)
    if kind == "linear" and ramp(1) > MAX_FIRST_STEP * start:
        msg = (
            f"Expected a linear ramp over the few decades of interest. Received: start_lr={start_lr!r}, "
            f"end_lr={end_lr!r}, num_steps={steps}, which leaves no rate between {format_lr(start)} and "
            f"{format_lr(ramp(1))}. Pass a narrower range, such as `start_lr=1e-4, end_lr=0.1`, or more steps."
        )
        raise InvalidOptionError(msg)
    return ramp


def ramp_name(ramp: ScanRamp) -> str:
    """Returns the key of a ramp in `RAMPS`.

    >>> ramp_name(LinearRamp(1e-4, 1e-1, 100))
    'linear'
    """
    return next(name for name, kind in RAMPS.items() if isinstance(ramp, kind))


def _positive(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"Argument `{name}` must be a number. Received: {name}={value!r}."
        raise InvalidOptionError(msg) from error
    if not math.isfinite(number) or number <= 0:
        msg = f"Argument `{name}` must be a positive finite number. Received: {name}={value!r}."
        raise InvalidOptionError(msg)
    if not 1 / LARGEST <= number <= LARGEST:
        msg = f"Argument `{name}` must be from {1 / LARGEST:.0e} to {LARGEST:.0e}. Received: {name}={value!r}."
        raise InvalidOptionError(msg)
    return number
