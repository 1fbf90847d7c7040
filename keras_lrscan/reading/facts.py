"""All that a rule may test: features of the curve, fields of the context, and what follows from both."""

from __future__ import annotations

import dataclasses
import math
import operator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan.curves.context import BATCHES_SEEN, CONTEXT_MEASURES
from keras_lrscan.formatting import RATIO, Measure, measured, measures_of
from keras_lrscan.reading.features import CurveFeatures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keras_lrscan.curves.context import ScanContext

__all__ = ["FALLS", "IN_ORDER", "MEASURES", "NO_FALL", "NO_RISE", "RISES", "Condition", "facts", "is_false", "is_true"]

ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")
"""Names of metrics that tell the share of right answers."""

FEW_DIFFERENT = 0.7
"""Below this share of different samples among those compared, the data hold copies.

In the data sets of the zoo (`benchmarks/causes`) without copies it is 0.79 or more.
"""
IN_ORDER = 0.3
"""From here on, on the scale of `label_runs`, a few hundred samples in a row are not in a random order."""
LEARNS = 0.85
"""A loss that falls below this share of that of guessing shows that something is learned."""
STUCK = 3e-5
"""Below this ratio of their changes the layer that moved least stood still beside the one that moved most.

In the zoo's stack of ten sigmoids it is 3e-6, in fits whose layers all learn 2e-3 or more.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Derived:
    """What follows from features and context together."""

    epochs_over_data: float | None = measured("times that the test went through the data", "{:.1f}")
    start_accuracy: float | None = measured("share of right answers in the first batch", "{:.0%}")
    input_size: float | None = measured("largest input, sign left off", "{:.3g}")
    target_size: float | None = measured("largest target, sign left off", "{:.3g}")
    trainable_share: float | None = measured("share of the parameters that can train", "{:.2%}")
    planned_decades: float | None = measured("decades from the first to the last planned rate", "{:.1f}")
    clip: float | None = measured("least size that gradients are cut to", "{:.3g}")
    perfect_ratio: float | None = measured("loss of right answers over that of guessing", "{:.0%}")
    is_untrained: bool | None = measured("whether it is known that no layer was trained before", "{}")
    is_trained: bool | None = measured("whether all layers show signs of earlier training", "{}")
    has_new_head: bool | None = measured("whether a last layer that is as initialized stands on others", "{}")
    learns: bool | None = measured("whether the loss falls well below that of guessing", "{}")
    lowest_ratio: float | None = measured("lowest loss over the loss of guessing", RATIO)
    first_batches_alike: bool | None = measured("whether all labels of the first batches are the same", "{}")
    well_shuffled: bool | None = measured("whether the data are shuffled, and well", "{}")
    num_different: int | None = measured("different samples", "{:,d}")
    has_stuck_layer: bool | None = measured("whether a layer hardly moved beside the others", "{}")
    is_foreign: bool | None = measured("whether the record says nothing of its run", "{}")
    shape: str | None = measured("shape of the curve", "{}")
    drawn_average: str | None = measured("average that the other tool stored", "{}")


def facts(features: CurveFeatures, context: ScanContext, *, shape: str | None = None) -> Mapping[str, Any]:
    """Returns all that a rule may test, by name.

    Args:
        features: Numbers of the curve.
        context: What is known of the run.
        shape: The verdict, where there is one already: it is surer than any single number of the curve.
    """
    of_curve = {item.name: getattr(features, item.name) for item in dataclasses.fields(features)}
    of_run = {name: getattr(context, name) for name in CONTEXT_MEASURES}
    return of_run | of_curve | dataclasses.asdict(_derive(features, context, shape))


def _derive(features: CurveFeatures, context: ScanContext, shape: str | None) -> Derived:
    seen = None if context.batch_size is None else features.num_points * context.batch_size
    samples = _num_different(context)
    params, share = None, context.majority_share
    if context.num_trainable_params is not None and context.num_frozen_params is not None:
        params = context.num_trainable_params + context.num_frozen_params
    lowest = None if features.start_ratio is None else features.start_ratio - features.fall
    clips = (context.clipnorm, context.global_clipnorm, context.clipvalue)
    fresh = None if context.optimizer_iterations is None else _head_is_untrained(context)
    return Derived(
        epochs_over_data=seen / samples if seen is not None and samples else None,
        start_accuracy=next((value for name, value in context.start_metrics.items() if name in ACCURACIES), None),
        input_size=_largest(context.input_low, context.input_high),
        target_size=_largest(context.target_low, context.target_high),
        trainable_share=(context.num_trainable_params or 0) / params if params else None,
        planned_decades=math.log10(context.end_lr / context.start_lr) if context.end_lr and context.start_lr else None,
        clip=min((size for size in clips if size is not None), default=None),
        perfect_ratio=_ratio(context.perfect_loss, context.chance_loss),
        is_untrained=bool(fresh) and not context.num_used_layers,
        is_trained=None if fresh is None else not fresh and bool(context.num_used_layers),
        has_new_head=_has_new_head(context),
        learns=None if lowest is None else lowest < LEARNS and context.labels_follow_inputs is not False,
        lowest_ratio=lowest,
        first_batches_alike=share == 1.0 if context.data_seen == BATCHES_SEEN and share is not None else None,
        well_shuffled=_well_shuffled(context),
        num_different=samples,
        has_stuck_layer=_has_stuck_layer(context),
        is_foreign=not any((context.framework, context.loss_name, context.averaging, context.undone_averaging)),
        shape=shape,
        drawn_average=context.averaging or context.undone_averaging,
    )


def _head_is_untrained(context: ScanContext) -> bool | None:
    """Whether neither the optimizer nor the last layer was used before; `None` where the layer does not tell."""
    if context.optimizer_iterations:
        return False
    return context.head_is_untrained


def _has_new_head(context: ScanContext) -> bool | None:
    """Whether the last layer is as initialized on layers that were trained, or are frozen as trained ones are."""
    frozen, layers = context.num_frozen_layers, context.num_layers
    if context.head_is_fresh or not (frozen and layers and frozen < layers):
        return context.head_is_fresh
    return bool(context.head_is_untrained) and not context.optimizer_iterations


def _has_stuck_layer(context: ScanContext) -> bool | None:
    """Whether the layer that moved least hardly moved at all, beside one that did."""
    ratio, change = context.layer_change_ratio, context.weight_change
    return None if change is None else ratio is not None and ratio < STUCK and ratio * change < STUCK


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _well_shuffled(context: ScanContext) -> bool | None:
    """Whether the data are shuffled and do not come sorted all the same, as from a buffer that is too small."""
    if not context.shuffled or context.data_seen != BATCHES_SEEN:
        return context.shuffled
    return context.label_runs is not None and context.label_runs < IN_ORDER


def _num_different(context: ScanContext) -> int | None:
    """Returns how many different samples there are: of data with many copies fewer than samples."""
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


MEASURES: Mapping[str, Measure] = MappingProxyType(
    dict(CONTEXT_MEASURES) | measures_of(CurveFeatures) | measures_of(Derived)
)
"""Name of a fact → how it is named and printed."""


OPERATORS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = MappingProxyType(
    {
        ">": (operator.gt, "above"),
        ">=": (operator.ge, "at least"),
        "<": (operator.lt, "below"),
        "<=": (operator.le, "at most"),
        "==": (operator.eq, "exactly"),
        "!=": (operator.ne, "anything but"),
        "in": (lambda value, options: value in options, "one of"),
    }
)
"""Operator → (function, how it is said)."""


@dataclass(frozen=True)
class Condition:
    """One test of one feature; it does not hold where the feature is unknown.

    Attributes:
        feature: A key of `MEASURES`.
        op: A key of `OPERATORS`.
        threshold: What the feature is compared with.

    Example:
    >>> condition = Condition("fall", ">=", 0.12)
    >>> condition.holds({"fall": 0.83})
    True
    >>> condition.evidence({"fall": 0.83})
    'fall to the first valley, as a share of the reference loss: 83% (rule: at least 12%)'
    """

    feature: str
    op: str
    threshold: float | str | tuple[str, ...]

    def holds(self, facts: Mapping[str, Any]) -> bool:
        """Returns whether the feature is known and passes."""
        value = facts[self.feature]
        return value is not None and OPERATORS[self.op][0](value, self.threshold)

    def evidence(self, facts: Mapping[str, Any]) -> str:
        """Returns the test as a sentence with the value seen."""
        value = facts[self.feature]
        seen = "unknown" if value is None else MEASURES[self.feature].show(value)
        return f"{MEASURES[self.feature].words}: {seen} (rule: {self})"

    def __str__(self) -> str:
        """Returns the rule without a value."""
        options = self.threshold if isinstance(self.threshold, tuple) else (self.threshold,)
        return f"{OPERATORS[self.op][1]} {', '.join(MEASURES[self.feature].show(option) for option in options)}"


def is_true(feature: str) -> Condition:
    """Returns the condition that a feature is known and true.

    >>> is_true("learns").holds({"learns": True}), is_true("learns").holds({"learns": None})
    (True, False)
    """
    return Condition(feature, "==", threshold=True)


def is_false(feature: str) -> Condition:
    """Returns the condition that a feature is known and false.

    >>> is_false("learns").holds({"learns": False}), is_false("learns").holds({"learns": None})
    (True, False)
    """
    return Condition(feature, "==", threshold=False)


FALLS = Condition("fall", ">", 0)
NO_FALL = Condition("fall", "==", 0)
RISES = Condition("rise", ">", 0)
NO_RISE = Condition("rise", "==", 0)
