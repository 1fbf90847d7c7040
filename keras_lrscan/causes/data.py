"""Defines the causes that lie in the inputs and targets: their scale, and values that the loss cannot take."""

from __future__ import annotations

from keras_lrscan.causes.cause import Cause, Clue
from keras_lrscan.causes.clues import BETTER, STARTS_WORSE, WORSE
from keras_lrscan.curves.context import FAR, FLOAT16_POLICIES
from keras_lrscan.reading.facts import ALL_NUMBERS, POSITIVE_NUMBERS, UNKNOWN_DOMAIN, Condition, is_true

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

LIMITED = ("sigmoid", "hard_sigmoid", "softmax")
"""Activations whose outputs lie between 0 and 1."""

TINY, TINY_SIZE = 0.03, 0.3
"""Largest standard deviation and size of tiny targets.

Those of `small-targets` in `benchmarks/causes` have a standard deviation of at most 0.02, and the loss starts at 20
times the chance level and more. With 0.1, a model trains well as it is. Far from zero, its answers must grow, not
shrink.
"""

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
        code="LRS337",
        name="small-targets",
        title="The targets are not scaled: the numbers to predict are tiny.",
        means=(
            "A fresh model answers with numbers of about 1. Beside such targets these answers are far too large, so "
            "the curve shows how they shrink, and hardly how the model learns."
        ),
        start=-1.2,
        when=(
            Clue(
                when=(
                    Condition("target_std", ">", 0.0),
                    Condition("target_std", "<=", TINY),
                    Condition("target_size", "<=", TINY_SIZE),
                ),
                says="The standard deviation of the targets is {target_std}; about 1 is usual.",
            ),
        ),
        clues=(
            Clue(when=(WORSE, Condition("start_ratio", "<", 10.0)), weight=1.2, says=STARTS_WORSE.says),
            Clue(
                when=(Condition("start_ratio", ">=", 10.0),),
                weight=3.0,
                says="The first answers cost {start_ratio} times the chance level.",
            ),
            Clue(when=(BETTER,), weight=-3.0, says=DOES_WELL),
        ),
        not_for=(
            IS_CLASSIFIER,
            Clue(
                when=(Condition("output_activation", "in", LIMITED),),
                says="The last layer limits the answers to numbers from 0 to 1.",
            ),
        ),
        rules_out=(
            Clue(
                when=(Condition("target_std", ">", TINY),),
                says="The standard deviation of the targets is {target_std}, which is large enough.",
            ),
            Clue(
                when=(Condition("target_size", ">", TINY_SIZE),),
                says="The target furthest from zero is {target_size} away from it, which is large enough.",
            ),
        ),
        to_check="Print the mean and the standard deviation of the targets.",
        advice="Train on `(y - y.mean()) / y.std()`, and scale back after `predict`.",
        is_not="A tiny loss does not mean that the model is good: with such targets, the chance level is as low.",
        sources=("https://karpathy.github.io/2019/04/25/recipe/",),
        alarm=True,
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
)
"""The causes that lie in the inputs and targets."""
