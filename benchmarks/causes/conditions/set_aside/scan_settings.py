"""Healthy models with a badly chosen scan, set aside from tuning."""

from __future__ import annotations

from conditions.condition import Condition

ROWS = (
    Condition(
        name="range-too-low/hr-residual-sgd",
        description="Plain SGD and batch normalization, up to 1e-3.",
        data="hr",
        model=("residual", {}),
        optimizer=("SGD", {}),
        fit={"batch_size": 64},
        scan={"start_lr": 1e-08, "end_lr": 0.001},
    ),
    Condition(
        name="range-too-high/satellite-wide-and-deep-adamax",
        description="Adamax from 0.05 on, where it trains at once.",
        data="satellite",
        model=("wide and deep", {}),
        optimizer=("Adamax", {}),
        fit={"batch_size": 64},
        scan={"start_lr": 0.05, "end_lr": 500.0},
    ),
    Condition(
        name="range-too-high/vowels-bidirectional-rmsprop",
        description="An LSTM from 0.01 on, where it trains at once.",
        data="vowels",
        model=("bidirectional", {"units": 24}),
        optimizer=("RMSprop", {}),
        scan={"start_lr": 0.01, "end_lr": 100.0},
    ),
    Condition(
        name="range-too-short/hr-residual-nadam",
        description="From 2e-5 to 2e-3, with a tf.data pipeline.",
        data="hr",
        model=("residual", {}),
        optimizer=("Nadam", {}),
        feed="shuffled",
        fit={"batch_size": 64},
        scan={"start_lr": 2e-05, "end_lr": 0.002},
    ),
    Condition(
        name="out-of-batches/excerpts-windows-gru-adam",
        description="A text cut into windows as in tutorials, for one epoch of sixty-two batches.",
        data="excerpts",
        model=("rnn", {"sequences": True, "units": 64}),
        optimizer=("Adam", {}),
        feed="windows",
        fit={"batch_size": 64},
    ),
    Condition(
        name="few-steps-per-decade/satellite-one-epoch-adamw",
        description="One epoch of large batches from a PyDataset.",
        data="satellite",
        model=("wide and deep", {}),
        optimizer=("AdamW", {}),
        feed="batches",
        fit={"batch_size": 128, "epochs": 1},
    ),
    Condition(
        name="slow-start/newsgroups-bidirectional-nadam",
        description="A bidirectional LSTM on twenty newsgroups, from sixteen words each.",
        data="newsgroups",
        model=("bidirectional", {"units": 24}),
        optimizer=("Nadam", {}),
        scan={"num_steps": 120},
    ),
)
