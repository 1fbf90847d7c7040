"""Probes that ask whether the curve is what it seems: scanned again, at one rate, over a wider range, undone."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan._typing import FitOption, Value
from keras_lrscan.analysis import analyze
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.detect_averaging import detect_averaging
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError
from keras_lrscan.formatting import format_loss, format_lr
from keras_lrscan.inspection.array_statistics import run_share
from keras_lrscan.inspection.arrays import joined, leaves, standardized, to_arrays
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.workbench import Answer, Bench, CannotAskError
from keras_lrscan.reading.facts import RISES
from keras_lrscan.reading.features import reference_loss
from keras_lrscan.reading.shapes import Shape

if TYPE_CHECKING:
    from keras_lrscan.analysis import Analysis
    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.probes.workbench import Array

__all__ = [
    "hold_rate",
    "predict_when_broken",
    "scale_inputs",
    "scan_again",
    "scan_longer",
    "scan_wider",
    "undo_average",
]

SAME_PLACE = 0.5
"""Decades within which two scans of one model put their lowest loss; ten scans of one model differ by this much."""

BATCHES_TO_HOLD = 40
"""Batches that are gone through twice at the first rate."""

CLEAR_CHANGE = 0.02
"""A second pass at the first rate shows training when it lowers the loss by this share of that of guessing, ..."""

CLEAR_ERRORS = 4.0
"""... and by this many standard errors."""

WIDER = 100.0
"""Factor by which a wider scan goes on at either end."""

WIDE, WIDEST = 10.0, 1e4
"""... to the first of these rates at least, and no further than the second."""

SAME_ANSWER = 1e-3
"""Predictions are all the same when they spread by less than this share of what they do at the start."""


def scan_again(bench: Bench) -> Answer:
    """Scans again, on other batches and with other random numbers."""
    first, second = bench.analysis, _scan(bench, anew=True)
    shapes, places = (first.verdict.shape, second.verdict.shape), (_lowest(first), _lowest(second))
    apart = abs(math.log10(places[1].lr / places[0].lr)) if places[0] and places[1] else None
    says = f"Scanned again on other batches with other random numbers, the shape is {shapes[1]}; it was {shapes[0]}."
    if apart is not None:
        says += f" The lowest loss stands at {format_lr(places[1].lr)}; it stood at {format_lr(places[0].lr)}."
    if shapes[0] == shapes[1] and (apart is None or apart <= SAME_PLACE):
        confirms = ("catapult",) if shapes[0] == Shape.SEVERAL_VALLEYS else ()
        return Answer(outcome=Outcome.YES, says=says, confirms=confirms, rules_out=("small-batches",))
    gone = ("catapult",) if shapes[0] == Shape.SEVERAL_VALLEYS else ()
    luck = ("small-batches",) if (first.features.noise or 0.0) >= NOISY else ()
    return Answer(outcome=Outcome.NO, says=says, confirms=luck, rules_out=gone)


NOISY = 0.1
"""Noise of one batch, as a share of the loss of guessing, that can make another shape by itself."""


def scan_wider(bench: Bench) -> Answer:
    """Scans from a hundredth of the first rate to a hundred times the last."""
    first = bench.analysis
    ramp = bench.trials.ramp
    wide = dataclasses.replace(ramp, start_lr=ramp.start_lr / WIDER, end_lr=min(max(ramp.end_lr * WIDER, WIDE), WIDEST))
    second = _scan(bench, ramp=wide)
    rises, rose = (bool(RISES.holds(dataclasses.asdict(part.features))) for part in (second, first))
    descent = second.landmarks.descent_start
    begins = descent is not None and descent.lr < ramp.start_lr
    says = (
        f"Scanned from {format_lr(wide.start_lr)} to {format_lr(wide.end_lr)}, the shape is {second.verdict.shape}; it "
        f"was {first.verdict.shape}. "
    )
    if second.landmarks.elbow is not None:
        says += f"The loss rises from {format_lr(second.landmarks.elbow.lr)} on. "
    says += "It never rises. " if not rises else ""
    if descent is not None:
        says += f"It begins to fall at {format_lr(descent.lr)}."
    confirms = [("range-too-low", rises and not rose), ("range-too-high", begins)]
    confirms.append(
        ("range-too-short", any(true for _, true in confirms) or second.verdict.shape != first.verdict.shape)
    )
    return Answer(
        outcome=Outcome.NO if confirms[-1][1] else Outcome.YES,
        says=says.strip(),
        confirms=tuple(name for name, true in confirms if true),
        rules_out=tuple(name for name, true in confirms if not true),
    )


def scan_longer(bench: Bench) -> Answer:
    """Scans the same range in five times as many steps."""
    ramp, first = bench.trials.ramp, bench.analysis
    size = sum(leaf.nbytes for part in bench.batches[0] for leaf in leaves(to_arrays(part)))
    need = size * len(bench.batches) * LONGER
    if need > MAX_BYTES:
        msg = f"the batches of a scan of {ramp.num_steps * LONGER} steps would take {need / 1e9:.0f} GB of memory"
        raise CannotAskError(msg)
    second = _scan(bench, anew=True, ramp=dataclasses.replace(ramp, num_steps=ramp.num_steps * LONGER))
    fall = second.features.fall
    says = (
        f"Scanned in {len(second.curve)} steps instead of {len(first.curve)}, the shape is {second.verdict.shape}; it "
        f"was {first.verdict.shape}. The loss falls by {fall:.0%} of that of guessing; before, by "
        f"{first.features.fall:.0%}."
    )
    same = second.verdict.shape == first.verdict.shape
    gone = ("few-steps-per-decade",) if same else ()
    if first.features.fall >= MIN_FALL:
        outcome = Outcome.YES if same else Outcome.NO
        return Answer(outcome=outcome, says=says, confirms=() if same else ("few-steps-per-decade",), rules_out=gone)
    if fall >= MIN_FALL:
        return Answer(outcome=Outcome.NO, says=says, confirms=("slow-start",), rules_out=gone)
    return Answer(outcome=Outcome.YES, says=says, rules_out=("slow-start", *gone))


LONGER = 5
"""Times as many steps as the first scan had."""

MAX_BYTES = 2e9
"""Batches that are kept in memory, at most."""

MIN_FALL = 0.1
"""Fall, as a share of the loss of guessing, that is more than noise in a scan of some hundred steps."""


def scale_inputs(bench: Bench) -> Answer:
    """Scans again with every column of the inputs brought to mean 0 and standard deviation 1."""
    scaled, spans = standardized(bench.batches)
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    says = f"The inputs go from {low:.3g} to {high:.3g}. "
    first, second = bench.analysis, _scan(bench, batches=scaled)
    starts = [float(np.median(part.curve.loss[:STARTERS])) for part in (first, second)]
    lows = [part.landmarks.minimum.loss if part.landmarks.minimum else math.inf for part in (first, second)]
    says += (
        f"With each column scaled to mean 0 and standard deviation 1, the loss starts at {format_loss(starts[1])} and "
        f"goes down to {format_loss(lows[1])}; before it started at {format_loss(starts[0])} and went down to "
        f"{format_loss(lows[0])}."
    )
    reference = reference_loss(first.curve) or abs(starts[0])
    if lows[1] < lows[0] - CLEARLY * reference or starts[1] < starts[0] - reference:
        return Answer(outcome=Outcome.YES, says=says, confirms=("unscaled-inputs",))
    return Answer(outcome=Outcome.NO, says=says, rules_out=("unscaled-inputs",))


STARTERS = 5
"""Losses that tell where a scan starts."""

CLEARLY = 0.2
"""Share of the loss of guessing by which scaled inputs must lower the lowest loss."""


def hold_rate(bench: Bench) -> Answer:
    """Goes twice through the same batches at the first rate of the scan."""
    batches = bench.batches[:BATCHES_TO_HOLD]
    rate, number = float(bench.analysis.curve.lr[0]), len(batches)
    losses = bench.train(batches, [rate] * (2 * number))
    if len(losses) < 2 * number or not np.isfinite(losses).all():
        msg = f"the loss is NaN or infinite even at {format_lr(rate)}"
        raise CannotAskError(msg)
    passes = losses.reshape(2, number)
    change, error = _mean_and_error(passes[1] - passes[0])
    reference = reference_loss(bench.analysis.curve) or abs(float(passes[0].mean()))
    moves = abs(change) > CLEAR_ERRORS * error and abs(change) > CLEAR_CHANGE * reference
    memory, luck = _memory(passes[0], bench.seed)
    spread = float(passes[0].std())
    runs = _runs(bench)
    in_order = runs >= IN_RUNS or (memory > max(luck, MIN_MEMORY) and spread > CLEAR_CHANGE * reference)
    says = (
        f"At {format_lr(rate)}, held for two passes over the same {number} batches, the mean loss went from "
        f"{format_loss(passes[0].mean())} to {format_loss(passes[1].mean())}"
    )
    says += ": this rate trains already. " if moves else ": this rate does not train yet. "
    says += (
        f"From one batch to the next, losses {'are alike' if in_order else 'come in no order'} (correlation "
        f"{memory:.2f}, by luck up to {luck:.2f})."
    )
    says += f" The labels come in runs, {runs:.2f} on a scale from 0 to 1." if runs >= IN_RUNS else ""
    confirms = [("range-too-high", moves), ("ordered-data", in_order)]
    return Answer(
        outcome=Outcome.YES if moves or in_order else Outcome.NO,
        says=says,
        confirms=tuple(name for name, true in confirms if true),
        rules_out=tuple(name for name, true in confirms if not true),
    )


IN_RUNS = 0.2
"""From here on labels count as sorted, on a scale from 0 to 1; as in the table of causes."""

MIN_MEMORY = 0.3
"""Correlation of neighboring losses below which no order is seen, however unlikely by luck."""


def predict_when_broken(bench: Bench) -> Answer:
    """Trains as the scan did, up to its last rate, and looks at the predictions."""
    batch = bench.batches[0]
    before = bench.predict(batch)
    bench.train(bench.batches, [float(rate) for rate in bench.analysis.curve.lr])
    after = bench.predict(batch)
    if not np.isfinite(after).all():
        return Answer(outcome=Outcome.UNCLEAR, says="At the last rate of the scan the predictions are NaN or infinite.")
    spreads = [float(np.std(part, axis=0).max()) for part in (before, after)]
    says = (
        f"Trained through the rates of the scan, the model's predictions for {len(after)} samples spread by "
        f"{spreads[1]:.2g}; before they spread by {spreads[0]:.2g}."
    )
    if spreads[1] <= SAME_ANSWER * spreads[0]:
        says += " So it gives the same answer to everything."
        learned = spreads[0] > 0 and bench.analysis.features.fall > 0
        return Answer(outcome=Outcome.YES, says=says, confirms=("collapse",) if learned else ())
    return Answer(outcome=Outcome.NO, says=says, rules_out=("collapse",))


def undo_average(analysis: Analysis) -> Answer:
    """Reads the curve with and without the average that it was stored as."""
    context = analysis.curve.context
    average = context.undone_averaging or context.averaging or detect_averaging(analysis.curve).averaging
    if average is None or average not in AVERAGES:
        return _no_average(analysis)
    if context.undone_averaging is not None:
        drawn, batches = analyze(_averaged(analysis.curve, average)), analysis
    else:
        drawn, batches = analysis, analyze(_undone(analysis.curve, average))
    shapes, places = (drawn.verdict.shape, batches.verdict.shape), (_lowest(drawn), _lowest(batches))
    apart = abs(math.log10(places[0].lr / places[1].lr)) if places[0] and places[1] else 0.0
    says = (
        f"The record holds averages ({average}). Drawn as such the shape is {shapes[0]}; of the single batches, "
        f"recovered from them, it is {shapes[1]}."
    )
    if places[0] and places[1]:
        says += (
            f" The lowest loss stands at {format_lr(places[0].lr)} in the averages and at {format_lr(places[1].lr)} in "
            "the batches."
        )
    if shapes[0] != shapes[1] or apart > SAME_PLACE:
        return Answer(outcome=Outcome.YES, says=says, confirms=("averaging",))
    return Answer(outcome=Outcome.NO, says=says, rules_out=("averaging",))


def _no_average(analysis: Analysis) -> Answer:
    if analysis.curve.context.framework is not None:
        says = "The losses were recorded by a scan of this package, each of one batch alone."
        return Answer(outcome=Outcome.NO, says=says, rules_out=("averaging",))
    seen = detect_averaging(analysis.curve)
    if seen.averaged:
        msg = "the record shows that it holds averages, but not which"
        raise CannotAskError(msg)
    says = " ".join(["The record shows no trace of averages.", *seen.evidence])
    return Answer(outcome=Outcome.NO, says=says, rules_out=("averaging",))


def _undone(curve: LRCurve, average: str) -> LRCurve:
    from keras_lrscan.curves.averaging import undo_averaging

    steps = curve.context.steps_per_epoch or detect_averaging(curve).steps_per_epoch
    try:
        return undo_averaging(curve, averaging=average, steps_per_epoch=steps)
    except (InvalidCurveError, InvalidOptionError) as error:
        raise CannotAskError(str(error)) from error


def _averaged(curve: LRCurve, average: str) -> LRCurve:
    steps = curve.context.steps_per_epoch
    if average not in AVERAGES or (AVERAGES[average].needs_epoch and steps is None):
        msg = f"the average {average!r} cannot be drawn again without the number of batches in an epoch"
        raise CannotAskError(msg)
    context = dataclasses.replace(curve.context, averaging=average, undone_averaging=None)
    return dataclasses.replace(curve, loss=AVERAGES[average].apply(curve.loss, steps), context=context)


def _scan(bench: Bench, **options: FitOption) -> Analysis:
    curve = bench.scan(**options)
    return analyze(dataclasses.replace(curve, context=_with_settings(curve, bench.analysis.curve)))


def _with_settings(curve: LRCurve, original: LRCurve) -> Value:
    """Returns the context of the first scan, with the range of this one."""
    new = curve.context
    return dataclasses.replace(
        original.context, start_lr=new.start_lr, end_lr=new.end_lr, num_steps=new.num_steps, notes=()
    )


def _lowest(analysis: Analysis) -> Value:
    return analysis.landmarks.minimum if analysis.landmarks.valleys else None


def _mean_and_error(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def _runs(bench: Bench) -> float:
    """Returns how far the labels of the batches come in runs, from 0 to 1; 0 where they are no classes."""
    labels = list(leaves(joined([batch[1] for batch in bench.batches])))
    if len(labels) != 1 or "crossentropy" not in (bench.analysis.curve.context.loss_name or ""):
        return 0.0
    flat = labels[0].reshape(len(labels[0]), -1)
    return run_share(flat[:, 0] if flat.shape[1] == 1 else flat) or 0.0


def _memory(losses: Array, seed: int) -> tuple[float, float]:
    """Returns the correlation of neighboring losses, and what 99 of 100 random orders stay below."""
    if len(losses) < MIN_TO_ORDER or np.ptp(losses) == 0:
        return 0.0, 0.0
    centered = losses - losses.mean()
    random = np.random.default_rng(seed)
    orders = np.stack([centered, *(random.permutation(centered) for _ in range(300))])
    found = (orders[:, 1:] * orders[:, :-1]).sum(1) / (centered**2).sum()
    return float(found[0]), float(np.quantile(found[1:], 0.99))


MIN_TO_ORDER = 10
"""Of fewer batches, the order says nothing."""
