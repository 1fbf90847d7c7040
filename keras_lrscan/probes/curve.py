"""Probes that check the curve itself: repeated scans, a constant learning rate, and averaging undone."""

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
from keras_lrscan.inspection.array_statistics import run_share, serial_correlation
from keras_lrscan.inspection.arrays import joined, leaves, standardized, to_arrays
from keras_lrscan.probes.investigation import Outcome
from keras_lrscan.probes.workbench import Answer, CannotAskError, Workbench
from keras_lrscan.reading.facts import RISES
from keras_lrscan.reading.features import Reference
from keras_lrscan.reading.references import reference_loss
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
"""Two scans agree if their lowest losses lie within this distance (decades), by which ten scans of one model differ."""

BATCHES_TO_HOLD = 40
"""Number of batches that are trained on twice at the first learning rate."""

CLEAR_CHANGE = 0.02
"""The model trains at the first learning rate if the loss of a second pass differs by this share of chance level ..."""

CLEAR_ERRORS = 4.0
"""... and by this many standard errors."""

WIDER = 100.0
"""Factor by which a wider scan extends the range at each end."""

MIN_END_LR, MAX_END_LR = 10.0, 1e4
"""A wider scan ends at the first of these learning rates or above, and never above the second."""

SAME_ANSWER = 1e-3
"""Predictions count as equal if their spread is below this share of their spread at the start."""

SAME_AT_START = 1e-6
"""Spread of the predictions at the start, as a share of the largest, up to which they are equal but for rounding."""


def scan_again(workbench: Workbench) -> Answer:
    """Scans again with different batches and random numbers, to see whether the shape changes."""
    first, second = workbench.analysis, _scan(workbench, renew=True)
    shapes, places = (first.verdict.shape, second.verdict.shape), (_lowest(first), _lowest(second))
    apart = abs(math.log10(places[1].lr / places[0].lr)) if places[0] and places[1] else None
    says = f"A scan with different batches and random numbers has the shape {shapes[1]}; the first had {shapes[0]}."
    if apart is not None:
        says += (
            f" Its lowest loss is at {format_lr(places[1].lr)}; in the first scan it was at {format_lr(places[0].lr)}."
        )
    is_noisy = max(part.features.noise or 0.0 for part in (first, second)) >= NOISY
    if shapes[0] == Shape.SEVERAL_VALLEYS and (first.features.epoch_pattern or 0.0) >= IN_STEP:
        says += " The losses repeat a pattern every epoch, so this scan settles nothing about valleys."
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    if shapes[0] == shapes[1] and (apart is None or apart <= SAME_PLACE):
        confirms = ("catapult",) if shapes[0] == Shape.SEVERAL_VALLEYS else ()
        gone = () if is_noisy and workbench.batch_size < SMALL_BATCH else ("small-batches",)
        return Answer(outcome=Outcome.YES, says=says, confirms=confirms, rules_out=gone)
    gone = ("catapult",) if shapes[0] == Shape.SEVERAL_VALLEYS else ()
    noise = ("small-batches",) if is_noisy and workbench.batch_size < SMALL_BATCH else ()
    return Answer(outcome=Outcome.NO, says=says, confirms=noise, rules_out=gone)


NOISY = 0.1
"""Batch-to-batch noise, as a share of the chance level, that can change the shape by itself."""

SMALL_BATCH = 16
"""Number of samples below which a batch is small, as in the table of causes."""

IN_STEP = 0.3
"""Correlation of the losses with those an epoch earlier from which they repeat a pattern, as in the table of causes."""


