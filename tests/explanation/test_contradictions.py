"""Tests on every recorded scan of the project that no sentence contradicts the scan or another sentence."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

import numpy as np
import pytest

from keras_lrscan import Analysis, LRCurve, ScanContext, analyze
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.curves.context import OutputStart
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.suggestions.suggest import what_stops_learning
from tests.support import benchmark_scripts
from tests.support.catalog import PAIRS
from tests.support.contradictions import ONLY_IF, contradictions
from tests.support.recorded import benchmark_of_causes, benchmark_of_suggestions, gallery, other_records

SLICES = 8
"""Parts of the benchmarks, each a test of a few seconds."""


def assert_consistent(analyses: dict[str, Analysis]) -> None:
    found = {name: contradictions(analysis) for name, analysis in analyses.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def read(curves: dict[str, LRCurve]) -> dict[str, Analysis]:
    return {name: analyze(curve, num_copies=1) for name, curve in curves.items()}


@functools.cache
def shown() -> dict[str, Analysis]:
    """Returns the gallery, the records of other tools, the curve of each code with its near miss, and mixed starts."""
    pairs = {f"{code} {index}": curve for code, pair in PAIRS.items() for index, curve in enumerate(pair)}
    return read({**gallery(), **other_records(), **pairs, **mixed_starts()})


def mixed_starts() -> dict[str, LRCurve]:
    """Returns curves of a trained and a fresh output."""
    outputs = (
        OutputStart(name="a", chance_loss=1.0, start_loss=0.1),
        OutputStart(name="b", chance_loss=1.0, start_loss=1.0),
    )
    curves = {shape: synthetic_curve(shape) for shape in ("u-shaped", "monotone-from-pretrained")}
    return {
        f"mixed {shape}": dataclasses.replace(curve, context=dataclasses.replace(curve.context, outputs=outputs))
        for shape, curve in curves.items()
    }


@pytest.mark.one_host
@pytest.mark.parametrize("cause", [cause.name for cause in CAUSES])
def test_the_fits_with_a_known_cause(cause: str) -> None:
    curves = benchmark_of_causes(cause)
    assert len(curves) >= 4
    assert_consistent(read(curves))


@pytest.mark.one_host
@pytest.mark.parametrize("part", range(SLICES))
def test_the_scans_of_the_tasks_for_suggestions(part: int) -> None:
    curves = benchmark_of_suggestions()
    assert len(curves) > 20 * SLICES
    assert_consistent(read({name: curves[name] for name in sorted(curves)[part::SLICES]}))


@pytest.mark.one_host
def test_the_gallery_the_records_of_other_tools_and_the_catalog() -> None:
    assert len(shown()) > 150
    assert_consistent(shown())


@pytest.mark.one_host
def test_the_fine_tunings_of_real_networks() -> None:
    rows = benchmark_scripts.load("finetuning/rows")
    curves = {
        f"{row['name']} {index}": curve
        for row in rows.read(rows.RESULTS)
        for index, curve in enumerate(rows.curves(row))
    }
    analyses = read(curves)
    assert_consistent(analyses)
    alarms = {name: what_stops_learning(analysis.findings) for name, analysis in analyses.items()}
    assert {name: alarm.name for name, alarm in alarms.items() if alarm is not None} == {}


@pytest.mark.one_host
def test_each_law_applies_to_some_text() -> None:
    """A pattern that no sentence matches any more would forbid nothing."""
    said = " ".join(" ".join([item.explain(level="full"), item.summary()]) for item in shown().values())
    said = " ".join(said.split())
    assert [pattern for pattern in ONLY_IF if not re.search(pattern, said)] == []


def with_context(shape: str, **facts: Any) -> Analysis:
    curve = synthetic_curve(shape)
    return analyze(dataclasses.replace(curve, context=dataclasses.replace(curve.context, **facts)), num_copies=10)


def full(analysis: Analysis) -> str:
    return " ".join(analysis.explain(level="full").split())


HEAD: dict[str, Any] = {"head_is_fresh": True, "head_is_untrained": True, "optimizer_iterations": 0, "num_layers": 99}


def test_who_trains_a_new_layer_on_a_frozen_body_is_not_advised_to_freeze_it() -> None:
    frozen = with_context("u-shaped", **HEAD, num_used_layers=50, num_frozen_layers=98)
    free = with_context("u-shaped", **HEAD, num_used_layers=50, num_frozen_layers=0)
    assert [frozen.findings[0].name, free.findings[0].name] == ["frozen-features", "new-head"]
    assert "If you unfreeze the other layers later" in full(frozen)
    assert "with the others frozen" not in full(frozen)
    assert "with the others frozen" in full(free)
    assert "unfreeze" not in full(free)


@pytest.mark.parametrize("lift", [0.0, 0.6])
def test_a_start_is_described_once_for_a_new_head(lift: float) -> None:
    curve = synthetic_curve("u-shaped")
    context = dataclasses.replace(curve.context, **HEAD, num_used_layers=50, num_frozen_layers=98)
    text = full(analyze(dataclasses.replace(curve, loss=curve.loss + lift, context=context), num_copies=10))
    assert ("somewhat above 2.30, the chance level" in text) == (lift > 0)
    assert ("close to 2.30, the chance level" in text) == (lift == 0)
    assert "starts near the chance level" not in text


def test_small_rates_are_called_too_small_for_this_test_alone() -> None:
    assert "so short a test shows no change; in long training, such rates may work" in full(with_context("u-shaped"))


def test_data_that_are_shuffled_already_are_not_advised_to_be_shuffled() -> None:
    curve = synthetic_curve("u-shaped")
    loss = curve.loss + 0.4 * np.random.default_rng(0).standard_normal(20)[np.arange(len(curve)) % 20]
    for shuffled in (True, False):
        context = dataclasses.replace(curve.context, steps_per_epoch=20, shuffled=shuffled)
        analysis = analyze(dataclasses.replace(curve, loss=loss, context=context), num_copies=3)
        assert "sawtooth" in analysis.verdict.traits
        assert ("the same order seems to come back in every epoch" in full(analysis)) == shuffled
        assert ("huffle the data" in full(analysis)) == (not shuffled)


def test_a_model_is_not_called_both_good_already_and_partly_trained() -> None:
    analysis = with_context("monotone-from-pretrained", optimizer_iterations=570, num_used_layers=3, num_layers=3)
    sure = [finding.name for finding in analysis.findings if finding.is_sure]
    assert sure == ["already-good"]


def test_a_head_on_frozen_layers_cannot_be_thrown_into_another_valley() -> None:
    facts: dict[str, Any] = {**HEAD, "num_used_layers": 50, "output_activation": "softmax"}
    names = [
        [finding.name for finding in with_context("several-valleys", **facts, num_frozen_layers=frozen).findings]
        for frozen in (0, 98)
    ]
    assert ["catapult" in found for found in names] == [True, False]


def test_labels_outside_the_classes_get_no_rate_beside_the_words_that_none_helps() -> None:
    curve = synthetic_curve("u-shaped")
    loss = curve.loss.copy()
    loss[20:] = np.nan
    context = dataclasses.replace(curve.context, bad_labels=0.1, nonfinite_inputs=0.0, nonfinite_targets=0.0)
    analysis = analyze(LRCurve(lr=curve.lr, loss=loss, stop="non-finite", context=context), num_copies=3)
    assert "no other rate helps" in full(analysis)
    assert analysis.suggestion.lr is None


def test_an_unread_record_contradicts_nothing() -> None:
    assert contradictions(analyze(LRCurve(lr=[1e-3], loss=[2.3], context=ScanContext()))) == []
