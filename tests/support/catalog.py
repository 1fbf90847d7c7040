"""Provides a curve that triggers each code, and a similar curve that does not."""

from __future__ import annotations

import functools
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan import Analysis, LRCurve, ScanContext, analyze
from keras_lrscan.datasets.synthetic import synthetic_curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["PAIRS", "analysis_of"]

TEN_CLASSES = ScanContext(
    loss_name="sparse_categorical_crossentropy", num_classes=10, start_lr=1e-7, end_lr=10.0, num_steps=200
)
X, HIGH = np.linspace(-7, 1, 200), np.linspace(-3, 1, 200)


def changed(context: ScanContext, changes: Mapping[str, object]) -> ScanContext:
    """Returns a context with some facts replaced."""
    return ScanContext.from_dict({**context.to_dict(), **changes})


def drawn(loss: Array, *, noise: float = 0.01, x: Array = X, stop: str = "end-lr", **context: object) -> LRCurve:
    """Returns a curve with the given losses and noise, and the context of ten classes."""
    loss = np.asarray(loss, dtype=float)
    noisy = loss + noise * np.random.default_rng(0).standard_normal(loss.size)
    return LRCurve(lr=10.0 ** x[: loss.size], loss=noisy, stop=stop, context=changed(TEN_CLASSES, context))


def fall(center: float, depth: float = 1.8, width: float = 0.6, start: float = math.log(10), x: Array = X) -> Array:
    """Returns a smooth fall by `depth` from `start`."""
    return np.asarray(start - depth * 0.5 * (1 + np.tanh((x - center) / width)))


def rise(onset: float, growth: float = 6.0, x: Array = X) -> Array:
    """Returns a quadratic rise from `onset`, limited to 20."""
    return np.asarray(np.minimum(growth * np.maximum(x - onset, 0.0) ** 2, 20.0))


def known(shape: str, **changes: object) -> LRCurve:
    """Returns the synthetic curve of a shape, with some facts of its context replaced."""
    curve = synthetic_curve(shape)
    context = changed(curve.context, changes)
    return LRCurve(lr=curve.lr, loss=curve.loss, stop=curve.stop, context=context)


def numbers(*, mean: float, std: float) -> dict[str, Any]:
    """Returns facts of targets within two standard deviations of their mean."""
    return {"num_classes": None, "target_low": mean - 2 * std, "target_high": mean + 2 * std, "target_std": std}


def cut(curve: LRCurve, num_points: int) -> LRCurve:
    """Returns the first points of a curve, as if the data had run out."""
    return LRCurve(lr=curve.lr[:num_points], loss=curve.loss[:num_points], stop="out-of-batches", context=curve.context)


def with_tail(curve: LRCurve, keep: int) -> LRCurve:
    """Returns a curve with NaN losses from index `keep` on."""
    loss = curve.loss.copy()
    loss[keep:] = np.nan
    return LRCurve(lr=curve.lr, loss=loss, stop="non-finite", context=curve.context)


def outside_domain(output_activation: str) -> LRCurve:
    """Returns a curve of a Poisson regression on finite data."""
    facts = {"nonfinite_inputs": 0.0, "nonfinite_targets": 0.0, "data_seen": "arrays"}
    return known("still-falling", loss_name="poisson", num_classes=None, output_activation=output_activation, **facts)


def spiked(size: float) -> LRCurve:
    """Returns a u-shaped curve with one spike."""
    curve = known("u-shaped")
    loss = curve.loss.copy()
    loss[40] += size
    return LRCurve(lr=curve.lr, loss=loss, stop=curve.stop, context=curve.context)


def spaced(*, evenly: bool) -> LRCurve:
    """Returns a valley at rates with even or logarithmic spacing."""
    lr = np.linspace(1e-3, 1.0, 100) if evenly else np.geomspace(1e-3, 1.0, 100)
    x = np.log10(lr)
    loss = fall(-1.8, x=x) + rise(-0.6, x=x)
    return LRCurve(lr=lr, loss=loss + 0.01 * np.random.default_rng(0).standard_normal(100), context=TEN_CLASSES)


