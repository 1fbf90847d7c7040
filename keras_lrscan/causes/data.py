"""Causes that lie in the data: their size, their labels, what is missing in them."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import AT_CHANCE, BETTER, STARTS_BETTER, UNKNOWN, WORSE
from keras_lrscan.reading.facts import RISES, Condition, is_false, is_true

__all__ = ["CAUSES_OF_DATA"]

IS_CLASSIFIER = Clue(
    when=(Condition("num_classes", ">=", 2),),
    says="The model chooses from {num_classes} classes and predicts no sizes.",
)

CAUSES_OF_DATA: tuple[Cause, ...] = (
    Cause(
        code="LRS304",
        name="unscaled-inputs",
        title="The numbers that go into the model are too large: the inputs are not scaled.",
        means=(
            "Large inputs make large outputs, so a fresh model starts out confident and wrong, and even a small step "
            "changes its answers a lot. The whole curve moves up and to the left."
        ),
        start=-2.6,
        when=(),
        clues=(
            Clue(
                when=(Condition("input_size", ">=", 20.0),),
                weight=2.2,
                says="The largest input is {input_size}; about 1 is usual.",
            ),
            Clue(when=(Condition("input_size", ">=", 100.0),), weight=0.8, says=""),
            Clue(
                when=(Condition("input_spread_ratio", ">=", 100.0), Condition("input_size", ">=", 20.0)),
                weight=0.8,
                says="The widest column of the inputs is {input_spread_ratio} times as wide as the narrowest.",
            ),
            Clue(
                when=(WORSE,),
                weight=1.6,
                says="The first loss is {start_ratio} times that of guessing, so worse than it.",
            ),
            Clue(when=(BETTER,), weight=-1.5, says=""),
            Clue(
                when=(Condition("num_normalization_layers", ">=", 1),),
                weight=-1.0,
                says="Against it: {num_normalization_layers} layers of the model normalize what they get.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("input_size", "<", 10.0),),
                says="The largest input is {input_size}, which is fine.",
            ),
        ),
        to_check="Print the smallest and the largest input.",
        advice="Scale the inputs to about -1 to 1 (pixels: divide by 255; tables: a `Normalization` layer).",
        is_not="It does not mean that the model or the rate is wrong: scan again once the inputs are scaled.",
        sources=("https://karpathy.github.io/2019/04/25/recipe/", "https://cs231n.github.io/neural-networks-2/"),
        alarm=True,
    ),
    Cause(
        code="LRS321",
        name="unscaled-targets",
        title="The numbers to predict are large: the targets are not scaled.",
        means=(
            "The error is measured in the unit of the targets. Large targets give huge losses and huge steps, or need "
            "a very long way from the small numbers that a fresh model predicts."
        ),
        start=-1.2,
        when=(
            Clue(
                when=(Condition("target_size", ">=", 10.0),),
                says="The targets go from {target_low} to {target_high}.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("target_std", ">=", 10.0),),
                weight=1.5,
                says="They scatter by {target_std}; about 1 is usual.",
            ),
            Clue(when=(Condition("target_size", ">=", 100.0),), weight=1.0, says=""),
            Clue(
                when=(WORSE,),
                weight=1.0,
                says="The first loss is {start_ratio} times that of always predicting the same best number.",
            ),
            Clue(when=(BETTER,), weight=-1.5, says=""),
        ),
        not_for=(IS_CLASSIFIER,),
        rules_out=(
            Clue(
                when=(Condition("target_size", "<", 10.0),),
                says="The targets go from {target_low} to {target_high}, which is fine.",
            ),
        ),
        to_check="Print the mean and the spread of the targets.",
        advice="Train on `(y - y.mean()) / y.std()`, and undo that after `predict`.",
        is_not="A loss of thousands does not mean that the model is bad: it is the size of the targets, squared.",
        sources=("https://karpathy.github.io/2019/04/25/recipe/",),
        alarm=True,
    ),
    Cause(
        code="LRS305",
        name="labels-not-reaching-loss",
        title="Inputs and labels do not belong together, or carry nothing to learn from.",
        means="The model takes its steps, but no step helps: there is no rule to find that leads from input to label.",
        start=-3.2,
        when=(),
        clues=(
            Clue(
                when=(Condition("fall", "<", 0.1), RISES),
                weight=2.5,
                says="The loss hardly falls at any rate, but large rates break it.",
            ),
            Clue(
                when=(Condition("fall", "<", 0.1), RISES, AT_CHANCE),
                weight=0.5,
                says="It stays at {start_ratio} times the loss of guessing.",
            ),
            Clue(
                when=(Condition("fall", ">=", 0.1), Condition("lowest_ratio", ">=", 0.93)),
                weight=2.5,
                says="The loss falls, but only to {lowest_ratio} times that of guessing: nothing else is learned.",
            ),
            Clue(
                when=(is_false("labels_follow_inputs"),),
                weight=2.2,
                says="Simple rules foretell the labels no better than shuffled labels.",
            ),
            Clue(
                when=(is_true("labels_follow_inputs"),),
                weight=-2.5,
                says="Against it: simple rules do foretell the labels.",
            ),
            Clue(
                when=(Condition("input_std", "==", 0.0),),
                weight=4.0,
                says="All inputs are the same number.",
            ),
            Clue(
                when=(Condition("contradicting_share", ">=", 0.5),),
                weight=4.0,
                says="{contradicting_share} of the samples have the same inputs as an earlier one, but another target.",
            ),
            Clue(
                when=(Condition("zero_weight_share", ">=", 0.9),),
                weight=4.0,
                says="{zero_weight_share} of the samples have a weight of zero in the loss.",
            ),
            Clue(when=(UNKNOWN,), weight=-0.8, says=""),
            Clue(when=(Condition("still_share", ">=", 0.99),), weight=-2.5, says=""),
            Clue(when=(Condition("trainable_share", "<", 0.02),), weight=-1.0, says=""),
            Clue(when=(Condition("calm_share", "<", 0.15),), weight=-2.5, says=""),
            Clue(when=(Condition("finite_share", "<", 1.0),), weight=-2.0, says=""),
            Clue(when=(Condition("planned_decades", "<", 3.0),), weight=-1.5, says=""),
            Clue(when=(Condition("points_per_decade", "<", 8.0),), weight=-1.0, says=""),
        ),
        rules_out=(
            STARTS_BETTER,
            Clue(
                when=(Condition("fall", ">=", 0.3), is_true("learns")),
                says="The loss falls to {lowest_ratio} times that of guessing: the model does learn something.",
            ),
            Clue(
                when=(Condition("fall", ">=", 0.3), UNKNOWN),
                says="The loss falls by {fall}: there is something to learn, and the model learns it.",
            ),
        ),
        to_check="Look at five inputs beside their labels. Train on 20 samples: their loss should go to zero.",
        advice="Check that shuffling, sorting or joining moved inputs and labels together, and how labels are encoded.",
        is_not="It is not a matter of the learning rate, and the model is not already good.",
        sources=(
            "https://karpathy.github.io/2019/04/25/recipe/",
            "https://github.com/davidtvs/pytorch-lr-finder/issues/10",
        ),
        alarm=True,
    ),
    Cause(
        code="LRS312",
        name="nan-in-data",
        title="The data hold numbers that are no numbers (NaN, infinity), or labels that are no class.",
        means="One such number makes the loss NaN, and the next step makes every weight NaN, whatever the rate.",
        start=-2.5,
        when=(),
        clues=(
            Clue(
                when=(Condition("nonfinite_inputs", ">", 0.0),),
                weight=6.0,
                says="{nonfinite_inputs} of the samples have NaN or infinity among their inputs.",
            ),
            Clue(
                when=(Condition("nonfinite_targets", ">", 0.0),),
                weight=6.0,
                says="{nonfinite_targets} of the samples have NaN or infinity among their targets.",
            ),
            Clue(
                when=(Condition("bad_labels", ">", 0.0),),
                weight=5.0,
                says="{bad_labels} of the labels are no class of this model.",
            ),
            Clue(
                when=(Condition("finite_share", "<", 0.5), Condition("rise_before_nonfinite", "<", 1.0)),
                weight=3.0,
                says="The loss turned NaN or infinite after {finite_share} of the range, before it had risen much.",
            ),
            Clue(
                when=(Condition("precision", "in", ("mixed_float16", "float16")),),
                weight=-1.0,
                says="",
            ),
        ),
        to_check="`numpy.isfinite(x).all()`, and the smallest and largest label.",
        advice="Clean the data first, or mend a loss that takes the logarithm of zero; then scan again.",
        is_not="The learning rate is not the cause: no rate helps.",
        sources=("https://github.com/keras-team/keras/issues/2134",),
        alarm=True,
    ),
    Cause(
        code="LRS323",
        name="class-imbalance",
        title="Most samples have the same label, so a model that always says it scores well.",
        means=(
            "The first part of the fall is only the model learning how frequent each label is. After that, each batch "
            "holds few samples that teach anything else."
        ),
        start=0.4,
        when=(
            Clue(
                when=(Condition("majority_share", ">=", 0.75),),
                says="{majority_share} of the labels are the same.",
            ),
        ),
        clues=(
            Clue(when=(Condition("majority_share", ">=", 0.85),), weight=1.2, says=""),
            Clue(when=(Condition("majority_share", ">=", 0.95),), weight=0.8, says=""),
            Clue(when=(is_true("first_batches_alike"),), weight=-3.0, says=""),
        ),
        rules_out=(
            Clue(
                when=(Condition("majority_share", "<", 0.6),),
                says="The most frequent label has a share of {majority_share} only.",
            ),
        ),
        to_check="Compare the accuracy with the share of the most frequent label.",
        advice="Watch recall or balanced accuracy; try `class_weight`, and larger batches for the scan.",
        is_not="A low loss does not mean that rare classes are found.",
        sources=("https://www.tensorflow.org/tutorials/structured_data/imbalanced_data",),
        alarm=True,
    ),
)
"""Causes that lie in the data."""
