"""The reference: every public name, by the module that defines it."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING

import keras_lrscan

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["pages", "public_names"]

PARTS = (
    "smoothing.SmoothedCurve",
    "landmarks.Landmarks",
    "landmarks.Landmark",
    "features.CurveFeatures",
    "features.StartState",
    "shapes.ShapeVerdict",
    "shapes.Shape",
    "cause.Finding",
    "cause.CauseStatus",
    "suggest.Suggestion",
    "suggest.Role",
    "ranges.RangeKind",
)
"""What an analysis is made of; not all of these are names of the package itself."""


OTHERS = "Other names"
HEADINGS: Mapping[str, str] = {
    "keras_lrscan.scan": "Scan a model",
    "keras_lrscan.analysis": "Read a curve",
    "keras_lrscan.plots.curve_plot": "Read a curve",
    "keras_lrscan.suggestions.search_range": "Ranges for a search",
    "keras_lrscan.integrations.tuners": "Ranges for a search",
    "keras_lrscan.curves.curve": "A curve and what was known of it",
    "keras_lrscan.curves.context": "A curve and what was known of it",
    "keras_lrscan.curves.importers": "Records of other tools",
    "keras_lrscan.curves.averaging": "Records of other tools",
    "keras_lrscan.curves.detect_averaging": "Records of other tools",
    "keras_lrscan.errors": "Errors and warnings",
}
"""Module → the part of the page where its names stand."""


HOOKS = "set_model, set_params, on_train_begin, on_train_end, on_epoch_begin, on_train_batch_end"
"""What Keras calls, and nobody else."""


def public_names() -> list[str]:
    """Returns the names that `from keras_lrscan import *` would give, without the version."""
    return [name for name in keras_lrscan.__all__ if not name.startswith("_")]


def pages() -> dict[str, str]:
    """Returns the pages by their paths."""
    by_module: dict[str, list[str]] = {}
    for name in public_names():
        module = getattr(getattr(keras_lrscan, name), "__module__", "keras_lrscan")
        by_module.setdefault(HEADINGS.get(module, OTHERS), []).append(f"keras_lrscan.{name}")
    by_module["What an analysis is made of"] = [f"keras_lrscan.{path}" for path in PARTS]
    headings = [*dict.fromkeys(HEADINGS.values()), "What an analysis is made of", OTHERS]
    parts = [f"## {name}\n\n" + "\n\n".join(map(entry, by_module[name])) for name in headings if name in by_module]
    return {"reference/api.md": "# Reference\n\n" + "\n\n".join(parts) + "\n"}


def entry(path: str) -> str:
    """Returns the directive that documents a name."""
    module, _, name = path.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        kind, options = "autoclass", ["   :members:", f"   :exclude-members: {HOOKS}"]
    elif inspect.isfunction(value):
        kind, options = "autofunction", []
    else:
        kind, options = "autodata", ["   :no-value:"]
    return "\n".join(["```{eval-rst}", f".. {kind}:: {path}", *options, "```"])
