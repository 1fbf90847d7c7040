"""Repeats the scan of a model on different batches, and measures the agreement between the scans (`Repeats`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_lrscan._typing import FitData, FitOption, Model
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, whole_number
from keras_lrscan.experiments.result import Result
from keras_lrscan.explanation.layout import text
from keras_lrscan.files.decoding import Count
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.overlay import axes, finish
from keras_lrscan.plots.palette import SMOOTHED, SUGGESTED
from keras_lrscan.recording.trials import Trials
from keras_lrscan.suggestions.suggest import Role, Suggestion, format_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["MIN_SCANS", "Repeats", "Spread", "median_rates", "repeat_scans"]

BAND = (0.1, 0.9)
"""Quantiles at the edges of the band in the plot."""

MIN_SCANS = 2
"""Minimum number of scans for a comparison."""

ENDED = 1e300
"""Stand-in for the loss of a scan that has ended: above all others, and finite so that quantiles are defined."""

WIDE_DECADES = 0.3
"""Minimum standard deviation for advice about a wide spread (decades): a factor of two in either direction."""


SAME_BATCHES = (
    "All scans used the same batches in the same order, so their agreement says nothing about the noise. Shuffle the "
    "data, or pass a `num_steps` that is no multiple of the number of batches in an epoch."
)
GUIDE = "Differences between the scans are noise; what all scans share comes from the model."


class Spread(NamedTuple):
    """The learning rates at which several scans found the same landmark or suggestion.

    Attributes:
        name: A landmark, or `"constant"` or `"one-cycle"` for the suggestion of that role.
        num_found: Number of scans that show it.
        median: Median learning rate; `None` if no scan shows it.
        low: Lowest learning rate; `None` if no scan shows it.
        high: Highest learning rate; `None` if no scan shows it.
        decades: Standard deviation of the log10 of the learning rate (decades); `None` for fewer than two scans.
    """

    name: str
    num_found: int
    median: float | None
    low: float | None
    high: float | None
    decades: float | None


WORDS: dict[str, str] = {
    "descent_start": "The loss starts to fall",
    "steepest": "It falls fastest",
    "minimum": "It is lowest",
    "elbow": "It starts to rise",
    "constant": "The suggested learning rate is",
    "one-cycle": "The suggested peak of a one-cycle schedule is",
}
"""Landmark or role of a suggestion → the beginning of its sentence."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Repeats(Result):
    """Several scans of one model.

    Attributes:
        analyses: The analysis of each scan, in order.
        num_planned: Number of requested scans. There are fewer after Ctrl-C or if the data ran out.
        fresh_weights: Whether each scan started from different initial weights.
        notes: Sentences about limits of the comparison.
    """

    KIND = "repeats"

    analyses: tuple[Analysis, ...]
    num_planned: Count
    fresh_weights: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks that there is at least one analysis."""
        if not self.analyses:
            msg = "Expected the analysis of at least one scan. Received: analyses=()."
            raise InvalidCurveError(msg)

    @property
    def shape(self) -> str:
        """The most frequent shape; among equally frequent ones, that of the scan with the highest confidence."""
        counts = Counter(str(analysis.verdict.shape) for analysis in self.analyses)
        best = max(counts.values())
        confident = sorted(self.analyses, key=lambda analysis: -analysis.verdict.confidence)
        return next(str(item.verdict.shape) for item in confident if counts[str(item.verdict.shape)] == best)

    @property
    def agreement(self) -> float:
        """Share of the scans with the most frequent shape."""
        return self._num_agreeing / len(self.analyses)

    @property
    def confidence(self) -> float:
        """Probability that one more scan has this shape: ``(k + 1) / (n + 2)`` for k of n scans (rule of succession).

        References:
            Laplace (1814), "Essai philosophique sur les probabilités".
        """
        return (self._num_agreeing + 1) / (len(self.analyses) + 2)

    @property
    def log10_lr(self) -> Array:
        """log10 of the learning rates that the scans share (decades). Array of shape `(n,)`."""
        longest = max(self.analyses, key=lambda analysis: len(analysis.smoothed.log10_lr))
        return longest.smoothed.log10_lr

    @property
    def median(self) -> Array:
        """Median of the smoothed curves (the model's unit). Array of shape `(n,)`; see `quantile`."""
        return self.quantile(0.5)

    @property
    def band(self) -> tuple[Array, Array]:
        """Lower and upper edge of the band with eight in ten scans. Two arrays of shape `(n,)`; see `quantile`."""
        return self.quantile(BAND[0]), self.quantile(BAND[1])

    def quantile(self, share: float) -> Array:
        """Returns a quantile of the smoothed curves at each shared learning rate (the model's unit).

        A scan that has ended counts as above all others from there on, because it ended after its loss had risen for
        good. The quantile is NaN if it falls among the scans that have ended.

        Args:
            share: Float from 0 to 1.

        Returns:
            Array of shape `(n,)`.
        """
        grid = self.log10_lr
        lines = [
            np.interp(grid, item.smoothed.log10_lr, item.smoothed.loss, right=ENDED)
            for item in self.analyses
            if item.smoothed.log10_lr.size
        ]
        found = np.quantile(np.array(lines), share, axis=0)
        return np.where(found < ENDED / len(lines) ** 2, found, np.nan)

    @property
    def spreads(self) -> tuple[Spread, ...]:
        """The spread of each landmark and of each suggestion over the scans."""
        return tuple(_spread(name, [_rate(analysis, name) for analysis in self.analyses]) for name in WORDS)

    def suggest(self, *, role: str = Role.CONSTANT) -> Suggestion:
        """Suggests the median of the learning rates that the scans suggest.

        Args:
            role: One of `"constant"`, `"one-cycle"`.

        Returns:
            A `Suggestion`. Its `lr` is `None` if at least half of the scans suggest no learning rate.

        Raises:
            InvalidOptionError: If `role` is unknown.
        """
        single = [analysis.suggest(role=role) for analysis in self.analyses]
        found = sum(item.lr is not None for item in single)
        number = f"{found} of {len(single)} scans" if found < len(single) else f"all {len(single)} scans"
        medians = median_rates([(item.lr, item.low, item.high) for item in single])
        if medians is None:
            why = f"No learning rate is suggested: only {number} led to one."
            return Suggestion(method="repeats", role=Role(role), lr=None, low=None, high=None, reason=why)
        lr, low, high = medians
        reason = f"This is the median of the suggestions of {number}."
        if len(single) == 1:
            reason = "This is the suggestion of the only scan that finished."
        return Suggestion(method="repeats", role=Role(role), lr=lr, low=low, high=high, reason=reason)

    @property
    def suggestion(self) -> Suggestion:
        """The suggestion for training at a constant learning rate."""
        return self.suggest()

    def explain(self) -> str:
        """Explains the agreement between the scans in plain words."""
        counts = Counter(str(analysis.verdict.shape) for analysis in self.analyses)
        shapes = ", ".join(f"{count} {shape}" for shape, count in counts.most_common())
        total = len(self.analyses)
        other = "different batches and different initial weights" if self.fresh_weights else "different batches"
        again = f"The probability that one more scan is {self.shape} is {self.confidence:.0%}."
        opening = SAME_BATCHES if self._are_copies else f"Each scan used {other}. {GUIDE}"
        title = f"{total} scans: {self._num_agreeing} of {total} are {self.shape}"
        if total == 1:
            title, opening = f"1 scan: {self.shape}", "One scan has no other to agree with, so nothing was repeated."
        short = [f"{self.num_planned} scans were requested, and {total} finished."]
        return text(
            title,
            [
                ("", [opening]),
                ("Shapes", [f"{shapes}." if self._are_copies else f"{shapes}. {again}"]),
                ("Learning rates", [_describe_spread(spread, total) for spread in self.spreads if spread.num_found]),
                ("What to try", self._advice()),
                ("About these scans", [*(short if total < self.num_planned else []), *self.notes]),
            ],
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the smoothed curve of every scan, their median, and the band with eight in ten scans.

        Args:
            ax: Axes to draw on; those of a new figure by default.

        Returns:
            The axes.
        """
        ax = axes(ax)
        rates = 10.0**self.log10_lr
        for number, analysis in enumerate(self.analyses):
            label = "each scan, smoothed" if not number else None
            ax.plot(
                10.0**analysis.smoothed.log10_lr, analysis.smoothed.loss, color=SMOOTHED, lw=0.7, alpha=0.5, label=label
            )
        low, high = self.band
        top = np.where(np.isnan(high) & ~np.isnan(low), float(np.nanmax(self._tops())), high)
        ax.fill_between(rates, low, top, color=SMOOTHED, alpha=0.18, lw=0, label="eight in ten scans")
        ax.plot(rates, self.median, color=SMOOTHED, lw=2.5, label="median")
        suggestion = self.suggestion
        if suggestion.lr is not None and suggestion.low is not None and suggestion.high is not None:
            ax.axvspan(suggestion.low, suggestion.high, color=SUGGESTED, alpha=0.12, lw=0)
            ax.axvline(suggestion.lr, color=SUGGESTED, lw=2, label=f"suggested: about {format_lr(suggestion.lr)}")
        total = len(self.analyses)
        title = f"1 scan: {self.shape}" if total == 1 else f"{total} scans: {self._num_agreeing} are {self.shape}"
        return finish(ax, self.analyses, title, columns=4)

    @property
    def _num_agreeing(self) -> int:
        return sum(analysis.verdict.shape == self.shape for analysis in self.analyses)

    @property
    def _are_copies(self) -> bool:
        """Whether all scans recorded the same losses, as with the same batches in the same order."""
        first = self.analyses[0].curve.loss
        return len(self.analyses) > 1 and all(np.array_equal(one.curve.loss, first) for one in self.analyses[1:])

    def _tops(self) -> Array:
        return np.array([analysis.smoothed.loss.max() for analysis in self.analyses if analysis.smoothed.loss.size])

    def _advice(self) -> list[str]:
        spreads = {spread.name: spread for spread in self.spreads}
        suggestion, single = self.suggestion, spreads["constant"]
        advice = [_describe_suggestion(suggestion)]
        if self.agreement < 1:
            advice.append(
                "The scans do not agree on the shape, so do not trust any single one of them. More steps or larger "
                "batches make the curve easier to read."
            )
        if single.low and single.high and single.decades is not None and single.decades >= WIDE_DECADES:
            advice.append(
                f"Single scans suggest learning rates from {format_lr(single.low)} to {format_lr(single.high)}. Use "
                "the median, and watch the first epochs."
            )
        return advice

    def _tables(self) -> Iterator[dict[str, Any]]:
        for number, analysis in enumerate(self.analyses):
            yield {"scan": number, "lr": analysis.curve.lr, "loss": analysis.curve.loss}

    def _parts(self) -> dict[str, Any]:
        return {
            "analyses": [analysis.to_dict() for analysis in self.analyses],
            "num_planned": self.num_planned,
            "fresh_weights": self.fresh_weights,
            "notes": list(self.notes),
        }


def repeat_scans(
    model: Model,
    x: FitData,
    y: FitData = None,
    *,
    num_scans: int = 5,
    fresh_weights: bool = False,
    scratch: Callable[[], Any] | None = None,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    snapshot: str = "memory",
    monitor: str = "loss",
    verbose: int = 1,
    **fit_options: FitOption,
) -> Repeats:
    """Scans the model several times, each time on different batches, and measures the agreement of the scans.

    Every scan starts from the model as given, or, with `fresh_weights`, from different initial weights of the same
    architecture and a fresh optimizer. If `fit` shuffles the data, each scan uses another order; otherwise each scan
    continues in the data after the previous one and starts over at their end. Afterwards the function restores
    everything bit for bit.

    Args:
        model: A compiled model of Keras 3 or tf_keras, on one device.
        x: Input data, as for `fit`; the function keeps `num_steps` batches of it in memory. A generator must have
            enough batches for all scans.
        y: Target data, as for `fit`.
        num_scans: Integer, at least 2. Number of scans.
        fresh_weights: Boolean. Whether each scan starts from different initial weights.
        scratch: A function without arguments that returns the same architecture with new weights, for models with
            layers that have no initializer; only with `fresh_weights`.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates in each scan.
        snapshot: String. Storage for the state to restore, one of `"memory"` and `"disk"`.
        monitor: String. Key of the loss in the logs.
        verbose: 0 or 1. With 1, a progress bar is shown.
        **fit_options: Arguments of `fit` that determine its batches, such as `batch_size`.

    Returns:
        A `Repeats`. After Ctrl-C, it contains the scans that had finished.

    Raises:
        InvalidOptionError: If an argument has an invalid value.
        ScanError: If the model is not compiled or runs on several devices, or if a weight has neither an initializer
            nor a value from `scratch`.
        KeyboardInterrupt: After Ctrl-C in the first scan, once the model is restored.

    Example:
    ```python
    repeats = repeat_scans(model, x, y, num_scans=5, batch_size=32)
    print(repeats.explain())
    print(repeats.suggestion.lr, repeats.confidence)
    ```
    """
    num_scans = whole_number("num_scans", num_scans, MIN_SCANS)
    if scratch is not None and not fresh_weights:
        msg = "Argument `scratch` requires `fresh_weights=True`. Received: fresh_weights=False."
        raise InvalidOptionError(msg)
    trials = Trials(
        model,
        x,
        y,
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        planned_steps=num_scans * num_steps,
        snapshot=snapshot,
        monitor=monitor,
        verbose=verbose,
        fit_options=fit_options,
    )
    prepare = trials.from_scratch(scratch) if fresh_weights else None
    curves = []
    with trials:
        for number in range(num_scans):
            if number and not trials.new_batches():
                break
            curve = trials.scan(prepare=prepare, same_randomness=False)
            if curve is None:
                break
            curves.append(curve)
    return Repeats(
        analyses=tuple(analyze(curve) for curve in curves),
        num_planned=num_scans,
        fresh_weights=fresh_weights,
        notes=trials.notes,
    )


def median_rates(
    single: Sequence[tuple[float | None, float | None, float | None]],
) -> tuple[float, float, float] | None:
    """Returns the medians, on the log axis, of several suggested rates and of both ends of their ranges.

    Args:
        single: Rate, lower end and upper end of each suggestion; `None` in one that has no rate.

    Returns:
        The three medians, or `None` if at least half of the suggestions have no rate.

    Example:
    >>> [round(rate, 3) for rate in median_rates([(0.01, 0.005, 0.02), (0.02, 0.01, 0.03), (None, None, None)])]
    [0.014, 0.007, 0.024]
    """
    rates = [(lr, low, high) for lr, low, high in single if lr and low and high]
    if 2 * len(rates) <= len(single):
        return None
    lr, low, high = (float(value) for value in 10 ** np.median(np.log10(rates), axis=0))
    return lr, low, high


def _rate(analysis: Analysis, name: str) -> float | None:
    if name in list(Role):
        return analysis.suggest(role=name).lr
    mark = getattr(analysis.landmarks, name)
    if mark is None or (name == "minimum" and not analysis.landmarks.valleys):
        return None
    return float(mark.lr)


def _spread(name: str, rates: list[float | None]) -> Spread:
    found = np.log10([rate for rate in rates if rate is not None])
    if not found.size:
        return Spread(name, 0, None, None, None, None)
    middle, low, high = (10 ** float(value) for value in (np.median(found), found.min(), found.max()))
    return Spread(name, found.size, middle, low, high, float(found.std(ddof=1)) if found.size > 1 else None)


def _describe_spread(spread: Spread, total: int) -> str:
    rates = (spread.median, spread.low, spread.high)
    middle, low, high = (format_lr(rate) if rate is not None else "unknown" for rate in rates)
    at = "" if WORDS[spread.name].endswith("is") else " at"
    share = "" if spread.num_found == total else f", in the {spread.num_found} scans that show it"
    if spread.decades is None:
        return f"{WORDS[spread.name]}{at} about {middle}{share}."
    times = 10.0**spread.decades
    return (
        f"{WORDS[spread.name]}{at} about {middle}, from {low} to {high}{share} (standard deviation: a factor of "
        f"{times:.1f}, {spread.decades:.2f} decades)."
    )


def _describe_suggestion(suggestion: Suggestion) -> str:
    reach = format_range(suggestion)
    if suggestion.lr is None or reach is None:
        return suggestion.reason
    return f"Train at about {format_lr(suggestion.lr)}, in a range from {reach}. {suggestion.reason}"
