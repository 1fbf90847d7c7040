"""Tests the plot of several scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan import InvalidCurveError, InvalidOptionError, analyze, plot_curves
from keras_lrscan.datasets.synthetic import synthetic_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figure = pytest.importorskip("matplotlib.figure", exc_type=ImportError).Figure

ANALYSES = [analyze(synthetic_curve(name), num_copies=1) for name in ("u-shaped", "flat")]


def told_by(ax: Axes) -> list[str]:
    """Returns the entries of the legend."""
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_each_scan_has_its_line_its_color_and_its_suggestion_in_the_legend() -> None:
    ax = plot_curves(ANALYSES, labels=["mine", "yours"], ax=Figure().subplots())
    told = told_by(ax)
    assert len(told) == 2
    assert told[0].startswith("mine (suggested: about ")
    assert told[1] == "yours (no suggestion)"
    named = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    assert len({line.get_color() for line in named}) == 2
    assert [str(line.get_linestyle()) for line in ax.lines].count("--") == 1


def test_scans_without_labels_are_numbered() -> None:
    ax = plot_curves(ANALYSES, ax=Figure().subplots())
    assert told_by(ax)[1].startswith("2: flat")


def test_a_single_scan_is_drawn_too() -> None:
    analysis = analyze(synthetic_curve("u-shaped"), num_copies=1)
    ax = plot_curves(analysis, ax=Figure().subplots())
    assert told_by(ax)[0].startswith("1: u-shaped")


def test_no_scans_and_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidCurveError, match="at least one analysis"):
        plot_curves([])
    with pytest.raises(InvalidOptionError, match="Received: 1 labels, 2 analyses"):
        plot_curves(ANALYSES, labels=["mine"])
    scans: list[Any] = [ANALYSES[0], None]
    with pytest.raises(InvalidCurveError, match=r"Expected an `Analysis` of each scan. Received: analyses\[1\]=None"):
        plot_curves(scans)
