"""More healthy fits, written by somebody who had not seen the rules; set aside until they had been looked at."""

from __future__ import annotations

from conditions import Condition, Training

FRESH = (
    Condition(
        name="fresh-start/mnist-cnn-one-hot-adam",
        says="The pictures of digits of the first tutorial, one-hot labels, dropout.",
        data="mnist",
        changes=("one-hot",),
        model=("cnn", {"pool": "flat", "dropout": 0.3}),
        head=("plain", {"activation": "softmax"}),
        loss="categorical_crossentropy",
        optimizer=("Adam", {}),
    ),
    Condition(
        name="fresh-start/cancer-class-weights-adamw",
        says="Five in eight tumours are benign: a little uneven, so weighted, from a dataset of Keras.",
        data="breast_cancer",
        model=("mlp", {"units": (32, 16), "activation": "selu"}),
        optimizer=("AdamW", {}),
        feed="batches",
        fit={"class_weight": {0: 1.34, 1: 0.8}},
    ),
    Condition(
        name="fresh-start/excerpts-transformer-class-adam",
        says="A language model of two blocks, written as a class, large batches.",
        data="excerpts",
        model=("transformer", {"blocks": 2, "sequences": True, "dropout": 0.1, "whole": True}),
        optimizer=("Adam", {"beta_2": 0.98}),
        fit={"batch_size": 128},
    ),
)

PARTLY = (
    Condition(
        name="partly-trained/fashion-mlp-adam",
        says="Interrupted in the first epoch, then `fit` once more.",
        data="fashion",
        model=("mlp", {"units": (128,)}),
        optimizer=("Adam", {}),
        before=Training(steps=30, lr=1e-3),
    ),
    Condition(
        name="partly-trained/mnist-autoencoder-adamw",
        says="An autoencoder from an early checkpoint, compiled anew.",
        data="mnist",
        changes=("autoencoding",),
        model=("mlp", {"units": (64, 24, 64)}),
        optimizer=("AdamW", {}),
        before=Training(steps=80, lr=1e-3, keeps_optimizer=False),
        fit={"batch_size": 64},
    ),
    Condition(
        name="partly-trained/segment-dropout-rmsprop",
        says="Patches of photographs after most of an epoch, to be trained on.",
        data="segment",
        model=("mlp", {"units": (48,), "dropout": 0.2}),
        optimizer=("RMSprop", {}),
        before=Training(steps=40, lr=1e-3),
    ),
)

HEAD = (
    Condition(
        name="new-head/mnist-cnn-frozen-adam",
        says="Feature extraction as in the guide: a frozen body, a new last layer for three other digits.",
        data="mnist",
        changes=(("classes", 6, 10),),
        model=("cnn", {"filters": (16, 16), "pool": "flat", "dropout": 0.2}),
        optimizer=("Adam", {}),
        before=Training(steps=300, changes=(("classes", 0, 6),), new_head=True),
        twist="frozen body",
    ),
    Condition(
        name="new-head/fashion-encoder-adamw",
        says="The inner half of an autoencoder with a new last layer that tells clothes apart.",
        data="fashion",
        model=("mlp", {"units": (96, 24)}),
        optimizer=("AdamW", {}),
        before=Training(steps=400, changes=("autoencoding",), new_head=True),
    ),
    Condition(
        name="new-head/reuters52-bag-frozen-nadam",
        says="Vectors of words learned on half of the topics, frozen, for the others.",
        data="reuters52",
        changes=(("classes", 26, 52),),
        model=("bag", {"width": 48}),
        optimizer=("Nadam", {}),
        before=Training(steps=800, lr=5e-3, changes=(("classes", 0, 26),), new_head=True),
        twist="frozen body",
    ),
)

GOOD = (
    Condition(
        name="already-good/mnist-mlp-adam",
        says="Trained for sixteen epochs, then `fit` once more.",
        data="mnist",
        model=("mlp", {"units": (128, 64)}),
        optimizer=("Adam", {}),
        before=Training(steps=2000, lr=1e-3),
    ),
    Condition(
        name="already-good/wage-linear-huber-sgd",
        says="A linear regression at its best, whose error is large all the same.",
        data="wage",
        model=("linear", {}),
        loss="huber",
        optimizer=("SGD", {}),
        before=Training(steps=2500, lr=1e-2, keeps_optimizer=False),
        fit={"batch_size": 64},
    ),
    Condition(
        name="already-good/satellite-batchnorm-adamw",
        says="A trained network with batch normalization, loaded and compiled anew.",
        data="satellite",
        model=("mlp", {"units": (96, 96), "normalize": "batch"}),
        optimizer=("AdamW", {}),
        before=Training(steps=3500, lr=1e-3),
        fit={"batch_size": 64},
    ),
)

ROWS = (*FRESH, *PARTLY, *HEAD, *GOOD)
"""All of them."""
