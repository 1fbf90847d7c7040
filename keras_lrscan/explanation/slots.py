"""Fills the slots in braces of sentences. A sentence with a slot of unknown value is not said.

Empty slots are conditions: `{no_problem}` at the start of a sentence means that it is said only
if nothing has to be fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_lrscan.causes.scan_settings import CAUSES_OF_RANGE
from keras_lrscan.curves.context import EPOCH, chance_loss
from keras_lrscan.curves.curve import StopReason
from keras_lrscan.curves.optimizer_families import optimizer_family
from keras_lrscan.formatting import format_loss, format_lr, slots_of
from keras_lrscan.reading.facts import EXPLODES, FALLS, MANY_PASSES, MEASURES, NO_FLOOR, USUAL_STEPS, Condition
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.references import References, has_natural_zero
from keras_lrscan.reading.shapes import MIN_DECADES, MIN_POINTS
from keras_lrscan.reading.start_state import BETTER_THAN_CHANCE, StartState, is_untrained
from keras_lrscan.suggestions.suggest import format_suggestion, what_stops_learning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from keras_lrscan.pure_analysis import PureAnalysis

__all__ = ["CODES_OF_RANGE", "NOT_OVERFITTING", "escape_braces", "fill", "slots_for", "starts_by_luck"]

SMALL_WEIGHTS = Condition("mean_weight", "<", 0.1)
"""Sample weights that make the loss, and the steps of gradient descent, ten times smaller or more."""
SMALL_END = 0.1
"""Last rate below which a flat scan may have ended too early."""
FAR_BEYOND = 5.0
"""Rate far beyond the usual ones of an optimizer that divides by the size of the gradient: steps as large as this."""
NOT_OVERFITTING = "It is not overfitting. This test is far too short for that, and it uses only training data."
PROVES_NOTHING = "It does not prove overfitting, which shows only on data that the model does not train on."
"""Said of a test that went through the data often enough to memorize them."""

CODES_OF_RANGE = frozenset(cause.code for cause in CAUSES_OF_RANGE)
"""Codes of the causes that lie in the test and not in the model or the data."""

SHUFFLE = "Shuffle the data."
SAME_ORDER = (
    "The data are shuffled, so the same order seems to come back in every epoch, as in Keras after `set_random_seed`. "
    "That is no fault."
)
"""Advice on batches whose losses repeat in every epoch."""

MOVED = Condition("weight_change", ">=", 0.1)
"""The weights changed so much that frozen layers or lost updates are no explanation."""

LOW_UNTIL_NAN = Condition("rise_before_nonfinite", "<", 1.0)

FAR_FROM_START = 0.1
"""Difference of the first loss from the start, as a share of the start, or of the range of a loss below zero."""


def slots_for(analysis: PureAnalysis) -> dict[str, str]:
    """Returns the slots whose values are known."""
    marks, suggestion = analysis.landmarks, analysis.suggestion
    slots = {"start_lr": format_lr(analysis.curve.lr[0]), **_slots_of_record(analysis)}
    for name in ("descent_start", "steepest", "minimum", "elbow"):
        mark = getattr(marks, name)
        if mark is not None:
            slots[f"{name}_lr"] = format_lr(mark.lr)
    exploded = EXPLODES.holds(analysis.facts)
    if exploded:
        slots["explosion"] = MEASURES["early_explosion"].show(analysis.features.early_explosion)
    start = None if marks.start is None else marks.start.loss
    losses = {
        "start_loss": float(analysis.curve.loss[0]) if exploded else start,
        "lowest_loss": None if marks.minimum is None else marks.minimum.loss,
        "end_loss": float(analysis.smoothed.loss[-1]) if analysis.smoothed.loss.size else None,
        "chance_loss": None
        if analysis.verdict.start_state == StartState.UNKNOWN
        else chance_loss(analysis.curve.context),
    }
    slots |= {name: format_loss(loss) for name, loss in losses.items() if loss is not None}
    slots |= _slots_of_start(analysis)
    slots |= dict.fromkeys(_conditions(analysis), "")
    slots["jumps"] = "turns NaN or infinite" if LOW_UNTIL_NAN.holds(analysis.facts) else "shoots up"
    slots["not_overfitting"] = PROVES_NOTHING if MANY_PASSES.holds(analysis.facts) else NOT_OVERFITTING
    if SMALL_WEIGHTS.holds(analysis.facts) and not optimizer_family(analysis.curve.context.optimizer).is_adaptive:
        slots["small_weight"] = MEASURES["mean_weight"].show(analysis.facts["mean_weight"])
    slots["order"] = SAME_ORDER if analysis.facts["well_shuffled"] else SHUFFLE
    for finding in reversed(analysis.findings):
        if finding.alarm and finding.is_sure:
            slots["test_problem" if finding.code in CODES_OF_RANGE else "problem"] = finding.title
    rate = format_suggestion(suggestion, at_most=analysis.holds_averages)
    if rate is not None:
        slots |= {"suggestion": rate, "reason": suggestion.reason}
    if suggestion.lr is not None and not analysis.holds_averages:  # a larger rate is no advice then
        slots["suggested_lr"] = format_lr(suggestion.lr)
    return slots


def _conditions(analysis: PureAnalysis) -> Iterable[str]:
    """Yields the empty slots, each the condition of the sentences that contain it."""
    facts, state = analysis.facts, analysis.verdict.start_state
    is_adaptive = optimizer_family(analysis.curve.context.optimizer).is_adaptive
    is_beyond = is_adaptive and analysis.curve.lr[-1] >= FAR_BEYOND
    if is_beyond:
        yield "beyond_usual"
    yield "no_further" if is_beyond or facts["ends_at_limit"] or NO_FLOOR.holds(facts) else "no_limit"
    if analysis.curve.lr[-1] < SMALL_END:
        yield "ended_low"
    yield "moved" if MOVED.holds(facts) else "unmoved"
    if state == StartState.UNKNOWN:
        yield "unknown_start"
    if state == StartState.BETTER_THAN_CHANCE:
        yield "starts_better"
    if analysis.first_problem is None:
        yield "no_problem"
    if FALLS.holds(facts) and facts["learns"] is not False and what_stops_learning(analysis.findings) is None:
        yield "learns"
    yield from _short_of(analysis)


def _short_of(analysis: PureAnalysis) -> Iterable[str]:
    """Yields the empty slots of the sentences on a curve with few points or a narrow range of rates."""
    from_picture = analysis.curve.context.from_picture  # which shows no number of batches
    # no other range or number of batches changes that
    has_ended = analysis.curve.stop in {StopReason.NON_FINITE, StopReason.NON_FINITE_WEIGHTS}
    if analysis.features.decades < MIN_DECADES and not has_ended:
        yield "narrow_range"
    if analysis.features.num_points < MIN_POINTS and not from_picture:
        in_epochs = analysis.curve.context.averaged_over == EPOCH
        yield "few_epochs" if in_epochs else "few_points"
        if not in_epochs and not has_ended:
            yield "few_batches"


def _slots_of_record(analysis: PureAnalysis) -> dict[str, str]:
    """Returns the slots about the recorded rates, of which a sentence about another number of rates has none."""
    curve = analysis.curve
    first, last, num = format_lr(curve.lr[0]), format_lr(curve.lr[-1]), len(curve)
    in_epochs, accumulated = curve.context.averaged_over == EPOCH, curve.context.batches_per_update
    loss, unit, units = ("mean loss", "epoch", "epochs") if in_epochs else ("loss", "batch", "batches")
    after = "after each batch, a handful of samples"
    if accumulated > 1:
        after = f"after every {accumulated} batches; a batch is a handful of samples"
        loss, unit, units = f"mean loss of the {accumulated} batches", "update", "updates"
    slots = {"after": after, "batches_for_scan": str(USUAL_STEPS * accumulated)}
    if num == 1:
        recorded = f"The test recorded the {loss} of a single {unit}, at a rate of {first}."
        return slots | {"only_lr": first, "recorded": recorded}
    if first == last:
        recorded = f"The test recorded the {loss} of {num} {units}, all at rates close to {first}."
        return slots | {"num_points_at_one_rate": str(num), "recorded": recorded}
    recorded = f"The test raised it from {first} to {last} and recorded the {loss} of every {unit}."
    if in_epochs:
        recorded = (
            f"The test raised it from {first} to {last}, with one epoch at each rate, and each point is the mean loss "
            "of one epoch."
        )
    if analysis.holds_averages and not in_epochs:
        recorded = f"The test raised it from {first} to {last} and recorded a {loss} after every {unit}."
    if curve.context.from_picture:
        recorded = f"The picture shows the loss while the test raised the rate from {first} to {last}."
    return slots | {"last_lr": last, "num_points": str(num), "recorded": recorded}


def _slots_of_start(analysis: PureAnalysis) -> dict[str, str]:
    """Returns the start with and without regularization, and the first loss if it is far from the start."""
    curve, start = analysis.curve, analysis.landmarks.start
    if start is None or analysis.features.num_points < MIN_FOR_START:
        return {}
    first = float(curve.loss[np.isfinite(curve.loss)][0])
    level = first if EXPLODES.holds(analysis.facts) else start.loss
    whole, without = format_loss(level), format_loss(level - (curve.context.regularization_loss or 0.0))
    slots = {"start_level": whole if without == whole else f"{without} ({whole} with regularization)"}
    chance = chance_loss(curve.context)
    if chance is not None and starts_by_luck(analysis):
        slots["constant_loss"] = format_loss(chance)
    size = abs(start.loss) if has_natural_zero(curve) else float(np.ptp(analysis.smoothed.loss))
    if abs(first - level) > FAR_FROM_START * size:
        slots["first_loss"] = format_loss(first)
    return slots


def starts_by_luck(analysis: PureAnalysis) -> bool:
    """Returns whether an untrained model starts below the chance level, so that its start cannot be judged."""
    context, start = analysis.curve.context, analysis.landmarks.start
    references = References.of(analysis.curve)
    if references.starts_too_low or start is None or references.chance is None:
        return references.starts_too_low
    level = start.loss - (context.regularization_loss or 0.0)
    return is_untrained(context) and level < BETTER_THAN_CHANCE * references.chance


def escape_braces(sentence: str) -> str:
    """Returns the sentence with its braces doubled, so that `str.format` keeps them."""
    return sentence.replace("{", "{{").replace("}", "}}")


def fill(sentences: Iterable[str], slots: Mapping[str, str]) -> Iterable[str]:
    """Fills and yields the sentences whose slots are all known."""
    for sentence in sentences:
        if slots_of(sentence) <= set(slots):
            yield sentence.format_map(slots).strip()
