from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import InvalidOptionError, LRCurve, ScanContext, analyze
from keras_lrscan.curves.context import chance_loss
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.reading.features import EXPLODED
from keras_lrscan.reading.shapes import Shape
from keras_lrscan.suggestions.methods import forgetting
from keras_lrscan.suggestions.suggest import DEFAULT_METHODS, NEVER, SUGGESTION_METHODS, WHY_NONE, Role
from tests.support.catalog import analysis_of
from tests.support.strategies import any_curves, valley_curves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.reading.reading import Reading


@given(any_curves())
def test_a_suggestion_is_a_rate_within_its_range_or_none_with_a_reason(curve: LRCurve) -> None:
    for suggestion in analyze(curve, num_copies=10).suggestions:
        assert suggestion.reason
        if suggestion.lr is None:
            assert suggestion.low is None
            assert suggestion.high is None
        else:
            assert suggestion.low is not None
            assert suggestion.high is not None
            assert 0 < suggestion.low < suggestion.lr <= suggestion.high


@given(curve=valley_curves(), scale=st.floats(1e-2, 1e2), shift=st.floats(-20, 20))
def test_scaling_or_shifting_the_loss_leaves_the_suggested_rate_alone(
    curve: LRCurve, scale: float, shift: float
) -> None:
    moved = LRCurve(lr=curve.lr, loss=scale * (curve.loss + shift))  # the fall stays a visible share of the loss
    before, after = (analyze(one, num_copies=10).suggestion.lr for one in (curve, moved))
    assert before is not None
    assert after is not None
    step = math.log10(curve.lr[1] / curve.lr[0])
    assert abs(math.log10(after / before)) <= step


@given(curve=valley_curves(), factor=st.floats(1e-2, 1e2))
def test_scaling_the_rates_scales_the_suggestion(curve: LRCurve, factor: float) -> None:
    moved = LRCurve(lr=factor * curve.lr, loss=curve.loss)
    before, after = (analyze(one, num_copies=10).suggestion.lr for one in (curve, moved))
    assert before is not None
    assert after == pytest.approx(factor * before, rel=1e-6)


@given(curve=valley_curves(), tail=st.lists(st.sampled_from([math.nan, math.inf]), min_size=1, max_size=9))
def test_a_non_finite_tail_changes_nothing_left_of_it(curve: LRCurve, tail: list[float]) -> None:
    lr = [*curve.lr, *(curve.lr[-1] * 1.1 ** (i + 1) for i in range(len(tail)))]
    longer = LRCurve(lr=lr, loss=[*curve.loss, *tail])
    before, after = (analyze(one, num_copies=10) for one in (curve, longer))
    assert after.landmarks == before.landmarks
    assert after.suggestion == before.suggestion


def test_every_shape_that_may_go_without_a_suggestion_has_a_reason() -> None:
    assert set(WHY_NONE) >= NEVER
    assert set(WHY_NONE) <= set(Shape)
    assert set(DEFAULT_METHODS) <= set(SUGGESTION_METHODS)


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_a_shape_gets_a_suggestion_unless_nothing_warrants_one(shape: str) -> None:
    suggestion = analyze(synthetic_curve(shape)).suggestion
    assert (suggestion.lr is None) == (shape in NEVER)
    assert suggestion.reason


def test_pure_noise_gets_no_suggestion() -> None:
    suggestions = [analyze(synthetic_curve("flat", noise=0.5, seed=seed)).suggestion for seed in range(10)]
    assert sum(suggestion.lr is None for suggestion in suggestions) >= 8


@pytest.mark.parametrize(
    ("shape", "method"),
    [("u-shaped", "valley-floor"), ("still-falling", "open-valley"), ("monotone-from-pretrained", "wall")],
)
def test_the_default_is_the_method_for_the_landmarks_that_the_curve_shows(shape: str, method: str) -> None:
    analysis = analyze(synthetic_curve(shape))
    assert analysis.suggestion.lr == analysis.suggest(method=method).lr
    assert analysis.suggestion.reason == SUGGESTION_METHODS[method].says


def with_context(shape: str, num_steps: int = 200, **fields: str | float) -> LRCurve:
    curve = synthetic_curve(shape, num_steps=num_steps, noise=0.0)
    return dataclasses.replace(curve, context=ScanContext.from_dict({**curve.context.to_dict(), **fields}))


def test_the_default_for_a_valley_stays_below_the_middle_of_its_floor() -> None:
    marks = (analysis := analyze(with_context("u-shaped", optimizer="RMSprop"))).landmarks
    assert marks.minimum is not None
    assert marks.elbow is not None
    assert analysis.suggestion.lr == pytest.approx(math.sqrt(marks.minimum.lr * marks.elbow.lr) / 4)


