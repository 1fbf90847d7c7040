"""Collects the facts that rules may test, and defines the conditions that test them.

Facts are the features of the curve, the fields of the context, and values derived from both.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan.curves.context import ARRAYS_SEEN, BATCHES_SEEN, CONTEXT_MEASURES, target_reach
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.curves.loss_names import UNLIMITED_LOSSES, WITH_LOGARITHM
from keras_lrscan.curves.optimizer_families import optimizer_family, rate_limit
from keras_lrscan.formatting import RATIO, Measure, measured, measures_of
from keras_lrscan.reading.features import EXPLODED, WITHOUT_FLOOR, CurveFeatures, Reference
from keras_lrscan.reading.start_state import is_untrained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keras_lrscan.curves.context import ScanContext

__all__ = [
    "ALL_NUMBERS",
    "CALM_START",
    "EXPLODES",
    "FALLS",
    "HAS_REFERENCE",
    "IN_ORDER",
    "MANY_PASSES",
    "MEASURES",
    "NO_FALL",
    "NO_FLOOR",
    "NO_RISE",
    "POSITIVE_NUMBERS",
    "RISES",
    "UNKNOWN_DOMAIN",
    "USUAL_STEPS",
    "Condition",
    "facts",
    "is_false",
    "is_true",
]

ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
"""Names of the metrics that measure accuracy."""

FEW_DIFFERENT = 0.7
"""Share of distinct inputs among the compared samples up to which the data contain copies.

It is 0.79 or more in all data sets of `benchmarks/causes` without copies.
"""

IN_ORDER = 0.3
"""Value of `label_runs` from which a few hundred consecutive samples are not in random order."""

ALL_NUMBERS, POSITIVE_NUMBERS, UNKNOWN_DOMAIN = "all numbers", "positive numbers", "unknown"
"""Predictions for which a loss is defined; those of a loss that is not one of Keras's are unknown."""

LEARNS = 0.85
"""Share of the chance level below which the loss must fall to show that the model learns."""

SEVERAL = 0.05
"""Share of samples without exactly one label from which labels do not exclude each other; below, they may be wrong."""

BEATS = 0.8
"""Share of the loss of correct predictions below which the lowest loss refutes that those cost so much."""

USUAL_STEPS = 100
"""Number of steps of a scan by default."""

STUCK = 3e-5
"""Ratio of the least to the most changed layer below which the least changed layer is stuck.

It is 3e-6 in the stack of ten sigmoids of `benchmarks/causes`, and 2e-3 or more in fits in which all layers learn.
"""

OF_REFERENCE = "as a share of the reference loss"
OF_RANGE = "in units of the fall, or of the range of the losses without a fall"
"""Words that replace these for a loss without a reference."""

OPERATORS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = MappingProxyType(
    {
        ">": (operator.gt, "above"),
        ">=": (operator.ge, "at least"),
        "<": (operator.lt, "below"),
        "<=": (operator.le, "at most"),
        "==": (operator.eq, "exactly"),
        "!=": (operator.ne, "not"),
        "in": (lambda value, options: value in options, "one of"),
    }
)
"""Operator → (function, words in rules)."""


