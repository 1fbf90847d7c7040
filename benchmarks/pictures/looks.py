"""Draws recorded scans in the looks of learning-rate finders and of plain notebooks.

The functions of fastai, Lightning, torch-lr-finder and ktrain draw with the tool's own code if the tool is installed,
or else with the same calls of matplotlib.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, FuncFormatter

from keras_lrscan import LRCurve, analyze
from keras_lrscan.curves.averaging import AVERAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Drawn = tuple[Figure, np.ndarray, np.ndarray, str | None]
"""The figure, the rates and losses that it shows, and the average that the tool stores (`None` for batch losses)."""

SET_ASIDE = (
    "bare",
    "classic",
    "fastai_v1",
    "keras_lr_finder",
    "log_loss",
    "plain_labels",
    "seaborn_darkgrid",
    "solarized",
    "torch_lr_finder",
    "vega",
)
"""Looks that nothing was tuned on.

Seven of them are left of nine that `random.Random(18).sample` drew from the first twenty before any was read; then what
went wrong in `fivethirtyeight` and `raw_and_smoothed` was mended. `classic`, `solarized` and `vega` were written after
that, and `tracker`, whose frame was not found.
"""


def averaged(curve: LRCurve, average: str) -> np.ndarray:
    finite = curve.loss[np.isfinite(curve.loss)]
    steps = curve.context.steps_per_epoch or len(curve)
    return AVERAGES[average].apply(finite, steps)


def raw(curve: LRCurve, limit: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Returns rates and losses up to the first loss beyond `limit` times the start, where finders stop."""
    finite = np.isfinite(curve.loss)
    return stopped(curve.lr[finite], curve.loss[finite], limit)


