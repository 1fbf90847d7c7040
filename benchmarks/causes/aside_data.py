"""Fits with something wrong in the data, set aside: by somebody who had not seen the rules."""

from __future__ import annotations

from conditions import Condition

ROWS = (
    Condition(
        name="unscaled-inputs/segment-elu-rmsprop",
        says="Patches of photographs: places, contrasts and brightness in one table as they come.",
        data="segment",
        changes=("unscaled",),
        model=("mlp", {"units": (64, 32), "activation": "elu"}),
        optimizer=("RMSprop", {}),
        feed="shuffled",
    ),
    Condition(
        name="unscaled-inputs/mnist-separable-class-adamw",
        says="Raw pixels into a CNN written as a class.",
        data="mnist",
        changes=("unscaled",),
        model=("separable", {"whole": True}),
        optimizer=("AdamW", {}),
    ),
    Condition(
        name="unscaled-targets/bikes-two-inputs-adam",
        says="Riders an hour as they are counted, two inputs, mean absolute error.",
        data="bikes",
        changes=("unscaled targets", ("split", 6)),
        model=("towers", {}),
        loss="mean_absolute_error",
        optimizer=("Adam", {}),
        feed="two inputs",
        fit={"batch_size": 64},
    ),
    Condition(
        name="class-imbalance/default-wide-and-deep-nadam",
        says="Cards in default, three in a hundred, from a tf.data pipeline.",
        data="default",
        model=("wide and deep", {"units": (32, 16)}),
        optimizer=("Nadam", {}),
        feed="shuffled",
        fit={"batch_size": 64},
        scan={"num_steps": 120},
    ),
    Condition(
        name="class-imbalance/fashion-rare-class-adam",
        says="One picture in forty shows a sandal, a model written as a class.",
        data="fashion",
        changes=(("rare", 5, 0.025),),
        model=("mlp", {"units": (48,), "whole": True}),
        optimizer=("Adam", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="nan-in-data/newsgroups-empty-texts-nadam",
        says="Counts of words divided by the length of the text; some texts have none of the words.",
        data="newsgroups_counts",
        changes=("shares",),
        model=("mlp", {"units": (64,), "activation": "gelu"}),
        optimizer=("Nadam", {}),
        compile={"jit_compile": "auto"},
    ),
)
"""All of them."""
