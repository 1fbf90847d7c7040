"""`RaceResult`: how a race of learning rates went, in words, as a picture and as plain values."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.errors import InvalidCurveError, unknown_option
from keras_lrscan.experiments.result import Result
from keras_lrscan.explanation.layout import text
from keras_lrscan.files.decoding import Count, Floats, Rate
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.plots.palette import LOSING_COLORS, WINNER
from keras_lrscan.suggestions.suggest import Role, Suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["Candidate", "CandidateOutcome", "RaceResult"]

DASHES = ("--", "-.", ":")
WINDOW = 8
"""Losses of the picture are means over this many batches."""


class CandidateOutcome(StrEnum):
    """How a candidate ended."""

    WON = "won"
    """It won."""
    FINISHED = "finished"
    """It ran to the end and did not win."""
    DROPPED = "dropped"
    """It was last when a part of the race was over."""
    BROKE = "broke"
    """Its loss was no longer finite."""
    UNFINISHED = "unfinished"
    """Ctrl-C came first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One rate of a race.

    Attributes:
        lr: The rate, or the peak of the schedule.
        losses: Training loss of each batch alone, before its update (the model's unit). Array of shape `(n,)`.
        score: The loss it was judged by when last judged; infinite if it broke, `None` if it was never judged.
        outcome: How it ended.
    """

    lr: Rate
    losses: Floats
    score: float | None
    outcome: CandidateOutcome

    def __post_init__(self) -> None:
        losses = np.array(self.losses, float)
        losses.flags.writeable = False
        object.__setattr__(self, "losses", losses)


@dataclass(frozen=True, kw_only=True, eq=False)
class RaceResult(Result):
    """A race of learning rates.

    Attributes:
        suggestion: What the race suggests, in the place of `before`; its `lr` is `None` where every candidate broke.
        before: What the scan suggested, or `None` without a scan.
        candidates: The rates that raced, rising.
        role: What the rate is for.
        judged_by: `"validation loss"` or `"training loss"`.
        start_loss: That loss before any training (the model's unit).
        num_steps: Updates of all candidates together.
        interrupted: Whether Ctrl-C ended the race.
        notes: Sentences on what of the data could not be put back.
    """

    KIND = "race"
    NAMES_NUMBERS = True

    suggestion: Suggestion
    before: Suggestion | None
    candidates: tuple[Candidate, ...]
    role: Role
    judged_by: str
    start_loss: float
    num_steps: Count
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks that there are words for the way of judging."""
        if self.judged_by not in LIMITS:
            raise InvalidCurveError(str(unknown_option("judged_by", self.judged_by, LIMITS)))

    def explain(self) -> str:
        """Returns how the race went and what it means, in plain words."""
        return text(
            "A race of learning rates",
            [
                ("", [_setting(self)]),
                ("How it went", [_line(self, candidate) for candidate in self.candidates]),
                ("What it means", _meaning(self)),
                ("What it does not mean", [LIMITS[self.judged_by]]),
                ("Note", self.notes),
            ],
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draws the training loss of each candidate over the steps of the race.

        Args:
            ax: Where to draw; a new figure's when left out.

        Returns:
            The axes.
        """
        if ax is None:
            from matplotlib import pyplot as plt

            _, ax = plt.subplots(figsize=(7.2, 4.5), layout="constrained")
        others = 0
        for candidate in self.candidates:
            won = candidate.outcome is CandidateOutcome.WON
            look = {"color": WINNER, "lw": 2.6, "zorder": 3} if won else _look(others)
            others += not won
            steps, means = _means(candidate.losses)
            ax.plot(steps, means, label=_short(candidate), **look)
        low, top = _view(self)
        ax.set_ylim(low, top)
        ax.set_xlim(0, max((candidate.losses.size for candidate in self.candidates), default=1))
        ax.set_xlabel("step")
        ax.set_ylabel(f"training loss, mean of {WINDOW} batches")
        ax.set_title(
            "A race of learning rates" + (", one-cycle peaks" if self.role == Role.ONE_CYCLE else ""), loc="left"
        )
        ax.legend(
            title=f"rate: how it ended, {self.judged_by}",
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
            ncols=2,
            frameon=False,
            fontsize=9,
        )
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _parts(self) -> dict[str, Any]:
        return {
            "suggestion": dataclasses.asdict(self.suggestion),
            "before": None if self.before is None else dataclasses.asdict(self.before),
            "candidates": [
                {
                    "lr": candidate.lr,
                    "losses": [_plain(loss) for loss in candidate.losses.tolist()],
                    "score": None if candidate.score is None else _plain(candidate.score),
                    "outcome": str(candidate.outcome),
                }
                for candidate in self.candidates
            ],
            "role": str(self.role),
            "judged_by": self.judged_by,
            "start_loss": _plain(self.start_loss),
            "num_steps": self.num_steps,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
        }


LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "validation loss": (
            "It is not the best rate there is: only these raced, and not for long. For a training of many epochs it "
            "can be somewhat smaller, and two rates whose losses are close may change places in another race."
        ),
        "training loss": (
            "It is not the best rate there is: only these raced, not for long, and the loss on the very batches "
            "trained on flatters large rates. With `validation_data`, a race judges by data that it does not train on, "
            "and is right more often."
        ),
    }
)
"""What a race was judged by → what it does not mean."""


def _setting(result: RaceResult) -> str:
    what = "rates" if result.role == Role.CONSTANT else "peaks of a one-cycle schedule"
    return (
        f"{len(result.candidates)} {what}, each from the same weights on the same batches: {result.num_steps} steps in "
        f"all, judged by the {result.judged_by}."
        + (f" Before any training it is {format_loss(result.start_loss)}." if math.isfinite(result.start_loss) else "")
    )


def _outcome(candidate: Candidate) -> str:
    steps = candidate.losses.size
    words = {
        CandidateOutcome.WON: "won",
        CandidateOutcome.FINISHED: "ran to the end",
        CandidateOutcome.DROPPED: f"dropped out after {steps} steps",
        CandidateOutcome.BROKE: f"broke after {steps} steps",
        CandidateOutcome.UNFINISHED: "did not finish",
    }
    return words[candidate.outcome]


def _short(candidate: Candidate) -> str:
    scored = candidate.score is not None and math.isfinite(candidate.score)
    return f"{format_lr(candidate.lr)}: {_outcome(candidate)}" + f", {format_loss(candidate.score or 0)}" * scored


def _line(result: RaceResult, candidate: Candidate) -> str:
    text = f"{format_lr(candidate.lr)} {_outcome(candidate)}"
    if candidate.score is None or not math.isfinite(candidate.score):
        return f"{text}."
    return f"{text}, with a {result.judged_by} of {format_loss(candidate.score)}."


def _meaning(result: RaceResult) -> list[str]:
    suggestion, before = result.suggestion, result.before
    sentences = [suggestion.reason]
    if suggestion.lr is not None and suggestion.low is not None and suggestion.high is not None:
        use = "Train at" if result.role == Role.CONSTANT else "Let the schedule peak at"
        ends = f"{format_lr(suggestion.low)} to {format_lr(suggestion.high)}"
        sentences.append(f"{use} about {format_lr(suggestion.lr)}. What lies from {ends} is about as good.")
    winner = next((one.score for one in result.candidates if one.outcome is CandidateOutcome.WON), None)
    if winner is not None and any(one.score is not None and one.score < winner for one in result.candidates):
        sentences.append("Another had a lower loss, but not by enough for a rate so far from the suggested one.")
    if before is not None and before.lr is not None:
        sentences.append(f"The scan alone suggested about {format_lr(before.lr)}.")
    if result.interrupted:
        sentences.append("The race was interrupted, so this rests on what had finished.")
    return sentences


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _look(number: int) -> dict[str, Any]:
    return {"color": LOSING_COLORS[number % len(LOSING_COLORS)], "ls": DASHES[number % len(DASHES)], "lw": 1.5}


def _means(losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns steps and the mean of the last `WINDOW` losses before each; of the first few, of as many as there are."""
    finite = losses[np.isfinite(losses)]
    sums = np.cumsum(np.concatenate([[0.0], finite]))
    ends = np.arange(1, finite.size + 1)
    begins = np.maximum(ends - WINDOW, 0)
    means = (sums[ends] - sums[begins]) / (ends - begins)
    return ends.astype(float), np.asarray(means, float)


def _view(result: RaceResult) -> tuple[float, float]:
    """Returns the range of losses to show: nothing above the start by more than the race fell below it."""
    means = [mean for mean in (_means(candidate.losses)[1] for candidate in result.candidates) if mean.size]
    if not means:
        return 0.0, 1.0
    values = np.concatenate(means)
    low, first = float(values.min()), max(float(mean[0]) for mean in means)
    height = max(first - low, 0.25 * abs(first), float(np.finfo(float).tiny))
    top = min(float(values.max()), first + height)
    return low - 0.05 * (top - low), top + 0.05 * (top - low)
