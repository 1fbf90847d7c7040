from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keras_lrscan import LRCurve, analyze
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.reading.facts import facts
from keras_lrscan.reading.features import CurveFeatures
from keras_lrscan.reading.shapes import SHAPE_RULES, Shape, classify


@pytest.mark.parametrize(("noise", "seed"), [(0.0, 0), (0.02, 0), (0.02, 1), (0.1, 0), (0.1, 1)])
@pytest.mark.parametrize("num_steps", [100, 200, 1000])
@pytest.mark.parametrize("shape", [shape for shape in SYNTHETIC_LOSSES if shape != Shape.DIVERGES_AT_ONCE])
def test_each_shape_is_recognized_whatever_the_steps_and_noise(
    shape: str, num_steps: int, noise: float, seed: int
) -> None:
    curve = synthetic_curve(shape, num_steps=num_steps, noise=noise, seed=seed)
    verdict = analyze(curve, num_copies=20).verdict
    assert verdict.shape == shape
    assert verdict.confidence >= 0.5


@pytest.mark.parametrize("num_steps", [100, 200, 1000])
def test_a_curve_that_breaks_at_once_is_recognized_from_its_few_points(num_steps: int) -> None:
    verdict = analyze(synthetic_curve("diverges-at-once", num_steps=num_steps)).verdict
    assert verdict.shape is Shape.DIVERGES_AT_ONCE


def test_every_shape_has_exactly_one_rule_and_the_unclear_one_is_last() -> None:
    assert sorted(rule.shape for rule in SHAPE_RULES) == sorted(Shape)
    assert SHAPE_RULES[-1].shape is Shape.UNCLEAR
    assert not SHAPE_RULES[-1].when


def test_the_confidence_is_the_share_of_copies_that_agree() -> None:
    falls = facts(CurveFeatures(num_points=100, decades=7.0, fall=0.5, rise=0.5), ScanContext())
    flat = facts(CurveFeatures(num_points=100, decades=7.0, noise=0.01), ScanContext())
    verdict = classify(falls, copies=[falls] * 3 + [flat])
    assert (verdict.shape, verdict.confidence) == (Shape.U_SHAPED, 0.75)


def test_a_shape_that_most_copies_do_not_get_is_unclear() -> None:
    falls = facts(CurveFeatures(num_points=100, decades=7.0, fall=0.5, rise=0.5), ScanContext())
    flat = facts(CurveFeatures(num_points=100, decades=7.0, noise=0.01), ScanContext())
    open_end = facts(CurveFeatures(num_points=100, decades=7.0, fall=0.5), ScanContext())
    verdict = classify(falls, copies=[falls, flat, open_end])
    assert (verdict.shape, verdict.confidence) == (Shape.UNCLEAR, 0.0)
    assert verdict.evidence[0] == "u-shaped: 33% of copies"


def test_copies_that_agree_overrule_a_curve_that_stands_alone() -> None:
    falls = facts(CurveFeatures(num_points=100, decades=7.0, fall=0.5, rise=0.5), ScanContext())
    valleys = facts(CurveFeatures(num_points=100, decades=7.0, fall=0.5, rise=0.5, num_valleys=2), ScanContext())
    verdict = classify(falls, copies=[falls] + [valleys] * 3)
    assert (verdict.shape, verdict.confidence) == (Shape.SEVERAL_VALLEYS, 0.75)
    assert verdict.evidence == ("several-valleys: 75% of copies", "u-shaped: 25% of copies")


def test_no_copies_give_a_curve_that_falls_a_shape_without_a_fall() -> None:
    falls = facts(CurveFeatures(num_points=100, decades=7.0, fall=0.5, rise=0.5), ScanContext())
    flat = facts(CurveFeatures(num_points=100, decades=7.0, noise=0.01), ScanContext())
    assert classify(falls, copies=[flat] * 4).shape == Shape.UNCLEAR
    assert classify(flat, copies=[falls] * 4).shape == Shape.UNCLEAR


def test_copies_do_not_overrule_the_state_at_the_start() -> None:
    level = CurveFeatures(num_points=100, decades=7.0, rise=0.5, start_state="better-than-chance")
    copy = facts(replace(level, start_state="at-chance"), ScanContext())
    verdict = classify(facts(level, ScanContext()), copies=[copy] * 4)
    assert (verdict.shape, verdict.start_state) == (Shape.MONOTONE_FROM_PRETRAINED, "better-than-chance")


@pytest.mark.parametrize("seed", range(4))
def test_a_rise_that_goes_on_at_its_pace_is_no_plateau_and_one_that_ends_is(seed: int) -> None:
    x = np.linspace(-7, 1, 161)
    noise = 0.01 * np.random.default_rng(seed).standard_normal(x.size)
    fall = 2.3 - 1.6 * 0.5 * (1 + np.tanh((x + 4) / 0.5))
    shapes = [
        analyze(LRCurve(lr=10.0**x, loss=fall + rise + noise)).verdict.shape
        for rise in (0.4 * np.maximum(x + 2.5, 0), 1.4 * (x > -2))
    ]
    assert shapes == [Shape.U_SHAPED, Shape.VALLEY_THEN_PLATEAU]


@pytest.mark.parametrize("seed", range(4))
def test_a_climb_that_steepens_is_a_drift_and_not_flat(seed: int) -> None:
    x = np.linspace(-7, 1, 161)
    noise = 0.005 * np.random.default_rng(seed).standard_normal(x.size)
    climb = analyze(LRCurve(lr=10.0**x, loss=4.6 + 0.3 * ((x + 7) / 8) ** 4 + noise))
    level = analyze(LRCurve(lr=10.0**x, loss=4.6 + noise))
    assert (climb.verdict.shape, level.verdict.shape) == (Shape.UPWARD_DRIFT, Shape.FLAT)


@pytest.mark.parametrize("hill", [0.0, 3.0])
def test_a_fall_that_ends_at_guessing_is_no_learning_whatever_lies_between(hill: float) -> None:
    x = np.linspace(-7, 1, 161)
    loss = 2.3 + 10 * 0.5 * (1 - np.tanh((x + 4) / 0.5)) + hill * np.exp(-(((x + 2.5) / 0.3) ** 2))
    context = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10)
    analysis = analyze(LRCurve(lr=10.0**x, loss=loss, context=context))
    assert analysis.verdict.shape == Shape.FALLS_TO_CHANCE
    assert analysis.suggestion.lr is None


def test_noise_lowers_the_confidence() -> None:
    clear, rough = (
        [
            analyze(synthetic_curve("monotone-from-pretrained", noise=noise, stop_above=0.4, seed=seed)).verdict
            for seed in range(4)
        ]
        for noise in (0.01, 0.1)
    )
    assert sum(verdict.confidence for verdict in clear) > sum(verdict.confidence for verdict in rough)


@pytest.mark.parametrize("seed", range(4))
def test_a_fall_that_noise_hides_is_not_called_already_good(seed: int) -> None:
    clean = synthetic_curve("u-shaped", noise=0.0)
    factors = np.exp(0.8 * np.random.default_rng(seed).standard_normal(len(clean)))
    assert analyze(replace(clean, loss=clean.loss * factors)).verdict.shape == Shape.NOISY