@dataclass(frozen=True)
class Condition:
    """Tests one feature against a threshold; an unknown feature never passes.

    Attributes:
        feature: A key of `MEASURES`.
        op: A key of `OPERATORS`.
        threshold: Value that the feature is compared with, or a tuple of values for `in`.

    Example:
    >>> condition = Condition("fall", ">=", 0.12)
    >>> condition.holds({"fall": 0.83})
    True
    >>> condition.evidence({"fall": 0.83})
    'fall to the first minimum, as a share of the reference loss: 83% (rule: at least 12%)'
    """

    feature: str
    op: str
    threshold: float | str | tuple[str, ...]

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Returns whether the feature is known and passes the test."""
        value = facts[self.feature]
        return value is not None and OPERATORS[self.op][0](value, self.threshold)

    def evidence(self, facts: Mapping[str, Any]) -> str:
        """Returns the feature, its value and the rule in words."""
        value, measure = facts[self.feature], MEASURES[self.feature]
        if facts.get("reference") == Reference.NONE and OF_REFERENCE in measure.words:
            measure = Measure(words=measure.words.replace(OF_REFERENCE, OF_RANGE), form=RATIO)
        seen = "unknown" if value is None else measure.show(value)
        return f"{measure.words}: {seen} (rule: {self._rule(measure)})"

    def __str__(self) -> str:
        """Returns the rule in words, without a value."""
        return self._rule(MEASURES[self.feature])

    def _rule(self, measure: Measure) -> str:
        if (self.op, self.threshold) == ("!=", ""):
            return "known"
        options = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,)
        return f"{OPERATORS[self.op][1]} {', '.join(measure.show(option) for option in options)}"


def is_true(feature: str) -> Condition:
    """Returns the condition that a feature is known and true.

    Example:
    >>> is_true("learns").holds({"learns": True}), is_true("learns").holds({"learns": None})
    (True, False)
    """
    return Condition(feature, "==", threshold=True)


def is_false(feature: str) -> Condition:
    """Returns the condition that a feature is known and false.

    Example:
    >>> is_false("learns").holds({"learns": False}), is_false("learns").holds({"learns": None})
    (True, False)
    """
    return Condition(feature, "==", threshold=False)


EXPLODES = Condition("early_explosion", ">=", EXPLODED)
FALLS = Condition("fall", ">", 0)
NO_FALL = Condition("fall", "==", 0)
RISES = Condition("rise", ">", 0)
NO_RISE = Condition("rise", "==", 0)
NO_FLOOR = Condition("depth_below_zero", ">=", WITHOUT_FLOOR)
MANY_PASSES = Condition("epochs_over_data", ">=", 8.0)
CALM_START = Condition("early_explosion", "<", EXPLODED)
HAS_REFERENCE = Condition("reference", "!=", Reference.NONE)


def facts(features: CurveFeatures, context: ScanContext, *, shape: str | None = None) -> Mapping[str, Any]:
    """Returns all facts that a rule may test, by name.

    Args:
        features: Features of the curve.
        context: Known facts about the run.
        shape: Shape of the curve, if already known; it is more reliable than any single feature.
    """
    of_curve = {item.name: getattr(features, item.name) for item in dataclasses.fields(features)}
    of_run = {name: getattr(context, name) for name in CONTEXT_MEASURES}
    return of_run | of_curve | dataclasses.asdict(_derive(features, context, shape))


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Holds the facts that are derived from features and context."""

    epochs_over_data: float | None = measured("passes of the scan over the data", "{:.1f}")
    start_accuracy: float | None = measured("accuracy on the first batch", "{:.0%}")
    input_size: float | None = measured("largest absolute input", "{:.3g}")
    target_size: float | None = measured("largest absolute target", "{:.3g}")
    target_reach: float | None = measured(
        "distance of the furthest target from the mean, in standard deviations", "{:.0f}"
    )
    trainable_share: float | None = measured("share of trainable parameters", "{:.2%}")
    planned_decades: float | None = measured("decades from the first to the last planned learning rate", "{:.1f}")
    clip: float | None = measured("smallest size to which gradients are clipped", "{:.3g}")
    fall_in_words: str | None = measured("fall to the first minimum", "{}")
    perfect_ratio: float | None = measured("ratio of the loss of correct predictions to the chance level", "{:.0%}")
    has_shared_softmax: bool = measured("softmax for labels that do not exclude each other", "{}", default=False)
    has_class_weight: bool = measured("class weights", "{}", default=False)
    beats_perfect: bool | None = measured("lowest loss below that of correct predictions", "{}")
    is_untrained: bool | None = measured("model known to be untrained", "{}")
    has_one_label: bool | None = measured("the same label for all samples", "{}")
    has_lone_softmax: bool | None = measured("softmax over a single unit", "{}")
    ends_at_limit: bool | None = measured("last rate that is the largest the optimizer takes", "{}")
    epochs_for_scan: int | None = measured("epochs for a scan of 100 steps", "{:,d}")
    is_trained: bool | None = measured("signs of earlier training in all layers", "{}")
    has_new_head: bool | None = measured("untrained last layer on trained or frozen layers", "{}")
    trains_head_only: bool | None = measured("training of untrained layers only, on frozen layers", "{}")
    was_trained: bool | None = measured("earlier training of the whole model", "{}")
    has_single_valley: bool | None = measured("training of a single layer without hidden ones", "{}")
    learns: bool | None = measured("fall of the loss to well below the chance level", "{}")
    first_batches_alike: bool | None = measured("same label in all first batches", "{}")
    well_shuffled: bool | None = measured("well shuffled data", "{}")
    num_different: int | None = measured("number of distinct samples", "{:,d}")
    data_are_finite: bool | None = measured("data known to be finite, without invalid labels", "{}")
    loss_domain: str | None = measured("predictions for which the loss is defined", "{}")
    has_stuck_layer: bool | None = measured("layer with almost no change compared with the others", "{}")
    is_foreign: bool | None = measured("record without facts about its run", "{}")
    shape: str | None = measured("shape of the curve", "{}")
    drawn_average: str | None = measured("average stored by the other tool", "{}")


MEASURES: Mapping[str, Measure] = MappingProxyType(
    dict(CONTEXT_MEASURES) | measures_of(CurveFeatures) | measures_of(Derived)
)
"""Name of a fact → its printed name and format."""