def stopped(lr: np.ndarray, loss: np.ndarray, limit: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    best = np.minimum.accumulate(loss)
    beyond = np.flatnonzero((loss > limit * np.abs(best)) & (np.arange(loss.size) > 1))
    end = int(beyond[0]) + 1 if beyond.size else loss.size
    return lr[:end], loss[:end]


def of_tool(curve: LRCurve, average: str, limit: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    losses = averaged(curve, average)
    return stopped(curve.lr[: losses.size], losses, limit)


def ktrain(curve: LRCurve, *, suggestions: bool = False) -> Drawn:
    """ktrain's `lr_plot`, as in its `lroptimize/lrfinder.py`."""
    lr, loss = of_tool(curve, "ktrain")
    begin, end = (10, 5) if loss.size > 40 else (1, 1)
    fig, ax = plt.subplots()
    ax.set_ylabel("loss")
    ax.set_xlabel("learning rate (log scale)")
    ax.plot(lr[begin:-end], loss[begin:-end])
    ax.set_xscale("log")
    if suggestions:
        valley, steepest = loss.size // 2, int(np.gradient(loss[: max(3, int(loss.argmin()))]).argmin())
        for index, color in ((valley, "red"), (steepest, "purple")):
            at = min(max(index, begin), loss.size - end - 1)
            ax.plot(lr[at], loss[at], markersize=10, marker="o", color=color)
    return fig, lr[begin:-end], loss[begin:-end], "ktrain"


def ktrain_suggestions(curve: LRCurve) -> Drawn:
    return ktrain(curve, suggestions=True)


def fastai_v2(curve: LRCurve) -> Drawn:
    """fastai's `learn.lr_find()`."""
    lr, loss = of_tool(curve, "ema-0.98")
    if loss.size > 10:
        lr, loss = lr[:-5], loss[:-5]
    try:
        import torch
        from fastai.callback.schedule import valley
        from fastai.learner import Recorder
    except (ImportError, RuntimeError):
        fig, ax = plt.subplots(1, 1)
        ax.plot(lr, loss)
        ax.set_ylabel("Loss")
        ax.set_xlabel("Learning Rate")
        ax.set_xscale("log")
        at = loss.size // 2
        ax.plot(lr[at], loss[at], "o", label="valley", c=plt.rcParams["axes.prop_cycle"].by_key()["color"][1])
        ax.legend(loc="best")
        return fig, lr, loss, "ema-0.98"
    tensors = torch.tensor(lr), torch.tensor(loss)
    recorder = SimpleNamespace(lrs=lr.tolist(), losses=[torch.tensor(one) for one in loss])
    suggestion = valley(*tensors, len(lr))
    suggestions = [suggestion[1]] if isinstance(suggestion, tuple) else None
    fig = Recorder.plot_lr_find(recorder, skip_end=0, return_fig=True, suggestions=suggestions, nms=["valley"])
    return fig or plt.gcf(), lr, loss, "ema-0.98"


def fastai_v1(curve: LRCurve) -> Drawn:
    """`learn.recorder.plot(suggestion=True)` of fastai 1, as in its `basic_train.py`."""
    lr, loss = of_tool(curve, "ema-0.98")
    if loss.size > 25:
        lr, loss = lr[10:-5], loss[10:-5]
    fig, ax = plt.subplots(1, 1)
    ax.plot(lr, loss)
    ax.set_ylabel("Loss")
    ax.set_xlabel("Learning Rate")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FormatStrFormatter("%.0e"))
    steepest = int(np.gradient(loss).argmin()) if loss.size > 2 else 0
    ax.plot(lr[steepest], loss[steepest], markersize=10, marker="o", color="red")
    return fig, lr, loss, "ema-0.98"


def lightning(curve: LRCurve) -> Drawn:
    """Lightning's `lr_finder.plot(suggest=True)`."""
    lr, loss = of_tool(curve, "lightning")
    try:
        from lightning.pytorch.tuner.lr_finder import _LRFinder
    except (ImportError, RuntimeError):
        fig, ax = plt.subplots()
        ax.plot(lr, loss)
        ax.set_xscale("log")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Loss")
        at = int(np.gradient(loss[10:-1]).argmin()) + 10 if loss.size > 14 else 0
        ax.plot(lr[at], loss[at], markersize=10, marker="o", color="red")
        return fig, lr, loss, "lightning"
    finder = _LRFinder("exponential", float(lr[0]), float(lr[-1]), loss.size)
    finder.results = {"lr": lr.tolist(), "loss": loss.tolist()}
    return finder.plot(suggest=True), lr, loss, "lightning"


def torch_lr_finder(curve: LRCurve, *, log: bool = True) -> Drawn:
    """torch-lr-finder's `lr_finder.plot()`."""
    lr, loss = of_tool(curve, "ema-seeded-0.05", 5.0)
    begin, end = (10, 5) if loss.size > 25 else (0, 1)
    lr, loss = lr[begin:-end], loss[begin:-end]
    fig, ax = plt.subplots()
    try:
        from torch_lr_finder import LRFinder
    except (ImportError, RuntimeError):
        ax.plot(lr, loss)
        if log:
            at = int(np.gradient(loss).argmin())
            ax.scatter(lr[at], loss[at], s=75, marker="o", color="red", zorder=3, label="steepest gradient")
            ax.legend()
            ax.set_xscale("log")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Loss")
        return fig, lr, loss, "ema-seeded-0.05"
    finder = LRFinder.__new__(LRFinder)
    finder.history = {"lr": lr.tolist(), "loss": loss.tolist()}
    finder.plot(skip_start=0, skip_end=0, log_lr=log, ax=ax, suggest_lr=log and loss.size > 4)
    return fig, lr, loss, "ema-seeded-0.05"


def torch_lr_finder_linear(curve: LRCurve) -> Drawn:
    return torch_lr_finder(curve, log=False)


def keras_lr_finder(curve: LRCurve) -> Drawn:
    """`plot_loss` of keras_lr_finder, which stores Keras's running mean."""
    lr, loss = of_tool(curve, "running-mean")
    begin, end = (10, 5) if loss.size > 25 else (0, 1)
    fig, ax = plt.subplots()
    ax.set_ylabel("loss")
    ax.set_xlabel("learning rate (log scale)")
    ax.plot(lr[begin:-end], loss[begin:-end])
    ax.set_xscale("log")
    return fig, lr[begin:-end], loss[begin:-end], "running-mean"


def plain(curve: LRCurve, *, style: str = "default", size: tuple[float, float] | None = None, **line: Any) -> Drawn:
    with plt.style.context(style):
        fig, ax = plt.subplots(figsize=size)
        lr, loss = raw(curve)
        ax.semilogx(lr, loss, **line)
        ax.set(xlabel="learning rate", ylabel="loss")
        fig.canvas.draw()
    return fig, lr, loss, None


def notebook(curve: LRCurve) -> Drawn:
    drawn = plain(curve, size=(10, 6))
    drawn[0].axes[0].set_title("Learning rate vs. loss", fontsize=16)
    drawn[0].axes[0].grid(visible=True)
    return drawn


def dark(curve: LRCurve) -> Drawn:
    return plain(curve, style="dark_background")


def ggplot(curve: LRCurve) -> Drawn:
    return plain(curve, style="ggplot")


def fivethirtyeight(curve: LRCurve) -> Drawn:
    return plain(curve, style="fivethirtyeight", lw=2)


def seaborn_look(curve: LRCurve, style: str) -> Drawn:
    import seaborn as sns

    with sns.axes_style(style), sns.plotting_context("notebook"):
        fig, ax = plt.subplots(figsize=(8, 5))
        lr, loss = raw(curve)
        sns.lineplot(x=lr, y=loss, ax=ax)
        ax.set(xscale="log", xlabel="lr", ylabel="loss")
        fig.canvas.draw()
    return fig, lr, loss, None


def seaborn_darkgrid(curve: LRCurve) -> Drawn:
    return seaborn_look(curve, "darkgrid")


def seaborn_whitegrid(curve: LRCurve) -> Drawn:
    return seaborn_look(curve, "whitegrid")


def raw_and_smoothed(curve: LRCurve) -> Drawn:
    lr, loss = raw(curve)
    fig, ax = plt.subplots(figsize=(8, 5))
    ax.plot(lr, loss, color="lightsteelblue", label="raw")
    width = max(3, loss.size // 12)
    smooth = np.convolve(np.pad(loss, width // 2, mode="edge"), np.ones(width) / width, mode="valid")[: loss.size]
    ax.plot(lr, smooth, color="darkorange", lw=2, label="smoothed")
    ax.set(xscale="log", xlabel="Learning rate", ylabel="Loss", title="LR range test")
    ax.legend()
    return fig, lr, loss, None


def log_loss(curve: LRCurve) -> Drawn:
    lr, loss = raw(curve, 1e4)
    fig, ax = plt.subplots()
    ax.plot(lr, loss, color="green")
    ax.set(xscale="log", yscale="log" if loss.min() > 0 else "linear", xlabel="lr", ylabel="train loss")
    return fig, lr, loss, None


def plain_labels(curve: LRCurve) -> Drawn:
    """Ticks such as 0.001, as dashboards have them, a dashed grid, and only the left and the bottom spine."""
    lr, loss = raw(curve)
    fig, ax = plt.subplots(figsize=(9, 4))
    ax.plot(lr, loss, color="#7b3fbf", lw=2)
    ax.set(xscale="log", xlabel="learning_rate", ylabel="loss")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, ls="--", alpha=0.5)
    return fig, lr, loss, None


def annotated(curve: LRCurve) -> Drawn:
    """A line at the suggested rate, a text inside the axes, and a line at the chance level."""
    drawn = plain(curve, color="tab:green")
    fig, lr, loss, _ = drawn
    ax = fig.axes[0]
    ax.axvline(lr[len(lr) // 2], color="tab:red", ls="--", label=f"suggested: {lr[len(lr) // 2]:.1e}")
    ax.axhline(float(loss[0]), color="gray", ls=":")
    ax.text(0.05, 0.6, "too low", transform=ax.transAxes)
    ax.legend()
    return drawn


def bare(curve: LRCurve) -> Drawn:
    """`plt.plot` and `plt.xscale`, without labels, and red dots at the batches."""
    lr, loss = raw(curve)
    fig, ax = plt.subplots()
    ax.plot(lr, loss, ".-", color="black", ms=4)
    ax.set_xscale("log")
    return fig, lr, loss, None


def classic(curve: LRCurve) -> Drawn:
    """matplotlib before version 2: ticks that point inward on all sides, and a serif font for powers."""
    return plain(curve, style="classic")


def solarized(curve: LRCurve) -> Drawn:
    """Cream paper with white gridlines."""
    return plain(curve, style="Solarize_Light2", size=(7.0, 4.5))


def tracker(curve: LRCurve) -> Drawn:
    """The page of an experiment tracker: horizontal gridlines alone, pale labels, and the name of the run above."""
    figure, lr, loss, average = plain(curve, size=(8.0, 4.0), color="#E87B9F", lw=1.5)
    ax = figure.axes[0]
    ax.set(xlabel="lr", ylabel="", title="train/loss")
    ax.grid(axis="y", color="#E5E5E5", lw=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(colors="#7A7A7A", which="both")
    return figure, lr, loss, average


def vega(curve: LRCurve) -> Drawn:
    """A web page's chart: a pale frame and grid, small labels, and rates in plain numbers."""
    figure, lr, loss, average = plain(curve, size=(6.0, 3.6), color="#4C78A8", lw=1.8)
    ax = figure.axes[0]
    ax.grid(color="#DDDDDD", lw=0.8)
    ax.set_axisbelow(True)
    for spine in ax.spines.values():
        spine.set_color("#DDDDDD")
    ax.tick_params(labelsize=8, color="#888888", which="both")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure, lr, loss, average


def dashed_grid(curve: LRCurve) -> Drawn:
    """`plt.grid(True, which="both", ls="--")`, as many tutorials have it."""
    drawn = plain(curve, size=(8.0, 5.0))
    drawn[0].axes[0].grid(visible=True, which="both", ls="--", alpha=0.6)
    return drawn


def dotted_grid(curve: LRCurve) -> Drawn:
    """A gray curve over black dots, without margins at its ends."""
    figure, lr, loss, average = plain(curve, size=(7.0, 5.0), color="#606060")
    ax = figure.axes[0]
    ax.grid(visible=True, color="black", ls=":", lw=0.6)
    ax.set_xlim(lr[0], lr[-1])
    return figure, lr, loss, average


def own_plot(curve: LRCurve) -> Drawn:
    analysis = analyze(dataclasses.replace(curve))
    fig, ax = plt.subplots(figsize=(9, 6), layout="constrained")
    analysis.plot(ax=ax)
    finite = np.isfinite(curve.loss)
    return fig, curve.lr[finite], curve.loss[finite], None


LOOKS: Mapping[str, Callable[[LRCurve], Drawn]] = MappingProxyType(
    {
        draw.__name__: draw
        for draw in (
            ktrain,
            ktrain_suggestions,
            fastai_v2,
            fastai_v1,
            lightning,
            torch_lr_finder,
            torch_lr_finder_linear,
            keras_lr_finder,
            notebook,
            dark,
            seaborn_darkgrid,
            seaborn_whitegrid,
            ggplot,
            fivethirtyeight,
            raw_and_smoothed,
            log_loss,
            plain_labels,
            annotated,
            bare,
            classic,
            solarized,
            tracker,
            vega,
            dashed_grid,
            dotted_grid,
            own_plot,
        )
    }
)
"""Name of a look → the function that draws a curve in it."""

mpl.use("agg")