def test_a_model_at_chance_is_suggested_a_tenth_of_the_elbow() -> None:
    analysis = analyze(with_context("flat-at-chance", optimizer="RMSprop"))
    assert analysis.landmarks.elbow is not None
    assert analysis.suggestion.lr == pytest.approx(analysis.landmarks.elbow.lr / 10)


def test_a_good_model_is_suggested_a_quarter_of_the_middle_of_its_rise() -> None:
    """The rise of the curve from the elbow to the chance level."""
    analysis = analyze(with_context("monotone-from-pretrained", optimizer="RMSprop"))
    chance, elbow = chance_loss(analysis.curve.context), analysis.landmarks.elbow
    assert chance is not None
    assert elbow is not None
    lost = next(
        10**x
        for x, loss in zip(analysis.smoothed.log10_lr, analysis.smoothed.loss, strict=True)
        if x >= math.log10(elbow.lr) and loss >= chance
    )
    assert forgetting(analysis) == pytest.approx(lost)
    assert elbow.lr < lost < 10 * elbow.lr
    assert analysis.suggestion.lr == pytest.approx(math.sqrt(elbow.lr * lost) / 4)


def test_a_slow_rise_does_not_move_the_rate_beyond_its_beginning() -> None:
    curve = with_context("monotone-from-pretrained", optimizer="RMSprop")
    elbow = analyze(curve).landmarks.elbow
    assert elbow is not None
    low = float(np.median(curve.loss[: elbow.index]))
    slow = np.where(curve.lr > elbow.lr, low + 0.3 * np.log10(curve.lr / elbow.lr), low)
    wide = LRCurve(lr=np.logspace(-7, 3, 300), loss=np.interp(np.linspace(-7, 3, 300), np.log10(curve.lr), slow))
    analysis = analyze(dataclasses.replace(wide, context=curve.context, stop=curve.stop))
    assert analysis.landmarks.elbow is not None
    begin, lost = analysis.landmarks.elbow.lr, forgetting(analysis)
    assert lost is not None
    assert math.sqrt(begin * lost) / 4 > begin
    assert analysis.suggest(method="wall").lr == pytest.approx(begin / 1.1)


def test_a_rise_that_ends_below_the_chance_level_counts_to_its_end() -> None:
    curve = with_context("monotone-from-pretrained", optimizer="RMSprop")
    elbow = analyze(curve).landmarks.elbow
    assert elbow is not None
    chance = chance_loss(curve.context)
    assert chance is not None
    below = curve.loss < 0.8 * chance
    end = int(np.argmin(below)) if not below.all() else len(curve)
    short = analyze(dataclasses.replace(curve, lr=curve.lr[:end], loss=curve.loss[:end]))
    assert forgetting(short) == pytest.approx(short.curve.lr[-1])
    assert forgetting(analyze(with_context("flat-at-chance"))) is None


@pytest.mark.parametrize(("below", "is_better"), [(0.5, True), (0.01, False)])
def test_a_loss_below_zero_is_forgotten_at_a_chance_level_that_it_starts_clearly_below(
    below: float, is_better: bool
) -> None:
    x, noise = np.linspace(-7, 1, 100), 0.02 * np.random.default_rng(0).standard_normal(100)
    rise = np.maximum(x + 2, 0.0)
    context = ScanContext(chance_loss=-0.5 + below, loss_name="cosine_similarity", optimizer="RMSprop")
    analysis = analyze(LRCurve(lr=10.0**x, loss=-0.5 + 0.4 * rise + noise, context=context))
    elbow, lost = analysis.landmarks.elbow, forgetting(analysis)
    assert analysis.verdict.start_state == "unknown"
    assert elbow is not None
    assert (lost is not None) is is_better
    if lost is not None:
        assert lost == pytest.approx(10 ** (-2 + below / 0.4), rel=0.3)
        assert analysis.suggestion.lr == pytest.approx(min(math.sqrt(elbow.lr * lost) / 4, elbow.lr / 1.1))
    else:
        assert analysis.suggestion.lr == pytest.approx(elbow.lr / 3)


@pytest.mark.parametrize(("num_steps", "decades"), [(100, 5 / 12.4), (400, 5 / 49.9)])
def test_momentum_doubles_the_margin_and_adds_what_the_ramp_climbs_in_five_steps(
    num_steps: int, decades: float
) -> None:
    plain, heavy = (
        analyze(with_context("u-shaped", num_steps, optimizer="SGD", momentum=momentum)).suggestion.lr
        for momentum in (0.0, 0.9)
    )
    assert plain is not None
    assert heavy is not None
    assert math.log10(plain / heavy) == pytest.approx(decades + math.log10(2), abs=0.01)


