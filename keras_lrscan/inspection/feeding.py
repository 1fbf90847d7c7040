"""How `fit` was fed: the arguments that say which batches it trains on, kept so that experiments feed likewise."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import FitData
from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.inspection.arrays import ARRAYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from keras_lrscan.curves.context import ScanContext
    from keras_lrscan.hosts.fit_call import FitCall

__all__ = ["fed_alike", "feeding_of"]

NUMBERS = {"batch_size": int, "steps_per_epoch": int, "validation_split": float}
"""Arguments of `fit` that are numbers."""


def feeding_of(calls: Sequence[FitCall]) -> dict[str, Any]:
    """Returns how `fit` was fed, as plain values; of weights of samples only that there were some.

    Args:
        calls: The call of `fit`, and each call of a `fit` of a subclass around it, innermost first. A subclass may
            keep arguments for itself, as the tasks of KerasHub do with `batch_size`.
    """
    found: dict[str, Any] = {}
    for call in calls:
        numbers = {name: getattr(call, name) for name in NUMBERS}
        found |= {name: NUMBERS[name](value) for name, value in numbers.items() if value and isinstance(value, Real)}
        if isinstance(call.shuffle, (bool, str)):
            found["shuffle"] = call.shuffle
        if call.class_weight:
            found["class_weight"] = {int(label): float(weight) for label, weight in call.class_weight.items()}
        if call.sample_weight is not None:
            found["sample_weight"] = True
    return found


def fed_alike(context: ScanContext, x: FitData, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `options` with what they leave open taken from the `fit` that was scanned, where it applies to `x`.

    Args:
        context: What is known of that `fit`.
        x: Input data, as for `fit`.
        options: Arguments of `fit` that are given now; they come first, also where they are `None`.

    Raises:
        InvalidOptionError: If that `fit` had weights of samples, and there are none now.
    """
    fed = dict(context.feeding)
    weighted = fed.pop("sample_weight", False)
    if options.get("sample_weight") is not None:
        fed.pop("class_weight", None)  # Keras takes one of the two
    if _holds_rows(x):
        if weighted and "sample_weight" not in options:
            msg = (
                "Expected `sample_weight`, as in the `fit` that was scanned. Received: none. Pass the same weights, or "
                "`sample_weight=None` to look at all samples alike."
            )
            raise InvalidOptionError(msg)
        fed = {**fed, "batch_size": fed.get("batch_size", context.batch_size)}
        if context.shuffled is not None:  # also where a pipeline was scanned, and arrays are given now
            fed["shuffle"] = context.shuffled
    else:
        fed = {name: fed.get(name) for name in ("class_weight", "steps_per_epoch", "shuffle")}
        if not (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
            del fed["shuffle"]
    return {**{name: value for name, value in fed.items() if value is not None}, **options}


def _holds_rows(x: FitData) -> bool:
    """Whether `fit` makes batches of rows of `x` itself; of several parts the first tells."""
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return bool(x) and _holds_rows(x[0])
    return isinstance(x, str) or (type(x).__module__.partition(".")[0] in ARRAYS and hasattr(x, "__array__"))
