"""Defines the exceptions and warnings of this package.

::

    LRScanError
    ├─ InvalidCurveError (ValueError)
    │  └─ CurveTooShortError
    ├─ InvalidOptionError (ValueError)
    ├─ ScanError (RuntimeError)
    └─ MissingDependencyError (ImportError)
    LRScanWarning (UserWarning)

Each error also inherits from the built-in exception in parentheses, so ``except ValueError`` works. Messages have the
form of Keras's messages: the expectation, then ``Received: name=value.``, then a remedy.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, SupportsIndex

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CurveTooShortError",
    "InvalidCurveError",
    "InvalidOptionError",
    "LRScanError",
    "LRScanWarning",
    "MissingDependencyError",
    "ScanError",
    "missing_dependency",
    "shown",
    "unknown_option",
    "whole_number",
]


class LRScanError(Exception):
    """Base class of all errors of this package."""


class InvalidCurveError(LRScanError, ValueError):
    """Raised when a recorded curve, or a file that should contain one, is invalid."""


class CurveTooShortError(InvalidCurveError):
    """Raised when a curve has no points."""


class InvalidOptionError(LRScanError, ValueError):
    """Raised when an argument has an invalid value."""


class ScanError(LRScanError, RuntimeError):
    """Raised when a scan cannot run, or when its result is requested before it has run."""


class MissingDependencyError(LRScanError, ImportError):
    """Raised when a required optional package is not installed."""


class LRScanWarning(UserWarning):
    """Issued when something makes a scan or its analysis less reliable."""


def shown(value: object, length: int = 80) -> str:
    """Returns the beginning of the `repr` of any value, for the "Received: ..." part of a message.

    >>> shown([1, 2]), shown("long " * 9, 12), shown([10**5000])
    ('[1, 2]', "'long long l", 'a value of type list that cannot be printed')
    """
    try:
        return repr(value)[:length]
    except (ValueError, RecursionError):  # an integer of thousands of digits, or too deep nesting
        return f"a value of type {type(value).__name__} that cannot be printed"


def unknown_option(argument: str, value: object, options: Iterable[str]) -> InvalidOptionError:
    """Returns the error for a string argument that is not one of the `options`.

    >>> print(unknown_option("role", "peak", ["constant", "one-cycle"]))
    Argument `role` must be one of 'constant', 'one-cycle'. Received: role='peak'.
    """
    known = ", ".join(repr(str(option)) for option in options)
    return InvalidOptionError(f"Argument `{argument}` must be one of {known}. Received: {argument}={value!r}.")


def whole_number(argument: str, value: SupportsIndex, least: int, remedy: str = "") -> int:
    """Returns an argument that must be an integer, and no boolean, of at least `least`.

    Raises:
        InvalidOptionError: If it is not. The message ends with the `remedy`.

    Example:
    >>> whole_number("skip_end", 3, 0)
    3
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        msg = f"Argument `{argument}` must be an integer of at least {least}. Received: {argument}={value!r}."
        raise InvalidOptionError(f"{msg} {remedy}".rstrip())
    return number


def missing_dependency(purpose: str, package: str, extra: str) -> MissingDependencyError:
    """Returns the error for a missing optional `package` that `purpose` needs.

    >>> print(missing_dependency("The demo", "scikit-learn", "demo"))
    The demo needs scikit-learn. Install it with: pip install "keras_lrscan[demo]"
    """
    return MissingDependencyError(f'{purpose} needs {package}. Install it with: pip install "keras_lrscan[{extra}]"')
