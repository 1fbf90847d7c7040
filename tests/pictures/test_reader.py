"""Tests that pictures of plots in several looks give back the numbers that were drawn."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import InvalidCurveError, InvalidOptionError, LRCurve, analyze
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.importers import from_image, from_json
from keras_lrscan.pictures.overlay import draw_overlay
from keras_lrscan.pictures.reader import read_picture

if TYPE_CHECKING:
    from keras_lrscan._typing import Array

for needed in ("PIL", "onnxruntime", "rapidocr"):
    pytest.importorskip(needed, exc_type=ImportError)
figures: Any = pytest.importorskip("matplotlib.figure", exc_type=ImportError)

RECORDED = Path(__file__).parents[2] / "docs" / "curves" / "fresh-classifier.json"
DECADES, SHARE = 0.05, 0.02


def numbers() -> tuple[Array, Array]:
    curve = LRCurve.from_json(RECORDED)
    kept = np.isfinite(curve.loss) & (curve.loss < 8)
    return curve.lr[kept], curve.loss[kept]


def drawn(
    *,
    x: str = "learning rate (log scale)",
    y: str = "loss",
    dpi: int = 100,
    scale: str = "log",
    kind: str = "png",
    labels: bool = True,
    average: str | None = None,
    **line: Any,
) -> bytes:
    lr, loss = numbers()
    loss = loss if average is None else AVERAGES[average].apply(loss, lr.size)
    figure = figures.Figure(figsize=(6.4, 4.8))
    ax = figure.subplots()
    ax.plot(lr, loss, **line)
    ax.set(xscale=scale, xlabel=x, ylabel=y)
    ax.tick_params(which="both", labelbottom=labels, labelleft=labels)
    data = io.BytesIO()
    figure.savefig(data, dpi=dpi, format=kind)
    return data.getvalue()


def errors(curve: LRCurve) -> tuple[float, float]:
    """Returns the error of the ends in decades, and the median error of the loss as a share of its range."""
    lr, loss = numbers()
    ends = np.abs(np.log10(curve.lr[[0, -1]] / lr[[0, -1]])).max()
    off = np.abs(np.interp(np.log10(curve.lr), np.log10(lr), loss) - curve.loss) / np.ptp(loss)
    return float(ends), float(np.median(off))


@pytest.mark.parametrize("dpi", [100, 150])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_plot_gives_back_its_numbers(dpi: int, kind: str) -> None:
    decades, share = errors(from_image(drawn(dpi=dpi, kind=kind)))
    assert decades <= DECADES
    assert share <= SHARE


@pytest.mark.parametrize("color", ["tab:blue", "black", "#7b3fbf", "tab:orange"])
def test_a_line_of_any_color_is_followed(color: str) -> None:
    decades, share = errors(from_image(drawn(color=color)))
    assert decades <= DECADES
    assert share <= SHARE


def test_the_labels_of_ktrain_name_its_average() -> None:
    curve = from_image(drawn(average="ktrain"))
    assert curve.context.averaging == "running-mean"
    assert curve.context.from_picture
    assert any("ktrain or keras_lr_finder" in note for note in curve.context.notes)
    assert any("too far right" in note for note in curve.context.notes)


def test_labels_of_two_tools_leave_the_kind_of_average_open() -> None:
    analysis = analyze(from_image(drawn(x="Learning rate", y="Loss", average="lightning")), num_copies=3)
    assert analysis.curve.context.averaging == "of an unknown kind"
    assert analysis.holds_averages


@pytest.mark.parametrize("averaging", [None, "ema-0.98"])
def test_an_average_in_a_picture_is_not_undone_after_saving(tmp_path: Path, averaging: str | None) -> None:
    curve = from_image(drawn(average="ktrain"))
    curve.to_json(tmp_path / "curve.json")
    again = from_json(tmp_path / "curve.json", averaging=averaging)
    assert again.loss.tolist() == curve.loss.tolist()
    assert again.context.averaging == (averaging or "running-mean")


@pytest.mark.parametrize(("x", "y"), [("Learning Rate", "Loss"), ("lr", "loss")])
def test_a_line_that_jumps_from_point_to_point_is_read_as_batch_losses(x: str, y: str) -> None:
    curve = from_image(drawn(x=x, y=y))
    assert curve.context.averaging is None
    assert any("jumps from point to point" in note for note in curve.context.notes)
    assert not analyze(curve, num_copies=3).holds_averages


def test_other_labels_name_no_tool_and_both_readings_are_given() -> None:
    curve = from_image(drawn(x="lr", average="lightning"))
    assert curve.context.averaging is None
    assert any("single batches" in note and "average" in note for note in curve.context.notes[1:])


def test_no_averaging_is_detected_from_neighboring_pixels() -> None:
    assert analyze(from_image(drawn(x="lr"))).detected_averaging is None


def test_the_number_of_points_is_read_from_the_bends() -> None:
    assert read_picture(drawn(dpi=200)).num_points == pytest.approx(numbers()[0].size, abs=2)


def test_labels_that_are_missing_are_asked_for_by_the_option() -> None:
    lr, loss = numbers()
    figure = figures.Figure()
    ax = figure.subplots()
    ax.plot(lr, loss)
    ax.set(xscale="log")
    ax.tick_params(labelbottom=False)
    ax.minorticks_off()
    data = io.BytesIO()
    figure.savefig(data)
    with pytest.raises(InvalidCurveError, match=r"lr_range=\(1e-7, 10\)"):
        from_image(data.getvalue())
    decades, share = errors(from_image(data.getvalue(), lr_range=(float(lr[0]), float(lr[-1]))))
    assert decades <= DECADES
    assert share <= SHARE


def test_labels_that_show_logarithms_of_rates_are_asked_for_and_then_read_as_logarithmic() -> None:
    lr, loss = numbers()
    figure = figures.Figure()
    ax = figure.subplots()
    ax.plot(np.log10(lr), loss)
    ax.set_xlim(-7.2, 1.2)
    ax.set_xticks(range(-7, 2))
    data = io.BytesIO()
    figure.savefig(data)
    with pytest.raises(InvalidCurveError, match=r"lr_range=\(1e-7, 10\)"):
        from_image(data.getvalue())
    decades, share = errors(from_image(data.getvalue(), lr_range=(1e-7, 10)))
    assert decades <= DECADES
    assert share <= SHARE


def test_a_range_that_is_given_as_it_was_read_changes_nothing_and_another_one_its_axis() -> None:
    read = read_picture(drawn(scale="linear"))
    low, high = read.loss_ticks
    again = read_picture(drawn(scale="linear"), lr_range=read.lr_ticks, loss_range=(2 * low, 2 * high))
    assert again.lr.tolist() == read.lr.tolist()
    assert not again.x_axis.is_given
    assert again.y_axis.is_given
    assert again.loss == pytest.approx(2 * read.loss, rel=0.03)


@pytest.mark.parametrize("given", [(10.0, 1e-7), (-1.0, 1.0), (1e-7, float("nan")), (1.0, 1.0)])
def test_an_impossible_range_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(InvalidOptionError, match="lr_range"):
        from_image(drawn(), lr_range=given)


@pytest.mark.parametrize("content", ["noise", "white", "text"])
def test_a_picture_without_a_plot_gets_one_sentence(content: str) -> None:
    from PIL import Image

    pixels = np.full((300, 400, 3), 255, dtype=np.uint8)
    if content == "noise":
        pixels = np.random.default_rng(0).integers(0, 255, pixels.shape, dtype=np.uint8)
    if content == "text":
        pixels[50:250:12, 20:380:9] = 0
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    with pytest.raises(InvalidCurveError, match="Cut the picture to one plot"):
        from_image(data.getvalue())


def test_the_overlay_is_a_picture_of_the_same_shape() -> None:
    from PIL import Image

    overlay = Image.open(io.BytesIO(draw_overlay(read_picture(drawn()))))
    assert overlay.size == (1280, 960)


def test_a_plot_of_this_package_is_refused_for_its_file(tmp_path: Path) -> None:
    analysis = analyze(LRCurve.from_json(RECORDED), num_copies=3)
    figure = figures.Figure(figsize=(9, 6), layout="constrained")
    analysis.plot(ax=figure.subplots())
    figure.savefig(tmp_path / "own.png")
    with pytest.raises(InvalidCurveError, match="pass the JSON or CSV file"):
        from_image(tmp_path / "own.png")


@pytest.mark.parametrize("style", ["default", "ggplot", "dark_background"])
@pytest.mark.parametrize("ends", [(0.9, 2.6), (0.16, 8.6), (3.1, 15.8)])
def test_labels_of_parts_of_decades_are_read(style: str, ends: tuple[float, float]) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", exc_type=ImportError)
    lr, loss = numbers()
    with pyplot.style.context(style):
        figure = figures.Figure(figsize=(6.0, 4.0))
        ax = figure.subplots()
        ax.plot(lr, np.interp(loss, (loss.min(), loss.max()), ends))
        ax.set(xscale="log", yscale="log", xlabel="lr", ylabel="loss")
        data = io.BytesIO()
        figure.savefig(data, dpi=100)
    read = read_picture(data.getvalue())
    assert read.y_axis.is_log
    assert [read.loss.min(), read.loss.max()] == pytest.approx(ends, rel=0.03)


def test_batch_losses_go_on_as_their_average_where_it_hides_them() -> None:
    lr, loss = numbers()
    average = AVERAGES["ema-0.98"].apply(loss, lr.size)
    shown = slice(4, -5)
    figure = figures.Figure(figsize=(8.0, 5.0))
    ax = figure.subplots()
    ax.plot(lr[shown], loss[shown], color="tab:blue", lw=1)
    ax.plot(lr, average, color="tab:orange", lw=2)
    ax.set(xscale="log", xlabel="lr", ylabel="loss")
    data = io.BytesIO()
    figure.savefig(data, dpi=120)
    read = read_picture(data.getvalue())
    assert np.abs(np.log10(read.lr[[0, -1]] / lr[[0, -1]])).max() <= DECADES
    inside = (lr > lr[8]) & (lr < lr[-10])
    at = np.interp(np.log10(lr[inside]), np.log10(read.lr), read.loss)
    assert np.median(np.abs(at - loss[inside])) < np.median(np.abs(average - loss)[inside])


def test_horizontal_gridlines_alone_make_a_frame() -> None:
    lr, loss = numbers()
    figure = figures.Figure(figsize=(8.0, 4.0))
    ax = figure.subplots()
    ax.plot(lr, loss)
    ax.set(xscale="log", xlabel="lr", title="train/loss")
    ax.grid(axis="y", color="#E5E5E5")
    ax.spines[["top", "right", "left"]].set_visible(False)
    data = io.BytesIO()
    figure.savefig(data, dpi=100)
    decades, share = errors(from_image(data.getvalue()))
    assert decades <= DECADES
    assert share <= SHARE


def test_a_line_that_is_lost_on_its_way_is_refused() -> None:
    lr, loss = numbers()
    figure = figures.Figure()
    ax = figure.subplots()
    ax.plot(lr, loss, color="#f4f4f4")
    ax.plot(lr[:20], loss[:20], color="black")
    ax.set(xscale="log", xlabel="lr", ylabel="loss")
    data = io.BytesIO()
    figure.savefig(data, dpi=100)
    with pytest.raises(InvalidCurveError, match=r"a line over 2[0-9]% of its width"):
        read_picture(data.getvalue())


@pytest.mark.parametrize(("color", "dashes"), [("#606060", ":"), ("tab:blue", "--"), ("black", "-.")])
def test_gridlines_of_dashes_and_dots_are_left_out(color: str, dashes: str) -> None:
    lr, loss = numbers()
    figure = figures.Figure(figsize=(7.0, 5.0))
    ax = figure.subplots()
    ax.plot(lr, loss, color=color)
    ax.set(xscale="log", xlabel="lr", ylabel="loss")
    ax.grid(visible=True, which="both", color="#808080", ls=dashes, lw=0.7)
    data = io.BytesIO()
    figure.savefig(data, dpi=100)
    decades, share = errors(from_image(data.getvalue()))
    assert decades <= DECADES
    assert share <= SHARE


def test_a_photograph_in_a_frame_is_no_line() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    pixels[:30] = pixels[-30:] = 255
    pixels[:, :30] = pixels[:, -30:] = 255
    pixels[[30, -31], 30:-30] = 0
    pixels[30:-30, [30, -31]] = 0
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format="PNG")
    with pytest.raises(InvalidCurveError, match="no line was found"):
        from_image(data.getvalue())


def test_the_plot_of_a_training_is_refused_unless_its_rates_are_given() -> None:
    data = drawn(x="epoch", scale="linear")
    with pytest.raises(InvalidCurveError, match="seems to show the course of a training"):
        from_image(data)
    assert from_image(data, lr_range=(1e-7, 0.3)).lr.size > 10
