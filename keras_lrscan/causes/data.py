"""Defines the causes that lie in the data: their scale, their labels and missing values."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    BETTER,
    CLASSES_WEIGHTED,
    MIXED,
    STARTS_AT_CHANCE,
    STARTS_BETTER,
    STARTS_WORSE,
    SUSPECT,
    UNKNOWN,
    WORSE,
)
from keras_lrscan.curves.context import FAR, FLOAT16_POLICIES
from keras_lrscan.reading.facts import (
    ALL_NUMBERS,
    POSITIVE_NUMBERS,
    RISES,
    UNKNOWN_DOMAIN,
    Condition,
    is_false,
    is_true,
)

__all__ = ["CAUSES_OF_DATA"]

IS_CLASSIFIER = Clue(
    when=(Condition("num_classes", ">=", 2),),
    says="The model chooses from {num_classes} classes and does not predict numbers.",
)

CAN_BE_NEGATIVE = ("linear", "tanh", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "swish")
"""Activations with negative outputs."""

ALWAYS_POSITIVE = ("softmax", "sigmoid", "softplus", "exponential")
"""Activations with only positive outputs."""

DOES_WELL = (
    "Against it: the loss starts at only {start_ratio} times the chance level, so the model copes with these data."
)

FAR_TARGETS = Condition("target_reach", ">=", FAR)

CAUSES_OF_DATA: tuple[Cause, ...] = (
    Cause(
        code="LRS304",
        name="unscaled-inputs",
        title="The inputs are not scaled: their numbers are too large.",
        means=(
            "Large inputs make large outputs. So a fresh model starts out confident and wrong, and even a small step "
            "changes its answers a lot. The whole curve moves up and to the left."
        ),
        start=-2.6,
        when=(),
        clues=(
            Clue(
                when=(Condition("input_size", ">=", 20.0), Condition("input_size", "<", 100.0)),
                weight=2.2,
                says="The largest input is {input_size}; about 1 is usual.",
            ),
            Clue(
                when=(Condition("input_size", ">=", 100.0),),
                weight=3.0,
                says="The largest input is {input_size}, far above the usual size of about 1.",
            ),
            Clue(
                when=(Condition("input_spread_ratio", ">=", 100.0), Condition("input_size", ">=", 20.0)),
                weight=0.8,
                says="The widest column of the inputs is {input_spread_ratio} times as wide as the narrowest.",
            ),
            Clue(when=(WORSE,), weight=1.6, says=STARTS_WORSE.says),
            Clue(when=(BETTER,), weight=-1.5, says=DOES_WELL),
            Clue(
                when=(Condition("num_normalization_layers", ">=", 1),),
                weight=-1.0,
                says="Against it: the model has normalization layers ({num_normalization_layers}).",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("input_size", "<", 10.0),),
                says="The largest input is {input_size}, which is small enough.",
            ),
        ),
        to_check="Print the smallest and the largest input.",
        advice="Scale the inputs to about -1 to 1 (pixels: divide by 255; tables: a `Normalization` layer).",
        is_not="It does not mean that the model or the rate is wrong. Scan again once the inputs are scaled.",
        sources=("https://karpathy.github.io/2019/04/25/recipe/", "https://cs231n.github.io/neural-networks-2/"),
        alarm=True,
    ),
    Cause(
        code="LRS321",
        name="unscaled-targets",
        title="The targets are not scaled: the numbers to predict are large.",
        means=(
            "The error is measured in the unit of the targets. So large targets give huge losses and huge steps. Or "
            "training takes very long, because a fresh model predicts small numbers."
        ),
        start=-1.2,
        when=(
            Clue(
                when=(Condition("target_size", ">=", 10.0),),
                says="The targets range from {target_low} to {target_high}.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("target_std", ">=", 10.0),),
                weight=1.5,
                says="The standard deviation of the targets is {target_std}; about 1 is usual.",
            ),
            Clue(
                when=(Condition("target_size", ">=", 100.0),),
                weight=1.0,
                says="The target furthest from zero is {target_size} away from it.",
            ),
            Clue(
                when=(FAR_TARGETS,),
                weight=1.0,
                says="The furthest target lies {target_reach} standard deviations from the mean, so a few targets make "
                "most of the loss.",
            ),
            Clue(when=(WORSE,), weight=1.0, says=STARTS_WORSE.says),
            Clue(when=(BETTER,), weight=-1.5, says=DOES_WELL),
        ),
        not_for=(IS_CLASSIFIER,),
        rules_out=(
            Clue(
                when=(Condition("target_size", "<", 10.0),),
                says="The targets range from {target_low} to {target_high}, which is small enough.",
            ),
        ),
        to_check="Print the mean and the standard deviation of the targets.",
        advice="Train on `(y - y.mean()) / y.std()`, and scale back after `predict`.",
        advice_here=(
            Clue(
                when=(FAR_TARGETS,),
                says="Look at the largest targets. If they are right, train on their logarithm, or with the loss "
                "`huber` on scaled targets.",
            ),
        ),
        is_not="A loss of thousands does not mean that the model is bad. It may only reflect large targets.",
        sources=("https://karpathy.github.io/2019/04/25/recipe/",),
        alarm=True,
    ),
    Cause(
        code="LRS305",
        name="labels-not-reaching-loss",
        title="Inputs and labels do not match, or the link between them is too hard to find in so short a test.",
        means=(
            "The weights change, but at best the model learns how large or how frequent the labels are. Either no rule "
            "leads from the inputs to the labels, or it is too hard for so few steps."
        ),
        start=-3.2,
        when=(),
        clues=(
            Clue(
                when=(Condition("fall", "<", 0.1), RISES),
                weight=2.5,
                says="The loss hardly falls at any rate, but rises at large ones.",
            ),
            Clue(
                when=(Condition("fall", "<", 0.1), RISES, AT_CHANCE),
                weight=0.5,
                says=STARTS_AT_CHANCE.says,
            ),
            Clue(
                when=(
                    Condition("fall", ">=", 0.1),
                    Condition("lowest_ratio", ">=", 0.93),
                    Condition("lowest_ratio", "<", 1.2),
                ),
                weight=2.5,
                says="The loss falls, but only to {lowest_ratio} times the chance level, so hardly below it.",
            ),
            Clue(
                when=(Condition("fall", ">=", 0.1), Condition("lowest_ratio", ">=", 1.2)),
                weight=1.0,
                says="The loss falls, but only to {lowest_ratio} times the chance level, so it stays above it.",
            ),
            Clue(when=(MIXED,), weight=-1.5, says="Against it: some outputs start better than the chance level."),
            Clue(
                when=(is_false("labels_follow_inputs"),),
                weight=2.2,
                says="Simple models predict the real labels no better than shuffled ones.",
            ),
            Clue(
                when=(is_true("labels_follow_inputs"),),
                weight=-2.5,
                says="Against it: simple models predict the real labels better than shuffled ones.",
            ),
            Clue(when=(Condition("input_std", "==", 0.0),), weight=4.0, says="All inputs are the same number."),
            Clue(
                when=(is_true("has_one_label"),),
                weight=6.0,
                says="All labels are the same, so a constant prediction is right, and the inputs tell nothing.",
            ),
            Clue(
                when=(Condition("contradicting_share", ">=", 0.5),),
                weight=4.0,
                says="{contradicting_share} of the samples have the same inputs as an earlier one, but another target.",
            ),
            Clue(
                when=(Condition("zero_weight_share", ">=", 0.999),),
                weight=4.0,
                says="{zero_weight_share} of the samples have a weight of zero in the loss.",
            ),
            Clue(
                when=(UNKNOWN,),
                weight=-0.8,
                says="Less certain, because the start could not be compared with the chance level.",
            ),
            Clue(
                when=(Condition("still_share", ">=", 0.99),),
                weight=-2.5,
                says="Against it: {still_share} of the trainable weights never changed, which the data do not explain.",
            ),
            Clue(
                when=(Condition("trainable_share", "<", 0.02),),
                weight=-1.0,
                says="Against it: only {trainable_share} of the parameters can train, which may explain it too.",
            ),
            Clue(
                when=(Condition("calm_share", "<", 0.15),),
                weight=-2.5,
                says="Against it: the loss rises after only {calm_share} of the range, so the test may begin too high.",
            ),
            Clue(
                when=(Condition("finite_share", "<", 1.0),),
                weight=-2.0,
                says="Against it: the loss turned NaN or infinite, which points to another cause.",
            ),
            Clue(
                when=(Condition("planned_decades", "<", 3.0),),
                weight=-1.5,
                says="Against it: the rates span only {planned_decades} powers of ten, so useful ones may be missing.",
            ),
            Clue(
                when=(Condition("points_per_decade", "<", 8.0),),
                weight=-1.0,
                says="Against it: each factor of ten in the rate leaves few steps to learn in ({points_per_decade}).",
            ),
        ),
        rules_out=(
            STARTS_BETTER,
            Clue(
                when=(Condition("fall", ">=", 0.3), is_true("learns"), is_false("has_one_label")),
                says="The loss falls to {lowest_ratio} times the chance level, so the model does learn something.",
            ),
            Clue(
                when=(Condition("fall", ">=", 0.3), UNKNOWN, is_false("has_one_label")),
                says="The loss falls by {fall_in_words}, so there is something to learn, and the model learns it.",
            ),
        ),
        to_check=(
            "Look at five inputs beside their labels. Train for some epochs at the default rate of the optimizer: if "
            "the validation loss falls, there is a rule."
        ),
        advice=(
            "Check that inputs and labels belong together, and how labels are encoded. Shuffling, sorting or joining "
            "may have mixed them up. If all is right, train for some epochs, and scan again from there."
        ),
        advice_here=(
            Clue(
                when=(is_true("has_one_label"),),
                says="Look at the labels: all of them are the same, so there is nothing to learn from these data.",
            ),
        ),
        is_not="It is no proof: a rule such as the parity of some inputs looks the same until the model has found it.",
        sources=(
            "https://karpathy.github.io/2019/04/25/recipe/",
            "https://github.com/davidtvs/pytorch-lr-finder/issues/10",
        ),
        alarm=True,
        stops_learning=True,
    ),
    Cause(
        code="LRS312",
        name="nan-in-data",
        title="The data contain NaN or infinite values, or labels outside the model's classes.",
        means="One such value can make the loss or the weights NaN, at any rate.",
        start=-2.5,
        when=(),
        clues=(
            Clue(
                when=(Condition("nonfinite_inputs", ">", 0.0),),
                weight=6.0,
                says="{nonfinite_inputs} of the samples have NaN or infinite inputs.",
            ),
            Clue(
                when=(Condition("nonfinite_targets", ">", 0.0),),
                weight=6.0,
                says="{nonfinite_targets} of the samples have NaN or infinite targets.",
            ),
            Clue(
                when=(Condition("bad_labels", ">", 0.0),),
                weight=5.0,
                says="{bad_labels} of the labels are outside the model's classes.",
            ),
            Clue(
                when=(Condition("finite_share", "<", 0.5), Condition("rise_before_nonfinite", "<", 1.0)),
                weight=3.0,
                says="The loss turned NaN or infinite after {finite_share} of the range, before it had risen much.",
            ),
            Clue(
                when=(Condition("precision", "in", FLOAT16_POLICIES),),
                weight=-1.0,
                says="Against it: the model computes in {precision}, which can make the loss NaN as well.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("finite_share", "<=", 1.0), is_true("data_are_finite")),
                says="All inputs and targets are finite, and no label is invalid.",
            ),
        ),
        to_check="Print `numpy.isfinite(x).all()`, and the smallest and the largest label.",
        advice="Clean the data. Then scan again.",
        is_not="The learning rate is not the cause, and no other rate helps.",
        sources=("https://github.com/keras-team/keras/issues/2134",),
        alarm=True,
        stops_learning=True,
    ),
    Cause(
        code="LRS332",
        name="loss-outside-domain",
        title="The loss is not defined for what the model predicts.",
        means=(
            "The logarithm of a negative number is NaN, and that of zero is infinite. A loss that takes one needs "
            "predictions above zero, at any rate."
        ),
        start=-1.5,
        when=(
            Clue(
                when=(Condition("finite_share", "<", 0.5), Condition("rise_before_nonfinite", "<", 1.0)),
                says="The loss turned NaN or infinite after {finite_share} of the range, before it had risen much.",
            ),
            Clue(when=(is_true("data_are_finite"),), says="All inputs and targets are finite."),
        ),
        clues=(
            Clue(
                when=(Condition("finite_share", "==", 0.0),),
                weight=1.0,
                says="The very first loss, before any update, is already NaN or infinite.",
            ),
            Clue(
                when=(
                    Condition("loss_domain", "==", POSITIVE_NUMBERS),
                    Condition("output_activation", "in", CAN_BE_NEGATIVE),
                ),
                weight=4.0,
                says="The loss takes a logarithm ({loss_name}), but the last layer can predict negative numbers "
                "({output_activation}).",
            ),
            Clue(
                when=(
                    Condition("loss_domain", "==", POSITIVE_NUMBERS),
                    Condition("output_activation", "in", ALWAYS_POSITIVE),
                ),
                weight=-2.5,
                says="Against it: the last layer predicts only positive numbers ({output_activation}).",
            ),
            Clue(
                when=(Condition("loss_domain", "==", UNKNOWN_DOMAIN),),
                weight=2.0,
                says="The loss is not one of Keras's ({loss_name}), so it may divide by zero, or take the logarithm of "
                "numbers that are not positive.",
            ),
            Clue(
                when=(Condition("loss_domain", "==", ALL_NUMBERS),),
                weight=-3.0,
                says="Against it: the loss is defined for all numbers ({loss_name}).",
            ),
            Clue(
                when=(Condition("precision", "in", FLOAT16_POLICIES),),
                weight=-2.0,
                says="Against it: the model computes in {precision}, which can make the loss NaN as well.",
            ),
        ),
        to_check="Print the smallest prediction of the model on one batch, and the loss of that batch.",
        advice=(
            "Use an output activation that fits the loss: `softplus` or `exponential` for Poisson, softmax or sigmoid "
            "for cross-entropies (or `from_logits=True`). In a loss of your own, keep logarithms away from zero."
        ),
        is_not="The data are not the cause, and no learning rate helps.",
        sources=("https://keras.io/api/losses/probabilistic_losses/",),
        alarm=True,
        stops_learning=True,
    ),
    Cause(
        code="LRS333",
        name="label-noise",
        title="Some labels may be wrong: samples that look alike have different labels.",
        means=(
            "No model can predict a label that was drawn by mistake. Such samples keep the loss up at every rate, and "
            "their number differs from batch to batch, which adds noise."
        ),
        start=0.8,
        when=(
            Clue(
                when=(Condition("suspect_labels", ">=", SUSPECT),),
                says="About {suspect_labels} of the compared samples have a label that the most similar samples do not "
                "have ({num_classes} labels in all). This is not limited to a few classes that look alike.",
            ),
        ),
        clues=(
            Clue(
                when=(is_false("labels_follow_inputs"),),
                weight=-3.0,
                says="Against it: simple models predict none of the labels, so not just some may be wrong.",
            ),
            Clue(
                when=(Condition("zero_weight_share", ">=", 0.5),),
                weight=-1.5,
                says="Against it: {zero_weight_share} of the samples have a weight of zero and do not count.",
            ),
            Clue(
                when=(Condition("lowest_ratio", "<", 0.2),),
                weight=-1.5,
                says="Against it: the loss falls to {lowest_ratio} times the chance level, so most labels are right.",
            ),
        ),
        to_check="Train for a few epochs, and look at the twenty samples with the largest losses.",
        advice="Correct or remove the wrong labels. Label smoothing and larger batches limit their harm.",
        is_not="It is no proof: classes that overlap can look the same, and then no label is wrong.",
        sources=("https://arxiv.org/abs/1911.00068", "https://arxiv.org/abs/2103.14749"),
        alarm=True,
    ),
    Cause(
        code="LRS336",
        name="unweighted-samples",
        title="Most samples have a weight of zero, so they do not count in the loss.",
        means=(
            "Then half of the samples in a batch, or fewer, count. So the loss is small and noisy, and so are the "
            "steps, and the loss of a constant prediction is small as well."
        ),
        start=1.2,
        when=(
            Clue(
                when=(Condition("zero_weight_share", ">=", 0.5), Condition("zero_weight_share", "<", 0.999)),
                says="{zero_weight_share} of the samples have a weight of zero in the loss.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("zero_weight_share", ">=", 0.8),),
                weight=1.5,
                says="Fewer than one sample in five counts.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("zero_weight_share", "<", 0.05),),
                says="Only {zero_weight_share} of the samples have a weight of zero.",
            ),
        ),
        to_check="Print the share of zeros in `sample_weight`, and the values of `class_weight`.",
        advice="Check whether you want these weights. If so, leave these samples out: then each batch counts in full.",
        is_not="A small loss does not mean that the model is good: most of its answers are not looked at.",
        sources=("https://keras.io/api/models/model_training_apis/",),
        alarm=True,
    ),
    Cause(
        code="LRS323",
        name="class-imbalance",
        title="Most samples have the same label, so a model that always predicts it scores well.",
        means=(
            "In the first part of the fall, the model only learns how frequent each label is. After that, each batch "
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
            Clue(
                when=(Condition("majority_share", ">=", 0.85), Condition("majority_share", "<", 0.95)),
                weight=1.2,
                says="Few samples have another label.",
            ),
            Clue(when=(Condition("majority_share", ">=", 0.95),), weight=2.0, says="Hardly any have another label."),
            Clue(
                when=(is_true("first_batches_alike"),),
                weight=-3.0,
                says="Against it: all labels of the first batches are the same, so the data may just be sorted.",
            ),
        ),
        not_for=(Clue(when=(is_true("has_one_label"),), says="All labels are the same."), CLASSES_WEIGHTED),
        rules_out=(
            Clue(
                when=(Condition("majority_share", "<", 0.6),),
                says="Only {majority_share} of the samples have the most frequent label.",
            ),
        ),
        to_check="Compare the accuracy with the share of the most frequent label.",
        advice=(
            "Scan with larger batches, so that each holds some samples of the rare labels. In training, watch recall "
            "or balanced accuracy, and try `class_weight`."
        ),
        is_not="A low loss does not mean that the model finds rare classes.",
        sources=("https://www.tensorflow.org/tutorials/structured_data/imbalanced_data",),
        alarm=True,
    ),
)
"""The causes that lie in the data."""
