"""Tests the sentences about outputs that start differently, and the causes that must not contradict them."""

from __future__ import annotations

import pytest

from keras_lrscan import Analysis, describe_plot
from keras_lrscan.explanation.outputs import differing_outputs, highest, starts_in_words
from keras_lrscan.reading.start_state import JudgedOutput, StartState
from keras_lrscan.report.html import report_html
from tests.reading.test_start_state import read
from tests.support.contradictions import contradictions

TRAINED = {"optimizer_iterations": 500, "num_layers": 3, "num_used_layers": 3, "head_is_untrained": False}
"""Facts of a model that was trained before."""


def text_of(analysis: Analysis, level: str = "full") -> str:
    return " ".join(analysis.explain(level=level).split())


def names(analysis: Analysis) -> set[str]:
    return {finding.name for finding in analysis.findings if finding.is_sure}


def test_each_output_is_named_with_its_own_start() -> None:
    text = text_of(read("u-shaped", 0.05, 1.0), "beginner")
    assert "The total loss starts near 2.30 (chance level: 2.30), but the outputs start differently." in text
    assert "Output `out0` starts at 0.05 times its chance level" in text
    assert "so it already knows something about its task." in text
    assert "Output `out1` starts at 1.0 times its chance level, so it does no better than guessing." in text
    assert '`LRScan(monitor="out1_loss")` records the loss of `out1` alone.' in text


def test_the_report_lists_what_is_known_of_each_output() -> None:
    for needed in ("jinja2", "matplotlib"):
        pytest.importorskip(needed, exc_type=ImportError)
    page = report_html(read("u-shaped", 0.05, 1.0))
    for words in ("chance level of output out0", "loss over the first batches of output out1"):
        assert words in page


def test_outputs_with_the_same_state_share_a_sentence() -> None:
    text = text_of(read("u-shaped", 0.05, 0.2, 3.0))
    assert "Outputs `out0` and `out1` start at 0.05 to 0.2 times their chance levels" in text
    assert "Output `out2` starts at 3.0 times its chance level, so its first answers cost more than guessing." in text


def test_a_long_list_of_outputs_is_cut_and_braces_stay() -> None:
    many = [JudgedOutput(f"{{{at}}}", 1.0, StartState.AT_CHANCE) for at in range(6)]
    said = starts_in_words([*many, JudgedOutput("a", 0.1, StartState.BETTER_THAN_CHANCE)])
    assert "Outputs `{0}`, `{1}`, `{2}` and 3 more start at 1.0 times their chance levels" in said
    assert highest(many) == "{0}"


@pytest.mark.parametrize("shape", ["u-shaped", "monotone-from-pretrained", "flat", "still-falling", "diverges-at-once"])
@pytest.mark.parametrize("ratios", [(0.05, 1.0), (0.05, 3.0), (0.05, 0.3)])
@pytest.mark.parametrize("facts", [{}, TRAINED], ids=["nothing known", "trained"])
def test_no_sentence_contradicts_the_starts(shape: str, ratios: tuple[float, ...], facts: dict[str, object]) -> None:
    analysis = read(shape, *ratios, **facts)
    assert contradictions(analysis) == []
    assert bool(differing_outputs(analysis)) is (ratios != (0.05, 0.3))


def test_an_output_far_above_guessing_is_named_beside_one_that_guesses() -> None:
    analysis = read("u-shaped", 1.0, 3.0)
    assert contradictions(analysis) == []
    assert analysis.verdict.start_state is StartState.AT_CHANCE
    assert "Output `out1` starts at 3.0 times its chance level" in text_of(analysis)


def test_a_model_with_an_output_at_chance_is_not_called_already_good() -> None:
    facts = {**TRAINED, "start_metrics": {"accuracy": 0.97}}
    assert "already-good" in names(read("monotone-from-pretrained", 0.05, 0.1, **facts))
    mixed = read("monotone-from-pretrained", 0.05, 1.0, **facts)
    assert "already-good" not in names(mixed)
    assert "already-good" in {finding.name for finding in mixed.excluded}
    text = text_of(mixed)
    assert "Problem: perhaps. Some outputs start no better than guessing, and the loss never falls." in text
    assert 'Next: scan again with `LRScan(monitor="out1_loss")`, to see `out1` alone.' in text
    assert "some outputs start better than chance level, others do not" in describe_plot(mixed)


def test_a_model_with_a_trained_output_is_neither_fresh_nor_hardly_trained() -> None:
    whole, mixed = read("u-shaped", 1.0, 1.1, **TRAINED), read("u-shaped", 0.05, 1.0, **TRAINED)
    assert "hardly-trained" in names(whole)
    assert {"hardly-trained", "fresh-start"} <= {finding.name for finding in mixed.excluded}
    assert "partly-trained" in names(mixed)


def test_a_new_head_beside_a_trained_one_is_found() -> None:
    facts = {**TRAINED, "optimizer_iterations": 0, "head_is_fresh": True, "head_is_untrained": True}
    assert "new-head" in names(read("u-shaped", 0.05, 1.0, **facts))
