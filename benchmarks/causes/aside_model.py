"""Fits with something wrong in the model or the loss, set aside: by somebody who had not seen the rules."""

from __future__ import annotations

from conditions import Condition

ROWS = (
    Condition(
        name="frozen-model/excerpts-class-frozen-inside-adam",
        says="A language model written as a class; the backbone that was frozen holds the last layer too.",
        data="excerpts",
        model=("transformer", {"sequences": True, "whole": True}),
        optimizer=("Adam", {}),
        twist="frozen inside",
        fit={"batch_size": 64},
    ),
    Condition(
        name="frozen-model/power-wrong-name-rmsprop",
        says="Layers thaw by their name, and none has the name that was looked for.",
        data="power",
        model=("bidirectional", {}),
        optimizer=("RMSprop", {}),
        twist="frozen by name",
    ),
    Condition(
        name="zero-gradients/wage-cut-off-adam",
        says="Logarithms of wages; answers are cut off to what a wage can be, and all start below that.",
        data="wage",
        changes=(("scaled targets", 4.65, 0.35),),
        model=("mlp", {"units": (32,)}),
        loss="squares within bounds",
        optimizer=("Adam", {}),
    ),
    Condition(
        name="zero-gradients/hr-random-normal-tanh-momentum",
        says='Ten narrow layers with `kernel_initializer="random_normal"`: slopes vanish on the way down.',
        data="hr",
        model=("mlp", {"units": (16,) * 10, "activation": "tanh", "kernel_initializer": ("RandomNormal", 0.0, 0.05)}),
        optimizer=("SGD", {"momentum": 0.9}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="wrong-from-logits/vowels-frames-adam",
        says="A softmax at each time of an utterance, their mean, and `from_logits=True`.",
        data="vowels",
        model=("bidirectional", {"sequences": True}),
        head=("frames", {}),
        loss="logits",
        optimizer=("Adam", {}),
    ),
    Condition(
        name="wrong-from-logits/phishing-focal-no-sigmoid-adamw",
        says="One output without a sigmoid, and `BinaryFocalCrossentropy()` as it comes.",
        data="phishing",
        model=("wide and deep", {}),
        head=("plain", {"activation": None}),
        loss="focal",
        optimizer=("AdamW", {}),
    ),
    Condition(
        name="sum-loss/words-summed-over-labels-adam",
        says="Several labels, the loss of a post is the sum over all twenty.",
        data="newsgroups_counts",
        changes=(("first columns", 20),),
        model=("wide and deep", {"units": (48,)}),
        head=("plain", {"activation": "sigmoid"}),
        loss="summed over labels",
        optimizer=("Adam", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="sum-loss/wage-absolute-two-inputs-rmsprop",
        says='`MeanAbsoluteError(reduction="sum")`, a model with two inputs.',
        data="wage",
        changes=(("split", 4),),
        model=("towers", {}),
        loss="summed absolute",
        optimizer=("RMSprop", {}),
        feed="two inputs",
        fit={"batch_size": 64},
    ),
    Condition(
        name="float16-overflow/mnist-cosine-head-adam",
        says="A head that compares directions, times 64, and a softmax typed in: exp(12) is infinite in float16.",
        data="mnist",
        model=("mlp", {"units": (64,)}),
        head=("cosine", {}),
        optimizer=("Adam", {}),
        precision="mixed_float16",
        compile={"jit_compile": "auto"},
    ),
)
"""All of them."""
