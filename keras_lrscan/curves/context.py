"""`ScanContext`: what was known of the model, the data and the run when a scan was recorded.

Each field that a rule may test is named in words beside its definition.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from keras_lrscan.errors import InvalidCurveError
from keras_lrscan.files.decoding import checked_object, decode
from keras_lrscan.formatting import LARGEST, LOSS, RATE, Measure, measured, measures_of

__all__ = [
    "ARRAYS_SEEN",
    "BATCHES_SEEN",
    "CONTEXT_MEASURES",
    "FLOAT16_POLICIES",
    "SIXTEEN_BIT_POLICIES",
    "ScanContext",
    "chance_loss",
    "is_classifier",
    "uniform_loss",
]

ARRAYS_SEEN, BATCHES_SEEN = "arrays", "first batches"
"""What can have been seen of the data: all, in the order of the user; or the first of what was fed, in that order."""

FLOAT16_POLICIES = ("mixed_float16", "float16")
"""Dtype policies that overflow beyond 65504, the largest float16 number."""

SIXTEEN_BIT_POLICIES = (*FLOAT16_POLICIES, "mixed_bfloat16", "bfloat16")
"""Dtype policies that compute with 16 bits. bfloat16 has the range of float32."""

MIN_VALUES: Mapping[str, float] = MappingProxyType({"start_lr": 1 / LARGEST, "end_lr": 1 / LARGEST, "num_classes": 1})
"""Field → the least that it can be; other whole numbers are at least 0."""

FEEDING: Mapping[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "batch_size": int,
        "class_weight": dict,
        "sample_weight": bool,
        "shuffle": (bool, str),
        "steps_per_epoch": int,
        "validation_split": float,
    }
)
"""Arguments of `fit` that say which batches it trains on → their types."""

COUNT = "{:,d}"
SHARE = "{:.0%}"


@dataclass(frozen=True, kw_only=True)
class ScanContext:
    """What was known of the model, the data and the run. A field is `None` when it was not known; nothing is guessed.

    A number that is not finite, or beyond ±1e100, tells nothing and counts as not known; one below 1e-100 in size is
    zero. One that cannot be, such as a
    negative number of samples, is an `InvalidCurveError`.

    Attributes:
        start_lr: First rate of the planned ramp.
        end_lr: Last rate of the planned ramp.
        num_steps: Planned number of optimizer updates.
        batch_size: Samples in one batch.
        steps_per_epoch: Batches in one epoch of the `fit` that was scanned.
        framework: Name and version of the Keras that ran, such as `"keras 3.15.1"` or `"tf_keras 2.21.0"`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        optimizer: Class name of the optimizer, such as `"Adam"`.
        momentum: Momentum of the optimizer, where it has such a setting.
        optimizer_lr: The optimizer's own rate before the scan; `None` under a schedule.
        optimizer_iterations: Updates the optimizer had made before the scan; 0 for a fresh one.
        weight_decay: Decoupled weight decay of the optimizer, where it is set.
        clipnorm: Norm that the gradient of each variable is cut to, where it is set.
        global_clipnorm: Norm that the gradient of all variables together is cut to, where it is set.
        clipvalue: Size that each entry of a gradient is cut to, where it is set.
        gradient_accumulation_steps: Batches in one update, where it is set.
        loss_name: Keras's name of the loss, such as `"sparse_categorical_crossentropy"`.
        loss_reduction: How the losses of samples become one, such as `"sum_over_batch_size"` (a mean) or `"sum"`.
        loss_adds_up: What the loss sums over, `"samples"` or `"outputs"`; `"nothing"` for a mean.
        from_logits: Whether the loss takes the model's output for logits; cross-entropies only.
        output_activation: Activation of the last layer, such as `"softmax"` or `"linear"`.
        squashed_twice: Whether the output runs through two softmaxes or sigmoids with nothing to learn between them.
        num_outputs: Numbers that the model predicts for one sample.
        num_classes: Number of classes a classifier chooses from.
        perfect_loss: Loss of right answers that are nearly sure, in probabilities; classification only.
        chance_loss: Loss of the best constant prediction, in the unit of the loss.
        chance_source: How that was found, such as `"label frequencies"`.
        regularization_loss: The part of the first loss that is regularization, in the unit of the loss.
        has_activity_penalty: Whether a layer adds a penalty on what it puts out, which is not in the last.
        metric_names: Names of the compiled metrics, without the loss.
        start_metrics: Metric → its value on the first batch.
        num_samples: Samples in the data that `fit` was given.
        shuffled: Whether `fit` shuffles them.
        feeding: Arguments of `fit` that say which batches it trained on, as they were given: `batch_size`,
            `class_weight`, `shuffle`, `steps_per_epoch`, `validation_split`; `sample_weight` says only that there were
            some. Experiments that are given an analysis of this scan feed their batches likewise.
        data_seen: What the following was taken from: `"arrays"`, or the `"first batches"` in their order.
        num_looked_at: Samples that were compared with each other.
        num_distinct_inputs: Of these, samples whose inputs differ from those of all others.
        contradicting_share: Of these, the share whose inputs came before with another target.
        input_low: Smallest number in the inputs; only where the inputs are measurements and not, say, word numbers.
        input_high: Largest number in the inputs.
        input_mean: Mean of the inputs.
        input_std: Standard deviation of the inputs.
        input_spread_ratio: Largest over smallest standard deviation of the input columns, constant columns left out.
        nonfinite_inputs: Share of samples with a NaN or an infinite number in their inputs.
        nonfinite_targets: Share of samples with a NaN or an infinite number in their targets.
        target_low: Smallest target; regression only.
        target_high: Largest target; regression only.
        target_mean: Mean of the targets; regression only.
        target_std: Standard deviation of the targets; regression only.
        majority_share: Share of the most frequent label; classification only.
        bad_labels: Share of labels that are no class of the model; classification only.
        labels_follow_inputs: Whether simple rules foretell labels from inputs better than shuffled labels.
        label_runs: How far the data are sorted by label or target: 0 for a random order, 1 for one after the other.
        zero_weight_share: Share of samples whose weight in the loss is zero.
        num_layers: Layers with weights, nested ones included.
        num_frozen_layers: Of these, layers that cannot train.
        num_used_layers: Of these, layers whose weights show that they were trained before, such as a bias off zero.
        head_is_fresh: Whether the last layer with weights is as initialized while layers below were trained before.
        head_is_untrained: Whether that layer is as initialized, whatever the others are.
        backbone: Name of the known pretrained architecture that the model contains.
        num_normalization_layers: Layers that normalize, such as batch or layer normalization.
        num_dropout_layers: Layers that drop or disturb values at random in training.
        num_trainable_params: Number of trainable scalars.
        num_frozen_params: Number of scalars in non-trainable weights.
        precision: Name of the dtype policy, such as `"float32"` or `"mixed_float16"`.
        weight_change: Length of the change of all trainable weights over the scan, as a share of their own length.
        still_share: Share of the trainable scalars that no update of the scan changed.
        layer_change_ratio: That change, as a share of its own length, of the kernel that moved least over that of the
            kernel that moved most.
        averaging: How another tool averaged the losses before it stored them; `None` for losses of single batches.
        undone_averaging: How another tool had averaged the losses, where that was undone.
        notes: Sentences on what limits this recording, for the reader of a report.
    """

    start_lr: float | None = measured("first planned rate", RATE)
    end_lr: float | None = measured("last planned rate", RATE)
    num_steps: int | None = measured("planned updates", COUNT)
    batch_size: int | None = measured("samples in one batch", COUNT)
    steps_per_epoch: int | None = measured("batches in one epoch", COUNT)
    framework: str | None = None
    backend: str | None = measured("backend", "{}")
    optimizer: str | None = measured("optimizer", "{}")
    momentum: float | None = measured("momentum")
    optimizer_lr: float | None = measured("the optimizer's own rate", RATE)
    optimizer_iterations: int | None = measured("updates made before the scan", COUNT)
    weight_decay: float | None = measured("weight decay")
    clipnorm: float | None = measured("norm that each gradient is cut to")
    global_clipnorm: float | None = measured("norm that all gradients together are cut to")
    clipvalue: float | None = measured("size that gradients are cut to")
    gradient_accumulation_steps: int | None = measured("batches in one update", COUNT)
    loss_name: str | None = measured("loss", "{}")
    loss_reduction: str | None = measured("how the losses of samples become one", "{}")
    loss_adds_up: str | None = measured("what the loss sums over", "{}")
    from_logits: bool | None = measured("whether the loss takes logits", "{}")
    output_activation: str | None = measured("activation of the last layer", "{}")
    squashed_twice: bool | None = measured("whether two softmaxes or sigmoids follow each other", "{}")
    num_outputs: int | None = measured("numbers predicted for one sample", COUNT)
    num_classes: int | None = measured("classes", COUNT)
    perfect_loss: float | None = measured("loss of right answers", LOSS)
    chance_loss: float | None = measured("loss of guessing", LOSS)
    chance_source: str | None = None
    regularization_loss: float | None = measured("regularization in the first loss", LOSS)
    has_activity_penalty: bool | None = measured("whether a layer adds a penalty on its outputs", "{}")
    metric_names: tuple[str, ...] = ()
    start_metrics: Mapping[str, float] = field(default_factory=dict)
    num_samples: int | None = measured("samples", COUNT)
    shuffled: bool | None = measured("whether the data are shuffled", "{}")
    feeding: Mapping[str, Any] = field(default_factory=dict)
    data_seen: str | None = measured("what was seen of the data", "{}")
    num_looked_at: int | None = measured("samples compared", COUNT)
    num_distinct_inputs: int | None = measured("different samples among them", COUNT)
    contradicting_share: float | None = measured("share of samples that came before with another target", SHARE)
    input_low: float | None = measured("smallest input", "{:.3g}")
    input_high: float | None = measured("largest input", "{:.3g}")
    input_mean: float | None = measured("mean of the inputs", "{:.3g}")
    input_std: float | None = measured("standard deviation of the inputs", "{:.3g}")
    input_spread_ratio: float | None = measured("widest input column over the narrowest", "{:.3g}")
    nonfinite_inputs: float | None = measured("share of samples with NaN or infinity in their inputs", "{:.2%}")
    nonfinite_targets: float | None = measured("share of samples with NaN or infinity in their targets", "{:.2%}")
    target_low: float | None = measured("smallest target", "{:.3g}")
    target_high: float | None = measured("largest target", "{:.3g}")
    target_mean: float | None = measured("mean of the targets", "{:.3g}")
    target_std: float | None = measured("standard deviation of the targets", "{:.3g}")
    majority_share: float | None = measured("share of the most frequent label", SHARE)
    bad_labels: float | None = measured("share of labels that are no class of the model", "{:.2%}")
    labels_follow_inputs: bool | None = measured("whether simple rules foretell labels from inputs", "{}")
    label_runs: float | None = measured("how far the data are sorted by label, from 0 to 1")
    zero_weight_share: float | None = measured("share of samples whose weight is zero", SHARE)
    num_layers: int | None = measured("layers with weights", COUNT)
    num_frozen_layers: int | None = measured("frozen layers", COUNT)
    num_used_layers: int | None = measured("layers that were trained before", COUNT)
    head_is_fresh: bool | None = measured("whether the last layer is new", "{}")
    head_is_untrained: bool | None = measured("whether the last layer is as initialized", "{}")
    backbone: str | None = measured("known pretrained architecture", "{}")
    num_normalization_layers: int | None = measured("normalization layers", COUNT)
    num_dropout_layers: int | None = measured("dropout layers", COUNT)
    num_trainable_params: int | None = measured("trainable parameters", COUNT)
    num_frozen_params: int | None = measured("frozen parameters", COUNT)
    precision: str | None = measured("precision", "{}")
    weight_change: float | None = measured("change of the weights over the scan, as a share of them")
    still_share: float | None = measured("share of trainable weights that never changed", "{:.1%}")
    layer_change_ratio: float | None = measured("change of the layer that moved least over that of the most", "{:.1g}")
    averaging: str | None = measured("average that the losses were stored as", "{}")
    undone_averaging: str | None = measured("average that was undone", "{}")
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Makes what is not a finite number unknown, copies the metrics, and refuses what cannot be."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
                object.__setattr__(self, item.name, None)
            elif isinstance(value, float) and abs(value) < 1 / LARGEST and item.name not in MIN_VALUES:
                object.__setattr__(self, item.name, 0.0)
            elif value is not None and (item.name in MIN_VALUES or item.type == "int | None"):
                least = MIN_VALUES.get(item.name, 0)
                if value < least:
                    msg = f"Expected `{item.name}` of at least {least}. Received: {item.name}={value!r}."
                    raise InvalidCurveError(msg)
        metrics = {name: value for name, value in self.start_metrics.items() if abs(value) <= LARGEST}
        object.__setattr__(self, "start_metrics", metrics)
        object.__setattr__(self, "feeding", _checked_feeding(self.feeding))

    def to_dict(self) -> dict[str, Any]:
        """Returns the known fields only, as plain Python values."""
        known = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        feeding = dict(self.feeding)
        if "class_weight" in feeding:
            feeding["class_weight"] = {str(label): weight for label, weight in feeding["class_weight"].items()}
        plain = {**known, "start_metrics": dict(self.start_metrics), "feeding": feeding}
        return {key: value for key, value in plain.items() if value not in (None, (), {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScanContext:
        """Rebuilds what `to_dict` returned.

        Raises:
            InvalidCurveError: If `data` holds a field that this version does not know, or a value of another type.
        """
        data = checked_object(data)
        unknown = sorted(set(map(str, data)) - {item.name for item in dataclasses.fields(cls)})
        if unknown:
            msg = f"Expected only fields of `ScanContext`. Received: {unknown}. The file may come from a newer version."
            raise InvalidCurveError(msg)
        return decode(cls, data, again="Leave the field out if it is not known.")


def _checked_feeding(feeding: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of `fit` with classes as numbers; JSON knows only names."""
    for name, value in feeding.items():
        if not isinstance(value, FEEDING.get(name, ())):
            msg = f"Expected `feeding` of {', '.join(FEEDING)}, as for `fit`. Received: {name}={value!r:.80}."
            raise InvalidCurveError(msg)
    checked = dict(feeding)
    if "class_weight" in checked:
        try:
            checked["class_weight"] = {int(label): float(weight) for label, weight in feeding["class_weight"].items()}
        except (TypeError, ValueError) as error:
            msg = f"Expected `class_weight` from classes to numbers. Received: {feeding['class_weight']!r:.80}."
            raise InvalidCurveError(msg) from error
    return checked


