"""Tests that the arguments of the running `fit` are read from the frame of the right `fit`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from keras_lrscan.curves.context import BATCHES_SEEN
from keras_lrscan.hosts.fit_call import FitCall, is_inside_fit, running_fit, running_fits
from keras_lrscan.scan import LRScan
from tests.support.hosts import digits, light

LABELS = np.zeros(4)


class Model:
    """Imitates a model of the host."""

    def fit(self, x: Any, y: Any = None, batch_size: Any = None, shuffle: Any = "batch") -> Any:
        return running_fits(self), running_fit(self)


class Wrapping(Model):
    """Overrides `fit` and keeps an argument for itself."""

    def fit(self, x: Any, y: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        return super().fit(x, y, shuffle=kwargs["shuffle"])


def test_the_arguments_of_the_running_fit_are_read() -> None:
    calls, call = Model().fit("data", LABELS, batch_size=8)
    assert len(calls) == 1
    assert (call.x, call.batch_size, call.shuffle, call.sample_weight) == ("data", 8, "batch", None)
    assert call.y is LABELS
    assert call.code is Model.fit.__code__


def test_a_fit_around_another_comes_after_it_and_its_kwargs_count() -> None:
    (inner, outer), innermost = Wrapping().fit("data", shuffle=False, batch_size=16)
    assert innermost.code is inner.code is Model.fit.__code__
    assert (inner.batch_size, inner.shuffle) == (None, False)
    assert (outer.batch_size, outer.shuffle) == (16, False)


def test_without_a_running_fit_of_the_model_the_call_is_empty() -> None:
    class Other:
        def fit(self, model: Model, x: Any) -> Any:
            return running_fits(model), running_fit(model)

    calls, call = Other().fit(Model(), LABELS)
    assert calls == []
    assert (call.x, call.code) == (None, None)


def test_a_frame_is_inside_the_fit_of_its_own_model_only() -> None:
    class Asking(Model):
        def fit(self, x: Any) -> Any:  # type: ignore[override]
            frame, code = sys._getframe(), Asking.fit.__code__
            return [is_inside_fit(frame, code, model) for model in (self, x)], is_inside_fit(frame.f_back, code, self)

    assert Asking().fit(Model()) == ([True, False], False)


@pytest.mark.keras
def test_a_loop_in_a_fit_of_the_users_own_class_is_not_read_as_the_models(keras: Any) -> None:
    class Trainer:
        def fit(self, x: Any, y: Any, batch_size: int, class_weight: Any, scan: LRScan) -> None:
            model = light(keras)
            inputs, labels = digits(160)
            with scan.on(model):
                for start in range(0, 160, 16):
                    model.train_on_batch(inputs[start : start + 16], labels[start : start + 16])

    scan = LRScan(num_steps=10, verbose=0)
    Trainer().fit(np.full((4, 1), np.nan), LABELS, 4, {0: 2.0}, scan)
    context = scan.curve.context
    assert dict(context.feeding) == {}
    assert (context.num_samples, context.data_seen, context.nonfinite_inputs) == (None, BATCHES_SEEN, 0)


def test_an_empty_call_has_no_arguments() -> None:
    assert all(getattr(FitCall(), name) is None for name in FitCall.__dataclass_fields__)
