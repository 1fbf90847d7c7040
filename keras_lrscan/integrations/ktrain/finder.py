"""Replaces ktrain's `LRFinder`, and compares ktrain's curve with the batch losses. ktrain itself is not imported."""

from __future__ import annotations

import math
import sys
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Model
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.errors import InvalidOptionError, ScanError
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.plots.curve_plot import FIGURE_SIZE, plot_curve
from keras_lrscan.plots.regions import RegionKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from keras_lrscan.analysis import Analysis
    from keras_lrscan.reading.landmarks import Landmark

    Array = NDArray[np.float64]

__all__ = ["KTRAIN_SKIPS", "KtrainReading", "ScanFinder"]

KTRAIN_SKIPS = (10, 5)
"""Batches that ktrain leaves out at the left and right end of its plot by default."""

ESTIMATES = (
    ("steepest", "steepest fall", "purple"),
    ("minimum/10", "lowest loss / 10", "black"),
    ("valley", "longest valley", "red"),
)
"""Method, description and color of each number that `lr_estimate` returns, in ktrain's order and colors."""

AVERAGED_TWICE = (
    "Each of its points is an average of averages: Keras reports the mean of all batches since the start of the epoch, "
    "and ktrain averages this mean again. So the line changes little and late."
)

FLAT = 0.5
"""Share of the fall below which ktrain's line looks flat.

Of ktrain's scans in `tests/data`, the one of the pretrained encoder shows 0.31 of the fall and looks flat. Those of a
random start and of the digits show 0.60 and 0.59 and look like valleys.
"""

SPIKE = 1.5
"""Factor over its first value above which ktrain's line has a spike."""

WIDTH = 88
"""Characters in a line of text."""

BATCH_TITLE = "The losses of your batches"

DRAWN: Mapping[str, Any] = {"color": "0.35", "lw": 1.8}
"""Style of ktrain's line."""


class ScanFinder:
    """Replaces ktrain's `LRFinder` with the same attributes, taken from an `Analysis`.

    Args:
        analysis: The analysis of the scan.
        model: The model that was scanned.
        steps_per_epoch: Number of samples divided by the batch size.

    Attributes:
        analysis: The `Analysis`.
        lrs: Learning rate of each batch. List of `n` floats.
        losses: Batch losses. ktrain keeps averages here. List of `n` floats.
        mg: Index of the steepest fall, or `None` without one.
        ml: Index of the lowest loss.
        lr_mult: Factor from one rate to the next.
    """

    beta = 0.98
    stop_factor = 4
    _weightfile = None

    def __init__(self, analysis: Analysis, *, model: Model, steps_per_epoch: float) -> None:
        curve, marks = analysis.curve, analysis.landmarks
        self.analysis = analysis
        self.model = model
        self.lrs: list[float] = curve.lr.tolist()
        self.losses: list[float] = curve.loss.tolist()
        finite = np.where(np.isfinite(curve.loss), curve.loss, np.inf)
        self.mg = None if marks.steepest is None else self._place(marks.steepest)
        self.ml = int(np.argmin(finite)) if marks.minimum is None else self._place(marks.minimum)
        self.best_loss = float(finite.min())
        self.avg_loss = self.losses[-1]
        self.batch_num = len(self.lrs)
        self.lr_mult = (self.lrs[-1] / self.lrs[0]) ** (1 / max(1, self.batch_num - 1))
        self._steps_per_epoch = steps_per_epoch

    def find_called(self) -> bool:
        """Returns `True`, since there always is a scan."""
        return True

    def estimate_lr(self) -> tuple[float | None, float | None, float | None]:
        """Returns the rate of the steepest fall, a tenth of the rate of the lowest loss, and the middle of the valley.

        Each is `None` if the curve does not show the feature that it is based on.
        """
        steepest, tenth, valley = (self.analysis.suggest(method=method).lr for method, _, _ in ESTIMATES)
        return steepest, tenth, valley

    def ktrain_record(self) -> tuple[list[float], list[float]]:
        """Returns the rates and losses that ktrain would have recorded for the same batches."""
        losses = AVERAGES["ktrain"].apply(np.asarray(self.losses), self._steps_per_epoch)
        return [*self.lrs[1:], self.lrs[-1] * self.lr_mult], losses.tolist()

    def ktrain_estimate(self) -> tuple[float | None, float | None, float | None]:
        """Returns the three rates that ktrain's own formulas give for `ktrain_record`, for comparison.

        Raises:
            ScanError: If ktrain is not loaded.
        """
        return ktrain_estimate(*self.ktrain_record())

    def plot_loss(
        self,
        n_skip_beginning: int = KTRAIN_SKIPS[0],
        n_skip_end: int = KTRAIN_SKIPS[1],
        suggest: bool = False,
        return_fig: bool = False,
        *,
        compare: bool = False,
    ) -> Figure | None:
        """Draws the curve and shows it; see `keras_lrscan.integrations.ktrain.adapter.lr_plot`."""
        from matplotlib import pyplot as plt

        _, axes = plt.subplots(figsize=FIGURE_SIZE, layout="constrained")
        if compare:
            self._draw_ktrain(axes)
        plot_curve(self.analysis, ax=axes, compare=[method for method, _, _ in ESTIMATES] if suggest else False)
        self._zoom(axes, n_skip_beginning, n_skip_end)
        plt.show()
        return axes.get_figure(root=True) if return_fig else None

    def _place(self, mark: Landmark) -> int:
        return int(np.argmin(np.abs(np.log(self.lrs) - math.log(mark.lr))))

    def _zoom(self, axes: Axes, n_skip_beginning: int, n_skip_end: int) -> None:
        if (n_skip_beginning, n_skip_end) == KTRAIN_SKIPS:
            return
        left, right = n_skip_beginning, len(self.lrs) - 1 - n_skip_end
        if n_skip_beginning < 0 or n_skip_end < 0 or left >= right:
            msg = (
                f"Arguments `n_skip_beginning` and `n_skip_end` must leave two of {len(self.lrs)} batches to draw. "
                f"Received: n_skip_beginning={n_skip_beginning}, n_skip_end={n_skip_end}. Leave them out to see all."
            )
            raise InvalidOptionError(msg)
        axes.set_xlim(self.lrs[left], self.lrs[right])
        for name in [text for text in axes.texts if text.get_text() in {str(kind) for kind in RegionKind}]:
            name.remove()  # its region may be out of view

    def _draw_ktrain(self, axes: Axes) -> None:
        rates, losses = self.ktrain_record()
        axes.plot(rates, losses, ls="--", label="ktrain's curve", **DRAWN)
        _mark_estimates(axes, rates, losses, self.ktrain_estimate())