CONTEXT_MEASURES: Mapping[str, Measure] = MappingProxyType(measures_of(ScanContext))
"""Field of the context that a rule may test → how it is named and printed."""


def chance_loss(context: ScanContext) -> float | None:
    """Returns the loss of guessing, in the loss's unit, or `None` where the context does not tell it.

    A stated `chance_loss` is taken as it is. For a cross-entropy over K classes it is ``ln K``, the loss of the uniform
    prediction.

    Example:
    >>> from keras_lrscan import ScanContext
    >>> context = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10)
    >>> round(chance_loss(context), 3)
    2.303
    """
    return uniform_loss(context) if context.chance_loss is None else context.chance_loss


def uniform_loss(context: ScanContext) -> float | None:
    """Returns the cross-entropy of the uniform prediction, near which fresh classifiers start; `None` for other losses.

    Where some classes are rarer than others, it is above the loss of guessing by their frequencies.
    """
    if context.num_classes is None or not (context.loss_name or "").endswith("categorical_crossentropy"):
        binary = context.loss_name == "binary_crossentropy"
        return math.log(2) if binary else None
    return math.log(context.num_classes)


def is_classifier(context: ScanContext) -> bool:
    """Returns whether the model chooses among classes; a loss of an unknown kind counts as one that does."""
    return context.num_classes is not None or context.loss_name is None or "entropy" in context.loss_name
