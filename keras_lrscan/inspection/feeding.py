"""Records the arguments of `fit` that determine its batches, so that experiments can train on the same batches."""

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

__all__ = ["fed_alike", "feeding_of", "how_feeding_differs"]

NUMBERS = {"batch_size": int, "steps_per_epoch": int, "validation_split": float}
"""Numeric argument of `fit` → its type."""


def feeding_of(calls: Sequence[FitCall]) -> dict[str, Any]:
    """Returns the arguments of `fit` that determine its batches, as plain values.

    Of `sample_weight` only its presence is recorded.

    Args:
        calls: The call of `fit`, and each call of a `fit` of a subclass around it, innermost first. A subclass may
            use arguments itself, as the tasks of KerasHub do with `batch_size`.
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
    """Completes `options` from the `fit` that was scanned, with the arguments that apply to `x`.

    Args:
        context: The facts recorded by the scan.
        x: Input data, as for `fit`.
        options: Arguments of `fit`. They take precedence, even those that are `None`.

    Raises:
        InvalidOptionError: If the scanned `fit` had sample weights and `options` has none.
    """
    fed = dict(context.feeding)
    weighted = fed.pop("sample_weight", False)
    if options.get("sample_weight") is not None:
        fed.pop("class_weight", None)  # Keras takes one of the two
    if _holds_rows(x):
        if weighted and "sample_weight" not in options:
            msg = (
                "Expected `sample_weight`, as in the `fit` that was scanned. Received: none. Pass the same weights, or "
                "`sample_weight=None` to weight all samples equally."
            )
            raise InvalidOptionError(msg)
        fed = {**fed, "batch_size": fed.get("batch_size", context.batch_size)}
        if context.shuffled is not None:  # also applies if a pipeline was scanned and `x` holds arrays
            fed["shuffle"] = context.shuffled
    else:
        fed = {name: fed.get(name) for name in ("class_weight", "steps_per_epoch", "shuffle")}
        if not (hasattr(x, "__getitem__") and hasattr(x, "__len__")):
            del fed["shuffle"]
    return {**{name: value for name, value in fed.items() if value is not None}, **options}


def how_feeding_differs(context: ScanContext, known: Mapping[str, Any]) -> str | None:
    """Returns how the batches of an experiment differ from those of the scan, as the end of a sentence, or `None`.

    Only what is known of both is compared, so a pipeline scanned in the place of arrays counts as alike.

    Args:
        context: The facts recorded by the scan.
        known: The same facts about the `fit` of the experiment, by name: `feeding` and `shuffled`.
    """
    then, now = context.feeding, known.get("feeding") or {}
    pairs = {"shuffle": (context.shuffled, known.get("shuffled"))}
    if "batch_size" in now:  # arrays; of other data, the user's own code makes batches and weights
        pairs["batch_size"] = then.get("batch_size", context.batch_size), now["batch_size"]
        pairs["sample_weight"] = then.get("sample_weight", False), now.get("sample_weight", False)
    if then and now:
        pairs["class_weight"] = then.get("class_weight", {}), now.get("class_weight", {})
    for name, (first, second) in pairs.items():
        if first != second and first is not None and second is not None:
            return f"the batches are not fed as in the scan (`{name}` is {second!r:.60}; it was {first!r:.60})"
    return None


def _holds_rows(x: FitData) -> bool:
    """Returns whether `fit` divides `x` into batches itself. If `x` has several parts, checks the first."""
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return bool(x) and _holds_rows(x[0])
    return isinstance(x, str) or (type(x).__module__.partition(".")[0] in ARRAYS and hasattr(x, "__array__"))
