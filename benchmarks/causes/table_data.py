"""Fits with something wrong in the data."""

from __future__ import annotations

from conditions import Condition

NAN = float("nan")

UNSCALED_INPUTS = (
    Condition(
        name="unscaled-inputs/digits-cnn-adam",
        says="Pixels from 0 to 255, nobody divided.",
        data="digits",
        changes=("unscaled",),
        model=("cnn", {"pool": "flat"}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="unscaled-inputs/mnist-mlp-sgd",
        says="Raw pixels and plain SGD.",
        data="mnist",
        changes=("unscaled",),
        model=("mlp", {"units": (128,)}),
        optimizer=("SGD", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="unscaled-inputs/cancer-mlp-adam",
        says="A table whose columns range from thousandths to thousands.",
        data="breast_cancer",
        changes=("unscaled",),
        model=("mlp", {"units": (16, 16)}),
        optimizer=("Adam", {}),
        fit={"batch_size": 16},
    ),
    Condition(
        name="unscaled-inputs/apartments-regression-rmsprop",
        says="The year of construction and the surface as they come.",
        data="apartments",
        changes=("unscaled",),
        model=("mlp", {"units": (32,)}),
        optimizer=("RMSprop", {}),
    ),
    Condition(
        name="unscaled-inputs/satellite-mlp-momentum",
        says="Brightness from 40 to 150 in each of 36 columns.",
        data="satellite",
        changes=("unscaled",),
        model=("mlp", {"activation": "tanh"}),
        optimizer=("SGD", {"momentum": 0.9}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="unscaled-inputs/nyse-convolution-adamw",
        says="A series in its own unit, thousands of points.",
        data="nyse",
        changes=(("scaled", 3000.0, 1000.0),),
        model=("cnn", {}),
        optimizer=("AdamW", {}),
    ),
)

UNSCALED_TARGETS = (
    Condition(
        name="unscaled-targets/apartments-prices-adam",
        says="Prices of a square metre in whole euros.",
        data="apartments",
        changes=("unscaled targets",),
        model=("mlp", {}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="unscaled-targets/bikes-counts-momentum",
        says="Riders in an hour, up to a thousand.",
        data="bikes",
        changes=("unscaled targets",),
        model=("mlp", {"units": (32,)}),
        optimizer=("SGD", {"momentum": 0.9}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="unscaled-targets/diabetes-linear-sgd",
        says="A linear regression with targets around 150.",
        data="diabetes",
        changes=("unscaled targets",),
        model=("linear", {}),
        optimizer=("SGD", {}),
        fit={"batch_size": 16},
    ),
    Condition(
        name="unscaled-targets/wage-mae-rmsprop",
        says="Yearly wages in dollars, mean absolute error.",
        data="wage",
        changes=("unscaled targets", ("scaled targets", 0.0, 1000.0)),
        model=("mlp", {}),
        loss="mae",
        optimizer=("RMSprop", {}),
    ),
    Condition(
        name="unscaled-targets/nyse-lstm-nadam",
        says="A series whose next value is in its own unit, in the thousands.",
        data="nyse",
        changes=(("scaled targets", 5000.0, 1500.0),),
        model=("rnn", {"cell": "LSTM"}),
        optimizer=("Nadam", {}),
    ),
    Condition(
        name="unscaled-targets/fifa-values-adamw",
        says="What players are worth, in euros.",
        data="fifa_value",
        changes=(("scaled targets", 2e6, 1e6),),
        model=("mlp", {"normalise": "batch"}),
        optimizer=("AdamW", {}),
        fit={"batch_size": 64},
    ),
)

IMBALANCE = (
    Condition(
        name="class-imbalance/default-mlp-adam",
        says="Three in a hundred cards are in default.",
        data="default",
        model=("mlp", {"units": (16,)}),
        optimizer=("Adam", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="class-imbalance/fashion-rare-momentum",
        says="Defects among pictures of good parts, two in a hundred.",
        data="fashion",
        changes=(("rare", 1, 0.02),),
        model=("cnn", {}),
        optimizer=("SGD", {"momentum": 0.9}),
    ),
    Condition(
        name="class-imbalance/satellite-dominated-rmsprop",
        says="Six kinds of soil, one of them in nineteen of twenty rows.",
        data="satellite",
        changes=(("dominated", 0, 0.05),),
        model=("mlp", {}),
        optimizer=("RMSprop", {}),
    ),
    Condition(
        name="class-imbalance/reuters-rare-bag-adamw",
        says="A filter for four in a hundred texts.",
        data="reuters8",
        changes=(("rare", 1, 0.04),),
        model=("bag", {}),
        optimizer=("AdamW", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="class-imbalance/reuters-dominated-transformer-adam",
        says="Eight topics, one of them in nineteen of twenty texts.",
        data="reuters8",
        changes=(("dominated", 2, 0.05),),
        model=("transformer", {}),
        optimizer=("Adam", {}),
        fit={"batch_size": 64},
    ),
    Condition(
        name="class-imbalance/power-rare-gru-sgd",
        says="Rare faults in a series.",
        data="power",
        changes=(("rare", 0, 0.06),),
        model=("rnn", {"units": 12}),
        optimizer=("SGD", {"momentum": 0.9}),
        fit={"batch_size": 16},
    ),
)

NAN_IN_DATA = (
    Condition(
        name="nan-in-data/titanic-missing-ages-adam",
        says="A few ages are missing.",
        data="titanic",
        changes=(("missing", 8, 1, NAN),),
        model=("mlp", {"units": (16,)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="nan-in-data/digits-constant-columns-momentum",
        says="Standardised column by column, although some pixels are always dark: zero over zero.",
        data="digits",
        changes=("unscaled", "standardised blindly"),
        model=("mlp", {}),
        optimizer=("SGD", {"momentum": 0.9}),
    ),
    Condition(
        name="nan-in-data/letters-label-minus-one-rmsprop",
        says="Unlabelled rows have the label -1, which is no class.",
        data="letters",
        changes=(("missing targets", 30, -1),),
        model=("mlp", {"units": (96,)}),
        optimizer=("RMSprop", {}),
        compile={"jit_compile": True},
    ),
    Condition(
        name="nan-in-data/bikes-missing-target-adamw",
        says="Three targets are missing.",
        data="bikes",
        changes=(("missing targets", 3, NAN),),
        model=("mlp", {}),
        optimizer=("AdamW", {}),
    ),
    Condition(
        name="nan-in-data/water-infinite-cnn-sgd",
        says="A sensor reports infinity now and then.",
        data="water",
        changes=(("missing", 12, 5, float("inf")),),
        model=("cnn", {}),
        optimizer=("SGD", {}),
    ),
    Condition(
        name="nan-in-data/diabetes-log-of-zero-adam",
        says="The logarithm of targets that were moved to begin at zero.",
        data="diabetes",
        changes=("unscaled targets", "log targets"),
        model=("linear", {}),
        optimizer=("Adam", {}),
        fit={"batch_size": 8},
    ),
    Condition(
        name="nan-in-data/wine-log-of-zero-in-loss-nadam",
        says="A loss written by hand that takes the logarithm of zero.",
        data="wine",
        model=("mlp", {"units": (16,)}),
        loss="divergence by hand",
        optimizer=("Nadam", {}),
        fit={"batch_size": 16},
    ),
    Condition(
        name="nan-in-data/vowels-labels-from-one-adam",
        says="Labels counted from 1 to 9 for nine outputs.",
        data="vowels",
        changes=(("counted from", 1),),
        model=("rnn", {}),
        optimizer=("Adam", {}),
        compile={"jit_compile": True},
    ),
)

ROWS = (*UNSCALED_INPUTS, *UNSCALED_TARGETS, *IMBALANCE, *NAN_IN_DATA)
"""All of them."""
