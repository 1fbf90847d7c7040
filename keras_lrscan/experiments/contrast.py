"""Compares a scan of the model as given with a scan of the same architecture from scratch (`Contrast`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_lrscan._typing import FitData, FitOption, Model
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.curves.context import chance_loss
from keras_lrscan.experiments.result import Result
from keras_lrscan.explanation.layout import factor, text
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.hosts.fresh_weights import renew_optimizer
from keras_lrscan.hosts.layer_tree import frozen_layers
from keras_lrscan.plots.overlay import axes, draw_curve, draw_rate, finish
from keras_lrscan.plots.palette import CONTRAST_COLORS
from keras_lrscan.reading.references import has_natural_zero
from keras_lrscan.reading.start_state import StartState, is_untrained
from keras_lrscan.recording.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matplotlib.axes import Axes

__all__ = ["Contrast", "Difference", "contrast_with_scratch"]

RATE_DECADES = 0.5
"""Minimum difference between learning rates of the two scans (decades); the ranges of elbows must not overlap either.

In three sets of six scans of the model of `keras_lrscan.datasets.digits`, the elbows and suggestions of one set have a
standard deviation of 0.09 to 0.19 decades, so the difference of two has one of up to 0.27.
"""

LOSS_SHARE = 0.1
"""Minimum difference between losses of the two scans, if it exceeds their noise.

