"""Provides Hypothesis strategies for curves."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from keras_lrscan import LRCurve, ScanContext, StopReason

__all__ = ["any_curves", "valley_curves"]

LOSSES = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf]))


@st.composite
def any_curves(draw: st.DrawFn) -> LRCurve:
    """Draws curves of any length with finite or non-finite losses."""
    loss = draw(st.lists(LOSSES, min_size=1, max_size=60))
    low = draw(st.floats(-10, 0))
    decades = draw(st.floats(0.1, 12))
    context = ScanContext(
        num_classes=draw(st.none() | st.integers(2, 1000)),
        loss_name=draw(st.none() | st.just("sparse_categorical_crossentropy")),
        steps_per_epoch=draw(st.none() | st.integers(1, 30)),
        batch_size=draw(st.none() | st.integers(1, 512)),
    )
    lr = np.logspace(low, low + decades, len(loss))
    return LRCurve(lr=lr, loss=loss, stop=draw(st.sampled_from(StopReason)), context=context)


@st.composite
def valley_curves(draw: st.DrawFn) -> LRCurve:
    """Draws curves with one clear valley, little noise, and no context."""
    x = np.linspace(-7, 0, draw(st.sampled_from([80, 100, 150])))
    center = draw(st.floats(-4.5, -2.5))
    loss = 2.0 - 1.5 * 0.5 * (1 + np.tanh((x - center) / 0.5)) + 8 * np.maximum(x - center - 1.5, 0) ** 2
    noise = draw(st.sampled_from([0.0, 0.01, 0.03]))
    seed = draw(st.integers(0, 2**16))
    return LRCurve(lr=10.0**x, loss=loss + noise * np.random.default_rng(seed).standard_normal(x.size))
