"""Plain values, as JSON holds them → objects of this package, checked against their annotations.

msgspec does the checking. What does not fit ends in one `InvalidCurveError` that names the place.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from keras_lrscan._typing import FitData, Value
from keras_lrscan.errors import InvalidCurveError, LRScanError, shown
from keras_lrscan.files.text import read_text

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Count", "Floats", "Indices", "Number", "Rate", "Share", "checked_object", "decode", "read_json_object"]

Floats = NDArray[np.float64]
"""An array of numbers; a list of numbers in JSON, in which `"nan"`, `"inf"` and `"-inf"` stand for themselves."""

Indices = NDArray[np.intp]
"""An array of places; a list of whole numbers in JSON."""

LARGEST, SMALLEST_RATE = 1e305, 1e-305
"""No number in a file is larger, and no rate smaller, so that sums and quotients of them stay finite."""

Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Rate = Annotated[float, msgspec.Meta(ge=SMALLEST_RATE, le=LARGEST)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
"""A finite number, a learning rate, a share from 0 to 1, and a number of things, as they may stand in a file."""

LONGEST = 200
"""Characters of what was received that a message shows."""

FORMAT = 1
EXTRA = frozenset({"format", "kind", "version"})
"""Keys that any object may have beside its own."""

WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object with named parts",
}
"""Type, as msgspec names it → the same in words."""

T = TypeVar("T")


class _Misfit(ValueError):  # noqa: N818 - never leaves this module
    """What is wrong with a value, and where below the place at which the library reports it."""

    def __init__(self, expected: str, place: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.place = place


def read_json_object(path: str | PathLike[str]) -> dict[str, Any]:
    """Reads a file that must hold one JSON object; see `read_text` for its encoding.

    Raises:
        InvalidCurveError: If it does not.
        InvalidOptionError: If the path holds a NUL character.
        OSError: If the file cannot be read.
    """
    try:
        data = json.loads(read_text(path))
    except RecursionError as error:
        msg = f"Expected a JSON file written by this package. Received: path={str(path)!r}, which is nested too deeply."
        raise InvalidCurveError(msg) from error
    except InvalidCurveError:
        raise
    except ValueError as error:  # bad syntax, or a number of thousands of digits
        msg = (
            f"Expected a JSON file written by this package. Received: path={str(path)!r}, which is not JSON ({error})."
        )
        raise InvalidCurveError(msg) from error
    if not isinstance(data, dict):
        msg = f"Expected a JSON object. Received: path={str(path)!r}, which holds {WORDS[_kind(data)]}."
        raise InvalidCurveError(msg)
    return data


def checked_object(data: object) -> Mapping[str, Any]:
    """Returns the data if they are an object with named parts.

    Raises:
        InvalidCurveError: If they are not.
    """
    if not isinstance(data, Mapping):
        msg = f"Expected an object with named parts, as `to_dict` returns it. Received: {shown(data)}."
        raise InvalidCurveError(msg)
    return data


def decode(kind: type[T], data: object, *, again: str, named: bool = False) -> T:
    """Returns plain values as an object of a type, with everything in it checked.

    Args:
        kind: A dataclass.
        data: Plain values, as JSON holds them.
        again: What to do when they do not fit.
        named: Whether a number may be its name, such as `"inf"`, outside of arrays as well.

    Raises:
        InvalidCurveError: If a part is missing, unknown or of another type, or the object's own checks refuse it.
    """
    plain = None
    try:
        plain = _plain(data, "")
        made = msgspec.convert(plain, kind, dec_hook=_array, strict=not named)
        _check_parts(made, plain, "")
    except RecursionError as error:
        msg = f"Expected an object as this package writes it. Received: one that is nested too deeply. {again}"
        raise InvalidCurveError(msg) from error
    except _Misfit as error:
        raise InvalidCurveError(_message(error.expected, error.place, data, again)) from error
    except msgspec.ValidationError as error:
        raise _told(error, plain, again) from error
    return made


def _plain(value: Value, place: str) -> Value:
    """Returns the value in the types that JSON has; a number that is not finite becomes its name, as in our files."""
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
        msg = "a number that a float can hold"
        raise _Misfit(msg, place)
    return _text(value, place) if isinstance(value, str) else value


def _text(value: Value, place: str) -> str:
    """Returns a text that can be printed: JSON's escapes can spell half of a character."""
    if not isinstance(value, str):
        msg = "only texts as the names of parts"
        raise _Misfit(msg, place)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = "text in valid Unicode"
        raise _Misfit(msg, place) from error
    return value


