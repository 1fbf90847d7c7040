"""Tests that no sentence contradicts the record, down to records of one or two losses."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from keras_lrscan import Analysis, LRCurve, ScanContext, analyze, describe_plot
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.reading.facts import MEASURES
from keras_lrscan.report.html import report_html

FROZEN = ScanContext(
    loss_name="sparse_categorical_crossentropy",
    num_classes=10,
    num_trainable_params=9,
    still_share=1.0,
    weight_change=0.0,
    start_lr=1e-7,
    end_lr=10.0,
)


def text_of(analysis: Analysis) -> str:
    return " ".join(f"{analysis.explain(level='expert')} {analysis.summary()} {describe_plot(analysis)}".split())


def record(*losses: float, stop: str = "end-lr", step: float = 1.0) -> LRCurve:
    return LRCurve(lr=1e-7 * 10.0 ** (step * np.arange(len(losses))), loss=losses, stop=stop, context=FROZEN)


def test_the_median_of_the_first_batches_is_not_called_the_first_loss() -> None:
    curve = synthetic_curve("u-shaped")
    loss = curve.loss.copy()
    loss[0] = 307.5
    text = text_of(analyze(dataclasses.replace(curve, loss=loss)))
    assert "The first recorded loss is 308." in text
    assert "The loss starts near 2.30" in text
    assert "The first loss" not in text
    assert "first recorded loss" not in text_of(analyze(curve))


def test_a_start_compared_without_regularization_is_printed_without_it() -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, regularization_loss=4.0)
    text = text_of(analyze(dataclasses.replace(curve, loss=curve.loss + 4.0, context=context)))
    assert re.search(r"The loss starts near 2\.\d+ \(6\.\d+ with regularization\), close to 2\.30", text)


def test_a_start_near_the_uniform_loss_of_rare_classes_is_not_called_close_to_the_chance_level() -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, chance_loss=0.7)
    analysis = analyze(dataclasses.replace(curve, context=context))
    assert analysis.verdict.start_state == "at-chance"
    assert "close to 0.700" not in text_of(analysis)
    assert "above 0.700, the chance level, but usual" in text_of(analysis)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((2.3,), "The curve has a single point, at a rate of 1e-7."),
        ((2.3, 2.2), "The curve has 2 points, from 1e-7 to 1e-6."),
    ],
)
@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end-lr", "it reached the last planned learning rate"),
        ("out-of-batches", "training ran out of batches"),
        ("interrupted", "it was interrupted"),
        ("diverged", "the loss had risen for good"),
        ("unknown", None),
    ],
)
def test_one_or_two_losses_are_too_little_to_read(
    losses: tuple[float, ...], expected: str, stop: str, reason: str | None
) -> None:
    analysis = analyze(record(*losses, stop=stop))
    text = text_of(analysis)
    assert analysis.verdict.shape == "too-short"
    assert (analysis.findings, analysis.excluded, analysis.verdict.traits) == ((), (), ())
    assert analysis.verdict.start_state == "unknown"
    assert expected in text
    assert reason is None or f"The test stopped because {reason}." in text
    for word in ("likely", "%", "confidence", "Confidence", "starts near", "went up to", "falls", "starts to rise"):
        assert word not in " ".join(analysis.explain().split()) + describe_plot(analysis), word


def test_points_at_nearly_one_rate_are_not_said_to_lie_between_two() -> None:
    text = text_of(analyze(record(2.3, 2.2, 2.4, step=1e-3)))
    assert "The curve has 3 points, all at rates close to 1e-7." in text
    assert "from 1e-7 to 1e-7" not in analyze(record(2.3, 2.2, 2.4, step=1e-3)).explain()


def test_a_single_batch_is_singular() -> None:
    text = text_of(analyze(record(2.3)))
    assert "Plot of the loss of a single batch" in text
    assert not re.search(r"(?<![\d.])1 (points|batches|updates|samples|layers)\b", text)


def test_counts_of_one_are_singular_in_evidence() -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(
        curve.context, batch_size=1, optimizer_iterations=1, num_used_layers=1, num_layers=3, num_frozen_layers=1
    )
    assert not re.search(
        r"(?<![\d.])1 (points|batches|updates|samples|layers)\b",
        text_of(analyze(dataclasses.replace(curve, context=context))),
    )


def test_few_points_for_each_factor_of_ten_are_not_rounded_to_none() -> None:
    shown = [MEASURES["points_per_decade"].show(value) for value in (0.33, 1.0, 8.4, 24.9)]
    assert shown == ["0.33", "1", "8.4", "25"]
    assert "There are" not in " ".join(
        sentence for finding in analyze(record(2.3, 2.2, 2.1, step=4.0)).findings for sentence in finding.evidence
    )


@pytest.mark.parametrize("losses", [(np.nan,), (2.3, np.nan)])
def test_a_loss_that_is_nan_at_once_still_has_its_causes(losses: tuple[float, ...]) -> None:
    curve = record(*losses, stop="non-finite")
    context = dataclasses.replace(curve.context, nonfinite_inputs=0.5)
    assert [finding.name for finding in analyze(dataclasses.replace(curve, context=context)).findings] == [
        "nan-in-data"
    ]


@pytest.mark.parametrize("num_points", [1, 2, 3, 8, 29])
def test_few_points_limit_the_confidence(num_points: int) -> None:
    curve = synthetic_curve("u-shaped")
    short = LRCurve(lr=curve.lr[:num_points], loss=curve.loss[:num_points], context=curve.context)
    analysis = analyze(short)
    assert analysis.verdict.confidence <= (num_points / 30 if num_points >= 4 else 0)
    assert "onfidence" not in analysis.explain() + analysis.summary() + describe_plot(analysis)


def test_a_report_of_few_points_has_no_confidence() -> None:
    pytest.importorskip("matplotlib", reason="a report needs matplotlib", exc_type=ImportError)
    curve = synthetic_curve("u-shaped")
    found = [analyze(LRCurve(lr=curve.lr[:num], loss=curve.loss[:num], context=curve.context)) for num in (8, 60)]
    assert ["<dt>Confidence</dt>" in report_html(analysis) for analysis in found] == [False, True]


def test_a_readable_shape_of_few_points_says_why_its_confidence_is_low() -> None:
    loss = [2.3, 2.3, 40.0, 400.0, 4e3, 4e4, 4e5, 4e6]
    curve = LRCurve(lr=np.logspace(-7, -6, 8), loss=loss, stop="diverged", context=FROZEN)
    analysis = analyze(dataclasses.replace(curve, context=dataclasses.replace(FROZEN, end_lr=1e4)))
    assert analysis.verdict.shape == "diverges-at-once"
    assert 0 < analysis.verdict.confidence <= 8 / 30
    assert "It is low because the curve has fewer than 30 points." in text_of(analysis)


ACCUMULATED = ScanContext(
    framework="keras 3.15.1", batch_size=32, steps_per_epoch=57, num_steps=14, gradient_accumulation_steps=4
)


def test_a_point_of_accumulated_gradients_is_of_several_batches() -> None:
    curve = dataclasses.replace(synthetic_curve("u-shaped", num_steps=14), context=ACCUMULATED)
    text = " ".join(analyze(curve).explain(level="full").split())
    assert "after every 4 batches" in text
    assert "recorded the mean loss of the 4 batches of every update" in text
    assert "Give the scan at least 400 batches" in text
    assert "the loss of every batch" not in text
    assert "of one batch" not in text


def test_epochs_for_a_longer_scan_count_updates_and_not_batches() -> None:
    curve = dataclasses.replace(synthetic_curve("u-shaped", num_steps=14), context=ACCUMULATED)
    assert analyze(curve).facts["epochs_for_scan"] == 8
    alone = dataclasses.replace(ACCUMULATED, gradient_accumulation_steps=None)
    assert analyze(dataclasses.replace(curve, context=alone)).facts["epochs_for_scan"] == 2
