"""Every exception and warning that this package raises on purpose.

::

    LRScanError
    ├─ InvalidCurveError (ValueError)
    │  └─ CurveTooShortError
    ├─ InvalidOptionError (ValueError)
    ├─ ScanError (RuntimeError)
    └─ MissingDependencyError (ImportError)
    LRScanWarning (UserWarning)

Each also inherits the builtin that a caller would expect, so ``except ValueError`` works. Messages follow Keras: what
was expected, then ``Received: name=value.``, then how to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
]


class LRScanError(Exception):
    """Base of all errors of this package."""


class InvalidCurveError(LRScanError, ValueError):
    """A recorded curve, or a file that should hold one, is not usable."""


class CurveTooShortError(InvalidCurveError):
    """A curve without a single point."""


class InvalidOptionError(LRScanError, ValueError):
    """An argument has a value outside what the function accepts."""


class ScanError(LRScanError, RuntimeError):
    """A scan cannot run, or was asked for something before it ran."""


class MissingDependencyError(LRScanError, ImportError):
    """An optional package is needed and not installed."""


class LRScanWarning(UserWarning):
    """Something that makes a scan or its reading less reliable than it could be."""


def shown(value: object, length: int = 80) -> str:
    """Returns the beginning of how Python writes a value, for "Received: ...", whatever the value is.

    >>> shown([1, 2]), shown("long " * 9, 12), shown([10**5000])
    ('[1, 2]', "'long long l", 'a value of type list that cannot be shown')
    """
    try:
        return repr(value)[:length]
    except (ValueError, RecursionError):  # a number of thousands of digits, or endless nesting
        return f"a value of type {type(value).__name__} that cannot be shown"


def unknown_option(argument: str, value: object, options: Iterable[str]) -> InvalidOptionError:
    """Returns the error for a string argument that names none of the `options`.

    >>> print(unknown_option("role", "peak", ["constant", "one-cycle"]))
    Argument `role` must be one of 'constant', 'one-cycle'. Received: role='peak'.
    """
    known = ", ".join(repr(str(option)) for option in options)
    return InvalidOptionError(f"Argument `{argument}` must be one of {known}. Received: {argument}={value!r}.")


def missing_dependency(purpose: str, package: str, extra: str) -> MissingDependencyError:
    """Returns the error for an optional `package` that `purpose` needs.

    >>> print(missing_dependency("The demo", "scikit-learn", "demo"))
    The demo needs scikit-learn. Install it with: pip install "keras_lrscan[demo]"
    """
    return MissingDependencyError(f'{purpose} needs {package}. Install it with: pip install "keras_lrscan[{extra}]"')
