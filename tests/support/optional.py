"""Modules that an extra, or one of the tox environments, brings."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def module(name: str, *, environment: str = "py") -> Any:
    """The module of that name.

    Where it is not installed the test is skipped, but not in the tox environment that installs it.
    """
    if os.environ.get("TOX_ENV_NAME") == environment:
        return importlib.import_module(name)
    return pytest.importorskip(name, exc_type=ImportError)
