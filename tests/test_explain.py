"""Golden texts are renewed with `pytest tests/test_explain.py --update-golden`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given

from keras_lrscan import LRCurve, ScanContext, analyze
from keras_lrscan.shapes import SHAPE_RULES
from keras_lrscan.synthetic import synthetic_curve
from tests.catalog import PAIRS
from tests.strategies import any_curves

GOLDEN = Path(__file__).parent / "golden"
HEADINGS = [
    "What you see",
    "What it means",
    "Why (evidence)",
    "What it does not mean",
    "What to try, in order",
    "Could also be",
    "About this record",
    "Learn more",
]


@pytest.mark.parametrize("code", [rule.code for rule in SHAPE_RULES])
def test_each_shape_is_explained_as_agreed(code: str, request: pytest.FixtureRequest) -> None:
    text = analyze(PAIRS[code][0]).explain()
    path = GOLDEN / f"{code}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@given(any_curves())
def test_text_is_whole_on_any_curve(curve: LRCurve) -> None:
    text = analyze(curve).explain()
    assert not re.search(r"[{}]|\bNone\b|\bnan\b", text)
    headings = [line for line in text.splitlines() if line in HEADINGS]
    assert headings == [heading for heading in HEADINGS if heading in headings]
    assert {"What you see", "What it means", "What it does not mean", "What to try, in order"} <= set(headings)
    assert max(len(line) for line in text.splitlines()) <= 100


def test_a_model_that_is_already_good_is_told_so_and_that_it_is_not_overfitting() -> None:
    text = " ".join(analyze(synthetic_curve("monotone-from-pretrained")).explain().split())
    assert "the model starts out already good" in text
    assert "It is not overfitting." in text
    assert "It is not a broken model" in text


def test_what_limits_the_record_is_said_word_for_word() -> None:
    curve = synthetic_curve("u-shaped")
    noted = LRCurve(lr=curve.lr, loss=curve.loss, context=ScanContext(notes=("Averages {were} undone.",)))
    assert "About this record\n- Averages {were} undone.\n" in analyze(noted).explain()
    assert "About this record" not in analyze(curve).explain()


def test_without_a_chance_level_both_readings_are_given() -> None:
    curve = synthetic_curve("monotone-from-pretrained")
    unknown = LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop, context=ScanContext())
    text = " ".join(analyze(unknown).explain().split())
    assert "There are two readings." in text
    assert "guessing would cost" not in text


def test_the_summary_is_three_lines_with_rate_and_range() -> None:
    lines = analyze(synthetic_curve("u-shaped")).summary().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("LRScan: a U")
    assert re.search(r"about 0\.02 \(somewhere from 0\.00\d to 0\.0\d\)", lines[1])


def test_a_refusal_to_suggest_stands_first_among_what_to_try() -> None:
    text = analyze(synthetic_curve("flat")).explain()
    assert "What to try, in order\n- No rate is suggested" in text
