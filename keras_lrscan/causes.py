"""Why a curve looks the way it does: features and context → `Finding`s.

A cause is a row of `CAUSES`: the conditions that point to it, what would confirm it and what to do. Findings are
ordered by likelihood; each carries the numbers that led to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_lrscan.features import StartState
from keras_lrscan.rules import FALLS, NO_FALL, NO_RISE, RISES, Condition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["CAUSES", "Cause", "Finding", "find_causes"]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One possible cause.

    Attributes:
        code: Stable for ever.
        title: The cause in one sentence.
        when: All of these hold.
        likelihood: How likely it is once they do, from 0 to 1; orders the findings.
        to_check: What would confirm it or rule it out.
        advice: What to do if it is true.
    """

    code: str
    title: str
    when: tuple[Condition, ...]
    likelihood: float
    to_check: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A cause that the evidence of one curve points to.

    Attributes:
        code: Code of the cause.
        title: The cause in one sentence.
        likelihood: How likely it is, from 0 to 1.
        evidence: The conditions met, with the values seen.
        to_check: What would confirm it or rule it out.
        advice: What to do if it is true.
    """

    code: str
    title: str
    likelihood: float
    evidence: tuple[str, ...]
    to_check: str
    advice: str


def find_causes(facts: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Returns the causes whose conditions all hold, the likeliest first."""
    met = [cause for cause in CAUSES if all(condition.holds(facts) for condition in cause.when)]
    return tuple(
        Finding(
            code=cause.code,
            title=cause.title,
            likelihood=cause.likelihood,
            evidence=tuple(condition.evidence(facts) for condition in cause.when),
            to_check=cause.to_check,
            advice=cause.advice,
        )
        for cause in sorted(met, key=lambda cause: -cause.likelihood)
    )


AT_CHANCE = Condition("start_state", "==", StartState.AT_CHANCE)
BETTER = Condition("start_state", "==", StartState.BETTER_THAN_CHANCE)

CAUSES: tuple[Cause, ...] = (
    Cause(
        code="LRS301",
        title="The model is already good at this task, so the test had nothing to gain.",
        when=(BETTER, NO_FALL),
        likelihood=0.9,
        to_check="Evaluate the model before training: its accuracy is well above guessing.",
        advice="Train gently, well below the rate that breaks it.",
    ),
    Cause(
        code="LRS302",
        title="The part that learns starts from nothing: fresh weights, or a new last layer on a pretrained body.",
        when=(AT_CHANCE, FALLS),
        likelihood=0.9,
        to_check="The first loss equals that of guessing.",
        advice="Nothing to mend: this is how a healthy start looks.",
    ),
    Cause(
        code="LRS303",
        title="The model is partly trained and still improves.",
        when=(BETTER, FALLS),
        likelihood=0.8,
        to_check="Evaluate the model before training: its accuracy is above guessing, and rises with training.",
        advice="Train on, and stay left of the bottom of the curve.",
    ),
    Cause(
        code="LRS304",
        title="The model starts out confident and wrong: unscaled inputs, or a loss that does not fit the last layer.",
        when=(Condition("start_state", "==", StartState.WORSE_THAN_CHANCE),),
        likelihood=0.8,
        to_check="Print the range of the inputs, and the last layer's activation beside the loss's `from_logits`.",
        advice="Scale the inputs to about -1 to 1; use `from_logits=True` exactly when there is no softmax or sigmoid.",
    ),
    Cause(
        code="LRS305",
        title="Labels and inputs do not belong together, or too little of the model can learn.",
        when=(AT_CHANCE, NO_FALL, RISES),
        likelihood=0.7,
        to_check="Train on 20 samples until their loss is near zero. If that fails, there is a bug.",
        advice="Look at five inputs with their labels; check shuffling, label encoding and frozen layers.",
    ),
    Cause(
        code="LRS306",
        title="The updates do not reach the weights.",
        when=(NO_FALL, NO_RISE, Condition("stop", "==", "end-lr"), Condition("end_lr", ">=", 0.1)),
        likelihood=0.8,
        to_check="Compare a weight before and after one step at rate 1.",
        advice="Unfreeze layers and compile again; look for a loss that does not depend on the predictions.",
    ),
    Cause(
        code="LRS307",
        title="The test ended before the breaking point: its last rate is low for this model.",
        when=(NO_RISE, Condition("stop", "==", "end-lr")),
        likelihood=0.7,
        to_check="Scan again with an `end_lr` 10 to 100 times larger.",
        advice="Read nothing into the right end of this curve.",
    ),
    Cause(
        code="LRS308",
        title="`fit` ran out of batches before the ramp was done.",
        when=(NO_RISE, Condition("stop", "==", "out-of-batches")),
        likelihood=0.7,
        to_check="Compare the last rate on the plot with the planned one.",
        advice="Give the scan more batches: more epochs, smaller batches, or more data.",
    ),
    Cause(
        code="LRS309",
        title="The batches are small, so each loss is mostly luck.",
        when=(Condition("noise_over_fall", ">=", 0.1), Condition("batch_size", "<", 16)),
        likelihood=0.8,
        to_check="Scan again with four times the batch size: the noise should halve.",
        advice="Use larger batches, or more steps, for the scan.",
    ),
    Cause(
        code="LRS310",
        title="At large rates the model collapses to the same answer for everything.",
        when=(
            FALLS,
            Condition("plateau_decades", ">=", 0.3),
            Condition("plateau_ratio", ">=", 0.9),
            Condition("plateau_ratio", "<", 1.15),
        ),
        likelihood=0.9,
        to_check="Predictions at such a rate are the same for every input.",
        advice="Treat all rates on the plateau as broken.",
    ),
    Cause(
        code="LRS311",
        title="A regularisation term lifts the whole curve.",
        when=(Condition("regularization_share", ">=", 0.3),),
        likelihood=0.9,
        to_check="`sum(model.losses)` before training is that large.",
        advice="Compare the loss with guessing only after taking that term off, as this package does.",
    ),
    Cause(
        code="LRS312",
        title="There are NaN or infinite numbers in the data, or the loss takes the logarithm of zero.",
        when=(Condition("finite_share", "<", 0.5), Condition("rise_before_nonfinite", "<", 1.0)),
        likelihood=0.8,
        to_check="`numpy.isfinite(x).all()` and the range of the labels.",
        advice="Clean the data first; the rate is not the cause.",
    ),
    Cause(
        code="LRS313",
        title="There are too few points in a decade for a clear picture.",
        when=(Condition("points_per_decade", "<", 8),),
        likelihood=0.5,
        to_check="Scan again with more steps and compare.",
        advice="Use at least 10 points a decade: more steps, or a narrower range.",
    ),
    Cause(
        code="LRS314",
        title="The first rate is already large enough to train.",
        when=(FALLS, Condition("early_slope", ">=", 0.5), Condition("noise_over_fall", "<", 0.3)),
        likelihood=0.7,
        to_check="Scan again from a rate 100 times smaller: a flat left part should appear.",
        advice="The left wall of this curve is missing; its right wall is still valid.",
    ),
)
"""Every cause."""
