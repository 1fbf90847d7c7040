"""Names the shape of a curve, by a table of rules that also holds the words for it.

A shape is a row of `SHAPE_RULES`: the conditions that make it and the sentences that explain it. `classify` tries the
rows in order, and the first whose conditions hold is the verdict. `keras_lrscan.explanation` fills the slots in braces
and drops a sentence whose slot is unknown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from keras_lrscan.errors import InvalidCurveError
from keras_lrscan.files.decoding import Share
from keras_lrscan.reading.facts import EXPLODES, FALLS, NO_FALL, NO_RISE, RISES, Condition
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.start_state import StartState
from keras_lrscan.reading.traits import TRAIT_RULES, traits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = [
    "MIN_DECADES",
    "MIN_POINTS",
    "NO_CONFIDENCE",
    "SHAPE_RULES",
    "Shape",
    "ShapeRule",
    "ShapeVerdict",
    "classify",
]

MIN_POINTS = 30
"""Smallest number of points of a curve whose shape can be read. Fewer points also limit the confidence in a shape."""

MAJORITY = 0.5
"""Share of the copies that must agree on a shape: the curve's own shape first, otherwise the most frequent one."""

MIN_DECADES = 1.0
"""A curve over fewer decades is too short to read, however many points it has."""


class Shape(StrEnum):
    """The main shape of a curve; each curve has exactly one."""

    U_SHAPED = "u-shaped"
    MONOTONE_FROM_PRETRAINED = "monotone-from-pretrained"
    NOISY = "noisy"
    FLAT_AT_CHANCE = "flat-at-chance"
    FLAT = "flat"
    STILL_FALLING = "still-falling"
    DIVERGES_AT_ONCE = "diverges-at-once"
    VALLEY_THEN_PLATEAU = "valley-then-plateau"
    SEVERAL_VALLEYS = "several-valleys"
    FALLS_TO_CHANCE = "falls-to-chance"
    UPWARD_DRIFT = "upward-drift"
    TOO_SHORT = "too-short"
    UNCLEAR = "unclear"


