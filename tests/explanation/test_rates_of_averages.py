"""Tests that text, plot and report call a rate that was read off averages an upper limit, and no other rate."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from keras_lrscan import Analysis, analyze
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.alt_text import caption
from keras_lrscan.plots.rate_panel import draw_rates
from keras_lrscan.suggestions.suggest import format_range

LIMIT = "no more than"
CONTEXTS: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"averaging": "ktrain"}, True),
    ({"averaging": "of an unknown kind", "from_picture": True}, True),
    ({"undone_averaging": "ktrain"}, False),
]


def with_context(**known: Any) -> Analysis:
    curve = synthetic_curve("u-shaped")
    return analyze(dataclasses.replace(curve, context=dataclasses.replace(curve.context, **known)), num_copies=3)


def texts(analysis: Analysis) -> dict[str, str]:
    """Returns everything that tells the suggested rate."""
    found = {level: analysis.explain(level=level) for level in ("beginner", "full")}
    return {**found, "summary": analysis.summary(), "caption": caption(analysis)}


@pytest.mark.parametrize(("known", "is_limit"), CONTEXTS)
def test_texts_agree_on_whether_a_rate_is_a_limit(known: dict[str, Any], is_limit: bool) -> None:
    analysis = with_context(**known)
    assert analysis.holds_averages is is_limit
    reach = format_range(analysis.suggestion)
    assert reach is not None
    for where, text in texts(analysis).items():
        assert (LIMIT in text) is is_limit, where
        assert (reach in text) is not is_limit, where
        assert not is_limit or "three times" not in text, where


@pytest.mark.parametrize(("known", "is_limit"), CONTEXTS)
def test_the_plot_draws_a_limit_without_a_range(known: dict[str, Any], is_limit: bool) -> None:
    figures = pytest.importorskip("matplotlib.figure", exc_type=ImportError)
    analysis = with_context(**known)
    ax = analysis.plot(ax=figures.Figure(figsize=(9, 6)).subplots())
    legend = ax.get_legend_handles_labels()[1]
    rate = format_lr(analysis.suggestion.lr or 0.0)
    assert (f"{LIMIT} about {rate}" in legend) is is_limit
    assert (f"suggested: about {rate}, with range" in legend) is not is_limit
    drawn = [text.get_text() for text in ax.texts]
    assert (f"{LIMIT} {rate}" if is_limit else f"suggested: {rate}") in drawn


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_the_name_of_a_limit_lies_within_the_axes_wherever_the_rate_is(share: float) -> None:
    figures = pytest.importorskip("matplotlib.figure", exc_type=ImportError)
    analysis = with_context(averaging="ktrain")
    ax = figures.Figure(figsize=(7, 5)).subplots()
    ax.set_xscale("log")
    first, last = -7.0, 1.0
    ax.set_xlim(10**first, 10**last)
    lr = 10 ** (first + share * (last - first))
    limit = dataclasses.replace(analysis.suggestion, lr=lr, low=lr / 3, high=3 * lr)
    draw_rates(ax, (limit,), 0.1, at_most=True)
    name, box = next(text for text in ax.texts if LIMIT in text.get_text()).get_window_extent(), ax.get_window_extent()
    assert box.x0 <= name.x0 < name.x1 <= box.x1


@pytest.mark.parametrize(("known", "is_limit"), CONTEXTS)
def test_the_report_lists_limits_without_ranges(known: dict[str, Any], is_limit: bool) -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    html = pytest.importorskip("keras_lrscan.report.html", exc_type=ImportError)
    pytest.importorskip("jinja2", exc_type=ImportError)
    analysis = with_context(**known)
    text = html.report_html(analysis)
    assert ("<dt>Suggested learning rate</dt>" in text) is not is_limit
    assert (f"<dd>{LIMIT} {format_lr(analysis.suggestion.lr or 0.0)}</dd>" in text) is is_limit
    assert ("Upper limits of the learning rate" in text) is is_limit
