"""Fits with a mistake in how batches are drawn from the data, set aside from tuning."""

from __future__ import annotations

from conditions.condition import Condition

ROWS = (
    Condition(
        name="labels-not-reaching-loss/fashion-file-names-rmsprop",
        description="Images sorted by number, but labels sorted by file name, as in 1, 10, 100.",
        data="fashion",
        changes=("by file name",),
        model=("separable", {}),
        optimizer=("RMSprop", {}),
        feed="shuffled",
    ),
    Condition(
        name="labels-not-reaching-loss/satellite-mixed-inputs-adamw",
        description="An augmentation that shuffles the inputs of a batch but not its labels.",
        data="satellite",
        model=("residual", {}),
        optimizer=("AdamW", {}),
        feed="mixed inputs",
        fit={"batch_size": 64},
    ),
    Condition(
        name="repeated-data/letters-taken-adam",
        description="`dataset.take(3).cache().repeat()`, left over from debugging.",
        data="letters",
        model=("mlp", {"units": (128, 64)}),
        optimizer=("Adam", {}),
        feed="taken",
        scan={"num_steps": 150},
    ),
    Condition(
        name="repeated-data/wage-24-two-inputs-adamw",
        description="A regression with two inputs on twenty-four people.",
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
        description="A generator over one file per newsgroup.",
        data="newsgroups_counts",
        changes=("in order",),
        model=("mlp", {"units": (64,)}),
        optimizer=("Adam", {}),
        feed="generator",
        scan={"num_steps": 120},
    ),
    Condition(
        name="ordered-data/fashion-interleaved-nadam",
        description="`interleave(block_length=batch_size)` over one file per class, so each batch has a single class.",
        data="fashion",
        model=("wide and deep", {}),
        optimizer=("Nadam", {}),
        feed="interleaved",
    ),
    Condition(
        name="small-batches/ratings-2-factors-nadam",
        description="A recommender that gets two ratings at a time.",
        data="ratings",
        model=("factors", {"width": 12}),
        optimizer=("Nadam", {}),
        fit={"batch_size": 2},
        scan={"num_steps": 150},
    ),
    Condition(
        name="small-batches/hr-1-wide-and-deep-adamw",
        description="One employee at a time, from a PyDataset.",
        data="hr",
        model=("wide and deep", {"units": (32,)}),
        optimizer=("AdamW", {}),
        feed="batches",
        fit={"batch_size": 1},
        scan={"num_steps": 200},
    ),
)
