"""Probes that ask the data: whether all numbers are numbers, and whether labels can be told from inputs at all."""

from __future__ import annotations

import numpy as np

from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.inspection.arrays import joined, leaves, to_arrays
from keras_lrscan.inspection.label_dependence import MAX_SAMPLES, measure_dependence, numbers_of
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.workbench import Answer, Bench, CannotAskError

__all__ = ["check_label_dependence", "look_at_data"]


def look_at_data(bench: Bench) -> Answer:
    """Looks for numbers that are none, and for labels that are no class, in the batches."""
    samples = bad = outside = 0
    for batch in bench.batches:
        size = len(next(leaves(batch[0])))
        arrays = [[leaf for leaf in leaves(to_arrays(part)) if leaf.dtype.kind in "fiub"] for part in batch]
        floats = (leaf for part in arrays for leaf in part if leaf.dtype.kind == "f" and len(leaf) == size)
        broken = np.zeros(size, bool)
        for leaf in floats:
            broken |= ~np.isfinite(leaf.reshape(size, -1)).all(1)
        samples, bad = samples + size, bad + int(broken.sum())
        outside += int(_no_classes(bench, arrays[1], size).sum())
    says = (
        f"Of {samples:,d} samples, {bad:,d} have NaN or infinity among their inputs, targets or weights, and "
        f"{outside:,d} a label that is no class of the model."
    )
    if bad or outside:
        return Answer(outcome=Outcome.YES, says=says, confirms=("nan-in-data",))
    return Answer(outcome=Outcome.NO, says=says, rules_out=("nan-in-data",))


def check_label_dependence(bench: Bench) -> Answer:
    """Fits simple rules that lead from inputs to labels, and compares them with rules for shuffled labels."""
    inputs, labels, classes = _sample(bench)
    found = measure_dependence(inputs, labels, classes=classes, seed=bench.seed)
    explained, luck = max(found.explained, 0.0), max(found.by_luck, 0.0)
    if found.accuracy is not None and found.majority is not None:
        says = (
            f"The best of a few simple rules names the right class for {found.accuracy:.0%} of {found.num_samples} "
            f"samples that it had not seen; always naming the most frequent class is right for {found.majority:.0%}. "
        )
    else:
        says = f"The best of a few simple rules foretells the targets of {found.num_samples} samples it had not seen. "
    says += (
        f"It explains {explained:.1%} of how the labels differ; of 49 rules for shuffled labels the best {luck:.1%}."
    )
    if found.depends:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("labels-not-reaching-loss",))
    if found.depends is None:
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    return Answer(outcome=Outcome.NO, says=says, confirms=("labels-not-reaching-loss",))


def _sample(bench: Bench) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns the numbers of the inputs, the labels, and whether these are classes."""
    size = max(1, bench.batch_size)
    batches = bench.batches[: -(-MAX_SAMPLES // size)]
    labels = list(leaves(joined([batch[1] for batch in batches])))
    if len(labels) != 1:
        msg = f"the data have {len(labels)} labels for each sample, and this probe looks at one"
        raise CannotAskError(msg)
    inputs = [_as_numbers(bench, leaf) for leaf in leaves(joined([batch[0] for batch in batches]))]
    rows = slice(0, MAX_SAMPLES)
    table = np.concatenate([part[rows] for part in inputs], axis=1)
    label = labels[0][rows]
    codes = _are_codes(bench)
    if codes and label.reshape(len(label), -1).shape[1] > 1:
        msg = "each sample has a label at every one of many places"
        raise CannotAskError(msg)
    kept = np.isfinite(table).all(1) & np.isfinite(label.reshape(len(label), -1).astype(float)).all(1)
    if kept.sum() < MIN_SAMPLES:
        msg = f"there are {int(kept.sum())} samples only with nothing but numbers"
        raise CannotAskError(msg)
    if np.ptp(label[kept]) == 0:
        msg = "all these labels are the same"
        raise CannotAskError(msg)
    name = bench.analysis.curve.context.loss_name or ""
    return table[kept], label[kept], codes or "crossentropy" in name


MIN_SAMPLES = 30
"""Samples without which no rule is fitted."""


def _as_numbers(bench: Bench, leaf: np.ndarray) -> np.ndarray:
    """Returns one row of numbers for each sample: of word numbers, how often each comes."""
    if leaf.dtype.kind not in "fiub":
        msg = f"the inputs are no numbers but of type {leaf.dtype}"
        raise CannotAskError(msg)
    embeds = any(type(layer).__name__ == "Embedding" for layer in layers_in(bench.model))
    return numbers_of(leaf, are_words=embeds)


def _are_codes(bench: Bench) -> bool:
    return (bench.analysis.curve.context.loss_name or "").startswith("sparse_categorical")


def _no_classes(bench: Bench, labels: list[np.ndarray], samples: int) -> np.ndarray:
    """Returns which samples have a label that is no class."""
    shape = getattr(bench.model, "output_shape", None)
    classes = shape[-1] if isinstance(shape, tuple) and shape else None
    if not _are_codes(bench) or not isinstance(classes, int) or len(labels) != 1:
        return np.zeros(samples, bool)
    flat = labels[0].reshape(samples, -1)
    known = np.isfinite(flat)
    wrong = known & ((flat < 0) | (flat >= classes) | (flat != np.floor(np.where(known, flat, 0))))
    return np.asarray(wrong.any(1))
