"""Converts plain JSON values into objects of this package and validates them against their annotations.

msgspec validates the values. Any mismatch raises an `InvalidCurveError` that names its location.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from keras_lrscan._typing import Array, Value
from keras_lrscan.errors import InvalidCurveError, LRScanError, shown
from keras_lrscan.files.read_write import Source, name_of, read_text

__all__ = ["Count", "Floats", "Indices", "Number", "Rate", "Share", "checked_object", "decode", "read_json_object"]

Floats = Array
"""Type of a field with an array of numbers, which JSON holds as a list of numbers, `"nan"`, `"inf"` and `"-inf"`."""

Indices = NDArray[np.intp]
"""Type of a field with an array of indices, which JSON holds as a list of integers."""

LARGEST, SMALLEST_RATE = 1e305, 1e-305
"""Limits of the numbers and rates in files, which keep their sums and quotients finite."""

Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Rate = Annotated[float, msgspec.Meta(ge=SMALLEST_RATE, le=LARGEST)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
"""Types of fields with a finite number, a learning rate, a share from 0 to 1, and a count."""

MAX_SHOWN = 200
"""Maximum number of characters of a received value in a message."""

FORMAT = 1
EXTRA_KEYS = frozenset({"format", "kind", "version"})
"""Keys that any object may have in addition to its fields."""

WORDS = {
    "float": "a number",
    "int": "an integer",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a dictionary",
}
"""msgspec's name of a type → its name in messages."""

T = TypeVar("T")


