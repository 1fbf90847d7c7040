"""Probes that ask the model: whether its weights move, whether the loss answers to them, what it can learn by heart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import Value
from keras_lrscan.causes.clues import MUCH_PENALTY
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.hosts.gradients import gradients
from keras_lrscan.hosts.optimizers import update_phase
from keras_lrscan.inspection.arrays import leaves, select, to_arrays
from keras_lrscan.inspection.targets import loss_setting
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.workbench import FEW_SAMPLES, MAX_BATCHES, Answer, CannotAskError
from keras_lrscan.reading.facts import FALLS, facts
from keras_lrscan.reading.features import BETTER_THAN_CHANCE

if TYPE_CHECKING:
    from keras_lrscan.hosts.gradients import Gradient
    from keras_lrscan.probes.workbench import Array, Batch, Bench

__all__ = [
    "check_gradients",
    "evaluate_start",
    "halve_batch",
    "match_loss",
    "overfit_small_batch",
    "step_once",
    "weigh_penalty",
]

LEARNED = 0.1
"""Samples are known by heart when their loss is below this share of that of guessing."""

NOTHING_LEARNED = 0.9
"""Nothing was learned when it stays above this share."""

STEPS_TO_TRY, STEPS_TO_LEARN = 100, 300
"""Updates at each rate, and at the best of them."""

WARM_UP = 10
"""Updates after which gradients are looked at again: a last layer of zeros hides those of all below it at first."""

DEAD, ALIVE = 0.9, 0.1
"""Above the first share of weights without a gradient the model is dead, below the second it is alive."""

TRIES = 3
"""Updates that may pass until a weight changes: a loss scale for float16 leaves the first ones out."""

NEARLY_NOTHING = 0.01
"""A model of which less than this share can change is as good as frozen."""

DOUBLED = 1.5
"""The loss of a batch over the mean of its halves': 1 for a mean, 2 for a sum."""


def overfit_small_batch(bench: Bench) -> Answer:
    """Trains on 20 samples, over and over, at several rates."""
    batch = bench.small_batch()
    few = min(FEW_SAMPLES, bench.batch_size)
    guessing, penalty = bench.guessing([batch]), bench.regularization
    start = bench.evaluate([batch])[0]["loss"] - penalty
    reference = start if guessing is None else guessing
    if not math.isfinite(start) or reference <= 0:
        msg = f"the loss of these samples is {format_loss(start)} at the start, so there is no zero to come near to"
        raise CannotAskError(msg)
    reached = {rate: _end(bench.train([batch], [rate] * STEPS_TO_TRY)) - penalty for rate in bench.steady_rates}
    rate = min(reached, key=lambda rate: (not math.isfinite(reached[rate]), reached[rate]))
    end = reached[rate]
    if end > LEARNED * reference:
        end = min(end, _end(bench.train([batch], [rate] * STEPS_TO_LEARN)) - penalty)
    share = end / reference
    says = (
        f"Trained on {few} samples only, over and over at a rate of {format_lr(rate)}, the model brought their loss "
        f"from {format_loss(start)} to {format_loss(end)}; {format_loss(reference)} is "
        f"{'where it began' if guessing is None else 'what guessing costs'}."
    )
    if share <= LEARNED:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("frozen-model", "zero-gradients"))
    if end < NOTHING_LEARNED * min(reference, start):
        return Answer(outcome=Outcome.UNCLEAR, says=f"{says} That is some, but not all there is to learn.")
    return _cannot_learn(bench, batch, says)


def _cannot_learn(bench: Bench, batch: Batch, says: str) -> Answer:
    inputs = [leaf.reshape(len(leaf), -1) for leaf in leaves(to_arrays(batch[0]))]
    if all((leaf == leaf[:1]).all() for leaf in inputs):
        says = f"{says} All these inputs are the same, so there is nothing to tell one label from another by."
        return Answer(outcome=Outcome.NO, says=says, confirms=("labels-not-reaching-loss",))
    bench.reset()
    predicted = bench.predict(batch)
    if not (predicted == predicted[:1]).all():
        return Answer(outcome=Outcome.NO, says=says)
    says = f"{says} The inputs differ, but the model gives the same answer to all of them."
    return Answer(outcome=Outcome.NO, says=says)