It is a share of the larger start, or of the larger fall for a loss that can fall below zero.
"""


GUIDE = (
    "Both scans used the same batches in the same order and a fresh optimizer of the same kind; only their initial "
    "weights differ. What both curves share comes from architecture, data and optimizer; what only one shows comes "
    "from its initial weights."
)
"""Opening sentences of the explanation."""


class Difference(NamedTuple):
    """One property of the curve, compared between the two scans.

    Attributes:
        name: `"start"`, `"fall"`, `"lowest"`, `"break"` or `"suggestion"`.
        given: The loss or learning rate in the scan of the model as given; `None` if that scan does not show it.
        scratch: The same number in the scan from scratch.
        changed: Whether the two differ by more than single scans do.
        sentence: The comparison in words.
    """

    name: str
    given: float | None
    scratch: float | None
    changed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast(Result):
    """Two scans on the same batches: the model as given, and the same architecture from scratch.

    Attributes:
        given: The analysis of the model as given, with a fresh optimizer.
        scratch: The analysis of the same architecture with new random weights; `None` after Ctrl-C in that scan.
        notes: Sentences about limits of the comparison.
    """

    KIND = "contrast"

    given: Analysis
    scratch: Analysis | None
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Comparisons from the start to the suggested learning rate; empty without a scan from scratch."""
        if self.scratch is None:
            return ()
        return tuple(compare(self.given, self.scratch) for compare in COMPARISONS)

    def explain(self) -> str:
        """Returns the comparison in plain words."""
        if self.scratch is None:
            return text(
                "The scan from scratch was interrupted. This is the scan of the model as given.",
                [("", [self.given.explain()])],
            )
        differences = self.differences
        changed = [item.sentence for item in differences if item.changed]
        return text(
            "The model as given, compared with the same architecture from scratch",
            [
                ("", [GUIDE]),
                ("Differences", changed or ["None that one scan of each could show."]),
                ("No clear difference", [item.sentence for item in differences if not item.changed]),
                ("What it means", _meanings(self.given, self.scratch, differences)),
                ("About these scans", self.notes),
            ],
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws both curves on the same axes.

        Args:
            ax: Axes to draw on; those of a new figure by default.

        Returns:
            The axes.
        """
        ax = axes(ax)
        analyses = [self.given]
        if self.scratch is not None:
            analyses.append(self.scratch)
            draw_curve(ax, self.scratch, "from scratch", CONTRAST_COLORS[1])
            draw_rate(ax, self.scratch, CONTRAST_COLORS[1])
        draw_curve(ax, self.given, "model as given", CONTRAST_COLORS[0])
        draw_rate(ax, self.given, CONTRAST_COLORS[0])
        return finish(ax, analyses, "Same batches, two starts (rings: the loss starts to rise)", columns=2)

    def _tables(self) -> Iterator[dict[str, Any]]:
        for name, analysis in (("given", self.given), ("scratch", self.scratch)):
            if analysis is not None:
                yield {"weights": name, "lr": analysis.curve.lr, "loss": analysis.curve.loss}

    def _parts(self) -> dict[str, Any]:
        return {
            "given": self.given.to_dict(),
            "scratch": None if self.scratch is None else self.scratch.to_dict(),
            "notes": list(self.notes),
        }


def contrast_with_scratch(
    model: Model,
    x: FitData,
    y: FitData = None,
    *,
    scratch: Callable[[], Any] | None = None,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: FitOption,
) -> Contrast:
    """Scans the model as given and the same architecture from scratch on the same batches, and compares the curves.

    A curve that stays flat and then rises can come from a model that is already good or from one that learns nothing.
    The scan from scratch distinguishes the two: if its loss falls, the data can be learned, and the given weights
    explain the missing descent.

    For the scan from scratch, every weight gets a new value from the initializer of its layer, in place. Subclassed,
    nested and shared layers therefore work without special care, and nothing is compiled again. Frozen layers stay
    frozen, and layers with `adapt` keep their adapted state. Both scans start with the optimizer in its state just
    after `compile`. Afterwards the function restores weights, optimizer, random states and everything else bit for bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; the function keeps `num_steps` batches of it in memory.
        y: Target data, as for `fit`.
        scratch: A function without arguments that returns the same architecture with new weights, for models with
            layers that have no initializer.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Storage for the state to restore, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that determine its batches, such as `batch_size`.

    Returns:
        A `Contrast`. After Ctrl-C in the second scan, it contains only the first one.

    Raises:
        InvalidOptionError: If an argument has an invalid value.
        ScanError: If the model is not compiled or runs on several devices, or if a weight has neither an initializer
            nor a value from `scratch`.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is restored.

    Example:
    ```python
    contrast = contrast_with_scratch(model, x, y, batch_size=32)
    print(contrast.explain())
    contrast.plot()
    ```
    """
    trials = Trials(
        model,
        x,
        y,
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        planned_steps=2 * num_steps,
        snapshot=snapshot,
        monitor=monitor,
        verbose=verbose,
        fit_options=fit_options,
    )
    start_from_scratch = trials.from_scratch(scratch)
    with trials:
        given = trials.scan(prepare=lambda: renew_optimizer(trials.host))
        fresh = trials.scan(prepare=start_from_scratch) if given is not None else None
    if given is None:  # leaving the block above raises it already
        raise KeyboardInterrupt
    return Contrast(
        given=analyze(given),
        scratch=None if fresh is None else analyze(fresh),
        notes=(*trials.notes, *_frozen_note(given.context.num_frozen_params, model)),
    )


def _frozen_note(num_frozen: int | None, model: Model) -> list[str]:
    if not num_frozen or not frozen_layers(model):
        return []
    return ["Frozen layers stayed frozen from scratch too, so the other layers learned from random features there."]


def _compare_start(given: Analysis, scratch: Analysis) -> Difference:
    losses = [_loss(analysis, "start") for analysis in (given, scratch)]
    changed = _losses_differ(losses, given, scratch)
    first, second = (_format_or_unknown(loss) for loss in losses)
    chance = chance_loss(given.curve.context)
    level = f" (the chance level is {format_loss(chance)})" if chance is not None else ""
    if changed:
        sentence = f"Start: the loss is about {first}, and about {second} from scratch{level}."
    else:
        sentence = f"Start: the loss is about {first}, and about the same from scratch, {second}{level}."
    return Difference("start", losses[0], losses[1], changed, sentence)


def _compare_fall(given: Analysis, scratch: Analysis) -> Difference:
    falls = [analysis.landmarks.fall for analysis in (given, scratch)]
    words = [f"falls by {format_loss(fall)}" if fall > 0 else "does not fall" for fall in falls]
    changed = (falls[0] > 0) != (falls[1] > 0) or _losses_differ(falls, given, scratch)
    also = "also " if (falls[0] > 0) == (falls[1] > 0) else ""
    sentence = f"Descent: the loss {words[0]}, and from scratch it {also}{words[1]}."
    return Difference("fall", falls[0], falls[1], changed, sentence)


def _compare_lowest(given: Analysis, scratch: Analysis) -> Difference:
    losses = [_loss(analysis, "minimum") for analysis in (given, scratch)]
    changed = _losses_differ(losses, given, scratch)
    first, second = (_format_or_unknown(loss) for loss in losses)
    return Difference(
        "lowest", losses[0], losses[1], changed, f"Lowest loss of the scan: {first}, and {second} from scratch."
    )


def _compare_break(given: Analysis, scratch: Analysis) -> Difference:
    marks = [given.landmarks.elbow, scratch.landmarks.elbow]
    rates = [None if mark is None else mark.lr for mark in marks]
    apart = _decades_apart(rates)
    if apart is None:
        words = [f"at about {format_lr(rate)}" if rate is not None else "nowhere in this scan" for rate in rates]
        sentence = f"The loss starts to rise {words[0]}, and from scratch {words[1]}."
        return Difference("break", rates[0], rates[1], rates[0] != rates[1], sentence)
    ranges = [(mark.low or mark.lr, mark.high or mark.lr) for mark in marks if mark is not None]
    changed = abs(apart) >= RATE_DECADES and not _overlap(*ranges)
    return Difference("break", rates[0], rates[1], changed, _compare_rates("The loss starts to rise", rates, apart))


def _compare_suggestion(given: Analysis, scratch: Analysis) -> Difference:
    chosen = [given.suggestion, scratch.suggestion]
    rates = [suggestion.lr for suggestion in chosen]
    apart = _decades_apart(rates)
    if apart is None:
        words = [f"about {format_lr(rate)}" if rate is not None else "none" for rate in rates]
        sentence = f"Suggested learning rate: {words[0]}, and from scratch {words[1]}."
        return Difference("suggestion", rates[0], rates[1], rates[0] != rates[1], sentence)
    changed = abs(apart) >= RATE_DECADES
    return Difference(
        "suggestion", rates[0], rates[1], changed, _compare_rates("The suggested learning rate is", rates, apart)
    )


COMPARISONS: tuple[Callable[[Analysis, Analysis], Difference], ...] = (
    _compare_start,
    _compare_fall,
    _compare_lowest,
    _compare_break,
    _compare_suggestion,
)
"""The comparisons, from left to right along the curve."""


class Meaning(NamedTuple):
    """A sentence of the interpretation, and the facts that it requires."""

    when: frozenset[str]
    says: str


MEANINGS: tuple[Meaning, ...] = (
    Meaning(
        frozenset({"fresh"}),
        "The given weights look untrained: neither the layers nor the optimizer show signs of training. So both scans "
        "start from random weights, and differ as two fresh models do.",
    ),
    Meaning(
        frozenset({"starts-lower", "given-flat", "scratch-falls"}),
        "The descent is missing because the model already starts at a lower loss; from scratch, the loss falls on the "
        "same batches. The flat part is therefore not a problem of data or optimizer, and it is not overfitting: there "
        "is little left to gain in so few steps.",
    ),
    Meaning(
        frozenset({"starts-lower", "given-falls", "scratch-falls"}),
        "The given weights already solve a part of this task, and training them further lowers the loss.",
    ),
    Meaning(
        frozenset({"starts-alike", "ends-lower", "scratch-falls"}),
        "Both scans start at the same loss, as with a new head, but the given weights reach a lower loss in the "
        "same number of steps: their earlier training helps here.",
    ),
    Meaning(
        frozenset({"starts-alike", "ends-alike", "scratch-falls"}),
        "In this test the given weights are neither better nor worse than random ones. If they are meant to be "
        "pretrained, check that they were loaded, and that the inputs are preprocessed as in pretraining.",
    ),
    Meaning(
        frozenset({"starts-alike", "ends-higher", "scratch-falls"}),
        "From scratch the model learns more in the same number of steps, so the given weights hinder learning. "
        "Possible reasons are dead units, different preprocessing of the inputs, or an earlier training that diverged.",
    ),
    Meaning(
        frozenset({"starts-higher", "worse-than-chance", "old-head"}),
        "The given weights start worse than random ones: their predictions are confident and wrong. Check the order of "
        "the classes, the scale of the inputs, and that the weights belong to this architecture.",
    ),
    Meaning(
        frozenset({"given-flat", "scratch-flat", "starts-lower"}),
        "From scratch the model learns nothing in so few steps either, so this test cannot show how much the given "
        "model could still gain. Its lower start comes from its earlier training.",
    ),
    Meaning(
        frozenset({"given-flat", "scratch-flat", "starts-alike"}),
        "Neither start learns anything in so few steps. Check the data, the labels and the loss before the learning "
        "rate, or use more steps.",
    ),
    Meaning(
        frozenset({"breaks-alike"}),
        "The loss starts to rise at about the same learning rate for both. As far as one scan of each shows, this "
        "limit comes from architecture, data and optimizer and not from the initial weights.",
    ),
    Meaning(
        frozenset({"breaks-sooner"}),
        "The loss of the given weights starts to rise at a lower learning rate than that of random ones. Learning "
        "rates that are usual from scratch would destroy a part of their training.",
    ),
    Meaning(
        frozenset({"breaks-later"}),
        "The given weights tolerate higher learning rates than random ones; a warm-up, which helps random weights, "
        "matters less here.",
    ),
)
"""Interpretations of the comparison; `explain` includes each one with all its facts present."""


VERBS = {
    "start": ("starts", "lower", "higher"),
    "lowest": ("ends", "lower", "higher"),
    "break": ("breaks", "sooner", "later"),
}
"""Difference → its verb in the facts, and the words for a smaller and a larger number of the given model."""


def _meanings(given: Analysis, scratch: Analysis, differences: tuple[Difference, ...]) -> list[str]:
    facts = _facts(given, scratch, {item.name: item for item in differences})
    return [meaning.says for meaning in MEANINGS if meaning.when <= facts]


def _facts(given: Analysis, scratch: Analysis, differences: Mapping[str, Difference]) -> frozenset[str]:
    """Returns the facts about the comparison that `MEANINGS` can require; of untrained weights, only that one."""
    if is_untrained(given.curve.context):
        return frozenset({"fresh"})
    analyses = {"given": given, "scratch": scratch}
    facts = {f"{name}-{'falls' if analysis.landmarks.fall > 0 else 'flat'}" for name, analysis in analyses.items()}
    for name, (verb, less, more) in VERBS.items():
        item = differences[name]
        if item.given is None or item.scratch is None:
            continue
        if item.changed or name != "break" or abs(math.log10(item.given / item.scratch)) < RATE_DECADES:
            facts.add(f"{verb}-{(less if item.given < item.scratch else more) if item.changed else 'alike'}")
    if given.verdict.start_state == StartState.WORSE_THAN_CHANCE:
        facts.add("worse-than-chance")
    if not given.facts["has_new_head"]:
        facts.add("old-head")
    return frozenset(facts)


def _loss(analysis: Analysis, landmark: str) -> float | None:
    mark = getattr(analysis.landmarks, landmark)
    return None if mark is None else float(mark.loss)


def _format_or_unknown(loss: float | None) -> str:
    return "unknown" if loss is None else format_loss(loss)


def _losses_differ(losses: list[float | None] | list[float], given: Analysis, scratch: Analysis) -> bool:
    first, second = losses
    if first is None or second is None:
        return first is not second
    both = (given, scratch)
    sizes = [
        abs(_loss(analysis, "start") or 0.0) if has_natural_zero(analysis.curve) else analysis.landmarks.fall
        for analysis in both
    ]
    errors = [float(np.median(analysis.smoothed.standard_error)) for analysis in (given, scratch)]
    return abs(first - second) > max(LOSS_SHARE * max(sizes), 3 * math.hypot(*errors))


def _decades_apart(rates: list[float | None]) -> float | None:
    """Returns the distance of the first learning rate above the second (decades)."""
    first, second = rates
    return None if first is None or second is None else math.log10(first / second)


def _overlap(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def _compare_rates(what: str, rates: list[float | None], apart: float) -> str:
    first, second = (format_lr(rate) for rate in rates if rate is not None)
    compared = "" if factor(apart) == "the same" or first == second else f": {factor(apart)}"
    return f"{what}{' at' if not what.endswith('is') else ''} about {first}, and about {second} from scratch{compared}."
