"""Causes that lie in how the data are fed: in what order, how often, how many at a time."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import NEVER_FALLS
from keras_lrscan.curves.context import BATCHES_SEEN
from keras_lrscan.reading.facts import FALLS, IN_ORDER, NO_FALL, Condition, is_false, is_true

__all__ = ["CAUSES_OF_FEEDING"]

CAUSES_OF_FEEDING: tuple[Cause, ...] = (
    Cause(
        code="LRS320",
        name="ordered-data",
        title="The data come in order, by class or by time, and are not shuffled.",
        means="Batches next to each other are alike, so the loss goes up and down with the data, not with the rate.",
        start=-2.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("label_runs", ">=", 0.2), is_false("shuffled")),
                weight=4.0,
                says="The data are sorted by label ({label_runs} on a scale from 0 to 1) and `fit` does not shuffle.",
            ),
            Clue(
                when=(Condition("label_runs", ">=", IN_ORDER), Condition("data_seen", "==", BATCHES_SEEN)),
                weight=2.0,
                says="The first batches come sorted by label ({label_runs} on a scale from 0 to 1).",
            ),
            Clue(
                when=(is_true("first_batches_alike"),),
                weight=3.5,
                says="All samples of the first batches have the same label.",
            ),
            Clue(
                when=(Condition("epoch_pattern", ">=", 0.5),),
                weight=2.2,
                says="The same pattern comes back every epoch (correlation {epoch_pattern}).",
            ),
            Clue(
                when=(Condition("epoch_pattern", ">=", 0.3), is_false("shuffled")),
                weight=1.0,
                says="",
            ),
        ),
        rules_out=(
            Clue(when=(is_true("well_shuffled"),), says="The data are shuffled."),
            Clue(
                when=(Condition("label_runs", "<", 0.05), Condition("epoch_pattern", "<", 0.3)),
                says="The labels come in no order, and no pattern comes back.",
            ),
        ),
        to_check="Print the labels of three batches in a row.",
        advice="Shuffle: `fit(shuffle=True)`, or `.shuffle(buffer)` with a buffer as large as the data.",
        is_not="The waves are not an effect of the learning rate.",
        sources=("https://github.com/beringresearch/lrfinder/issues/1",),
        alarm=True,
    ),
    Cause(
        code="LRS319",
        name="repeated-data",
        title="The test went through a small set of data again and again, so the model learned it by heart.",
        means="The loss falls since the same samples come back, not only since the rate is good.",
        start=-0.9,
        when=(
            Clue(
                when=(Condition("epochs_over_data", ">=", 4.0),),
                says="The test went through the {num_different} different samples {epochs_over_data} times.",
            ),
        ),
        clues=(
            Clue(when=(Condition("epochs_over_data", ">=", 8.0),), weight=1.6, says=""),
            Clue(when=(Condition("epochs_over_data", ">=", 12.0),), weight=0.8, says=""),
            Clue(when=(Condition("epochs_over_data", ">=", 20.0),), weight=0.7, says=""),
            Clue(
                when=(Condition("lowest_ratio", "<", 0.2), FALLS),
                weight=0.8,
                says="The loss goes down to {lowest_ratio} times that of guessing.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("epochs_over_data", "<", 2.0),),
                says="The test went through the data {epochs_over_data} times only.",
            ),
        ),
        to_check="Scan with fewer steps, so that each sample is seen once or twice, and compare.",
        advice="Do not read the depth of the valley; watch the loss on data kept aside when you train.",
        is_not="It is not proof of overfitting, but a reason to look for it with data kept aside.",
        sources=("https://github.com/beringresearch/lrfinder/issues/1",),
        alarm=False,
    ),
    Cause(
        code="LRS309",
        name="small-batches",
        title="The batches are small, so the loss of each is mostly luck.",
        means="Each point is the mean of a few samples. Easy and hard samples make it jump up and down.",
        start=-0.2,
        when=(
            Clue(
                when=(Condition("batch_size", "<", 16),),
                says="One batch has {batch_size} samples.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("noise", ">=", 0.06),),
                says="The loss of a batch jumps by {noise} of the loss of guessing.",
            ),
            Clue(when=(Condition("noise", "<", 0.06),), weight=-1.5, says=""),
            Clue(
                when=(Condition("noise_over_fall", ">=", 0.25),),
                weight=0.8,
                says="That is {noise_over_fall} of the whole fall.",
            ),
            Clue(when=(Condition("noise_over_fall", "<", 0.12),), weight=-1.2, says=""),
            Clue(when=(Condition("noise", ">=", 0.1),), weight=0.8, says=""),
            Clue(when=(NO_FALL,), weight=0.5, says=NEVER_FALLS.says),
            Clue(when=(Condition("batch_size", "<", 8),), weight=0.8, says=""),
        ),
        rules_out=(Clue(when=(Condition("batch_size", ">=", 64),), says="One batch has {batch_size} samples."),),
        to_check="Scan again with four times the batch size: the jumps should halve.",
        advice="Use larger batches or more steps for the scan, or run it three times.",
        is_not="Jumps do not mean that the data are bad or that training fails.",
        sources=("https://cs231n.github.io/neural-networks-3/",),
        alarm=True,
    ),
)
"""Causes that lie in the feeding."""
