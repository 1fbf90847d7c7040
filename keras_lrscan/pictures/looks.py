"""Recognizes the tool whose plot a picture shows, from the words around it.

Sources: the plotting functions of ktrain 0.41 (`lroptimize/lrfinder.py`), keras_lr_finder, fastai 1 (`basic_train.py`)
and 2 (`callback/schedule.py`), Lightning 2.6 (`tuner/lr_finder.py`) and torch-lr-finder 0.2 (`lr_finder.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOOKS", "Look", "counts_time", "is_own_plot", "recognize_look"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """Describes how a tool labels its plot.

    Attributes:
        tools: The tools that label it so.
        x_label: Pattern of the label of the x-axis, in which case matters.
        y_label: Pattern of the label of the y-axis.
        averaging: Key of `AVERAGES` that all those tools have in common, or `None` if they differ.
        says: What the tools store, as a sentence.
    """

    tools: str
    x_label: str
    y_label: str
    averaging: str | None
    says: str


LOOKS: Sequence[Look] = (
    Look(
        tools="ktrain or keras_lr_finder",
        x_label=r"learning ?rate ?\(?log ?scale\)?",
        y_label=r"loss",
        averaging="running-mean",
        says="Both draw the mean of all batches since the epoch began, and ktrain averages that mean once more (0.98).",
    ),
    Look(
        tools="fastai",
        x_label=r"Learning ?Rate",
        y_label=r"Loss",
        averaging="ema-0.98",
        says="It draws a moving average of the losses (0.98).",
    ),
    Look(
        tools="Lightning or torch-lr-finder",
        x_label=r"Learning ?rate",
        y_label=r"Loss",
        averaging=None,
        says=(
            "Lightning draws a moving average (0.98) that starts at half the loss; torch-lr-finder draws one that "
            "gives each new loss a weight of 0.05."
        ),
    ),
)
"""The looks that labels can tell apart."""


def recognize_look(x_label: str, y_label: str) -> Look | None:
    """Returns the look with these labels, or `None` if no tool is known to write them.

    >>> recognize_look("learning rate (log scale)", "loss").tools
    'ktrain or keras_lr_finder'
    >>> recognize_look("lr", "loss")
    """
    found = (
        look
        for look in LOOKS
        if re.fullmatch(look.x_label, x_label.strip()) and re.fullmatch(look.y_label, y_label.strip())
    )
    return next(found, None)


def counts_time(x_label: str) -> bool:
    """Returns whether the label of the x-axis names the time of training, as a plot of its history does.

    >>> counts_time("Epoch"), counts_time("training steps"), counts_time("learning rate per step"), counts_time("")
    (True, True, False, False)
    """
    names_rate = re.search(r"rate|\blr\b", x_label, re.IGNORECASE) is not None
    return not names_rate and re.search(r"epoch|\bsteps?\b|iteration|\bbatch", x_label, re.IGNORECASE) is not None


def is_own_plot(x_label: str) -> bool:
    """Returns whether a plot of this package has this label.

    >>> is_own_plot("learning rate, increased after every batch (log scale)"), is_own_plot("learning rate")
    (True, False)
    """
    return re.match(r"learning ?rate[,.]? ?increased ?after ?every", x_label.strip()) is not None
