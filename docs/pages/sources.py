"""Reads the code of a recipe and its helpers without running it, so that the build needs no Keras."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

__all__ = ["recipe_names", "recipe_source"]

RECIPES = Path(__file__).parent.parent / "recipes"
ROOMS = ("healthy", "pretrained", "faults_of_data", "faults_of_model", "faults_of_test", "unusual")
"""Modules that hold recipes."""


@cache
def definitions() -> dict[str, tuple[ast.stmt, str]]:
    """Returns the definitions in the modules of recipes, by name: the syntax tree and the text."""
    found: dict[str, tuple[ast.stmt, str]] = {}
    for room in ROOMS:
        text = (RECIPES / f"{room}.py").read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = (node, ast.get_source_segment(text, node) or "")
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = (node, ast.get_source_segment(text, node) or "")
    return found


def recipe_names() -> set[str]:
    """Returns the names of all functions that return a curve."""
    return {
        name.replace("_", "-")
        for name, (node, _) in definitions().items()
        if isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Name) and node.returns.id == "LRCurve"
    }


def recipe_source(name: str) -> str:
    """Returns a recipe and, above it, the definitions of its module that it uses."""
    wanted, found = [name.replace("-", "_")], dict.fromkeys([name.replace("-", "_")])
    while wanted:
        node, _ = definitions()[wanted.pop()]
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in definitions() and part.id not in {*found, "layers", "RECIPES"}:
                found[part.id] = None
                wanted.append(part.id)
    return "\n\n\n".join(definitions()[part][1] for part in reversed(found))
