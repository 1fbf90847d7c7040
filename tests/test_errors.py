from __future__ import annotations

import pytest

import keras_lrscan
from keras_lrscan import errors


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidCurveError, ValueError),
        (errors.CurveTooShortError, errors.InvalidCurveError),
        (errors.InvalidOptionError, ValueError),
        (errors.ScanError, RuntimeError),
        (errors.MissingDependencyError, ImportError),
        (errors.LRScanWarning, UserWarning),
    ],
)
def test_each_error_is_also_the_builtin_a_caller_would_expect(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)
    assert issubclass(error, errors.LRScanError | Warning)


def test_every_error_class_is_public() -> None:
    classes = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert classes <= set(keras_lrscan.__all__)


def test_an_unknown_option_names_every_known_one() -> None:
    text = str(errors.unknown_option("role", "peak", ["constant", "one-cycle"]))
    assert text == "Argument `role` must be one of 'constant', 'one-cycle'. Received: role='peak'."
