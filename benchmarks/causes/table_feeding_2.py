"""More fits with something wrong in the feeding of data, written blind to the rules; once set aside."""

from __future__ import annotations

from conditions import Condition

LABELS = (
    Condition(
        name="labels-not-reaching-loss/mnist-permuted-mlp-adam",
        says="`np.random.shuffle(x)`, and not y.",
        data="mnist",
        changes=("permuted",),
        model=("mlp", {"units": (64,)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="labels-not-reaching-loss/segment-zip-momentum",
        says="Two tf.data pipelines, each shuffled, then joined.",
        data="segment",
        model=("mlp", {"units": (48,)}),
        optimizer=("SGD", {"momentum": 0.9}),
        feed="zip",
        fit={"batch_size": 16},
    ),
    Condition(
        name="labels-not-reaching-loss/fifa-late-targets-rmsprop",
        says="A dataset of Keras that gives the targets of the batch before.",
        data="fifa_value",
        model=("mlp", {"units": (64, 32)}),
        optimizer=("RMSprop", {}),
        feed="late targets",
        fit={"batch_size": 128},
    ),
)

REPEATED = (
    Condition(
        name="repeated-data/mnist-48-cnn-adam",
        says="Forty-eight labeled pictures, many epochs.",
        data="mnist",
        changes=(("rows", 0, 48),),
        model=("cnn", {"filters": (16, 32), "pool": "flat"}),
        optimizer=("Adam", {}),
        fit={"batch_size": 12},
    ),
    Condition(
        name="repeated-data/newsgroups-copied-nadam",
        says="Sixty posts, copied forty times so that an epoch is longer.",
        data="newsgroups_counts",
        changes=(("rows", 0, 60), ("copied", 40)),
        model=("mlp", {"units": (96,)}),
        optimizer=("Nadam", {}),
        fit={"batch_size": 16},
    ),
    Condition(
        name="repeated-data/excerpts-8-lines-gru-rmsprop",
        says="A language model on eight lines, over and over.",
        data="excerpts",
        changes=(("rows", 0, 8),),
        model=("rnn", {"sequences": True, "units": 96}),
        optimizer=("RMSprop", {}),
        fit={"batch_size": 4},
        scan={"start_lr": 1e-5, "end_lr": 1.0, "num_steps": 250},
    ),
)

ORDERED = (
    Condition(
        name="ordered-data/mnist-by-class-cnn-adam",
        says="`image_dataset_from_directory(shuffle=False)`: digit after digit.",
        data="mnist",
        changes=("in order",),
        model=("cnn", {"pool": "flat"}),
        optimizer=("Adam", {}),
        fit={"batch_size": 32, "shuffle": False},
        scan={"num_steps": 125},
    ),
    Condition(
        name="ordered-data/letters-small-buffer-momentum",
        says="Sorted by letter; `shuffle(100)` reaches no further than one letter.",
        data="letters",
        changes=("in order",),
        model=("mlp", {"units": (96,)}),
        optimizer=("SGD", {"momentum": 0.9}),
        feed="small buffer",
        fit={"batch_size": 32},
        scan={"num_steps": 125},
    ),
    Condition(
        name="ordered-data/bikes-by-temperature-rmsprop",
        says="Hours sorted by how warm they were, epoch after epoch.",
        data="bikes",
        changes=(("by column", 4),),
        model=("mlp", {"units": (32, 16)}),
        optimizer=("RMSprop", {}),
        fit={"batch_size": 128, "shuffle": False},
        scan={"num_steps": 125},
    ),
)

SMALL_BATCHES = (
    Condition(
        name="small-batches/mnist-1-cnn-adam",
        says="`batch_size=1`, as the error of missing memory suggested.",
        data="mnist",
        model=("cnn", {"pool": "flat"}),
        optimizer=("Adam", {}),
        fit={"batch_size": 1},
    ),
    Condition(
        name="small-batches/fifa-2-huber-nadam",
        says="A regression in batches of two, from a dataset of Keras.",
        data="fifa_value",
        model=("mlp", {"units": (48,)}),
        loss="huber",
        optimizer=("Nadam", {}),
        feed="batches",
        fit={"batch_size": 2},
    ),
    Condition(
        name="small-batches/power-1-lstm-sgd",
        says="One day at a time for an LSTM, from a generator.",
        data="power",
        model=("rnn", {"cell": "LSTM", "units": 16}),
        optimizer=("SGD", {"momentum": 0.9}),
        feed="generator",
        fit={"batch_size": 1},
        scan={"num_steps": 200},
    ),
)

ROWS = (*LABELS, *REPEATED, *ORDERED, *SMALL_BATCHES)
"""All of them."""
