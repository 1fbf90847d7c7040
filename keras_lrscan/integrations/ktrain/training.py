"""Trains a ktrain learner with ktrain's own schedules, at the peak that its last scan suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Learner, Value
from keras_lrscan.errors import MissingDependencyError
from keras_lrscan.integrations.ktrain.adapter import finder_of
from keras_lrscan.suggestions.suggest import Role

if TYPE_CHECKING:
    from typing import SupportsIndex

__all__ = ["autofit", "fit_onecycle"]


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
        MissingDependencyError: If ktrain's own schedules do not work with the installed NumPy, as with NumPy 2.

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
        MissingDependencyError: If ktrain's own schedules do not work with the installed NumPy, as with NumPy 2.

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
    try:
        return getattr(learner, name)(peak, epochs, **options)
    except AttributeError as error:  # before training, from a name that NumPy 2 removed
        if "np.Inf" not in str(error):
            raise
        msg = (
            f"ktrain's `{name}` needs NumPy 1, because it uses a name that NumPy 2 removed. Received: "
            f"numpy {np.__version__}. Install it with: pip install 'numpy<2'"
        )
        raise MissingDependencyError(msg) from error
