"""Computes the gradient of the loss of one batch with respect to each weight, independent of the optimizer."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Model, Tensor, Value
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from keras_lrscan.hosts.host import Host

    Batch = tuple[Any, Any, Any]

__all__ = ["Gradient", "gradients"]

HALF_PRECISION_SCALE = 1024.0
"""Factor on the loss if layers compute in float16, so that small gradients do not round to zero."""


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """Describes the gradient with respect to one trainable weight.

    Attributes:
        name: Name of the weight, such as `"dense/kernel"`.
        size: Number of scalars in the weight.
        norm: L2 norm of the gradient.
        weight_norm: L2 norm of the weight.
    """

    name: str
    size: int
    norm: float
    weight_norm: float

    @property
    def is_zero(self) -> bool:
        """Whether every component of the gradient is zero."""
        return self.norm == 0.0


def gradients(host: Host, batch: Batch) -> tuple[Gradient, ...]:
    """Returns the gradient of the loss of one batch with respect to each trainable weight, at its current value.

    The forward pass runs in training mode, so it updates the moving means of batch normalization, the seeds of dropout
    and some metrics. The caller must save and restore them.

    Args:
        host: The host and its model, built.
        batch: Inputs, targets and sample weights. Targets and weights may be `None`.

    Raises:
        ScanError: If the model overrides `train_step`, so that its loss is unknown.
    """
    model = host.model
    if not type(model).train_step.__module__.startswith(("keras.", "tf_keras.")):
        msg = (
            "Expected a model with the `train_step` of Keras. Received: one that overrides it, so its loss is unknown."
        )
        raise ScanError(msg)
    weights = list(model.trainable_weights)
    if not weights:
        return ()
    names = _names(model, weights)
    scale = HALF_PRECISION_SCALE if _computes_in_half(model) else 1.0
    values = BACKENDS[host.backend](host, batch, weights, scale)
    return tuple(
        Gradient(
            name=name,
            size=int(np.prod(weight.shape)),
            norm=float(np.linalg.norm(value.astype(float))) / scale,
            weight_norm=float(np.linalg.norm(read_value(weight).astype(float))),
        )
        for name, weight, value in zip(names, weights, values, strict=True)
    )


def _with_tensorflow(host: Host, batch: Batch, weights: list[Any], scale: float) -> list[NDArray[Any]]:
    tensorflow = importlib.import_module("tensorflow")

    def to_tensor(part: Value) -> Tensor | None:
        return None if part is None else tensorflow.convert_to_tensor(part)

    tensors = tensorflow.nest.map_structure(to_tensor, batch)  # losses of tf_keras accept tensors only
    with tensorflow.GradientTape() as tape:
        loss = scale * _loss(host, tensors)
    variables = [weight if callable(weight.value) else weight.value for weight in weights]
    found = tape.gradient(loss, variables, unconnected_gradients="zero")
    return [tensorflow.convert_to_tensor(value).numpy() for value in found]


def _with_torch(host: Host, batch: Batch, weights: list[Any], scale: float) -> list[NDArray[Any]]:
    torch = importlib.import_module("torch")
    loss = scale * _loss(host, batch)
    found = torch.autograd.grad(loss, [weight.value for weight in weights], allow_unused=True)
    return [
        np.zeros(weight.shape) if value is None else value.detach().cpu().float().numpy()
        for weight, value in zip(weights, found, strict=True)
    ]


def _with_jax(host: Host, batch: Batch, weights: list[Any], scale: float) -> list[NDArray[Any]]:
    jax, scope = importlib.import_module("jax"), importlib.import_module("keras").StatelessScope

    def loss_of(values: list[Any]) -> Tensor:
        with scope(state_mapping=list(zip(weights, values, strict=True)), collect_losses=False):
            return scale * _loss(host, batch)

    found = jax.grad(loss_of)([weight.value for weight in weights])
    return [np.asarray(value) for value in found]


BACKENDS: Mapping[str, Callable[[Host, Batch, list[Any], float], list[NDArray[Any]]]] = MappingProxyType(
    {"jax": _with_jax, "tensorflow": _with_tensorflow, "torch": _with_torch}
)
"""Backend → function that computes the gradients."""


def _loss(host: Host, batch: Batch) -> Tensor:
    """Returns the loss of a batch that `fit` minimizes, including regularization."""
    model, (x, y, weights) = host.model, batch
    takes_training = getattr(model, "_expects_training_arg" if host.is_tf_keras else "_call_has_training_arg", True)
    predicted = model(x, training=True) if takes_training else model(x)
    return model.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weights)


def _computes_in_half(model: Model) -> bool:
    return any(getattr(layer, "compute_dtype", None) == "float16" for layer in layers_in(model))


def _names(model: Model, weights: list[Any]) -> list[str]:
    prefix = f"{model.name}/"
    names = [str(getattr(weight, "path", weight.name)).removesuffix(":0") for weight in weights]
    return [name.removeprefix(prefix) for name in names]
