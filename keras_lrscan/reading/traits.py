"""Names the traits of a curve, by a table of rules that also holds the words for them.

A trait is a row of `TRAIT_RULES`. Unlike its one shape, a curve has every trait whose conditions hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_lrscan.reading.facts import CALM_START, FALLS, Condition
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.spacing import LINEAR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["TRAIT_RULES", "TraitRule", "traits_of"]


@dataclass(frozen=True, kw_only=True)
class TraitRule:
    """Defines one trait by conditions and describes it in words.

    Attributes:
        code: Permanent code, such as `"LRS201"`.
        name: The trait.
        when: Conditions that must all hold.
        says: One to three sentences, with the same slots as those of a shape.
    """

    code: str
    name: str
    when: tuple[Condition, ...]
    says: str


def traits_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of all traits of a curve, in the order of `TRAIT_RULES`.

    A curve of few points can show but one trait, since a loss that is not finite needs no points.

    Args:
        facts: Features and context of the curve.
    """
    many = facts["num_points"] >= MIN_FOR_START
    possible = [trait for trait in TRAIT_RULES if many or trait.name == "early-nonfinite"]
    return tuple(trait.name for trait in possible if all(condition.holds(facts) for condition in trait.when))


TRAIT_RULES: tuple[TraitRule, ...] = (
    TraitRule(
        code="LRS201",
        name="late-dip",
        when=(Condition("flat_decades", ">=", 4.0), Condition("fall_decades", "<", 1.5)),
        says="For most of the test, the steps are too small to have a visible effect; only a short part shows "
        "something. Start the next scan at a higher rate.",
    ),
    TraitRule(
        code="LRS202",
        name="starts-mid-fall",
        when=(Condition("early_slope", ">=", 0.5), Condition("noise_over_fall", "<", 0.3), CALM_START),
        says="The loss falls from the very first rate, so the left side of the valley is cut off. Start the next scan "
        "at a rate 10 to 100 times smaller.",
    ),
    TraitRule(
        code="LRS203",
        name="noisy",
        when=(Condition("noise_over_fall", ">=", 0.1),),
        says="The loss jumps from point to point by a large part of the whole fall, so every rate given here is rough.",
    ),
    TraitRule(
        code="LRS204",
        name="spike",
        # Ordinary noise, even with heavy tails, stays below 6 on the scans of `docs/curves`.
        when=(Condition("spike", ">=", 8.0),),
        says="A single batch lies far from its neighbors. It was ignored: one unusual batch is not a trend.",
    ),
    TraitRule(
        code="LRS205",
        name="early-nonfinite",
        when=(Condition("finite_share", "<", 0.5), Condition("rise_before_nonfinite", "<", 1.0)),
        says="The loss became NaN or infinite before it had risen. Check the data and the loss function before the "
        "learning rate.",
    ),
    TraitRule(
        code="LRS206",
        name="startup-bump",
        when=(FALLS, Condition("startup_bump", ">=", 0.25)),
        says="The loss rises before it first falls. At such small rates, the reason is not the rate but the order of "
        "the data, a fresh optimizer, or averaging by another tool.",
    ),
    TraitRule(
        code="LRS207",
        name="squashed-view",
        when=(Condition("peak", ">=", 20.0),),
        says="The largest loss is far above the rest of the curve; the plot is cut off to keep the rest readable.",
    ),
    TraitRule(
        code="LRS208",
        name="sawtooth",
        when=(Condition("epoch_pattern", ">=", 0.5),),
        says="The pattern repeats every epoch, so it comes from the order of the batches, not from the learning rate. "
        "{order}",
    ),
    TraitRule(
        code="LRS209",
        name="linear-sweep",
        when=(Condition("linear_spacing", ">=", LINEAR), Condition("decades", ">=", 1.0)),
        says="The rates grow by equal amounts, not by equal factors, so nearly all points lie in the last factor of "
        "ten.",
    ),
)
"""All traits."""
