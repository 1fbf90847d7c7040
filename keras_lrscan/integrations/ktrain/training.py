"""Trains a ktrain learner with ktrain's own schedules, at the peak that its last scan suggests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Learner, Value
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

    Example:
    ```python
    lr_find(learner)
    fit_onecycle(learner, 4)
    ```
    """
    return learner.fit_onecycle(_peak(learner), epochs, **options)


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
    return learner.autofit(_peak(learner), epochs, **options)


def _peak(learner: Learner) -> float:
    return finder_of(learner).analysis.rate_for(Role.ONE_CYCLE)