def test_momentum_shifts_a_curve_by_the_number_of_updates_that_it_averages() -> None:
    rates = [
        analyze(with_context("u-shaped", 400, optimizer="SGD", momentum=momentum)).suggestion.lr
        for momentum in (0.5, 0.9, 0.98)
    ]
    assert None not in rates
    shifts = [math.log10(rates[0] / rate) for rate in rates[1:] if rate is not None and rates[0] is not None]
    assert shifts == pytest.approx([4 / 49.9, 24 / 49.9], abs=0.01)  # 1, 5 and 25 steps


@pytest.mark.parametrize(("chance", "has_rate"), [(0.2, False), (2.3, True)])
def test_an_output_that_is_misread_has_a_rate_only_if_the_model_gets_better_than_chance(
    chance: float, *, has_rate: bool
) -> None:
    curve = synthetic_curve("u-shaped")
    misread: dict[str, Any] = {
        "loss_name": "sparse_categorical_crossentropy",
        "from_logits": False,
        "output_activation": "linear",
    }
    analysis = analyze(LRCurve(lr=curve.lr, loss=curve.loss, context=ScanContext(chance_loss=chance, **misread)))
    assert analysis.first_problem is not None
    assert analysis.first_problem.name == "wrong-from-logits"
    assert (analysis.suggestion.lr is not None) == has_rate


@pytest.mark.parametrize(("chance", "has_rate"), [(2.3, True), (0.45, False)])
def test_unscaled_inputs_have_a_rate_only_if_the_model_learns(chance: float, *, has_rate: bool) -> None:
    curve = synthetic_curve("u-shaped")
    low = float(curve.loss.min())
    context = dataclasses.replace(curve.context, chance_loss=low / 0.9 if chance < 1 else chance, input_low=0.0)
    context = dataclasses.replace(context, input_high=255.0, num_classes=None)
    analysis = analyze(dataclasses.replace(curve, context=context))
    assert any(finding.name == "unscaled-inputs" and finding.is_sure for finding in analysis.findings)
    assert (analysis.suggestion.lr is not None) == has_rate


@pytest.mark.parametrize(("share", "has_rate"), [(0.5, True), (30.0, False)])
def test_small_targets_have_a_rate_only_if_the_loss_falls_below_guessing(share: float, *, has_rate: bool) -> None:
    curve = synthetic_curve("u-shaped")
    chance = float(curve.loss.min()) / share
    targets: dict[str, Any] = {"target_std": 0.01, "target_low": -0.03, "target_high": 0.03}
    context = dataclasses.replace(curve.context, chance_loss=chance, num_classes=None, **targets)
    analysis = analyze(dataclasses.replace(curve, loss=curve.loss + 20 * chance * (curve.lr < 1e-4), context=context))
    assert analysis.first_problem is not None
    assert analysis.first_problem.name == "small-targets"
    assert (analysis.suggestion.lr is not None) == has_rate


def test_no_rate_is_read_from_data_in_order() -> None:
    analysis = analysis_of("LRS320")
    assert any(finding.name == "ordered-data" and finding.is_sure for finding in analysis.findings)
    assert analysis.suggestion.lr is None
    assert "the order of the data" in analysis.suggestion.reason


VALLEY = synthetic_curve("u-shaped", num_steps=400, noise=0.0)


@pytest.mark.parametrize(
    ("method", "low", "high"),
    [
        ("steepest", -2.6, -2.4),  # the fall of this curve is centered at -2.5
        ("minimum/10", -2.1, -1.9),  # its lowest loss is at -1.0
        ("geometric-mean", -1.85, -1.65),
        ("valley", -4.2, -3.8),  # it falls from -7 to -1
        ("slide", -4.0, -1.0),
        ("elbow/10", -1.95, -1.6),
        ("biggest-square", -1.4, -1.1),  # its loss is back at the start at about -0.45
        ("valley-floor", -1.7, -1.4),
        ("open-valley", -2.0, -1.7),
    ],
)
def test_each_method_reads_the_rate_that_its_formula_gives_on_a_known_valley(
    method: str, low: float, high: float
) -> None:
    lr = analyze(VALLEY).suggest(method=method).lr
    assert lr is not None
    assert low <= math.log10(lr) <= high


def test_a_curve_that_only_rises_gets_no_rate_from_methods_that_read_a_fall() -> None:
    analysis = analyze(synthetic_curve("monotone-from-pretrained"))
    for method in ("steepest", "minimum/10", "geometric-mean", "valley", "slide", "biggest-square", "open-valley"):
        assert analysis.suggest(method=method).lr is None


def test_a_one_cycle_peak_is_above_the_constant_rate() -> None:
    analysis = analyze(synthetic_curve("u-shaped"))
    constant, peak = analysis.suggest(), analysis.suggest(role="one-cycle")
    assert constant.lr is not None
    assert peak.lr is not None
    assert peak.lr > constant.lr
    assert peak.role is Role.ONE_CYCLE


