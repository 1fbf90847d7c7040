"""`PureAnalysis`: everything that was read from one curve, as a value that computes and draws nothing.

`pathlib` has `PurePath`, the value, and `Path`, which adds the methods that touch the world. Likewise explanations and
plots take a `PureAnalysis`, and `keras_lrscan.analysis.Analysis` adds the methods that make them.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from keras_lrscan._version import __version__
from keras_lrscan.causes.cause import Finding
from keras_lrscan.errors import InvalidCurveError, shown
from keras_lrscan.files.decoding import checked_object, decode
from keras_lrscan.files.read_write import write_file
from keras_lrscan.reading.facts import facts
from keras_lrscan.reading.reading import Reading
from keras_lrscan.suggestions.search_range import RangeKind, SearchRange, search_range
from keras_lrscan.suggestions.suggest import Role, Suggestion, SuggestionMethod, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["PureAnalysis"]

JSON_FORMAT = 1

ANALYZE_AGAIN = "Analyze the curve again with `analyze(LRCurve.from_json(path))`."
"""How to go on with an analysis that cannot be read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PureAnalysis(Reading):
    """Holds the reading of one curve, its causes and its suggestions, and reads and writes them as JSON.

    Attributes:
        curve: The recorded curve.
        smoothed: The curve without its batch-to-batch noise.
        landmarks: Descent start, steepest fall, minimum and elbow.
        features: The numbers that the rules tested.
        verdict: The shape, with its confidence, start state, traits and evidence.
        findings: Confirmed, likely and possible causes: those to mend first, then the likeliest.
        excluded: Causes that a number of this curve or of its context speaks against, with that number.
        suggestions: One suggestion per method and role, the default first.
        detected_averaging: The average that a record of unknown origin turned out to hold, by name; `None` if it holds
            single losses or its context names the average.
        version: Version of this package that made the analysis.
    """

    findings: tuple[Finding, ...]
    excluded: tuple[Finding, ...]
    suggestions: tuple[Suggestion, ...]
    detected_averaging: str | None = None
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
    def facts(self) -> Mapping[str, Any]:
        """All that the rules may test, by name: features, context, and what follows from both."""
        context = self.curve.context
        if self.detected_averaging is not None:
            context = dataclasses.replace(context, averaging=self.detected_averaging)
        return facts(self.features, context, shape=self.verdict.shape)

    def suggest(self, *, method: str | SuggestionMethod = "default", role: str = Role.CONSTANT) -> Suggestion:
        """Suggests a rate by any method.

        Args:
            method: A key of `keras_lrscan.suggestions.suggest.SUGGESTION_METHODS`, or a function of a `Reading` that
                returns a rate or `None`.
            role: One of `"constant"`, `"one-cycle"`.

        Raises:
            InvalidOptionError: If `method` or `role` is unknown.
        """
        return suggest(self, method=method, role=role)

    def search_range(self, *, kind: str = RangeKind.TO_ELBOW) -> SearchRange:
        """Returns the rates that a hyper-parameter search should cover, on a log axis.

        Args:
            kind: One of `"to-elbow"`, from a tenth of the steepest fall to the onset of divergence, and
                `"around-steepest"`, from a tenth of it to ten times it.

        Raises:
            InvalidOptionError: If `kind` is unknown.
        """
        return search_range(self, kind=kind)

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
            "detected_averaging": self.detected_averaging,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "excluded": [dataclasses.asdict(finding) for finding in self.excluded],
            "suggestions": [dataclasses.asdict(suggestion) for suggestion in self.suggestions],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
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
