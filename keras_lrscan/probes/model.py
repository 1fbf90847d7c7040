"""Probes that check the model: gradients, updates, regularization, its loss, and its ability to overfit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.causes.clues import MUCH_PENALTY
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.hosts.optimizers import update_phase
from keras_lrscan.inspection.arrays import leaves, select, to_arrays
from keras_lrscan.inspection.settings import regularization_in
from keras_lrscan.inspection.targets import TOTAL_LOSS, loss_setting
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.workbench import FEW_SAMPLES, MAX_BATCHES, Answer, CannotAskError
from keras_lrscan.reading.facts import FALLS
from keras_lrscan.reading.features import PENALTY_CHANGE
from keras_lrscan.reading.references import has_natural_zero
from keras_lrscan.reading.start_state import BETTER_THAN_CHANCE, StartState

if TYPE_CHECKING:
    from keras_lrscan.hosts.gradients import Gradient
    from keras_lrscan.probes.workbench import Array, Batch, Workbench

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
"""The model overfits samples if their loss falls below this share of the chance level."""

NOTHING_LEARNED = 0.9
"""The model learned nothing if the loss stays above this share of the smaller of chance level and first loss."""

STEPS_TO_TRY, STEPS_TO_LEARN = 100, 300
"""Number of updates at each learning rate, and of further updates at the best of them."""

WARM_UP = 10
"""Updates before the second look at gradients: a last layer of zeros at first blocks the gradients of all others."""

DEAD, ALIVE = 0.9, 0.1
"""A model is dead from the first share of weights with zero gradients on, and alive below the second share."""

MAX_UPDATES = 3
"""Maximum number of updates until a weight changes: loss scaling for float16 skips the first ones."""

NEARLY_NOTHING, MOST = 0.01, 0.5
"""A model counts as frozen if less than the first share of its parameters is trainable, and as not frozen if an update
changes at least the second share."""

PARTLY_STILL = 0.5
"""Share of the trainable weights without a change from which a part of the model is dead, as in the table of causes."""

VANISHING = 1e-5
"""Ratio of the smallest to the largest root mean square gradient of a kernel below which some layers hardly move.

