"""Imports optional modules, which extras or tox environments install."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def module(name: str, *, environment: str | None = None) -> Any:
    """Returns the module called `name`.

    Skips the test if the module is not installed, except in the tox environment that installs it: by default, in those
    of Keras 3 on TensorFlow.
    """
    if os.environ.get("TOX_ENV_NAME") in ({"py", "keras-tensorflow"} if environment is None else {environment}):
        return importlib.import_module(name)
    return pytest.importorskip(name, exc_type=ImportError)
