"""Analyzes a recorded curve: runs every stage from smoothing to suggestions in order."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Model, Optimizer, Value
from keras_lrscan.causes.ranking import find_causes
from keras_lrscan.curves.averaging import UNKNOWN_AVERAGE, without_start_bias
from keras_lrscan.curves.context import with_notes
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.curves.detect_averaging import detect_averaging, scatter_as_batches
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, ScanError, shown, unknown_option, whole_number
from keras_lrscan.explanation.explain import explain, summarize
from keras_lrscan.files.decoding import read_json_object
from keras_lrscan.hosts.host import Host
from keras_lrscan.hosts.optimizers import optimizer_name
from keras_lrscan.hosts.training_rates import LIBRARIES, one_cycle_schedule, set_constant_rate
from keras_lrscan.plots.curve_plot import plot_curve
from keras_lrscan.pure_analysis import PureAnalysis
from keras_lrscan.reading.divergence import trim
from keras_lrscan.reading.facts import facts
from keras_lrscan.reading.features import CurveFeatures, Record, breaks, compute_features
from keras_lrscan.reading.landmarks import Landmarks, find_landmarks, with_ranges
from keras_lrscan.reading.reading import Reading, facts_of
from keras_lrscan.reading.references import reference_loss
from keras_lrscan.reading.shapes import classify
from keras_lrscan.reading.smoothing import SMOOTHERS, Fit, SmoothedCurve, smooth
from keras_lrscan.reading.spacing import evenly_spaced, linear_spacing
from keras_lrscan.report.html import notebook_html, write_report
from keras_lrscan.suggestions.suggest import Role, all_suggestions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from os import PathLike
    from pathlib import Path
    from typing import SupportsIndex

    from matplotlib.axes import Axes

__all__ = ["NUM_COPIES", "Analysis", "analyze", "check_analysis", "load"]

NUM_COPIES = 50
"""Default number of noise-resampled copies of a curve that vote on the confidence."""

LIGHTNING = "lightning"
"""The average of a widespread tool whose first values are too small."""

CORRECTED_START = (
    "The first averages of some tools are too small or too large by a known factor, and those of this record show it. "
    "The smoothed line leaves it out, so it begins away from the first points."
)
"""Note in the context of a curve that was read without that factor."""

MAX_COPY_POINTS = 2000
"""Size above which copies use only every second, third, ... point; their vote does not depend on single points."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Analysis(PureAnalysis):
    """Holds the results of analyzing one curve, with methods that explain, plot and report them.

    Attributes:
        curve: The recorded curve.
        smoothed: The curve without its batch-to-batch noise.
        landmarks: Descent start, steepest fall, minimum and elbow.
        features: The numbers that the rules tested.
        verdict: The shape, with its confidence, start state, traits and evidence.
        findings: Confirmed, likely and possible causes: problems to fix first, then by likelihood.
        excluded: Causes that are ruled out or not applicable, each with the number that says so.
        suggestions: One suggestion per method and role, the default first.
        detected_averaging: Kind of running average detected in a curve of unknown origin, or `None`.
        version: Version of this package that made the analysis.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve, analyze
    >>> x = np.linspace(-7, 0, 100)
    >>> analysis = analyze(LRCurve(lr=10.0**x, loss=2.3 - np.exp(-((x + 2) ** 2)) + 10.0 ** (3 * x + 1)))
    >>> analysis
    Analysis(u-shaped, lr=0.002, points=100)
    >>> str(analysis.verdict.shape), f"{analysis.suggestion.lr:.0e}"
    ('u-shaped', '2e-03')
    """

    def explain(self, *, level: str = "beginner") -> str:
        """Returns the explanation as text.

        Args:
            level: One of `"beginner"`, at most 40 lines in plain words that begin with the answer; `"full"`, which
                adds other causes and common questions; and `"expert"`, which also adds rules and formulas.

        Raises:
            InvalidOptionError: If `level` is unknown.
        """
        return explain(self, level=level)

    def summary(self) -> str:
        """Returns the answer in three lines: shape and problem, rate and next step, and why the test stopped."""
        return summarize(self)

    def plot(self, *, ax: Axes | None = None, compare: bool | Sequence[str] = False) -> Axes:
        """Plots the curve; see `keras_lrscan.plot_curve`."""
        return plot_curve(self, ax=ax, compare=compare)

    def report(self, path: str | PathLike[str]) -> Path:
        """Writes the plot, explanation, causes, suggestions and context to one self-contained HTML file.

        Args:
            path: The output file, usually with the extension `.html`. An existing file is replaced.

        Returns:
            The path.

        Raises:
            InvalidOptionError: If `path` is a folder, a link or a device, or if its folder does not exist.
            MissingDependencyError: If jinja2 or matplotlib is not installed.
            OSError: If the file cannot be written.
        """
        return write_report(self, path)

    def apply(self, model: Model, *, optimizer: Optimizer = None, replace_schedule: bool = False) -> float:
        """Sets the suggested constant learning rate in the optimizer of a model, so that its next `fit` trains with it.

        The model keeps its weights and the state of its optimizer. If the optimizer combines several, as a
        `MultiOptimizer` does, their rates keep their ratios, and the largest becomes the suggested one.

        Args:
            model: A compiled model of Keras 3 or tf_keras.
            optimizer: The optimizer to set, for models that train with several. Defaults to the one that the model was
                compiled with.
            replace_schedule: Boolean. Whether the constant rate may replace a learning-rate schedule.

        Returns:
            The learning rate.

        Raises:
            InvalidCurveError: If the curve does not support a suggestion. The message gives the reason.
            ScanError: If the model is not compiled, if it was compiled with another kind of optimizer than the one that
                was scanned, or if its optimizer follows a schedule and `replace_schedule` is false. The model is then
                unchanged.

        Example:
        ```python
        analysis = lr_scan(model, x, y)
        analysis.apply(model)
        model.fit(x, y, epochs=10)
        ```
        """
        lr = self.rate_for(Role.CONSTANT)
        host, scanned = Host(model, optimizer), self.curve.context.optimizer
        if optimizer is None and host.optimizer is not None and scanned not in {None, optimizer_name(host.optimizer)}:
            msg = (
                f"Expected a model with the optimizer that was scanned, {scanned}. Received: a model compiled with "
                f"{optimizer_name(host.optimizer)}. Pass the optimizer to set as `optimizer`, or scan this model."
            )
            raise ScanError(msg)
        set_constant_rate(host, lr, replace_schedule=replace_schedule)
        return lr

    def one_cycle(self, num_steps: SupportsIndex, *, library: str | None = None) -> Value:
        """Returns a one-cycle schedule whose peak is the suggested one, to compile a model with.

        It rises in a straight line from a 25th of the peak to the peak in a quarter of the steps, then falls along a
        cosine to 1e-5 of it. Keras has no schedules for momentum, so momentum stays constant; ktrain's `fit_onecycle`
        changes it (`keras_lrscan.integrations.ktrain.fit_onecycle`).

        Args:
            num_steps: Integer, at least 2. Number of training steps (batches) until the end of the schedule: epochs
                times batches per epoch.
            library: One of `"keras"` and `"tf_keras"`. Defaults to the library of the scan, or to `"keras"` if the
                curve was recorded by another tool.

        Returns:
            A `CosineDecay` with warm-up of that library. It is saved and loaded with the model, like all schedules of
            Keras. Optimizers count their own updates, so pass it to a new optimizer.

        Raises:
            InvalidCurveError: If the curve does not support a suggestion. The message gives the reason.
            InvalidOptionError: If `num_steps` is not an integer of at least 2, or `library` is unknown.
            MissingDependencyError: If the library cannot be imported.

        Example:
        ```python
        analysis = lr_scan(model, x, y, batch_size=32)
        schedule = analysis.one_cycle(num_steps=10 * math.ceil(len(x) / 32))
        model.compile(keras.optimizers.Adam(schedule), loss="sparse_categorical_crossentropy")
        model.fit(x, y, epochs=10, batch_size=32)
        ```
        """
        if library is None:
            scanned = (self.curve.context.framework or "").partition(" ")[0]
            library = scanned if scanned in LIBRARIES else LIBRARIES[0]
        return one_cycle_schedule(self.rate_for(Role.ONE_CYCLE), num_steps, library=library)

    def rate_for(self, role: str) -> float:
        """Returns the suggested learning rate for a role, for callers that cannot go on without one.

        Args:
            role: One of `"constant"`, `"one-cycle"`.

        Raises:
            InvalidCurveError: If the curve does not support a suggestion. The message gives the reason.
            InvalidOptionError: If `role` is unknown.
        """
        suggestion = self.suggest(role=role)
        if suggestion.lr is None:
            msg = (
                "Expected a curve that supports a learning rate. Received: a curve of the shape "
                f"{str(self.verdict.shape)!r}. {suggestion.reason} `analysis.explain()` says what to try first."
            )
            raise InvalidCurveError(msg)
        return suggestion.lr

    def _repr_html_(self) -> str:
        """Returns the HTML card that notebooks display."""
        return notebook_html(self)


