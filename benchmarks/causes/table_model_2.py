"""More fits with something wrong in the model or the loss, written blind to the rules; once set aside."""

from __future__ import annotations

from conditions import Condition, Training

FROZEN = (
    Condition(
        name="frozen-model/mnist-head-frozen-too-adam",
        says="A pretrained body and a new last layer; `model.trainable = False` froze both.",
        data="mnist",
        changes=(("classes", 5, 10),),
        model=("mlp", {"units": (64, 32)}),
        optimizer=("Adam", {}),
        before=Training(steps=300, changes=(("classes", 0, 5),), new_head=True),
        twist="frozen",
    ),
    Condition(
        name="frozen-model/reuters52-all-but-last-nadam",
        says="`for layer in model.layers[:-1]` froze the last dense layer too, since a softmax follows it.",
        data="reuters52",
        model=("bag", {}),
        head=("apart", {}),
        optimizer=("Nadam", {}),
        twist="frozen but last",
        fit={"batch_size": 64},
    ),
)

NO_GRADIENT = (
    Condition(
        name="zero-gradients/phishing-softmax-of-one-adam",
        says="One output with a softmax: it is always 1. Reshaped, or Keras would take the logit back out.",
        data="phishing",
        model=("mlp", {"units": (32,)}),
        head=("reshaped", {"activation": "softmax"}),
        optimizer=("Adam", {}),
    ),
    Condition(
        name="zero-gradients/fashion-negative-kernels-momentum",
        says="Kernels drawn around -1 over pixels that are never negative: no ReLU opens. The head has no bias.",
        data="fashion",
        model=("mlp", {"kernel_initializer": ("RandomNormal", -1.0, 0.1)}),
        head=("plain", {"use_bias": False}),
        optimizer=("SGD", {"momentum": 0.9}),
    ),
    Condition(
        name="zero-gradients/titanic-share-of-errors-rmsprop",
        says="A loss written by hand: the share of wrong answers, which has no slope.",
        data="titanic",
        model=("mlp", {"units": (16,), "dropout": 0.2}),
        loss="share of errors",
        optimizer=("RMSprop", {}),
        feed="batches",
    ),
)

WRONG_LOGITS = (
    Condition(
        name="wrong-from-logits/mnist-one-hot-no-softmax-adam",
        says='`Dense(10)`, one-hot labels and `loss="categorical_crossentropy"`.',
        data="mnist",
        changes=("one-hot",),
        model=("mlp", {"units": (128,)}),
        loss="categorical_crossentropy",
        optimizer=("Adam", {}),
    ),
    Condition(
        name="wrong-from-logits/vowels-softmax-into-tensorflow-rmsprop",
        says="TensorFlow's own cross-entropy, which wants logits, after a softmax.",
        data="vowels",
        model=("rnn", {"units": 32}),
        loss="probabilities as logits",
        optimizer=("RMSprop", {}),
    ),
    Condition(
        name="wrong-from-logits/words-multilabel-no-sigmoid-nesterov",
        says="Several labels without a sigmoid, and binary cross-entropy by its plain name.",
        data="newsgroups_counts",
        changes=(("first columns", 20),),
        model=("mlp", {"units": (48,)}),
        loss="binary_crossentropy",
        optimizer=("SGD", {"momentum": 0.9, "nesterov": True}),
    ),
)

SUMMED = (
    Condition(
        name="sum-loss/apartments-reduction-sum-adam",
        says='`MeanSquaredError(reduction="sum")`, as older code had it.',
        data="apartments",
        model=("mlp", {"units": (32,)}),
        loss="sum",
        optimizer=("Adam", {}),
    ),
    Condition(
        name="sum-loss/fashion-formula-momentum",
        says="The formula of the cross-entropy typed in, with a sum over everything.",
        data="fashion",
        changes=("one-hot",),
        model=("cnn", {"pool": "flat"}),
        head=("plain", {"activation": "softmax"}),
        loss="summed crossentropy",
        optimizer=("SGD", {"momentum": 0.9}),
    ),
    Condition(
        name="sum-loss/excerpts-places-gru-nadam",
        says="The loss of a line of text is the sum over its sixteen places.",
        data="excerpts",
        model=("rnn", {"sequences": True, "units": 48}),
        loss="summed over places",
        optimizer=("Nadam", {}),
    ),
)

HALF_PRECISION = (
    Condition(
        name="float16-overflow/reuters-padding-adam",
        says="Padding is masked with -1e9, which is minus infinity in float16.",
        data="reuters8",
        model=("attention", {}),
        optimizer=("Adam", {}),
        precision="mixed_float16",
        compile={"jit_compile": "auto"},
        fit={"batch_size": 64},
    ),
    Condition(
        name="float16-overflow/vowels-growing-state-momentum",
        says="A recurrent layer with ReLU whose state grows beyond 65504, then normalized: fine in float32.",
        data="vowels",
        model=(
            "rnn",
            {
                "cell": "SimpleRNN",
                "units": 48,
                "activation": "relu",
                "recurrent_initializer": ("Orthogonal", 1.9),
                "normalize": "layer",
            },
        ),
        optimizer=("SGD", {"momentum": 0.9}),
        precision="mixed_float16",
        compile={"jit_compile": "auto"},
    ),
)

ROWS = (*FROZEN, *NO_GRADIENT, *WRONG_LOGITS, *SUMMED, *HALF_PRECISION)
"""All of them."""
