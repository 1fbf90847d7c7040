"""Says how each output of a model starts if the outputs start differently, which their total loss cannot show."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from keras_lrscan.reading.facts import EXPLODES, MEASURES
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.start_state import JudgedOutput, StartState, judged_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["differing_outputs", "highest", "starts_in_words"]

MAX_NAMES = 3
"""Maximum number of outputs with the same start state to name."""

CONCLUSIONS: Mapping[StartState, tuple[str, str]] = MappingProxyType(
    {
        StartState.BETTER_THAN_CHANCE: (
            "so it already knows something about its task",
            "so they already know something about their tasks",
        ),
        StartState.AT_CHANCE: ("so it does no better than guessing", "so they do no better than guessing"),
        StartState.WORSE_THAN_CHANCE: (
            "so its first answers cost more than guessing",
            "so their first answers cost more than guessing",
        ),
    }
)
"""Start state → what it means for one output, and for several."""

LOOK_AT_ONE = 'The total loss does not show this. `LRScan(monitor="{name}_loss")` records the loss of `{name}` alone.'


def differing_outputs(analysis: PureAnalysis) -> tuple[JudgedOutput, ...]:
    """Returns the outputs if they start differently, and none if the start of the whole model cannot be judged either.

    An explosion at the first rates is part of the first losses, which then say nothing about the start.

    Args:
        analysis: The analysis of a curve.
    """
    is_judged = analysis.verdict.start_state != StartState.UNKNOWN and analysis.features.num_points >= MIN_FOR_START
    return judged_outputs(analysis.curve.context) if is_judged and not EXPLODES.holds(analysis.facts) else ()


def highest(outputs: Sequence[JudgedOutput]) -> str:
    """Returns the name of the output that starts highest, relative to its chance level."""
    return max(outputs, key=lambda output: output.ratio).name


def starts_in_words(outputs: Sequence[JudgedOutput]) -> str:
    """Returns one sentence for each start state of `outputs`, and how to look at one output.

    Args:
        outputs: Outputs that start differently.

    Example:
    >>> trained = JudgedOutput("a", 0.07, StartState.BETTER_THAN_CHANCE)
    >>> starts_in_words([trained, JudgedOutput("b", 1.02, StartState.AT_CHANCE)])[:95]
    'Output `a` starts at 0.07 times its chance level, so it already knows something about its task.'
    """
    groups = {state: [output for output in outputs if output.state == state] for state in CONCLUSIONS}
    said = [_group_in_words(group, state) for state, group in groups.items() if group]
    return " ".join([*said, LOOK_AT_ONE.format(name=highest(outputs))])


def _group_in_words(group: Sequence[JudgedOutput], state: StartState) -> str:
    one, several = CONCLUSIONS[state]
    show = MEASURES["start_ratio"].show
    low, high = show(min(output.ratio for output in group)), show(max(output.ratio for output in group))
    if len(group) == 1:
        return f"Output `{group[0].name}` starts at {low} times its chance level, {one}."
    reach = low if low == high else f"{low} to {high}"
    return f"Outputs {_names(group)} start at {reach} times their chance levels, {several}."


def _names(group: Sequence[JudgedOutput]) -> str:
    names = [f"`{output.name}`" for output in group]
    more = len(names) - MAX_NAMES
    if more > 0:
        names = [*names[:MAX_NAMES], f"{more} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}"
