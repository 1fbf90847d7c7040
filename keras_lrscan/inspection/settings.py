"""Reads the settings of optimizer and loss from a compiled model."""

from __future__ import annotations

import functools
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import HostFunction, Loss, Optimizer, Value
from keras_lrscan.hosts.optimizers import innermost, is_variable
from keras_lrscan.hosts.snapshot import read_value
from keras_lrscan.inspection.targets import (
    TOTAL_LOSS,
    loss_function_name,
    loss_setting,
    monitored_output,
    output_losses,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keras_lrscan.hosts.host import Host

__all__ = ["compiled_losses", "loss_name", "loss_settings", "optimizer_settings", "regularization_in"]

OPTIMIZER_SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "weight_decay": ("weight_decay", "weight_decay_rate"),  # the second is that of transformers
        "clipnorm": ("clipnorm",),
        "global_clipnorm": ("global_clipnorm",),
        "clipvalue": ("clipvalue",),
        "gradient_accumulation_steps": ("gradient_accumulation_steps",),
    }
)
"""Field of the context → the attributes in which optimizers keep it."""

REDUCTIONS: Mapping[str, str] = MappingProxyType({"auto": "sum_over_batch_size", "mean": "sum_over_batch_size"})
"""Other names for the mean over samples."""


def optimizer_settings(optimizer: Optimizer) -> dict[str, Any]:
    """Returns the settings of an optimizer, keyed by fields of `ScanContext`.

    Args:
        optimizer: An optimizer of Keras 3 or tf_keras, possibly wrapped, for example in loss scaling.

    Returns:
        A value for each field of `OPTIMIZER_SETTINGS`. `None` for a setting that is not set, or that differs between
        the optimizers of a group.
    """
    leaves = innermost(optimizer)
    return {field: _shared([_setting(leaf, names) for leaf in leaves]) for field, names in OPTIMIZER_SETTINGS.items()}


def _setting(leaf: Optimizer, names: tuple[str, ...]) -> float | int | None:
    for name in names:
        value: Value = getattr(leaf, name, None)
        value = read_value(value).item() if is_variable(value) else value
        if isinstance(value, (int, float)) and value:
            return value
    return None


def _shared(values: list[Any]) -> Value:
    return values[0] if len(set(values)) == 1 else None


def compiled_losses(host: Host) -> list[Any]:
    """Returns the losses that the model was compiled with, with names resolved. Some may be `None`."""
    given = getattr(host.model, "loss", None)
    if isinstance(given, dict):
        given = list(given.values())
    losses = list(given) if isinstance(given, (list, tuple)) else [given]
    return [_resolved(host, loss) for loss in losses]


def regularization_in(host: Host, monitor: str) -> float | None:
    """Returns the sum of the penalties on the weights in the loss under the key `monitor`, or `None` if it is unknown.

    The total loss includes them, the loss of a single output does not.
    """
    if monitor == TOTAL_LOSS:
        return host.regularization_loss()
    return None if monitored_output(host, monitor) is None else 0.0


def loss_name(host: Host, monitor: str = TOTAL_LOSS) -> str | None:
    """Returns Keras's name of the loss under the key `monitor`, such as `"mean_squared_error"`.

    Returns `None` for an unknown key, and for a total of several losses.
    """
    loss = _single_loss(host, monitor)
    if loss is None:
        return None
    if isinstance(loss, functools.partial):
        loss = loss.func
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", loss_function_name(loss)).lower()


def loss_settings(host: Host, monitor: str = TOTAL_LOSS) -> dict[str, Any]:
    """Returns `loss_reduction` and `from_logits` of the loss under the key `monitor`, each `None` if unknown.

    A loss given by name, and a loss function of Keras, is averaged over the samples and takes probabilities. For custom
    functions both settings are unknown.
    """
    loss = _single_loss(host, monitor)
    return {"loss_reduction": _reduction(loss), "from_logits": _from_logits(loss)}


def _single_loss(host: Host, monitor: str) -> Loss | None:
    if monitor == TOTAL_LOSS:
        losses = compiled_losses(host)
        return losses[0] if len(losses) == 1 else None
    output = monitored_output(host, monitor)
    return None if output is None else _resolved(host, output_losses(host)[output])


def _resolved(host: Host, loss: Loss) -> Loss:
    return host.library.losses.get(loss) if isinstance(loss, str) else loss


def _reduction(loss: Loss) -> str | None:
    stated = getattr(loss, "reduction", None)
    if isinstance(stated, str):
        return REDUCTIONS.get(stated, stated)
    function = loss.func if isinstance(loss, functools.partial) else loss
    return "sum_over_batch_size" if _is_of_keras(function) else None


def _from_logits(loss: Loss) -> bool | None:
    if isinstance(loss, functools.partial):
        stated = loss.keywords.get("from_logits")
        loss = loss.func
    else:
        stated = loss_setting(loss, "from_logits")
    if "crossentropy" not in loss_function_name(loss).lower():
        return None
    if isinstance(stated, bool):
        return stated
    known = _is_of_keras(loss) or _is_of_keras(getattr(loss, "fn", None))
    return False if known else None


def _is_of_keras(function: HostFunction) -> bool:
    """Returns whether a function is one of Keras's losses."""
    module = getattr(function, "__module__", None) or ""
    return callable(function) and module.partition(".")[0] in {"keras", "tf_keras"} and module.endswith("losses")
