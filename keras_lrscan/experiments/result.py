"""Saves the results of experiments to JSON and loads them again (`Result`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from keras_lrscan._typing import DataFrame
from keras_lrscan._version import __version__
from keras_lrscan.curves.frames import frame_of
from keras_lrscan.errors import InvalidCurveError, shown
from keras_lrscan.files.decoding import checked_object, decode, read_json_object
from keras_lrscan.files.read_write import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

__all__ = ["JSON_FORMAT", "Result"]

JSON_FORMAT = 1


class Result:
    """Converts the frozen result of an experiment to a dictionary or a JSON file and back. A base class."""

    KIND: ClassVar[str]
    """Name of the experiment in files."""

    NAMES_NUMBERS: ClassVar[bool] = False
    """Whether its files contain the names of numbers that JSON cannot represent, such as `"inf"`."""

    def _parts(self) -> dict[str, Any]:
        """Returns the fields as plain Python values for JSON."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain Python values for JSON."""
        return {"format": JSON_FORMAT, "kind": self.KIND, "version": __version__, **self._parts()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Creates a result from the output of `to_dict`.

        Raises:
            InvalidCurveError: If `data` is not such a result in a format that this version supports.
        """
        data = checked_object(data)
        if data.get("format") != JSON_FORMAT or data.get("kind") != cls.KIND:
            msg = (
                f"Expected a result of kind {cls.KIND!r} and format {JSON_FORMAT}. Received: "
                f"kind={shown(data.get('kind'))}, format={shown(data.get('format'))}."
            )
            raise InvalidCurveError(msg)
        again = "Run the experiment again, and save its result with `save`."
        return decode(cls, data, again=again, named=cls.NAMES_NUMBERS)

    def _tables(self) -> Iterator[dict[str, Any]]:
        """Yields the columns of each recorded curve, for `to_frame`."""
        raise NotImplementedError

    def to_frame(self) -> DataFrame:
        """Returns a pandas data frame with one row per batch of every curve, and a column that names the curve.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        return frame_of(self._tables())

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the result with its curves to a JSON file for `load`.

        Raises:
            InvalidOptionError: If `path` cannot be an ordinary file.
            OSError: If the file cannot be written.
        """
        write_file(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Reads a result from a file written by `save`.

        Raises:
            InvalidCurveError: If the file does not contain such a result.
            OSError: If the file cannot be read.
        """
        return cls.from_dict(read_json_object(path))
