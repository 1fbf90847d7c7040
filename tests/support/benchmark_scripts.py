"""Loads the benchmark scripts by path, because they are not a package."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "benchmarks"


@functools.cache
def load(name: str) -> Any:
    """Returns `benchmarks/NAME.py` as a module, which can import the scripts in its folder.

    These are forgotten afterwards, because scripts of different folders have the same names.
    """
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    known = set(sys.modules)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
        for other in set(sys.modules) - known:
            if Path(getattr(sys.modules[other], "__file__", None) or "").parent == path.parent:
                del sys.modules[other]
    return module
