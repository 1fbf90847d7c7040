"""Trains a ktrain learner with ktrain's own schedules, at the peak that its last scan suggests."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Learner, Value
from keras_lrscan.integrations.ktrain.adapter import finder_of
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import SupportsIndex

__all__ = ["autofit", "fit_onecycle"]

SCHEDULES = "ktrain.lroptimize.triangular"
"""Module with ktrain's schedules."""


def fit_onecycle(learner: Learner, epochs: SupportsIndex, **options: Any) -> Value:
    """Trains with ktrain's one-cycle policy, at the suggested peak of the learner's last scan.

    ktrain raises the rate from a tenth of the peak, lowers it again, and moves the momentum the other way.

    Args:
        learner: A learner that was scanned, by `lr_find` or by ktrain.
        epochs: Integer. Number of epochs, which form one cycle.
        **options: Further arguments of ktrain's `learner.fit_onecycle`, such as `checkpoint_folder`.

    Returns:
        The history that ktrain returns.

    Raises:
        InvalidCurveError: If there was no scan yet, or if its curve does not support a suggestion. The message gives
            the reason.
        InvalidOptionError: If `learner` is not a learner of ktrain.

    Example:
    ```python
    lr_find(learner)
    fit_onecycle(learner, 4)
    ```
    """
    return _train(learner, "fit_onecycle", epochs, options)


def autofit(learner: Learner, epochs: SupportsIndex | None = None, **options: Any) -> Value:
    """Trains with ktrain's triangular policy, one cycle per epoch, at the suggested peak of the learner's last scan.

    Args:
        learner: A learner that was scanned, by `lr_find` or by ktrain.
        epochs: Integer. Number of epochs. By default, ktrain trains until the validation loss stops falling.
        **options: Further arguments of ktrain's `learner.autofit`, such as `early_stopping`.

    Returns:
        The history that ktrain returns.

    Raises:
        InvalidCurveError: If there was no scan yet, or if its curve does not support a suggestion. The message gives
            the reason.
        InvalidOptionError: If `learner` is not a learner of ktrain.

    Example:
    ```python
    lr_find(learner)
    autofit(learner)
    ```
    """
    return _train(learner, "autofit", epochs, options)


def _train(learner: Learner, name: str, epochs: SupportsIndex | None, options: dict[str, Any]) -> Value:
    """Calls a method of the learner with the suggested peak."""
    peak = finder_of(learner).analysis.rate_for(Role.ONE_CYCLE)
    with _numpy_of_ktrain():
        return getattr(learner, name)(peak, epochs, **options)


class _NumPy:
    """NumPy with the name that its version 2 removed and that ktrain's schedules use."""

    Inf = np.inf

    def __getattr__(self, name: str) -> Value:
        return getattr(np, name)


@contextlib.contextmanager
def _numpy_of_ktrain() -> Iterator[None]:
    """Gives the module of ktrain's schedules a NumPy that it works with; ktrain 0.41.4 fails with NumPy 2."""
    has_schedules = "ktrain" in sys.modules and importlib.util.find_spec(SCHEDULES) is not None
    module = importlib.import_module(SCHEDULES) if has_schedules else None  # ktrain imports it at the first use
    if module is None or getattr(module, "np", None) is not np or hasattr(np, "Inf"):
        yield
        return
    vars(module)["np"] = _NumPy()
    try:
        yield
    finally:
        vars(module)["np"] = np
