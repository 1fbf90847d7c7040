"""Lists the probes of the model, the data and the curve, each with the causes that it can settle (`PROBES`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_lrscan.probes.curve import (
    hold_rate,
    predict_when_broken,
    scale_inputs,
    scan_again,
    scan_longer,
    scan_wider,
    undo_average,
)
from keras_lrscan.probes.data import check_label_dependence, look_at_data
from keras_lrscan.probes.model import (
    check_gradients,
    evaluate_start,
    halve_batch,
    match_loss,
    overfit_small_batch,
    step_once,
    weigh_penalty,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from keras_lrscan.probes.workbench import Answer

__all__ = ["PROBES", "Probe"]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A test of the model, the data or the curve that answers one question.

    Attributes:
        name: Name of the probe.
        question: Question that the probe answers.
        does: Description of the test in plain words.
        settles: Names of the causes that it can confirm or rule out.
        ask: Function that runs the test, given a `Workbench`, or the analysis if the probe needs no model.
        needs_model: Whether the probe needs the model.
        needs_feeding: Whether its answer holds only for batches that are fed as in the scan: in the same order, of the
            same size, and with the same weights.
    """

    name: str
    question: str
    does: str
    settles: tuple[str, ...]
    ask: Callable[[Any], Answer]
    needs_model: bool = True
    needs_feeding: bool = True


PROBES: tuple[Probe, ...] = (
    Probe(
        name="look-at-data",
        question="Do the data contain invalid values?",
        does="Looks for NaN, infinity and labels outside the model's classes in the batches of the scan.",
        settles=("nan-in-data",),
        ask=look_at_data,
    ),
    Probe(
        name="start-against-chance",
        question="Is the model better than chance level before training?",
        does="Evaluates the model on up to ten batches and compares its loss with the loss of a constant prediction.",
        settles=(
            "already-good",
            "partly-trained",
            "fresh-start",
            "new-head",
            "labels-not-reaching-loss",
        ),
        ask=evaluate_start,
    ),
    Probe(
        name="loss-fits-outputs",
        question="Do the loss and the last layer match?",
        does="Checks whether the predictions are probabilities, and whether the loss expects probabilities.",
        settles=("wrong-from-logits",),
        ask=match_loss,
        needs_feeding=False,
    ),
    Probe(
        name="half-a-batch",
        question="Is the loss a sum over the batch?",
        does="Compares the loss of a batch with those of its halves: a mean lies between them, a sum adds them up.",
        settles=("sum-loss",),
        ask=halve_batch,
        needs_feeding=False,
    ),
    Probe(
        name="penalties",
        question="Does regularization make up much of the loss?",
        does="Adds up the penalties on the weights and compares them with the loss of a batch.",
        settles=("regularization",),
        ask=weigh_penalty,
    ),
    Probe(
        name="gradients",
        question="Do gradients reach the weights?",
        does="Computes the gradient of one batch for each weight array, at the start and again after ten updates.",
        settles=("zero-gradients", "frozen-model"),
        ask=check_gradients,
        needs_feeding=False,
    ),
    Probe(
        name="one-step",
        question="Does an update at the highest learning rate change the weights?",
        does="Makes one update at the highest learning rate of the scan and compares the weights before and after.",
        settles=("frozen-model", "zero-gradients"),
        ask=step_once,
    ),
    Probe(
        name="overfit-one-batch",
        question="Can the model overfit 20 samples?",
        does="Trains on the same 20 samples at up to three learning rates and checks how close to zero the loss gets.",
        settles=("frozen-model", "zero-gradients", "labels-not-reaching-loss"),
        ask=overfit_small_batch,
    ),
    Probe(
        name="labels-from-inputs",
        question="Can simple models predict the labels from the inputs?",
        does="Fits ridge regressions to 300 samples and compares them with ridge regressions for shuffled labels.",
        settles=("labels-not-reaching-loss",),
        ask=check_label_dependence,
    ),
    Probe(
        name="hold-first-rate",
        question="Does the loss change at a constant learning rate?",
        does="Trains twice on the same batches at the first learning rate of the scan.",
        settles=("ordered-data", "range-too-high"),
        ask=hold_rate,
    ),
    Probe(
        name="predict-when-broken",
        question="Does the model predict the same for every input at the last learning rate?",
        does="Trains through the learning rates of the scan and measures how much the predictions still differ.",
        settles=("collapse",),
        ask=predict_when_broken,
    ),
    Probe(
        name="scan-again",
        question="Does a second scan have the same shape?",
        does="Scans again with different batches and random numbers.",
        settles=("small-batches", "catapult"),
        ask=scan_again,
    ),
    Probe(
        name="scan-wider",
        question="Does a wider scan confirm the first one?",
        does="Scans from a hundredth of the first learning rate to a hundred times the last, and at least to 10.",
        settles=("range-too-low", "range-too-high", "range-too-short"),
        ask=scan_wider,
    ),
    Probe(
        name="scale-inputs",
        question="Does the model learn better from scaled inputs?",
        does="Scans again with every input column scaled to mean 0 and standard deviation 1.",
        settles=("unscaled-inputs",),
        ask=scale_inputs,
    ),
    Probe(
        name="scan-longer",
        question="Does a longer scan confirm the first one?",
        does="Scans the same range with different batches in five times as many steps.",
        settles=("slow-start", "few-steps-per-decade"),
        ask=scan_longer,
    ),
    Probe(
        name="undo-averages",
        question="Does averaging distort the recorded curve?",
        does="Undoes the averaging of the recorded losses and analyzes the batch losses.",
        settles=("averaging",),
        ask=undo_average,
        needs_model=False,
        needs_feeding=False,
    ),
)
"""All probes, the fastest first."""
