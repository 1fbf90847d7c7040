"""Curves recorded by other tools, which store averaged losses."""

from __future__ import annotations

from conditions.condition import Condition, Training

AVERAGED = (
    Condition(
        name="averaging/digits-classic-finder-adam",
        description="The usual tutorial callback, which records Keras's running mean.",
        data="digits",
        model=("mlp", {}),
        optimizer=("Adam", {}),
        fit={"batch_size": 16},
        record="classic finder",
    ),
    Condition(
        name="averaging/fashion-ktrain-momentum",
        description="ktrain's record, a moving average of the running mean.",
        data="fashion",
        model=("cnn", {"pool": "flat"}),
        optimizer=("SGD", {"momentum": 0.9}),
        record="ktrain",
    ),
    Condition(
        name="averaging/reuters-fastai-adamw",
        description="fastai's record.",
        data="reuters8",
        model=("transformer", {}),
        optimizer=("AdamW", {}),
        record="fastai",
    ),
    Condition(
        name="averaging/bikes-lightning-adam",
        description="Lightning's record.",
        data="bikes",
        model=("mlp", {}),
        optimizer=("Adam", {}),
        record="lightning",
    ),
    Condition(
        name="averaging/letters-torch-lr-finder-rmsprop",
        description="torch-lr-finder's record.",
        data="letters",
        model=("mlp", {}),
        optimizer=("RMSprop", {}),
        record="torch-lr-finder",
    ),
    Condition(
        name="averaging/vowels-classic-finder-sgd",
        description="The usual tutorial callback, over several epochs.",
        data="vowels",
        model=("rnn", {}),
        optimizer=("SGD", {"momentum": 0.9}),
        fit={"batch_size": 16},
        record="classic finder",
    ),
    Condition(
        name="averaging/newsgroups-ktrain-declared-adam",
        description="ktrain's record, imported without undoing the average.",
        data="newsgroups",
        model=("bag", {}),
        optimizer=("Adam", {}),
        record="ktrain, declared",
    ),
    Condition(
        name="averaging/mnist-fastai-declared-adam",
        description="A trained model and fastai's record, imported without undoing the average.",
        data="mnist",
        model=("cnn", {"pool": "flat"}),
        optimizer=("Adam", {}),
        before=Training(steps=600),
        record="fastai, declared",
    ),
    Condition(
        name="averaging/mnist-classic-finder-mlp-adam",
        description="The usual tutorial callback, pasted into the first fit.",
        data="mnist",
        model=("mlp", {"units": (128,)}),
        optimizer=("Adam", {}),
        record="classic finder",
    ),
    Condition(
        name="averaging/satellite-rolling-mean-momentum",
        description="Losses smoothed with pandas as the mean of the last ten, before they were stored.",
        data="satellite",
        model=("mlp", {"units": (48,)}),
        optimizer=("SGD", {"momentum": 0.9}),
        record="rolling mean",
    ),
    Condition(
        name="averaging/wage-fastai-huber-adamw",
        description="fastai's record of a regression.",
        data="wage",
        model=("mlp", {"units": (32, 16)}),
        loss="huber",
        optimizer=("AdamW", {}),
        record="fastai",
    ),
)

ROWS = (*AVERAGED,)
