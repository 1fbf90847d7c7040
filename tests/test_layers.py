"""Tests that modules import only from themselves and from layers below them."""

from __future__ import annotations

import ast
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import keras_lrscan

PACKAGE = Path(keras_lrscan.__file__).parent
ORDER = [
    "cli",
    "app",
    "integrations",
    "scan",
    "experiments",
    "probes",
    "recording",
    "inspection",
    "analysis",
    "hosts",
    "report",
    "plots",
    "explanation",
    "pure_analysis",
    "suggestions",
    "causes",
    "datasets",
    "reading",
    "curves",
    "pictures",
    "files",
    "formatting",
    "errors",
    "_typing",
    "_version",
]
"""Folders and root files from top to bottom; each imports, types included, only from itself and from those below it."""

MAX_ROOT_FILES = 10
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
)


def imports(module: str) -> set[str]:
    """Returns the package's modules that a module imports at its top, in a function, or for types."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    found |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return {name.removeprefix("keras_lrscan.") for name in found if name.startswith("keras_lrscan.")}


def room(module: str) -> str:
    """Returns the folder or root file of a module."""
    return module.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_own_folder_and_those_below(module: str) -> None:
    allowed = ORDER[ORDER.index(room(module)) :]
    assert {room(name) for name in imports(module)} <= set(allowed)


def test_the_order_names_every_folder_and_root_file() -> None:
    assert {room(module) for module in MODULES} == set(ORDER)


def test_few_files_lie_at_the_root() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_ROOT_FILES


def test_no_modules_import_each_other_in_a_circle() -> None:
    order = graphlib.TopologicalSorter({module: imports(module) for module in MODULES})
    assert set(order.static_order()) == set(MODULES)


def test_every_folder_says_in_a_sentence_what_it_does() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        sentence = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert sentence, path
        assert sentence.endswith("."), path


def loaded_by(statement: str) -> set[str]:
    """Returns the names of all modules that a new process has loaded after a statement."""
    code = f"{statement}; import sys; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture(scope="module", name="loaded")
def _loaded() -> set[str]:
    return loaded_by("import keras_lrscan")


@pytest.mark.parametrize(
    "heavy",
    [
        *(
            "keras",
            "tf_keras",
            "tensorflow",
            "jax",
            "torch",
            "matplotlib",
            "sklearn",
            "jinja2",
            "keras_tuner",
            "optuna",
            "pandas",
            "tensorboard",
            "mlflow",
            "wandb",
        ),
        *("scipy.interpolate", "scipy.optimize", "scipy.signal", "scipy.spatial", "scipy.stats"),
    ],
)
def test_importing_the_package_does_not_load(heavy: str, loaded: set[str]) -> None:
    assert "keras_lrscan" in loaded
    assert heavy not in loaded


def test_the_import_test_can_fail() -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    assert {"keras_lrscan", "matplotlib"} <= loaded_by("import keras_lrscan, matplotlib")


def _isort(name: str) -> tuple[bool, bool, str]:
    return not name.isupper(), name.islower(), name


def test_the_public_names_are_sorted_and_exist() -> None:
    assert keras_lrscan.__all__ == sorted(keras_lrscan.__all__, key=_isort)
    for name in keras_lrscan.__all__:
        assert hasattr(keras_lrscan, name)


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"_version", "_typing"}))
def test_a_module_lists_its_public_names(name: str) -> None:
    module = importlib.import_module(f"keras_lrscan.{name}")
    assert module.__all__
    assert all(hasattr(module, exported) for exported in module.__all__)
