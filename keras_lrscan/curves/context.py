"""Describes the model, the data and the run of a recorded scan: `ScanContext`.

Each field that a rule may test has its printed name next to its definition.
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
    "EPOCH",
    "FAR",
    "FLOAT16_POLICIES",
    "KTRAIN",
    "SIXTEEN_BIT_POLICIES",
    "OutputStart",
    "ScanContext",
    "chance_loss",
    "has_far_targets",
    "is_classifier",
    "target_reach",
    "uniform_loss",
    "with_epoch_means",
    "with_notes",
]

ARRAYS_SEEN, BATCHES_SEEN = "arrays", "first batches"
"""Inspected parts of the data: all arrays, in the user's order, or the first batches, in the order of training."""

KTRAIN = "ktrain"
"""Name of ktrain in `framework`, for models that are trained by a learner of ktrain."""

FAR = 8.0
"""Distance of a target from the mean, in standard deviations, from which a few targets dominate the loss.

In the 75 regressions of `benchmarks/causes`, the furthest is 3.8 to 6 away; with a hundredth of outliers 300 times as
wide as the rest, 13 to 25.
"""

NO_MEANS = ("sum", "none")
"""Reductions of the sample losses that are no mean."""

EPOCH = "epoch"
"""Value of `averaged_over` for records with one point per epoch."""

FLOAT16_POLICIES = ("mixed_float16", "float16")
"""Dtype policies that overflow beyond 65504, the largest float16 number."""

SIXTEEN_BIT_POLICIES = (*FLOAT16_POLICIES, "mixed_bfloat16", "bfloat16")
"""Dtype policies that compute with 16 bits. bfloat16 has the range of float32."""

MIN_VALUES: Mapping[str, float] = MappingProxyType({"start_lr": 1 / LARGEST, "end_lr": 1 / LARGEST, "num_classes": 1})
"""Field → its smallest valid value; other integers must be at least 0."""

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
"""Arguments of `fit` that determine its batches → their types."""

COUNT = "{:,d}"
SHARE = "{:.0%}"


@dataclass(frozen=True, kw_only=True)
class OutputStart:
    """Describes the start of one output of a model with several losses.

    All losses are those that Keras logs as `<name>_loss`: without the loss weight, and without penalties. Unknown
    fields are `None`, and numbers that are not finite or beyond ±1e100 count as unknown.

    Attributes:
        name: Name of the output.
        chance_loss: Chance level: the loss of the best constant prediction.
        uniform_loss: Cross-entropy of the uniform prediction, near which fresh classifiers start; for classifiers only.
        start_loss: Mean loss over the first batches.
    """

    name: str
    chance_loss: float | None = None
    uniform_loss: float | None = None
    start_loss: float | None = None

    def __post_init__(self) -> None:
        """Treats non-finite numbers as unknown."""
        for name in ("chance_loss", "uniform_loss", "start_loss"):
            value = getattr(self, name)
            if value is not None and not abs(value) <= LARGEST:
                object.__setattr__(self, name, None)


