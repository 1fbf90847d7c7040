"""Healthy fits, set aside: by somebody who had not seen the rules."""

from __future__ import annotations

from conditions import Condition, Training

ROWS = (
    Condition(
        name="fresh-start/hr-two-inputs-adam",
        says="Hours and age in one input, marks and pay in another, the functional way.",
        data="hr",
        changes=(("split", 3),),
        model=("towers", {"units": (48, 32)}),
        optimizer=("Adam", {}),
        feed="two inputs",
        fit={"batch_size": 64},
    ),
    Condition(
        name="fresh-start/satellite-residual-smoothed-nadam",
        says="Residual blocks, one-hot labels with label smoothing, a tf.data pipeline.",
        data="satellite",
        changes=("one-hot",),
        model=("residual", {}),
        head=("plain", {"activation": "softmax"}),
        loss="smoothed",
        optimizer=("Nadam", {}),
        feed="shuffled",
        fit={"batch_size": 64},
    ),
    Condition(
        name="partly-trained/letters-residual-adamw",
        says="Residual blocks after two thirds of an epoch, to be trained on.",
        data="letters",
        model=("residual", {}),
        optimizer=("AdamW", {}),
        before=Training(steps=40, lr=0.001),
        fit={"batch_size": 64},
    ),
    Condition(
        name="partly-trained/grimm-transformer-adam",
        says="A language model that was stopped early in its first epoch.",
        data="grimm",
        model=("transformer", {"sequences": True}),
        optimizer=("Adam", {}),
        before=Training(steps=75, lr=0.001),
        fit={"batch_size": 64},
    ),
    Condition(
        name="new-head/digits-separable-frozen-rmsprop",
        says="A separable CNN for 0 to 4, frozen, with a new last layer for 5 to 9.",
        data="digits",
        changes=(("classes", 5, 10),),
        model=("separable", {}),
        optimizer=("RMSprop", {}),
        before=Training(steps=400, changes=(("classes", 0, 5),), new_head=True),
        twist="frozen body",
        scan={"num_steps": 120},
    ),
    Condition(
        name="new-head/satellite-residual-adam",
        says="Residual blocks trained on three kinds of soil, fine-tuned on the other three.",
        data="satellite",
        changes=(("classes", 3, 6),),
        model=("residual", {}),
        optimizer=("Adam", {}),
        before=Training(steps=400, lr=0.001, changes=(("classes", 0, 3),), new_head=True),
    ),
    Condition(
        name="already-good/bikes-wide-and-deep-adam",
        says="A regression after a night of training; somebody looks for a better rate.",
        data="bikes",
        model=("wide and deep", {"units": (96, 48)}),
        optimizer=("Adam", {}),
        before=Training(steps=4000, lr=0.001),
        feed="shuffled",
        fit={"batch_size": 64},
    ),
    Condition(
        name="already-good/segment-residual-nadam",
        says="A classifier of patches, trained to its end, compiled anew.",
        data="segment",
        model=("residual", {"width": 48}),
        optimizer=("Nadam", {}),
        before=Training(steps=2500, lr=0.001, keeps_optimizer=False),
    ),
)
"""All of them."""