def _array(kind: Value, value: Value) -> Value:
    """Makes the arrays, the only fields that the library does not know."""
    if kind not in {Floats, Indices}:
        msg = f"No way to read {kind}."
        raise NotImplementedError(msg)
    item: Any = Count if kind == Indices else float | Literal["nan", "inf", "-inf"]
    try:
        numbers = msgspec.convert(value, list[item])
    except msgspec.ValidationError as error:
        expected = "a list" if "$" not in str(error) else "a place" if kind == Indices else "a number"
        raise _Misfit(expected, str(error).partition("`$")[2].rstrip("`")) from error
    if kind == Indices:
        return np.array(numbers, dtype=np.intp)
    return np.array([float(number) for number in numbers], dtype=np.float64)


def _check_parts(made: Value, plain: Value, place: str) -> None:
    """Refuses formats and parts that this version does not know, in all objects at any depth."""
    if dataclasses.is_dataclass(made) and isinstance(plain, dict):
        if plain.get("format", FORMAT) != FORMAT:
            msg = f"format {FORMAT}, since this version knows no other,"
            raise _Misfit(msg, f"{place}.format".lstrip("."))
        names = [field.name for field in dataclasses.fields(made)]
        unknown = sorted(set(plain) - {*names, *EXTRA})
        if unknown:
            msg = f"only fields of `{type(made).__name__}`, not {unknown[0]!r:.80}, which a newer version may write,"
            raise _Misfit(msg, place)
        for name in names:
            if name in plain:
                _check_parts(getattr(made, name), plain[name], f"{place}.{name}".lstrip("."))
    elif isinstance(made, tuple) and made and dataclasses.is_dataclass(made[0]):
        for at, pair in enumerate(zip(made, plain, strict=True)):
            _check_parts(*pair, f"{place}[{at}]")


def _told(error: msgspec.ValidationError, data: FitData, again: str) -> LRScanError:
    """Returns the library's finding in the words of this package."""
    said, _, place = str(error).partition(" - at `")
    place = place.rstrip("`").removeprefix("$").lstrip(".").replace("key` in `$.", "").replace("[...]", "")
    cause = error.__cause__
    if isinstance(cause, _Misfit):
        return InvalidCurveError(_message(cause.expected, place + cause.place, data, again))
    if isinstance(cause, InvalidCurveError):
        return type(cause)(f"{cause} That stands at `{place}`." if place else str(cause))
    return InvalidCurveError(_message(_expected(said), place, data, again))


def _expected(said: str) -> str:
    missing = re.fullmatch(r"Object missing required field `(.*)`", said)
    if missing:
        return f"a part {missing[1]!r}"
    if said.startswith("Invalid enum value"):
        return "a value that this version knows"
    kinds, bound = re.match(r"Expected `([^`]*)`(.*)", said), re.search(r"([<>]=?) ([-+.\de]+)$", said)
    if kinds is None:
        return "something else"
    words = " or ".join(WORDS.get(kind, kind) for kind in kinds[1].split(" | "))
    signs = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
    return words if bound is None else f"{words} {signs[bound[1]]} {bound[2]}"


def _message(expected: str, place: str, data: FitData, again: str) -> str:
    value = data
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            break
    received = f"{place}.keys".lstrip(".") + f"={shown(list(value), LONGEST)}" if isinstance(value, Mapping) else ""
    received = received[:LONGEST] or f"{place or 'data'}={shown(value, LONGEST)}"
    where = f" at `{place}`" if place else ""
    return f"Expected {expected}{where}. Received: {received}. {again}"


def _kind(value: object) -> str:
    kinds = {list: "array", str: "str", bool: "bool", int: "int", float: "float"}
    return next((name for kind, name in kinds.items() if type(value) is kind), "null")
