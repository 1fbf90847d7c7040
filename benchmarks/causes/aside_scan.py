"""Fits of healthy models whose scan was set up badly, set aside: by somebody who had not seen the rules."""

from __future__ import annotations

from conditions import Condition

ROWS = (
    Condition(
        name="range-too-low/hr-residual-sgd",
        says="Plain SGD and batch normalization, up to 1e-3.",
        data="hr",
        model=("residual", {}),
        optimizer=("SGD", {}),
        fit={"batch_size": 64},
        scan={"start_lr": 1e-08, "end_lr": 0.001},
    ),
    Condition(
        name="range-too-high/satellite-wide-and-deep-adamax",
        says="Adamax from 0.05 on: it trains at once.",
        data="satellite",
        model=("wide and deep", {}),
        optimizer=("Adamax", {}),
        fit={"batch_size": 64},
        scan={"start_lr": 0.05, "end_lr": 500.0},
    ),
    Condition(
        name="range-too-high/vowels-bidirectional-rmsprop",
        says="An LSTM from 0.01 on: it trains at once.",
        data="vowels",
        model=("bidirectional", {"units": 24}),
        optimizer=("RMSprop", {}),
        scan={"start_lr": 0.01, "end_lr": 100.0},
    ),
    Condition(
        name="range-too-short/hr-residual-nadam",
        says="From 2e-5 to 2e-3, a tf.data pipeline.",
        data="hr",
        model=("residual", {}),
        optimizer=("Nadam", {}),
        feed="shuffled",
        fit={"batch_size": 64},
        scan={"start_lr": 2e-05, "end_lr": 0.002},
    ),
    Condition(
        name="out-of-batches/excerpts-windows-gru-adam",
        says="A text cut into windows as tutorials do it, one epoch of sixty-two batches.",
        data="excerpts",
        model=("rnn", {"sequences": True, "units": 64}),
        optimizer=("Adam", {}),
        feed="windows",
        fit={"batch_size": 64},
    ),
    Condition(
        name="few-steps-per-decade/satellite-one-epoch-adamw",
        says="One epoch of large batches out of a dataset of Keras.",
        data="satellite",
        model=("wide and deep", {}),
        optimizer=("AdamW", {}),
        feed="batches",
        fit={"batch_size": 128, "epochs": 1},
    ),
    Condition(
        name="slow-start/newsgroups-bidirectional-nadam",
        says="Twenty groups from sixteen words each, an LSTM in both directions.",
        data="newsgroups",
        model=("bidirectional", {"units": 24}),
        optimizer=("Nadam", {}),
        scan={"num_steps": 120},
    ),
)
"""All of them."""