def scan_wider(workbench: Workbench) -> Answer:
    """Scans from a hundredth of the first learning rate to a hundred times the last, to see what the range hid."""
    first = workbench.analysis
    ramp = workbench.trials.ramp
    wide = dataclasses.replace(
        ramp, start_lr=ramp.start_lr / WIDER, end_lr=min(max(ramp.end_lr * WIDER, MIN_END_LR), MAX_END_LR)
    )
    second = _scan(workbench, ramp=wide)
    rises, rose = (bool(RISES.holds(dataclasses.asdict(part.features))) for part in (second, first))
    descent, elbow = second.landmarks.descent_start, second.landmarks.elbow
    moved = _movement_before(second, ramp.start_lr)
    broke = elbow is not None and elbow.lr <= ramp.start_lr
    begins = (broke and second.verdict.shape != Shape.TOO_SHORT) or moved >= MIN_FALL
    is_clear = begins or (not broke and moved < CLEAR_CHANGE and (descent is None or descent.lr > ramp.start_lr))
    says = (
        f"A scan from {format_lr(wide.start_lr)} to {format_lr(wide.end_lr)} has the shape {second.verdict.shape}; the "
        f"first had {first.verdict.shape}. "
    )
    if elbow is not None:
        says += f"The loss starts to rise at {format_lr(elbow.lr)}. "
    says += "The loss never rises. " if not rises else ""
    if descent is not None:
        says += f"The loss starts to fall at {format_lr(descent.lr)}."
    differs = second.verdict.shape != first.verdict.shape
    settled = {
        "range-too-low": rises and not rose,
        "range-too-high": begins if is_clear else None,
        "range-too-short": True if begins or (rises and not rose) else None if differs or not is_clear else False,
    }
    found = [name for name, holds in settled.items() if holds]
    return Answer(
        outcome=Outcome.NO if found else Outcome.UNCLEAR if differs else Outcome.YES,
        says=says.strip(),
        confirms=tuple(found),
        rules_out=tuple(name for name, holds in settled.items() if holds is False),
    )


