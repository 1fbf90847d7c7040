"""More fits with something wrong in the data, written blind to the rules; set aside until they had been looked at."""

from __future__ import annotations

from conditions import Condition

NAN = float("nan")

UNSCALED_INPUTS = (
    Condition(
        name="unscaled-inputs/fashion-mlp-adam",
        says="The tutorial without its line that divides by 255.",
        data="fashion",
        changes=("unscaled",),
        model=("mlp", {"units": (128,)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="unscaled-inputs/fifa-huber-nadam",
        says="Height in centimeters, weight in kilograms, marks up to 100, from a tf.data pipeline.",
        data="fifa_value",
        changes=("unscaled",),
        model=("mlp", {"units": (48, 24), "activation": "elu"}),
        loss="huber",
        optimizer=("Nadam", {}),
        feed="dataset",
    ),
)

UNSCALED_TARGETS = (
    Condition(
        name="unscaled-targets/wage-mlp-adam",
        says="Wages in thousands, mean squared error.",
        data="wage",
        changes=("unscaled targets",),
        model=("mlp", {"units": (64,)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="unscaled-targets/ratings-factors-rmsprop",
        says="A recommender of marks out of 100.",
        data="ratings",
        changes=("unscaled targets",),
        model=("factors", {}),
        optimizer=("RMSprop", {}),
        fit={"batch_size": 64},
    ),
)

IMBALANCE = (
    Condition(
        name="class-imbalance/mnist-rare-mlp-adam",
        says="Is it a seven? Three in a hundred are.",
        data="mnist",
        changes=(("rare", 7, 0.03),),
        model=("mlp", {"units": (32,)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="class-imbalance/grimm-one-letter-gru-rmsprop",
        says="At each place of a text: is the next letter a w? One in fifty is.",
        data="grimm",
        changes=(("one label", 23),),
        model=("rnn", {"sequences": True}),
        optimizer=("RMSprop", {}),
    ),
)

NAN_IN_DATA = (
    Condition(
        name="nan-in-data/nyse-gaps-gru-adam",
        says="A few gaps in a series.",
        data="nyse",
        changes=(("missing", 8, 14, NAN),),
        model=("rnn", {}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="nan-in-data/segment-square-root-momentum",
        says="The square root of columns that had been standardized.",
        data="segment",
        changes=("square root",),
        model=("mlp", {"activation": "tanh"}),
        optimizer=("SGD", {"momentum": 0.9}),
        feed="batches",
    ),
)

ROWS = (*UNSCALED_INPUTS, *UNSCALED_TARGETS, *IMBALANCE, *NAN_IN_DATA)
"""All of them."""
