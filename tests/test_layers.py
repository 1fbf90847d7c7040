"""The one direction of data, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_lrscan

PACKAGE = Path(keras_lrscan.__file__).parent
ORDER = [
    "_version",
    "errors",
    "files",
    "decoding",
    "tables",
    "measures",
    "context",
    "curve",
    "noise",
    "trimming",
    "averaging",
    "whiteness",
    "recognition",
    "records",
    "importers",
    "linear",
    "smoothing",
    "landmarks",
    "breaking",
    "features",
    "facts",
    "rules",
    "traits",
    "shapes",
    "cause",
    "causes_of_start",
    "causes_of_data",
    "causes_of_feeding",
    "causes_of_model",
    "causes_of_range",
    "causes",
    "reading",
    "methods",
    "suggest",
    "ranges",
    "pure_analysis",
    "results",
    "words",
    "questions",
    "formulas",
    "explain",
    "regions",
    "pictured",
    "labels",
    "panel",
    "plot",
    "vector",
    "report",
    "analysis",
    "tuning",
    "overlay",
    "contrast",
    "repeats",
    "synthetic",
    "ramp",
    "stopping",
    "recorder",
    "interrupts",
    "siblings",
    "scope",
    "arrays",
    "snapshot",
    "movement",
    "randomness",
    "optimizers",
    "layer_tree",
    "reachable",
    "host",
    "meters",
    "model_state",
    "step_watch",
    "custom_steps",
    "peeking",
    "logged_loss",
    "targets",
    "loss_sums",
    "guesses",
    "chance",
    "settings",
    "topology",
    "backbones",
    "layer_facts",
    "label_facts",
    "dependence",
    "label_ties",
    "duplicates",
    "data_facts",
    "first_batches",
    "sources",
    "feeding",
    "describe",
    "session",
    "batches",
    "trials",
    "investigation",
    "gradients",
    "nests",
    "bench",
    "probes_of_data",
    "probes_of_model",
    "probes_of_curve",
    "probes",
    "probing",
    "recording",
    "callback",
    "fresh",
    "layer_groups",
    "groups",
    "experiments",
    "standings",
    "racing",
    "race",
    "ktrain_finder",
    "ktrain_learner",
    "ktrain_adapter",
    "demo",
    "handbook",
    "cli",
]
"""Modules from top to bottom; each imports only from those above it."""


def imports(path: Path) -> set[str]:
    """Names of the package's modules that a file imports when it runs, at its top or inside a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {module.removeprefix("keras_lrscan.") for module in modules if module.startswith("keras_lrscan.")}


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_above_it(name: str) -> None:
    assert imports(PACKAGE / f"{name}.py") <= set(ORDER[: ORDER.index(name)])


def test_every_module_has_its_place_in_the_order() -> None:
    assert sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__") == sorted(ORDER)


def loaded_by(statement: str) -> set[str]:
    """Names of the modules that are there in a new process after a statement."""
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


def test_every_module_lists_what_it_exports() -> None:
    for name in ORDER[1:]:
        module = sys.modules.get(f"keras_lrscan.{name}") or __import__(f"keras_lrscan.{name}", fromlist=["__all__"])
        assert module.__all__, name
        assert all(hasattr(module, exported) for exported in module.__all__)
