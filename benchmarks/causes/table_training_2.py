"""More fits whose loss, optimizer or training makes an unusual curve, written blind to the rules; once set aside."""

from __future__ import annotations

from conditions import Condition, Training

COLLAPSE = (
    Condition(
        name="collapse/mnist-cnn-relu-adam",
        says="A CNN without normalization: all units die, and every picture gets the same answer.",
        data="mnist",
        model=("cnn", {"filters": (16, 16, 16), "pool": "flat"}),
        optimizer=("Adam", {}),
        scan={"stop_on_divergence": False, "num_steps": 200, "end_lr": 1.0},
    ),
    Condition(
        name="collapse/fifa-deep-relu-adamw",
        says="A deep regression that ends in the mean of all targets.",
        data="fifa_value",
        model=("mlp", {"units": (48, 48, 48, 48)}),
        optimizer=("AdamW", {}),
        fit={"batch_size": 128},
        scan={"stop_on_divergence": False, "num_steps": 200, "end_lr": 1.0},
    ),
    Condition(
        name="collapse/hr-deep-relu-adam",
        says="Employees in a deep network: dead after an overshoot.",
        data="hr",
        model=("mlp", {"units": (32, 32, 32, 32, 32)}),
        optimizer=("Adam", {}),
        fit={"batch_size": 64},
        scan={"stop_on_divergence": False, "num_steps": 200, "end_lr": 1.0},
    ),
)

REGULARIZED = (
    Condition(
        name="regularization/fashion-mlp-l2-adam",
        says="`kernel_regularizer=l2(0.01)` on two wide layers.",
        data="fashion",
        model=("mlp", {"units": (256, 256), "kernel_regularizer": ("L2", 0.01)}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="regularization/mnist-sparse-autoencoder-nadam",
        says="A sparse autoencoder: an L1 penalty on activations, larger than the error.",
        data="mnist",
        changes=("autoencoding",),
        model=("mlp", {"units": (64,), "activity_regularizer": ("L1", 0.01)}),
        optimizer=("Nadam", {}),
    ),
)

CLIPPED = (
    Condition(
        name="clipping/mnist-clipnorm-sgd",
        says="`SGD(clipnorm=0.1)`.",
        data="mnist",
        model=("mlp", {"units": (64,)}),
        optimizer=("SGD", {"clipnorm": 0.1}),
    ),
    Condition(
        name="clipping/nyse-lstm-clipvalue-momentum",
        says="An LSTM whose every slope is cut to 0.001, Huber's loss.",
        data="nyse",
        model=("rnn", {"cell": "LSTM"}),
        loss="huber",
        optimizer=("SGD", {"momentum": 0.9, "clipvalue": 0.001}),
        fit={"batch_size": 64},
    ),
)

NORMALIZED = (
    Condition(
        name="normalizing-optimizer/mnist-cnn-batchnorm-adafactor",
        says="Adafactor and batch normalization, large batches.",
        data="mnist",
        model=("cnn", {"normalize": "batch", "pool": "flat"}),
        optimizer=("Adafactor", {}),
        fit={"batch_size": 128},
    ),
    Condition(
        name="normalizing-optimizer/excerpts-gru-fromage",
        says="Fromage, which turns weights and leaves their length alone, for a language model.",
        data="excerpts",
        model=("rnn", {"sequences": True, "units": 48}),
        optimizer=("Fromage", {}),
        fit={"batch_size": 64},
    ),
)

CATAPULT = (
    Condition(
        name="catapult/letters-wide-relu-squared-sgd",
        says="A wide network, one-hot targets, squared error, plain SGD.",
        data="letters",
        changes=("as numbers",),
        model=("mlp", {"units": (512,)}),
        optimizer=("SGD", {}),
        fit={"batch_size": 256},
        scan={"start_lr": 3e-3, "end_lr": 30.0, "num_steps": 300},
    ),
    Condition(
        name="catapult/satellite-deep-linear-squared-sgd",
        says="Deep linear layers on a table.",
        data="satellite",
        changes=("as numbers",),
        model=("mlp", {"units": (128, 128), "activation": "linear"}),
        optimizer=("SGD", {}),
        fit={"batch_size": 512},
        scan={"start_lr": 1e-3, "end_lr": 10.0, "num_steps": 300},
    ),
    Condition(
        name="catapult/vowels-whole-batch-squared-sgd",
        says="A wide network, the whole data set in each batch.",
        data="vowels",
        changes=("as numbers",),
        model=("mlp", {"units": (512,)}),
        optimizer=("SGD", {}),
        fit={"batch_size": 480},
        scan={"start_lr": 1e-3, "end_lr": 30.0, "num_steps": 300},
    ),
)

FRESH_ADAM = (
    Condition(
        name="fresh-adam/fashion-wide-trained-adam",
        says="A trained network from a file, compiled with a new Adam.",
        data="fashion",
        model=("mlp", {"units": (1024, 512)}),
        optimizer=("Adam", {}),
        before=Training(steps=500, lr=1e-3, keeps_optimizer=False),
        fit={"batch_size": 64},
        scan={"start_lr": 5e-3, "end_lr": 5.0, "num_steps": 300},
    ),
    Condition(
        name="fresh-adam/letters-trained-layernorm-adamax",
        says="A trained network with layer normalization and a new Adamax, from 1e-2 on.",
        data="letters",
        model=("mlp", {"units": (512, 512), "normalize": "layer"}),
        optimizer=("Adamax", {}),
        before=Training(steps=600, lr=1e-3, keeps_optimizer=False),
        fit={"batch_size": 64},
        scan={"start_lr": 1e-2, "end_lr": 10.0, "num_steps": 300},
    ),
)

OVERSHOOT = (
    Condition(
        name="momentum-overshoot/fashion-mlp-099",
        says="`SGD(momentum=0.99)`.",
        data="fashion",
        model=("mlp", {"units": (64,)}),
        optimizer=("SGD", {"momentum": 0.99}),
        fit={"batch_size": 64},
        scan={"num_steps": 200},
    ),
    Condition(
        name="momentum-overshoot/wage-linear-huber-0995",
        says="Momentum 0.995 for a linear regression with Huber's loss.",
        data="wage",
        model=("linear", {}),
        loss="huber",
        optimizer=("SGD", {"momentum": 0.995}),
        fit={"batch_size": 128},
        scan={"num_steps": 250},
    ),
)

ROWS = (*COLLAPSE, *REGULARIZED, *CLIPPED, *NORMALIZED, *CATAPULT, *FRESH_ADAM, *OVERSHOOT)
"""All of them."""
