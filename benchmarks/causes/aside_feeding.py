"""Fits with something wrong in how the data are fed, set aside: by somebody who had not seen the rules."""

from __future__ import annotations

from conditions import Condition

ROWS = (
    Condition(
        name="labels-not-reaching-loss/fashion-file-names-rmsprop",
        says="Pictures in the order of their numbers, labels in the order of the names of the files: 1, 10, 100.",
        data="fashion",
        changes=("by file name",),
        model=("separable", {}),
        optimizer=("RMSprop", {}),
        feed="shuffled",
    ),
    Condition(
        name="labels-not-reaching-loss/satellite-mixed-inputs-adamw",
        says="An augmentation that mixes the inputs of a batch and leaves the labels as they were.",
        data="satellite",
        model=("residual", {}),
        optimizer=("AdamW", {}),
        feed="mixed inputs",
        fit={"batch_size": 64},
    ),
    Condition(
        name="repeated-data/letters-taken-adam",
        says="`dataset.take(3).cache().repeat()`, left in from a trial.",
        data="letters",
        model=("mlp", {"units": (128, 64)}),
        optimizer=("Adam", {}),
        feed="taken",
        scan={"num_steps": 150},
    ),
    Condition(
        name="repeated-data/wage-24-two-inputs-adamw",
        says="A regression with two inputs on twenty-four people.",
        data="wage",
        changes=(("rows", 0, 24), ("split", 4)),
        model=("towers", {"units": (64, 64)}),
        optimizer=("AdamW", {}),
        feed="two inputs",
        fit={"batch_size": 8},
        scan={"num_steps": 150},
    ),
    Condition(
        name="ordered-data/newsgroups-counts-by-group-adam",
        says="A generator over one file a group.",
        data="newsgroups_counts",
        changes=("in order",),
        model=("mlp", {"units": (64,)}),
        optimizer=("Adam", {}),
        feed="generator",
        scan={"num_steps": 120},
    ),
    Condition(
        name="ordered-data/fashion-interleaved-nadam",
        says="`interleave(block_length=batch_size)` over one file a class: each batch shows a single kind of clothes.",
        data="fashion",
        model=("wide and deep", {}),
        optimizer=("Nadam", {}),
        feed="interleaved",
    ),
    Condition(
        name="small-batches/ratings-2-factors-nadam",
        says="A recommender that sees two marks at a time.",
        data="ratings",
        model=("factors", {"width": 12}),
        optimizer=("Nadam", {}),
        fit={"batch_size": 2},
        scan={"num_steps": 150},
    ),
    Condition(
        name="small-batches/hr-1-wide-and-deep-adamw",
        says="One employee at a time, from a dataset of Keras.",
        data="hr",
        model=("wide and deep", {"units": (32,)}),
        optimizer=("AdamW", {}),
        feed="batches",
        fit={"batch_size": 1},
        scan={"num_steps": 200},
    ),
)
"""All of them."""