def _movement_before(analysis: Analysis, rate: float) -> float:
    """Returns how far the loss has moved below a learning rate, as a share of its unit; 0 if that may be noise.

    The last quarter of the losses is compared with their first half.
    """
    loss, unit = analysis.curve.loss[analysis.curve.lr <= rate], _unit(analysis)
    loss = loss[np.isfinite(loss)]
    if loss.size < MIN_TO_COMPARE or unit <= 0:
        return 0.0
    early, late = loss[: loss.size // 2], loss[-(loss.size // 4) :]
    error = math.hypot(*(float(part.std(ddof=1)) / math.sqrt(part.size) for part in (early, late)))
    change = abs(float(late.mean() - early.mean()))
    return change / unit if change > CLEAR_ERRORS * error else 0.0


MIN_TO_COMPARE = 8
"""Fewest losses of which a quarter has a standard deviation."""


def scan_longer(workbench: Workbench) -> Answer:
    """Scans the same range in five times as many steps, to see whether the model needed more of them."""
    ramp, first = workbench.trials.ramp, workbench.analysis
    size = sum(leaf.nbytes for part in workbench.batches[0] for leaf in leaves(to_arrays(part)))
    need = size * len(workbench.batches) * LONGER
    if need > MAX_BYTES:
        msg = f"a scan of {ramp.num_steps * LONGER} steps needs {need / 1e9:.0f} GB of memory for its batches"
        raise CannotAskError(msg)
    second = _scan(workbench, renew=True, ramp=dataclasses.replace(ramp, num_steps=ramp.num_steps * LONGER))
    fall, (later, earlier) = second.features.fall, _falls_in_words(second, first)
    says = (
        f"A scan of {len(second.curve)} steps instead of {len(first.curve)} has the shape {second.verdict.shape}; the "
        f"first had {first.verdict.shape}. Its loss falls by {later}; in the first scan it fell by {earlier}."
    )
    same, known = second.verdict.shape == first.verdict.shape, workbench.known
    is_dense = (known["points_per_decade"] or 0.0) >= DENSE
    gone = ("few-steps-per-decade",) if same else ()
    if first.features.fall >= MIN_FALL:
        few = () if same or is_dense or fall < MIN_FALL else ("few-steps-per-decade",)
        return Answer(outcome=Outcome.YES if same else Outcome.NO, says=says, confirms=few, rules_out=gone)
    if fall < MIN_FALL:
        return Answer(outcome=Outcome.YES, says=says, rules_out=("slow-start", *gone))
    other = _other_reason_to_fall(workbench)
    if other is not None:
        return Answer(outcome=Outcome.UNCLEAR, says=f"{says} {other}")
    return Answer(outcome=Outcome.NO, says=says, confirms=("slow-start",), rules_out=gone)


def _other_reason_to_fall(workbench: Workbench) -> str | None:
    """Returns a reason, other than more steps, for a loss that falls only in a longer scan, as a sentence."""
    known = workbench.known
    if known["well_shuffled"] is False or _label_runs(workbench) >= IN_RUNS:
        return "The data come in order, so the loss may fall with the data."
    if known["labels_follow_inputs"] is False:
        return NO_TIE
    passes, longer = known["epochs_over_data"], workbench.trials.num_steps * LONGER / max(1, known["num_points"])
    if passes is not None and passes * longer >= MEMORIZES:
        return f"It went through the data {passes * longer:.0f} times, so the model may have memorized the samples."
    return None


NO_TIE = "Simple models find no tie between inputs and labels, so the model may have memorized the samples."
"""Why a lower loss settles nothing."""

DENSE = 12.0
"""Points per decade from which a scan has enough of them, as in the table of causes."""

MEMORIZES = 20.0
"""Passes over the data from which most models memorize them, as in the table of causes."""


LONGER = 5
"""Factor by which the number of steps grows."""

MAX_BYTES = 2e9
"""Maximum memory for the batches of a scan (bytes)."""

MIN_FALL = 0.1
"""Fall, as a share of the chance level, that exceeds the noise of a scan of a few hundred steps."""


def scale_inputs(workbench: Workbench) -> Answer:
    """Scans again with every input column scaled to mean 0 and standard deviation 1."""
    scaled, spans = standardized(workbench.batches)
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    says = f"The inputs range from {low:.3g} to {high:.3g}. "
    if max(abs(low), abs(high)) < LARGE_INPUT:
        return Answer(outcome=Outcome.NO, says=f"{says}They are small enough.", rules_out=("unscaled-inputs",))
    first, second = workbench.analysis, _scan(workbench, batches=scaled)
    starts = [float(np.median(part.curve.loss[:NUM_START])) for part in (first, second)]
    lows = [part.landmarks.minimum.loss if part.landmarks.minimum else math.inf for part in (first, second)]
    says += (
        f"With every column scaled to mean 0 and standard deviation 1, the loss starts at {format_loss(starts[1])} and "
        f"falls to {format_loss(lows[1])}; in the first scan it started at {format_loss(starts[0])} and fell to "
        f"{format_loss(lows[0])}."
    )
    reference = _unit(first)
    if workbench.known["labels_follow_inputs"] is False:
        return Answer(outcome=Outcome.UNCLEAR, says=f"{says} {NO_TIE}")
    if lows[1] < lows[0] - MIN_GAIN * reference or starts[1] < starts[0] - reference:
        return Answer(outcome=Outcome.YES, says=says, confirms=("unscaled-inputs",))
    if not all(map(math.isfinite, (*lows, *starts))) or starts[1] < starts[0] - MIN_GAIN * reference:
        return Answer(outcome=Outcome.UNCLEAR, says=says)
    return Answer(outcome=Outcome.NO, says=says, rules_out=("unscaled-inputs",))


LARGE_INPUT = 10.0
"""Absolute value below which no input is too large, as in the table of causes."""

NUM_START = 5
"""Number of losses that define the start of a scan."""

MIN_GAIN = 0.2
"""Share of the chance level by which scaled inputs must lower the lowest loss."""


def hold_rate(workbench: Workbench) -> Answer:
    """Trains twice on the same batches at the first learning rate of the scan."""
    batches = workbench.batches[:BATCHES_TO_HOLD]
    rate, number = float(workbench.analysis.curve.lr[0]), len(batches)
    losses = workbench.train(batches, [rate] * (2 * number))
    if len(losses) < 2 * number or not np.isfinite(losses).all():
        msg = f"the loss is NaN or infinite even at a learning rate of {format_lr(rate)}"
        raise CannotAskError(msg)
    passes = losses.reshape(2, number)
    change, error = _mean_and_error(passes[1] - passes[0])
    reference = _unit(workbench.analysis)
    moves = abs(change) > CLEAR_ERRORS * error and abs(change) > CLEAR_CHANGE * reference
    correlation, chance_limit = _neighbor_correlation(passes[0], workbench.seed)
    spread = float(passes[0].std())
    runs, shuffled = _label_runs(workbench), workbench.known["well_shuffled"]
    similar = correlation > max(chance_limit, MIN_CORRELATION) and spread > CLEAR_CHANGE * reference
    in_order = runs >= IN_RUNS or (similar and not moves)
    says = (
        f"At a constant learning rate of {format_lr(rate)}, a second pass over the same {number} batches changed the "
        f"mean loss from {format_loss(passes[0].mean())} to {format_loss(passes[1].mean())}"
    )
    says += ": the model already trains at this rate. " if moves else ": the model does not train yet at this rate. "
    says += (
        f"The losses of consecutive batches are {'similar' if similar else 'unrelated'} (correlation "
        f"{correlation:.2f}; up to {chance_limit:.2f} in random order)."
    )
    says += " The training itself can make them similar." if similar and moves else ""
    says += f" The labels come in runs: {runs:.2f} on a scale from 0 to 1." if runs >= IN_RUNS else ""
    settled = {
        "range-too-high": moves,
        "ordered-data": True if in_order else None if similar or (not shuffled and runs > CLEAR_RUNS) else False,
    }
    return Answer(
        outcome=Outcome.YES if moves or in_order else Outcome.NO,
        says=says,
        confirms=tuple(name for name, holds in settled.items() if holds),
        rules_out=tuple(name for name, holds in settled.items() if holds is False),
    )


IN_RUNS = 0.2
"""Labels count as sorted from this value on a scale from 0 to 1, as in the table of causes."""

CLEAR_RUNS = 0.05
"""Labels up to this value are in random order, as in the table of causes. Data that are not shuffled, with labels that
could be in order, are not ruled out."""

MIN_CORRELATION = 0.3
"""Minimum correlation of consecutive losses in ordered data, even if a smaller one is unlikely in random order."""


def predict_when_broken(workbench: Workbench) -> Answer:
    """Trains through the learning rates of the scan and checks whether all predictions become equal."""
    batch = workbench.batches[0]
    before, rates = workbench.predict(batch), [float(rate) for rate in workbench.analysis.curve.lr]
    after = workbench.after_training(workbench.batches, rates, lambda: workbench.predict(batch))
    if not np.isfinite(after).all():
        return Answer(
            outcome=Outcome.UNCLEAR, says="The predictions are NaN or infinite at the last learning rate of the scan."
        )
    spreads = [float(np.std(part, axis=0).max()) for part in (before, after)]
    says = (
        f"After training through the learning rates of the scan, the predictions for {len(after)} samples have a "
        f"standard deviation of {spreads[1]:.2g}; before it was {spreads[0]:.2g}."
    )
    if spreads[1] <= SAME_ANSWER * spreads[0]:
        differed = spreads[0] > SAME_AT_START * float(np.abs(before).max())
        says += f" The model predicts the same for every sample{'' if differed else ', as it did before'}."
        suspected = any(finding.name == "collapse" for finding in workbench.analysis.findings)
        learned = differed and workbench.analysis.features.fall > 0
        return Answer(outcome=Outcome.YES, says=says, confirms=("collapse",) if learned and suspected else ())
    return Answer(outcome=Outcome.NO, says=says, rules_out=("collapse",))


def undo_average(analysis: Analysis) -> Answer:
    """Compares the shape of a running average with the shape of the batch losses recovered from it."""
    context = analysis.curve.context
    average = context.undone_averaging or context.averaging or detect_averaging(analysis.curve).averaging
    if average is None or average not in AVERAGES:
        return _no_average(analysis)
    if context.undone_averaging is not None:
        averaged, batches = analyze(_averaged(analysis.curve, average)), analysis
    else:
        averaged, batches = analysis, analyze(_undone(analysis.curve, average))
    shapes, places = (averaged.verdict.shape, batches.verdict.shape), (_lowest(averaged), _lowest(batches))
    apart = abs(math.log10(places[0].lr / places[1].lr)) if places[0] and places[1] else 0.0
    says = (
        f"The recording contains a running average ({average}), which has the shape {shapes[0]}. The batch losses "
        f"recovered from it have the shape {shapes[1]}."
    )
    if places[0] and places[1]:
        says += (
            f" The lowest loss is at {format_lr(places[0].lr)} in the average and at {format_lr(places[1].lr)} in the "
            "batch losses."
        )
    if shapes[0] != shapes[1] or apart > SAME_PLACE:
        return Answer(outcome=Outcome.YES, says=says, confirms=("averaging",))
    return Answer(outcome=Outcome.NO, says=says, rules_out=("averaging",))


def _no_average(analysis: Analysis) -> Answer:
    if analysis.curve.context.framework is not None:
        says = "A scan of this package recorded the losses, and it records the loss of each batch separately."
        return Answer(outcome=Outcome.NO, says=says, rules_out=("averaging",))
    detected = detect_averaging(analysis.curve)
    if detected.averaged:
        msg = "the losses are averages, but the kind of averaging cannot be recognized"
        raise CannotAskError(msg)
    says = " ".join(["The recording shows no sign of averaging.", *detected.evidence])
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
        msg = f"the average {average!r} cannot be computed again without the number of batches per epoch"
        raise CannotAskError(msg)
    context = dataclasses.replace(curve.context, averaging=average, undone_averaging=None)
    return dataclasses.replace(curve, loss=AVERAGES[average].apply(curve.loss, steps), context=context)


def _scan(workbench: Workbench, **options: FitOption) -> Analysis:
    curve = workbench.scan(**options)
    return analyze(dataclasses.replace(curve, context=_with_settings(curve, workbench.analysis.curve)))


def _with_settings(curve: LRCurve, original: LRCurve) -> Value:
    """Returns the context of the first scan with the range of this one."""
    new = curve.context
    return dataclasses.replace(
        original.context, start_lr=new.start_lr, end_lr=new.end_lr, num_steps=new.num_steps, notes=()
    )


def _falls_in_words(*analyses: Analysis) -> tuple[str, ...]:
    """Returns each fall as a share of the reference loss, or in the unit of the loss if one scan has none."""
    references = {analysis.features.reference for analysis in analyses}
    if len(references) == 1 and Reference.NONE not in references:
        of = f" of the {references.pop()}"
        return tuple(f"{analysis.features.fall:.0%}{of}" for analysis in analyses)
    starts = [analysis.landmarks.start.loss if analysis.landmarks.start else 0.0 for analysis in analyses]
    lows = [_lowest(analysis) for analysis in analyses]
    return tuple(
        format_loss(max(0.0, start - low.loss) if low else 0.0) for start, low in zip(starts, lows, strict=True)
    )


def _unit(analysis: Analysis) -> float:
    """Returns the reference loss, or the range of the losses before the rise for a loss without a natural zero."""
    elbow, loss = analysis.landmarks.elbow, analysis.smoothed.loss
    calm = loss if elbow is None else loss[: elbow.index + 1]
    return reference_loss(analysis.curve) or float(np.ptp(calm))


def _lowest(analysis: Analysis) -> Value:
    return analysis.landmarks.minimum if analysis.landmarks.valleys else None


def _mean_and_error(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def _label_runs(workbench: Workbench) -> float:
    """Returns the degree to which labels or targets come in runs, from 0 to 1, or 0 with several labels per sample."""
    labels = list(leaves(joined([batch[1] for batch in workbench.batches])))
    if len(labels) != 1:
        return 0.0
    flat = labels[0].reshape(len(labels[0]), -1)
    if "crossentropy" not in (workbench.analysis.curve.context.loss_name or ""):
        return serial_correlation(flat) or 0.0
    return run_share(flat[:, 0] if flat.shape[1] == 1 else flat) or 0.0


def _neighbor_correlation(losses: Array, seed: int) -> tuple[float, float]:
    """Returns the correlation of consecutive losses, and its 99th percentile over random orders."""
    if len(losses) < MIN_TO_ORDER or np.ptp(losses) == 0:
        return 0.0, 0.0
    centered = losses - losses.mean()
    random = np.random.default_rng(seed)
    orders = np.stack([centered, *(random.permutation(centered) for _ in range(300))])
    found = (orders[:, 1:] * orders[:, :-1]).sum(1) / (centered**2).sum()
    return float(found[0]), float(np.quantile(found[1:], 0.99))


MIN_TO_ORDER = 10
"""Minimum number of batches for a test of their order."""
