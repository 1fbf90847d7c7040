"""Tests that ktrain's schedules train a scanned learner at the suggested peak."""

from __future__ import annotations

import functools
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import InvalidCurveError, InvalidOptionError
from keras_lrscan.integrations.ktrain import autofit, fit_onecycle, lr_find
from keras_lrscan.integrations.ktrain.adapter import finder_of
from keras_lrscan.integrations.ktrain.training import _numpy_of_ktrain
from tests.support.learners import MARKS, dense, short_scan

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore::UserWarning")]  # ktrain's own

FITS: dict[str, Callable[..., Any]] = {"fit_onecycle": fit_onecycle, "autofit": autofit}


def rates_of(history: Any) -> list[float]:
    """Returns the rates of a training that ktrain recorded."""
    return [float(rate) for rate in history.history["lr"]]


@functools.cache
def scanned_and_twin() -> tuple[Any, Any]:
    """Returns a learner with a scan and one without, which both tests train: rates do not rest on the weights."""
    learner, twin = (dense(size=800, batch_size=8) for _ in range(2))
    short_scan("ours", learner)
    return learner, twin


@functools.cache
def without_a_suggestion() -> tuple[Any, Any]:
    """Returns a learner that nobody trains, and the analysis of its scan of seven batches."""
    learner = dense(size=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return learner, lr_find(learner, max_epochs=1, verbose=0)


@pytest.mark.parametrize("name", FITS)
def test_a_learner_trains_at_the_suggested_peak_of_its_scan(name: str) -> None:
    learner, twin = scanned_and_twin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = FITS[name](learner, 2, verbose=0)
        peak = finder_of(learner).analysis.suggest(role="one-cycle").lr
        with _numpy_of_ktrain():
            expected = getattr(twin, name)(peak, 2, verbose=0)
    assert sys.modules["ktrain.lroptimize.triangular"].np is np
    assert rates_of(history) == pytest.approx(rates_of(expected), rel=1e-5)
    assert max(rates_of(history)) == pytest.approx(peak, rel=0.05)


@pytest.mark.parametrize("name", FITS)
def test_a_scan_without_a_suggestion_is_refused_with_its_reason(name: str) -> None:
    learner, analysis = without_a_suggestion()
    assert analysis.suggestion.lr is None
    with pytest.raises(InvalidCurveError) as error:
        FITS[name](learner, 1, verbose=0)
    assert analysis.suggestion.reason in str(error.value)
    assert learner.model.optimizer.iterations.numpy() == 0


@pytest.mark.parametrize("name", FITS)
def test_what_was_not_scanned_is_refused(name: str) -> None:
    with pytest.raises(InvalidCurveError, match="Please call lr_find first"):
        FITS[name](dense(), 1)
    with pytest.raises(InvalidOptionError, match="must be a learner of ktrain"):
        FITS[name]("mine", 1)
