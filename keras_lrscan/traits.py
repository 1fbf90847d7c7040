"""What rides on a shape: small things worth saying whatever the main shape is.

A trait is a row of `TRAIT_RULES`; any number of them may hold on one curve.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_lrscan.rules import Condition

__all__ = ["TRAIT_RULES", "TraitRule"]


@dataclass(frozen=True, kw_only=True)
class TraitRule:
    """One trait: when a curve has it, and what to say of it.

    Attributes:
        code: Stable for ever.
        name: The trait.
        when: All of these hold.
        says: One or two sentences, with slots like those of a shape.
    """

    code: str
    name: str
    when: tuple[Condition, ...]
    says: str


TRAIT_RULES: tuple[TraitRule, ...] = (
    TraitRule(
        code="LRS201",
        name="late-dip",
        when=(Condition("flat_decades", ">=", 4.0), Condition("fall_decades", "<", 1.5)),
        says="Most of the test was spent on rates too small to matter; the useful stretch is short. "
        "Start the next scan higher, and stay well left of where it breaks.",
    ),
    TraitRule(
        code="LRS202",
        name="starts-mid-fall",
        when=(Condition("early_slope", ">=", 0.5), Condition("noise_over_fall", "<", 0.3)),
        says="The loss falls from the very first rate: the left wall of the valley is cut off. "
        "Start the next scan at a rate 10 to 100 times smaller.",
    ),
    TraitRule(
        code="LRS203",
        name="noisy",
        when=(Condition("noise_over_fall", ">=", 0.1),),
        says="Single batches jump by a good part of the whole fall, so every rate read here is rough.",
    ),
    TraitRule(
        code="LRS204",
        name="spike",
        # Ordinary noise, even of heavy tails, stays below 6 on the scans of `docs/curves`.
        when=(Condition("spike", ">=", 8.0),),
        says="A lone batch stands far off its neighbours. It was ignored; one odd batch is no trend.",
    ),
    TraitRule(
        code="LRS205",
        name="early-nonfinite",
        when=(Condition("finite_share", "<", 0.5), Condition("rise_before_nonfinite", "<", 1.0)),
        says="The loss became NaN or infinite before it had risen: check the data and the loss before the rate.",
    ),
    TraitRule(
        code="LRS206",
        name="startup-bump",
        when=(Condition("startup_bump", ">=", 0.25),),
        says="The loss rises before it first falls. While rates are tiny that is not the rate, but the order of the "
        "data, a fresh optimizer, or the averaging of another tool.",
    ),
    TraitRule(
        code="LRS207",
        name="squashed-view",
        when=(Condition("peak", ">=", 20.0),),
        says="The largest loss is far above everything of interest; the plot is cut off so that the rest can be seen.",
    ),
    TraitRule(
        code="LRS208",
        name="sawtooth",
        when=(Condition("epoch_pattern", ">=", 0.5),),
        says="The pattern repeats every epoch, so it comes from the order of your data, not from the rate: shuffle.",
    ),
    TraitRule(
        code="LRS209",
        name="linear-sweep",
        when=(Condition("linear_spacing", ">=", 0.05), Condition("decades", ">=", 1.0)),
        says="The rates are spaced evenly, not by factors, so nearly all points lie in the last decade.",
    ),
)
"""Every trait."""