class _Misfit(ValueError):  # noqa: N818 - never leaves this module
    """Reports a value that does not fit its type, with its location relative to the one that msgspec reports."""

    def __init__(self, expected: str, place: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.place = place


def read_json_object(path: Source) -> dict[str, Any]:
    """Reads a file that contains one JSON object; see `read_text` for the supported encodings.

    Raises:
        InvalidCurveError: If the file does not contain a JSON object.
        InvalidOptionError: If the path contains a NUL character.
        OSError: If the file cannot be read.
    """
    try:
        data = json.loads(read_text(path))
    except RecursionError as error:
        msg = (
            f"Expected a JSON file written by this package. Received: path={name_of(path)!r}, which is nested too "
            "deeply."
        )
        raise InvalidCurveError(msg) from error
    except InvalidCurveError:
        raise
    except ValueError as error:  # invalid syntax, or an integer of thousands of digits
        msg = (
            f"Expected a JSON file written by this package. Received: path={name_of(path)!r}, which is not JSON "
            f"({error})."
        )
        raise InvalidCurveError(msg) from error
    if not isinstance(data, dict):
        msg = f"Expected a JSON object. Received: path={name_of(path)!r}, which contains {WORDS[_kind(data)]}."
        raise InvalidCurveError(msg)
    return data


def checked_object(data: object) -> Mapping[str, Any]:
    """Returns the data unchanged after checking that they are a mapping.

    Raises:
        InvalidCurveError: If they are not a mapping.
    """
    if not isinstance(data, Mapping):
        msg = f"Expected a dictionary, as `to_dict` returns. Received: {shown(data)}."
        raise InvalidCurveError(msg)
    return data


def decode(kind: type[T], data: object, *, again: str, named: bool = False) -> T:
    """Builds an object from plain values and validates all of its fields.

    Args:
        kind: A dataclass.
        data: Plain values, as read from JSON.
        again: Remedy for invalid data, the last sentence of the error message.
        named: Whether strings such as `"inf"` count as numbers outside of arrays, too.

    Raises:
        InvalidCurveError: If a field is missing, unknown or of another type, or if the object's own checks fail.
    """
    plain = None
    try:
        plain = _plain(data, "")
        made = msgspec.convert(plain, kind, dec_hook=_array, strict=not named)
        _check_parts(made, plain, "")
    except RecursionError as error:
        msg = f"Expected a dictionary as this package writes it. Received: one that is nested too deeply. {again}"
        raise InvalidCurveError(msg) from error
    except _Misfit as error:
        raise InvalidCurveError(_message(error.expected, error.place, data, again)) from error
    except msgspec.ValidationError as error:
        raise _translated(error, plain, again) from error
    return made


def _plain(value: Value, place: str) -> Value:
    """Returns the value in JSON's types; non-finite numbers become strings such as `"inf"`, as in our files."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_text(key, place): _plain(part, f"{place}.{key}".lstrip(".")) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [
            part if type(part) is float and -LARGEST < part < LARGEST else _plain(part, f"{place}[{at}]")
            for at, part in enumerate(value)
        ]
    if isinstance(value, int) and abs(value) > LARGEST:
        msg = "a number in the range of a float"
        raise _Misfit(msg, place)
    return _text(value, place) if isinstance(value, str) else value


def _text(value: Value, place: str) -> str:
    """Returns a string after checking that it is valid Unicode, since JSON escapes can encode half of a character."""
    if not isinstance(value, str):
        msg = "only strings as keys"
        raise _Misfit(msg, place)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = "valid Unicode text"
        raise _Misfit(msg, place) from error
    return value


def _array(kind: Value, value: Value) -> Value:
    """Converts a list to an array, the only kind of field that msgspec does not support."""
    if kind not in {Floats, Indices}:
        msg = f"Fields of type {kind} are not supported."
        raise NotImplementedError(msg)
    item: Any = Count if kind == Indices else float | Literal["nan", "inf", "-inf"]
    try:
        numbers = msgspec.convert(value, list[item])
    except msgspec.ValidationError as error:
        expected = "a list" if "$" not in str(error) else "an index" if kind == Indices else "a number"
        raise _Misfit(expected, str(error).partition("`$")[2].rstrip("`")) from error
    if kind == Indices:
        return np.array(numbers, dtype=np.intp)
    return np.array([float(number) for number in numbers], dtype=np.float64)


def _check_parts(made: Value, plain: Value, place: str) -> None:
    """Refuses formats and fields that this version does not know, at any depth."""
    if dataclasses.is_dataclass(made) and isinstance(plain, dict):
        if plain.get("format", FORMAT) != FORMAT:
            msg = f"format {FORMAT}, the only one that this version reads,"
            raise _Misfit(msg, f"{place}.format".lstrip("."))
        names = [field.name for field in dataclasses.fields(made)]
        unknown = sorted(set(plain) - {*names, *EXTRA_KEYS})
        if unknown:
            fields = f"only fields of `{type(made).__name__}`"
            msg = f"{fields}, not {unknown[0]!r:.80}, which a newer version may have written,"
            raise _Misfit(msg, place)
        for name in names:
            if name in plain:
                _check_parts(getattr(made, name), plain[name], f"{place}.{name}".lstrip("."))
    elif isinstance(made, tuple) and made and dataclasses.is_dataclass(made[0]):
        for at, pair in enumerate(zip(made, plain, strict=True)):
            _check_parts(*pair, f"{place}[{at}]")


def _translated(error: msgspec.ValidationError, data: Value, again: str) -> LRScanError:
    """Returns msgspec's error as an error of this package."""
    report, _, place = str(error).partition(" - at `")
    place = place.rstrip("`").removeprefix("$").lstrip(".").replace("key` in `$.", "").replace("[...]", "")
    cause = error.__cause__
    if isinstance(cause, _Misfit):
        return InvalidCurveError(_message(cause.expected, place + cause.place, data, again))
    if isinstance(cause, InvalidCurveError):
        return type(cause)(f"{cause} Location: `{place}`." if place else str(cause))
    return InvalidCurveError(_message(_expected(report), place, data, again))


def _expected(report: str) -> str:
    missing = re.fullmatch(r"Object missing required field `(.*)`", report)
    if missing:
        return f"the field {missing[1]!r}"
    if report.startswith("Invalid enum value"):
        return "a value that this version knows"
    kinds, bound = re.match(r"Expected `([^`]*)`(.*)", report), re.search(r"([<>]=?) ([-+.\de]+)$", report)
    if kinds is None:
        return "something else"
    words = " or ".join(WORDS.get(kind, kind) for kind in kinds[1].split(" | "))
    signs = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
    return words if bound is None else f"{words} {signs[bound[1]]} {bound[2]}"


def _message(expected: str, place: str, data: Value, again: str) -> str:
    value = data
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            break
    received = f"{place}.keys".lstrip(".") + f"={shown(list(value), MAX_SHOWN)}" if isinstance(value, Mapping) else ""
    received = received[:MAX_SHOWN] or f"{place or 'data'}={shown(value, MAX_SHOWN)}"
    where = f" at `{place}`" if place else ""
    return f"Expected {expected}{where}. Received: {received}. {again}"


def _kind(value: object) -> str:
    kinds = {list: "array", str: "str", bool: "bool", int: "int", float: "float"}
    return next((name for kind, name in kinds.items() if type(value) is kind), "null")