def _derive(features: CurveFeatures, context: ScanContext, shape: str | None) -> Derived:
    seen = None if context.batch_size is None else features.num_points * context.batch_size
    samples = _num_different(context)
    params, share = None, context.majority_share
    if context.num_trainable_params is not None and context.num_frozen_params is not None:
        params = context.num_trainable_params + context.num_frozen_params
    recovers = features.early_explosion >= EXPLODED  # the fall then begins far above the first loss
    lowest = None if recovers else features.lowest_ratio
    clips = (context.clipnorm, context.global_clipnorm, context.clipvalue)
    fresh = None if context.optimizer_iterations is None else _head_is_untrained(context)
    return Derived(
        epochs_over_data=seen / samples if seen is not None and samples else None,
        start_accuracy=next((value for name, value in context.start_metrics.items() if name in ACCURACIES), None),
        input_size=_largest(context.input_low, context.input_high),
        target_size=_largest(context.target_low, context.target_high),
        target_reach=target_reach(context),
        trainable_share=(context.num_trainable_params or 0) / params if params else None,
        planned_decades=_planned_decades(features, context),
        clip=min((size for size in clips if size is not None), default=None),
        fall_in_words=_fall_in_words(features),
        perfect_ratio=_ratio(context.perfect_loss, context.chance_loss),
        has_shared_softmax=_has_shared_softmax(context),
        has_class_weight="class_weight" in (context.feeding or {}),
        beats_perfect=_beats_perfect(features, context),
        is_untrained=is_untrained(context),
        has_one_label=(share == 1.0 or context.target_std == 0.0) and context.data_seen != BATCHES_SEEN,
        has_lone_softmax=context.output_activation == "softmax" and context.num_outputs == 1,
        ends_at_limit=_ends_at_limit(context),
        epochs_for_scan=math.ceil(USUAL_STEPS / context.updates_per_epoch) if context.updates_per_epoch else None,
        is_trained=None if fresh is None else not fresh and bool(context.num_used_layers),
        has_new_head=_has_new_head(context),
        trains_head_only=_trains_head_only(context),
        was_trained=None
        if fresh is None
        else not fresh and bool(context.num_used_layers or context.optimizer_iterations),
        learns=None if lowest is None else lowest < LEARNS and context.labels_follow_inputs is not False,
        first_batches_alike=share == 1.0 if context.data_seen == BATCHES_SEEN and share is not None else None,
        well_shuffled=_well_shuffled(context),
        num_different=samples,
        has_single_valley=_has_single_valley(context),
        data_are_finite=_data_are_finite(features, context),
        loss_domain=_loss_domain(context),
        has_stuck_layer=_has_stuck_layer(context),
        is_foreign=not any(
            (
                context.framework,
                context.loss_name,
                context.averaged_over,
                context.averaging,
                context.undone_averaging,
                context.from_picture,
            )
        ),
        shape=shape,
        drawn_average=context.averaging or context.undone_averaging,
    )


def _has_shared_softmax(context: ScanContext) -> bool:
    """Returns whether a softmax, of the last layer or in the loss, is to give labels that do not exclude each other."""
    is_softmax = context.output_activation == "softmax" or (context.loss_name or "").startswith("categorical")
    return is_softmax and (context.multi_label_share or 0.0) >= SEVERAL


def _beats_perfect(features: CurveFeatures, context: ScanContext) -> bool | None:
    """Returns whether the lowest loss is well below that of correct predictions, as if the loss used the scores."""
    lowest, perfect = features.lowest_ratio, _ratio(context.perfect_loss, context.chance_loss)
    return None if lowest is None or perfect is None else lowest < BEATS * perfect


def _ends_at_limit(context: ScanContext) -> bool:
    """Returns whether the optimizer limits the rate to one over the root of the number of updates, the last rate."""
    if not optimizer_family(context.optimizer).caps_rate_if or not context.end_lr or not context.num_steps:
        return False
    updates = context.num_steps + (context.optimizer_iterations or 0)
    return math.isclose(context.end_lr, rate_limit(updates), rel_tol=1e-6)


def _planned_decades(features: CurveFeatures, context: ScanContext) -> float | None:
    """Returns the decades of the planned range, or else of the recorded one if nothing has cut it short."""
    if context.start_lr and context.end_lr:
        return math.log10(context.end_lr / context.start_lr)
    is_whole = features.stop == StopReason.UNKNOWN and features.rise == 0 and features.finite_share in {None, 1.0}
    return features.decades if is_whole else None