def test_a_function_of_the_user_is_a_method_too() -> None:
    def twice_the_minimum(reading: Reading) -> float | None:
        mark = reading.landmarks.minimum
        return None if mark is None else 2 * mark.lr

    analysis = analyze(synthetic_curve("u-shaped"))
    suggestion = analysis.suggest(method=twice_the_minimum)
    assert analysis.landmarks.minimum is not None
    assert suggestion.lr == pytest.approx(2 * analysis.landmarks.minimum.lr)
    assert suggestion.method == "twice_the_minimum"
    assert analysis.suggest(method=lambda _: None).lr is None


@pytest.mark.parametrize("result", [-1, 0.0, math.nan, math.inf, "fast"])
def test_a_function_must_return_a_rate(result: Any) -> None:
    analysis = analyze(synthetic_curve("u-shaped"), num_copies=1)
    with pytest.raises(
        InvalidOptionError, match=r"positive finite learning rate, or `None`\. Received: .* by `<lambda>`"
    ):
        analysis.suggest(method=lambda _: result)


def test_a_method_is_a_name_or_a_function() -> None:
    method: Any = 3
    with pytest.raises(InvalidOptionError, match=r"`method` must be one of .*, or a function\. Received: method=3\."):
        analyze(synthetic_curve("u-shaped"), num_copies=1).suggest(method=method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "luck"}, "`method` must be one of 'default', 'steepest', .* Received: method='luck'"),
        ({"role": "peak"}, "`role` must be one of 'constant', 'one-cycle'. Received: role='peak'"),
    ],
)
def test_an_unknown_method_or_role_is_refused_by_name(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        analyze(synthetic_curve("flat")).suggest(**arguments)


X = np.linspace(0, 3, 100)
NOISE = 0.02 * np.random.default_rng(0).standard_normal(100)
EXPLOSION = np.concatenate([[0.0], 180.0 * np.exp(-np.arange(99) / 3)])
CONTEXT = ScanContext(
    loss_name="sparse_categorical_crossentropy", num_classes=10, chance_loss=2.3, optimizer="Adam", start_lr=1.0
)


def from_one(loss: NDArray[np.float64], *, averaging: str | None = None) -> LRCurve:
    context = dataclasses.replace(CONTEXT, averaging=averaging)
    return LRCurve(lr=10.0**X, loss=loss, stop="end-lr", context=context)


def test_a_scan_that_begins_above_the_break_gets_no_rate_but_the_advice_to_begin_lower() -> None:
    analysis = analyze(from_one(2.3 + EXPLOSION + NOISE))
    assert {suggestion.lr for suggestion in analysis.suggestions} == {None}
    assert analysis.search_range().low is None
    assert analysis.verdict.shape == Shape.DIVERGES_AT_ONCE
    assert analysis.verdict.start_state == "at-chance"
    assert analysis.findings[0].name == "range-too-high"
    assert "LRScan(start_lr=1e-7)" in analysis.findings[0].advice
    text = analysis.explain()
    assert "starts near 2.3" in text
    assert "the model learns." not in text.replace("does not mean that the model learns", "")


def test_a_function_of_the_user_still_gets_a_curve_that_begins_above_the_break() -> None:
    analysis = analyze(from_one(2.3 + EXPLOSION + NOISE))
    assert analysis.suggest(method=lambda _: 0.5).lr == 0.5


@pytest.mark.parametrize(
    "loss",
    [
        2.3 - 0.6 * X + EXPLOSION / 100 + NOISE,  # the first steps of a fresh Adam
        0.1 + EXPLOSION / 100 + NOISE,  # the same on a trained model
        np.where(np.arange(100) == 3, 400.0, 2.3 - 0.6 * X + NOISE),  # one unusual batch
        (2.3 - 0.6 * X) * np.random.default_rng(0).lognormal(0, 1.5, 100),  # batches of one sample
    ],
)
def test_a_loss_that_jumps_a_little_or_by_chance_at_the_start_is_no_explosion(loss: NDArray[np.float64]) -> None:
    assert analyze(from_one(loss)).features.early_explosion < EXPLODED


def test_the_average_of_another_tool_is_never_read_as_an_explosion() -> None:
    curve = from_one(2.3 + EXPLOSION + NOISE, averaging="fastai")
    assert analyze(curve).features.early_explosion == 0


def test_an_explosion_without_a_way_back_is_no_recovery() -> None:
    loss = np.where(np.arange(100) > 3, 50.0, 2.3) + NOISE
    assert analyze(from_one(loss)).features.early_explosion == 0


def test_an_optimizer_that_hides_what_a_rate_does_gets_none_from_any_curve() -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, optimizer="Ftrl")
    analysis = analyze(dataclasses.replace(curve, context=context), num_copies=3)
    assert analysis.suggestion.lr is None
    assert "Ftrl" in analysis.suggestion.reason
    assert "Learning rate: none; with Ftrl" in analysis.explain()
