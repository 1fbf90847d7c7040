"""Defines the causes that lie in the start of a model: earlier training, and penalties or averages in its loss."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    BETTER,
    BOUNDED,
    IS_CROSSENTROPY,
    LOSS_FALLS,
    MIXED,
    MUCH_PENALTY,
    NEVER_FALLS,
    STARTS_AT_CHANCE,
    STARTS_BETTER,
    STARTS_MIXED,
    STARTS_WORSE,
    TRAINED_BETTER,
    UNBOUNDED,
    UPDATED_BEFORE,
    WORSE,
)
from keras_lrscan.curves.context import EPOCH
from keras_lrscan.reading.facts import FALLS, NO_FALL, NO_FLOOR, RISES, Condition, is_false, is_true

__all__ = ["CAUSES_OF_START"]

HARDLY_BELOW = 0.95
"""Share of the chance level from which the first loss of a trained model is hardly below it.

Fits of the benchmark of causes that were trained for 10 to 80 batches start at 0.2 to 0.94 of it.
"""

MOSTLY_ZERO = 0.5
"""Share of samples without weight from which most do not count in the loss."""

MISMATCHES: tuple[Clue, ...] = (
    Clue(
        when=(IS_CROSSENTROPY, is_true("from_logits"), Condition("output_activation", "in", BOUNDED)),
        weight=-4.0,
        says="Against it: the last layer has a {output_activation}, but the loss has `from_logits=True`.",
    ),
    Clue(
        when=(IS_CROSSENTROPY, is_false("from_logits"), Condition("output_activation", "in", UNBOUNDED)),
        weight=-4.0,
        says="Against it: the last layer has no softmax or sigmoid ({output_activation}), but the loss expects one.",
    ),
)
"""Evidence against a healthy start: the loss does not fit the last layer."""

CAUSES_OF_START: tuple[Cause, ...] = (
    Cause(
        code="LRS301",
        name="already-good",
        title="The model is already good at this task, so the test had little to gain.",
        means="A hundred batches cannot make a good model much better. They can only show which rate breaks it.",
        start=-1.0,
        when=(NEVER_FALLS,),
        clues=(
            Clue(when=(BETTER, Condition("start_ratio", "<", 0.5)), weight=3.5, says=STARTS_BETTER.says),
            Clue(when=(BETTER, Condition("start_ratio", ">=", 0.5)), weight=2.0, says=STARTS_BETTER.says),
            Clue(
                when=(Condition("start_accuracy", ">=", 0.9), Condition("batch_size", ">=", 16)),
                weight=1.5,
                says="Before the test, {start_accuracy} of the answers in the first batch were right.",
            ),
            Clue(when=UPDATED_BEFORE.when, weight=1.0, says=UPDATED_BEFORE.says),
            Clue(
                when=(Condition("num_used_layers", ">", 0), is_false("head_is_fresh")),
                weight=0.5,
                says="Layers that show earlier training: {num_used_layers} of {num_layers}.",
            ),
            Clue(when=(RISES,), weight=0.5, says="Large rates break the model, so it does react to training."),
            Clue(
                when=(is_true("is_untrained"),),
                weight=-2.5,
                says="Against it: no layer shows signs of earlier training.",
            ),
        ),
        rules_out=(STARTS_AT_CHANCE, STARTS_WORSE, STARTS_MIXED),
        to_check="Evaluate the model before training: it should be far better than a constant prediction.",
        advice="Train gently, well below the rate that breaks it, or keep the model as it is.",
        is_not="It does not mean that more training is useless, only that it will be slow.",
        sources=(
            "https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",
            "https://github.com/davidtvs/pytorch-lr-finder/issues/44",
        ),
        alarm=False,
    ),
    Cause(
        code="LRS302",
        name="fresh-start",
        title="The model starts untrained.",
        means="A new model knows nothing yet. As the rate grows, its loss falls, and rises once steps are too large.",
        start=-0.2,
        when=(LOSS_FALLS,),
        clues=(
            Clue(when=(AT_CHANCE,), weight=1.2, says=STARTS_AT_CHANCE.says),
            Clue(when=(WORSE,), weight=0.4, says=STARTS_WORSE.says + " New models can do that."),
            Clue(
                when=(Condition("lowest_ratio", ">=", 0.93),),
                weight=-1.5,
                says="Against it: the loss falls only to {lowest_ratio} times the chance level.",
            ),
            Clue(
                when=(Condition("zero_weight_share", ">=", MOSTLY_ZERO),),
                weight=-2.5,
                says="Against it: {zero_weight_share} of the samples have a weight of zero.",
            ),
            *MISMATCHES,
            Clue(
                when=(is_true("trains_head_only"),),
                weight=-3.0,
                says="Against it: training is off in {num_frozen_layers} of {num_layers} layers, which may be trained.",
            ),
            Clue(
                when=(Condition("output_loss_ratio", ">=", 1e4),),
                weight=-4.0,
                says="Against it: the loss of one output is {output_loss_ratio} times that of another, which hardly "
                "counts beside it.",
            ),
            Clue(
                when=(Condition("num_used_layers", "==", 0),),
                weight=0.4,
                says="No layer shows signs of earlier training.",
            ),
            Clue(
                when=(is_true("is_trained"),),
                weight=-2.0,
                says="Against it: layers that show earlier training: {num_used_layers} of {num_layers}.",
            ),
            Clue(
                when=(Condition("optimizer_iterations", ">", 0),),
                weight=-1.5,
                says="Against it: the optimizer was used before (updates: {optimizer_iterations}).",
            ),
        ),
        not_for=(Clue(when=(NO_FLOOR,), says="This loss falls without end at large rates."),),
        rules_out=(
            TRAINED_BETTER,
            Clue(when=(MIXED, is_false("is_untrained")), says=STARTS_MIXED.says),
            Clue(
                when=(is_true("has_new_head"),),
                says="Only the last layer is new, on layers that are trained or frozen.",
            ),
        ),
        to_check="Compare the first loss with the chance level: the two should be close.",
        advice="There is nothing to fix here.",
        is_not="It does not predict how good the model will get.",
        sources=("https://arxiv.org/abs/1506.01186",),
        alarm=False,
    ),
    Cause(
        code="LRS315",
        name="new-head",
        title="The last layer is new, on top of a trained model.",
        means=(
            "The layers below know a lot, but the new last layer (the head) knows nothing yet. So its output starts "
            "no better than the chance level, although most of the model is pretrained."
        ),
        start=1.4,
        when=(Clue(when=(is_true("has_new_head"),), says="The last layer is new."),),
        clues=(
            Clue(
                when=(Condition("num_used_layers", ">", 0),),
                says="Layers that show earlier training: {num_used_layers} of {num_layers}.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", ">", 0),),
                says="Frozen layers, as is common for pretrained ones: {num_frozen_layers} of {num_layers}.",
            ),
            Clue(when=(FALLS,), weight=1.5, says=LOSS_FALLS.says),
            Clue(when=(AT_CHANCE,), weight=0.5, says=STARTS_AT_CHANCE.says),
            Clue(
                when=(Condition("backbone", "!=", ""),),
                weight=0.3,
                says="The model contains a known pretrained architecture: {backbone}.",
            ),
            Clue(
                when=(is_true("trains_head_only"),),
                weight=-3.0,
                says="Against it: training is off in the layers below, so they stay as they are.",
            ),
        ),
        rules_out=(STARTS_BETTER,),
        to_check="Replace the last layer with a trained one: the first loss should drop far below the chance level.",
        advice=(
            "Train all layers together, or first only the new one with the others frozen. Scan again for each: a new "
            "layer alone takes larger rates."
        ),
        advice_here=(
            Clue(
                when=(Condition("num_frozen_layers", ">", 0),),
                says="Train like this until the loss stops falling. Then unfreeze layers, compile, and scan again: "
                "they need smaller rates.",
            ),
        ),
        is_not="A U does not mean that the pretrained weights were lost.",
        sources=(
            "https://keras.io/guides/transfer_learning/",
            "https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",
        ),
        alarm=False,
    ),
    Cause(
        code="LRS334",
        name="frozen-features",
        title="Only new layers train, on the outputs of frozen ones.",
        means=(
            "The frozen layers turn each sample into features, and these do not change. The new layers on top know "
            "nothing yet, so their curve is like that of a new model."
        ),
        start=1.4,
        when=(
            Clue(
                when=(is_true("trains_head_only"),),
                says="Training is off in {num_frozen_layers} of {num_layers} layers, and the others look untrained.",
            ),
        ),
        clues=(
            Clue(when=(FALLS,), weight=1.5, says=LOSS_FALLS.says),
            Clue(when=(AT_CHANCE,), weight=0.5, says=STARTS_AT_CHANCE.says),
            Clue(
                when=(NO_FALL,),
                weight=-2.5,
                says="Against it: the loss never falls by more than the batch-to-batch noise.",
            ),
            Clue(
                when=(Condition("trainable_share", "<", 0.02), NO_FALL),
                weight=-1.5,
                says="Against it: only {trainable_share} of the parameters can train.",
            ),
        ),
        rules_out=(STARTS_BETTER,),
        to_check="Print `[layer.name for layer in model.layers if layer.trainable]`: it should name the new layers.",
        advice="If you unfreeze the other layers later, compile and scan again: they need lower rates.",
        is_not="The rate holds for the new layers only, not for the frozen ones.",
        sources=("https://keras.io/guides/transfer_learning/",),
        alarm=False,
    ),
    Cause(
        code="LRS335",
        name="hardly-trained",
        title="The model was trained before, but that training has hardly taught it this task.",
        means="Its loss still starts as high as that of a constant prediction, so the curve is that of a new model.",
        start=-0.5,
        when=(
            Clue(
                when=(Condition("start_ratio", ">=", HARDLY_BELOW),),
                says="The loss starts at {start_ratio} times the chance level.",
            ),
            Clue(when=(is_true("was_trained"),), says="There are signs of earlier training."),
        ),
        clues=(
            Clue(when=UPDATED_BEFORE.when, weight=2.0, says=UPDATED_BEFORE.says),
            Clue(
                when=(Condition("optimizer_iterations", "==", 0), is_true("is_trained")),
                weight=1.8,
                says="Earlier training shows in {num_used_layers} of {num_layers} layers.",
            ),
            Clue(when=(FALLS,), weight=0.5, says=LOSS_FALLS.says),
        ),
        rules_out=(STARTS_BETTER, STARTS_MIXED),
        to_check="Evaluate the model before training, and compare its loss with that of a constant prediction.",
        advice=(
            "Choose a rate as for a new model. If the earlier training was long, check its rate, and whether its "
            "labels meant the same."
        ),
        is_not="It does not mean that the model cannot learn this task.",
        sources=("https://karpathy.github.io/2019/04/25/recipe/",),
        alarm=False,
    ),
    Cause(
        code="LRS303",
        name="partly-trained",
        title="The model is partly trained and can still improve.",
        means="It has learned something already, but it is not yet as good as it can get.",
        start=-2.4,
        when=(),
        clues=(
            Clue(when=(FALLS,), weight=0.2, says=LOSS_FALLS.says),
            Clue(
                when=(NO_FALL,),
                weight=-1.2,
                says="Against it: the loss never falls by more than the batch-to-batch noise.",
            ),
            Clue(
                when=(NO_FALL, BETTER),
                weight=-3.3,
                says="Against it: it starts out good, and this test shows no sign that it can still improve.",
            ),
            Clue(when=(BETTER,), weight=3.6, says=STARTS_BETTER.says),
            Clue(when=(MIXED,), weight=2.6, says=STARTS_MIXED.says),
            Clue(when=UPDATED_BEFORE.when, weight=2.4, says=UPDATED_BEFORE.says),
            Clue(
                when=(Condition("num_used_layers", ">", 0), is_false("head_is_fresh")),
                weight=0.8,
                says="Layers that show earlier training: {num_used_layers} of {num_layers}.",
            ),
            Clue(
                when=(
                    AT_CHANCE,
                    is_true("is_trained"),
                    Condition("optimizer_iterations", "==", 0),
                ),
                weight=1.6,
                says="The last layer, too, shows signs of earlier training.",
            ),
            Clue(
                when=(Condition("num_used_layers", "==", 0), Condition("optimizer_iterations", "==", 0)),
                weight=-2.5,
                says="Against it: no layer shows signs of earlier training.",
            ),
            Clue(
                when=(Condition("start_ratio", ">=", HARDLY_BELOW),),
                weight=-2.5,
                says="Against it: the loss starts at {start_ratio} times the chance level.",
            ),
        ),
        rules_out=(
            Clue(
                when=(AT_CHANCE, Condition("num_used_layers", "==", 0)),
                says="The loss starts at {start_ratio} times the chance level, and no layer was trained before.",
            ),
        ),
        to_check="Evaluate the model before training, and again after an epoch.",
        advice="Keep training, at a rate left of the bottom of the curve.",
        is_not="It is not a sign that earlier training failed.",
        sources=("https://forums.fast.ai/t/57401",),
        alarm=False,
    ),
    Cause(
        code="LRS311",
        name="regularization",
        title="A penalty that is added to the error (regularization) lifts the whole curve.",
        means="The loss on the plot is the error plus that penalty, and the steps lower both.",
        start=-3.0,
        when=(),
        clues=(
            Clue(
                when=(
                    Condition("regularization_share", ">=", 0.2),
                    Condition("regularization_share", "<", MUCH_PENALTY),
                ),
                weight=4.0,
                says="At the start, {regularization_share} of the loss is this penalty.",
            ),
            Clue(
                when=(
                    Condition("regularization_share", ">=", MUCH_PENALTY),
                    Condition("regularization_share", "<", 0.6),
                ),
                weight=5.2,
                says="At the start, {regularization_share} of the loss is this penalty, a large part.",
            ),
            Clue(
                when=(Condition("regularization_share", ">=", 0.6),),
                weight=6.2,
                says="At the start, {regularization_share} of the loss is this penalty, more than the error itself.",
            ),
            Clue(
                when=(is_true("has_activity_penalty"),),
                weight=3.0,
                says="A layer adds a penalty on its output.",
            ),
            Clue(
                when=(is_true("has_activity_penalty"), WORSE),
                weight=2.0,
                says="The loss starts at {start_ratio} times the chance level, and that penalty is part of it.",
            ),
        ),
        rules_out=(
            Clue(
                when=(
                    Condition("regularization_share", "<", 0.05),
                    is_false("has_activity_penalty"),
                ),
                says="Only {regularization_share} of the loss at the start is regularization.",
            ),
        ),
        to_check="Print `sum(model.losses)` before training, and compare it with the first loss.",
        advice="Check whether you intended such strong regularization. Subtract it to compare with the chance level.",
        is_not="It does not mean that the model is worse than a constant prediction.",
        sources=("https://keras.io/api/layers/regularizers/",),
        alarm=False,
    ),
    Cause(
        code="LRS330",
        name="averaging",
        title="The stored losses are running averages, not the loss of each batch.",
        means=(
            "An average looks back. So the fall and the rise appear too late and too small. A deep valley can look "
            "like a flat line with a spike, and its lowest point lies too far right."
        ),
        start=-4.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("drawn_average", "!=", ""), Condition("drawn_average", "!=", "keras-one-cycle")),
                weight=7.0,
                says="The stored losses were averages ({drawn_average}).",
            ),
            Clue(
                when=(is_true("from_picture"),),
                weight=3.6,
                says="The numbers were read from a picture, and most tools draw averages.",
            ),
            Clue(
                when=(is_true("from_picture"), Condition("neighbor_correlation", "<", -0.35)),
                weight=-2.5,
                says="Against it: the losses jump from one to the next, as those of single batches do.",
            ),
            Clue(
                when=(is_true("is_foreign"),),
                weight=3.6,
                says="The record does not say which tool made it, and most tools store averages.",
            ),
            Clue(
                when=(is_true("is_foreign"), Condition("neighbor_correlation", ">", -0.25)),
                weight=2.0,
                says="Each loss resembles the one before it more closely than the losses of single batches do.",
            ),
            Clue(
                when=(is_true("is_foreign"), Condition("neighbor_correlation", "<", -0.35)),
                weight=-2.5,
                says="Against it: the losses jump from one to the next, as those of single batches do.",
            ),
        ),
        not_for=(
            Clue(
                when=(Condition("averaged_over", "==", EPOCH),),
                says="Each point is the mean loss of one epoch at one learning rate, which does not lag.",
            ),
        ),
        to_check="Scan again with `LRScan`, which records the loss of each batch.",
        advice="Read the batch losses, not the plot of averages. Rates that are read off that plot are too large.",
        is_not="A flat line in such a plot says nothing about your model.",
        sources=(
            "https://github.com/tensorflow/tensorflow/issues/58098",
            "https://github.com/keras-team/keras/issues/17167",
            "https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",
        ),
        alarm=False,
    ),
)
"""The causes that lie in the start of a model."""
