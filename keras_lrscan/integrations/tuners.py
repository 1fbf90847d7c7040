"""A search range in the terms of hyper-parameter tuners: KerasTuner's `hp`, Optuna's `trial`.

Neither library is imported: both functions call a method of the object that they are given.
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
    """Registers a learning rate with KerasTuner, over the range that a curve gives, on a log scale.

    The suggested rate is the default of the hyper-parameter where it lies in the range.

    Args:
        hp: A `keras_tuner.HyperParameters`, as a model-building function is given it.
        analysis: What was read from the curve.
        name: Name of the hyper-parameter.
        kind: One of `"to-elbow"`, `"around-steepest"`.
        otherwise: Lowest and highest rate where the curve warrants no range.

    Returns:
        The rate of this trial.

    Raises:
        InvalidOptionError: If `kind` is unknown or `otherwise` is no range.
        InvalidCurveError: If the curve warrants no range and there is no `otherwise`.

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
    """Suggests a learning rate to an Optuna trial, over the range that a curve gives, on a log scale.

    Args:
        trial: An `optuna.Trial`, as an objective is given it.
        analysis: What was read from the curve.
        name: Name of the parameter.
        kind: One of `"to-elbow"`, `"around-steepest"`.
        otherwise: Lowest and highest rate where the curve warrants no range.

    Returns:
        The rate of this trial.

    Raises:
        InvalidOptionError: If `kind` is unknown or `otherwise` is no range.
        InvalidCurveError: If the curve warrants no range and there is no `otherwise`.

    Example:
    ```python
    analysis = lr_scan(model, x, y)
    study = optuna.create_study()
    study.enqueue_trial({"learning_rate": analysis.suggestion.lr})  # try what the curve suggests first
    study.optimize(lambda trial: train(suggest_float(trial, analysis)), n_trials=10)
    ```
    """
    low, high = _ends(analysis, kind, otherwise)
    return float(trial.suggest_float(name, low, high, log=True))


def _ends(analysis: Analysis, kind: str, otherwise: tuple[float, float] | None) -> tuple[float, float]:
    if otherwise is not None and not 0 < otherwise[0] < otherwise[1]:
        msg = f"Argument `otherwise` must be two rates, the lower one first. Received: otherwise={otherwise!r}."
        raise InvalidOptionError(msg)
    found = analysis.search_range(kind=kind)
    if found.low is not None and found.high is not None:
        return found.low, found.high
    if otherwise is not None:
        return otherwise
    msg = (
        f"Expected a curve that gives a range of rates. Received: {analysis.verdict.shape!s}. {found.reason} "
        "Pass `otherwise=(1e-5, 1e-1)` to search that instead."
    )
    raise InvalidCurveError(msg)
