"""Defines the causes that lie in the model and its loss: frozen weights, lost gradients and faulty losses."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    BOUNDED,
    IS_CROSSENTROPY,
    LOSS_FALLS,
    LOSS_RISES,
    NEVER_FALLS,
    STARTS_WORSE,
    UNBOUNDED,
    WORSE,
)
from keras_lrscan.curves.context import FLOAT16_POLICIES
from keras_lrscan.reading.facts import NO_FALL, NO_RISE, RISES, Condition, is_false, is_true
from keras_lrscan.reading.start_state import StartState

__all__ = ["CAUSES_OF_MODEL"]

TAKES_LOGITS = is_true("from_logits")
TAKES_PROBABILITIES = is_false("from_logits")
ACTIVATION_FITS = (
    Clue(
        when=(
            IS_CROSSENTROPY,
            TAKES_LOGITS,
            Condition("output_activation", "==", "linear"),
        ),
        says="The last layer has no activation, and the loss expects none.",
    ),
    Clue(
        when=(
            IS_CROSSENTROPY,
            TAKES_PROBABILITIES,
            Condition("output_activation", "in", BOUNDED),
            is_false("squashed_twice"),
            is_false("has_lone_softmax"),
            is_false("has_shared_softmax"),
        ),
        says="The last layer has a {output_activation}, and the loss expects probabilities.",
    ),
)

STARTS_FAIR = Condition("start_state", "!=", StartState.WORSE_THAN_CHANCE)
ENDS_NEAR_CHANCE = Condition("plateau_ratio", "<", 1.35)

CAUSES_OF_MODEL: tuple[Cause, ...] = (
    Cause(
        code="LRS306",
        name="frozen-model",
        title="The weights that matter do not train: their layers are frozen, or updates do not reach them.",
        means="Frozen weights do not learn. If all of them are frozen, the loss is the same at every rate.",
        start=-2.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("num_trainable_params", "==", 0),),
                weight=6.0,
                says="The model has no trainable parameters.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", ">", 0), Condition("trainable_share", "<", 0.02)),
                weight=2.8,
                says="Only {trainable_share} of the parameters can train (frozen layers: {num_frozen_layers}).",
            ),
            Clue(
                when=(Condition("still_share", ">=", 0.999), Condition("num_trainable_params", ">", 0)),
                weight=2.2,
                says="{still_share} of the trainable weights never changed during the test.",
            ),
            Clue(
                when=(Condition("weight_change", "==", 0.0), STARTS_FAIR),
                weight=3.0,
                says="After the test, the trainable weights are the same as before.",
            ),
            Clue(
                when=(is_true("head_is_fresh"),),
                weight=-1.5,
                says="Against it: only the last layer is new, and the layers below may be frozen on purpose.",
            ),
            Clue(
                # no frozen fit of benchmarks/causes rises; heads on frozen bodies in benchmarks/finetuning do
                when=(RISES, Condition("num_trainable_params", ">", 0)),
                weight=-2.5,
                says="Against it: large rates raise the loss, so the weights that can train do change.",
            ),
            Clue(
                when=(Condition("finite_share", "<", 1.0),),
                weight=-4.0,
                says="Against it: the loss turned NaN or infinite, which points to another cause.",
            ),
            Clue(
                when=(NO_FALL, NO_RISE, Condition("stop", "==", "end-lr"), Condition("end_lr", ">=", 0.1)),
                weight=2.2,
                says="Even a rate of {end_lr} did not change the loss.",
            ),
            Clue(
                when=(Condition("weight_change", ">=", 0.1), Condition("num_frozen_layers", "==", 0)),
                weight=-4.0,
                says="Against it: the weights changed by {weight_change} of their size.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("fall", ">=", 0.15),),
                says="The loss falls by {fall_in_words}, so updates do reach the weights.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", "==", 0), Condition("still_share", "<", 0.5)),
                says="No layer is frozen, and most weights changed.",
            ),
        ),
        to_check="Print `len(model.trainable_weights)`, and one weight before and after a step at rate 1.",
        advice="Set `trainable = True` where you want to learn, then call `compile` again.",
        is_not="It does not mean that the task is too hard: these weights did not train in this test.",
        sources=(
            "https://keras.io/guides/transfer_learning/",
            "https://keras.io/getting_started/faq/",
        ),
        alarm=True,
        stops_learning=True,
    ),
    Cause(
        code="LRS317",
        name="zero-gradients",
        title="The gradients are zero: the layers could train, but no signal reaches them.",
        means=(
            "A gradient says in which direction to change each weight. Dead units (ReLUs that are always off), "
            "saturated activations, and steps such as `argmax` or `round` pass on zeros, so the weights do not move."
        ),
        start=-1.5,
        when=(),
        clues=(
            Clue(
                when=(
                    Condition("still_share", ">=", 0.5),
                    Condition("still_share", "<", 0.9),
                    Condition("num_trainable_params", ">", 0),
                ),
                weight=2.2,
                says="{still_share} of the trainable weights never changed.",
            ),
            Clue(
                when=(Condition("still_share", ">=", 0.9), Condition("num_trainable_params", ">", 0)),
                weight=3.7,
                says="{still_share} of the trainable weights, nearly all of them, never changed.",
            ),
            Clue(
                when=(Condition("weight_change", "<", 1e-4), Condition("end_lr", ">=", 0.1)),
                weight=1.5,
                says="Over the whole test, the weights changed by only {weight_change} of their size.",
            ),
            Clue(
                when=(is_true("has_stuck_layer"),),
                weight=3.2,
                says="One layer hardly moved: {layer_change_ratio} times as far as the layer that moved most.",
            ),
            Clue(
                when=(NO_RISE, AT_CHANCE),
                weight=0.5,
                says="The loss starts at the chance level and never turns upward.",
            ),
            Clue(
                when=(Condition("input_std", "==", 0.0),),
                weight=-4.0,
                says="Against it: all inputs are the same number, which may explain it.",
            ),
            Clue(
                when=(Condition("finite_share", "<", 1.0),),
                weight=-4.0,
                says="Against it: the loss turned NaN or infinite, which points to another cause.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", ">", 0),),
                weight=-1.0,
                says="Against it: some layers are frozen ({num_frozen_layers}), which may explain it.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("fall", ">=", 0.15),),
                says="The loss falls by {fall_in_words}, so gradients do arrive.",
            ),
            Clue(when=(Condition("num_trainable_params", "==", 0),), says="The model has no trainable parameters."),
            Clue(
                when=(
                    Condition("still_share", "<", 0.1),
                    Condition("weight_change", ">=", 0.01),
                    is_false("has_stuck_layer"),
                ),
                says="All but {still_share} of the weights changed, together by {weight_change} of their size.",
            ),
        ),
        to_check="`scan.investigate(x, y)` prints the gradients of each layer.",
        advice=(
            "Check the initial weights: neither zero nor large. Try `leaky_relu` or normalization, and avoid `argmax` "
            "and `round` in the model."
        ),
        advice_here=(
            Clue(
                when=(Condition("input_size", ">=", 20.0),),
                says="Scale the inputs to about -1 to 1. Large ones push units to where they pass nothing on.",
            ),
        ),
        is_not="The learning rate is not the cause: any rate times zero is zero.",
        sources=(
            "https://arxiv.org/abs/1903.06733",
            "https://karpathy.medium.com/yes-you-should-understand-backprop-e2f06eab496b",
        ),
        alarm=True,
        stops_learning=True,
    ),
    Cause(
        code="LRS316",
        name="wrong-from-logits",
        title="The last layer and the loss do not fit together.",
        means=(
            "A loss that takes raw scores (logits) for probabilities cuts them off or becomes NaN. To a loss that "
            "takes probabilities for scores, they are all nearly equal, so it cannot fall far. A softmax over one unit "
            "is 1 for every input."
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
                says="The last layer has a {output_activation}, but the loss has `from_logits=True`.",
            ),
            Clue(
                when=(
                    IS_CROSSENTROPY,
                    TAKES_PROBABILITIES,
                    Condition("output_activation", "in", UNBOUNDED),
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
                when=(is_true("has_lone_softmax"),),
                weight=8.0,
                says="The last layer has a softmax over a single unit, so it predicts 1 for every input.",
            ),
            Clue(
                when=(is_true("has_shared_softmax"),),
                weight=8.0,
                says="A softmax sums to 1, but {multi_label_share} of the samples have several labels or none.",
            ),
            Clue(
                when=(Condition("perfect_ratio", ">=", 0.4), Condition("output_activation", "in", BOUNDED)),
                weight=5.0,
                says="Even with all answers right, the loss could not fall below {perfect_ratio} of that of a constant "
                "prediction.",
            ),
            Clue(
                when=(IS_CROSSENTROPY, WORSE),
                weight=1.2,
                says=STARTS_WORSE.says,
            ),
            Clue(
                when=(Condition("input_size", ">=", 20.0),),
                weight=-0.8,
                says="Against it: the largest input is {input_size}, which may explain a large first loss.",
            ),
            Clue(
                when=(is_true("beats_perfect"), Condition("perfect_ratio", ">=", 0.4)),
                weight=-9.0,
                says="Against it: the loss falls below that limit. Keras on TensorFlow takes the scores from before "
                "the last activation here; other backends do not.",
            ),
        ),
        rules_out=ACTIVATION_FITS,
        to_check="Print the activation of the last layer and the `from_logits` of the loss.",
        advice="Use `from_logits=True` if, and only if, the last layer has no softmax or sigmoid.",
        advice_here=(
            Clue(
                when=(is_true("has_lone_softmax"),),
                says='Use `activation="sigmoid"` in the last layer: a softmax needs one unit for each class.',
            ),
            Clue(
                when=(is_true("has_shared_softmax"),),
                says='Use `activation="sigmoid"` with `binary_crossentropy`: a softmax lets only one label be likely.',
            ),
        ),
        is_not="It does not mean that the layers below are wrong. Only the output is read in the wrong way.",
        sources=("https://keras.io/api/losses/probabilistic_losses/",),
        alarm=True,
    ),
    Cause(
        code="LRS322",
        name="sum-loss",
        title="The loss is a sum, not a mean.",
        means=(
            "A sum over 32 samples, or 32 outputs, is 32 times as large as their mean. So are the steps of plain SGD, "
            "whose curve then lies at rates 32 times smaller. Optimizers such as Adam, which scale their steps, hardly "
            "notice."
        ),
        start=-2.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("loss_reduction", "==", "sum"),),
                weight=5.0,
                says='The loss has `reduction="sum"`.',
            ),
            Clue(
                when=(Condition("loss_adds_up", "==", "samples"),),
                weight=5.0,
                says="With twice as many samples, the loss is twice as large.",
            ),
            Clue(
                when=(Condition("loss_adds_up", "==", "outputs"),),
                weight=4.5,
                says="With each output given twice, the loss is twice as large, so it is a sum over the outputs.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("loss_adds_up", "==", "nothing"),),
                says="The loss is a mean over the batch.",
            ),
        ),
        to_check="Double the batch size or the outputs: a sum doubles, a mean stays the same.",
        advice="Use the mean, or remember that these rates hold only for this batch size and these outputs.",
        is_not="A first loss far above the usual one does not mean that the model is bad.",
        sources=("https://keras.io/api/losses/",),
        alarm=True,
    ),
    Cause(
        code="LRS324",
        name="float16-overflow",
        title="A number became infinite, because it grew too large for 16 bits (float16).",
        means="The largest float16 number is 65504. Large activations and scaled gradients soon exceed it.",
        start=-1.0,
        when=(Clue(when=(Condition("precision", "in", FLOAT16_POLICIES),), says="The model computes in {precision}."),),
        clues=(
            Clue(
                when=(Condition("finite_share", "<", 1.0),),
                weight=2.0,
                says="The loss turned NaN or infinite after {finite_share} of the range.",
            ),
            Clue(
                when=(Condition("rise_before_nonfinite", "<", 1.0),),
                weight=1.0,
                says="The loss had not risen much before it turned NaN or infinite.",
            ),
            Clue(when=(NO_FALL,), weight=1.6, says=NEVER_FALLS.says),
            Clue(
                when=(Condition("nonfinite_inputs", ">", 0.0),),
                weight=-4.0,
                says="Against it: {nonfinite_inputs} of the samples have NaN or infinite inputs.",
            ),
            Clue(
                when=(Condition("nonfinite_targets", ">", 0.0),),
                weight=-4.0,
                says="Against it: {nonfinite_targets} of the samples have NaN or infinite targets.",
            ),
            Clue(when=(Condition("input_size", ">=", 1000.0),), weight=1.0, says="The largest input is {input_size}."),
        ),
        not_for=(
            Clue(
                when=(Condition("precision", "in", ("float32", "float64", "bfloat16", "mixed_bfloat16")),),
                says="The model computes in {precision}.",
            ),
        ),
        to_check="Scan again with the policy `mixed_bfloat16` or `float32`: the NaN should come later or never.",
        advice="Use `mixed_bfloat16`, or keep the last layer and the loss in float32. Scale the inputs.",
        is_not="It does not mean that training breaks at that rate in float32.",
        sources=("https://arxiv.org/abs/1710.03740", "https://www.tensorflow.org/guide/mixed_precision"),
        alarm=True,
        stops_learning=True,
    ),
    Cause(
        code="LRS310",
        name="collapse",
        title="At large rates the model collapses: it gives the same answer for everything.",
        means="A step that is too large can switch units off for good. A constant prediction remains: a flat line.",
        start=-1.4,
        when=(LOSS_FALLS,),
        clues=(
            LOSS_RISES,
            Clue(
                when=(Condition("shape", "==", "falls-to-chance"),),
                weight=4.0,
                says="Over the last {chance_end_decades} powers of ten, the loss is at the chance level.",
            ),
            Clue(
                when=(NO_RISE, Condition("shape", "!=", "falls-to-chance")),
                weight=-9.0,
                says="Against it: the loss never turns upward.",
            ),
            Clue(
                when=(Condition("chance_share", "<", 0.25),),
                weight=-0.8,
                says="Against it: after the rise, only {chance_share} of the batches are at the chance level.",
            ),
            Clue(
                when=(Condition("chance_share", ">=", 0.25), Condition("chance_share", "<", 0.35)),
                weight=1.4,
                says="After the rise, {chance_share} of the batches are at the chance level.",
            ),
            Clue(
                when=(Condition("chance_share", ">=", 0.35),),
                weight=2.8,
                says="After the rise, as many as {chance_share} of the batches are at the chance level.",
            ),
            Clue(
                when=(Condition("end_ratio", ">=", 0.9), Condition("end_ratio", "<", 1.35)),
                weight=1.4,
                says="The last losses are about {end_ratio} times the chance level.",
            ),
            Clue(
                when=(Condition("end_ratio", ">=", 1.5),),
                weight=-1.0,
                says="Against it: the last losses are {end_ratio} times the chance level.",
            ),
            Clue(
                when=(
                    Condition("plateau_decades", ">=", 0.3),
                    Condition("plateau_ratio", ">=", 0.9),
                    ENDS_NEAR_CHANCE,
                ),
                weight=1.6,
                says="The flat part at the right end is at {plateau_ratio} times the chance level.",
            ),
            Clue(
                when=(Condition("plateau_decades", ">=", 0.2), ENDS_NEAR_CHANCE),
                weight=0.8,
                says="At the right end, the loss stays flat for {plateau_decades} powers of ten.",
            ),
            Clue(
                when=(Condition("plateau_decades", ">=", 1.0), ENDS_NEAR_CHANCE),
                weight=0.8,
                says="The flat part spans at least a factor of ten in the rate.",
            ),
        ),
        to_check="Train at such a rate and predict: the predictions should be the same for every input.",
        advice="Stay well left of the rates at which it collapses: a collapsed model rarely recovers.",
        is_not="The calm line at large rates does not mean that training works there.",
        sources=("https://github.com/huggingface/transformers/issues/735",),
        alarm=False,
    ),
)
"""The causes that lie in the model and its loss."""
