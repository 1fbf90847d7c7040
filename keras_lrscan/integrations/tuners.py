"""Passes the search range of a curve to hyperparameter tuners: KerasTuner's `hp`, and Optuna's `trial`.

Neither library is imported. Both functions call a method of the object that the tuner passes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_lrscan._typing import Value
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError
from keras_lrscan.suggestions.search_range import RangeKind

if TYPE_CHECKING:
    from keras_lrscan.analysis import Analysis

__all__ = ["hp_float", "suggest_float"]


def hp_float(
    hp: Value,
    analysis: Analysis,
    *,
    name: str = "learning_rate",
    kind: str = RangeKind.TO_ELBOW,
    otherwise: tuple[float, float] | None = None,
) -> float:
    """Registers a learning rate with KerasTuner, on a log scale over the search range of a curve.

    The suggested rate becomes the default of the hyperparameter if it lies in the range.

    Args:
        hp: A `keras_tuner.HyperParameters`, the argument of a model-building function.
        analysis: The analysis of a scan of the model.
        name: Name of the hyperparameter.
        kind: One of `"to-elbow"`, `"around-steepest"`.
        otherwise: Lowest and highest rate to use if the curve does not justify a range.

    Returns:
        The learning rate of this trial.

    Raises:
        InvalidOptionError: If `kind` is unknown or `otherwise` is not a range.
        InvalidCurveError: If the curve does not justify a range and `otherwise` is not given.

    Example:
    ```python
    analysis = lr_scan(model, x, y)

    def build(hp):
        rate = hp_float(hp, analysis)
        ...

    tuner = keras_tuner.RandomSearch(build, objective="val_loss")
    ```
    """
    low, high = _ends(analysis, kind, otherwise)
    lr = analysis.suggestion.lr
    default = lr if lr is not None and low <= lr <= high else None
    return float(hp.Float(name, min_value=low, max_value=high, sampling="log", default=default))


def suggest_float(
    trial: Value,
    analysis: Analysis,
    *,
    name: str = "learning_rate",
    kind: str = RangeKind.TO_ELBOW,
    otherwise: tuple[float, float] | None = None,
) -> float:
    """Samples a learning rate for an Optuna trial, on a log scale over the search range of a curve.

    Args:
        trial: An `optuna.Trial`, the argument of an objective.
        analysis: The analysis of a scan of the model.
        name: Name of the parameter.
        kind: One of `"to-elbow"`, `"around-steepest"`.
        otherwise: Lowest and highest rate to use if the curve does not justify a range.

    Returns:
        The learning rate of this trial.

    Raises:
        InvalidOptionError: If `kind` is unknown or `otherwise` is not a range.
        InvalidCurveError: If the curve does not justify a range and `otherwise` is not given.

    Example:
    ```python
    analysis = lr_scan(model, x, y)
    study = optuna.create_study()
    study.enqueue_trial({"learning_rate": analysis.suggestion.lr})  # start with the suggested rate
    study.optimize(lambda trial: train(suggest_float(trial, analysis)), n_trials=10)
    ```
    """
    low, high = _ends(analysis, kind, otherwise)
    return float(trial.suggest_float(name, low, high, log=True))


def _ends(analysis: Analysis, kind: str, otherwise: tuple[float, float] | None) -> tuple[float, float]:
    """Returns the lowest and the highest rate to search."""
    if otherwise is not None and not 0 < otherwise[0] < otherwise[1]:
        msg = (
            f"Argument `otherwise` must be two positive rates, the lower one first. Received: otherwise={otherwise!r}."
        )
        raise InvalidOptionError(msg)
    found = analysis.search_range(kind=kind)
    if found.low is not None and found.high is not None:
        return found.low, found.high
    if otherwise is not None:
        return otherwise
    msg = (
        f"Expected a curve that justifies a search range. Received: {analysis.verdict.shape!s}. {found.reason} "
        "Pass `otherwise=(1e-5, 1e-1)` to search that range instead."
    )
    raise InvalidCurveError(msg)
