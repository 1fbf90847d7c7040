from __future__ import annotations

from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given

from keras_lrscan import LRCurve, ScanContext, analyze, plot_curve
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.formatting import format_lr
from keras_lrscan.plots.alt_text import STARTS, caption, describe_plot
from keras_lrscan.plots.curve_plot import FIGURE_SIZE, FILLS
from keras_lrscan.plots.label_placement import spread
from keras_lrscan.plots.regions import RegionKind, regions
from keras_lrscan.reading.features import MIN_FOR_START
from keras_lrscan.reading.shapes import Shape
from tests.support.catalog import PAIRS, analysis_of
from tests.support.strategies import any_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from keras_lrscan import Analysis


figure = pytest.importorskip("matplotlib.figure", reason="drawing needs matplotlib", exc_type=ImportError)
Text = pytest.importorskip("matplotlib.text", reason="drawing needs matplotlib", exc_type=ImportError).Text

RECORDED = Path(__file__).parents[2] / "docs" / "curves"


@cache
def read(shape: str) -> Analysis:
    return analyze(synthetic_curve(shape))


@cache
def read_record(name: str) -> Analysis:
    return analyze(LRCurve.from_json(RECORDED / f"{name}.json"))


def axes() -> Axes:
    ax: Axes = figure.Figure().subplots()
    return ax


def texts(ax: Axes) -> str:
    return "\n".join(text.get_text() for text in ax.texts)


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_every_landmark_and_the_suggestion_are_named(shape: str) -> None:
    analysis = read(shape)
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


def test_the_chance_level_is_drawn_where_it_is_known() -> None:
    known = synthetic_curve("monotone-from-pretrained")
    assert "chance level: 2.3" in texts(plot_curve(analyze(known), ax=axes()))
    assert "chance level:" not in texts(plot_curve(analyze(LRCurve(lr=known.lr, loss=known.loss)), ax=axes()))


def test_lines_take_their_style_from_the_caller() -> None:
    ax = plot_curve(read("flat"), ax=axes(), line_kw={"color": "red"}, raw_kw={"lw": 3})
    assert ax.lines[0].get_linewidth() == 3
    assert ax.lines[1].get_color() == "red"


@given(any_curves())
def test_any_curve_can_be_drawn_and_described(curve: LRCurve) -> None:
    analysis = analyze(curve, num_copies=5)
    bottom, top = plot_curve(analysis, ax=axes()).get_ylim()
    assert np.isfinite([bottom, top]).all()
    assert bottom < top
    described = describe_plot(analysis)
    assert ("a single batch" if len(curve) == 1 else f"{len(curve)} batches") in described
    for name in ("steepest", "elbow") if analysis.features.num_points >= MIN_FOR_START else ():
        mark = getattr(analysis.landmarks, name)
        assert mark is None or f"at a learning rate of {format_lr(mark.lr)}" in described
    if analysis.suggestion.lr is not None:
        assert f"about {format_lr(analysis.suggestion.lr)}" in described


def test_each_shape_has_its_own_title() -> None:
    titles = {plot_curve(analysis_of(code), ax=axes()).get_title(loc="left") for code in PAIRS if code < "LRS2"}
    assert len(titles) == len(Shape)


ONE_OF_EACH_SHAPE = (
    "breaking-start",
    "catapult",
    "collapse",
    "down-to-guessing",
    "fresh-classifier",
    "frozen-layers",
    "half-trained-batches-of-two",
    "harder-and-harder",
    "labels-shuffled",
    "outlying-targets",
    "outlying-targets-again",
    "stopped-while-falling",
    "trained",
    "twenty-steps",
)

WIDTHS = pytest.mark.parametrize("size", [FIGURE_SIZE, (3.75, 5.0)], ids=["desktop", "phone"])


def drawn(analysis: Analysis, size: tuple[float, float], *, compare: bool = False) -> Axes:
    ax: Axes = figure.Figure(figsize=size, layout="constrained").subplots()
    plot_curve(analysis, ax=ax, compare=compare)
    ax.figure.canvas.figure.draw_without_rendering()
    return ax


def boxes(ax: Axes) -> dict[str, Any]:
    """Returns the box of every text on and around the axes, without leader lines."""
    shown = [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, *ax.get_legend().get_texts()]  # type: ignore[union-attr,attr-defined]
    shown += [
        tick.label1 for tick in ax.xaxis.get_major_ticks() if ax.get_xlim()[0] <= tick.get_loc() <= ax.get_xlim()[1]
    ]
    return {
        f"{text.get_text()} #{i}": Text.get_window_extent(text)
        for i, text in enumerate(shown)
        if text.get_text() and text.get_visible()
    }


def overlapping(ax: Axes) -> list[tuple[str, str]]:
    found = boxes(ax)
    return [
        (one, other)
        for one, other in combinations(found, 2)
        if min(found[one].x1, found[other].x1) - max(found[one].x0, found[other].x0) > 1
        and min(found[one].y1, found[other].y1) - max(found[one].y0, found[other].y0) > 1
    ]


@WIDTHS
@pytest.mark.parametrize("code", [code for code in PAIRS if code < "LRS2"])
def test_no_text_covers_another_or_leaves_the_figure(code: str, size: tuple[float, float]) -> None:
    ax = drawn(analysis_of(code), size)
    assert overlapping(ax) == []
    whole = ax.figure.bbox
    for name, box in boxes(ax).items():
        assert whole.x0 - 1 <= box.x0, name
        assert box.x1 <= whole.x1 + 1, name


@pytest.mark.parametrize("name", ONE_OF_EACH_SHAPE)
def test_no_text_covers_another_on_recorded_scans(name: str) -> None:
    assert overlapping(drawn(read_record(name), FIGURE_SIZE, compare=True)) == []


