"""`Result`: the base of the results of experiments, which are saved to JSON and loaded from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from keras_lrscan._version import __version__
from keras_lrscan.errors import InvalidCurveError, shown
from keras_lrscan.files.decoding import checked_object, decode, read_json_object
from keras_lrscan.files.read_write import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

__all__ = ["JSON_FORMAT", "Result"]

JSON_FORMAT = 1


class Result:
    """Base of the frozen results of experiments: each is a plain dictionary and back, and so a JSON file and back."""

    KIND: ClassVar[str]
    """Name of the experiment in files."""

    NAMES_NUMBERS: ClassVar[bool] = False
    """Whether its files name single numbers that JSON has none for, such as `"inf"`."""

    def _parts(self) -> dict[str, Any]:
        """Returns the fields as plain Python values that JSON can hold."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values that JSON can hold."""
        return {"format": JSON_FORMAT, "kind": self.KIND, "version": __version__, **self._parts()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuilds what `to_dict` returned.

        Raises:
            InvalidCurveError: If `data` does not hold such a result, or one of a format that this version knows.
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

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the result, with its curves, to a JSON file that `load` reads.

        Raises:
            InvalidOptionError: If `path` is no place for an ordinary file.
            OSError: If the file cannot be written.
        """
        write_file(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
            InvalidCurveError: If the file does not hold such a result.
            OSError: If the file cannot be read.
        """
        return cls.from_dict(read_json_object(path))
