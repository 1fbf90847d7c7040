"""Configures pytest and Hypothesis and provides the fixture for the host's Keras."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from hypothesis import settings

from keras_lrscan.analysis import NUM_COPIES, analyze
from tests.support import hosts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
gc.set_threshold(50_000, 20, 50)  # tracing creates so many objects that garbage collection takes a fifth of the time


settings.register_profile("suite", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("quick", settings.get_profile("suite"), max_examples=6)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that updates the golden texts."""
    parser.addoption("--update-golden", action="store_true", help="update the golden texts")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Makes tests that run models faster, where they are about something else.

    The analysis of a scan takes a tenth of the copies that vote on its confidence, which is tested on recorded scans.
    JAX compiles without optimization in less than half the time, except for tests of exact bits.
    """
    num_copies = NUM_COPIES // 10 if item.get_closest_marker("keras") else NUM_COPIES
    analyze.__kwdefaults__ = {**(analyze.__kwdefaults__ or {}), "num_copies": num_copies}
    if hosts.BACKEND == "jax" and item.get_closest_marker("keras"):
        jax = pytest.importorskip("jax", exc_type=ImportError)
        jax.config.update("jax_disable_most_optimizations", item.get_closest_marker("optimized") is None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the README, which cannot contain a marker, as a test for older versions of Keras."""
    for item in items:
        if item.path.name == "README.md":
            item.add_marker("minors")


@pytest.fixture(scope="session", name="keras")
def _keras() -> Any:
    """Returns the host's Keras, or skips the test if it is not installed."""
    name, reason = (
        ("tf_keras", "tf_keras is not installed") if hosts.IS_TF_KERAS else ("keras", "Keras is not installed")
    )
    host = pytest.importorskip(name, reason=reason, exc_type=ImportError)
    if hosts.BACKEND == "tensorflow":
        hosts.stop_tuning_pipelines()
    return host
