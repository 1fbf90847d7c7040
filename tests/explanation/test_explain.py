"""Tests explanations. Run `pytest tests/explanation/test_explain.py --update-golden` to update the golden texts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import textstat
from hypothesis import given

from keras_lrscan import InvalidOptionError, LRCurve, ScanContext, analyze
from keras_lrscan.causes.ranking import CAUSES
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.explanation.explain import sections
from keras_lrscan.explanation.glossary import TERMS
from keras_lrscan.reading.shapes import SHAPE_RULES
from tests.support.catalog import PAIRS, analysis_of
from tests.support.strategies import any_curves

GOLDEN = Path(__file__).parents[1] / "golden"
HEADINGS = [
    "How to read it",
    "What you see",
    "What it means",
    "Why (evidence)",
    "What it does not mean",
    "What to try, in order",
    "Could also be",
    "Questions people ask",
    "Numbers and formulas",
    "About this record",
    "Learn more",
]


CODES = [*(rule.code for rule in SHAPE_RULES), *(cause.code for cause in CAUSES)]
HARDEST_GRADE = 8.0
"""School grade in the United States of readers aged about 14."""


@pytest.mark.parametrize("code", CODES)
def test_each_shape_and_cause_is_explained_as_agreed(code: str, request: pytest.FixtureRequest) -> None:
    text = analysis_of(code).explain()
    path = GOLDEN / f"{code}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("code", CODES)
def test_the_text_for_beginners_is_easy_to_read(code: str) -> None:
    for level in ("beginner", "full"):
        said = sections(analysis_of(code), level=level)
        text = " ".join(sentence for section in said for sentence in section.sentences)
        assert textstat.flesch_kincaid_grade(text) <= HARDEST_GRADE, level


@pytest.mark.parametrize("code", CODES)
def test_each_term_is_explained_where_it_first_appears(code: str) -> None:
    for level in ("beginner", "full"):
        text = " ".join(analysis_of(code).explain(level=level).split())
        for term, meaning in TERMS.items():
            assert text.count(f"({meaning})") <= 1, (level, term)


def test_an_expert_is_told_every_rule_and_weight() -> None:
    analysis = analysis_of("LRS101")
    text = " ".join(analysis.explain(level="expert").split())
    assert all(f"{finding.code} {finding.name}: s =" in text for finding in analysis.findings)
    assert all(f"{finding.code} {finding.name}, " in text for finding in analysis.excluded)
    assert "d loss / d log10(rate)" in text
    assert "d log10" not in analysis.explain(level="full")


def test_a_level_that_is_unknown_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="Argument `level` must be one of 'beginner', 'full', 'expert'"):
        analysis_of("LRS101").explain(level="child")


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("LRS102", "Is it overfitting? No."),
        ("LRS102", "Is the model broken? No."),
        ("LRS102", "Why is it not a U?"),
        ("LRS102", "Why is the loss lowest at the smallest rate?"),
        ("LRS101", "Which point should I choose? Not the lowest one"),
        ("LRS109", "Why are there two dips?"),
        ("LRS203", "Why is the line so bumpy?"),
        ("LRS306", "Is the model broken? There may be a problem to fix."),
    ],
)
def test_the_questions_that_people_ask_are_answered(code: str, asked: str) -> None:
    assert asked in " ".join(analysis_of(code).explain(level="full").split())


def test_a_question_that_does_not_come_up_is_not_answered() -> None:
    assert "two dips" not in analysis_of("LRS101").explain(level="full")
    assert "not a U" not in analysis_of("LRS101").explain(level="full")


@given(any_curves())
def test_text_is_whole_on_any_curve(curve: LRCurve) -> None:
    analysis = analyze(curve, num_copies=5)
    least = {"What you see", "What it does not mean"}
    for level, more in (("beginner", set()), ("full", {"What it means", "What to try, in order"})):
        text = analysis.explain(level=level)
        assert not re.search(r"[{}]|\bNone\b|\bnan\b(?! in data)", text)
        headings = [line for line in text.splitlines() if line in HEADINGS]
        assert headings == [heading for heading in HEADINGS if heading in headings]
        assert least | more <= set(headings)
        assert max(len(line) for line in text.splitlines()) <= 100


def test_a_model_that_is_already_good_is_told_so_and_that_it_is_not_overfitting() -> None:
    text = " ".join(analyze(synthetic_curve("monotone-from-pretrained")).explain(level="full").split())
    assert "The model starts out already good" in text
    assert "It is not overfitting (" in text
    assert "It is not a sign of a bug" in text


def test_what_limits_the_record_is_said_word_for_word() -> None:
    curve = synthetic_curve("u-shaped")
    noted = LRCurve(lr=curve.lr, loss=curve.loss, context=ScanContext(notes=("Averages {were} undone.",)))
    assert "About this record\n- Averages {were} undone.\n" in analyze(noted).explain()
    assert "About this record" not in analyze(curve).explain()


def test_without_a_chance_level_both_readings_are_given() -> None:
    curve = synthetic_curve("monotone-from-pretrained")
    unknown = LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop, context=ScanContext())
    assert "A good model and one that learns nothing give this same curve." in analyze(unknown).explain()
    text = " ".join(analyze(unknown).explain(level="full").split())
    assert "There are two explanations." in text
    assert "so the start of the loss cannot be judged." in text


def test_the_summary_is_three_lines_with_rate_and_range() -> None:
    first, second, third = analyze(synthetic_curve("u-shaped")).summary().splitlines()
    assert first.startswith("LRScan: A textbook U (u-shaped, LRS101). Problem: none found.")
    assert re.match(r"Learning rate: about 0\.02 \(somewhere from 0\.00\d to 0\.0\d\)\. Next: ", second)
    assert third.startswith("The test stopped because the loss had risen for good. Explanation: ")


def test_a_refusal_to_suggest_stands_first_among_what_to_try() -> None:
    text = analyze(synthetic_curve("flat")).explain(level="full")
    assert "What to try, in order\n- No rate is suggested" in text


@pytest.mark.parametrize("framework", ["keras 3", None])
def test_only_of_a_scan_it_is_said_how_to_ask_the_model(framework: str | None) -> None:
    curve = PAIRS["LRS305"][0]
    context = dataclasses.replace(curve.context, framework=framework)
    text = analyze(dataclasses.replace(curve, context=context)).explain(level="full")
    assert ("scan.investigate(x, y)" in text) == (framework is not None)


def test_of_a_record_of_which_nothing_is_known_it_is_not_said_that_the_model_was_put_back() -> None:
    curve = PAIRS["LRS305"][0]
    assert "restored to its state before the test" in " ".join(analyze(curve).explain().split())
    foreign = dataclasses.replace(curve, context=ScanContext())
    assert "restored" not in " ".join(analyze(foreign).explain().split())
