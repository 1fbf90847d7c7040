"""Defines the causes that lie in the labels: noise, weights, imbalance, and labels that do not reach the loss."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    CLASSES_WEIGHTED,
    MIXED,
    STARTS_AT_CHANCE,
    STARTS_BETTER,
    SUSPECT,
    UNKNOWN,
)
from keras_lrscan.reading.facts import RISES, Condition, is_false, is_true

__all__ = ["CAUSES_OF_LABELS"]

CAUSES_OF_LABELS: tuple[Cause, ...] = (
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
"""The causes that lie in the labels."""
