"""`PROBES`: questions to the model, the data and the curve, each with the causes that its answer settles."""

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
    """One question to the model, the data or the curve.

    Attributes:
        name: Name of the probe.
        question: What it asks.
        does: What it does, in plain words.
        settles: Names of the causes that it can confirm or rule out.
        ask: Asks; gets the analysis, and a bench where it needs the model.
        needs_model: Whether it needs the model.
    """

    name: str
    question: str
    does: str
    settles: tuple[str, ...]
    ask: Callable[[Any], Answer]
    needs_model: bool = True


PROBES: tuple[Probe, ...] = (
    Probe(
        name="look-at-data",
        question="Are there numbers in the data that are none?",
        does="Looks for NaN, infinity and labels that are no class in the batches of the scan.",
        settles=("nan-in-data",),
        ask=look_at_data,
    ),
    Probe(
        name="start-against-guessing",
        question="Is the model better than guessing before any training?",
        does="Evaluates the model on up to ten batches and compares with the best guess that looks at no input.",
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
        question="Do the loss and the last layer fit?",
        does="Looks whether predictions are probabilities, and whether the loss expects probabilities.",
        settles=("wrong-from-logits",),
        ask=match_loss,
    ),
    Probe(
        name="half-a-batch",
        question="Is the loss a sum over the batch?",
        does="Compares the loss of a batch with the losses of its halves: a mean lies between them, a sum adds up.",
        settles=("sum-loss",),
        ask=halve_batch,
    ),
    Probe(
        name="penalties",
        question="Is much of the loss a penalty on the weights?",
        does="Adds up the penalties on the weights and compares them with the loss of a batch.",
        settles=("regularization",),
        ask=weigh_penalty,
    ),
    Probe(
        name="gradients",
        question="Does the loss answer to the weights?",
        does="Takes the gradient of one batch for each weight array, at the start and again after ten updates.",
        settles=("zero-gradients", "frozen-model"),
        ask=check_gradients,
    ),
    Probe(
        name="one-step",
        question="Does one update at the highest rate change the weights?",
        does="Takes one update at the highest rate of the scan and compares the weights before and after.",
        settles=("frozen-model", "zero-gradients"),
        ask=step_once,
    ),
    Probe(
        name="overfit-one-batch",
        question="Can the model learn 20 samples by heart?",
        does="Trains on 20 samples, over and over, at up to three rates, and looks how near to zero the loss comes.",
        settles=("frozen-model", "zero-gradients", "labels-not-reaching-loss"),
        ask=overfit_small_batch,
    ),
    Probe(
        name="labels-from-inputs",
        question="Can the labels be told from the inputs at all?",
        does="Fits simple rules (ridge regressions) to 300 samples and compares them with rules for shuffled labels.",
        settles=("labels-not-reaching-loss",),
        ask=check_label_dependence,
    ),
    Probe(
        name="hold-first-rate",
        question="Does the loss move while the rate stands still?",
        does="Goes twice through the same batches at the first rate of the scan.",
        settles=("ordered-data", "range-too-high"),
        ask=hold_rate,
    ),
    Probe(
        name="predict-when-broken",
        question="Does the model give the same answer to everything at the last rate?",
        does="Trains through the rates of the scan and looks at how much the predictions still differ.",
        settles=("collapse",),
        ask=predict_when_broken,
    ),
    Probe(
        name="scan-again",
        question="Does another scan have the same shape?",
        does="Scans again on other batches, with other random numbers.",
        settles=("small-batches", "catapult"),
        ask=scan_again,
    ),
    Probe(
        name="scan-wider",
        question="Does a wider scan show the same?",
        does="Scans from a hundredth of the first rate to a hundred times the last, and at least to 10.",
        settles=("range-too-low", "range-too-high", "range-too-short"),
        ask=scan_wider,
    ),
    Probe(
        name="scale-inputs",
        question="Does the model learn better from scaled inputs?",
        does="Scans again with every input column brought to mean 0 and standard deviation 1.",
        settles=("unscaled-inputs",),
        ask=scale_inputs,
    ),
    Probe(
        name="scan-longer",
        question="Does a longer scan show the same?",
        does="Scans the same range on other batches in five times as many steps.",
        settles=("slow-start", "few-steps-per-decade"),
        ask=scan_longer,
    ),
    Probe(
        name="undo-averages",
        question="Does the record of single batches show something else?",
        does="Undoes the average that the losses were stored as, and reads the curve again.",
        settles=("averaging",),
        ask=undo_average,
        needs_model=False,
    ),
)
"""Every probe, the quick ones first."""
