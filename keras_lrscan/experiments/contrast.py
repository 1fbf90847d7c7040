"""Contrast: the model as it is against the same architecture from scratch, scanned on the same batches."""

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
from keras_lrscan.plots.overlay import COLORS, axes, draw_curve, draw_rate, finish
from keras_lrscan.recording.trials import Trials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

__all__ = ["Contrast", "Difference", "contrast_with_scratch"]

RATE_DECADES = 0.5
"""Rates of the two scans differ from this many decades on, if the ranges that they keep to do not overlap.

In three sets of six scans of the digits classifier of `datasets.digits`, elbows and suggestions of one set have a
standard deviation of 0.09 to 0.19 decade, so differences of two one of up to 0.27.
"""

LOSS_SHARE = 0.1
"""Losses of the two scans differ from this share of the larger start on, if it is more than their noise."""


class Difference(NamedTuple):
    """One thing that both scans show.

    Attributes:
        name: `"start"`, `"fall"`, `"lowest"`, `"break"` or `"suggestion"`.
        given: The number in the scan of the model as it is: a loss or a rate; `None` where it is not shown.
        scratch: The same in the scan from scratch.
        changed: Whether the two differ by more than single scans do.
        sentence: What there is to say.
    """

    name: str
    given: float | None
    scratch: float | None
    changed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast(Result):
    """Two scans on the same batches: of the model as it is, and of the same architecture from scratch.

    Attributes:
        given: The reading of the model as it is, with a fresh optimizer.
        scratch: The reading of the same architecture with weights drawn anew; `None` if Ctrl-C came before it ended.
        notes: Sentences on what limits the comparison.
    """

    KIND = "contrast"

    given: Analysis
    scratch: Analysis | None
    notes: tuple[str, ...] = ()

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What the start changed and what it did not, from the first loss to the suggested rate."""
        if self.scratch is None:
            return ()
        return tuple(compare(self.given, self.scratch) for compare in COMPARISONS)

    def explain(self) -> str:
        """Returns the comparison in plain words."""
        if self.scratch is None:
            return text(
                "The scan from scratch was interrupted; here is the scan of the model as it is.",
                [("", [self.given.explain()])],
            )
        differences = self.differences
        changed = [item.sentence for item in differences if item.changed]
        return text(
            "The model as it is, against the same architecture from scratch",
            [
                ("", [GUIDE]),
                ("What the given start changed", changed or ["Nothing that one scan of each could show."]),
                ("What it did not change", [item.sentence for item in differences if not item.changed]),
                ("What it means", _meanings(self.given, self.scratch, differences)),
                ("About this record", self.notes),
            ],
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws both curves on one pair of axes.

        Args:
            ax: Where to draw; a new figure when left out.

        Returns:
            The axes.
        """
        ax = axes(ax)
        analyses = [self.given]
        if self.scratch is not None:
            analyses.append(self.scratch)
            draw_curve(ax, self.scratch, "from scratch", COLORS[1])
            draw_rate(ax, self.scratch, COLORS[1])
        draw_curve(ax, self.given, "the model as it is", COLORS[0])
        draw_rate(ax, self.given, COLORS[0])
        return finish(ax, analyses, "The same batches, two starts (rings: starts to rise)", columns=2)

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
    """Scans the model as it is and the same architecture from scratch, on the same batches, and compares.

    A curve that is flat and then a spike is what a model shows that is already good, and also what a model shows that
    learns nothing. The scan from scratch tells them apart: if it falls, the data can be learned, and the missing
    descent is the work of the given start.

    From scratch means: every weight gets a new value from its layer's own initializer, in place, so subclassed, nested
    and shared layers need nothing special and nothing is compiled anew. Layers stay frozen where they are frozen, and
    layers that learn by `adapt` keep what they have learned. Both scans begin with the optimizer as it is just after
    `compile`. Afterwards weights, optimizer, random states and all else are put back to the last bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; `num_steps` batches of it are kept in memory.
        y: Target data, as for `fit`.
        scratch: A function without arguments that returns the same architecture with new weights, for models whose
            layers do not tell how they start.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Where the state to put back is kept, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that say which batches it trains on, such as `batch_size`.

    Returns:
        A `Contrast`. After Ctrl-C in its second scan, one with the first scan only.

    Raises:
        InvalidOptionError: If an argument has a value that makes no scan.
        ScanError: If the model is not compiled or runs on several devices, or if there are weights of which nobody
            says how they start.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is put back.

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
        anew = trials.scan(prepare=start_from_scratch) if given is not None else None
    if given is None:  # the block above has raised then
        raise KeyboardInterrupt
    return Contrast(
        given=analyze(given),
        scratch=None if anew is None else analyze(anew),
        notes=(*trials.notes, *_frozen_note(given.context.num_frozen_params, model)),
    )


GUIDE = (
    "Both scans saw the same batches in the same order, with a fresh optimizer of the same kind; only the weights that "
    "they started from differ. What both show comes from architecture, data and optimizer. What only one shows comes "
    "from its start."
)


def _compare_start(given: Analysis, scratch: Analysis) -> Difference:
    losses = [_loss(analysis, "start") for analysis in (given, scratch)]
    changed = _losses_differ(losses, given, scratch)
    first, second = (_shown(loss) for loss in losses)
    chance = chance_loss(given.curve.context)
    level = f" (guessing costs {format_loss(chance)})" if chance is not None else ""
    if changed:
        sentence = f"The first loss: {first}, and {second} from scratch{level}."
    else:
        sentence = f"The first loss: {first}, and {second} from scratch, which is as good as the same{level}."
    return Difference("start", losses[0], losses[1], changed, sentence)


def _compare_fall(given: Analysis, scratch: Analysis) -> Difference:
    falls = [_fall(analysis) for analysis in (given, scratch)]
    told = [f"falls by {format_loss(fall)}" if fall > 0 else "does not fall" for fall in falls]
    changed = (falls[0] > 0) != (falls[1] > 0) or _losses_differ(falls, given, scratch)
    also = "also " if (falls[0] > 0) == (falls[1] > 0) else ""
    sentence = f"The descent: the loss {told[0]}, and from scratch it {also}{told[1]}."
    return Difference("fall", falls[0], falls[1], changed, sentence)


def _compare_lowest(given: Analysis, scratch: Analysis) -> Difference:
    losses = [_loss(analysis, "minimum") for analysis in (given, scratch)]
    changed = _losses_differ(losses, given, scratch)
    first, second = (_shown(loss) for loss in losses)
    return Difference(
        "lowest", losses[0], losses[1], changed, f"The lowest loss of the test: {first}, and {second} from scratch."
    )


def _compare_break(given: Analysis, scratch: Analysis) -> Difference:
    marks = [given.landmarks.elbow, scratch.landmarks.elbow]
    rates = [None if mark is None else mark.lr for mark in marks]
    apart = _decades_apart(rates)
    if apart is None:
        told = [f"at about {format_lr(rate)}" if rate is not None else "nowhere in this test" for rate in rates]
        sentence = f"Where the loss starts to rise: {told[0]}, and from scratch {told[1]}."
        return Difference("break", rates[0], rates[1], rates[0] != rates[1], sentence)
    ranges = [(mark.low or mark.lr, mark.high or mark.lr) for mark in marks if mark is not None]
    changed = abs(apart) >= RATE_DECADES and not _overlap(*ranges)
    return Difference("break", rates[0], rates[1], changed, _rates_told("The loss starts to rise", rates, apart))


def _compare_suggestion(given: Analysis, scratch: Analysis) -> Difference:
    chosen = [given.suggestion, scratch.suggestion]
    rates = [suggestion.lr for suggestion in chosen]
    apart = _decades_apart(rates)
    if apart is None:
        told = [f"about {format_lr(rate)}" if rate is not None else "none" for rate in rates]
        sentence = f"The suggested rate: {told[0]}, and from scratch {told[1]}."
        return Difference("suggestion", rates[0], rates[1], rates[0] != rates[1], sentence)
    changed = abs(apart) >= RATE_DECADES
    return Difference("suggestion", rates[0], rates[1], changed, _rates_told("The suggested rate is", rates, apart))


COMPARISONS: tuple[Callable[[Analysis, Analysis], Difference], ...] = (
    _compare_start,
    _compare_fall,
    _compare_lowest,
    _compare_break,
    _compare_suggestion,
)
"""What is compared, in the order of the curve."""


class Meaning(NamedTuple):
    """A sentence, and the facts that must all hold for it."""

    when: frozenset[str]
    says: str


MEANINGS: tuple[Meaning, ...] = (
    Meaning(
        frozenset({"starts-lower", "given-flat", "scratch-falls"}),
        "The descent is missing because the model starts below it: from scratch, the same batches pull the loss down. "
        "So the flat part is not a fault of data or optimizer, and it is not overfitting: there is little left to gain "
        "in so few steps.",
    ),
    Meaning(
        frozenset({"starts-lower", "given-falls", "scratch-falls"}),
        "The given weights already know a part of this task, and there is more to learn from where they are.",
    ),
    Meaning(
        frozenset({"starts-alike", "ends-lower", "scratch-falls"}),
        "Both start alike, as with a new head, but in the same steps the given weights get further: what they have "
        "learned elsewhere helps here.",
    ),
    Meaning(
        frozenset({"starts-alike", "ends-alike", "scratch-falls"}),
        "In this test the given weights are no better and no worse than random ones. If they should be pretrained, "
        "check that they were loaded, and that inputs are prepared as they were in the pretraining.",
    ),
    Meaning(
        frozenset({"starts-alike", "ends-higher", "scratch-falls"}),
        "From scratch the model learns more in the same steps: the given weights are in the way. Dead units, inputs "
        "prepared in another way, or a training that once blew up can be behind it.",
    ),
    Meaning(
        frozenset({"starts-higher"}),
        "The given weights start worse than random ones: they are confident and wrong. Check the order of the classes, "
        "the scale of the inputs, and that the weights belong to this architecture.",
    ),
    Meaning(
        frozenset({"given-flat", "scratch-flat", "starts-lower"}),
        "From scratch nothing is learned in so few steps either, so this test cannot tell what the given model could "
        "still gain. That it starts lower is the work of its training.",
    ),
    Meaning(
        frozenset({"given-flat", "scratch-flat", "starts-alike"}),
        "Neither start learns anything in so few steps: look at data, labels and loss before the rate, or give the "
        "test more steps.",
    ),
    Meaning(
        frozenset({"breaks-alike"}),
        "As far as this test can tell, both break at the same rate, so that limit comes from architecture, data and "
        "optimizer, not from the start.",
    ),
    Meaning(
        frozenset({"breaks-sooner"}),
        "The given weights break sooner than random ones: they have something to lose. Rates that are usual from "
        "scratch would wipe out a part of what they know.",
    ),
    Meaning(
        frozenset({"breaks-later"}),
        "The given weights stand higher rates than random ones do; a warm-up, which helps a fresh start, matters less "
        "here.",
    ),
)
"""What the comparison means; every row that holds is said."""


VERBS = {
    "start": ("starts", "lower", "higher"),
    "lowest": ("ends", "lower", "higher"),
    "break": ("breaks", "sooner", "later"),
}
"""Difference → its verb in `MEANINGS`, and the words for a smaller and a larger number of the given model."""


def _meanings(given: Analysis, scratch: Analysis, differences: tuple[Difference, ...]) -> list[str]:
    facts = _facts(given, scratch, {item.name: item for item in differences})
    return [meaning.says for meaning in MEANINGS if meaning.when <= facts]


def _facts(given: Analysis, scratch: Analysis, differences: Mapping[str, Difference]) -> frozenset[str]:
    """Names what holds, in the words of `MEANINGS`."""
    analyses = {"given": given, "scratch": scratch}
    facts = {f"{name}-{'falls' if _fall(analysis) > 0 else 'flat'}" for name, analysis in analyses.items()}
    for name, (verb, less, more) in VERBS.items():
        item = differences[name]
        if item.given is None or item.scratch is None:
            continue
        facts.add(f"{verb}-{(less if item.given < item.scratch else more) if item.changed else 'alike'}")
    return frozenset(facts)


def _loss(analysis: Analysis, landmark: str) -> float | None:
    mark = getattr(analysis.landmarks, landmark)
    return None if mark is None else float(mark.loss)


def _shown(loss: float | None) -> str:
    return "unknown" if loss is None else format_loss(loss)


def _fall(analysis: Analysis) -> float:
    """The fall to the first valley, in the unit of the loss; zero where there is none that counts."""
    start, minimum = _loss(analysis, "start"), _loss(analysis, "minimum")
    if not analysis.landmarks.valleys or start is None or minimum is None:
        return 0.0
    return max(0.0, start - minimum)


def _losses_differ(losses: list[float | None] | list[float], given: Analysis, scratch: Analysis) -> bool:
    first, second = losses
    if first is None or second is None:
        return first is not second
    starts = [abs(loss) for analysis in (given, scratch) if (loss := _loss(analysis, "start")) is not None]
    errors = [float(np.median(analysis.smoothed.standard_error)) for analysis in (given, scratch)]
    return abs(first - second) > max(LOSS_SHARE * max(starts), 3 * math.hypot(*errors))


def _decades_apart(rates: list[float | None]) -> float | None:
    """How far the first rate is above the second."""
    first, second = rates
    return None if first is None or second is None else math.log10(first / second)


def _overlap(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def _rates_told(what: str, rates: list[float | None], apart: float) -> str:
    first, second = (format_lr(rate) for rate in rates if rate is not None)
    compared = "" if factor(apart) == "the same" or first == second else f": {factor(apart)}"
    return f"{what}{' at' if not what.endswith('is') else ''} about {first}, and about {second} from scratch{compared}."


def _frozen_note(num_frozen: int | None, model: Model) -> list[str]:
    if not num_frozen or not frozen_layers(model):
        return []
    return ["Frozen layers stayed frozen from scratch too: what learns there stands on random features."]