@dataclass(frozen=True, kw_only=True)
class ScanContext:
    """Describes the model, the data and the run of a scan. Unknown fields are `None`; nothing is guessed.

    A number that is not finite or beyond ±1e100 counts as unknown, and a number below 1e-100 in size as zero. An
    impossible number, such as a negative number of samples, raises an `InvalidCurveError`.

    Attributes:
        start_lr: First learning rate of the planned ramp.
        end_lr: Last learning rate of the planned ramp.
        num_steps: Planned number of optimizer updates.
        ramp: How the learning rate rises: `"exponential"`, by equal factors, or `"linear"`, by equal amounts.
        batch_size: Samples per batch.
        steps_per_epoch: Batches per epoch of the scanned `fit`.
        framework: Name and version of Keras, such as `"keras 3.15.1"` or `"tf_keras 2.21.0"`; for a learner of ktrain,
            `"tf_keras 2.21.0, ktrain"`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        optimizer: Class name of the optimizer, such as `"Adam"`.
        optimizer_path: Path of the optimizer, such as `"model.d_optimizer"`, for models that train with several; `None`
            for the one that the model was compiled with.
        num_other_optimizers: Number of further optimizers of the model, which train at rates of their own.
        momentum: Momentum of the optimizer, if it has such a setting.
        optimizer_lr: Learning rate of the optimizer before the scan; `None` under a schedule.
        optimizer_iterations: Updates that the optimizer made before the scan; 0 for a fresh optimizer.
        weight_decay: Decoupled weight decay of the optimizer, if set.
        clipnorm: Norm to which the gradient of each variable is clipped, if set.
        global_clipnorm: Norm to which the gradients of all variables together are clipped, if set.
        clipvalue: Size to which each entry of a gradient is clipped, if set.
        gradient_accumulation_steps: Batches per update, if set.
        loss_name: Keras's name of the loss, such as `"sparse_categorical_crossentropy"`.
        loss_reduction: Reduction of the sample losses to one loss, such as `"sum_over_batch_size"` (a mean) or `"sum"`.
        loss_adds_up: Items that the loss sums over, `"samples"` or `"outputs"`; `"nothing"` for a mean.
        from_logits: Whether the loss expects logits; cross-entropies only.
        output_activation: Activation of the last layer, such as `"softmax"` or `"linear"`.
        squashed_twice: Whether two softmaxes or sigmoids follow each other without trainable weights in between.
        num_outputs: Numbers that the model predicts per sample.
        num_classes: Number of classes of a classifier.
        perfect_loss: Loss of correct and nearly certain predictions, given as probabilities; classification only.
        chance_loss: Chance level: the loss of the best constant prediction, in the unit of the loss.
        chance_source: Source of the chance level, such as `"label frequencies"`.
        output_loss_ratio: Ratio of the largest to the smallest weighted loss of an output at the chance level; for
            several outputs.
        outputs: Start of each output that counts in the total loss, if there are several and their chance levels are
            known.
        regularization_loss: Regularization in the first loss, in the unit of the loss.
        has_activity_penalty: Whether a layer adds a penalty on its outputs to the recorded loss;
            `regularization_loss` does not include it.
        metric_names: Names of the compiled metrics, without the loss.
        start_metrics: Metric → its value on the first batch.
        num_samples: Samples in the data passed to `fit`.
        shuffled: Whether `fit` shuffles the data.
        order_repeats: Whether every epoch has the same batches in the same order: arrays that are not shuffled, or that
            Keras on TensorFlow shuffles in the same way in every epoch because a seed is set.
        feeding: Arguments of `fit` that determine its batches, as passed by the user: `batch_size`, `class_weight`,
            `shuffle`, `steps_per_epoch` and `validation_split`; `sample_weight` only records that weights were passed.
            Experiments on an analysis of this scan form their batches in the same way.
        data_seen: Source of the following facts: `"arrays"`, or the `"first batches"` in their order.
        num_looked_at: Samples that were compared with each other.
        num_distinct_inputs: Number of distinct inputs among the compared samples.
        contradicting_share: Share of the compared samples that repeat an earlier input with a different target.
        input_low: Smallest number in the inputs; only for measurements, not for numbers such as word indices.
        input_high: Largest number in the inputs.
        input_mean: Mean of the inputs.
        input_std: Standard deviation of the inputs.
        input_spread_ratio: Ratio of the largest to the smallest standard deviation of the non-constant input columns.
        nonfinite_inputs: Share of samples with NaN or infinite values in their inputs.
        nonfinite_targets: Share of samples with NaN or infinite values in their targets.
        target_low: Smallest target; regression only.
        target_high: Largest target; regression only.
        target_mean: Mean of the targets; regression only.
        target_std: Standard deviation of the targets; regression only.
        majority_share: Share of the most frequent label; classification only.
        multi_label_share: Share of samples that do not have exactly one label, if a sample can have several.
        bad_labels: Share of labels outside the model's classes; classification only.
        labels_follow_inputs: Whether simple models predict the real labels from the inputs better than shuffled labels.
        suspect_labels: Share of the compared samples whose nearest neighbors agree on another label, without those of
            classes that overlap; classification only.
        label_runs: Degree to which the data are sorted by label or target, from 0 (random order) to 1 (fully sorted).
        zero_weight_share: Share of samples with zero weight in the loss.
        mean_weight: Mean of the sample weights, if some were passed.
        num_layers: Layers with weights, including nested layers.
        num_frozen_layers: Layers with weights that are not trainable.
        num_used_layers: Layers with signs of earlier training in their weights, such as a nonzero bias.
        head_is_fresh: Whether the last layer with weights is as initialized while layers below it were trained before.
        head_is_untrained: Whether the last layer with weights is as initialized, regardless of the other layers.
        body_is_frozen: Whether all layers that train are as initialized, on top of layers that do not train.
        backbone: Name of the known pretrained architecture in the model.
        num_normalization_layers: Normalization layers, such as batch or layer normalization.
        num_dropout_layers: Layers that randomly drop or perturb values during training.
        num_trainable_params: Number of trainable scalars.
        num_frozen_params: Number of scalars in non-trainable weights.
        precision: Name of the dtype policy, such as `"float32"` or `"mixed_float16"`.
        weight_change: Norm of the change of all trainable weights over the scan, relative to the norm of the weights.
        still_share: Share of the trainable scalars that no update of the scan changed.
        layer_change_ratio: Ratio of the relative change of the least changed kernel to that of the most changed kernel.
        averaged_over: `"epoch"` if each loss is the mean of one epoch at one learning rate, which has no lag; `None`
            for single batches and for other averages.
        averaging: Average that another tool stored in place of the batch losses; `None` for losses of single batches.
        undone_averaging: Average that another tool stored and that was undone.
        from_picture: Whether the numbers were read from a picture of a plot, which shows no noise of single batches.
        notes: Sentences about the limits of this recording, for the readers of a report.
    """

    start_lr: float | None = measured("first planned learning rate", RATE)
    end_lr: float | None = measured("last planned learning rate", RATE)
    num_steps: int | None = measured("planned updates", COUNT)
    ramp: str | None = measured("ramp of the learning rate", "{}")
    batch_size: int | None = measured("samples per batch", COUNT)
    steps_per_epoch: int | None = measured("batches per epoch", COUNT)
    framework: str | None = None
    backend: str | None = measured("backend", "{}")
    optimizer: str | None = measured("optimizer", "{}")
    optimizer_path: str | None = None
    num_other_optimizers: int | None = measured("optimizers with a rate of their own", COUNT)
    momentum: float | None = measured("momentum")
    optimizer_lr: float | None = measured("the optimizer's own learning rate", RATE)
    optimizer_iterations: int | None = measured("updates before the scan", COUNT)
    weight_decay: float | None = measured("weight decay")
    clipnorm: float | None = measured("norm to which each gradient is clipped")
    global_clipnorm: float | None = measured("norm to which all gradients together are clipped")
    clipvalue: float | None = measured("size to which gradient entries are clipped")
    gradient_accumulation_steps: int | None = measured("batches per update", COUNT)
    loss_name: str | None = measured("loss", "{}")
    loss_reduction: str | None = measured("reduction of the sample losses", "{}")
    loss_adds_up: str | None = measured("items summed by the loss", "{}")
    from_logits: bool | None = measured("logits expected by the loss", "{}")
    output_activation: str | None = measured("activation of the last layer", "{}")
    squashed_twice: bool | None = measured("two softmaxes or sigmoids in a row", "{}")
    num_outputs: int | None = measured("numbers predicted per sample", COUNT)
    num_classes: int | None = measured("number of classes", COUNT)
    perfect_loss: float | None = measured("loss of correct, nearly certain predictions", LOSS)
    chance_loss: float | None = measured("chance level", LOSS)
    chance_source: str | None = None
    output_loss_ratio: float | None = measured(
        "ratio of the largest to the smallest weighted loss of an output", "{:,.0f}"
    )
    outputs: tuple[OutputStart, ...] = ()
    regularization_loss: float | None = measured("regularization in the first loss", LOSS)
    has_activity_penalty: bool | None = measured("penalty on the outputs of a layer", "{}")
    metric_names: tuple[str, ...] = ()
    start_metrics: Mapping[str, float] = field(default_factory=dict)
    num_samples: int | None = measured("number of samples", COUNT)
    shuffled: bool | None = measured("shuffled data", "{}")
    order_repeats: bool | None = measured("same batches in every epoch", "{}")
    feeding: Mapping[str, Any] = field(default_factory=dict)
    data_seen: str | None = measured("inspected part of the data", "{}")
    num_looked_at: int | None = measured("samples compared with each other", COUNT)
    num_distinct_inputs: int | None = measured("distinct inputs among the compared samples", COUNT)
    contradicting_share: float | None = measured(
        "share of compared samples that repeat an input with a different target", SHARE
    )
    input_low: float | None = measured("smallest input", "{:.3g}")
    input_high: float | None = measured("largest input", "{:.3g}")
    input_mean: float | None = measured("mean of the inputs", "{:.3g}")
    input_std: float | None = measured("standard deviation of the inputs", "{:.3g}")
    input_spread_ratio: float | None = measured(
        "ratio of the largest to the smallest standard deviation of an input column", "{:.3g}"
    )
    nonfinite_inputs: float | None = measured("share of samples with NaN or infinite inputs", "{:.2%}")
    nonfinite_targets: float | None = measured("share of samples with NaN or infinite targets", "{:.2%}")
    target_low: float | None = measured("smallest target", "{:.3g}")
    target_high: float | None = measured("largest target", "{:.3g}")
    target_mean: float | None = measured("mean of the targets", "{:.3g}")
    target_std: float | None = measured("standard deviation of the targets", "{:.3g}")
    majority_share: float | None = measured("share of the most frequent label", SHARE)
    multi_label_share: float | None = measured("share of samples without exactly one label", SHARE)
    bad_labels: float | None = measured("share of labels outside the model's classes", "{:.2%}")
    labels_follow_inputs: bool | None = measured("labels predictable from the inputs by simple models", "{}")
    suspect_labels: float | None = measured(
        "share of labels that contradict those of similar samples, overlapping classes aside", "{:.1%}"
    )
    label_runs: float | None = measured("degree of sorting by label, from 0 to 1")
    zero_weight_share: float | None = measured("share of samples with zero weight", "{:.1%}")
    mean_weight: float | None = measured("mean sample weight", "{:.3g}")
    num_layers: int | None = measured("layers with weights", COUNT)
    num_frozen_layers: int | None = measured("frozen layers", COUNT)
    num_used_layers: int | None = measured("previously trained layers", COUNT)
    head_is_fresh: bool | None = measured("untrained last layer on trained layers", "{}")
    head_is_untrained: bool | None = measured("untrained last layer", "{}")
    body_is_frozen: bool | None = measured("untrained layers on frozen layers", "{}")
    backbone: str | None = measured("known pretrained architecture", "{}")
    num_normalization_layers: int | None = measured("normalization layers", COUNT)
    num_dropout_layers: int | None = measured("dropout layers", COUNT)
    num_trainable_params: int | None = measured("trainable parameters", COUNT)
    num_frozen_params: int | None = measured("frozen parameters", COUNT)
    precision: str | None = measured("precision", "{}")
    weight_change: float | None = measured("relative change of the weights over the scan")
    still_share: float | None = measured("share of trainable weights that never changed", "{:.1%}")
    layer_change_ratio: float | None = measured(
        "ratio of the smallest to the largest relative change of a layer", "{:.1g}"
    )
    averaged_over: str | None = measured("batches averaged in each point", "{}")
    averaging: str | None = measured("average stored in place of the batch losses", "{}")
    undone_averaging: str | None = measured("undone average", "{}")
    from_picture: bool | None = measured("numbers read from a picture", "{}")
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Treats non-finite numbers as unknown, refuses impossible numbers, and copies the metrics."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
                object.__setattr__(self, item.name, None)
            elif isinstance(value, float) and abs(value) < 1 / LARGEST and item.name not in MIN_VALUES:
                object.__setattr__(self, item.name, 0.0)
            elif value is not None and (item.name in MIN_VALUES or item.type == "int | None"):
                least = MIN_VALUES.get(item.name, 0)
                if value < least:
                    msg = f"Expected `{item.name}` to be at least {least}. Received: {item.name}={value!r}."
                    raise InvalidCurveError(msg)
        metrics = {name: value for name, value in self.start_metrics.items() if abs(value) <= LARGEST}
        object.__setattr__(self, "start_metrics", metrics)
        object.__setattr__(self, "feeding", _checked_feeding(self.feeding))

    @property
    def batches_per_update(self) -> int:
        """Batches whose gradients make up one update; 1 unless gradients are accumulated."""
        return self.gradient_accumulation_steps or 1

    @property
    def unit(self) -> str:
        """What the loss of a point is of: `"batch"`, `"epoch"`, or such as `"4 batches"` that make up one update."""
        accumulated = self.batches_per_update
        return self.averaged_over or ("batch" if accumulated == 1 else f"{accumulated} batches")

    @property
    def updates_per_epoch(self) -> float | None:
        """Updates per epoch of the scanned `fit`: the batches, or fewer if gradients are accumulated."""
        batches = self.steps_per_epoch
        return None if batches is None else batches / self.batches_per_update

    def completed(self, other: ScanContext | None) -> ScanContext:
        """Returns the context with the fields of `other` where its own are `None`."""
        names = [] if other is None else [item.name for item in dataclasses.fields(self)]
        missing = {name: getattr(other, name) for name in names if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)

    def to_dict(self) -> dict[str, Any]:
        """Returns the known fields as plain Python values."""
        known = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        feeding = dict(self.feeding)
        if "class_weight" in feeding:
            feeding["class_weight"] = {str(label): weight for label, weight in feeding["class_weight"].items()}
        outputs = [_known(dataclasses.asdict(output)) for output in self.outputs]
        plain = {**known, "start_metrics": dict(self.start_metrics), "feeding": feeding, "outputs": outputs}
        return _known(plain)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ScanContext:
        """Rebuilds a context from the result of `to_dict`.

        Raises:
            InvalidCurveError: If `data` contains an unknown field or a value of the wrong type.
        """
        data = checked_object(data)
        unknown = sorted(set(map(str, data)) - {item.name for item in dataclasses.fields(cls)})
        if unknown:
            known = "Expected only fields of `ScanContext`."
            msg = f"{known} Received: {unknown}. A newer version may have written the file."
            raise InvalidCurveError(msg)
        return decode(cls, data, again="Omit the field if its value is unknown.")


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, (), [], {})}


