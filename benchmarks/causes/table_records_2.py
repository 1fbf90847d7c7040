"""More records of other tools, which hold averages, written blind to the rules; once set aside."""

from __future__ import annotations

from conditions import Condition

AVERAGED = (
    Condition(
        name="averaging/mnist-classic-finder-mlp-adam",
        says="The callback of tutorials, pasted into the first fit.",
        data="mnist",
        model=("mlp", {"units": (128,)}),
        optimizer=("Adam", {}),
        record="classic finder",
    ),
    Condition(
        name="averaging/satellite-rolling-mean-momentum",
        says="Losses smoothed with pandas, the mean of the last ten, before they were stored.",
        data="satellite",
        model=("mlp", {"units": (48,)}),
        optimizer=("SGD", {"momentum": 0.9}),
        record="rolling mean",
    ),
    Condition(
        name="averaging/wage-fastai-huber-adamw",
        says="fastai's record of a regression.",
        data="wage",
        model=("mlp", {"units": (32, 16)}),
        loss="huber",
        optimizer=("AdamW", {}),
        record="fastai",
    ),
)

ROWS = (*AVERAGED,)
"""All of them."""
