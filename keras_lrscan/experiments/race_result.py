"""Holds, explains and plots the result of a race of learning rates (`RaceResult`)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
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
from keras_lrscan.suggestions.suggest import Role, Suggestion, format_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["Candidate", "CandidateOutcome", "RaceResult"]

DASHES = ("--", "-.", ":")
WINDOW = 8
"""Number of batches in the running means of the plot."""


class CandidateOutcome(StrEnum):
    """The outcome of the race for one candidate."""

    WON = "won"
    """It won."""
    FINISHED = "finished"
    """It finished the race without winning."""
    DROPPED = "dropped"
    """It was last at the end of an earlier round."""
    BROKE = "broke"
    """Its loss became NaN or infinite."""
    UNFINISHED = "unfinished"
    """Ctrl-C ended the race first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One learning rate of a race.

    Attributes:
        lr: The learning rate, or the peak of the schedule.
        losses: Training loss of each batch before its update (the model's unit). Array of shape `(n,)`.
        score: The loss at the last comparison; infinite if its training diverged, `None` without a comparison.
        outcome: The outcome of the race.
    """

    lr: Rate
    losses: Floats = field(repr=False)
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
        suggestion: The suggestion of the race, which replaces `before`. Its `lr` is `None` if every candidate diverged
            or made the model worse, or if the race ended before a comparison and no scan suggested a rate.
        before: The suggestion of the scan, or `None` without a scan.
        candidates: The candidates in increasing order of the learning rate.
        role: Use of the learning rate.
        judged_by: The loss that decides, `"validation loss"` or `"training loss"`.
        start_loss: That loss before any training (the model's unit).
        num_steps: Number of updates of all candidates together.
        interrupted: Whether Ctrl-C ended the race.
        notes: Sentences about data that could not be restored.
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
        """Checks `judged_by`."""
        if self.judged_by not in LIMITS:
            raise InvalidCurveError(str(unknown_option("judged_by", self.judged_by, LIMITS)))

    def explain(self) -> str:
        """Explains the race and its suggestion in plain words."""
        return text(
            "A race of learning rates",
            [
                ("", [_describe_setup(self)]),
                ("Results", [_describe_candidate(self, candidate) for candidate in self.candidates]),
                ("What it means", _interpret(self)),
                ("What it does not mean", [LIMITS[self.judged_by]]),
                ("Notes", self.notes),
            ],
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draws the training loss of each candidate over the steps of the race.

        Args:
            ax: Axes to draw on; those of a new figure by default.

        Returns:
            The axes.
        """
        if ax is None:
            from matplotlib import pyplot as plt

            _, ax = plt.subplots(figsize=(7.2, 4.5), layout="constrained")
        others = 0
        for candidate in self.candidates:
            won = candidate.outcome is CandidateOutcome.WON
            style = {"color": WINNER, "lw": 2.6, "zorder": 3} if won else _line_style(others)
            others += not won
            steps, means = _running_means(candidate.losses)
            ax.plot(steps, means, label=_legend_label(candidate), **style)
        low, top = _view(self)
        ax.set_ylim(low, top)
        ax.set_xlim(0, max((candidate.losses.size for candidate in self.candidates), default=1))
        ax.set_xlabel("step")
        ax.set_ylabel(f"training loss (mean of {WINDOW} batches)")
        ax.set_title(
            "A race of learning rates" + (", one-cycle peaks" if self.role == Role.ONE_CYCLE else ""), loc="left"
        )
        ax.legend(
            title=f"learning rate: outcome, {self.judged_by}",
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
            ncols=2,
            frameon=False,
            fontsize=9,
        )
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _tables(self) -> Iterator[dict[str, Any]]:
        for candidate in self.candidates:
            yield {"lr": candidate.lr, "outcome": str(candidate.outcome), "loss": candidate.losses}

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
            "It need not be the best learning rate of all: only these candidates raced, and only briefly. For training "
            "over many epochs, a somewhat smaller one can be better, and two candidates with similar losses may swap "
            "places in another race."
        ),
        "training loss": (
            "It need not be the best learning rate of all: only these candidates raced, and only briefly, and the loss "
            "on the training batches themselves favors large learning rates. With `validation_data`, a race compares "
            "the candidates on data that it does not train on, and is right more often."
        ),
    }
)
"""Loss that decided → the limits of the suggestion."""


