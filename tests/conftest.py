"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from hypothesis import settings

from tests.support import hosts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
gc.set_threshold(50_000, 20, 50)  # tracing makes so many objects that looking for garbage takes a fifth of its time


settings.register_profile("suite", max_examples=25, deadline=None, derandomize=True, database=None)
settings.register_profile("quick", settings.get_profile("suite"), max_examples=6)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the switch that renews the golden texts."""
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Lets JAX compile without optimizing, in less than half the time, except where a test is about bits."""
    if hosts.BACKEND == "jax" and item.get_closest_marker("keras"):
        jax = pytest.importorskip("jax", exc_type=ImportError)
        jax.config.update("jax_disable_most_optimizations", item.get_closest_marker("optimized") is None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the README, which has no place for a marker, as a test for older versions of Keras."""
    for item in items:
        if item.path.name == "README.md":
            item.add_marker("minors")


@pytest.fixture(scope="session", name="keras")
def _keras() -> Any:
    """The host's Keras; the test is skipped where it is not installed."""
    name, reason = (
        ("tf_keras", "tf_keras is not installed") if hosts.IS_TF_KERAS else ("keras", "no Keras is installed")
    )
    return pytest.importorskip(name, reason=reason, exc_type=ImportError)
