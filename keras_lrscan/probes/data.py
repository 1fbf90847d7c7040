"""Probes that check the data: values that are not finite, invalid labels, and labels unrelated to the inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.curves.context import ARRAYS_SEEN
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.inspection.arrays import joined, leaves, to_arrays
from keras_lrscan.inspection.label_dependence import MAX_SAMPLES, are_keys, measure_dependence, numbers_of
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.workbench import Answer, CannotAskError, Workbench

if TYPE_CHECKING:
    from keras_lrscan.curves.context import ScanContext

__all__ = ["check_label_dependence", "look_at_data"]


def look_at_data(workbench: Workbench) -> Answer:
    """Looks for NaN or infinite values, and for labels outside the model's classes, in the batches."""
    samples = bad = outside = 0
    for batch in workbench.batches:
        size = len(next(leaves(batch[0])))
        arrays = [[leaf for leaf in leaves(to_arrays(part)) if leaf.dtype.kind in "fiub"] for part in batch]
        floats = (leaf for part in arrays for leaf in part if leaf.dtype.kind == "f" and len(leaf) == size)
        broken = np.zeros(size, bool)
        for leaf in floats:
            broken |= ~np.isfinite(leaf.reshape(size, -1)).all(1)
        samples, bad = samples + size, bad + int(broken.sum())
        outside += int(_have_invalid_label(workbench, arrays[1], size).sum())
    says = (
        f"Of {samples:,d} samples, {bad:,d} contain NaN or infinite inputs, targets or weights, and {outside:,d} have "
        "a label outside the model's classes."
    )
    if bad or outside:
        return Answer(outcome=Outcome.YES, says=says, confirms=("nan-in-data",))
    context = workbench.analysis.curve.context
    if samples < (context.num_samples or math.inf) and not _all_were_finite(context):
        says += " The scan may have seen other samples."
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    return Answer(outcome=Outcome.NO, says=says, rules_out=("nan-in-data",))


def _all_were_finite(context: ScanContext) -> bool:
    """Returns whether the arrays of the scan were found valid."""
    shares = (context.nonfinite_inputs, context.nonfinite_targets, context.bad_labels or 0.0)
    return context.data_seen == ARRAYS_SEEN and not any(share is None or share > 0 for share in shares)


def check_label_dependence(workbench: Workbench) -> Answer:
    """Fits simple models to the labels and compares them with models fitted to shuffled labels."""
    inputs, labels, classes = _sample(workbench)
    found = measure_dependence(inputs, labels, classes=classes, seed=workbench.seed)
    explained, by_chance = max(found.explained, 0.0), max(found.by_luck, 0.0)
    if found.accuracy is not None and found.majority is not None:
        says = (
            f"The best of several simple models predicts the class of {found.accuracy:.0%} of {found.num_samples} "
            f"held-out samples correctly; the most frequent class alone gives {found.majority:.0%}. "
        )
    else:
        says = f"Several simple models predict the targets of {found.num_samples} held-out samples. "
    says += (
        f"The best explains {explained:.1%} of the variance of the labels; the best of 49 models for shuffled labels "
        f"explains {by_chance:.1%}."
    )
    known = workbench.known
    if found.depends and (known["zero_weight_share"] or 0.0) >= WITHOUT_WEIGHT:
        says += f" But {known['zero_weight_share']:.0%} of the samples have a weight of zero in the loss."
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    if found.depends:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("labels-not-reaching-loss",))
    if found.depends is None:
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    if known["learns"]:
        return Answer(outcome=Outcome.UNCLEAR, says=f"{says} But the loss of the scan falls well below chance level.")
    if _embeds(workbench) and are_keys(list(leaves(to_arrays(workbench.batches[0][0])))):
        return Answer(outcome=Outcome.UNCLEAR, says=f"{says} But simple models only add up what each key contributes.")
    return Answer(outcome=Outcome.NO, says=says, confirms=("labels-not-reaching-loss",))


WITHOUT_WEIGHT = 0.9
"""Share of samples with zero weight from which the labels do not reach the loss, as in the table of causes."""


def _sample(workbench: Workbench) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns the inputs as a table of numbers, the labels, and whether the labels are classes."""
    size = max(1, workbench.batch_size)
    batches = workbench.batches[: -(-MAX_SAMPLES // size)]
    labels = list(leaves(joined([batch[1] for batch in batches])))
    if len(labels) != 1:
        msg = f"the data have {len(labels)} labels per sample, and this probe supports one"
        raise CannotAskError(msg)
    inputs = [_as_numbers(workbench, leaf) for leaf in leaves(joined([batch[0] for batch in batches]))]
    rows = slice(0, MAX_SAMPLES)
    table = np.concatenate([part[rows] for part in inputs], axis=1)
    label = labels[0][rows]
    codes = _are_codes(workbench)
    if codes and label.reshape(len(label), -1).shape[1] > 1:
        msg = "each sample has more than one label, for example one per position"
        raise CannotAskError(msg)
    kept = np.isfinite(table).all(1) & np.isfinite(label.reshape(len(label), -1).astype(float)).all(1)
    if kept.sum() < MIN_SAMPLES:
        msg = f"only {int(kept.sum())} samples have finite inputs and labels"
        raise CannotAskError(msg)
    if np.ptp(label[kept]) == 0:
        msg = "all labels in these batches are the same"
        raise CannotAskError(msg)
    name = workbench.analysis.curve.context.loss_name or ""
    return table[kept], label[kept], codes or "crossentropy" in name


MIN_SAMPLES = 30
"""Minimum number of samples to fit a model."""


def _as_numbers(workbench: Workbench, leaf: np.ndarray) -> np.ndarray:
    """Returns one row of numbers per sample; for token ids, the number of occurrences of each."""
    if leaf.dtype.kind not in "fiub":
        msg = f"the inputs are not numbers but of type {leaf.dtype}"
        raise CannotAskError(msg)
    return numbers_of(leaf, are_words=_embeds(workbench))


def _embeds(workbench: Workbench) -> bool:
    return any(type(layer).__name__ == "Embedding" for layer in layers_in(workbench.model))


def _are_codes(workbench: Workbench) -> bool:
    return (workbench.analysis.curve.context.loss_name or "").startswith("sparse_categorical")


def _have_invalid_label(workbench: Workbench, labels: list[np.ndarray], samples: int) -> np.ndarray:
    """Returns a mask of the samples with a label outside the model's classes."""
    shape = getattr(workbench.model, "output_shape", None)
    classes = shape[-1] if isinstance(shape, tuple) and shape else None
    if not _are_codes(workbench) or not isinstance(classes, int) or len(labels) != 1:
        return np.zeros(samples, bool)
    flat = labels[0].reshape(samples, -1)
    known = np.isfinite(flat)
    wrong = known & ((flat < 0) | (flat >= classes) | (flat != np.floor(np.where(known, flat, 0))))
    return np.asarray(wrong.any(1))