def analyze(curve: LRCurve, *, smoother: str = "adaptive", num_copies: int = NUM_COPIES) -> Analysis:
    """Analyzes a curve: smooths it, finds its landmarks, names its shape and likely causes, and suggests rates.

    Args:
        curve: The recorded curve.
        smoother: String. One of `"adaptive"`, which does not lag, and `"ema"`, which does.
        num_copies: Integer, at least 1. Number of noise-resampled copies that vote on the confidence; fewer are faster.

    Returns:
        An `Analysis`. An unreadable curve is not an error: its shape is `too-short`, `noisy` or `unclear`, and its
        suggestion may have no rate.

    Raises:
        InvalidCurveError: If `curve` is not an `LRCurve`.
        InvalidOptionError: If `smoother` is unknown or `num_copies` is not an integer of at least 1.
    """
    if not isinstance(curve, LRCurve):
        msg = (
            f"Expected `curve` to be an `LRCurve`. Received: curve={shown(curve)} of type {type(curve).__name__}. Pass "
            "`LRCurve(lr=..., loss=...)`, or the attribute `curve` of a scan or an analysis."
        )
        raise InvalidCurveError(msg)
    if smoother not in SMOOTHERS:
        raise unknown_option("smoother", smoother, SMOOTHERS)
    num_copies = whole_number("num_copies", num_copies, 1)
    cleaned = curve.without_dust()
    detected = _detect_averaging(cleaned)
    unbiased = _without_start_bias(cleaned, curve.context.averaging or detected)
    if unbiased is not cleaned:
        curve = dataclasses.replace(curve, context=with_notes(curve.context, CORRECTED_START))
    even = evenly_spaced(unbiased)
    readable = trim(even, reference=reference_loss(even))
    fit = Fit.of(readable)
    smoothed = smooth(readable, method=smoother, fit=fit)
    [(landmarks, features)] = _measure(readable, [smoothed])
    if even is not unbiased:
        features = _of_all_points(features, unbiased)
    known = facts(features, curve.context)
    copies = list(_resampled(readable, fit, num_copies))
    verdict = classify(known, copies=[facts(copy, curve.context) for _, copy in copies])
    landmarks = with_ranges(landmarks, [marks for marks, _ in copies], smoothed)
    reading = Reading(curve=curve, smoothed=smoothed, landmarks=landmarks, features=features, verdict=verdict)
    findings, excluded = find_causes(facts_of(reading, detected))
    return Analysis(
        **vars(reading),
        findings=findings,
        excluded=excluded,
        detected_averaging=detected,
        suggestions=all_suggestions(reading, findings),
    )


