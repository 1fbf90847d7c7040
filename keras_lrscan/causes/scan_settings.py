"""Causes that lie in the test and in the optimizer: range of rates, number of steps, what bounds a step."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    LOSS_FALLS,
    LOSS_RISES,
    NEVER_FALLS,
    NEVER_RISES,
    STARTS_AT_CHANCE,
    STARTS_BETTER,
)
from keras_lrscan.curves.optimizer_families import ADAM_LIKE, FIXED_STEP, PER_LAYER, PLAIN
from keras_lrscan.reading.facts import FALLS, NO_FALL, NO_RISE, RISES, Condition, is_false, is_true

__all__ = ["CAUSES_OF_RANGE"]

CAUSES_OF_RANGE: tuple[Cause, ...] = (
    Cause(
        code="LRS307",
        name="range-too-low",
        title="The test ended too early: its last rate does not yet break this model.",
        means="Only the left half of the picture was recorded. The rate at which training breaks lies further right.",
        start=0.6,
        when=(
            NEVER_RISES,
            Clue(when=(Condition("stop", "==", "end-lr"),), says="The test went up to its last rate, {end_lr}."),
        ),
        clues=(
            Clue(when=(FALLS,), weight=0.6, says=LOSS_FALLS.says),
            Clue(when=(Condition("end_lr", "<", 0.1),), weight=1.5, says=""),
            Clue(when=(FALLS, Condition("end_lr", ">=", 1.0)), weight=-1.4, says=""),
            Clue(when=(Condition("planned_decades", "<", 3.0),), weight=-2.4, says=""),
            Clue(when=(Condition("still_share", ">=", 0.5), NO_FALL), weight=-3.0, says=""),
            Clue(when=(Condition("end_lr", ">=", 1.0), NO_FALL), weight=-1.5, says=""),
            Clue(when=(Condition("optimizer", "in", FIXED_STEP),), weight=-1.6, says=""),
            Clue(when=(Condition("clip", ">", 0.0),), weight=-1.6, says=""),
            Clue(when=(Condition("num_trainable_params", "==", 0),), weight=-6.0, says=""),
        ),
        rules_out=(LOSS_RISES,),
        to_check="Scan again with an `end_lr` 10 to 100 times larger.",
        advice="Read nothing into the right end; the best rate may lie beyond it.",
        is_not="That nothing broke does not mean that nothing can break.",
        sources=("https://github.com/mgrankin/fast_tabnet/issues/1", "https://cs231n.github.io/neural-networks-3/"),
        alarm=True,
    ),
    Cause(
        code="LRS308",
        name="out-of-batches",
        title="`fit` ran out of batches before the test was done.",
        means="The rates that were planned for the end were never tried, so the right part of the curve is missing.",
        start=1.8,
        when=(
            NEVER_RISES,
            Clue(
                when=(Condition("stop", "==", "out-of-batches"),),
                says="`fit` ended after {num_points} batches; the last planned rate was {end_lr}.",
            ),
        ),
        rules_out=(LOSS_RISES,),
        to_check="Compare the last rate on the plot with the planned one.",
        advice="Let the scan have more batches, or ask for fewer: about 10 for each factor of ten in the rate.",
        is_not="That the test stopped does not mean that the loss diverged.",
        sources=("https://github.com/Lightning-AI/pytorch-lightning/issues/5044",),
        alarm=True,
    ),
    Cause(
        code="LRS313",
        name="few-steps-per-decade",
        title="The rate rose too fast: there are too few points for a clear picture.",
        means="The model had no time to react to a rate before the next one came, so all shows up too far right.",
        start=0.6,
        when=(
            Clue(
                when=(Condition("points_per_decade", "<", 9.0),),
                says="There are {points_per_decade} points for each factor of ten in the rate.",
            ),
        ),
        clues=(
            Clue(when=(Condition("points_per_decade", "<", 6.0),), weight=1.2, says=""),
            Clue(when=(Condition("num_points", "<", 30),), weight=0.6, says=""),
            Clue(when=(NO_FALL,), weight=0.5, says=NEVER_FALLS.says),
        ),
        rules_out=(
            Clue(
                when=(Condition("points_per_decade", ">=", 12.0),),
                says="There are {points_per_decade} points for each factor of ten.",
            ),
        ),
        to_check="Scan again with three times the steps and compare.",
        advice="Use at least 10 points for each factor of ten: more steps, or a narrower range.",
        is_not="It says nothing bad about the model.",
        sources=(
            "https://github.com/davidtvs/pytorch-lr-finder/issues/103",
            "https://github.com/surmenok/keras_lr_finder/issues/30",
        ),
        alarm=True,
    ),
    Cause(
        code="LRS314",
        name="range-too-high",
        title="The test began too high: its first rate already trains the model, or already breaks it.",
        means="The left part of the picture is cut off, and much of the fall is due to time, not to the rate.",
        start=-2.2,
        when=(),
        clues=(
            Clue(
                when=(FALLS, Condition("early_slope", ">=", 0.4), Condition("noise_over_fall", "<", 0.3)),
                weight=2.0,
                says="The loss falls from the very first step.",
            ),
            Clue(
                when=(NO_FALL, RISES, Condition("calm_share", "<", 0.15)),
                weight=2.0,
                says="The loss climbs after {calm_share} of the range.",
            ),
            Clue(
                when=(Condition("start_lr", ">=", 1e-4),),
                weight=1.0,
                says="The first rate was {start_lr}; 1e-07 is usual.",
            ),
            Clue(when=(Condition("start_lr", ">=", 2e-3),), weight=1.5, says=""),
            Clue(
                when=(FALLS, Condition("flat_decades", "<", 0.4), Condition("start_lr", ">=", 1e-4)),
                weight=1.2,
                says="The fall begins within {flat_decades} powers of ten.",
            ),
            Clue(when=(Condition("start_lr", "<=", 2e-6),), weight=-1.5, says=""),
            Clue(when=(Condition("planned_decades", "<", 3.0),), weight=-1.5, says=""),
            Clue(
                when=(Condition("first_jump", ">=", 0.15), Condition("optimizer", "in", ADAM_LIKE)),
                weight=-4.5,
                says="",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("flat_decades", ">=", 1.5), Condition("start_lr", "<=", 1e-4)),
                says="Nothing happens for {flat_decades} decades at first, so the test began low enough.",
            ),
        ),
        to_check="Scan again from a rate 100 times smaller: a flat left part should appear.",
        advice="Start lower. Where it breaks on the right is still valid.",
        is_not="The first rate is not bad because the loss is high there: it is high since nothing is learned yet.",
        sources=("https://github.com/surmenok/keras_lr_finder/issues/3",),
        alarm=True,
    ),
    Cause(
        code="LRS331",
        name="slow-start",
        title="This task takes more batches than the test had before anything shows.",
        means=(
            "Some models need thousands of batches before the loss moves: hard tasks, many classes, plain SGD. The "
            "test raises the rate too soon for them, and shows only where training breaks."
        ),
        start=-0.1,
        when=(NEVER_FALLS, LOSS_RISES),
        clues=(
            Clue(when=(AT_CHANCE,), weight=0.4, says=STARTS_AT_CHANCE.says),
            Clue(
                when=(is_true("labels_follow_inputs"),),
                weight=1.2,
                says="There is something to learn: even simple rules foretell the labels.",
            ),
            Clue(when=(is_false("labels_follow_inputs"),), weight=-1.0, says=""),
            Clue(when=(Condition("optimizer", "in", PLAIN),), weight=0.4, says="The optimizer is {optimizer}."),
            Clue(when=(Condition("calm_share", "<", 0.15),), weight=-2.5, says=""),
            Clue(when=(Condition("finite_share", "<", 0.5),), weight=-1.5, says=""),
            Clue(when=(Condition("still_share", ">=", 0.99),), weight=-2.5, says=""),
        ),
        rules_out=(STARTS_BETTER,),
        to_check="Scan again with five times the steps: a valley should begin to show.",
        advice="Use more steps, `LRScan(num_steps=500)`; until then, stay a factor of ten left of the break.",
        is_not="A loss that stays at the level of guessing for 100 batches does not mean that the model cannot learn.",
        sources=("https://github.com/davidtvs/pytorch-lr-finder/issues/103",),
        alarm=False,
    ),
    Cause(
        code="LRS318",
        name="range-too-short",
        title="The test covers too small a range of rates.",
        means="A useful rate can lie anywhere within six powers of ten. A short range shows one piece of the picture.",
        start=1.2,
        when=(
            Clue(
                when=(Condition("planned_decades", "<", 3.0),),
                says="The rates span {planned_decades} powers of ten.",
            ),
        ),
        clues=(Clue(when=(Condition("planned_decades", "<", 2.0),), weight=0.8, says=""),),
        rules_out=(
            Clue(
                when=(Condition("planned_decades", ">=", 4.0),),
                says="The rates span {planned_decades} powers of ten, which is wide.",
            ),
        ),
        to_check="Scan from 1e-7 to 10.",
        advice="Scan the wide range first, then narrow it to one power of ten on either side of where it breaks.",
        is_not="A flat or steep line in a short range does not tell the shape of the whole curve.",
        sources=("https://cs231n.github.io/neural-networks-3/",),
        alarm=True,
    ),
    Cause(
        code="LRS325",
        name="clipping",
        title="Gradients are cut to a fixed size (clipping), which hides the point where training breaks.",
        means="However wild a batch is, its step cannot exceed that size. The loss rises late, slowly or not at all.",
        start=-1.6,
        when=(Clue(when=(Condition("clip", ">", 0.0),), says="Gradients are cut to a size of {clip}."),),
        clues=(
            Clue(when=(NO_RISE,), weight=2.2, says=NEVER_RISES.says),
            Clue(
                when=(RISES, Condition("rise_over_fall", "<", 0.8)),
                weight=0.9,
                says="The loss rises by {rise_over_fall} of its fall only.",
            ),
            Clue(when=(Condition("clip", "<=", 1.0),), weight=0.8, says=""),
            Clue(when=(Condition("clip", "<=", 0.1),), weight=0.8, says=""),
            Clue(when=(Condition("optimizer", "in", ("SGD", "RMSprop")),), weight=0.6, says=""),
            Clue(when=(Condition("optimizer", "in", ADAM_LIKE),), weight=-0.6, says=""),
        ),
        to_check="Scan once without clipping: the loss should rise sooner and more steeply.",
        advice="Keep clipping if you need it, but take a rate left of the bottom, not the last one that looks calm.",
        is_not="That nothing breaks does not mean that any rate is fine.",
        sources=("https://arxiv.org/abs/1211.5063", "https://github.com/google-research/tuning_playbook"),
        alarm=False,
    ),
    Cause(
        code="LRS326",
        name="normalizing-optimizer",
        title="This optimizer fixes the length of its steps, so the loss hardly ever explodes.",
        means="Its step does not grow with the gradient. Large rates make training useless, but quietly.",
        start=-1.0,
        when=(Clue(when=(Condition("optimizer", "in", FIXED_STEP),), says="The optimizer is {optimizer}."),),
        clues=(
            Clue(when=(NO_RISE,), weight=2.8, says=NEVER_RISES.says),
            Clue(when=(RISES, Condition("rise_over_fall", "<", 2.0)), weight=1.0, says="The rise is gentle."),
            Clue(when=(Condition("optimizer", "in", PER_LAYER),), weight=0.8, says=""),
        ),
        to_check="Scan the same model with SGD: there it breaks.",
        advice="Take the steepest part of the fall, not the right end.",
        is_not="It does not mean that the rate does not matter.",
        sources=("https://arxiv.org/abs/1904.00962", "https://arxiv.org/abs/1708.03888"),
        alarm=False,
    ),
    Cause(
        code="LRS327",
        name="catapult",
        title="Training broke, settled somewhere else, and went on: a second valley.",
        means=(
            "A large step can throw a model out of a narrow valley of the loss into a wider one (a catapult), where "
            "larger rates work. Or the part that broke stays broken and only the rest learns again."
        ),
        start=-2.4,
        when=(),
        clues=(
            Clue(when=(Condition("shape", "==", "several-valleys"), RISES), weight=4.2, says=""),
            Clue(
                when=(Condition("shape", "==", "several-valleys"), Condition("num_valleys", ">=", 2)),
                says="There are {num_valleys} valleys.",
            ),
            Clue(
                when=(Condition("shape", "==", "several-valleys"), Condition("num_valleys", "<", 2)),
                weight=-0.8,
                says="The second valley is shallow.",
            ),
            Clue(
                when=(Condition("num_recoveries", ">=", 1),),
                weight=3.0,
                says="Times that training broke and came back to its lowest level so far: {num_recoveries}.",
            ),
            Clue(when=(Condition("num_recoveries", ">=", 2),), weight=0.8, says=""),
            Clue(when=(Condition("noise_over_fall", ">=", 0.3),), weight=-1.0, says=""),
        ),
        to_check="Scan again with another seed and more steps: chance valleys move or vanish.",
        advice="Who wants the larger rates of the second valley gets there by a warm-up, not by a jump.",
        is_not="The second valley is not the better one, even where it is deeper.",
        sources=("https://arxiv.org/abs/2003.02218", "https://arxiv.org/abs/2311.15051"),
        alarm=False,
    ),
    Cause(
        code="LRS328",
        name="fresh-adam",
        title="The first steps of a fresh Adam are too large.",
        means=(
            "Adam divides each step by the size of recent gradients. At first it has seen only one batch, so every "
            "weight moves by the full rate, in whatever direction that batch says."
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
                weight=4.8,
                says="The very first updates raised the loss by {first_jump} of that of guessing.",
            ),
            Clue(
                when=(Condition("startup_bump", ">=", 0.2),),
                weight=2.2,
                says="The loss first rises by {startup_bump} of its later fall.",
            ),
            Clue(
                when=(Condition("start_lr", ">=", 1e-4), Condition("startup_bump", ">=", 0.05)),
                weight=1.2,
                says="The first rate was already {start_lr}.",
            ),
            Clue(
                when=(Condition("num_used_layers", ">", 0), Condition("startup_bump", ">=", 0.05)),
                weight=0.8,
                says="{num_used_layers} layers were trained before, and have something to lose.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("optimizer", "in", ADAM_LIKE), Condition("optimizer_iterations", ">=", 100)),
                says="The optimizer had made {optimizer_iterations} updates before.",
            ),
        ),
        to_check="Hold the rate at its first value for 50 steps: the bump appears without any rise of the rate.",
        advice="Warm up: let the rate rise over the first few hundred steps of training, or start the scan lower.",
        is_not="The bump is not where training breaks.",
        sources=("https://arxiv.org/abs/1908.03265", "https://arxiv.org/abs/1412.6980"),
        alarm=False,
    ),
    Cause(
        code="LRS329",
        name="momentum-overshoot",
        title="Momentum carries the model past its goal: each step goes on for many batches.",
        means=(
            "With momentum m, a step goes on to count for about 1 / (1 - m) batches. So the loss reacts late, and once "
            "it breaks, it swings."
        ),
        start=-0.6,
        when=(Clue(when=(Condition("momentum", ">=", 0.95),), says="The momentum is {momentum}."),),
        clues=(
            Clue(when=(Condition("momentum", ">=", 0.98),), weight=4.0, says=""),
            Clue(when=(RISES,), weight=0.6, says=LOSS_RISES.says),
            Clue(when=(Condition("num_valleys", ">=", 2),), weight=0.6, says=""),
        ),
        not_for=(Clue(when=(Condition("momentum", "<", 0.95),), says="The momentum is {momentum} only."),),
        to_check="Scan with momentum 0.9: the curve breaks at a larger rate, and more sharply.",
        advice="Use momentum 0.9, or a rate smaller by a factor of 1 - momentum.",
        is_not="The swings are not noise of the data.",
        sources=("https://distill.pub/2017/momentum/",),
        alarm=False,
    ),
)
"""Causes that lie in the test and in the optimizer."""
