"""Pairs each output of a model with its loss, its labels, their weights, and the key of its loss in the logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Loss, Model, Value
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.inspection.arrays import ARRAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from keras_lrscan.hosts.fit_call import FitCall
    from keras_lrscan.hosts.host import Host

    Array = NDArray[Any]

__all__ = [
    "CLOSED_FORM",
    "TOTAL_LOSS",
    "Target",
    "UnknownTargetError",
    "logged_outputs",
    "loss_function_name",
    "loss_setting",
    "loss_weights",
    "monitored_output",
    "output_losses",
    "output_shapes",
    "targets",
]

TOTAL_LOSS = "loss"
"""Key of the total loss in the logs: the sum of the weighted losses of all outputs and of the penalties."""

AVERAGES = frozenset({"auto", "sum_over_batch_size", "mean", "mean_with_sample_weight"})
"""Reductions that do not depend on the batch size."""

METHODS_OF_LOSSES = ("train_step", "compute_loss", "compute_metrics", "get_metrics_result", "make_train_function")
"""Methods that determine the losses in the logs."""

CLOSED_FORM = frozenset(
    {
        "binary_crossentropy",
        "categorical_crossentropy",
        "cosine_similarity",
        "kl_divergence",
        "mean_absolute_error",
        "mean_squared_error",
        "poisson",
        "sparse_categorical_crossentropy",
    }
)
"""Loss functions of Keras whose best constant is the mean, the median or the mean direction, without a search."""


class UnknownTargetError(ValueError):
    """Raised when the labels do not determine the chance level. The message is the end of a sentence about them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One output of a model, with its loss and labels.

    Attributes:
        name: Name of the output.
        loss: The host's loss object.
        factor: Weight of the loss in the total loss.
        labels: All labels. Array of shape `(n, ...)`.
        weights: Weight of each sample, of shape `(n,)`, or `None`.
        shape: Shape of the output, with `None` for each unknown size.
        logits: Whether the output is unbounded, such as logits.
    """

    name: str
    loss: Any
    factor: float
    labels: Array
    weights: Array | None
    shape: tuple[int | None, ...]
    logits: bool

    @property
    def has_closed_form(self) -> bool:
        """Whether the best constant is known without a search."""
        return loss_function_name(self.loss) in CLOSED_FORM


def targets(host: Host, call: FitCall, output: str | None = None) -> Iterator[Target]:
    """Yields the outputs that have a loss, each with its labels.

    Args:
        host: The host and its model, built.
        call: The call of `fit`; its `y`, `sample_weight` and `class_weight` are used.
        output: Name of the only output to yield. Defaults to all outputs.

    Raises:
        UnknownTargetError: If the model computes its loss in its own way, or if the labels or the loss are unsuitable.
    """
    model = host.model
    for name in ("train_step", "compute_loss"):
        if not getattr(type(model), name).__module__.startswith(_who_calls_the_loss(model)):
            msg = f"the model overrides `{name}`"
            raise UnknownTargetError(msg)
    names = _output_names(model)
    losses, shapes = output_losses(host), output_shapes(host)
    factors = _by_name(loss_weights(model), names, spread=True)
    labels = _by_name(call.y, names, spread=False)
    weights = _by_name(call.sample_weight, names, spread=True)
    for name in (name for name in names if losses[name] is not None and output in {None, name}):
        array = _array(labels[name])
        loss = _loss_object(host, losses[name])
        shape = shapes[name] or _inferred_shape(loss, array)
        _check_masks(host, shape)
        factor = factors[name]
        yield Target(
            name=name,
            loss=loss,
            factor=1.0 if factor is None else float(factor),
            labels=array,
            weights=_weights(array, weights[name], call.class_weight),
            shape=shape,
            logits=_takes_logits(model, loss),
        )


def logged_outputs(host: Host) -> tuple[str, ...]:
    """Returns the names of the outputs whose losses Keras logs apart, or none.

    Keras logs the loss of an output as `<output>_loss`, without its loss weight and without penalties, if the model has
    several outputs with a loss. A model with its own `train_step` or `compute_loss` may log anything under such a key.

    Args:
        host: The host and its model, built.
    """
    model, base = host.model, host.library.Model
    if any(getattr(type(model), name, None) is not getattr(base, name, None) for name in METHODS_OF_LOSSES):
        return ()
    try:
        names = [name for name, loss in output_losses(host).items() if loss is not None]
    except ValueError:  # losses and outputs do not match
        return ()
    return tuple(names) if len(names) > 1 else ()


def monitored_output(host: Host, monitor: str) -> str | None:
    """Returns the name of the output whose loss Keras logs under the key `monitor`, or `None` for any other key.

    Args:
        host: The host and its model, built.
        monitor: Key of the loss in the logs.
    """
    return next((name for name in logged_outputs(host) if monitor == f"{name}_loss"), None)


def output_losses(host: Host) -> dict[str, Any]:
    """Returns the loss of each output as it was passed to `compile`, or `None` for an output without a loss."""
    return _by_name(getattr(host.model, "loss", None), _output_names(host.model), spread=True)


def output_shapes(host: Host) -> dict[str, Any]:
    """Returns the shape of each output, or `None` where it is unknown."""
    shapes = getattr(host.model, "output_shape", None)
    return _by_name(shapes, _output_names(host.model), spread=False, is_leaf=_is_shape)


def _output_names(model: Model) -> list[str]:
    """Returns the names under which `compile` and `fit` know the outputs."""
    shapes, outputs = getattr(model, "output_shape", None), getattr(model, "_outputs_struct", None)
    if isinstance(shapes, dict):
        return list(shapes)
    if isinstance(outputs, dict):  # Keras 3 lists their shapes by key
        return sorted(outputs)
    return list(getattr(model, "output_names", None) or ["output"])


def _who_calls_the_loss(model: Model) -> tuple[str, ...]:
    """Returns the libraries whose train step uses the loss that `model` was compiled with."""
    compiled = getattr(model, "_using_dummy_loss", True) is False  # set by transformers
    return ("keras.", "tf_keras.", *(["transformers."] if compiled else []))


def loss_weights(model: Model) -> Value:
    """Returns the `loss_weights` that the model was compiled with, or `None`."""
    container = getattr(model, "_compile_loss", None) or getattr(model, "compiled_loss", None)
    return getattr(container, "_user_loss_weights", None)


def _by_name(
    value: Value,
    names: list[str],
    *,
    spread: bool,
    is_leaf: Callable[[Any], bool] = lambda value: not isinstance(value, (dict, list, tuple)),
) -> dict[str, Any]:
    """Assigns an argument of `compile` or `fit` to the names of the outputs."""
    if isinstance(value, dict):
        return {name: value.get(name) for name in names}
    if is_leaf(value):
        if len(names) > 1 and not spread and value is not None:
            msg = "the model has several outputs, but there is only one array of labels"
            raise UnknownTargetError(msg)
        return dict.fromkeys(names, value)
    return dict(zip(names, value, strict=True))


def _is_shape(value: Value) -> bool:
    return value is None or (isinstance(value, tuple) and all(size is None or isinstance(size, int) for size in value))


def _array(value: Value) -> Array:
    if type(value).__module__.partition(".")[0] not in ARRAYS or not hasattr(value, "shape"):
        msg = f"they have type {type(value).__name__!r}, which is not an array in memory"
        raise UnknownTargetError(msg)
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if not array.ndim or not array.size:
        msg = "they are empty"
        raise UnknownTargetError(msg)
    return array


def _loss_object(host: Host, loss: Loss) -> Loss:
    losses = host.library.losses
    loss = losses.get(loss) if isinstance(loss, (str, dict)) else loss
    if not isinstance(loss, losses.Loss):
        loss = losses.MeanSquaredError.__base__(loss)  # the wrapper of functions has no public name
    if getattr(loss, "reduction", "auto") not in AVERAGES:
        msg = f"the loss uses reduction {loss.reduction!r}, which is not an average over the batch"
        raise UnknownTargetError(msg)
    return loss


def _inferred_shape(loss: Loss, labels: Array) -> tuple[int | None, ...]:
    """Infers the shape of an output from its labels, for a model that does not know it."""
    if "sparse" in loss_function_name(loss):
        inner = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
        return (*inner, int(labels.max()) + 1)
    return labels.shape if labels.ndim > 1 else (*labels.shape, 1)


def _check_masks(host: Host, shape: tuple[int | None, ...]) -> None:
    layers = layers_in(host.model)
    if shape[1:-1] and any(getattr(layer, "mask_zero", False) or type(layer).__name__ == "Masking" for layer in layers):
        msg = "the model masks some of them"
        raise UnknownTargetError(msg)


def _weights(labels: Array, sample_weight: FitData, class_weight: FitData) -> Array | None:
    """Returns the weight of each sample, from `sample_weight` and `class_weight`."""
    weights = None if sample_weight is None else _array(sample_weight).astype(float)
    if class_weight:
        flat = labels.reshape(len(labels), -1)
        classes = flat.argmax(1) if flat.shape[1] > 1 else flat[:, 0].astype(int)
        by_class = np.array([float(class_weight.get(number, 1.0)) for number in range(int(classes.max()) + 1)])
        weights = by_class[classes] * (1.0 if weights is None else weights)
    if weights is None or weights.ndim == 1:
        return weights
    if weights.size != len(labels):
        msg = "the sample weights differ within a sample"
        raise UnknownTargetError(msg)
    return weights.reshape(-1)


def loss_function_name(loss: Loss) -> str:
    """Returns the name of the function that a loss wraps, or else of its class."""
    return str(getattr(getattr(loss, "fn", loss), "__name__", None) or type(loss).__name__)


def loss_setting(loss: Loss, name: str) -> Value:
    """Returns a setting of a loss, which is an attribute or an argument of the function that it wraps."""
    return getattr(loss, name, getattr(loss, "_fn_kwargs", {}).get(name))


def _takes_logits(model: Model, loss: Loss) -> bool:
    """Returns the loss's `from_logits`, or else whether the model ends without a softmax or sigmoid."""
    stated = loss_setting(loss, "from_logits")
    if stated is not None or loss_function_name(loss) in CLOSED_FORM:
        return bool(stated)
    layers = getattr(model, "layers", None) or [model]
    activation = getattr(getattr(layers[-1], "activation", None), "__name__", None)
    return activation not in {"softmax", "sigmoid"}
