"""Holds the results of analyzing one curve as a value, without plots or reports.

As in `pathlib`, where `PurePath` is the value and `Path` adds methods that access files, explanations and plots take a
`PureAnalysis`, and `keras_lrscan.analysis.Analysis` adds the methods that produce them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

import numpy as np

from keras_lrscan._version import __version__
from keras_lrscan.causes.cause import Finding
from keras_lrscan.errors import InvalidCurveError, shown
from keras_lrscan.files.decoding import checked_object, decode
from keras_lrscan.files.read_write import write_file
from keras_lrscan.formatting import format_lr
from keras_lrscan.reading.reading import Reading, facts_of
from keras_lrscan.suggestions.batch_size import for_batch_size
from keras_lrscan.suggestions.search_range import RangeKind, SearchRange, search_range
from keras_lrscan.suggestions.suggest import Role, Suggestion, SuggestionMethod, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["PureAnalysis"]

JSON_FORMAT = 1

ANALYZE_AGAIN = "Analyze the curve again with `analyze(LRCurve.from_json(path))`."
"""Advice for a file whose analysis cannot be loaded."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PureAnalysis(Reading):
    """Holds the reading of one curve, its causes and its suggestions, and converts them to and from JSON.

    Attributes:
        curve: The recorded curve.
        smoothed: The curve without its batch-to-batch noise.
        landmarks: Descent start, steepest fall, minimum and elbow.
        features: The numbers that the rules tested.
        verdict: The shape, with its confidence, start state, traits and evidence.
        findings: Confirmed, likely and possible causes: problems to fix first, then by likelihood.
        excluded: Causes that are ruled out or not applicable, each with the number that says so.
        suggestions: One suggestion per method and role, the default first.
        detected_averaging: Kind of running average detected in a curve of unknown origin; `None` if the curve holds
            batch losses or its context states their origin or averaging.
        version: Version of this package that made the analysis.
    """

    findings: tuple[Finding, ...]
    excluded: tuple[Finding, ...]
    suggestions: tuple[Suggestion, ...]
    detected_averaging: str | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        """Checks that the parts are consistent, because explanations, plots and reports rely on it."""
        size, points = len(self.smoothed.loss), int(np.isfinite(self.curve.loss).sum())
        if size > points:
            msg = f"Expected at most one smoothed loss per finite loss. Received: {size} smoothed, {points} finite."
            raise InvalidCurveError(msg)
        self.landmarks.check(size)
        pairs = [(item.method, item.role) for item in self.suggestions]
        each = {(method, role) for method, _ in pairs for role in Role}
        if pairs[:1] != [("default", Role.CONSTANT)] or set(pairs) != each or len(pairs) != len(each):
            msg = f"Expected one suggestion per method and role, the default first. Received: {pairs!r:.200}."
            raise InvalidCurveError(msg)

    def __repr__(self) -> str:
        """Returns the shape, the suggested rate and the number of points."""
        lr = None if self.suggestion.lr is None else format_lr(self.suggestion.lr)
        return f"{type(self).__name__}({self.verdict.shape}, lr={lr}, points={len(self.curve)})"

    @property
    def suggestion(self) -> Suggestion:
        """The default suggestion for training at a constant rate."""
        return self.suggestions[0]

    @property
    def first_problem(self) -> Finding | None:
        """The confirmed or likely cause that the user should fix first, or `None`."""
        return next((finding for finding in self.findings if finding.alarm and finding.is_sure), None)

    @property
    def holds_averages(self) -> bool:
        """Whether the losses most likely are averages, which were not undone: rates read off them are too large."""
        sure = any(finding.name == "averaging" and finding.is_sure for finding in self.findings)
        return sure and self.curve.context.undone_averaging is None

    @functools.cached_property
    def facts(self) -> Mapping[str, Any]:
        """Facts that the rules may test, by name: features, context, and values derived from both."""
        return facts_of(self, self.detected_averaging)

    def suggest(self, *, method: str | SuggestionMethod = "default", role: str = Role.CONSTANT) -> Suggestion:
        """Suggests a learning rate by any method.

        Args:
            method: A key of `keras_lrscan.suggestions.suggest.SUGGESTION_METHODS`, or a function that takes a
                `Reading` and returns a rate or `None`.
            role: One of `"constant"`, `"one-cycle"`.

        Raises:
            InvalidOptionError: If `method` or `role` is unknown.
        """
        return suggest(self, method=method, role=role, findings=self.findings)

    def for_batch_size(self, batch_size: SupportsIndex) -> Suggestion:
        """Returns the suggested constant rate for training with another batch size, for as many epochs.

        It is the suggestion of the scan times the square root of the ratio of the batch sizes, or times that ratio for
        SGD with momentum, with a wider range. The number of updates changes with the batch size; for as many updates,
        the best rate moves less.

        Args:
            batch_size: Integer, from a quarter of the batch size of the scan to four times that.

        Returns:
            A `Suggestion`. Its `lr` is `None`, with the reason, if the curve does not support a rate, if the optimizer
            is not one of `keras_lrscan.suggestions.batch_size.MEASURED` or the momentum of SGD is unknown, or if the
            loss is a sum over the batch.

        Raises:
            InvalidOptionError: If `batch_size` is not an integer within these limits.
            InvalidCurveError: If the batch size of the scan is unknown.

        Example:
        >>> import numpy as np
        >>> from keras_lrscan import LRCurve, ScanContext, analyze
        >>> x = np.linspace(-7, 0, 100)
        >>> loss = 2.3 - np.exp(-((x + 2) ** 2)) + 10.0 ** (3 * x + 1)
        >>> analysis = analyze(LRCurve(lr=10.0**x, loss=loss, context=ScanContext(batch_size=32, optimizer="Adam")))
        >>> round(analysis.for_batch_size(128).lr / analysis.suggestion.lr, 3)
        2.0

        References:
            Krizhevsky (2014), "One weird trick for parallelizing convolutional neural networks", for the square
            root; Goyal et al. (2017), "Accurate, Large Minibatch SGD", for momentum; and
            `benchmarks/suggestions/batch_sizes.py` for where each holds.
        """
        return for_batch_size(self.suggestion, self.curve.context, batch_size)

    def search_range(self, *, kind: str = RangeKind.TO_ELBOW) -> SearchRange:
        """Returns the range of learning rates that a hyper-parameter search should cover, on a log axis.

        Args:
            kind: One of `"to-elbow"`, from a tenth of the rate of the steepest fall to the elbow, and
                `"around-steepest"`, from a tenth of that rate to ten times that rate.

        Raises:
            InvalidOptionError: If `kind` is unknown.
        """
        return search_range(self, kind=kind, findings=self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Returns the analysis as plain Python values that JSON can represent."""
        parts = ("landmarks", "features", "verdict")
        return {
            "format": JSON_FORMAT,
            "version": self.version,
            "curve": self.curve.to_dict(),
            "smoothed": {
                name: value.tolist() if isinstance(value, np.ndarray) else value
                for name, value in dataclasses.asdict(self.smoothed).items()
            },
            **{name: dataclasses.asdict(getattr(self, name)) for name in parts},
            "detected_averaging": self.detected_averaging,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "excluded": [dataclasses.asdict(finding) for finding in self.excluded],
            "suggestions": [dataclasses.asdict(suggestion) for suggestion in self.suggestions],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds an analysis from the result of `to_dict`.

        Raises:
            InvalidCurveError: If `data` is not an analysis in a format that this version knows.
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
            InvalidOptionError: If `path` cannot hold a regular file.
            OSError: If the file cannot be written.
        """
        write_file(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
