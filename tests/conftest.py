"""Fixtures that every test may use."""

# ruff: noqa: ANN401 - the hosts' modules, models and data have no types of their own

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

from tests import hosts

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


settings.register_profile("suite", max_examples=25, deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the switch that renews the golden texts."""
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the README, which has no place for a marker, as a test for older versions of Keras."""
    for item in items:
        if item.path.name == "README.md":
            item.add_marker("minors")


@pytest.fixture(scope="session", name="keras")
def _keras() -> Any:
    """The host's Keras; the test is skipped where it is not installed."""
    if hosts.IS_TF_KERAS:
        return pytest.importorskip("tf_keras", reason="tf_keras is not installed", exc_type=ImportError)
    return pytest.importorskip("keras", reason="no Keras is installed", exc_type=ImportError)
