"""Causes that lie in how the model starts out: what it knows already, and what stands on top of its loss."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import (
    AT_CHANCE,
    BETTER,
    LOSS_FALLS,
    MUCH_PENALTY,
    NEVER_FALLS,
    STARTS_AT_CHANCE,
    STARTS_BETTER,
    STARTS_WORSE,
    TRAINED_BETTER,
    WORSE,
)
from keras_lrscan.reading.facts import FALLS, NO_FALL, RISES, Condition, is_false, is_true

__all__ = ["CAUSES_OF_START"]

CAUSES_OF_START: tuple[Cause, ...] = (
    Cause(
        code="LRS301",
        name="already-good",
        title="The model is already good at this task, so the test had nothing to gain.",
        means="A hundred batches cannot make a good model much better. They can only show where it would break.",
        start=-1.0,
        when=(NEVER_FALLS,),
        clues=(
            Clue(when=(BETTER,), weight=3.5, says=STARTS_BETTER.says),
            Clue(
                when=(Condition("start_accuracy", ">=", 0.9),),
                weight=1.5,
                says="{start_accuracy} of the answers in the first batch were right, before any training.",
            ),
            Clue(
                when=(Condition("optimizer_iterations", ">", 0),),
                weight=1.0,
                says="The optimizer had made {optimizer_iterations} updates before.",
            ),
            Clue(
                when=(Condition("num_used_layers", ">", 0), is_false("head_is_fresh")),
                weight=0.5,
                says="{num_used_layers} of {num_layers} layers were trained before.",
            ),
            Clue(when=(RISES,), weight=0.5, says="Large rates break it, so it does react to training."),
        ),
        rules_out=(STARTS_AT_CHANCE, STARTS_WORSE),
        to_check="Evaluate the model before training: it is right far more often than guessing would be.",
        advice="Train gently, well below the rate that breaks it, or keep the model as it is.",
        is_not="It does not mean that training longer is useless, only that it will be slow.",
        sources=(
            "https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",
            "https://github.com/davidtvs/pytorch-lr-finder/issues/44",
        ),
        alarm=False,
    ),
    Cause(
        code="LRS302",
        name="fresh-start",
        title="The model starts from nothing and learns: this is how a healthy start looks.",
        means="A new model can only guess. As the steps grow, it learns fast, until they are too large.",
        start=-0.2,
        when=(LOSS_FALLS,),
        clues=(
            Clue(when=(AT_CHANCE,), weight=1.2, says=STARTS_AT_CHANCE.says),
            Clue(when=(WORSE,), weight=0.4, says=""),
            Clue(when=(Condition("lowest_ratio", ">=", 0.93),), weight=-1.5, says=""),
            Clue(
                when=(Condition("num_used_layers", "==", 0),),
                weight=0.4,
                says="No layer shows signs of earlier training.",
            ),
            Clue(when=(is_true("is_trained"),), weight=-2.0, says=""),
            Clue(when=(is_true("head_is_fresh"),), weight=-3.0, says=""),
            Clue(when=(Condition("optimizer_iterations", ">", 0),), weight=-1.5, says=""),
        ),
        rules_out=(TRAINED_BETTER,),
        to_check="The first loss is close to that of guessing.",
        advice="Nothing to mend here.",
        is_not="It does not tell how good the model will get.",
        sources=("https://arxiv.org/abs/1506.01186",),
        alarm=False,
    ),
    Cause(
        code="LRS315",
        name="new-head",
        title="A new last layer stands on a trained body: it starts at guessing and learns fast.",
        means=(
            "The body knows a lot, but the new last layer (the head) knows nothing yet. So the loss starts at guessing "
            "and the curve is an ordinary U, although the model is pretrained."
        ),
        start=1.4,
        when=(Clue(when=(is_true("has_new_head"),), says="The last layer is new."),),
        clues=(
            Clue(
                when=(Condition("num_used_layers", ">", 0),),
                says="{num_used_layers} of {num_layers} layers were trained before.",
            ),
            Clue(
                when=(Condition("num_frozen_layers", ">", 0),),
                says="{num_frozen_layers} of {num_layers} layers are frozen, as pretrained ones often are.",
            ),
            Clue(when=(FALLS,), weight=1.5, says=LOSS_FALLS.says),
            Clue(when=(AT_CHANCE,), weight=0.5, says=STARTS_AT_CHANCE.says),
            Clue(
                when=(Condition("backbone", "!=", ""),),
                weight=0.3,
                says="The body is a known one: {backbone}.",
            ),
        ),
        rules_out=(STARTS_BETTER,),
        to_check="Replace the last layer by a trained one: the first loss should be far below guessing.",
        advice="Train the new layer first with the body frozen, then all of it at a rate 10 to 100 times smaller.",
        is_not="A U does not mean that the pretrained weights were lost.",
        sources=(
            "https://keras.io/guides/transfer_learning/",
            "https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",
        ),
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
            Clue(when=(NO_FALL,), weight=-1.2, says="Against it: the loss never falls by more than the noise."),
            Clue(when=(BETTER,), weight=3.6, says=STARTS_BETTER.says),
            Clue(
                when=(Condition("optimizer_iterations", ">", 0),),
                weight=2.4,
                says="The optimizer had made {optimizer_iterations} updates before.",
            ),
            Clue(
                when=(Condition("num_used_layers", ">", 0), is_false("head_is_fresh")),
                weight=0.8,
                says="{num_used_layers} of {num_layers} layers were trained before.",
            ),
            Clue(
                when=(
                    AT_CHANCE,
                    is_true("is_trained"),
                    Condition("optimizer_iterations", "==", 0),
                ),
                weight=1.6,
                says="The last layer, too, has weights that training left.",
            ),
            Clue(
                when=(is_true("is_untrained"),),
                weight=-2.5,
                says="Against it: no layer shows signs of earlier training.",
            ),
        ),
        rules_out=(
            Clue(
                when=(AT_CHANCE, Condition("num_used_layers", "==", 0)),
                says="The first loss is {start_ratio} times that of guessing, and no layer was trained before.",
            ),
        ),
        to_check="Evaluate the model before training, and again after an epoch.",
        advice="Train on, and stay left of the bottom of the curve.",
        is_not="It is not a sign that earlier training failed.",
        sources=("https://forums.fast.ai/t/57401",),
        alarm=False,
    ),
    Cause(
        code="LRS311",
        name="regularization",
        title="A penalty on top of the error (regularization) lifts the whole curve.",
        means="The loss on the plot is the error plus that penalty. The penalty hardly changes, so it is like a floor.",
        start=-3.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("regularization_share", ">=", 0.2),),
                weight=4.0,
                says="{regularization_share} of the first loss is this penalty.",
            ),
            Clue(when=(Condition("regularization_share", ">=", MUCH_PENALTY),), weight=1.2, says=""),
            Clue(
                when=(is_true("has_activity_penalty"),),
                weight=3.0,
                says="A layer adds a penalty on what it puts out.",
            ),
            Clue(
                when=(is_true("has_activity_penalty"), WORSE),
                weight=2.0,
                says="The first loss is {start_ratio} times that of guessing, so much of it is no error.",
            ),
            Clue(
                when=(Condition("regularization_share", ">=", 0.6),),
                weight=1.0,
                says="That is more than the error itself.",
            ),
        ),
        rules_out=(
            Clue(
                when=(
                    Condition("regularization_share", "<", 0.05),
                    is_false("has_activity_penalty"),
                ),
                says="Only {regularization_share} of the first loss is regularization.",
            ),
        ),
        to_check="Print `sum(model.losses)` before training: it is that large.",
        advice="Compare only the rest of the loss with guessing, as is done here. Is so strong a penalty meant?",
        is_not="It does not mean that the model is worse than guessing.",
        sources=("https://keras.io/api/layers/regularizers/",),
        alarm=False,
    ),
    Cause(
        code="LRS330",
        name="averaging",
        title="The tool that made this record stored averages, not the loss of each batch.",
        means=(
            "An average looks back. So the fall and the rise show up too late and too small: a deep valley can look "
            "like a flat line with a spike, and its lowest point stands too far right."
        ),
        start=-4.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("drawn_average", "!=", ""),),
                weight=7.0,
                says="The stored losses were averages ({drawn_average}).",
            ),
            Clue(
                when=(is_true("is_foreign"),),
                weight=3.6,
                says="The record does not say which tool made it, and most tools store averages.",
            ),
            Clue(
                when=(is_true("is_foreign"), Condition("neighbor_correlation", ">", -0.25)),
                weight=2.0,
                says="Each loss resembles the one before it more than single batches do.",
            ),
            Clue(
                when=(is_true("is_foreign"), Condition("neighbor_correlation", "<", -0.35)),
                weight=-2.5,
                says="Against it: the losses jump from batch to batch as those of single batches do.",
            ),
        ),
        to_check="Scan once more with `LRScan`, which records every batch alone.",
        advice="Read the batch losses, not the picture of that tool. Rates read off that picture are too large.",
        is_not="The flat line of such a picture says nothing about your model.",
        sources=(
            "https://github.com/tensorflow/tensorflow/issues/58098",
            "https://github.com/keras-team/keras/issues/17167",
            "https://discuss.huggingface.co/t/abnormal-learn-rate-curve/3023",
        ),
        alarm=False,
    ),
)
"""Causes that lie in the start."""