def check_gradients(bench: Bench) -> Answer:
    """Takes the gradient of one batch at the start, and again after a few updates."""
    before = gradients(bench.host, bench.batches[0])
    if not before:
        says = "The model has no weight that could train, so there is no gradient to take."
        return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",), rules_out=("zero-gradients",))
    bench.train(bench.batches, [bench.steady_rates[0]] * WARM_UP)
    after = gradients(bench.host, bench.batches[0])
    found = min((before, after), key=_dead_share)
    dead, norms = _dead_share(found), {gradient.name: gradient.norm for gradient in found}
    details = tuple(_line(gradient) for gradient in found)
    if not all(math.isfinite(norm) for norm in norms.values()):
        says = "The gradients of one batch are NaN or infinite, so no step can be taken."
        return Answer(outcome=Outcome.UNCLEAR, says=says, details=details)
    alive = [gradient for gradient in found if not gradient.is_zero]
    says = (
        f"The loss of one batch answers to {len(alive)} of {len(found)} weight arrays; the others hold {dead:.0%} of "
        "the numbers that could train."
    )
    if alive:
        low, high = min(alive, key=lambda one: one.norm), max(alive, key=lambda one: one.norm)
        says += f" The gradients go from {low.norm:.2g} ({low.name}) to {high.norm:.2g} ({high.name})."
    if dead < ALIVE:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("zero-gradients",), details=details)
    if dead >= DEAD and not _is_solved(bench):
        return Answer(outcome=Outcome.NO, says=says, confirms=("zero-gradients",), details=details)
    return Answer(outcome=Outcome.UNCLEAR, says=says, details=details)


def step_once(bench: Bench) -> Answer:
    """Takes one update at the highest rate of the scan, and compares the weights."""
    model, rate = bench.model, float(bench.analysis.curve.lr[-1])
    weights = list(model.trainable_weights)
    sizes = np.array([math.prod(weight.shape) for weight in weights], float)
    every = sizes.sum() + sum(math.prod(weight.shape) for weight in model.non_trainable_weights)
    if not weights:
        says = f"None of the {every:,.0f} numbers in the model can train."
        return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",), rules_out=("zero-gradients",))
    before, batches = bench.trainable_values(), update_phase(model.optimizer)[1]
    updates, moved = 0, np.zeros(len(weights), bool)
    while updates < TRIES and not moved.any():
        updates += 1
        bench.train(bench.batches[: batches * updates], [rate] * updates)
        moved = np.array([not _same(old, new) for old, new in zip(before, bench.trainable_values(), strict=True)])
    changed = float(sizes[moved].sum())
    says = (
        f"{'One update' if updates == 1 else f'{updates} updates'} at {format_lr(rate)}, the highest rate of the scan, "
        f"changed {moved.sum()} of {len(weights)} weight arrays, which hold {changed / every:.1%} of all numbers in "
        "the model."
    )
    if moved.any():
        return _moved(bench, changed / every, says)
    found = gradients(bench.host, bench.batches[0])
    if all(gradient.is_zero for gradient in found):
        return Answer(outcome=Outcome.NO, says=f"{says} All gradients are zero.", confirms=("zero-gradients",))
    says = f"{says} There are gradients, but the optimizer does not use them: the model was not compiled again."
    return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",), rules_out=("zero-gradients",))


def _moved(bench: Bench, share: float, says: str) -> Answer:
    if share >= NEARLY_NOTHING:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("frozen-model",))
    falls = FALLS.holds(_facts(bench))
    return Answer(
        outcome=Outcome.UNCLEAR if falls else Outcome.NO, says=says, confirms=() if falls else ("frozen-model",)
    )


