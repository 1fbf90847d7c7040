"""`Target`s: for each output of a model, its loss and the labels that `fit` was given as arrays in memory."""

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
    "Target",
    "UnknownTargetError",
    "loss_function_name",
    "loss_setting",
    "loss_weights",
    "targets",
]

AVERAGES = frozenset({"auto", "sum_over_batch_size", "mean", "mean_with_sample_weight"})
"""Ways to reduce a loss that do not hang on the size of the batch."""
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
"""Functions of Keras whose best constant is the mean, the median or the mean direction, without a search."""


class UnknownTargetError(ValueError):
    """The labels do not tell what guessing costs; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One output of the model.

    Attributes:
        loss: The host's loss object.
        factor: Its weight in the sum.
        labels: All labels. Array of shape `(n, ...)`.
        weights: Weight of each label, of shape `(n,)`, or `None`.
        shape: Shape of the output, `None` for each size that is not known.
        logits: Whether the output is on the axis of logits.
    """

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


def targets(host: Host, call: FitCall) -> Iterator[Target]:
    """Yields the outputs that have a loss, each with its labels."""
    model = host.model
    for name in ("train_step", "compute_loss"):
        if not getattr(type(model), name).__module__.startswith(_who_calls_the_loss(model)):
            msg = f"the model has a `{name}` of its own"
            raise UnknownTargetError(msg)
    shapes = getattr(model, "output_shape", None)
    names = list(shapes) if isinstance(shapes, dict) else list(getattr(model, "output_names", None) or ["output"])
    losses = _by_name(model.loss, names, spread=True)
    factors = _by_name(loss_weights(model), names, spread=True)
    labels = _by_name(call.y, names, spread=False)
    weights = _by_name(call.sample_weight, names, spread=True)
    shapes = _by_name(shapes, names, spread=False, is_leaf=_is_shape)
    for name in (name for name in names if losses[name] is not None):
        array = _array(labels[name])
        loss = _loss_object(host, losses[name])
        shape = shapes[name] or _guessed_shape(loss, array)
        _check_masks(host, shape)
        factor = factors[name]
        yield Target(
            loss=loss,
            factor=1.0 if factor is None else float(factor),
            labels=array,
            weights=_weights(array, weights[name], call.class_weight),
            shape=shape,
            logits=_takes_logits(model, loss),
        )


def _who_calls_the_loss(model: Model) -> tuple[str, ...]:
    """Libraries whose train step uses the loss that `model` was compiled with."""
    compiled = getattr(model, "_using_dummy_loss", True) is False  # transformers' mark of a model compiled with a loss
    return ("keras.", "tf_keras.", *(["transformers."] if compiled else []))


def loss_weights(model: Model) -> Value:
    """Returns the `loss_weights` that the model was compiled with, as they were given, or `None`."""
    container = getattr(model, "_compile_loss", None) or getattr(model, "compiled_loss", None)
    return getattr(container, "_user_loss_weights", None)


def _by_name(
    value: Value,
    names: list[str],
    *,
    spread: bool,
    is_leaf: Callable[[Any], bool] = lambda value: not isinstance(value, (dict, list, tuple)),
) -> dict[str, Any]:
    """Sorts what `compile` or `fit` was given by the names of the outputs."""
    if isinstance(value, dict):
        return {name: value.get(name) for name in names}
    if is_leaf(value):
        if len(names) > 1 and not spread and value is not None:
            msg = "there are several outputs but not as many labels"
            raise UnknownTargetError(msg)
        return dict.fromkeys(names, value)
    return dict(zip(names, value, strict=True))


def _is_shape(value: Value) -> bool:
    return value is None or (isinstance(value, tuple) and all(size is None or isinstance(size, int) for size in value))


def _array(value: Value) -> Array:
    if type(value).__module__.partition(".")[0] not in ARRAYS or not hasattr(value, "shape"):
        msg = f"they are of type {type(value).__name__!r}, not an array in memory"
        raise UnknownTargetError(msg)
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if not array.ndim or not array.size:
        msg = "there are none"
        raise UnknownTargetError(msg)
    return array


def _loss_object(host: Host, loss: Loss) -> Loss:
    losses = host.library.losses
    loss = losses.get(loss) if isinstance(loss, (str, dict)) else loss
    if not isinstance(loss, losses.Loss):
        loss = losses.MeanSquaredError.__base__(loss)  # the hosts' wrapper of functions, which has no public name
    if getattr(loss, "reduction", "auto") not in AVERAGES:
        msg = f"the loss is not an average over the batch but reduced by {loss.reduction!r}"
        raise UnknownTargetError(msg)
    return loss


def _guessed_shape(loss: Loss, labels: Array) -> tuple[int | None, ...]:
    """The shape of the output of a model that does not know it itself."""
    if "sparse" in loss_function_name(loss):
        inner = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
        return (*inner, int(labels.max()) + 1)
    return labels.shape if labels.ndim > 1 else (*labels.shape, 1)


def _check_masks(host: Host, shape: tuple[int | None, ...]) -> None:
    layers = layers_in(host.model)
    if shape[1:-1] and any(getattr(layer, "mask_zero", False) or type(layer).__name__ == "Masking" for layer in layers):
        msg = "the model masks a part of them"
        raise UnknownTargetError(msg)


def _weights(labels: Array, sample_weight: FitData, class_weight: FitData) -> Array | None:
    """The weight of each sample, by `sample_weight` and by `class_weight`."""
    weights = None if sample_weight is None else _array(sample_weight).astype(float)
    if class_weight:
        flat = labels.reshape(len(labels), -1)
        classes = flat.argmax(1) if flat.shape[1] > 1 else flat[:, 0].astype(int)
        by_class = np.array([float(class_weight.get(number, 1.0)) for number in range(int(classes.max()) + 1)])
        weights = by_class[classes] * (1.0 if weights is None else weights)
    if weights is None or weights.ndim == 1:
        return weights
    if weights.size != len(labels):
        msg = "the sample weights differ along a sample"
        raise UnknownTargetError(msg)
    return weights.reshape(-1)


def loss_function_name(loss: Loss) -> str:
    """Returns the name of the function behind a loss, or of its class."""
    return str(getattr(getattr(loss, "fn", loss), "__name__", None) or type(loss).__name__)


def loss_setting(loss: Loss, name: str) -> Value:
    """A setting of a loss, which the hosts keep as an attribute or among the arguments of its function."""
    return getattr(loss, name, getattr(loss, "_fn_kwargs", {}).get(name))


def _takes_logits(model: Model, loss: Loss) -> bool:
    """Whether the loss says so, or else whether the model ends in no softmax or sigmoid."""
    stated = loss_setting(loss, "from_logits")
    if stated is not None or loss_function_name(loss) in CLOSED_FORM:
        return bool(stated)
    layers = getattr(model, "layers", None) or [model]
    activation = getattr(getattr(layers[-1], "activation", None), "__name__", None)
    return activation not in {"softmax", "sigmoid"}
