"""Defines the conditions and clues that several causes share."""

from __future__ import annotations

from keras_lrscan.causes.cause import Clue
from keras_lrscan.curves.loss_names import CROSSENTROPIES
from keras_lrscan.reading.facts import CALM_START, FALLS, NO_FALL, NO_RISE, RISES, Condition, is_false, is_true
from keras_lrscan.reading.start_state import StartState

__all__ = [
    "AT_CHANCE",
    "BETTER",
    "BOUNDED",
    "CLASSES_WEIGHTED",
    "IS_CROSSENTROPY",
    "LOSS_FALLS",
    "LOSS_RISES",
    "MIXED",
    "MUCH_PENALTY",
    "NEVER_FALLS",
    "NEVER_RISES",
    "SINGLE_VALLEY",
    "STARTS_AT_CHANCE",
    "STARTS_BETTER",
    "STARTS_MIXED",
    "STARTS_WORSE",
    "SUSPECT",
    "TRAINED_BETTER",
    "UNBOUNDED",
    "UNKNOWN",
    "UPDATED_BEFORE",
    "WORSE",
]

MUCH_PENALTY = 0.3
"""Penalties that make up this share of the loss lift the whole curve."""

BOUNDED = ("softmax", "sigmoid", "hard_sigmoid")
"""Activations with probabilities as outputs."""

UNBOUNDED = ("linear", "relu", "tanh")
"""Activations with outputs that are no probabilities."""

SUSPECT = 0.025
"""Share of labels that are wrong most likely from which some may be wrong.

In eight draws each of 162 and of 400 samples of the digits and of Fashion-MNIST, it is at most 0.013, in pictures of
emoji 0.016, and 0.03 to 0.07 in most draws of the digits if a fifth of their labels is drawn at random.
"""

IS_CROSSENTROPY = Condition("loss_name", "in", CROSSENTROPIES)

AT_CHANCE = Condition("start_state", "==", StartState.AT_CHANCE)
BETTER = Condition("start_state", "==", StartState.BETTER_THAN_CHANCE)
WORSE = Condition("start_state", "==", StartState.WORSE_THAN_CHANCE)
MIXED = Condition("start_state", "==", StartState.MIXED)
UNKNOWN = Condition("start_state", "==", StartState.UNKNOWN)

STARTS_AT_CHANCE = Clue(when=(AT_CHANCE,), says="The loss starts at {start_ratio} times the chance level.")
STARTS_BETTER = Clue(when=(BETTER,), says="The loss starts at only {start_ratio} times the chance level.")
STARTS_WORSE = Clue(
    when=(WORSE,), says="The loss starts at {start_ratio} times the chance level, so worse than chance."
)
STARTS_MIXED = Clue(when=(MIXED,), says="Some outputs start better than the chance level, others do not.")
TRAINED_BETTER = Clue(when=(BETTER, is_false("is_untrained")), says=STARTS_BETTER.says)
CLASSES_WEIGHTED = Clue(when=(is_true("has_class_weight"),), says="`class_weight` gives each class its weight.")
SINGLE_VALLEY = Clue(
    when=(is_true("has_single_valley"),),
    says="Only one layer trains, without hidden layers that train, so its loss has a single valley.",
)
UPDATED_BEFORE = Clue(
    when=(Condition("optimizer_iterations", ">", 0),),
    says="Before the scan, the optimizer had already made updates ({optimizer_iterations}).",
)
LOSS_FALLS = Clue(when=(FALLS, CALM_START), says="The loss falls by {fall_in_noise} times the batch-to-batch noise.")
LOSS_RISES = Clue(when=(RISES,), says="The loss turns upward within the test.")
NEVER_FALLS = Clue(when=(NO_FALL,), says="The loss never falls by more than the batch-to-batch noise.")
NEVER_RISES = Clue(when=(NO_RISE,), says="The loss never turns upward.")