NO_CONFIDENCE = frozenset({Shape.TOO_SHORT, Shape.UNCLEAR})
"""Shapes whose confidence is not printed: they say that the curve cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ShapeRule:
    """Defines one shape by conditions and explains it in words.

    Attributes:
        code: Permanent code, such as `"LRS101"`.
        shape: The shape.
        title: The shape in a few words.
        when: Alternative sets of conditions; the rule holds when every condition of one set holds.
        sees: Sentences for the heading "What you see".
        means: Sentences for the heading "What it means".
        is_not: Sentences for the heading "What it does not mean".
        tries: Sentences for the heading "What to try, in order".
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
    """Holds the shape of one curve, its traits, and the evidence for the shape.

    Attributes:
        code: Code of the rule that held.
        shape: The main shape.
        confidence: Share of the noise-resampled copies of the curve that get the same shape, from 0 to 1. A curve of
            fewer than 30 points has at most the confidence n / 30, one of fewer than four points has none.
        start_state: The loss at the start compared with the chance level.
        traits: Names of the traits, in the order of `TRAIT_RULES`.
        evidence: The conditions that held, each with the observed value.
    """

    code: str
    shape: Shape
    confidence: Share
    start_state: StartState
    traits: tuple[str, ...]
    evidence: tuple[str, ...]

    def __post_init__(self) -> None:
        """Checks that the code belongs to the shape and that every trait is known."""
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
        copies: Features and context of noise-resampled copies of the curve, which vote on the confidence. Without
            copies the confidence is 0, and few points limit it.
    """
    rule, conditions = _first_match(facts)
    evidence = tuple(condition.evidence(facts) for condition in conditions)
    start = {"start_state": facts["start_state"]}  # judged once, since words about the start must agree with the shape
    votes = Counter(_first_match({**copy, **start})[0] for copy in copies)
    if copies and votes[rule] < MAJORITY * len(copies):
        first, count = votes.most_common(1)[0]
        rule = first if count >= MAJORITY * len(copies) and not _contradicts(first, facts) else UNCLEAR
        evidence = tuple(f"{other.shape}: {num / len(copies):.0%} of copies" for other, num in votes.most_common())
    return ShapeVerdict(
        code=rule.code,
        shape=rule.shape,
        confidence=min(votes[rule] / len(copies), facts["num_points"] / MIN_POINTS) if copies else 0.0,
        start_state=StartState(facts["start_state"]),
        traits=traits_of(facts),
        evidence=evidence,
    )


def _contradicts(rule: ShapeRule, facts: Mapping[str, Any]) -> bool:
    """Returns whether a rule needs a fall that this curve does not have, or none where it has one.

    Words on what the model learned rest on the fall of the curve itself, and would contradict the shape.
    """
    other = NO_FALL if FALLS.holds(facts) else FALLS
    return all(other in conditions for conditions in rule.when)


def _first_match(facts: Mapping[str, Any]) -> tuple[ShapeRule, tuple[Condition, ...]]:
    """Returns the first rule that holds, with the set of conditions that made it hold."""
    return next(
        (rule, conditions)
        for rule in SHAPE_RULES
        for conditions in rule.when
        if all(condition.holds(facts) for condition in conditions)
    )


IS_NOT_OVERFITTING = "{not_overfitting}"
NOT_TRAINING_OVER_TIME = "It is not a picture of your training over time: the test tries a new rate at every point."
TWO_EXPLANATIONS = (
    "{unknown_start}There are two explanations. A model that is already good at its task gives this curve, because it "
    "has nothing to gain. So does a model that learns nothing. Its accuracy before training shows which one you have."
)

UNCLEAR = ShapeRule(
    code="LRS112",
    shape=Shape.UNCLEAR,
    title="no clear shape",
    when=(),
    sees=("Copies of this curve with new random noise get other shapes than the curve itself.",),
    means=("This one scan is not enough to tell what the model does.",),
    is_not=("{no_problem}It does not mean that something is broken.",),
    tries=(
        "Scan again with more steps, `LRScan(num_steps=300)`, or with larger batches.",
        "Scan again with the data in a different order, and trust only what both scans show.",
        "The best guess from this scan: {suggestion}. {reason}",
    ),
)

SHAPE_RULES: tuple[ShapeRule, ...] = (
    ShapeRule(
        code="LRS107",
        shape=Shape.DIVERGES_AT_ONCE,
        title="rises almost at once",
        when=(
            (EXPLODES,),
            (NO_FALL, RISES, Condition("calm_share", "<", 0.1), Condition("end_rise", ">=", 0.5)),
            (
                NO_FALL,
                Condition("stop", "==", "diverged"),
                Condition("calm_share", "<", 0.1),
                Condition("num_points", ">=", MIN_FOR_START),
            ),
        ),
        sees=(
            "The loss rises almost from the first batch: it starts near {start_loss} and leaves the top of the plot.",
        ),
        means=(
            "Even the smallest rate of this test, {start_lr}, is too large, or the numbers in the data are.",
            "At the first rates, the loss rose to {explosion} times its value before any update.",
        ),
        is_not=(
            "After an explosion, a falling loss does not mean that the model learns: it only recovers.",
            "It does not mean that the model cannot learn: no rate in this test was small enough for that.",
            IS_NOT_OVERFITTING,
        ),
        tries=(
            "Scale inputs and targets to about -1 to 1 if they are not (for images, divide by 255).",
            "Scan again, starting from a rate 1000 times smaller.",
            "Check that the loss fits the last layer: a layer without softmax or sigmoid needs `from_logits=True`.",
        ),
    ),
    ShapeRule(
        code="LRS111",
        shape=Shape.TOO_SHORT,
        title="too short to read",
        when=((Condition("num_points", "<", MIN_POINTS),), (Condition("decades", "<", MIN_DECADES),)),
        sees=(
            "The curve has {num_points} points, from {start_lr} to {last_lr}.",
            "The curve has {num_points_at_one_rate} points, all at rates close to {start_lr}.",
            "The curve has a single point, at a rate of {only_lr}.",
        ),
        means=(
            "{narrow_range}The rates span less than a factor of ten, which shows only a piece of the whole curve.",
            "{few_points}A curve this short cannot tell a trend from noise: each point comes from different samples.",
            "{few_epochs}A curve with so few points can miss a whole valley: each point is the mean loss of one epoch.",
        ),
        is_not=("{no_problem}It says nothing about your model, good or bad.",),
        tries=(
            "{narrow_range}Scan a wide range of rates, such as 1e-7 to 10: a useful rate can lie anywhere in it.",
            (
                "{few_batches}Give the scan at least {batches_for_scan} batches: more epochs in `fit`, smaller "
                "batches, or more data."
            ),
            "{few_epochs}Scan again with `LRScan`, which tries a new rate with each batch and needs about 100 batches.",
        ),
    ),
    ShapeRule(
        code="LRS110",
        shape=Shape.UPWARD_DRIFT,
        title="drifts upward",
        when=(
            (
                NO_FALL,
                RISES,
                Condition("stop", "!=", "diverged"),
                Condition("drift", ">=", 0.8),
                Condition("end_rise", "<", 0.25),
            ),
            # On random climbs of 5 to 20 % under 5 % noise (benchmarks/shape_recall.py), this finds 75 %; on flat
            # curves it never fires.
            (NO_FALL, NO_RISE, Condition("trend", ">=", 0.02), Condition("trend_in_errors", ">=", 5.0)),
            # A climb that steepens, which no straight line fits: this finds another 7 % of those random climbs.
            (
                NO_FALL,
                NO_RISE,
                Condition("trend", ">=", 0.02),
                Condition("trend_in_errors", ">=", 3.0),
                Condition("drift", ">=", 0.8),
            ),
        ),
        sees=(
            "The loss creeps up almost all the way, from about {start_loss} to about {end_loss}, but never shoots up.",
        ),
        means=(
            "No rate in this test improved the model within so few batches, and larger rates made it slightly worse.",
            "This is common when a model is pretrained and the steps push it gently away from what it knows.",
        ),
        is_not=(
            "It does not mean that training cannot help: so few batches say nothing about whole epochs.",
            IS_NOT_OVERFITTING,
        ),
        tries=(
            "Train at {suggestion} with a warm-up and a decay, and watch the validation loss.",
            "Check that the data are shuffled: if they get harder during the test, the curve looks the same.",
        ),
    ),
    ShapeRule(
        code="LRS105",
        shape=Shape.FLAT,
        title="flat everywhere",
        when=((NO_FALL, NO_RISE, Condition("noise", "<", 0.15)),),
        sees=("The loss stays near {start_loss} from {start_lr} to {last_lr}: it neither falls nor rises clearly.",),
        means=(
            "{unmoved}A learning rate that is large enough ruins any model that trains.",
            "{unmoved}If {last_lr} is large for your optimizer, the updates do not reach the weights.",
            "{moved}The weights did change, so what they changed in the loss is hidden by the noise of the batches.",
        ),
        is_not=("It does not mean that your model is robust, or that the learning rate does not matter.",),
        tries=(
            "Divide the sample weights by their mean, {small_weight}: such weights make loss and steps just as small.",
            "{unmoved}Check that `model.trainable_weights` is not empty. Compile again if you change `trainable`.",
            "{unmoved}Take one training step at a rate of 1, and check whether any weight changed.",
            "{moved}Scan with larger batches: batches four times as large halve the noise.",
            "{ended_low}Scan again up to 10: this scan ended at {last_lr}.",
        ),
    ),
    ShapeRule(
        code="LRS103",
        shape=Shape.NOISY,
        title="too noisy to read",
        when=(
            (NO_FALL, NO_RISE),
            # on the first sample of benchmarks/shapes, a limit of 0.4 finds 92 % of the U's, this one 95 %
            (FALLS, Condition("noise_over_fall", ">=", 0.6)),
            # a fall of less than 1.5 times the noise counts as noise, so such batches could hide one
            (NO_FALL, RISES, Condition("noise", ">=", 0.25)),
            # In benchmarks/causes, seven of ten such starts better than chance are thrown off by a fresh optimizer.
            (NO_FALL, RISES, Condition("noise", ">=", 0.15), Condition("noise_over_start", ">=", 0.4)),
        ),
        sees=("The loss jumps from point to point by about as much as it changes over the whole test.",),
        means=(
            "Each point is the loss of a different batch of samples, and some are harder than others.",
            "Here these differences from point to point hide the effect of the learning rate.",
        ),
        is_not=("Noise alone does not mean that the data are bad or that training will fail.", IS_NOT_OVERFITTING),
        tries=(
            "Scan with larger batches: batches four times as large halve the noise.",
            "Scan with more steps, `LRScan(num_steps=500)`.",
            "Run the scan three times, and trust only what all three curves show.",
            "The best guess from this scan: {suggestion}. {reason}",
        ),
    ),
    ShapeRule(
        code="LRS104",
        shape=Shape.FLAT_AT_CHANCE,
        title="flat without learning, then rising",
        when=(
            (NO_FALL, RISES, Condition("start_state", "==", StartState.AT_CHANCE)),
            (NO_FALL, RISES, Condition("start_state", "==", StartState.WORSE_THAN_CHANCE)),
        ),
        sees=("The loss stays near {start_loss}, then {jumps} after about {elbow_lr}.",),
        means=(
            "At the start, the model did no better than guessing, and no rate in this test taught it anything.",
            "The learning rate is not the first problem: something keeps the model from learning in so few batches.",
        ),
        is_not=(
            "It does not mean that the model is already good, although the curve looks the same.",
            IS_NOT_OVERFITTING,
        ),
        tries=(
            "Look at five inputs and their labels: do they belong together?",
            "Train on only 20 samples. A healthy model brings their loss near zero; if yours does not, look for a bug.",
            "Then scan again with more steps.",
            "A rate that at least does not ruin the model: {suggestion}. {reason}",
        ),
    ),
    ShapeRule(
        code="LRS102",
        shape=Shape.MONOTONE_FROM_PRETRAINED,
        title="flat and low, then rising",
        when=((NO_FALL, RISES),),
        sees=("The loss stays flat near {start_loss}, then {jumps} after about {elbow_lr}.",),
        means=(
            "{starts_better}The model starts out already good (chance level: {chance_loss}), so it has little to gain.",
            TWO_EXPLANATIONS,
            "{starts_better}From about {elbow_lr} on, the large steps undo what the model knows, at least at first.",
        ),
        is_not=(
            IS_NOT_OVERFITTING,
            "{starts_better}{no_problem}It is not a sign of a bug: without something to gain, a curve is not a U.",
            "The smallest rate is not the best one. The loss is low there because nothing has changed the model yet.",
        ),
        tries=(
            "Train at {suggestion}, and watch the validation loss. {reason}",
            "Want to see a U? Scan the same model with fresh weights: the contrast shows what its training has done.",
        ),
    ),
    ShapeRule(
        code="LRS113",
        shape=Shape.FALLS_TO_CHANCE,
        title="falls to guessing, and stays there",
        # Five scans of benchmarks/suggestions collapse this way without a rise. Eleven others that end at the chance
        # level fall below it before, and so they are valleys.
        when=(
            (
                FALLS,
                Condition("lowest_ratio", ">=", 0.9),
                Condition("start_state", "==", StartState.WORSE_THAN_CHANCE),
                Condition("chance_end_decades", ">=", 0.5),
            ),
        ),
        sees=(
            "The loss falls from about {start_loss} to about {end_loss}, the cost of guessing, and stays there.",
            "Guessing costs {chance_loss}; over the last {chance_end_decades} powers of ten, the loss is that high.",
        ),
        means=(
            "Such a fall is not learning: the large steps only drive the model to the same answer for every input.",
            "Its first answers already cost more than guessing: often, the inputs or the loss do not fit the model.",
        ),
        is_not=(
            "It does not mean that a larger rate is missing: the last rates of this test already broke the model.",
            IS_NOT_OVERFITTING,
        ),
        tries=(
            "Check that the loss fits the last layer: a layer without softmax or sigmoid needs `from_logits=True`.",
            "Scale inputs and targets to about -1 to 1 if they are not (for images, divide by 255).",
            "Then scan again: a model that learns falls below {chance_loss}.",
        ),
    ),
    ShapeRule(
        code="LRS108",
        shape=Shape.VALLEY_THEN_PLATEAU,
        title="a valley, then a high plateau",
        when=((FALLS, RISES, Condition("plateau_decades", ">=", 0.5)),),
        sees=(
            "The loss falls to about {lowest_loss} near {minimum_lr}, rises after about {elbow_lr}, then stays high.",
        ),
        means=(
            "Up to about {elbow_lr} the model learns. Beyond that, the steps are so large that it stops learning.",
            "On the plateau it usually gives the same answer for every input, and it does not recover.",
        ),
        is_not=("The plateau is not a second safe region: a steady high loss means that the model only guesses.",),
        tries=("Train at {suggestion}. {reason}", "Avoid every rate to the right of about {elbow_lr}."),
    ),
    ShapeRule(
        code="LRS109",
        shape=Shape.SEVERAL_VALLEYS,
        title="several valleys",
        when=((Condition("num_valleys", ">=", 2), RISES),),
        sees=("The loss falls to about {lowest_loss} near {minimum_lr}, rises, and falls again at larger rates.",),
        means=("Trust the first valley. Before the second, large steps had already thrown the model off course.",),
        is_not=("Two valleys do not mean two equally good rates.",),
        tries=(
            "Train at {suggestion}, which comes from the first valley.",
            "Scan again with more steps: if the second valley moves or disappears, it was just noise.",
        ),
    ),
    ShapeRule(
        code="LRS106",
        shape=Shape.STILL_FALLING,
        title="still falling at the end",
        when=((FALLS, NO_RISE),),
        sees=(
            "The loss falls from about {start_loss} to about {lowest_loss}, and has not clearly risen by {last_lr}.",
        ),
        means=("The test stopped before a rate at which training breaks, so it shows only half of the picture.",),
        is_not=("It does not mean that the highest rate is the best one.",),
        tries=(
            "{no_limit}Scan again with an `end_lr` 10 to 100 times larger, or give the scan more batches.",
            (
                "{beyond_usual}Do not scan further: {last_lr} is far beyond the usual rates of this optimizer. A loss "
                "that still falls there may not depend on the size of the weights."
            ),
            "{no_limit}Until then, {suggestion} is a cautious choice. {reason}",
            "{no_further}Train at {suggestion}, and compare with a tenth of that. {reason}",
        ),
    ),
    ShapeRule(
        code="LRS101",
        shape=Shape.U_SHAPED,
        title="a textbook U",
        when=((FALLS, RISES),),
        sees=("The loss starts near {start_loss}, falls to about {lowest_loss} near {minimum_lr}, then rises again.",),
        means=(
            "Below about {descent_start_lr}, so short a test shows no change; in long training, such rates may work.",
            "{learns}As the curve falls, the model learns.",
            "Above about {elbow_lr}, each step is so large that it overshoots and makes the model worse.",
            "The model kept learning while the rate rose: the bottom is low partly because it comes late in the test.",
        ),
        is_not=(
            "The bottom is not the best rate: there, learning and damage cancel out. Choose a rate to the left of it.",
            "The height of the bottom does not tell you the accuracy you will get.",
            NOT_TRAINING_OVER_TIME,
        ),
        tries=(
            "Train at {suggestion}. {reason}",
            "If training at {suggested_lr} is unstable, use a third of that; if slow and steady, use three times that.",
        ),
    ),
    UNCLEAR,
)
"""All shapes, in the order in which `classify` tries them; the last is for curves whose copies disagree."""
