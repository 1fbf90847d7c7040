"""Which shape a curve has: features → `ShapeVerdict`.

A shape is a row of `SHAPE_RULES`: the conditions that make it, and the words that explain it. The rows are tried in
order and the first that holds is the verdict. Slots in braces are filled by `explanation.explain`; a sentence whose
slot is unknown is left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from keras_lrscan.errors import InvalidCurveError
from keras_lrscan.files.decoding import Share
from keras_lrscan.reading.facts import FALLS, NO_FALL, NO_RISE, RISES, Condition
from keras_lrscan.reading.features import StartState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["SHAPE_RULES", "TRAIT_RULES", "Shape", "ShapeRule", "ShapeVerdict", "TraitRule", "classify"]


MAJORITY = 0.5
"""The verdict is the curve's own shape, or another one, if at least this share of the copies gets it."""


class Shape(StrEnum):
    """The main shape of a curve; each has exactly one."""

    U_SHAPED = "u-shaped"
    MONOTONE_FROM_PRETRAINED = "monotone-from-pretrained"
    NOISY = "noisy"
    FLAT_AT_CHANCE = "flat-at-chance"
    FLAT = "flat"
    STILL_FALLING = "still-falling"
    DIVERGES_AT_ONCE = "diverges-at-once"
    VALLEY_THEN_PLATEAU = "valley-then-plateau"
    SEVERAL_VALLEYS = "several-valleys"
    UPWARD_DRIFT = "upward-drift"
    TOO_SHORT = "too-short"
    UNCLEAR = "unclear"


