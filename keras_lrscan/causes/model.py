"""Causes that lie in the model and its loss: what can train, what reaches it, and how the loss is computed."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import AT_CHANCE, LOSS_FALLS, WORSE
from keras_lrscan.reading.facts import NO_FALL, NO_RISE, RISES, Condition, is_false, is_true
from keras_lrscan.reading.features import StartState

__all__ = ["CAUSES_OF_MODEL"]

BOUNDED = ("softmax", "sigmoid", "hard_sigmoid")
CROSSENTROPIES = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
)
HALF = ("mixed_float16", "float16")
IS_CROSSENTROPY = Condition("loss_name", "in", CROSSENTROPIES)
TAKES_LOGITS = is_true("from_logits")
TAKES_PROBABILITIES = is_false("from_logits")
ACTIVATION_FITS = (
    Clue(
        when=(
            IS_CROSSENTROPY,
            TAKES_LOGITS,
            Condition("output_activation", "==", "linear"),
        ),
        says="The last layer has no activation and the loss expects none.",
    ),
    Clue(
        when=(
            IS_CROSSENTROPY,
            TAKES_PROBABILITIES,
            Condition("output_activation", "in", BOUNDED),
            is_false("squashed_twice"),
        ),
        says="The last layer has a {output_activation} and the loss expects probabilities.",
    ),
)

STARTS_FAIR = Condition("start_state", "!=", StartState.WORSE_THAN_CHANCE)
NEAR_CHANCE_UP_THERE = Condition("plateau_ratio", "<", 1.35)

CAUSES_OF_MODEL: tuple[Cause, ...] = (
    Cause(
        code="LRS306",
        name="frozen-model",
        title="Nothing that matters can train: the layers are frozen, or updates do not reach the weights.",
        means="Frozen weights give the same loss at every rate, even at one that would wreck any other model.",
        start=-2.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("num_trainable_params", "==", 0),),
                weight=6.0,
                says="No parameter of the model can train.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", ">", 0), Condition("trainable_share", "<", 0.02)),
                weight=2.8,
                says="Only {trainable_share} of the parameters can train; {num_frozen_layers} layers are frozen.",
            ),
            Clue(
                when=(Condition("still_share", ">=", 0.999), Condition("num_trainable_params", ">", 0)),
                weight=2.2,
                says="Not one trainable weight changed during the whole test.",
            ),
            Clue(when=(Condition("weight_change", "==", 0.0), STARTS_FAIR), weight=3.0, says=""),
            Clue(when=(is_true("head_is_fresh"),), weight=-1.5, says=""),
            Clue(when=(Condition("finite_share", "<", 1.0),), weight=-4.0, says=""),
            Clue(
                when=(NO_FALL, NO_RISE, Condition("stop", "==", "end-lr"), Condition("end_lr", ">=", 0.1)),
                weight=2.2,
                says="Even a rate of {end_lr} changed nothing.",
            ),
            Clue(
                when=(Condition("weight_change", ">=", 0.1), Condition("num_frozen_layers", "==", 0)),
                weight=-4.0,
                says="Against it: the weights changed by {weight_change} of their own size.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("fall", ">=", 0.15),),
                says="The loss falls by {fall}, so updates do reach the weights.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", "==", 0), Condition("still_share", "<", 0.5)),
                says="No layer is frozen, and the weights did change.",
            ),
        ),
        to_check="`len(model.trainable_weights)`, and one weight before and after a step at rate 1.",
        advice="Set `trainable = True` where you want to learn, and call `compile` again after that.",
        is_not="It does not mean that the task is too hard: nothing was tried yet.",
        sources=(
            "https://keras.io/guides/transfer_learning/",
            "https://keras.io/getting_started/faq/",
        ),
        alarm=True,
    ),
    Cause(
        code="LRS317",
        name="zero-gradients",
        title="The layers could train, but no signal gets through to them: their gradients are zero.",
        means=(
            "A gradient says in which direction to change each weight. Dead units (ReLUs that are always off), "
            "saturated activations, and steps like `argmax` or `round` pass on a zero, so nothing moves."
        ),
        start=-1.5,
        when=(),
        clues=(
            Clue(
                when=(Condition("still_share", ">=", 0.5), Condition("num_trainable_params", ">", 0)),
                weight=2.2,
                says="{still_share} of the weights that could train never changed.",
            ),
            Clue(
                when=(Condition("still_share", ">=", 0.9), Condition("num_trainable_params", ">", 0)),
                weight=1.5,
                says="",
            ),
            Clue(
                when=(Condition("weight_change", "<", 1e-4), Condition("end_lr", ">=", 0.1)),
                weight=1.5,
                says="Over the whole test the weights changed by {weight_change} of their own size only.",
            ),
            Clue(
                when=(is_true("has_stuck_layer"),),
                weight=3.2,
                says="The layer that moved least moved {layer_change_ratio} times as far as the one that moved most.",
            ),
            Clue(when=(NO_RISE, AT_CHANCE), weight=0.5, says=""),
            Clue(when=(Condition("input_std", "==", 0.0),), weight=-4.0, says=""),
            Clue(when=(Condition("finite_share", "<", 1.0),), weight=-4.0, says=""),
            Clue(when=(Condition("num_frozen_layers", ">", 0),), weight=-1.0, says=""),
        ),
        rules_out=(
            Clue(
                when=(Condition("fall", ">=", 0.15),),
                says="The loss falls by {fall}, so gradients do arrive.",
            ),
            Clue(when=(Condition("num_trainable_params", "==", 0),), says="There is nothing that could train."),
            Clue(
                when=(
                    Condition("still_share", "<", 0.1),
                    Condition("weight_change", ">=", 0.01),
                    is_false("has_stuck_layer"),
                ),
                says="All but {still_share} of the weights changed, by {weight_change} of their own size.",
            ),
        ),
        to_check="`scan.investigate(x, y)` prints the gradients of each layer.",
        advice="Use smaller first weights, `leaky_relu` or normalization; keep `argmax` and `round` out of the model.",
        is_not="It is not a matter of the learning rate: any rate times zero is zero.",
        sources=(
            "https://arxiv.org/abs/1903.06733",
            "https://karpathy.medium.com/yes-you-should-understand-backprop-e2f06eab496b",
        ),
        alarm=True,
    ),
    Cause(
        code="LRS316",
        name="wrong-from-logits",
        title="Loss and last layer do not fit: one works with probabilities, the other with raw scores (logits).",
        means=(
            "Scores taken for probabilities are cut off or give NaN. Probabilities taken for scores are all nearly "
            "alike, so the loss cannot fall far."
        ),
        start=-3.2,
        when=(),
        clues=(
            Clue(
                when=(
                    IS_CROSSENTROPY,
                    TAKES_LOGITS,
                    Condition("output_activation", "in", BOUNDED),
                ),
                weight=6.0,
                says="The last layer has a {output_activation}, but the loss was given `from_logits=True`.",
            ),
            Clue(
                when=(
                    IS_CROSSENTROPY,
                    TAKES_PROBABILITIES,
                    Condition("output_activation", "in", ("linear", "relu", "tanh")),
                ),
                weight=6.0,
                says="The last layer has no softmax or sigmoid ({output_activation}), but the loss expects one.",
            ),
            Clue(
                when=(IS_CROSSENTROPY, is_true("squashed_twice")),
                weight=6.0,
                says="The output goes through two softmaxes or sigmoids in a row: the second flattens the first.",
            ),
            Clue(
                when=(Condition("perfect_ratio", ">=", 0.4), Condition("output_activation", "in", BOUNDED)),
                weight=5.0,
                says="Even right answers would cost {perfect_ratio} of what guessing costs.",
            ),
            Clue(
                when=(IS_CROSSENTROPY, WORSE),
                weight=1.2,
                says="The first loss is {start_ratio} times that of guessing.",
            ),
            Clue(when=(Condition("input_size", ">=", 20.0),), weight=-0.8, says=""),
        ),
        rules_out=ACTIVATION_FITS,
        to_check="Print the last layer's activation beside the loss's `from_logits`.",
        advice="Use `from_logits=True` exactly when the last layer has neither softmax nor sigmoid.",
        is_not="The model's layers below are fine; only the last step is read in a wrong way.",
        sources=("https://keras.io/api/losses/probabilistic_losses/",),
        alarm=True,
    ),
    Cause(
        code="LRS322",
        name="sum-loss",
        title="The loss is a sum, not a mean.",
        means=(
            "A sum over 32 samples, or 32 outputs, is 32 times as large, and so are the steps of plain SGD. The curve "
            "is the same, but its rates are that many times smaller, and change with that number."
        ),
        start=-2.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("loss_reduction", "==", "sum"),),
                weight=5.0,
                says='The loss was made with `reduction="sum"`.',
            ),
            Clue(
                when=(Condition("loss_adds_up", "==", "samples"),),
                weight=5.0,
                says="Given twice as many samples, the loss is twice as large.",
            ),
            Clue(
                when=(Condition("loss_adds_up", "==", "outputs"),),
                weight=4.5,
                says="Given each output twice, the loss is twice as large: it is a sum over the outputs.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("loss_adds_up", "==", "nothing"),),
                says="The loss is a mean over the batch.",
            ),
        ),
        to_check="Double the batch size, or the outputs: a sum doubles, a mean stays.",
        advice="Take the mean, or remember that rates found here hold for this batch size and these outputs only.",
        is_not="A first loss far above the usual one does not mean that the model is bad.",
        sources=("https://keras.io/api/losses/",),
        alarm=True,
    ),
    Cause(
        code="LRS324",
        name="float16-overflow",
        title="A number grew too large for 16 bits (float16), so it became infinite.",
        means="The largest float16 number is 65504. Large activations and scaled gradients soon go beyond it.",
        start=-1.0,
        when=(Clue(when=(Condition("precision", "in", HALF),), says="The model computes in {precision}."),),
        clues=(
            Clue(
                when=(Condition("finite_share", "<", 1.0),),
                weight=2.0,
                says="The loss turned NaN or infinite after {finite_share} of the range.",
            ),
            Clue(
                when=(Condition("rise_before_nonfinite", "<", 1.0),),
                weight=1.0,
                says="It had not risen much before.",
            ),
            Clue(when=(NO_FALL,), weight=1.6, says="The loss never falls by more than the noise."),
            Clue(when=(Condition("nonfinite_inputs", ">", 0.0),), weight=-4.0, says=""),
            Clue(when=(Condition("nonfinite_targets", ">", 0.0),), weight=-4.0, says=""),
            Clue(
                when=(Condition("input_size", ">=", 1000.0),), weight=1.0, says="Inputs are as large as {input_size}."
            ),
        ),
        not_for=(
            Clue(
                when=(Condition("precision", "in", ("float32", "float64", "bfloat16", "mixed_bfloat16")),),
                says="The model computes in {precision}.",
            ),
        ),
        to_check="Scan again with the policy `mixed_bfloat16` or `float32`: the NaN should come later or never.",
        advice="Use `mixed_bfloat16`, scale the inputs, and keep the last layer and the loss in float32.",
        is_not="It does not mean that the rate at which it happened is the one where training breaks.",
        sources=("https://arxiv.org/abs/1710.03740", "https://www.tensorflow.org/guide/mixed_precision"),
        alarm=True,
    ),
    Cause(
        code="LRS310",
        name="collapse",
        title="At large rates the model collapses: it gives the same answer for everything.",
        means="A step too large switches units off for good. What is left is one constant guess: a flat, high line.",
        start=-1.4,
        when=(LOSS_FALLS, Clue(when=(RISES,), says="")),
        clues=(
            Clue(
                when=(Condition("guessing_share", ">=", 0.25),),
                weight=1.4,
                says="Of the batches after the break, {guessing_share} cost what guessing does.",
            ),
            Clue(when=(Condition("guessing_share", ">=", 0.35),), weight=1.4, says=""),
            Clue(when=(Condition("guessing_share", "<", 0.25),), weight=-0.8, says=""),
            Clue(
                when=(Condition("end_ratio", ">=", 0.9), Condition("end_ratio", "<", 1.35)),
                weight=1.4,
                says="The last losses are {end_ratio} times that of guessing.",
            ),
            Clue(when=(Condition("end_ratio", ">=", 1.5),), weight=-1.0, says=""),
            Clue(
                when=(
                    Condition("plateau_decades", ">=", 0.3),
                    Condition("plateau_ratio", ">=", 0.9),
                    NEAR_CHANCE_UP_THERE,
                ),
                weight=1.6,
                says="At the right end the loss stays at {plateau_ratio} times that of guessing for {plateau_decades} "
                "decades.",
            ),
            Clue(when=(Condition("plateau_decades", ">=", 0.2), NEAR_CHANCE_UP_THERE), weight=0.8, says=""),
            Clue(when=(Condition("plateau_decades", ">=", 1.0), NEAR_CHANCE_UP_THERE), weight=0.8, says=""),
        ),
        to_check="Predictions at such a rate are the same for every input.",
        advice="Stay well left of the jump: a model that has collapsed rarely comes back.",
        is_not="That the line is calm up there does not mean that training works there.",
        sources=("https://github.com/huggingface/transformers/issues/735",),
        alarm=False,
    ),
)
"""Causes that lie in the model and its loss."""