def epochs(*, ordered: bool) -> LRCurve:
    """Returns a fall with a sawtooth in every epoch, or with its teeth shuffled."""
    tooth = 0.4 * (np.arange(200) % 20) / 20
    tooth = tooth if ordered else np.random.default_rng(1).permutation(tooth)
    return drawn(fall(0.8) + tooth, steps_per_epoch=20)


FLAT = np.full(200, math.log(10))
COLLAPSE = fall(-3.5) + 1.8 * 0.5 * (1 + np.tanh((X + 1.5) / 0.2))

PAIRS: Mapping[str, tuple[LRCurve, LRCurve]] = MappingProxyType(
    {
        "LRS101": (known("u-shaped"), known("still-falling")),
        "LRS102": (known("monotone-from-pretrained"), known("flat-at-chance")),
        "LRS103": (drawn(FLAT, noise=0.6), drawn(fall(-2.5, 1.8) + rise(-0.5), noise=0.3)),
        "LRS104": (known("flat-at-chance"), known("flat-at-chance", chance_loss=20.0)),
        "LRS105": (known("flat"), drawn(FLAT, noise=0.6)),
        "LRS106": (known("still-falling"), known("u-shaped")),
        "LRS107": (known("diverges-at-once"), known("flat-at-chance")),
        "LRS108": (known("valley-then-plateau"), drawn(fall(-3.5) + rise(-1.5, 1.0))),
        "LRS109": (known("several-valleys"), drawn(fall(-3.5) + rise(-1.5))),
        "LRS110": (known("upward-drift"), drawn(1.6 + rise(-1.0))),
        "LRS111": (cut(known("u-shaped"), 29), cut(known("u-shaped"), 31)),
        "LRS112": (drawn(fall(-3.5, 0.8) + rise(-1.0), noise=0.7), known("u-shaped")),
        "LRS113": (known("falls-to-chance"), known("still-falling")),
        "LRS201": (drawn(fall(-0.4, 1.0, 0.3) + rise(0.2, 60.0)), known("u-shaped")),
        "LRS202": (drawn(fall(-6.8, 1.8, 1.0) + rise(-2.0)), known("u-shaped")),
        "LRS203": (drawn(fall(-2.5) + rise(-1.0), noise=0.3), known("u-shaped")),
        "LRS204": (spiked(5.0), spiked(0.02)),
        "LRS205": (with_tail(known("still-falling"), 60), with_tail(known("still-falling"), 150)),
        "LRS206": (drawn(fall(-2.5) - 0.7 * np.exp(-((X + 7) ** 2)) + rise(-1.0)), known("u-shaped")),
        "LRS207": (drawn(fall(-2.5) + np.where(X > 0.8, 60.0, 0.0)), known("u-shaped")),
        "LRS208": (epochs(ordered=True), epochs(ordered=False)),
        "LRS209": (spaced(evenly=True), spaced(evenly=False)),
        "LRS301": (known("monotone-from-pretrained"), known("flat-at-chance")),
        "LRS302": (known("u-shaped"), known("u-shaped", chance_loss=6.0)),
        "LRS303": (known("u-shaped", chance_loss=6.0), known("u-shaped")),
        "LRS304": (
            known("u-shaped", input_low=0.0, input_high=255.0),
            known("u-shaped", input_low=0.0, input_high=1.0),
        ),
        "LRS305": (known("flat-at-chance"), known("monotone-from-pretrained")),
        "LRS306": (known("flat", num_trainable_params=0), known("flat", num_frozen_layers=0, still_share=0.0)),
        "LRS307": (known("still-falling"), cut(known("still-falling"), 180)),
        "LRS308": (cut(known("still-falling"), 180), known("still-falling")),
        "LRS309": (
            drawn(fall(-2.5) + rise(-1.0), noise=0.3, batch_size=4),
            drawn(fall(-2.5) + rise(-1.0), noise=0.3, batch_size=64),
        ),
        "LRS310": (drawn(COLLAPSE), drawn(COLLAPSE, chance_loss=1.5)),
        "LRS311": (known("u-shaped", regularization_loss=1.0), known("u-shaped", regularization_loss=0.1)),
        "LRS312": (with_tail(known("still-falling"), 60), with_tail(known("still-falling"), 150)),
        "LRS313": (
            LRCurve(lr=10.0 ** X[::4], loss=(fall(-2.5) + rise(-1.0))[::4], context=TEN_CLASSES),
            known("u-shaped"),
        ),
        "LRS314": (drawn(fall(-2.6, x=HIGH) + rise(-1.6, x=HIGH), x=HIGH, start_lr=1e-3), known("u-shaped")),
        "LRS315": (
            known("u-shaped", head_is_fresh=True, num_used_layers=4, num_layers=5),
            known("u-shaped", head_is_fresh=False, num_used_layers=4, num_layers=5),
        ),
        "LRS316": (
            known("u-shaped", from_logits=True, output_activation="softmax"),
            known("u-shaped", from_logits=True, output_activation="linear"),
        ),
        "LRS317": (
            known("flat", still_share=0.99, weight_change=1e-6, num_trainable_params=100),
            known("flat", still_share=0.0, weight_change=0.5, num_trainable_params=100),
        ),
        "LRS318": (known("u-shaped", end_lr=1e-5), known("u-shaped", end_lr=1.0)),
        "LRS319": (
            known("u-shaped", batch_size=32, num_samples=100),
            known("u-shaped", batch_size=32, num_samples=5000),
        ),
        "LRS320": (epochs(ordered=True), epochs(ordered=False)),
        "LRS321": (
            drawn(fall(-2.5) + rise(-1.0), **numbers(mean=180.0, std=77.0)),
            drawn(fall(-2.5) + rise(-1.0), **numbers(mean=0.0, std=1.0)),
        ),
        "LRS322": (
            known("u-shaped", loss_reduction="sum"),
            known("u-shaped", loss_reduction="sum_over_batch_size"),
        ),
        "LRS323": (known("u-shaped", majority_share=0.95), known("u-shaped", majority_share=0.7)),
        "LRS324": (
            with_tail(known("still-falling", precision="mixed_float16"), 60),
            with_tail(known("still-falling", precision="float32"), 60),
        ),
        "LRS325": (known("still-falling", clipnorm=0.1), known("still-falling")),
        "LRS326": (known("still-falling", optimizer="Lamb"), known("still-falling", optimizer="Adam")),
        "LRS327": (known("several-valleys"), known("u-shaped")),
        "LRS328": (
            drawn(fall(-2.5) - 0.7 * np.exp(-((X + 7) ** 2)) + rise(-1.0), optimizer="Adam", optimizer_iterations=0),
            drawn(fall(-2.5) + rise(-1.0), optimizer="Adam", optimizer_iterations=0),
        ),
        "LRS329": (known("u-shaped", momentum=0.99), known("u-shaped", momentum=0.9)),
        "LRS332": (
            with_tail(cut(outside_domain("linear"), 1), 0),
            with_tail(cut(outside_domain("softplus"), 1), 0),
        ),
        "LRS333": (known("u-shaped", suspect_labels=0.12), known("u-shaped", suspect_labels=0.01)),
        "LRS334": (
            known("u-shaped", body_is_frozen=True, num_frozen_layers=4, num_layers=6),
            known("u-shaped", body_is_frozen=False, num_frozen_layers=4, num_layers=6),
        ),
        "LRS335": (
            known("u-shaped", optimizer_iterations=20, num_used_layers=3, num_layers=3),
            known("u-shaped", optimizer_iterations=20, num_used_layers=3, num_layers=3, chance_loss=6.0),
        ),
        "LRS336": (known("u-shaped", zero_weight_share=0.95), known("u-shaped", zero_weight_share=0.2)),
        "LRS337": (
            drawn(fall(-2.5) + rise(-1.0), chance_loss=0.01, **numbers(mean=0.0, std=0.01)),
            drawn(fall(-2.5) + rise(-1.0), chance_loss=0.01, **numbers(mean=0.5, std=0.01)),
        ),
        "LRS331": (known("flat-at-chance"), known("monotone-from-pretrained")),
        "LRS330": (known("u-shaped", averaging="ktrain"), known("u-shaped")),
    }
)
"""Code → (curve that triggers it, near miss)."""


@functools.cache
def analysis_of(code: str, *, near_miss: bool = False) -> Analysis:
    """Returns the analysis of the curve of a code, or of its near miss. All tests share it, so none may change it."""
    return analyze(PAIRS[code][near_miss])