def _checked_feeding(feeding: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of `fit` after checking their types, with classes as integers again (JSON keys are strings)."""
    for name, value in feeding.items():
        if not isinstance(value, FEEDING.get(name, ())):
            known = f"Expected `feeding` to contain only {', '.join(FEEDING)}, with values as for `fit`."
            msg = f"{known} Received: {name}={value!r:.80}."
            raise InvalidCurveError(msg)
    checked = dict(feeding)
    if "class_weight" in checked:
        try:
            checked["class_weight"] = {int(label): float(weight) for label, weight in feeding["class_weight"].items()}
        except (TypeError, ValueError) as error:
            msg = f"Expected `class_weight` to map classes to numbers. Received: {feeding['class_weight']!r:.80}."
            raise InvalidCurveError(msg) from error
    return checked


CONTEXT_MEASURES: Mapping[str, Measure] = MappingProxyType(measures_of(ScanContext))
"""Field of the context that a rule may test → its printed name and format."""


def with_notes(context: ScanContext | None, *notes: str) -> ScanContext:
    """Returns the context with more notes."""
    known = context or ScanContext()
    return dataclasses.replace(known, notes=(*known.notes, *notes))


def with_epoch_means(context: ScanContext) -> ScanContext:
    """Returns the context for a record with the mean loss of one epoch at each learning rate."""
    note = "Each loss is the mean over one epoch at one learning rate, and training continued from epoch to epoch."
    return dataclasses.replace(with_notes(context, note), averaged_over=EPOCH)


def chance_loss(context: ScanContext) -> float | None:
    """Returns the chance level in the unit of the loss, or `None` if it is unknown.

    A `chance_loss` in the context has priority. Without one, the chance level of a cross-entropy over K classes is
    ``ln K``, the loss of the uniform prediction. If all labels are the same, the best constant prediction is right, so
    there is no such level.

    Example:
    >>> from keras_lrscan import ScanContext
    >>> context = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10)
    >>> round(chance_loss(context), 3)
    2.303
    """
    if context.chance_loss is None:
        return None if context.majority_share == 1.0 else uniform_loss(context)
    return context.chance_loss


def uniform_loss(context: ScanContext) -> float | None:
    """Returns the cross-entropy of the uniform prediction, near which fresh classifiers start; `None` for other losses.

    If some classes are rarer than others, it is above the chance level, which takes their frequencies into account. It
    is unknown for a loss that is no mean over the samples.
    """
    if context.loss_reduction in NO_MEANS:
        return None
    if context.num_classes is None or not (context.loss_name or "").endswith("categorical_crossentropy"):
        binary = context.loss_name == "binary_crossentropy"
        return math.log(2) if binary else None
    return math.log(context.num_classes)


def target_reach(context: ScanContext) -> float | None:
    """Returns how many standard deviations the furthest target lies away from the mean, or `None` if unknown.

    Example:
    >>> target_reach(ScanContext(target_low=-1.0, target_high=40.0, target_mean=0.0, target_std=2.0))
    20.0
    """
    low, high, mean, std = context.target_low, context.target_high, context.target_mean, context.target_std
    if low is None or high is None or mean is None or not std:
        return None
    return max(mean - low, high - mean) / std


def has_far_targets(context: ScanContext) -> bool:
    """Returns whether a few targets are known to lie so far from the rest that they dominate the loss."""
    reach = target_reach(context)
    return reach is not None and reach >= FAR


def is_classifier(context: ScanContext) -> bool:
    """Returns whether the model chooses among classes; an unknown loss counts as the loss of a classifier."""
    return context.num_classes is not None or context.loss_name is None or "entropy" in context.loss_name
