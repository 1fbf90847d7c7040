"""Records of other tools, which hold averages."""

from __future__ import annotations

from conditions import Condition, Training

AVERAGED = (
    Condition(
        name="averaging/digits-classic-finder-adam",
        says="The callback of tutorials, which keeps Keras's running mean.",
        data="digits",
        model=("mlp", {}),
        optimizer=("Adam", {}),
        fit={"batch_size": 16},
        record="classic finder",
    ),
    Condition(
        name="averaging/fashion-ktrain-momentum",
        says="ktrain's record: a moving average of the running mean.",
        data="fashion",
        model=("cnn", {"pool": "flat"}),
        optimizer=("SGD", {"momentum": 0.9}),
        record="ktrain",
    ),
    Condition(
        name="averaging/reuters-fastai-adamw",
        says="fastai's record.",
        data="reuters8",
        model=("transformer", {}),
        optimizer=("AdamW", {}),
        record="fastai",
    ),
    Condition(
        name="averaging/bikes-lightning-adam",
        says="Lightning's record.",
        data="bikes",
        model=("mlp", {}),
        optimizer=("Adam", {}),
        record="lightning",
    ),
    Condition(
        name="averaging/letters-torch-lr-finder-rmsprop",
        says="torch-lr-finder's record.",
        data="letters",
        model=("mlp", {}),
        optimizer=("RMSprop", {}),
        record="torch-lr-finder",
    ),
    Condition(
        name="averaging/vowels-classic-finder-sgd",
        says="The callback of tutorials once more, over several epochs.",
        data="vowels",
        model=("rnn", {}),
        optimizer=("SGD", {"momentum": 0.9}),
        fit={"batch_size": 16},
        record="classic finder",
    ),
    Condition(
        name="averaging/newsgroups-ktrain-declared-adam",
        says="ktrain's record, read by an importer that was told not to undo it.",
        data="newsgroups",
        model=("bag", {}),
        optimizer=("Adam", {}),
        record="ktrain, declared",
    ),
    Condition(
        name="averaging/mnist-fastai-declared-adam",
        says="A trained model and fastai's record, read by an importer that was told not to undo it.",
        data="mnist",
        model=("cnn", {"pool": "flat"}),
        optimizer=("Adam", {}),
        before=Training(steps=600),
        record="fastai, declared",
    ),
)

ROWS = AVERAGED
"""All of them."""
