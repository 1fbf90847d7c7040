from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given

from keras_lrscan import LRCurve, ScanContext, analyze
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.context import chance_loss
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.reading.facts import MEASURES, facts
from keras_lrscan.reading.features import CurveFeatures
from keras_lrscan.reading.start_state import StartState
from tests.support.strategies import any_curves


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10), math.log(10)),
        (ScanContext(loss_name="categorical_crossentropy", num_classes=3), math.log(3)),
        (ScanContext(loss_name="binary_crossentropy"), math.log(2)),
        (ScanContext(loss_name="mean_squared_error"), None),
        (ScanContext(loss_name="sparse_categorical_crossentropy"), None),
        (ScanContext(loss_name="binary_crossentropy", loss_reduction="sum"), None),
        (ScanContext(loss_name="binary_crossentropy", majority_share=1.0), None),
        (ScanContext(chance_loss=0.56, loss_name="binary_crossentropy"), 0.56),
        (ScanContext(), None),
    ],
)
def test_the_chance_level_is_known_only_where_the_context_tells_it(
    context: ScanContext, expected: float | None
) -> None:
    assert chance_loss(context) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("first", "regularization", "state"),
    [
        (2.30, None, StartState.AT_CHANCE),
        (0.10, None, StartState.BETTER_THAN_CHANCE),
        (9.00, None, StartState.WORSE_THAN_CHANCE),
        (7.05, 4.7, StartState.AT_CHANCE),
    ],
)
def test_the_start_is_compared_with_chance_after_taking_regularization_off(
    first: float, regularization: float | None, state: StartState
) -> None:
    context = ScanContext(chance_loss=math.log(10), regularization_loss=regularization)
    curve = LRCurve(lr=np.logspace(-6, 0, 60), loss=np.full(60, first), context=context)
    assert analyze(curve).features.start_state == state


@given(any_curves())
def test_every_feature_of_any_curve_is_finite_or_unknown(curve: LRCurve) -> None:
    for name, value in dataclasses.asdict(analyze(curve, num_copies=1).features).items():
        assert value is None or isinstance(value, str) or math.isfinite(value), name


def test_every_fact_a_rule_may_test_is_named_in_words() -> None:
    known = facts(CurveFeatures(), ScanContext())
    assert set(known) == set(MEASURES)
    assert len({item.words for item in MEASURES.values()}) == len(MEASURES)


def test_the_figures_of_the_slope_between_steepest_and_elbow_are_kept() -> None:
    features = analyze(synthetic_curve("u-shaped", noise=0.0)).features
    assert features.slope_mean is not None
    assert features.slope_mean < 0
    assert features.slope_sd is not None
    assert features.slope_sd > 0


def test_a_pattern_that_repeats_every_epoch_is_seen() -> None:
    x = np.linspace(-7, -3, 200)
    loss = 2.0 + 0.3 * ((np.arange(200) % 20) / 20)
    noise = 0.01 * np.random.default_rng(0).standard_normal(200)
    context = ScanContext(steps_per_epoch=20)
    repeated = analyze(LRCurve(lr=10.0**x, loss=loss + noise, context=context))
    assert "sawtooth" in repeated.verdict.traits
    shuffled = np.random.default_rng(0).permutation(loss + noise)
    assert "sawtooth" not in analyze(LRCurve(lr=10.0**x, loss=shuffled, context=context)).verdict.traits


@pytest.mark.parametrize("end", [math.nan, math.inf])
def test_a_record_that_ends_in_a_non_finite_loss_straight_out_of_its_fall_counts_as_breaking(end: float) -> None:
    curve = synthetic_curve("still-falling")
    keep = int(np.searchsorted(np.log10(curve.lr), -0.5))
    cut = LRCurve(lr=curve.lr[: keep + 1], loss=[*curve.loss[:keep], end], stop="non-finite", context=curve.context)
    analysis = analyze(cut)
    assert analysis.verdict.shape == "u-shaped"
    assert analysis.landmarks.elbow is not None
    assert analysis.landmarks.elbow.lr == pytest.approx(curve.lr[keep - 1])


def test_batches_after_the_break_at_the_chance_level_are_counted() -> None:
    curve = synthetic_curve("valley-then-plateau")
    share = analyze(curve).features.chance_share
    assert share is not None
    assert share > 0.7
    twice = dataclasses.replace(curve.context, chance_loss=2 * math.log(10))
    assert analyze(dataclasses.replace(curve, context=twice)).features.chance_share == 0
    assert analyze(synthetic_curve("still-falling")).features.chance_share is None


def recovering(num_breaks: int) -> LRCurve:
    loss = np.interp(np.arange(200), [0, 60, 120, 200], [2.0, 2.0, 0.5, 0.5])
    loss += 0.01 * np.random.default_rng(0).standard_normal(200)
    for number in range(num_breaks):
        loss[130 + 20 * number : 134 + 20 * number] += 2.0
    return LRCurve(lr=np.logspace(-7, 1, 200), loss=loss)