@dataclass(frozen=True, kw_only=True)
class ShapeRule:
    """One shape: when it is the verdict, and how it is explained.

    Attributes:
        code: Stable for ever.
        shape: The shape.
        title: The shape in a few words.
        when: Alternatives; the rule holds when every condition of one of them does.
        sees: What you see.
        means: What it means.
        is_not: What it does not mean.
        tries: What to try, in order.
    """

    code: str
    shape: Shape
    title: str
    when: tuple[tuple[Condition, ...], ...]
    sees: tuple[str, ...]
    means: tuple[str, ...]
    is_not: tuple[str, ...]
    tries: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ShapeVerdict:
    """The shape of one curve.

    Attributes:
        code: Code of the rule that held.
        shape: The main shape.
        confidence: Share of noise-resampled copies of the curve that get the same shape, from 0 to 1.
        start_state: First loss against chance.
        traits: Names of the traits, in the order of `TRAIT_RULES`.
        evidence: The conditions that held, with the values seen.
    """

    code: str
    shape: Shape
    confidence: Share
    start_state: StartState
    traits: tuple[str, ...]
    evidence: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks that the code is that of the shape, and that every trait has words."""
        if (self.code, self.shape) not in {(rule.code, rule.shape) for rule in SHAPE_RULES}:
            msg = f"Expected the code of the shape. Received: code={self.code!r:.80}, shape={str(self.shape)!r}."
            raise InvalidCurveError(msg)
        unknown = sorted(set(self.traits) - {rule.name for rule in TRAIT_RULES})
        if unknown:
            msg = f"Expected traits that this version knows. Received: {unknown!r:.200}."
            raise InvalidCurveError(msg)


def classify(facts: Mapping[str, Any], *, copies: Sequence[Mapping[str, Any]] = ()) -> ShapeVerdict:
    """Returns the verdict on one curve.

    Args:
        facts: Features and context of the curve.
        copies: The same for noise-resampled copies of it, for the confidence; without any, the confidence is 0.
    """
    rule, conditions = _first_that_holds(facts)
    evidence = tuple(condition.evidence(facts) for condition in conditions)
    votes = Counter(_first_that_holds(copy)[0] for copy in copies)
    if copies and votes[rule] < MAJORITY * len(copies):
        first, count = votes.most_common(1)[0]
        rule = first if count >= MAJORITY * len(copies) else UNCLEAR
        evidence = tuple(f"{other.shape}: {num / len(copies):.0%} of copies" for other, num in votes.most_common())
    return ShapeVerdict(
        code=rule.code,
        shape=rule.shape,
        confidence=votes[rule] / len(copies) if copies else 0.0,
        start_state=StartState(facts["start_state"]),
        traits=tuple(trait.name for trait in TRAIT_RULES if all(part.holds(facts) for part in trait.when)),
        evidence=evidence,
    )


def _first_that_holds(facts: Mapping[str, Any]) -> tuple[ShapeRule, tuple[Condition, ...]]:
    return next(
        (rule, conditions)
        for rule in SHAPE_RULES
        for conditions in rule.when
        if all(condition.holds(facts) for condition in conditions)
    )


NOT_OVERFITTING = "It is not overfitting. This test is far too short for that, and looks only at training data."
UNKNOWN_START = (
    "{unknown_start}There are two readings. A model that is already good at its task looks like this, since it has "
    "nothing to gain. So does a model that learns nothing. Its accuracy before training tells which one yours is."
)
NOT_TRAINING_OVER_TIME = "It is not a picture of your training over time: the test tries many rates, one a batch."

UNCLEAR = ShapeRule(
    code="LRS112",
    shape=Shape.UNCLEAR,
    title="can be read in more than one way",
    when=(),
    sees=("Copies of this curve with other noise get different shapes, and none of them gets most.",),
    means=("No honest reading is possible from this one scan.",),
    is_not=("It does not mean that something is broken.",),
    tries=(
        "Scan again with more steps, `LRScan(num_steps=300)`, or larger batches.",
        "Scan again with another order of the data, and trust what both scans show.",
        "The most that this scan can say: {suggestion}. {reason}",
    ),
)

SHAPE_RULES: tuple[ShapeRule, ...] = (
    ShapeRule(
        code="LRS107",
        shape=Shape.DIVERGES_AT_ONCE,
        title="breaks at once",
        when=(
            (NO_FALL, RISES, Condition("calm_share", "<", 0.1), Condition("end_rise", ">=", 0.5)),
            (NO_FALL, Condition("stop", "==", "diverged"), Condition("calm_share", "<", 0.1)),
        ),
        sees=("The loss climbs almost from the first batch: it starts at {start_loss} and leaves the plot on top.",),
        means=("Even the smallest rate of this test, {start_lr}, is already too large, or the numbers going in are.",),
        is_not=(
            "It does not mean that the model cannot learn: nothing here was small enough to let it.",
            NOT_OVERFITTING,
        ),
        tries=(
            "Scale inputs and targets to about -1 to 1 (images: divide by 255) if they are not.",
            "Scan again from a rate 1000 times smaller.",
            "Check that the loss fits the last layer: `from_logits=True` for a layer without softmax or sigmoid.",
        ),
    ),
    ShapeRule(
        code="LRS111",
        shape=Shape.TOO_SHORT,
        title="too short to read",
        when=((Condition("num_points", "<", 30),), (Condition("decades", "<", 1.0),)),
        sees=("There are {num_points} points between {start_lr} and {last_lr}.",),
        means=("That is too little to tell a trend from chance: each point is the loss of one batch.",),
        is_not=("It says nothing about your model, neither good nor bad.",),
        tries=("Give the scan at least 100 batches: more epochs in `fit`, smaller batches, or more data.",),
    ),
    ShapeRule(
        code="LRS110",
        shape=Shape.UPWARD_DRIFT,
        title="drifts upward",
        when=(
            (NO_FALL, RISES, Condition("drift", ">=", 0.8), Condition("end_rise", "<", 0.25)),
            # Of random climbs by 5 to 20 % under 5 % noise (benchmarks/shape_recall.py) this finds 75 %, of flats none.
            (NO_FALL, NO_RISE, Condition("trend", ">=", 0.02), Condition("trend_in_errors", ">=", 5.0)),
        ),
        sees=("The loss creeps up nearly all the way, from {start_loss} to {end_loss}, without breaking.",),
        means=(
            "No rate of this test improved the model within these few batches, and larger ones hurt it a little more.",
            "That is usual for a pretrained model that is gently pushed off what it knows.",
        ),
        is_not=(
            "It does not mean that training cannot help: some hundred batches say nothing about whole epochs.",
            NOT_OVERFITTING,
        ),
        tries=(
            "Train at {suggestion} with a warm-up and a decay, and watch the validation loss.",
            "Check that the data are shuffled: data that get harder along the test draw the same picture.",
        ),
    ),
    ShapeRule(
        code="LRS105",
        shape=Shape.FLAT,
        title="flat everywhere",
        when=((NO_FALL, NO_RISE, Condition("noise", "<", 0.15)),),
        sees=("The loss stays near {start_loss} from {start_lr} to {last_lr}: no downhill part, and no breaking.",),
        means=(
            "A rate as large as the end of this test should wreck a model.",
            "If {last_lr} is large for your optimizer, the updates do not reach the weights.",
        ),
        is_not=("It does not mean that your model is robust, or that the rate does not matter.",),
        tries=(
            "Check that `model.trainable_weights` is not empty, and compile again after any change to `trainable`.",
            "Take one training step at rate 1 and see whether a weight changed.",
            "If the scan ended at a rate below 0.1, scan again up to 10.",
        ),
    ),
    ShapeRule(
        code="LRS103",
        shape=Shape.NOISY,
        title="too noisy to read",
        when=((NO_FALL, NO_RISE), (FALLS, Condition("noise_over_fall", ">=", 0.4))),
        sees=("The loss jumps from batch to batch by about as much as it moves over the whole test.",),
        means=("Each point is the loss of one small batch. Here the luck of the batch hides what the rate does.",),
        is_not=("Noise alone does not mean that the data are bad or that training will fail.", NOT_OVERFITTING),
        tries=(
            "Scan with larger batches: four times the batch halves the noise.",
            "Scan with more steps, `LRScan(num_steps=500)`.",
            "Run the scan three times and trust only what all three show.",
            "The most that this scan can say: {suggestion}. {reason}",
        ),
    ),
    ShapeRule(
        code="LRS104",
        shape=Shape.FLAT_AT_CHANCE,
        title="flat at guessing level, then breaks",
        when=(
            (NO_FALL, RISES, Condition("start_state", "==", StartState.AT_CHANCE)),
            (NO_FALL, RISES, Condition("start_state", "==", StartState.WORSE_THAN_CHANCE)),
        ),
        sees=("The loss stays near {start_loss}, then shoots up after about {elbow_lr}. It never goes down.",),
        means=(
            "Guessing would cost {chance_loss}. The model knows nothing yet, and no rate taught it anything in time.",
            "The rate is not the problem yet; something keeps the model from learning in so few batches.",
        ),
        is_not=(
            "It does not mean that the model is already good, although the picture looks the same.",
            NOT_OVERFITTING,
        ),
        tries=(
            "Look at five inputs with their labels: do they belong together?",
            "Train on 20 samples only. A healthy model brings their loss near zero; if yours does not, look for a bug.",
            "Then scan again with more steps.",
            "A rate that at least does not break it: {suggestion}. {reason}",
        ),
    ),
    ShapeRule(
        code="LRS102",
        shape=Shape.MONOTONE_FROM_PRETRAINED,
        title="flat and low, then breaks",
        when=((NO_FALL, RISES),),
        sees=("The loss stays flat near {start_loss}, then shoots up after about {elbow_lr}. It never goes down.",),
        means=(
            "Guessing would cost {chance_loss}. It does not go down because the model starts out already good.",
            UNKNOWN_START,
            "From about {elbow_lr} on, steps are so large that they undo what the model knows.",
        ),
        is_not=(
            NOT_OVERFITTING,
            "It is not a broken model and not a bug: a curve is a U only when there is something to gain.",
            "The smallest rate is not the best one. The loss is low there because nothing has changed it yet.",
        ),
        tries=(
            "Train at {suggestion}, and watch the validation loss. {reason}",
            "Curious for a U? Scan the same model with fresh weights: the contrast shows what its training has done.",
        ),
    ),
    ShapeRule(
        code="LRS108",
        shape=Shape.VALLEY_THEN_PLATEAU,
        title="a valley, then a high plateau",
        when=((FALLS, RISES, Condition("plateau_decades", ">=", 0.3)),),
        sees=("The loss falls to {lowest_loss} near {minimum_lr}, rises after about {elbow_lr}, then stays high.",),
        means=(
            "Up to about {elbow_lr} the model learns. Beyond, the steps are so large that it gives up.",
            "Up there it answers the same for everything, and it does not come back.",
        ),
        is_not=("The plateau is not a second safe region: a calm line up there is a model that only guesses.",),
        tries=("Train at {suggestion}. {reason}", "Treat every rate right of about {elbow_lr} as broken."),
    ),
    ShapeRule(
        code="LRS109",
        shape=Shape.SEVERAL_VALLEYS,
        title="several valleys",
        when=((Condition("num_valleys", ">=", 2), RISES),),
        sees=("The loss falls to {lowest_loss} near {minimum_lr}, climbs, and falls again further right.",),
        means=("Trust the first valley. By the second, the model has already been thrown around once.",),
        is_not=("Two dips are not two equally good rates.",),
        tries=(
            "Train at {suggestion}, which is read from the first valley.",
            "Scan again with more steps: a second dip that moves or goes away was chance.",
        ),
    ),
    ShapeRule(
        code="LRS106",
        shape=Shape.STILL_FALLING,
        title="still falling at the end",
        when=((FALLS, NO_RISE),),
        sees=("The loss falls from {start_loss} to {lowest_loss} and has not turned when the test ends at {last_lr}.",),
        means=("The test stopped before the rate at which training breaks, so it shows only half of the answer.",),
        is_not=("It does not mean that the highest rate is the best one.",),
        tries=(
            "Scan again with a larger `end_lr` (10 to 100 times), or give the scan more batches.",
            "Until then {suggestion} is a careful choice. {reason}",
        ),
    ),
    ShapeRule(
        code="LRS101",
        shape=Shape.U_SHAPED,
        title="a U: the textbook curve",
        when=((FALLS, RISES),),
        sees=("The loss starts near {start_loss}, falls to {lowest_loss} near {minimum_lr}, then rises again.",),
        means=(
            "Left of about {descent_start_lr} the steps are too small to notice. Down the slope the model learns.",
            "Right of about {elbow_lr} each step is so large that it overshoots and makes the model worse.",
            "The model kept learning while the rate rose: the bottom is partly just later in the test, not better.",
        ),
        is_not=(
            "The bottom is not the best rate: it is where learning and breaking balance. Go left of it.",
            "The height of the bottom is not the accuracy you will get.",
            NOT_TRAINING_OVER_TIME,
        ),
        tries=(
            "Train at {suggestion}. {reason}",
            "If that is unstable, take a third of it; if it is slow and steady, three times as much.",
        ),
    ),
    UNCLEAR,
)
"""Every shape, in the order in which they are tried; the last is for curves on which the copies do not agree."""


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
        says="A lone batch stands far off its neighbors. It was ignored; one odd batch is no trend.",
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
