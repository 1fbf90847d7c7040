"""Tests how probe results change an analysis."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, ScanError
from keras_lrscan.inspection.label_dependence import measure_dependence
from keras_lrscan.probes.investigate import investigate
from keras_lrscan.probes.investigation import Investigation, Outcome, ProbeResult, settle
from keras_lrscan.probes.table import PROBES
from keras_lrscan.suggestions.suggest import Role

X = np.linspace(-6, 0, 120)
CLASSES = ScanContext(loss_name="sparse_categorical_crossentropy", num_classes=10, chance_loss=2.3)


def healthy() -> Analysis:
    noise = 0.02 * np.random.default_rng(0).normal(size=X.size)
    loss = 2.3 - 1.5 / (1 + np.exp(-4 * (X + 3))) + 10.0 ** (3 * X + 2) + noise
    return analyze(LRCurve(lr=10.0**X, loss=loss, context=CLASSES))


def result(**changes: Any) -> ProbeResult:
    values = {"name": "gradients", "question": "Is it?", "outcome": Outcome.YES, "evidence": "It is 3.", **changes}
    return ProbeResult(**values)


def status(analysis: Analysis, name: str) -> CauseStatus | None:
    found = [finding for finding in (*analysis.findings, *analysis.excluded) if finding.name == name]
    assert len(found) <= 1
    return found[0].status if found else None


def test_a_confirmed_cause_comes_first_and_is_certain() -> None:
    analysis = healthy()
    last = analysis.findings[-1].name
    settled = settle(analysis, [result(confirms=(last,))])
    assert settled.findings[0].name == last
    assert settled.findings[0].likelihood == 1.0
    assert settled.findings[0].evidence[-1] == "It is 3."
    assert len(settled.findings) == len(analysis.findings)


def test_a_confirmed_cause_that_stops_all_learning_withdraws_the_rate_until_it_is_ruled_out() -> None:
    analysis = healthy()
    assert analysis.suggestion.lr is not None
    settled = settle(analysis, [result(confirms=("zero-gradients",))])
    assert {settled.suggest(role=role).lr for role in Role} == {None}
    assert settled.suggestion.reason.startswith("No rate is suggested, because nothing can be learned before this is")
    assert settled.suggestion == settled.suggest()
    assert settled.suggest(method="valley-floor").lr == analysis.suggest(method="valley-floor").lr
    assert settled.search_range().reason.startswith("There is no range to search: nothing can be learned before")
    again = settle(settled, [result(rules_out=("zero-gradients",))])
    assert again.suggestions == analysis.suggestions


def test_a_cause_that_a_probe_rules_out_moves_with_the_reason() -> None:
    analysis = healthy()
    first = analysis.findings[0].name
    settled = settle(analysis, [result(rules_out=(first,))])
    assert first not in {finding.name for finding in settled.findings}
    moved = next(finding for finding in settled.excluded if finding.name == first)
    assert moved.status is CauseStatus.RULED_OUT
    assert moved.evidence == ("It is 3.",)


def test_results_that_contradict_each_other_settle_nothing() -> None:
    analysis = healthy()
    name = analysis.findings[0].name
    told = [result(confirms=(name,)), result(rules_out=(name,), evidence="It is not.")]
    settled = settle(analysis, told)
    assert status(settled, name) is analysis.findings[0].status
    assert settled.findings[0].evidence[-2:] == ("It is 3.", "It is not.")


def test_a_confirmed_cause_is_found_although_the_curve_had_excluded_it() -> None:
    analysis = healthy()
    excluded = analysis.excluded[0].name
    assert status(settle(analysis, [result(confirms=(excluded,))]), excluded) is CauseStatus.CONFIRMED


def test_a_confirmed_cause_is_found_although_the_curve_had_not_pointed_to_it() -> None:
    analysis = healthy()
    silent = next(cause.name for cause in CAUSES if status(analysis, cause.name) is None)
    assert status(settle(analysis, [result(confirms=(silent,))]), silent) is CauseStatus.CONFIRMED
    assert status(settle(analysis, [result(rules_out=(silent,))]), silent) is None


def test_without_results_nothing_changes() -> None:
    analysis = healthy()
    assert settle(analysis, []).to_dict() == analysis.to_dict()


def test_an_investigation_survives_json() -> None:
    found = Investigation(analysis=healthy(), results=(result(details=("a: 1",)),), notes=("A note.",))
    again = Investigation.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.results == found.results
    assert again.to_dict() == found.to_dict()


@pytest.mark.parametrize("broken", [{}, {"format": 1}, {"format": 1, "results": [{}], "analysis": {}}])
def test_what_is_no_investigation_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidCurveError, match="Expected"):
        Investigation.from_dict(broken)


def test_the_text_tells_question_answer_and_what_follows() -> None:
    analysis = healthy()
    names = [finding.name for finding in analysis.findings]
    told = result(confirms=(names[0],), rules_out=tuple(names[1:]), details=("dense/kernel: gradient 0.1",))
    found = Investigation(analysis=settle(analysis, [told]), results=(told,), interrupted=True)
    text = found.explain()
    parts = ["Is it? [gradients]", "Yes. It is 3.", "dense/kernel: gradient 0.1", "Confirmed", "interrupted"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert max(map(len, text.splitlines())) <= 88


def test_every_probe_settles_causes_that_exist() -> None:
    names = {cause.name for cause in CAUSES}
    for probe in PROBES:
        assert probe.settles, probe.name
        assert set(probe.settles) <= names, probe.name
    assert len({probe.name for probe in PROBES}) == len(PROBES)


def test_the_documentation_has_the_table_of_probes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "probes.md").read_text(encoding="utf-8")
    for probe in PROBES:
        assert f"| `{probe.name}` | {probe.question} {probe.does} | {', '.join(probe.settles)} |" in page
    assert page.count("\n| `") == len(PROBES)


def test_an_unknown_probe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidOptionError, match=r"'one-step'.*Received: probes=\['two-steps'\]"):
        investigate(None, analysis=healthy(), probes=["two-steps"])


def test_an_investigation_without_an_analysis_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match=r"Argument `analysis` must be .*Received: analysis=LRCurve"):
        investigate(None, analysis=healthy().curve)  # type: ignore[arg-type]


def test_a_probe_of_the_model_needs_one() -> None:
    with pytest.raises(ScanError, match="Expected a model for the probes one-step"):
        investigate(None, analysis=healthy(), probes=["one-step"])


def averaged(name: str) -> LRCurve:
    curve = healthy().curve
    context = dataclasses.replace(curve.context, averaging=name, steps_per_epoch=1000)
    return dataclasses.replace(curve, loss=AVERAGES[name].apply(curve.loss, 1000), context=context)


def test_an_average_that_moves_the_lowest_loss_is_confirmed() -> None:
    found = investigate(None, analysis=analyze(averaged("ktrain")), probes=["undo-averages"], verbose=0)
    assert found.results[0].confirms == ("averaging",)
    assert status(found.analysis, "averaging") is CauseStatus.CONFIRMED


def test_a_record_of_single_batches_rules_averages_out() -> None:
    found = investigate(None, analysis=healthy(), probes=["undo-averages"], verbose=0)
    assert found.results[0].rules_out == ("averaging",)


def test_each_probe_says_what_it_found_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    investigate(None, analysis=healthy(), probes=["undo-averages"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("1/1 Does averaging distort the recorded curve? no (")


@pytest.mark.parametrize("kind", ["linear", "xor", "regression"])
def test_labels_that_hang_on_inputs_are_told_from_shuffled_ones(kind: str) -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(240, 6))
    labels = {
        "linear": (x[:, 0] + x[:, 1] > 0).astype(int),
        "xor": ((x[:, 0] > 0) ^ (x[:, 1] > 0)).astype(int),
        "regression": x[:, :1] + 0.5 * random.normal(size=(240, 1)),
    }[kind]
    classes = kind != "regression"
    assert measure_dependence(x, labels, classes=classes).depends is True
    assert measure_dependence(x, random.permutation(labels), classes=classes).depends is not True


def test_inputs_that_are_all_the_same_tell_no_label() -> None:
    found = measure_dependence(np.ones((150, 4)), np.arange(150) % 3, classes=True)
    assert found.depends is False
    assert found.accuracy == pytest.approx(1 / 3)


def test_few_samples_do_not_prove_that_nothing_is_there() -> None:
    random = np.random.default_rng(1)
    assert measure_dependence(random.normal(size=(40, 4)), random.integers(0, 2, 40), classes=True).depends is None
