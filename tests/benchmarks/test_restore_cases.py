"""Runs a few random cases of the benchmark of restoring, none of which may differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.benchmark_scripts import load
from tests.support.hosts import BACKEND

pytestmark = [
    pytest.mark.keras,
    pytest.mark.optimized,
    # Keras's own code in schedules and Nadam uses an outdated NumPy protocol
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


@pytest.fixture(scope="module", name="cases")
def _cases() -> Any:
    return load("restore_cases")


@pytest.mark.parametrize(
    "seed",
    [
        4,  # a used model with a loss scale and several steps at once, restored from disk
        pytest.param(0, marks=pytest.mark.one_backend),  # a used model with random layers, in eager mode
        pytest.param(2, marks=pytest.mark.one_host),  # a fresh model with random layers
    ],
)
def test_a_drawn_case_is_the_same_or_refused(keras: Any, cases: Any, seed: int) -> None:
    case = cases.draw(keras, np.random.default_rng(seed), BACKEND)
    result = cases.outcome(keras, case)
    assert result.partition(" ")[0] in {"same", "refused", "named", "host"}, case


def test_a_scan_that_is_not_put_back_would_be_seen(keras: Any, cases: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = cases.Case(
        model="dense", optimizer="SGD", used=True, eager=False, place="memory", steps_per_execution=1, seed=1
    )
    monkeypatch.setattr("keras_lrscan.hosts.model_state.ModelState.restore", lambda _: None)
    assert cases.outcome(keras, case) == "DIFFERENT"