def ktrain_estimate(rates: Sequence[Any], losses: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Returns the three rates that ktrain's own code estimates from a record in its own form.

    Raises:
        ScanError: If ktrain is not loaded.
    """
    module = sys.modules.get("ktrain.lroptimize.lrfinder")
    if module is None:
        msg = "Expected ktrain to be imported, to use its formulas. Received: no module 'ktrain'. Import it first."
        raise ScanError(msg)
    finder = module.LRFinder(None)
    finder.lrs, finder.losses = list(rates), list(losses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a failed gradient already shows as `None`
        finder._compute_stats()  # noqa: SLF001 - there is no public way to set a record
    steepest, tenth, valley = finder.estimate_lr()
    return None if steepest is None else float(steepest), float(tenth), float(valley)


@dataclass(frozen=True, kw_only=True, eq=False)
class KtrainReading:
    """Compares the two views of one scan: the curve that ktrain drew, and the batch losses.

    Attributes:
        drawn_lr: Learning rates that ktrain records. Array of shape `(n,)`.
        drawn_loss: Averaged losses that ktrain draws, in the unit of the loss. Array of shape `(n,)`.
        analysis: The `Analysis` of the batch losses.
        estimates: The three rates that ktrain estimates from its curve: steepest fall, lowest loss / 10, valley.
        drew: `"drew"` if ktrain ran the scan, `"would have drawn"` if its curve was computed from the batch losses.
    """

    drawn_lr: Array
    drawn_loss: Array
    analysis: Analysis
    estimates: tuple[float | None, float | None, float | None]
    drew: str = "drew"

    def __str__(self) -> str:
        return self.explain()

    def explain(self) -> str:
        """Returns the comparison in plain words, followed by the explanation of the batch losses."""
        lowest = int(np.nanargmin(self.drawn_loss))
        lr, loss = float(self.drawn_lr[lowest]), float(self.drawn_loss[lowest])
        first = float(self.drawn_loss[0])
        line = (
            f"The line starts at {format_loss(first)} and its lowest point is {format_loss(loss)}, at a rate of about "
            f"{format_lr(lr)}."
        )
        drawn = [line, AVERAGED_TWICE, f"ktrain's estimates from it: {_format_estimates(self.estimates)}."]
        return "\n\n".join(
            [
                _block(f"The curve ktrain {self.drew}", drawn),
                _block(BATCH_TITLE, self._comparison(lr, loss, first)),
                self.analysis.explain(),
            ]
        )

    def plot(self, *, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
        """Draws both curves side by side.

        Args:
            figure: An empty figure to draw on; a new one by default.

        Returns:
            The figure. Its first axes show ktrain's curve, its second the batch losses.
        """
        if figure is None:
            from matplotlib import pyplot as plt

            figure = plt.figure(figsize=(2 * FIGURE_SIZE[0], 1.1 * FIGURE_SIZE[1]), layout="constrained")
        halves: list[SubFigure] = np.asarray(figure.subfigures(1, 2), dtype=object).tolist()
        titles = (f"The curve ktrain {self.drew}", BATCH_TITLE)
        for half, title in zip(halves, titles, strict=True):
            half.suptitle(title, fontsize=14, color="0.35")
        left, right = (half.subplots() for half in halves)
        begin, end = KTRAIN_SKIPS
        shown = slice(begin, -end) if self.drawn_lr.size > sum(KTRAIN_SKIPS) else slice(None)
        left.plot(self.drawn_lr[shown], self.drawn_loss[shown], **DRAWN)
        _mark_estimates(left, self.drawn_lr, self.drawn_loss, self.estimates)
        left.set(xscale="log", xlabel="learning rate (log scale)", ylabel="loss, averaged twice")
        left.legend(fontsize=9, frameon=False)
        left.spines[["top", "right"]].set_visible(False)
        plot_curve(self.analysis, ax=right)
        left.set_xlim(right.get_xlim())
        return figure

    def _comparison(self, drawn_lr: float, drawn_loss: float, first: float) -> list[str]:
        """Returns sentences that compare the batch losses with ktrain's curve."""
        smoothed, marks = self.analysis.smoothed, self.analysis.landmarks
        if marks.minimum is None or marks.start is None or not marks.valleys:
            return ["The batch losses show no valley. The explanation below describes their curve."]
        low, fall = marks.minimum, marks.start.loss - marks.minimum.loss
        valley = (
            f"Batch by batch, the loss falls from {format_loss(marks.start.loss)} to {format_loss(low.loss)}, at a "
            f"rate of about {format_lr(low.lr)}, and then rises."
        )
        sentences = [valley]
        if first - drawn_loss < FLAT * fall:
            sentences.append(
                f"The line shows only {format_loss(max(first - drawn_loss, 0.0))} of that fall of {format_loss(fall)}. "
                "So it looks flat although your model was learning. This is not overfitting, and nothing is broken."
            )
        if drawn_lr > low.lr:
            here = np.interp(math.log10(drawn_lr), smoothed.log10_lr, smoothed.loss)
            sentences.append(
                f"The lowest point of the line is at a rate {format_lr(drawn_lr / low.lr)} times too large "
                f"({math.log10(drawn_lr / low.lr):.1f} decades too far right). There, the smoothed batch loss is "
                f"already {format_loss(float(here))}."
            )
        if marks.elbow is not None and np.nanmax(self.drawn_loss) > SPIKE * first:
            sentences.append(
                "The spike at its end is real, but it comes late: the steps there are so large that the model forgets "
                f"what it learned. In the batch losses, this starts at about {format_lr(marks.elbow.lr)}."
            )
        return sentences


def _mark_estimates(
    axes: Axes, rates: Sequence[float] | Array, losses: Sequence[float] | Array, estimates: Sequence[float | None]
) -> None:
    """Marks ktrain's estimates on its curve, in its colors."""
    for (_, name, color), lr in zip(ESTIMATES, estimates, strict=True):
        if lr is not None:
            loss = np.interp(math.log(lr), np.log(rates), losses)
            axes.plot([lr], [loss], "X", color=color, ms=8, ls="", label=f"ktrain's {name}: {format_lr(lr)}")


def _format_estimates(estimates: Sequence[float | None]) -> str:
    return ", ".join(
        f"{name} {'none' if lr is None else format_lr(lr)}"
        for (_, name, _), lr in zip(ESTIMATES, estimates, strict=True)
    )


def _block(heading: str, sentences: Sequence[str]) -> str:
    lines = (textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ") for text in sentences)
    return "\n".join([heading, *lines])
