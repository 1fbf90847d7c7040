"""`analyze(curve) -> Analysis`: the only file that knows the order of the reading."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._version import __version__
from keras_lrscan.cause import Finding
from keras_lrscan.causes import find_causes
from keras_lrscan.curve import LRCurve
from keras_lrscan.decoding import checked_object, decode, read_json_object
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, shown
from keras_lrscan.explain import explain, summarize
from keras_lrscan.facts import facts
from keras_lrscan.features import (
    CurveFeatures,
    breaks,
    chance_loss,
    measure,
    reference_loss,
    start_reference,
)
from keras_lrscan.files import write_file
from keras_lrscan.landmarks import Landmarks, find_landmarks, with_ranges
from keras_lrscan.plot import plot_curve
from keras_lrscan.ranges import RangeKind, SearchRange, search_range
from keras_lrscan.recognition import recognise_averaging
from keras_lrscan.report import notebook_html, write_report
from keras_lrscan.shapes import ShapeVerdict, classify
from keras_lrscan.smoothing import Fit, SmoothedCurve, smooth
from keras_lrscan.suggest import SUGGESTION_METHODS, Reading, Role, Suggestion, SuggestionMethod, suggest
from keras_lrscan.trimming import trim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from matplotlib.axes import Axes

    from keras_lrscan.context import ScanContext

__all__ = ["Analysis", "analyze", "load"]

JSON_FORMAT = 1

ANALYZE_AGAIN = "Analyze the curve again with `analyze(LRCurve.from_json(path))`."
"""How to go on with an analysis that cannot be read."""

NUM_COPIES = 50
"""Noise-resampled copies of a curve that vote on the confidence."""

MAX_COPY_POINTS = 2000
"""Of a longer curve, the copies take every second, third, ... point: what they vote on does not hang on single ones."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """Everything that was read from one curve.

    Attributes:
        curve: The recorded curve.
        smoothed: The curve with its noise taken off.
        landmarks: Descent start, steepest fall, minimum, elbow.
        features: The numbers that the rules tested.
        verdict: The shape, with its confidence, start state, traits and evidence.
        findings: Confirmed, likely and possible causes: those to mend first, then the likeliest.
        excluded: Causes that a number of this curve or of its context speaks against, with that number.
        suggestions: One suggestion a method and role.
        version: Version of this package that made the analysis.

    Example:
    >>> import numpy as np
    >>> from keras_lrscan import LRCurve, analyze
    >>> x = np.linspace(-7, 0, 100)
    >>> analysis = analyze(LRCurve(lr=10.0**x, loss=2.3 - np.exp(-((x + 2) ** 2)) + 10.0 ** (3 * x + 1)))
    >>> str(analysis.verdict.shape), f"{analysis.suggestion.lr:.0e}"
    ('u-shaped', '2e-03')
    """

    curve: LRCurve
    smoothed: SmoothedCurve
    landmarks: Landmarks
    features: CurveFeatures
    verdict: ShapeVerdict
    findings: tuple[Finding, ...]
    excluded: tuple[Finding, ...]
    suggestions: tuple[Suggestion, ...]
    version: str = __version__

    def __post_init__(self) -> None:
        """Checks that the parts belong together, since all that reads an analysis relies on it."""
        size, points = len(self.smoothed.loss), int(np.isfinite(self.curve.loss).sum())
        if size > points:
            msg = f"Expected at most one smoothed loss a finite loss. Received: {size} for {points}."
            raise InvalidCurveError(msg)
        self.landmarks.check(size)
        pairs = [(item.method, item.role) for item in self.suggestions]
        each = {(method, role) for method, _ in pairs for role in Role}
        if pairs[:1] != [("default", Role.CONSTANT)] or set(pairs) != each or len(pairs) != len(each):
            msg = f"Expected a suggestion a method and role, the default first. Received: {pairs!r:.200}."
            raise InvalidCurveError(msg)

    @property
    def suggestion(self) -> Suggestion:
        """The default suggestion for training at a constant rate."""
        return self.suggestions[0]

    @property
    def reading(self) -> Reading:
        """What a suggestion method may look at."""
        return Reading(
            curve=self.curve,
            smoothed=self.smoothed,
            landmarks=self.landmarks,
            features=self.features,
            verdict=self.verdict,
        )

    def suggest(self, *, method: str | SuggestionMethod = "default", role: str = Role.CONSTANT) -> Suggestion:
        """Suggests a rate by any method.

        Args:
            method: A key of `keras_lrscan.suggest.SUGGESTION_METHODS`, or a function of a `Reading` that returns a rate
                or `None`.
            role: One of `"constant"`, `"one-cycle"`.

        Raises:
            InvalidOptionError: If `method` or `role` is unknown.
        """
        return suggest(self.reading, method=method, role=role)

    def search_range(self, *, kind: str = RangeKind.TO_ELBOW) -> SearchRange:
        """Returns the rates that a hyper-parameter search should cover, on a log axis.

        Args:
            kind: One of `"to-elbow"`, from a tenth of the steepest fall to the onset of divergence, and
                `"around-steepest"`, from a tenth of it to ten times it.

        Raises:
            InvalidOptionError: If `kind` is unknown.
        """
        return search_range(self.reading, kind=kind)

    def explain(self, *, level: str = "beginner") -> str:
        """Returns the explanation in words.

        Args:
            level: One of `"beginner"`, in plain words, and `"expert"`, with formulas and rules as well.

        Raises:
            InvalidOptionError: If `level` is unknown.
        """
        return explain(self, level=level)

    def summary(self) -> str:
        """Returns the verdict in three lines."""
        return summarize(self)

    def plot(self, *, ax: Axes | None = None, compare: bool | Sequence[str] = False) -> Axes:
        """Draws the curve; see `keras_lrscan.plot_curve`."""
        return plot_curve(self, ax=ax, compare=compare)

    def report(self, path: str | PathLike[str]) -> Path:
        """Writes picture, explanation, causes, suggestions and context to one HTML file that needs nothing else.

        Args:
            path: The file, usually with the ending `.html`. One that exists is replaced.

        Returns:
            The path.

        Raises:
            InvalidOptionError: If `path` is a folder, a link or a device, or lies in a folder that does not exist.
            MissingDependencyError: If jinja2 or matplotlib is not installed.
            OSError: If the file cannot be written.
        """
        return write_report(self, path)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows of this analysis."""
        return notebook_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values that JSON can hold."""
        parts = ("landmarks", "features", "verdict")
        return {
            "format": JSON_FORMAT,
            "version": self.version,
            "curve": self.curve.to_dict(),
            "smoothed": {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in vars(self.smoothed).items()
            },
            **{name: dataclasses.asdict(getattr(self, name)) for name in parts},
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "excluded": [dataclasses.asdict(finding) for finding in self.excluded],
            "suggestions": [dataclasses.asdict(suggestion) for suggestion in self.suggestions],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Analysis:
        """Rebuilds what `to_dict` returned.

        Raises:
            InvalidCurveError: If `data` does not hold an analysis of a format that this version knows.
        """
        data = checked_object(data)
        if data.get("format") != JSON_FORMAT or "curve" not in data:
            msg = (
                f"Expected an analysis of format {JSON_FORMAT}. Received: format={shown(data.get('format'))}, "
                f"keys={sorted(map(str, data))!r:.200}. {ANALYZE_AGAIN}"
            )
            raise InvalidCurveError(msg)
        return decode(cls, data, again=ANALYZE_AGAIN)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the analysis, with its curve, to a JSON file that `load` reads.

        Raises:
            InvalidOptionError: If `path` is no place for an ordinary file.
            OSError: If the file cannot be written.
        """
        write_file(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")


def analyze(curve: LRCurve, *, smoother: str = "spline", num_copies: int = NUM_COPIES) -> Analysis:
    """Reads a curve: smooths it, finds its landmarks, names its shape and likely causes, and suggests rates.

    Args:
        curve: The recorded curve.
        smoother: String. One of `"spline"` and `"local"`, which do not lag, and `"ema"`, which does.
        num_copies: Integer, at least 1. Noise-resampled copies that vote on the confidence; fewer are quicker.

    Returns:
        An `Analysis`. A curve that cannot be read is not an error: its shape says so and its suggestion is `None`.

    Raises:
        InvalidOptionError: If `smoother` is unknown or there would be no copy.
    """
    if num_copies < 1:
        msg = f"Argument `num_copies` must be an integer of at least 1. Received: num_copies={num_copies!r}."
        raise InvalidOptionError(msg)
    cleaned = curve.without_dust()
    readable = trim(cleaned, reference=reference_loss(cleaned))
    fit = Fit.of(readable, method=smoother)
    smoothed = smooth(readable, method=smoother) if fit is None else fit.smoothed()
    landmarks, features = _measured(readable, smoothed)
    tested = facts(features, curve.context)
    copies = [_measured(thinned, copy) for thinned, copy in _copies(readable, smoothed, fit, num_copies)]
    verdict = classify(tested, copies=[facts(copy, curve.context) for _, copy in copies])
    landmarks = with_ranges(landmarks, [marks for marks, _ in copies])
    findings, excluded = find_causes(facts(features, _with_averages_recognised(cleaned), shape=verdict.shape))
    reading = Reading(curve=curve, smoothed=smoothed, landmarks=landmarks, features=features, verdict=verdict)
    return Analysis(
        curve=curve,
        smoothed=smoothed,
        landmarks=landmarks,
        features=features,
        verdict=verdict,
        findings=findings,
        excluded=excluded,
        suggestions=tuple(suggest(reading, method=method, role=role) for role in Role for method in SUGGESTION_METHODS),
    )


def load(path: str | PathLike[str]) -> Analysis:
    """Reads an analysis that `Analysis.save` wrote.

    Raises:
        InvalidCurveError: If the file does not hold an analysis.
        OSError: If the file cannot be read.
    """
    return Analysis.from_dict(read_json_object(path))


def _measured(curve: LRCurve, smoothed: SmoothedCurve) -> tuple[Landmarks, CurveFeatures]:
    landmarks = find_landmarks(
        smoothed, reference=start_reference(curve), chance=chance_loss(curve.context), breaks=breaks(curve)
    )
    return landmarks, measure(curve, smoothed, landmarks)


def _with_averages_recognised(curve: LRCurve) -> ScanContext:
    """Returns the context, with the average that a record of unknown origin shows to hold."""
    context = curve.context
    if context.framework is not None or context.averaging is not None or context.undone_averaging is not None:
        return context
    seen = recognise_averaging(curve)
    return dataclasses.replace(context, averaging=seen.averaging or "of an unknown kind") if seen.averaged else context


def _copies(
    curve: LRCurve, smoothed: SmoothedCurve, fit: Fit | None, num_copies: int
) -> Iterator[tuple[LRCurve, SmoothedCurve]]:
    """Yields copies of the curve's smooth line, each with the points of the curve that it stands at."""
    every = slice(None, None, 1 + len(curve) // MAX_COPY_POINTS)
    thinned = dataclasses.replace(curve, lr=curve.lr[every], loss=curve.loss[every])
    if fit is None or len(thinned) < len(curve):
        fit = Fit.of(thinned)
    if fit is None:
        yield curve, smoothed
        return
    for copy in fit.copies(num_copies):
        yield thinned, copy