def _describe_setup(result: RaceResult) -> str:
    if not result.candidates:
        return "No learning rate raced."
    kind = "learning rates" if result.role == Role.CONSTANT else "peaks of a one-cycle schedule"
    return (
        f"{len(result.candidates)} {kind}, each from the same weights on the same batches: {result.num_steps} steps in "
        f"total, compared by {result.judged_by}."
        + (
            f" Before any training, this loss is {format_loss(result.start_loss)}."
            if math.isfinite(result.start_loss)
            else ""
        )
    )


def _outcome_words(candidate: Candidate) -> str:
    steps = candidate.losses.size
    words = {
        CandidateOutcome.WON: "won",
        CandidateOutcome.FINISHED: "finished",
        CandidateOutcome.DROPPED: f"dropped out after {steps} steps",
        CandidateOutcome.BROKE: f"diverged after {steps} steps",
        CandidateOutcome.UNFINISHED: "did not finish",
    }
    return words[candidate.outcome]


def _legend_label(candidate: Candidate) -> str:
    scored = candidate.score is not None and math.isfinite(candidate.score)
    return f"{format_lr(candidate.lr)}: {_outcome_words(candidate)}" + f", {format_loss(candidate.score or 0)}" * scored


def _describe_candidate(result: RaceResult, candidate: Candidate) -> str:
    text = f"{format_lr(candidate.lr)} {_outcome_words(candidate)}"
    if candidate.score is None or not math.isfinite(candidate.score):
        return f"{text}."
    return f"{text}, with a {result.judged_by} of {format_loss(candidate.score)}."


def _interpret(result: RaceResult) -> list[str]:
    suggestion, before = result.suggestion, result.before
    sentences = [suggestion.reason]
    reach = format_range(suggestion)
    if suggestion.lr is not None and reach is not None:
        use = "Train at" if result.role == Role.CONSTANT else "Let the schedule peak at"
        sentences.append(f"{use} about {format_lr(suggestion.lr)}. The range from {reach} is about as good.")
    winner = next((one.score for one in result.candidates if one.outcome is CandidateOutcome.WON), None)
    if winner is not None and any(one.score is not None and one.score < winner for one in result.candidates):
        sentences.append(
            "Another candidate has a lower loss, but not by enough for its distance from the suggested learning rate."
        )
    if before is not None and before.lr is not None:
        sentences.append(f"The scan alone suggested about {format_lr(before.lr)}.")
    if result.interrupted:
        sentences.append("The race was interrupted, so this result uses only the part that had finished.")
    return sentences


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _line_style(number: int) -> dict[str, Any]:
    return {"color": LOSING_COLORS[number % len(LOSING_COLORS)], "ls": DASHES[number % len(DASHES)], "lw": 1.5}


def _running_means(losses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the steps and the mean of up to `WINDOW` losses before each of them."""
    finite = losses[np.isfinite(losses)]
    sums = np.cumsum(np.concatenate([[0.0], finite]))
    ends = np.arange(1, finite.size + 1)
    begins = np.maximum(ends - WINDOW, 0)
    means = (sums[ends] - sums[begins]) / (ends - begins)
    return ends.astype(float), np.asarray(means, float)


def _view(result: RaceResult) -> tuple[float, float]:
    """Returns the range of losses to show, which extends above the start by at most the fall below it."""
    means = [mean for mean in (_running_means(candidate.losses)[1] for candidate in result.candidates) if mean.size]
    if not means:
        return 0.0, 1.0
    values = np.concatenate(means)
    low, first = float(values.min()), max(float(mean[0]) for mean in means)
    height = max(first - low, 0.25 * abs(first), float(np.finfo(float).tiny))
    top = min(float(values.max()), first + height)
    return low - 0.05 * (top - low), top + 0.05 * (top - low)