def evaluate_start(bench: Bench) -> Answer:
    """Evaluates the model before any training, and compares with guessing."""
    batches = bench.batches[:: -(-len(bench.batches) // MAX_BATCHES)]
    logs, sizes = bench.evaluate(batches), [len(next(leaves(batch[0]))) for batch in batches]
    mean = {name: float(np.average([log[name] for log in logs], weights=sizes)) for name in logs[0]}
    guessing = bench.guessing(batches)
    guessing = bench.analysis.curve.context.chance_loss if guessing is None else guessing
    loss = mean["loss"] - bench.regularization
    if guessing is None or guessing <= 0 or not math.isfinite(loss):
        msg = "what guessing costs is not known for this loss and these labels"
        raise CannotAskError(msg)
    metrics = "".join(f" ({name} {value:.3g})" for name, value in mean.items() if "acc" in name)
    ratio = loss / guessing
    says = (
        f"Evaluated on {sum(sizes):,d} samples before any training, the model has a loss of {format_loss(loss)}"
        f"{metrics}, {ratio:.2f} times what guessing costs, {format_loss(guessing)}."
    )
    known = _facts(bench)
    if ratio < BETTER_THAN_CHANCE:
        standing = "partly-trained" if FALLS.holds(known) else "already-good"
        gone = ("fresh-start", "new-head", "labels-not-reaching-loss")
        return Answer(outcome=Outcome.YES, says=says, confirms=(standing,), rules_out=gone)
    fresh = known["head_is_fresh"] and known["num_used_layers"]
    reason = "new-head" if fresh else "fresh-start"
    confirms = (reason,) if FALLS.holds(known) and (fresh or not known["optimizer_iterations"]) else ()
    return Answer(outcome=Outcome.NO, says=says, confirms=confirms, rules_out=("already-good", "partly-trained"))


def weigh_penalty(bench: Bench) -> Answer:
    """Compares the penalties on the weights with the loss of a batch."""
    penalty, loss = bench.regularization, bench.evaluate(bench.batches[:1])[0]["loss"]
    if not math.isfinite(loss) or loss <= 0:
        msg = f"the loss of a batch is {format_loss(loss)}, so there are no shares of it"
        raise CannotAskError(msg)
    share = penalty / loss
    says = f"Penalties on the weights are {format_loss(penalty)} of a loss of {format_loss(loss)}, {share:.0%}."
    if share >= MUCH_PENALTY:
        return Answer(outcome=Outcome.YES, says=says, confirms=("regularization",))
    return Answer(outcome=Outcome.NO, says=says, rules_out=("regularization",))


def match_loss(bench: Bench) -> Answer:
    """Looks at predictions, and at whether the loss takes them for probabilities or for logits."""
    loss = bench.model.loss
    loss = bench.host.library.losses.get(loss) if isinstance(loss, str) else loss
    name = bench.analysis.curve.context.loss_name or ""
    if isinstance(loss, (list, tuple, dict)) or not name.endswith("crossentropy"):
        msg = f"the loss ({name or 'unknown'}) is no single cross-entropy"
        raise CannotAskError(msg)
    predicted = bench.predict(bench.batches[0])
    from_logits = bool(loss_setting(loss, "from_logits"))
    inside = bool(((predicted >= 0) & (predicted <= 1)).all())
    alone = name == "binary_crossentropy" or predicted.shape[-1] == 1
    probabilities = inside and (alone or bool(np.allclose(predicted.sum(-1), 1.0, atol=1e-2)))
    what = "numbers from 0 to 1" + ("" if alone else " that add up to 1") if probabilities else "no probabilities"
    says = (
        f"For {len(predicted)} samples the model gives {what} (from {predicted.min():.2g} to {predicted.max():.2g}), "
        f"and the loss expects {'raw scores (`from_logits=True`)' if from_logits else 'probabilities'}."
    )
    if probabilities == from_logits:
        return Answer(outcome=Outcome.NO, says=says, confirms=("wrong-from-logits",))
    return Answer(outcome=Outcome.YES, says=says, rules_out=("wrong-from-logits",))


def halve_batch(bench: Bench) -> Answer:
    """Compares the loss of a batch with those of its halves."""
    batch, half = bench.batches[0], bench.batch_size // 2
    if half < 1:
        msg = "the batches hold one sample each"
        raise CannotAskError(msg)
    rows = (np.arange(half), np.arange(half, 2 * half), np.arange(2 * half))
    parts = [tuple(select(part, these) for part in batch) for these in rows]
    first, second, whole = (log["loss"] - bench.regularization for log in bench.evaluate(parts))
    mean = (first + second) / 2
    if not math.isfinite(whole) or not mean:
        msg = f"the loss of the batch is {format_loss(whole)}"
        raise CannotAskError(msg)
    says = (
        f"A batch of {2 * half} samples has a loss of {format_loss(whole)}, its halves have {format_loss(first)} and "
        f"{format_loss(second)}."
    )
    if abs(whole / mean) > DOUBLED:
        return Answer(outcome=Outcome.YES, says=f"{says} Halves add up: it is a sum.", confirms=("sum-loss",))
    return Answer(outcome=Outcome.NO, says=f"{says} It is their mean.", rules_out=("sum-loss",))


def _facts(bench: Bench) -> Value:
    return facts(bench.analysis.features, bench.analysis.curve.context)


def _is_solved(bench: Bench) -> bool:
    """Whether the loss is as good as zero, where gradients vanish since there is nothing left to do."""
    bench.reset()
    batch = bench.batches[0]
    guessing = bench.guessing([batch])
    loss = bench.evaluate([batch])[0]["loss"] - bench.regularization
    return guessing is not None and loss < LEARNED * guessing / 10


def _dead_share(found: tuple[Gradient, ...]) -> float:
    return sum(gradient.size for gradient in found if gradient.is_zero) / sum(gradient.size for gradient in found)


def _line(gradient: Gradient) -> str:
    return f"{gradient.name}: gradient {gradient.norm:.2g}, weight {gradient.weight_norm:.2g}"


def _same(old: Array, new: Array) -> bool:
    return bool(np.array_equal(old, new, equal_nan=True))


def _end(losses: Array) -> float:
    """Returns the level of the last losses."""
    return float(np.median(losses[-5:]))
