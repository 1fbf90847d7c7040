"""More fits of healthy models whose scan was set up badly, written blind to the rules; once set aside."""

from __future__ import annotations

from conditions import Condition

TOO_LOW = (
    Condition(
        name="range-too-low/mnist-cnn-sgd",
        says="Plain SGD from 1e-7 to 1e-3.",
        data="mnist",
        model=("cnn", {"pool": "flat"}),
        optimizer=("SGD", {}),
        scan={"start_lr": 1e-7, "end_lr": 1e-3},
    ),
    Condition(
        name="range-too-low/excerpts-gru-adadelta",
        says="Adadelta, which wants rates around 1, up to 1e-2.",
        data="excerpts",
        model=("rnn", {"sequences": True, "units": 48}),
        optimizer=("Adadelta", {}),
        scan={"start_lr": 1e-6, "end_lr": 1e-2},
    ),
)

TOO_HIGH = (
    Condition(
        name="range-too-high/fashion-mlp-adam",
        says="Adam from 0.02 on.",
        data="fashion",
        model=("mlp", {"units": (128,)}),
        optimizer=("Adam", {}),
        scan={"start_lr": 2e-2, "end_lr": 200.0},
    ),
    Condition(
        name="range-too-high/apartments-momentum",
        says="A regression with momentum from 0.5 on: it breaks at once.",
        data="apartments",
        model=("mlp", {}),
        optimizer=("SGD", {"momentum": 0.9}),
        scan={"start_lr": 0.5, "end_lr": 5e3},
    ),
)

TOO_SHORT = (
    Condition(
        name="range-too-short/satellite-mlp-adam",
        says="From 1e-4 to 1e-2.",
        data="satellite",
        model=("mlp", {}),
        optimizer=("Adam", {}),
        scan={"start_lr": 1e-4, "end_lr": 1e-2},
    ),
    Condition(
        name="range-too-short/excerpts-transformer-adamax",
        says="A language model, from 1e-3 to 2e-2, from a generator.",
        data="excerpts",
        model=("transformer", {"sequences": True}),
        optimizer=("Adamax", {}),
        feed="generator",
        scan={"start_lr": 1e-3, "end_lr": 2e-2},
    ),
)

OUT_OF_BATCHES = (
    Condition(
        name="out-of-batches/hr-from-generator-adam",
        says="`tf.data.Dataset.from_generator`, one epoch of sixty-three batches.",
        data="hr",
        model=("mlp", {"units": (32,)}),
        optimizer=("Adam", {}),
        feed="python",
        fit={"batch_size": 64},
    ),
    Condition(
        name="out-of-batches/nyse-shards-lstm-rmsprop",
        says="Windows of a series out of shards, whose number nobody knows; two hundred steps were asked for.",
        data="nyse",
        model=("rnn", {"cell": "LSTM", "units": 16}),
        loss="huber",
        optimizer=("RMSprop", {}),
        feed="shards",
        fit={"batch_size": 32},
        scan={"num_steps": 200},
    ),
)

FEW_STEPS = (
    Condition(
        name="few-steps-per-decade/titanic-one-epoch-adam",
        says="One epoch of a small table: twenty-seven batches.",
        data="titanic",
        model=("mlp", {"units": (32,)}),
        optimizer=("Adam", {}),
        fit={"batch_size": 64, "epochs": 1},
    ),
    Condition(
        name="few-steps-per-decade/excerpts-25-gru-adamw",
        says="Twenty-five steps for eight decades, a language model.",
        data="excerpts",
        model=("rnn", {"sequences": True, "units": 48}),
        optimizer=("AdamW", {}),
        feed="generator",
        scan={"num_steps": 25},
    ),
)

SLOW = (
    Condition(
        name="slow-start/newsgroups-text-cnn-adam",
        says="Convolutions over sixteen words, twenty groups: a hundred batches teach next to nothing.",
        data="newsgroups",
        model=("cnn", {"filters": (32, 32)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="slow-start/newsgroups-counts-tanh-sgd",
        says="Three layers, twenty groups and plain SGD: a hundred batches are not enough.",
        data="newsgroups_counts",
        model=("mlp", {"units": (64, 64, 64), "activation": "tanh"}),
        optimizer=("SGD", {}),
    ),
)

ROWS = (*TOO_LOW, *TOO_HIGH, *TOO_SHORT, *OUT_OF_BATCHES, *FEW_STEPS, *SLOW)
"""All of them."""
