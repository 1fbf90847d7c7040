"""Defines the causes that lie in how `fit` feeds the data: their order, their repetition and the batch size."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import NEVER_FALLS, SUSPECT
from keras_lrscan.curves.context import BATCHES_SEEN
from keras_lrscan.reading.facts import FALLS, HAS_REFERENCE, IN_ORDER, NO_FALL, Condition, is_false, is_true

__all__ = ["CAUSES_OF_FEEDING"]

NOISE = "The batch-to-batch noise is {noise} of the chance level, or of the first loss if that level is unknown."

CAUSES_OF_FEEDING: tuple[Cause, ...] = (
    Cause(
        code="LRS320",
        name="ordered-data",
        title="The data are in order, by class or by time, and not shuffled.",
        means="Neighboring batches are alike, so the loss goes up and down with the data, not with the rate.",
        start=-2.0,
        when=(),
        clues=(
            Clue(
                when=(Condition("label_runs", ">=", 0.2), is_false("shuffled")),
                weight=4.0,
                says="The data are sorted by label ({label_runs} on a scale from 0 to 1), and `fit` does not shuffle.",
            ),
            Clue(
                when=(Condition("label_runs", ">=", IN_ORDER), Condition("data_seen", "==", BATCHES_SEEN)),
                weight=2.0,
                says="The first batches are sorted by label ({label_runs} on a scale from 0 to 1).",
            ),
            Clue(
                when=(is_true("first_batches_alike"),),
                weight=3.5,
                says="All samples of the first batches have the same label.",
            ),
            Clue(
                when=(Condition("epoch_pattern", ">=", 0.5),),
                weight=2.2,
                says="The losses repeat a pattern every epoch (correlation {epoch_pattern}).",
            ),
            Clue(
                when=(Condition("epoch_pattern", ">=", 0.3), is_false("shuffled")),
                weight=1.0,
                says="`fit` does not shuffle, which can explain a pattern that repeats every epoch.",
            ),
        ),
        rules_out=(
            Clue(when=(is_true("well_shuffled"),), says="The data are shuffled."),
            Clue(
                when=(is_true("well_shuffled"), is_true("order_repeats")),
                says="A random seed is set, so Keras repeats one random order in every epoch, and the losses may too.",
            ),
            Clue(
                when=(Condition("label_runs", "<", 0.05), Condition("epoch_pattern", "<", 0.3)),
                says="The labels are not sorted, and the losses do not repeat a pattern every epoch.",
            ),
        ),
        to_check="Print the labels of three batches in a row.",
        advice="Shuffle: `fit(shuffle=True)`, or `.shuffle(buffer)` with a buffer as large as the data.",
        is_not="The learning rate does not cause these waves.",
        sources=("https://github.com/beringresearch/lrfinder/issues/1",),
        alarm=True,
    ),
    Cause(
        code="LRS319",
        name="repeated-data",
        title="The test went through a small data set again and again, so the model may have memorized it.",
        means="The loss can fall because the same samples come back, and not only because the rate is good.",
        start=-0.9,
        when=(
            Clue(
                when=(Condition("epochs_over_data", ">=", 4.0),),
                says="The test went through the {num_different} different samples {epochs_over_data} times.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("epochs_over_data", ">=", 8.0), Condition("epochs_over_data", "<", 12.0)),
                weight=1.6,
                says="A model can memorize samples that come so often.",
            ),
            Clue(
                when=(Condition("epochs_over_data", ">=", 12.0), Condition("epochs_over_data", "<", 20.0)),
                weight=2.4,
                says="Samples that come so often are easy to memorize.",
            ),
            Clue(
                when=(Condition("epochs_over_data", ">=", 20.0),),
                weight=3.1,
                says="A large model memorizes samples that come so often.",
            ),
            Clue(
                when=(Condition("lowest_ratio", "<", 0.2), FALLS),
                weight=0.8,
                says="The loss falls to {lowest_ratio} times the chance level.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("epochs_over_data", "<", 2.0),),
                says="The test went through the data only {epochs_over_data} times.",
            ),
        ),
        to_check="Scan with fewer steps, so that each sample comes once or twice, and compare.",
        advice=(
            "Do not judge by how far the loss falls. When you train, watch the loss on data that the model does not "
            "train on."
        ),
        is_not="It does not prove overfitting, but it is a reason to check, on data that the model does not train on.",
        sources=("https://github.com/beringresearch/lrfinder/issues/1",),
        alarm=False,
    ),
    Cause(
        code="LRS309",
        name="small-batches",
        title="The batches are small, so the loss of each depends on chance.",
        means="Each point is the mean of a few samples. Easy and hard samples make it jump up and down.",
        start=-0.2,
        when=(
            Clue(
                when=(Condition("batch_size", "<", 16),),
                says="Samples in one batch: {batch_size}.",
            ),
        ),
        clues=(
            Clue(
                when=(Condition("noise", ">=", 0.06), Condition("noise", "<", 0.1), HAS_REFERENCE),
                says=NOISE,
            ),
            Clue(when=(Condition("noise", ">=", 0.1), HAS_REFERENCE), weight=0.8, says=NOISE),
            Clue(
                when=(Condition("noise", "<", 0.06), HAS_REFERENCE),
                weight=-1.5,
                says="Against it: the batch-to-batch noise is small ({noise} of the chance level or first loss).",
            ),
            Clue(
                when=(Condition("noise_over_fall", ">=", 0.25),),
                weight=0.8,
                says="The noise is {noise_over_fall} of the whole fall.",
            ),
            Clue(
                when=(Condition("noise_over_fall", "<", 0.12),),
                weight=-1.2,
                says="Against it: the noise is only {noise_over_fall} of the whole fall.",
            ),
            Clue(when=(NO_FALL,), weight=0.5, says=NEVER_FALLS.says),
            Clue(
                when=(Condition("suspect_labels", ">=", SUSPECT),),
                weight=-0.5,
                says="Against it: {suspect_labels} of the labels contradict those of similar ones, which adds noise.",
            ),
            Clue(
                when=(Condition("batch_size", "<", 8),),
                weight=0.8,
                says="The mean of fewer than 8 samples is very noisy.",
            ),
        ),
        rules_out=(Clue(when=(Condition("batch_size", ">=", 64),), says="Samples in one batch: {batch_size}."),),
        to_check="Scan again with four times the batch size: the noise should halve.",
        advice="Use larger batches or more steps for the scan, or run it three times.",
        is_not="A noisy curve does not mean that the data are bad or that training fails.",
        sources=("https://cs231n.github.io/neural-networks-3/",),
        alarm=True,
    ),
)
"""The causes that lie in the feeding of the data."""
