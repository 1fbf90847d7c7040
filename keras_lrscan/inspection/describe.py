"""Fills the `ScanContext` of a scan from model, data and optimizer, without changing the training."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Model, Value, Variable
from keras_lrscan.curves.context import ARRAYS_SEEN, SIXTEEN_BIT_POLICIES
from keras_lrscan.curves.loss_names import CATEGORICAL_CROSSENTROPIES
from keras_lrscan.curves.noise import difference_noise
from keras_lrscan.hosts.fit_call import running_fit, running_fits
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.optimizers import innermost
from keras_lrscan.hosts.topology import num_outputs, output_activation, squashed_twice
from keras_lrscan.inspection.chance_level import chance_of
from keras_lrscan.inspection.data import array_facts, given_to_fit, label_ties, shuffles_anew, source_facts
from keras_lrscan.inspection.feeding import feeding_of
from keras_lrscan.inspection.layers import layer_facts
from keras_lrscan.inspection.settings import loss_name, loss_settings, optimizer_settings, regularization_in
from keras_lrscan.inspection.targets import TOTAL_LOSS, loss_weights, monitored_output, output_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from keras_lrscan.curves.context import ScanContext
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.optimizers import RateControl
    from keras_lrscan.inspection.data import Given

__all__ = ["data_notes", "describe", "describe_labels", "model_notes"]

EAGER_RANDOMNESS = (
    "tf_keras keeps the state of random layers such as dropout out of reach in eager mode. So the training after the "
    "scan draws other random numbers than it would have without the scan."
)

NADAM_TRACES = (
    "Nadam of tf_keras counts in Python how often its training step is traced, and this scan ran in its first `fit`. "
    "So the updates after the scan may differ from those without it."
)

NO_FALL_RATIO = 0.85
"""Share of the start or of the chance level, the lower of both, above which a loss counts as not falling."""

NO_FALL_NOISE = 3.0
"""Largest fall of a loss that does not fall, in standard deviations of one batch, where that level is not positive."""

MEDIAN_OF = 7
"""Consecutive losses whose median is one level of the curve."""


def describe(host: Host, control: RateControl, planned: ScanContext, monitor: str = TOTAL_LOSS) -> ScanContext:
    """Returns `planned` with the facts about model, loss, data and optimizer that are known before the first batch.

    Args:
        host: The host and its model, built.
        control: Controls the optimizer's learning rate.
        planned: The facts that are known of the scan itself.
        monitor: Key of the loss in the logs. All facts about the loss belong to the loss under this key.
    """
    model, call = host.model, running_fit(host.model)
    name = loss_name(host, monitor)
    chance = chance_of(host, call, monitor)
    given = given_to_fit(call)
    return dataclasses.replace(
        planned,
        framework=host.framework,
        backend=host.backend,
        optimizer=control.name,
        momentum=control.momentum,
        optimizer_lr=control.lr,
        optimizer_iterations=control.iterations,
        **optimizer_settings(host.optimizer),
        loss_name=name,
        **loss_settings(host, monitor),
        output_activation=output_activation(model),
        squashed_twice=squashed_twice(model),
        num_outputs=num_outputs(host),
        num_classes=_num_classes(model, name) if monitor == TOTAL_LOSS else _classes_of_output(host, name, monitor),
        **chance.facts,
        **source_facts(call),
        order_repeats=None if given is None or call.shuffle is None else not call.shuffle or host.repeats_shuffle,
        feeding=feeding_of(running_fits(model)),
        **({"data_seen": ARRAYS_SEEN, **array_facts(host, given)} if given is not None else {}),
        regularization_loss=regularization_in(host, monitor),
        **_own_penalty(host, layer_facts(host, control.iterations), monitor),
        num_trainable_params=_num_scalars(model.trainable_variables),
        num_frozen_params=_num_scalars(model.non_trainable_weights),
        precision=_precision(model),
        notes=tuple(dict.fromkeys((*planned.notes, *chance.notes))),
    )


def describe_labels(
    host: Host, context: ScanContext, losses: Sequence[float], seen: Given | None = None
) -> ScanContext:
    """Tests whether the labels depend on the inputs if the loss did not fall, and adds the answer to `context`.

    Args:
        host: The host and its model.
        context: The facts that are known.
        losses: The batch losses.
        seen: The recorded first batches, for a `fit` without arrays.
    """
    given = given_to_fit(running_fit(host.model))
    given = seen if given is None else given
    finite = np.asarray(losses)[np.isfinite(losses)]
    if given is None or finite.size < MEDIAN_OF:
        return context
    levels = [float(np.median(finite[:MEDIAN_OF])), *([] if context.chance_loss is None else [context.chance_loss])]
    level = min(levels)
    least = NO_FALL_RATIO * level if level > 0 else level - NO_FALL_NOISE * difference_noise(finite)
    if _lowest(finite) - (context.regularization_loss or 0.0) < least:
        return context
    return dataclasses.replace(context, labels_follow_inputs=label_ties(host, given))


def _lowest(losses: NDArray[np.float64]) -> float:
    return float(np.median(np.lib.stride_tricks.sliding_window_view(losses, MEDIAN_OF), axis=1).min())


def data_notes(data: FitData) -> tuple[str, ...]:
    """Returns notes on data that the scan cannot restore, such as a generator.

    Args:
        data: The `x` of `fit`.
    """
    if hasattr(data, "__next__"):
        return ("The scan used up batches of your generator. Create a new generator for the training.",)
    if shuffles_anew(data):
        return ("A tf.data shuffle draws a new order on each pass, so the training after the scan sees another one.",)
    if data is not None and hasattr(data, "__getitem__") and hasattr(data, "on_epoch_end"):
        return ("Your data set may shuffle itself in `on_epoch_end`. The scan does not restore its order.",)
    return ()


def model_notes(host: Host, context: ScanContext) -> tuple[str, ...]:
    """Returns notes on the state of a model and its optimizer that the scan cannot restore.

    Args:
        host: The host and its model, built.
        context: The facts about the model.
    """
    if not host.is_tf_keras:
        return ()
    counts_traces = any(type(leaf) is host.library.optimizers.Nadam for leaf in innermost(host.optimizer))
    randomness = host.runs_python and bool(context.num_dropout_layers)
    traces = counts_traces and not host.runs_python and not host.was_traced
    return (*([EAGER_RANDOMNESS] if randomness else []), *([NADAM_TRACES] if traces else []))


def _num_classes(model: Model, loss_name: str | None) -> int | None:
    if loss_weights(model) is not None:  # the loss is scaled, so ln K is not its chance level
        return None
    return _classes_in(getattr(model, "output_shape", None), loss_name)


def _classes_of_output(host: Host, loss_name: str | None, monitor: str) -> int | None:
    """Returns the classes of the output whose loss is monitored; Keras logs that loss without its weight."""
    output = monitored_output(host, monitor)
    return None if output is None else _classes_in(output_shapes(host)[output], loss_name)


def _own_penalty(host: Host, facts: dict[str, Any], monitor: str) -> dict[str, Any]:
    """Returns the facts about layers without a penalty that is not part of the monitored loss."""
    if monitor == TOTAL_LOSS:
        return facts
    return {**facts, "has_activity_penalty": None if monitored_output(host, monitor) is None else False}


def _classes_in(shape: Value, loss_name: str | None) -> int | None:
    if loss_name == "binary_crossentropy":
        return 2
    if loss_name not in CATEGORICAL_CROSSENTROPIES or not isinstance(shape, tuple) or not shape:
        return None
    return shape[-1] if isinstance(shape[-1], int) and shape[-1] > 1 else None


def _num_scalars(variables: Variable) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _precision(model: Model) -> str | None:
    """Returns the dtype policy of the model, or that of its first layer with a 16-bit policy."""
    layers = layers_in(model)
    names = [getattr(getattr(layer, "dtype_policy", None), "name", None) for layer in (model, *layers)]
    short = [name for name in names if name in SIXTEEN_BIT_POLICIES]
    return short[0] if short else (names[0] if isinstance(names[0], str) else None)