@pytest.mark.parametrize("num_breaks", [0, 1, 3])
def test_breaks_that_training_comes_back_from_are_counted(num_breaks: int) -> None:
    assert analyze(recovering(num_breaks)).features.num_recoveries == num_breaks


@pytest.mark.parametrize("shape", ["u-shaped", "flat", "monotone-from-pretrained", "still-falling", "flat-at-chance"])
def test_a_curve_that_breaks_once_for_good_or_never_has_no_recovery(shape: str) -> None:
    assert analyze(synthetic_curve(shape)).features.num_recoveries == 0


@pytest.mark.parametrize(("average", "low", "high"), [("none", -0.65, -0.35), ("ema-0.98", -0.25, 1.0)])
def test_averaged_losses_resemble_those_before_them(average: str, low: float, high: float) -> None:
    loss = 2.3 + 0.1 * np.random.default_rng(0).standard_normal(300)
    stored = loss if average == "none" else AVERAGES[average].apply(loss)
    features = analyze(LRCurve(lr=np.logspace(-7, 0, 300), loss=stored)).features
    assert features.neighbor_correlation is not None
    assert low < features.neighbor_correlation < high
    few = analyze(LRCurve(lr=np.logspace(-7, 0, 30), loss=loss[:30])).features
    assert few.neighbor_correlation is None


COPIED = ScanContext(num_samples=1000, num_looked_at=1000, num_distinct_inputs=50, contradicting_share=0.0)
FED = ScanContext(data_seen="first batches", shuffled=True)
STILL = ScanContext(weight_change=0.5, layer_change_ratio=1e-7)
LOADED = ScanContext(optimizer_iterations=0, num_used_layers=3, num_layers=3, head_is_untrained=False)
FROZEN = ScanContext(optimizer_iterations=0, head_is_fresh=False, num_frozen_layers=2, num_layers=3)
FOLLOWING: list[tuple[ScanContext, str, object]] = [
    (COPIED, "num_different", 50),
    (dataclasses.replace(COPIED, num_samples=4000), "num_different", 200),
    (dataclasses.replace(COPIED, num_samples=None, data_seen="first batches"), "num_different", 50),
    (dataclasses.replace(COPIED, contradicting_share=0.3), "num_different", 1000),
    (dataclasses.replace(COPIED, num_distinct_inputs=800), "num_different", 1000),
    (dataclasses.replace(COPIED, batch_size=10), "epochs_over_data", 2.0),
    (ScanContext(shuffled=True), "well_shuffled", True),
    (ScanContext(shuffled=False), "well_shuffled", False),
    (ScanContext(shuffled=True, label_runs=0.9, data_seen="arrays"), "well_shuffled", True),
    (dataclasses.replace(FED, label_runs=0.1), "well_shuffled", True),
    (dataclasses.replace(FED, label_runs=0.9), "well_shuffled", False),
    (FED, "well_shuffled", False),
    (STILL, "has_stuck_layer", True),
    (dataclasses.replace(STILL, layer_change_ratio=0.1), "has_stuck_layer", False),
    (dataclasses.replace(STILL, layer_change_ratio=None), "has_stuck_layer", False),
    (ScanContext(layer_change_ratio=1e-7), "has_stuck_layer", None),
    (ScanContext(), "is_foreign", True),
    (ScanContext(framework="keras 3"), "is_foreign", False),
    (ScanContext(loss_name="mean_squared_error"), "is_foreign", False),
    (ScanContext(averaging="ktrain"), "is_foreign", False),
    (dataclasses.replace(STILL, weight_change=1e6), "has_stuck_layer", False),
    (ScanContext(perfect_loss=1.0, chance_loss=2.0), "perfect_ratio", 0.5),
    (ScanContext(perfect_loss=1.0), "perfect_ratio", None),
    (LOADED, "is_trained", True),
    (LOADED, "is_untrained", False),
    (dataclasses.replace(LOADED, num_used_layers=0, head_is_untrained=True), "is_untrained", True),
    (dataclasses.replace(LOADED, head_is_untrained=None), "is_trained", None),
    (dataclasses.replace(LOADED, head_is_untrained=True, head_is_fresh=True), "has_new_head", True),
    (dataclasses.replace(FROZEN, head_is_untrained=True), "has_new_head", True),
    (dataclasses.replace(FROZEN, head_is_untrained=False), "has_new_head", False),
    (dataclasses.replace(FROZEN, head_is_untrained=True, num_frozen_layers=3), "has_new_head", False),
    (dataclasses.replace(FROZEN, head_is_untrained=True, optimizer_iterations=5), "has_new_head", False),
    (ScanContext(data_seen="first batches", majority_share=1.0), "first_batches_alike", True),
    (ScanContext(data_seen="arrays", majority_share=1.0), "first_batches_alike", None),
]


@pytest.mark.parametrize(("context", "name", "expected"), FOLLOWING)
def test_what_follows_from_the_context(context: ScanContext, name: str, expected: object) -> None:
    assert facts(CurveFeatures(num_points=10), context)[name] == expected
