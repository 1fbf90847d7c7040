"""Compares losses at the start with chance levels: that of the whole model, and those of its outputs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keras_lrscan.curves.context import ScanContext

__all__ = [
    "BETTER_THAN_CHANCE",
    "WORSE_THAN_CHANCE",
    "JudgedOutput",
    "StartState",
    "are_mixed",
    "is_untrained",
    "judged_outputs",
    "largest_at_chance",
    "state_of",
]

BETTER_THAN_CHANCE = 0.9
"""Share of the chance level below which the first loss is better than chance.

Of the scans of `benchmarks/suggestions` and `benchmarks/finetuning` that start at 0.8 to 0.9 of it, 62 start from
trained weights and 10, in noisy batches, from fresh ones. A limit of 0.8 makes the mean regret 0.002 larger at a
constant rate and 0.004 with one-cycle.
"""

WORSE_THAN_CHANCE = 1.4
"""Multiple of the chance level above which the first loss is worse than chance: confidently wrong."""

CLEARLY_DIFFERENT = 1.5
"""Ratio of two starts, each relative to its chance level, from which they differ by more than the first batches do."""


class StartState(StrEnum):
    """Compares the loss at the start with the chance level."""

    AT_CHANCE = "at-chance"
    BETTER_THAN_CHANCE = "better-than-chance"
    WORSE_THAN_CHANCE = "worse-than-chance"
    MIXED = "mixed"
    """Some outputs start better than chance, others do not. No one word is true of the whole model."""
    UNKNOWN = "unknown"


class JudgedOutput(NamedTuple):
    """Holds the start of one output.

    Attributes:
        name: Name of the output.
        ratio: Ratio of its loss at the start to its chance level.
        state: Its start state.
    """

    name: str
    ratio: float
    state: StartState


def is_untrained(context: ScanContext) -> bool:
    """Returns whether the model is known to be untrained: its optimizer made no update, and its layers are new."""
    return context.optimizer_iterations == 0 and bool(context.head_is_untrained) and not context.num_used_layers


def largest_at_chance(chance: float, uniform: float | None) -> float:
    """Returns the largest ratio of the loss at the start to the chance level that counts as at chance.

    Fresh classifiers start near the loss of the uniform prediction, which is above the chance level if some classes
    are rarer than others.

    Args:
        chance: Chance level.
        uniform: Loss of the uniform prediction, or `None` for other losses.
    """
    return WORSE_THAN_CHANCE * max(1.0, (uniform or 0.0) / chance)


def state_of(level: float, chance: float, uniform: float | None) -> StartState:
    """Returns the start state of a loss.

    Args:
        level: Loss at the start, without regularization.
        chance: Chance level, above zero.
        uniform: Loss of the uniform prediction, or `None` for other losses.

    Example:
    >>> str(state_of(2.3, 2.303, 2.303)), str(state_of(0.1, 2.303, 2.303))
    ('at-chance', 'better-than-chance')
    """
    ratio = level / chance
    if ratio < BETTER_THAN_CHANCE:
        return StartState.BETTER_THAN_CHANCE
    above = ratio > largest_at_chance(chance, uniform)
    return StartState.WORSE_THAN_CHANCE if above else StartState.AT_CHANCE


def judged_outputs(context: ScanContext) -> tuple[JudgedOutput, ...]:
    """Returns the outputs if they start in different states, by the rule for a whole model, and none otherwise.

    Outputs without a known loss, or whose loss or chance level is below zero, are left out.

    Args:
        context: The context of a scan.
    """
    judged = tuple(
        JudgedOutput(
            output.name,
            output.start_loss / output.chance_loss,
            state_of(output.start_loss, output.chance_loss, output.uniform_loss),
        )
        for output in context.outputs
        if output.start_loss is not None
        and output.start_loss >= 0
        and output.chance_loss is not None
        and output.chance_loss > 0
    )
    ratios = [output.ratio for output in judged]
    differ = len({output.state for output in judged}) > 1 and max(ratios) >= CLEARLY_DIFFERENT * min(ratios)
    return judged if differ else ()


def are_mixed(outputs: Sequence[JudgedOutput]) -> bool:
    """Returns whether some outputs start better than chance and others do not."""
    better = {output.state == StartState.BETTER_THAN_CHANCE for output in outputs}
    return len(better) > 1