At the start, on digits, it is 2e-7 in a stack of ten sigmoids, 6e-4 in one of five, and 0.03 or more in dense,
convolutional and recurrent networks that learn.
"""

TINY = 1e-12
"""Norm of gradients that no optimizer without a scale of its own turns into a change of a weight."""

FAR_BETTER = 0.5
"""A model whose loss does not fall is already good if it starts below this share of the chance level."""

LITTLE_PENALTY = 0.05
"""Penalties below this share of the loss are ruled out, as in the table of causes."""

DOUBLED = 1.5
"""Ratio of the loss of a batch to the mean loss of its halves from which it is a sum: 1 for a mean, 2 for a sum."""


def overfit_small_batch(workbench: Workbench) -> Answer:
    """Trains repeatedly on 20 samples at several learning rates, to see whether the model can overfit them."""
    batch = workbench.small_batch()
    few = min(FEW_SAMPLES, workbench.batch_size)
    chance, penalty = workbench.chance_loss([batch]), workbench.regularization
    start = workbench.loss_in(workbench.evaluate([batch])[0]) - penalty
    reference = start if chance is None else chance
    if not math.isfinite(start) or reference <= 0:
        msg = f"the loss of these samples starts at {format_loss(start)}, so its distance from zero cannot be measured"
        raise CannotAskError(msg)
    reached = {
        rate: _final_loss(workbench.train([batch], [rate] * STEPS_TO_TRY)) - penalty for rate in workbench.steady_rates
    }
    rate = min(reached, key=lambda rate: (not math.isfinite(reached[rate]), reached[rate]))
    end = reached[rate]
    if end > LEARNED * reference:
        end = min(end, _final_loss(workbench.train([batch], [rate] * STEPS_TO_LEARN)) - penalty)
    share = end / reference
    says = (
        f"Repeated training on {few} samples at a learning rate of {format_lr(rate)} changed their loss from "
        f"{format_loss(start)} to {format_loss(end)}"
    )
    says += "." if chance is None else f"; the chance level is {format_loss(chance)}."
    if share <= LEARNED:
        return Answer(outcome=Outcome.YES, says=says, rules_out=_cleared_by_learning(workbench))
    if end < NOTHING_LEARNED * min(reference, start):
        return Answer(
            outcome=Outcome.UNCLEAR, says=f"{says} The model learned a part of these samples, but not all of them."
        )
    return _explain_failure(workbench, batch, says)


def _cleared_by_learning(workbench: Workbench) -> tuple[str, ...]:
    """Returns the causes that a model without them alone could have: a few live weights memorize 20 samples too."""
    known = workbench.known
    part_is_dead = (known["still_share"] or 0.0) >= PARTLY_STILL or bool(known["has_stuck_layer"])
    cleared = {
        "frozen-model": not known["num_frozen_layers"] and known["num_trainable_params"] != 0,
        "zero-gradients": not part_is_dead,
    }
    return tuple(name for name, holds in cleared.items() if holds)


def _explain_failure(workbench: Workbench, batch: Batch, says: str) -> Answer:
    inputs = [leaf.reshape(len(leaf), -1) for leaf in leaves(to_arrays(batch[0]))]
    if all((leaf == leaf[:1]).all() for leaf in inputs):
        says = f"{says} All these inputs are equal, so they carry no information about the labels."
        return Answer(outcome=Outcome.NO, says=says, confirms=("labels-not-reaching-loss",))
    predicted = workbench.predict(batch)
    if not (predicted == predicted[:1]).all():
        return Answer(outcome=Outcome.NO, says=says)
    says = f"{says} The inputs differ, but the model predicts the same for all of them."
    return Answer(outcome=Outcome.NO, says=says)


def check_gradients(workbench: Workbench) -> Answer:
    """Computes the gradient of one batch at the start and again after a few updates."""
    first = workbench.batches[0]
    before = workbench.gradients(first)
    if not before:
        says = "The model has no trainable weight, so it has no gradients."
        return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",), rules_out=("zero-gradients",))
    rates = [workbench.steady_rates[0]] * WARM_UP
    after = workbench.after_training(workbench.batches, rates, lambda: workbench.gradients(first))
    found = min((before, after), key=_dead_share)
    dead, norms = _dead_share(found), {gradient.name: gradient.norm for gradient in found}
    details = tuple(_gradient_line(gradient) for gradient in found)
    if not all(math.isfinite(norm) for norm in norms.values()):
        says = "The gradients of one batch are NaN or infinite, so no update is possible."
        return Answer(outcome=Outcome.UNCLEAR, says=says, details=details)
    alive = [gradient for gradient in found if not gradient.is_zero]
    says = (
        f"The loss of one batch has a gradient for {len(alive)} of {len(found)} weight arrays; the others contain "
        f"{dead:.0%} of the trainable parameters."
    )
    if alive:
        low, high = min(alive, key=lambda one: one.norm), max(alive, key=lambda one: one.norm)
        says += f" The gradient norms range from {low.norm:.2g} ({low.name}) to {high.norm:.2g} ({high.name})."
    kernels = [gradient.norm / math.sqrt(gradient.size) for gradient in alive if "kernel" in gradient.name] or [1.0]
    if dead < ALIVE and min(kernels) < VANISHING * max(kernels):
        says += " The smallest are so far below the largest that some layers hardly move."
        return Answer(outcome=Outcome.UNCLEAR, says=says, details=details)
    if dead < ALIVE:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("zero-gradients",), details=details)
    if dead >= DEAD and not _is_solved(workbench):
        return Answer(outcome=Outcome.NO, says=says, confirms=("zero-gradients",), details=details)
    return Answer(outcome=Outcome.UNCLEAR, says=says, details=details)


def step_once(workbench: Workbench) -> Answer:
    """Makes one update at the highest learning rate of the scan and compares the weights before and after."""
    model, rate = workbench.model, float(workbench.analysis.curve.lr[-1])
    weights = list(model.trainable_weights)
    sizes = np.array([math.prod(weight.shape) for weight in weights], float)
    every = sizes.sum() + sum(math.prod(weight.shape) for weight in model.non_trainable_weights)
    if not weights:
        says = f"None of the {every:,.0f} parameters of the model is trainable."
        return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",), rules_out=("zero-gradients",))
    before, batches = workbench.trainable_values(), update_phase(workbench.host.optimizer)[1]
    updates, moved = 0, np.zeros(len(weights), bool)
    while updates < MAX_UPDATES and not moved.any():
        updates += 1
        used = workbench.batches[: batches * updates]
        after = workbench.after_training(used, [rate] * updates, workbench.trainable_values)
        moved = np.array([not _same(old, new) for old, new in zip(before, after, strict=True)])
    changed = float(sizes[moved].sum())
    says = (
        f"{'One update' if updates == 1 else f'{updates} updates'} at {format_lr(rate)}, the highest learning rate of "
        f"the scan, changed {moved.sum()} of {len(weights)} trainable weight arrays, with {changed / every:.1%} of all "
        "parameters of the model."
    )
    found = workbench.gradients(workbench.batches[0])
    if moved.any():
        return _judge_update(workbench, sizes.sum() / every, changed / every, says, found)
    if all(gradient.is_zero for gradient in found):
        solved = _is_solved(workbench)
        confirms = () if solved else ("zero-gradients",)
        return Answer(outcome=Outcome.NO, says=f"{says} All gradients are zero.", confirms=confirms)
    if max(gradient.norm for gradient in found) < TINY:
        says = f"{says} All gradients are too small for an update to change a weight."
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    says = f"{says} There are gradients, but the optimizer does not apply them: the model was not compiled again."
    return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",), rules_out=("zero-gradients",))


def _judge_update(
    workbench: Workbench, trainable: float, changed: float, says: str, found: tuple[Gradient, ...]
) -> Answer:
    """Judges an update that changed some weights, given the trainable and the changed share of all parameters."""
    falls = FALLS.holds(workbench.known)
    if changed >= MOST or (falls and changed >= NEARLY_NOTHING):
        return Answer(outcome=Outcome.YES, says=says, rules_out=("frozen-model",))
    if trainable < NEARLY_NOTHING and not falls:
        return Answer(outcome=Outcome.NO, says=says, confirms=("frozen-model",))
    if changed < NEARLY_NOTHING and not falls and found and _dead_share(found) >= DEAD and not _is_solved(workbench):
        says = f"{says} The gradients of {_dead_share(found):.0%} of the trainable parameters are zero."
        return Answer(outcome=Outcome.NO, says=says, confirms=("zero-gradients",))
    return Answer(outcome=Outcome.UNCLEAR, says=says)


def evaluate_start(workbench: Workbench) -> Answer:
    """Evaluates the model before any training and compares its loss with the chance level."""
    batches = workbench.batches[:: -(-len(workbench.batches) // MAX_BATCHES)]
    logs, sizes = workbench.evaluate(batches), [len(next(leaves(batch[0]))) for batch in batches]
    mean = {name: float(np.average([log[name] for log in logs], weights=sizes)) for name in logs[0]}
    chance = workbench.chance_loss(batches)
    chance = workbench.analysis.curve.context.chance_loss if chance is None else chance
    loss = workbench.loss_in(mean) - workbench.regularization
    if chance is None or not math.isfinite(loss):
        msg = "the chance level is unknown for this loss and these labels"
        raise CannotAskError(msg)
    if (
        chance <= 0
        or loss < -PENALTY_CHANGE * workbench.regularization
        or not has_natural_zero(workbench.analysis.curve)
    ):
        msg = "this loss can fall below zero, so its ratio to the chance level means nothing"
        raise CannotAskError(msg)
    loss = max(loss, 0.0)
    metrics = "".join(f" ({name} {value:.3g})" for name, value in mean.items() if "acc" in name)
    ratio = loss / chance
    says = (
        f"On {sum(sizes):,d} samples, the model has a loss of {format_loss(loss)}{metrics} before any training, "
        f"{ratio:.2f} times the chance level of {format_loss(chance)}."
    )
    return _judge_start(workbench, ratio, says)


def _judge_start(workbench: Workbench, ratio: float, says: str) -> Answer:
    """Returns the answer for a first loss of `ratio` times the chance level."""
    known, falls = workbench.known, FALLS.holds(workbench.known)
    if known["start_state"] == StartState.MIXED:
        says = f"{says} Its outputs start differently, so the total loss cannot tell."
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    was_trained = bool(known["optimizer_iterations"] or known["is_trained"])
    if ratio < BETTER_THAN_CHANCE:
        if known["is_untrained"]:
            says = f"{says} No layer shows signs of earlier training, so this start may be luck."
            return Answer(outcome=Outcome.UNCLEAR, says=says)
        standing = ("partly-trained",) if falls else ("already-good",) if ratio < FAR_BETTER else ()
        gone = ("fresh-start", "new-head", "labels-not-reaching-loss")
        return Answer(outcome=Outcome.YES, says=says, confirms=standing, rules_out=gone)
    if was_trained:
        return Answer(outcome=Outcome.NO, says=says, rules_out=("already-good",))
    is_healthy = falls and not any(finding.alarm and finding.is_sure for finding in workbench.analysis.findings)
    reason = "new-head" if known["has_new_head"] else "fresh-start"
    confirms = (reason,) if is_healthy and known["head_is_untrained"] else ()
    return Answer(outcome=Outcome.NO, says=says, confirms=confirms, rules_out=("already-good", "partly-trained"))


def weigh_penalty(workbench: Workbench) -> Answer:
    """Compares the penalties on the weights with the loss of a batch."""
    loss = workbench.loss_in(workbench.evaluate(workbench.batches[:1])[0])
    penalty = regularization_in(workbench.host, workbench.monitor)
    if penalty is None and workbench.monitor != TOTAL_LOSS:
        msg = f"it is unknown whether the monitored key `{workbench.monitor}` includes the penalties"
        raise CannotAskError(msg)
    penalty = penalty or 0.0
    if not math.isfinite(loss) or loss <= 0 or penalty > loss * (1 + PENALTY_CHANGE):
        msg = f"the loss of a batch is {format_loss(loss)}, so a share of it is undefined"
        raise CannotAskError(msg)
    share = penalty / loss
    says = f"Penalties on the weights make up {format_loss(penalty)} of a loss of {format_loss(loss)}, or {share:.0%}."
    if share >= MUCH_PENALTY:
        return Answer(outcome=Outcome.YES, says=says, confirms=("regularization",))
    if share >= LITTLE_PENALTY or workbench.known["has_activity_penalty"]:
        says += " A layer adds a penalty on its output as well." if workbench.known["has_activity_penalty"] else ""
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    return Answer(outcome=Outcome.NO, says=says, rules_out=("regularization",))


def match_loss(workbench: Workbench) -> Answer:
    """Checks whether the predictions are probabilities or logits, and which of them the loss expects."""
    loss = workbench.model.loss
    loss = workbench.host.library.losses.get(loss) if isinstance(loss, str) else loss
    name = workbench.analysis.curve.context.loss_name or ""
    if isinstance(loss, (list, tuple, dict)) or not name.endswith("crossentropy"):
        msg = f"the loss ({name or 'unknown'}) is not a single cross-entropy"
        raise CannotAskError(msg)
    predicted = workbench.predict(workbench.batches[0])
    from_logits = bool(loss_setting(loss, "from_logits"))
    inside = bool(((predicted >= 0) & (predicted <= 1)).all())
    alone = name == "binary_crossentropy" or predicted.shape[-1] == 1
    probabilities = inside and (alone or bool(np.allclose(predicted.sum(-1), 1.0, atol=1e-2)))
    what = (
        "values from 0 to 1" + ("" if alone else " that add up to 1")
        if probabilities
        else "values that are not probabilities"
    )
    says = (
        f"For {len(predicted)} samples, the model predicts {what} ({predicted.min():.2g} to {predicted.max():.2g}), "
        f"and the loss expects {'logits (`from_logits=True`)' if from_logits else 'probabilities'}."
    )
    twice = workbench.known["squashed_twice"]
    if twice:
        says += " But the output goes through two softmaxes or sigmoids in a row."
    if probabilities == from_logits or twice:
        return Answer(outcome=Outcome.NO, says=says, confirms=("wrong-from-logits",))
    if probabilities and twice is None:
        says += " Whether it goes through two softmaxes or sigmoids in a row is unknown."
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    return Answer(outcome=Outcome.YES, says=says, rules_out=("wrong-from-logits",))


def halve_batch(workbench: Workbench) -> Answer:
    """Compares the loss of a batch with the losses of its halves, to tell a sum from a mean."""
    batch, half = workbench.batches[0], workbench.batch_size // 2
    if half < 1:
        msg = "each batch has only one sample"
        raise CannotAskError(msg)
    rows = (np.arange(half), np.arange(half, 2 * half), np.arange(2 * half))
    parts = [tuple(select(part, these) for part in batch) for these in rows]
    first, second, whole = (workbench.loss_in(log) - workbench.regularization for log in workbench.evaluate(parts))
    mean = (first + second) / 2
    if not math.isfinite(whole) or not mean:
        msg = f"the loss of the batch is {format_loss(whole)}"
        raise CannotAskError(msg)
    says = (
        f"A batch of {2 * half} samples has a loss of {format_loss(whole)}; its halves have losses of "
        f"{format_loss(first)} and {format_loss(second)}."
    )
    if abs(whole / mean) > DOUBLED:
        return Answer(outcome=Outcome.YES, says=f"{says} The loss of the batch is their sum.", confirms=("sum-loss",))
    return Answer(outcome=Outcome.NO, says=f"{says} The loss of the batch is their mean.", rules_out=("sum-loss",))


def _is_solved(workbench: Workbench) -> bool:
    """Whether the loss is nearly zero, so that gradients vanish because nothing is left to learn."""
    batch = workbench.batches[0]
    chance = workbench.chance_loss([batch])
    loss = workbench.loss_in(workbench.evaluate([batch])[0]) - workbench.regularization
    return chance is not None and loss < LEARNED * max(chance, 0.0) / 10 and has_natural_zero(workbench.analysis.curve)


def _dead_share(found: tuple[Gradient, ...]) -> float:
    return sum(gradient.size for gradient in found if gradient.is_zero) / sum(gradient.size for gradient in found)


def _gradient_line(gradient: Gradient) -> str:
    return f"{gradient.name}: gradient {gradient.norm:.2g}, weight {gradient.weight_norm:.2g}"


def _same(old: Array, new: Array) -> bool:
    return bool(np.array_equal(old, new, equal_nan=True))


def _final_loss(losses: Array) -> float:
    """Returns the median of the last losses."""
    return float(np.median(losses[-5:]))
