from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given

from keras_lrscan import LRCurve, analyze, plot_curve
from keras_lrscan.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from tests.catalog import PAIRS
from tests.strategies import any_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes


figure = pytest.importorskip("matplotlib.figure", reason="drawing needs matplotlib", exc_type=ImportError)


def axes() -> Axes:
    ax: Axes = figure.Figure().subplots()
    return ax


def texts(ax: Axes) -> str:
    return "\n".join(text.get_text() for text in ax.texts)


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_every_landmark_and_the_suggestion_are_named(shape: str) -> None:
    analysis = analyze(synthetic_curve(shape))
    ax = plot_curve(analysis, ax=axes())
    named = texts(ax)
    assert ("steepest fall" in named) == (analysis.landmarks.steepest is not None)
    assert ("starts to rise" in named) == (analysis.landmarks.elbow is not None)
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert any(label.startswith("suggested") for label in labels) == (analysis.suggestion.lr is not None)


def test_an_explosion_does_not_squash_the_view() -> None:
    curve = synthetic_curve("u-shaped")
    lr = [*curve.lr, curve.lr[-1] * 1.1, curve.lr[-1] * 1.2]
    ax = plot_curve(analyze(LRCurve(lr=lr, loss=[*curve.loss, 1e5, 1e6], context=curve.context)), ax=axes())
    assert ax.get_ylim()[1] < 5
    assert "batches off the top" in texts(ax)


def test_the_level_of_guessing_is_drawn_where_it_is_known() -> None:
    known = synthetic_curve("monotone-from-pretrained")
    assert "guessing" in texts(plot_curve(analyze(known), ax=axes()))
    assert "guessing" not in texts(plot_curve(analyze(LRCurve(lr=known.lr, loss=known.loss)), ax=axes()))


def test_lines_take_their_style_from_the_caller() -> None:
    ax = plot_curve(analyze(synthetic_curve("flat")), ax=axes(), line_kw={"color": "red"}, raw_kw={"lw": 3})
    assert ax.lines[0].get_linewidth() == 3
    assert ax.lines[1].get_color() == "red"


@given(any_curves())
def test_any_curve_can_be_drawn(curve: LRCurve) -> None:
    ax = plot_curve(analyze(curve), ax=axes())
    bottom, top = ax.get_ylim()
    assert np.isfinite([bottom, top]).all()
    assert bottom < top


def test_each_shape_has_its_own_title() -> None:
    titles = {plot_curve(analyze(PAIRS[code][0]), ax=axes()).get_title(loc="left") for code in PAIRS if code < "LRS2"}
    assert len(titles) == 12