def _fall_in_words(features: CurveFeatures) -> str | None:
    """Returns the fall as a share of the reference loss, or else as a multiple of the noise."""
    if features.fall <= 0:
        return None
    if features.reference != Reference.NONE:
        return MEASURES["fall"].show(features.fall)
    noise = features.fall_in_noise
    return "far more than the noise" if noise is None else f"{MEASURES['fall_in_noise'].show(noise)} times the noise"


def _head_is_untrained(context: ScanContext) -> bool | None:
    """Returns whether neither the optimizer nor the last layer was used before; `None` if unknown for the layer."""
    if context.optimizer_iterations:
        return False
    return context.head_is_untrained


def _has_new_head(context: ScanContext) -> bool | None:
    """Returns whether the last layer is as initialized while other layers were trained before or are frozen."""
    frozen, layers = context.num_frozen_layers, context.num_layers
    if context.head_is_fresh or not (frozen and layers and frozen < layers):
        return context.head_is_fresh
    return bool(context.head_is_untrained) and not context.optimizer_iterations


def _trains_head_only(context: ScanContext) -> bool | None:
    """Returns whether only untrained layers train, on frozen ones; records of old scans tell it of a single layer."""
    if context.optimizer_iterations:
        return False
    if context.body_is_frozen is not None:
        return context.body_is_frozen
    frozen, layers = context.num_frozen_layers, context.num_layers
    if frozen is None or layers is None or context.head_is_untrained is None:
        return None
    return frozen > 0 and layers - frozen == 1 and context.head_is_untrained


def _has_single_valley(context: ScanContext) -> bool | None:
    """Returns whether only one linear layer trains under a convex loss, which then has one valley in its weights."""
    if context.num_layers is None or context.num_frozen_layers is None:
        return None
    is_single = context.num_layers - context.num_frozen_layers == 1
    is_last = context.num_layers == 1 or bool(_trains_head_only(context))
    is_convex = context.output_activation in CONVEX.get(context.loss_name or "", ()) and not context.squashed_twice
    return is_single and is_last and is_convex


CONVEX: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "binary_crossentropy": ("sigmoid", "linear"),
        "categorical_crossentropy": ("softmax", "linear"),
        "mean_absolute_error": ("linear",),
        "mean_squared_error": ("linear",),
        "sparse_categorical_crossentropy": ("softmax", "linear"),
    }
)
"""Loss → activations of a linear layer under which it is convex in the weights; linear for logits."""


def _data_are_finite(features: CurveFeatures, context: ScanContext) -> bool | None:
    """Returns whether the inspected data are valid; `None` if the batch with the first non-finite loss was not seen."""
    shares = (context.nonfinite_inputs, context.nonfinite_targets, context.bad_labels)
    if any(share is not None and share > 0 for share in shares):
        return False
    if context.nonfinite_inputs is None or context.nonfinite_targets is None:
        return None
    return True if context.data_seen == ARRAYS_SEEN or features.finite_share == 0 else None


def _loss_domain(context: ScanContext) -> str | None:
    """Returns the predictions for which the loss is defined, or `None` without a known loss."""
    if context.loss_name is None:
        return None
    if context.loss_name in UNLIMITED_LOSSES or context.from_logits:
        return ALL_NUMBERS
    return POSITIVE_NUMBERS if context.loss_name in WITH_LOGARITHM else UNKNOWN_DOMAIN


def _has_stuck_layer(context: ScanContext) -> bool | None:
    """Returns whether the least changed layer barely changed while another layer did."""
    ratio, change = context.layer_change_ratio, context.weight_change
    return None if change is None else ratio is not None and ratio < STUCK and ratio * change < STUCK


def _ratio(loss: float | None, chance: float | None) -> float | None:
    """Returns the ratio of a loss to the chance level, or `None` if it is unknown or means nothing: not above zero."""
    return None if loss is None or chance is None or loss < 0 or chance <= 0 else loss / chance


def _well_shuffled(context: ScanContext) -> bool | None:
    """Returns whether the data are shuffled and not sorted nevertheless, as with a shuffle buffer that is too small."""
    if not context.shuffled or context.data_seen != BATCHES_SEEN:
        return context.shuffled
    return context.label_runs is not None and context.label_runs < IN_ORDER


def _num_different(context: ScanContext) -> int | None:
    """Returns the number of distinct samples, which is below the number of samples in data with many copies."""
    samples, compared, distinct = context.num_samples, context.num_looked_at, context.num_distinct_inputs
    if (
        not compared
        or distinct is None
        or distinct > FEW_DIFFERENT * compared
        or (context.contradicting_share or 0) > 0
    ):
        return samples
    return distinct if samples is None or context.data_seen == BATCHES_SEEN else round(samples * distinct / compared)


def _largest(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else max(abs(low), abs(high))
