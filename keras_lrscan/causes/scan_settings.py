"""Defines the causes that lie in the settings of the scan and in the optimizer."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    LOSS_FALLS,
    LOSS_RISES,
    NEVER_FALLS,
    NEVER_RISES,
    SINGLE_VALLEY,
    STARTS_AT_CHANCE,
    STARTS_BETTER,
    UPDATED_BEFORE,
)
from keras_lrscan.curves.optimizer_families import ADAM_LIKE, FIXED_STEP, PER_LAYER, PLAIN
from keras_lrscan.reading.facts import (
    CALM_START,
    EXPLODES,
    FALLS,
    NO_FALL,
    NO_FLOOR,
    NO_RISE,
    RISES,
    Condition,
    is_false,
    is_true,
)

__all__ = ["CAUSES_OF_RANGE"]

LARGE_END = "Against it: the last rate, {end_lr}, is large enough to break most models."
SHORT_RANGE = "Against it: the rates span only {planned_decades} powers of ten, so the whole range is too short."

CAUSES_OF_RANGE: tuple[Cause, ...] = (
    Cause(
        code="LRS307",
        name="range-too-low",
        title="The test ended too early: its last rate is too small to break this model.",
        means="The test recorded only the left part of the curve. The rate that breaks training lies further right.",
        start=0.6,
        when=(
            NEVER_RISES,
            Clue(when=(Condition("stop", "==", "end-lr"),), says="The test went up to its last rate, {end_lr}."),
        ),
        clues=(
            Clue(when=(FALLS,), weight=0.6, says=LOSS_FALLS.says),
            Clue(when=(Condition("end_lr", "<", 0.1),), weight=1.5, says="A last rate below 0.1 is small for a test."),
            Clue(when=(FALLS, Condition("end_lr", ">=", 1.0)), weight=-1.4, says=LARGE_END),
            Clue(when=(Condition("planned_decades", "<", 3.0),), weight=-2.4, says=SHORT_RANGE),
            Clue(
                when=(Condition("still_share", ">=", 0.5), NO_FALL),
                weight=-3.0,
                says="Against it: {still_share} of the trainable weights never changed, which points to another cause.",
            ),
            Clue(when=(NO_FALL, Condition("end_lr", ">=", 1.0)), weight=-1.5, says=LARGE_END),
            Clue(
                when=(Condition("optimizer", "in", FIXED_STEP),),
                weight=-1.6,
                says="Against it: {optimizer} fixes the length of its steps, so the loss may never rise.",
            ),
            Clue(
                when=(Condition("clip", ">", 0.0),),
                weight=-1.6,
                says="Against it: gradients are clipped to {clip}, which can hide a rise.",
            ),
            Clue(
                when=(Condition("num_trainable_params", "==", 0),),
                weight=-6.0,
                says="Against it: the model has no trainable parameters.",
            ),
        ),
        rules_out=(
            LOSS_RISES,
            Clue(when=(EXPLODES,), says="Already the first rates break the model."),
            Clue(when=(is_true("ends_at_limit"),), says="{optimizer} takes no rate above {end_lr}."),
            Clue(when=(NO_FLOOR,), says="The loss has no lowest value."),
        ),
        to_check="Scan again with an `end_lr` 10 to 100 times larger.",
        advice="Scan again with an `end_lr` 10 to 100 times larger. The best rate may lie beyond the right end.",
        is_not="It does not mean that no rate can break this model.",
        sources=("https://github.com/mgrankin/fast_tabnet/issues/1", "https://cs231n.github.io/neural-networks-3/"),
        alarm=True,
    ),
    Cause(
        code="LRS308",
        name="out-of-batches",
        title="`fit` ran out of batches before the test was finished.",
        means="The test never tried the last planned rates, so the right part of the curve is missing.",
        start=1.8,
        when=(
            NEVER_RISES,
            Clue(
                when=(Condition("stop", "==", "out-of-batches"),),
                says="`fit` ended before the last planned rate, {end_lr} (batches: {num_points}).",
            ),
        ),
        rules_out=(LOSS_RISES,),
        to_check="Compare the last rate on the plot with the planned one.",
        advice="Give the scan more batches, or plan fewer steps: about 10 for each factor of ten in the rate.",
        is_not="The early end does not mean that the loss diverged.",
        sources=("https://github.com/Lightning-AI/pytorch-lightning/issues/5044",),
        alarm=True,
    ),
    Cause(
        code="LRS313",
        name="few-steps-per-decade",
        title="The rate rose too fast: there are too few points for a clear curve.",
        means="The model had no time to react to a rate before the next one, so the whole curve lies too far right.",
        start=0.6,
        when=(
            Clue(
                when=(Condition("points_per_decade", "<", 9.0),),
                says="Points for each factor of ten in the rate: {points_per_decade}.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("points_per_decade", "<", 6.0),),
                weight=1.2,
                says="Fewer than 6 points for each factor of ten can miss a whole valley.",
            ),
            Clue(
                when=(Condition("num_points", "<", 30),),
                weight=0.6,
                says="The whole curve has few points ({num_points}).",
            ),
            Clue(when=(NO_FALL,), weight=0.5, says=NEVER_FALLS.says),
        ),
        rules_out=(
            Clue(
                when=(Condition("points_per_decade", ">=", 12.0),),
                says="Points for each factor of ten in the rate: {points_per_decade}.",
            ),
        ),
        to_check="Scan again with three times as many steps, and compare.",
        advice="Use at least 10 points for each factor of ten: more steps, or a narrower range.",
        advice_here=(
            Clue(
                when=(Condition("num_points", "<", 60), Condition("epochs_for_scan", ">=", 2)),
                says="Scan with 100 steps, for which `fit` needs `epochs={epochs_for_scan}` with these data.",
            ),
        ),
        is_not="It does not mean that the model is bad.",
        sources=(
            "https://github.com/davidtvs/pytorch-lr-finder/issues/103",
            "https://github.com/surmenok/keras_lr_finder/issues/30",
        ),
        alarm=True,
    ),
    Cause(
        code="LRS314",
        name="range-too-high",
        title="The test began too high: its first rate already trains or breaks the model.",
        means="The left part of the curve is missing, and much of the fall is due to time, not to the rate.",
        start=-2.2,
        when=(),
        clues=(
            Clue(
                when=(EXPLODES,),
                weight=8.0,
                says="At the first rates, the loss rose to {early_explosion} times its value before any update.",
            ),
            Clue(
                when=(FALLS, CALM_START, Condition("early_slope", ">=", 0.4), Condition("noise_over_fall", "<", 0.3)),
                weight=2.0,
                says="The loss falls from the very first step.",
            ),
            Clue(
                when=(NO_FALL, RISES, Condition("calm_share", "<", 0.15)),
                weight=2.0,
                says="The loss starts to rise after {calm_share} of the range.",
            ),
            Clue(
                when=(Condition("start_lr", ">=", 1e-4), Condition("start_lr", "<", 2e-3)),
                weight=1.0,
                says="The first rate was {start_lr}; 1e-7 is usual.",
            ),
            Clue(
                when=(Condition("start_lr", ">=", 2e-3),),
                weight=2.5,
                says="The first rate was {start_lr}, at which many models already train.",
            ),
            Clue(
                when=(FALLS, CALM_START, Condition("flat_decades", "<", 0.4), Condition("start_lr", ">=", 1e-4)),
                weight=1.2,
                says="The fall begins less than half a power of ten above the first rate.",
            ),
            Clue(
                when=(Condition("start_lr", "<=", 2e-6),),
                weight=-1.5,
                says="Against it: the first rate, {start_lr}, is very small.",
            ),
            # in benchmarks/causes, the minimum lies at most 1.7 decades above a first rate that is too high
            Clue(
                when=(FALLS, CALM_START, Condition("minimum_decades", ">=", 1.8)),
                weight=-4.0,
                says="Against it: the loss falls up to a rate {minimum_decades} powers of ten above the first one.",
            ),
            Clue(when=(Condition("planned_decades", "<", 3.0),), weight=-1.5, says=SHORT_RANGE),
            Clue(
                when=(CALM_START, Condition("first_jump", ">=", 0.15), Condition("optimizer", "in", ADAM_LIKE)),
                weight=-4.5,
                says="Against it: the very first updates raised the loss, as the first steps of {optimizer} can.",
            ),
        ),
        rules_out=(
            Clue(
                when=(CALM_START, Condition("flat_decades", ">=", 1.5), Condition("start_lr", "<=", 1e-4)),
                says="The loss stays flat for the first {flat_decades} powers of ten, so the test began low enough.",
            ),
        ),
        to_check="Scan again from a rate 100 times smaller: a flat left part should appear.",
        advice=(
            "Begin lower: `LRScan(start_lr=1e-7)`. Unless the loss exploded at the first rates, the point where it "
            "starts to rise is still valid."
        ),
        is_not="A high first loss does not mean that the first rate is bad: the model has not learned anything yet.",
        sources=("https://github.com/surmenok/keras_lr_finder/issues/3",),
        alarm=True,
    ),
    Cause(
        code="LRS331",
        name="slow-start",
        title="This task needs more batches than the test had before the loss falls.",
        means=(
            "Hard tasks, many classes or plain SGD can need thousands of batches before the loss moves. The test "
            "raises the rate too soon for them, and shows only where training breaks."
        ),
        start=-0.1,
        when=(NEVER_FALLS, LOSS_RISES),
        clues=(
            Clue(when=(AT_CHANCE,), weight=0.4, says=STARTS_AT_CHANCE.says),
            Clue(
                when=(is_true("labels_follow_inputs"),),
                weight=1.2,
                says="There is something to learn: simple models predict the real labels better than shuffled ones.",
            ),
            Clue(
                when=(is_false("labels_follow_inputs"),),
                weight=-1.0,
                says="Against it: simple models predict the real labels no better than shuffled ones.",
            ),
            Clue(
                when=(Condition("optimizer", "in", PLAIN),),
                weight=0.4,
                says="The optimizer is {optimizer}, which often starts slowly.",
            ),
            Clue(
                when=(Condition("calm_share", "<", 0.15),),
                weight=-2.5,
                says="Against it: the loss rises after only {calm_share} of the range, so the test may begin too high.",
            ),
            Clue(
                when=(Condition("finite_share", "<", 0.5),),
                weight=-1.5,
                says="Against it: the loss turned NaN or infinite after {finite_share} of the range.",
            ),
            Clue(
                when=(Condition("still_share", ">=", 0.99),),
                weight=-2.5,
                says="Against it: {still_share} of the trainable weights never changed, which points to another cause.",
            ),
        ),
        rules_out=(STARTS_BETTER,),
        to_check="Scan again with five times as many steps: a valley should begin to appear.",
        advice="Use more steps: `LRScan(num_steps=500)`. Until then, stay a factor of ten left of the rise.",
        is_not="A loss that stays at the chance level for 100 batches does not mean that the model cannot learn.",
        sources=("https://github.com/davidtvs/pytorch-lr-finder/issues/103",),
        alarm=False,
    ),
    Cause(
        code="LRS318",
        name="range-too-short",
        title="The test covers too small a range of rates.",
        means="A useful rate can lie anywhere within six powers of ten. A short range shows only a piece of the curve.",
        start=1.2,
        when=(
            Clue(
                when=(Condition("planned_decades", "<", 3.0),),
                says="The rates span {planned_decades} powers of ten.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("planned_decades", "<", 2.0),),
                weight=0.8,
                says="That is less than a factor of 100 from the first to the last rate.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("planned_decades", ">=", 4.0),),
                says="The rates span {planned_decades} powers of ten, which is wide.",
            ),
        ),
        to_check="Scan from 1e-7 to 10.",
        advice="Scan from 1e-7 to 10. Then scan a factor of ten on either side of the rate that breaks training.",
        is_not="A flat or steep line in a short range does not show the shape of the whole curve.",
        sources=("https://cs231n.github.io/neural-networks-3/",),
        alarm=True,
    ),
    Cause(
        code="LRS325",
        name="clipping",
        title="Gradients are clipped to a fixed size, which hides the rate that breaks training.",
        means="However large a gradient is, it is cut to that size. So the loss rises late, slowly or not at all.",
        start=-1.6,
        when=(Clue(when=(Condition("clip", ">", 0.0),), says="Gradients are clipped to {clip}."),),
        clues=(
            Clue(when=(NO_RISE,), weight=2.2, says=NEVER_RISES.says),
            Clue(
                when=(RISES, Condition("rise_over_fall", "<", 0.8)),
                weight=0.9,
                says="The loss rises by only {rise_over_fall} of its fall.",
            ),
            Clue(
                when=(Condition("clip", ">", 0.1), Condition("clip", "<=", 1.0)),
                weight=0.8,
                says="That limit is small enough to shorten many gradients.",
            ),
            Clue(
                when=(Condition("clip", "<=", 0.1),),
                weight=1.6,
                says="That limit is so small that it is likely to shorten most gradients.",
            ),
            Clue(
                when=(Condition("optimizer", "in", PLAIN),),
                weight=0.6,
                says="The steps of {optimizer} grow with the gradient, so clipping bounds them.",
            ),
            Clue(
                when=(Condition("optimizer", "in", ADAM_LIKE),),
                weight=-0.6,
                says="Against it: {optimizer} divides by the size of its gradients, so clipping changes less.",
            ),
        ),
        to_check="Scan again without clipping: the loss should rise sooner and more steeply.",
        advice="Keep clipping if you need it, but choose a rate left of the bottom, not the last one that looks calm.",
        is_not="A curve that does not rise does not mean that any rate is fine.",
        sources=("https://arxiv.org/abs/1211.5063", "https://github.com/google-research/tuning_playbook"),
        alarm=False,
    ),
    Cause(
        code="LRS326",
        name="normalizing-optimizer",
        title="This optimizer fixes the length of its steps, so the loss hardly ever explodes.",
        means="Its steps do not grow with the gradient. Large rates make training useless without a visible explosion.",
        start=-1.0,
        when=(Clue(when=(Condition("optimizer", "in", FIXED_STEP),), says="The optimizer is {optimizer}."),),
        clues=(
            Clue(when=(NO_RISE,), weight=2.8, says=NEVER_RISES.says),
            Clue(when=(RISES, Condition("rise_over_fall", "<", 2.0)), weight=2.6, says="The rise is gentle."),
            Clue(
                when=(Condition("optimizer", "in", PER_LAYER),),
                weight=0.8,
                says="{optimizer} fixes the step of each layer separately.",
            ),
        ),
        to_check="Scan the same model with SGD: the loss should explode at large rates.",
        advice="Choose a rate from the steepest part of the fall, not from the right end.",
        is_not="It does not mean that the rate does not matter.",
        sources=("https://arxiv.org/abs/1904.00962", "https://arxiv.org/abs/1708.03888"),
        alarm=False,
    ),
    Cause(
        code="LRS327",
        name="catapult",
        title="Training broke, settled elsewhere and went on: a second valley.",
        means=(
            "A large step can throw a model out of a narrow valley of the loss into a wider one (a catapult), where "
            "larger rates work. Or one part of the model stays broken, and only the rest learns again."
        ),
        start=-2.4,
        when=(),
        clues=(
            Clue(
                when=(Condition("shape", "==", "several-valleys"), RISES),
                weight=3.6,
                says="The loss rises and then falls again.",
            ),
            Clue(
                when=(Condition("shape", "==", "several-valleys"), Condition("num_valleys", ">=", 2)),
                says="The curve has {num_valleys} valleys.",
            ),
            Clue(
                when=(Condition("shape", "==", "several-valleys"), Condition("num_valleys", "<", 2)),
                weight=-0.8,
                says="Against it: the second valley is shallow.",
            ),
            Clue(
                when=(Condition("num_recoveries", ">=", 1),),
                weight=2.2,
                says="Training broke and came back to its lowest level so far (times: {num_recoveries}).",
            ),
            Clue(when=(Condition("num_recoveries", ">=", 2),), weight=3.2, says="Training recovered more than once."),
            Clue(
                when=(Condition("noise_over_fall", ">=", 0.3),),
                weight=-1.0,
                says="Against it: the noise is {noise_over_fall} of the fall, so a valley may be chance.",
            ),
        ),
        not_for=(SINGLE_VALLEY,),
        to_check="Scan again with another seed and more steps: valleys that are due to chance move or vanish.",
        advice="To use the larger rates of the second valley, get there by a warm-up, not by a jump.",
        is_not="The second valley is not the better one, even if it is deeper.",
        sources=("https://arxiv.org/abs/2003.02218", "https://arxiv.org/abs/2311.15051"),
        alarm=False,
    ),
    Cause(
        code="LRS328",
        name="fresh-adam",
        title="The first steps of a fresh Adam are too large.",
        means=(
            "Adam divides each step by the size of recent gradients. At first it has seen only one batch, so every "
            "weight moves by the full rate, in the direction of that batch alone."
        ),
        start=-2.4,
        when=(
            Clue(
                when=(Condition("optimizer", "in", ADAM_LIKE), Condition("optimizer_iterations", "==", 0)),
                says="The optimizer is a fresh {optimizer}.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("first_jump", ">=", 0.15), Condition("start_lr", ">=", 1e-5)),
                weight=7.2,
                says="The very first updates raised the loss by {first_jump} of the chance level, or of the first loss "
                "if that level is unknown.",
            ),
            Clue(
                when=(EXPLODES,),
                weight=-6.0,
                says="Against it: the loss rose to {early_explosion} times its value before any update, which points "
                "to a first rate that is too large.",
            ),
            Clue(
                when=(Condition("startup_bump", ">=", 0.2),),
                weight=2.2,
                says="At the start, the loss rises by {startup_bump} of its later fall.",
            ),
            Clue(
                when=(Condition("start_lr", ">=", 1e-4), Condition("startup_bump", ">=", 0.05)),
                weight=1.2,
                says="The first rate was already {start_lr}.",
            ),
            Clue(
                when=(Condition("num_used_layers", ">", 0), Condition("startup_bump", ">=", 0.05)),
                weight=0.8,
                says="Some layers were trained before ({num_used_layers}), and large steps can spoil them.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("optimizer", "in", ADAM_LIKE), Condition("optimizer_iterations", ">=", 100)),
                says=UPDATED_BEFORE.says,
            ),
        ),
        to_check="Keep the rate at its first value for 50 steps: the bump should appear without any rise of the rate.",
        advice="Warm up: let the rate rise over the first few hundred steps of training, or start the scan lower.",
        is_not="The bump is not the point where training breaks.",
        sources=("https://arxiv.org/abs/1908.03265", "https://arxiv.org/abs/1412.6980"),
        alarm=False,
    ),
    Cause(
        code="LRS329",
        name="momentum-overshoot",
        title="Momentum carries the model past its goal: each step counts for many batches.",
        means=(
            "With momentum m, each step counts for about 1 / (1 - m) batches. So the loss reacts late, and once "
            "training breaks, it swings."
        ),
        start=-0.6,
        when=(Clue(when=(Condition("momentum", ">=", 0.95),), says="The momentum is {momentum}."),),
        clues=(
            Clue(
                when=(Condition("momentum", ">=", 0.98),),
                weight=3.0,
                says="So each step counts for 50 batches or more.",
            ),
            Clue(when=(RISES,), weight=0.6, says=LOSS_RISES.says),
            Clue(
                when=(Condition("num_valleys", ">=", 2),),
                weight=0.6,
                says="The loss swings: the curve has {num_valleys} valleys.",
            ),
        ),
        not_for=(Clue(when=(Condition("momentum", "<", 0.95),), says="The momentum is only {momentum}."),),
        to_check="Scan with momentum 0.9: the loss should start to rise at a larger rate, and more sharply.",
        advice="Use momentum 0.9, or a rate smaller by a factor of 1 - momentum.",
        is_not="The swings are not batch-to-batch noise.",
        sources=("https://distill.pub/2017/momentum/",),
        alarm=False,
    ),
)
"""The causes that lie in the settings of the scan and in the optimizer."""
