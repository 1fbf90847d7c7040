"""Computes the learning rate for each step of a scan or of a training."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Protocol

from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.formatting import LARGEST

__all__ = ["MIN_STEPS", "ExponentialRamp", "Ramp", "RateList", "checked_ramp"]

MIN_STEPS = 8
"""Fewest steps that a user may request for a scan."""


class Ramp(Protocol):
    """Maps a step to a learning rate, for a given number of steps."""

    @property
    def num_steps(self) -> int:
        """Number of steps."""

    def __call__(self, step: int) -> float:
        """Returns the rate of `step`, or that of the last step for later ones."""


@dataclass(frozen=True)
class ExponentialRamp:
    """Raises the rate exponentially: `lr(t) = start_lr * (end_lr / start_lr) ** (t / (num_steps - 1))`.

    Steps below 0 and above `num_steps - 1` have the rate of the nearest end.

    Args:
        start_lr: Rate of step 0, positive.
        end_lr: Rate of step `num_steps - 1`, above `start_lr`.
        num_steps: Number of steps, at least 1. A ramp of one step stays at `start_lr`.

    References:
        Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3, where the rate is raised
        linearly instead of exponentially.

    Example:
    >>> ramp = ExponentialRamp(1e-4, 1e-1, 4)
    >>> [f"{ramp(step):.0e}" for step in range(5)]
    ['1e-04', '1e-03', '1e-02', '1e-01', '1e-01']
    """

    start_lr: float
    end_lr: float
    num_steps: int

    def __call__(self, step: int) -> float:
        """Returns the rate of `step`."""
        last = self.num_steps - 1
        if step <= 0 or last < 1:
            return self.start_lr
        if step >= last:
            return self.end_lr
        return self.start_lr * math.pow(self.end_lr / self.start_lr, step / last)

    def shortened_to(self, num_steps: int | None) -> ExponentialRamp:
        """Returns the same range in at most `num_steps` steps, or unchanged if `num_steps` is `None` for unknown.

        >>> ExponentialRamp(1e-4, 1e-1, 100).shortened_to(40).num_steps
        40
        """
        if num_steps is None or num_steps >= self.num_steps:
            return self
        return ExponentialRamp(self.start_lr, self.end_lr, max(1, num_steps))


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


def checked_ramp(start_lr: float, end_lr: float, num_steps: int) -> ExponentialRamp:
    """Returns the ramp with these settings after checking them.

    Raises:
        InvalidOptionError: If a rate is not a positive finite number, if `end_lr` is not above `start_lr`, or if
            `num_steps` is not an integer of at least `MIN_STEPS`.
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
    return ExponentialRamp(start, end, steps)


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