def check_analysis(analysis: Value) -> None:
    """Raises `InvalidOptionError` if the argument `analysis` of an experiment is no `Analysis`."""
    if not isinstance(analysis, Analysis):
        msg = (
            f"Argument `analysis` must be an `Analysis`, as `lr_scan` returns it. Received: analysis={shown(analysis)}."
        )
        raise InvalidOptionError(msg)


def load(path: str | PathLike[str]) -> Analysis:
    """Loads an analysis that `Analysis.save` wrote.

    Raises:
        InvalidCurveError: If the file does not contain an analysis.
        OSError: If the file cannot be read.
    """
    return Analysis.from_dict(read_json_object(path))


def _measure(curve: LRCurve, lines: Iterable[SmoothedCurve]) -> Iterator[tuple[Landmarks, CurveFeatures]]:
    """Yields the landmarks and features of smoothed curves of one recorded curve."""
    record, ends = Record.of(curve), breaks(curve)
    known = record.references
    for line in lines:
        landmarks = find_landmarks(line, reference=known.start, chance=known.chance, breaks=ends)
        yield landmarks, compute_features(record, line, landmarks)


def _of_all_points(features: CurveFeatures, curve: LRCurve) -> CurveFeatures:
    """Returns the features of a thinned curve, with those that count the points of the recorded one.

    How the loss behaves at the first rates is unknown, because the first step of a linear ramp may cross a decade.
    """
    return dataclasses.replace(
        features,
        early_slope=None,
        flat_decades=None,
        num_points=int(np.isfinite(curve.loss).sum()),
        points_per_decade=None,
        linear_spacing=linear_spacing(curve),
    )


def _detect_averaging(curve: LRCurve) -> str | None:
    """Returns the kind of running average in a curve of unknown origin, or `None`."""
    context = curve.context
    known = (context.framework, context.averaging, context.undone_averaging, context.from_picture)
    if any(one is not None for one in known):
        return None
    detected = detect_averaging(curve)
    return (detected.averaging or UNKNOWN_AVERAGE) if detected.averaged else None


def _without_start_bias(curve: LRCurve, averaging: str | None) -> LRCurve:
    """Returns the curve without the bias of the first averages, which pictures may show without naming their tool."""
    if averaging is not None and averaging != UNKNOWN_AVERAGE:
        return without_start_bias(curve, averaging)
    if curve.context.from_picture is None or scatter_as_batches(curve.loss[np.isfinite(curve.loss)]):
        return curve
    return without_start_bias(curve, LIGHTNING, is_known=False)


def _resampled(curve: LRCurve, fit: Fit | None, num_copies: int) -> Iterator[tuple[Landmarks, CurveFeatures]]:
    """Yields the landmarks and features of noise-resampled copies of the smoothed curve.

    A curve of fewer than four points has no copies, because its noise cannot be estimated. Copies of a long curve have
    fewer points than the curve.
    """
    if len(curve) > MAX_COPY_POINTS:
        every = slice(None, None, 1 + len(curve) // MAX_COPY_POINTS)
        curve = dataclasses.replace(curve, lr=curve.lr[every], loss=curve.loss[every])
        fit = Fit.of(curve)
    if fit is not None:
        yield from _measure(curve, fit.copies(num_copies))
