"""Fits with a mistake in the data, set aside from tuning."""

from __future__ import annotations

from conditions.condition import Condition

ROWS = (
    Condition(
        name="unscaled-inputs/segment-elu-rmsprop",
        description="Photograph patches, with positions, contrasts and brightness in their own units in one table.",
        data="segment",
        changes=("unscaled",),
        model=("mlp", {"units": (64, 32), "activation": "elu"}),
        optimizer=("RMSprop", {}),
        feed="shuffled",
    ),
    Condition(
        name="unscaled-inputs/mnist-separable-class-adamw",
        description="A subclassed CNN on raw pixels.",
        data="mnist",
        changes=("unscaled",),
        model=("separable", {"whole": True}),
        optimizer=("AdamW", {}),
    ),
    Condition(
        name="unscaled-targets/bikes-two-inputs-adam",
        description="Raw counts of riders per hour, with two inputs and mean absolute error.",
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
        description="Credit cards from a tf.data pipeline, three percent of them in default.",
        data="default",
        model=("wide and deep", {"units": (32, 16)}),
        optimizer=("Nadam", {}),
        feed="shuffled",
        fit={"batch_size": 64},
        scan={"num_steps": 120},
    ),
    Condition(
        name="class-imbalance/fashion-rare-class-adam",
        description="A subclassed model on images, one in forty of which shows a sandal.",
        data="fashion",
        changes=(("rare", 5, 0.025),),
        model=("mlp", {"units": (48,), "whole": True}),
        optimizer=("Adam", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="nan-in-data/newsgroups-empty-texts-nadam",
        description="Word counts divided by their sum, which is zero for some texts.",
        data="newsgroups_counts",
        changes=("shares",),
        model=("mlp", {"units": (64,), "activation": "gelu"}),
        optimizer=("Nadam", {}),
        compile={"jit_compile": "auto"},
    ),
    Condition(
        name="loss-outside-domain/diabetes-poisson-deep-momentum",
        description="A Poisson loss on an ordinary deep regression model.",
        data="diabetes",
        changes=("unscaled targets",),
        model=("mlp", {"units": (64, 32), "activation": "elu"}),
        loss="poisson",
        optimizer=("SGD", {"momentum": 0.9}),
    ),
)