def test_the_test_for_overlaps_can_fail() -> None:
    ax = drawn(read("u-shaped"), FIGURE_SIZE)
    ax.annotate("in the way", ax.texts[-1].xy, textcoords="offset points", xytext=ax.texts[-1].xyann)  # type: ignore[attr-defined]
    assert overlapping(ax)


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ("u-shaped", ["too small to matter", "learning", "breaking"]),
        ("monotone-from-pretrained", ["no visible change", "breaking"]),
        ("valley-then-plateau", ["too small to matter", "learning", "breaking", "broken"]),
        ("still-falling", ["too small to matter", "learning"]),
        ("upward-drift", ["slowly getting worse"]),
        ("diverges-at-once", ["breaking"]),
        ("flat", ["no visible change"]),
    ],
)
def test_stretches_are_named_and_adjoin(shape: str, names: list[str]) -> None:
    analysis = read(shape)
    found = regions(analysis)
    assert [str(region.kind) for region in found] == names
    assert [region.high for region in found[:-1]] == [region.low for region in found[1:]]
    assert set(names) <= set(texts(plot_curve(analysis, ax=axes())).split("\n"))


@pytest.mark.parametrize("code", ["LRS103", "LRS111", "LRS112"])
def test_no_stretch_is_named_on_a_curve_that_cannot_be_read(code: str) -> None:
    assert regions(analysis_of(code)) == ()


def test_kinds_of_stretches_can_be_told_apart_without_color() -> None:
    looks = {(hatch, strength > 0) for _, strength, hatch in FILLS.values()}
    assert len(looks) == len(FILLS) - len(SAME_LOOK)


SAME_LOOK = ({RegionKind.SMALL, RegionKind.LEVEL}, {RegionKind.LEARNING, RegionKind.FALLING})
"""Pairs of kinds with the same look; a curve has at most one of each."""


def test_a_fall_to_guessing_is_not_called_learning() -> None:
    kinds = [region.kind for region in regions(read_record("down-to-guessing"))]
    assert RegionKind.FALLING in kinds
    assert RegionKind.LEARNING not in kinds


def test_rules_of_other_tools_are_marked_on_request() -> None:
    analysis = read("u-shaped")
    assert "slide" not in texts(plot_curve(analysis, ax=axes()))
    named = texts(plot_curve(analysis, ax=axes(), compare=True))
    for method in ("steepest", "valley", "slide"):
        rate = analysis.suggest(method=method).lr
        assert rate is not None
        assert f": {format_lr(rate)}" in named
    assert "biggest-square" in texts(plot_curve(analysis, ax=axes(), compare=["biggest-square"]))


@pytest.mark.parametrize("compare", ["best", ["best"]])
def test_an_unknown_rule_is_an_error_that_lists_the_known_ones(compare: str | list[str]) -> None:
    with pytest.raises(InvalidOptionError, match=r"Argument `compare` must be one of .*'slide'.*compare='best'"):
        plot_curve(read("u-shaped"), ax=axes(), compare=compare)


def test_one_rule_can_be_named_alone() -> None:
    assert "biggest-square" in texts(plot_curve(read("u-shaped"), ax=axes(), compare="biggest-square"))


def test_a_rule_that_points_outside_the_scan_says_to_which_side() -> None:
    named = texts(plot_curve(read_record("breaking-start"), ax=axes(), compare=["elbow/10"]))
    assert "\N{LEFTWARDS ARROW} " in named


def test_the_chance_level_includes_regularization_since_the_losses_do() -> None:
    curve = synthetic_curve("u-shaped")
    context = ScanContext.from_dict({**curve.context.to_dict(), "regularization_loss": 5.0})
    lifted = LRCurve(lr=curve.lr, loss=curve.loss + 5, stop=curve.stop, context=context)
    assert "chance level with regularization: 7.3" in texts(plot_curve(analyze(lifted), ax=axes()))


def test_a_chance_level_far_below_the_curve_is_mentioned_and_not_drawn() -> None:
    curve = synthetic_curve("u-shaped")
    context = ScanContext.from_dict({**curve.context.to_dict(), "chance_loss": 0.5})
    high = LRCurve(lr=curve.lr, loss=curve.loss + 500, stop=curve.stop, context=context)
    assert "chance level: 0.5, below this view" in texts(plot_curve(analyze(high), ax=axes()))


@pytest.mark.parametrize("shape", SYNTHETIC_LOSSES)
def test_the_caption_is_one_sentence_with_verdict_and_start_and_one_with_what_to_fix(shape: str) -> None:
    analysis = read(shape)
    words = caption(analysis)
    assert words.startswith(f"Verdict {shape} ")
    assert STARTS[analysis.verdict.start_state] in words
    problem = analysis.first_problem
    said, _, fix = words.partition(" Fix this first: ")
    assert said.endswith(".")
    assert ". " not in said
    assert fix == ("" if problem is None else problem.title)
    assert words in texts(plot_curve(analysis, ax=axes())).replace("\n", " ")


def test_a_description_names_regions_the_chance_level_and_points_off_the_plot() -> None:
    described = describe_plot(read("u-shaped"))
    assert "too small to matter from 1e-7 to " in described
    assert "A dotted line marks the chance level, 2.30." in described
    assert "batches are off the top of the plot" in described


def test_spread_keeps_order_and_room() -> None:
    centers = spread([5.0, 5.1, 5.2], [2.0, 2.0, 2.0], low=0.0, high=6.5)
    assert centers == pytest.approx([1.5, 3.5, 5.5])
