"""Writes the reference: a page for each folder of the package, and one for the names of the package itself."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

import keras_lrscan
from pages.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FOLDERS", "pages", "public_names"]

PACKAGE = Path(keras_lrscan.__file__).parent
HOOKS = "set_model, set_params, on_train_begin, on_train_end, on_epoch_begin, on_train_batch_end"
"""Methods that only Keras calls."""

FOLDERS: Mapping[str, Sequence[str]] = {
    "curves": (
        "context.OutputStart",
        "keras_lrscan.importers.from_csv",
        "keras_lrscan.importers.from_json",
        "keras_lrscan.importers.from_keras_history",
        "keras_lrscan.importers.from_ktrain",
        "keras_lrscan.importers.from_fastai",
        "keras_lrscan.importers.from_lightning",
        "keras_lrscan.importers.from_torch_lr_finder",
        "keras_lrscan.importers.from_image",
        "keras_lrscan.importers.IMPORTERS",
        "keras_lrscan.averaging.undo_averaging",
        "keras_lrscan.averaging.Average",
        "keras_lrscan.averaging.AVERAGES",
        "detect_averaging.detect_averaging",
        "detect_averaging.DetectedAveraging",
    ),
    "pictures": (),
    "reading": (
        "smoothing.SmoothedCurve",
        "landmarks.Landmarks",
        "landmarks.Landmark",
        "features.CurveFeatures",
        "start_state.StartState",
        "shapes.ShapeVerdict",
        "shapes.Shape",
        "reading.Reading",
    ),
    "causes": ("cause.Finding", "cause.CauseStatus"),
    "suggestions": ("suggest.Suggestion", "suggest.Role", "search_range.SearchRange", "search_range.RangeKind"),
    "explanation": (),
    "plots": (),
    "report": (),
    "app": (),
    "hosts": (),
    "inspection": (),
    "recording": (),
    "probes": ("investigation.Investigation", "investigation.ProbeResult", "investigation.Outcome", "table.PROBES"),
    "experiments": (
        "contrast.Contrast",
        "repeats.Repeats",
        "repeats.Spread",
        "layer_groups.LayerGroups",
        "layer_groups.GroupReading",
        "layer_groups.Advice",
        "race_result.RaceResult",
        "race_result.Candidate",
    ),
    "integrations": (
        "tuners.hp_float",
        "tuners.suggest_float",
        "trackers.log_to_tensorboard",
        "trackers.log_to_mlflow",
        "trackers.log_to_wandb",
        "ktrain.lr_find",
        "ktrain.adopt",
        "ktrain.release",
        "ktrain.lr_plot",
        "ktrain.lr_estimate",
        "ktrain.explain_learner",
        "ktrain.fit_onecycle",
        "ktrain.autofit",
        "ktrain.finder.ScanFinder",
        "ktrain.finder.KtrainReading",
    ),
    "files": (),
    "datasets": ("digits.digits", "digits.digits_model", "synthetic.synthetic_curve", "synthetic.SYNTHETIC_LOSSES"),
}
"""Folder → the names that its page documents besides those of the package itself; folders in the order of a scan.

A name that starts with `keras_lrscan.` is documented under a namespace of the package.
"""


def public_names() -> list[str]:
    """Returns the classes and functions of `keras_lrscan` itself, without its namespaces and its version."""
    values = {name: getattr(keras_lrscan, name) for name in keras_lrscan.__all__ if not name.startswith("_")}
    return [name for name, value in values.items() if not inspect.ismodule(value)]


def pages() -> dict[str, str]:
    """Returns the pages by their paths."""
    return {"reference/index.md": index(), **{f"reference/{folder}.md": page(folder) for folder in FOLDERS}}


def index() -> str:
    """Returns the page of the root files, which leads to the pages of the folders."""
    folders = [(f"[`{folder}`]({folder}.md)", summary(PACKAGE / folder / "__init__.py")) for folder in FOLDERS]
    tree = "\n".join(FOLDERS)
    entries = "\n\n".join(entry(f"keras_lrscan.{name}") for name in public_names() if folder_of(name) == "")
    return f"""# Reference

{summary(PACKAGE / "__init__.py")}

Import a class or function under the name it has here: `keras_lrscan.NAME` from the package itself, and all others from
their modules. The package loads `keras_lrscan.importers`, `keras_lrscan.averaging`, `keras_lrscan.datasets` and
`keras_lrscan.integrations` with itself.

{table(("folder", "purpose"), folders)}

## Scan a model, read a curve

{entries}

## Modules

{modules(PACKAGE)}

```{{toctree}}
:hidden:

{tree}
```
"""


def page(folder: str) -> str:
    """Returns the page of a folder: its purpose, the names that users need, and its modules."""
    root = [f"keras_lrscan.{name}" for name in public_names() if folder_of(name) == folder]
    more = [path if path.startswith("keras_lrscan.") else f"keras_lrscan.{folder}.{path}" for path in FOLDERS[folder]]
    blocks = [f"# {folder}", summary(PACKAGE / folder / "__init__.py"), *map(entry, [*root, *more])]
    if not root + more:
        blocks.append("The modules of this folder serve the rest of the package, and may change in any version.")
    return "\n\n".join([*blocks, "## Modules", modules(PACKAGE / folder)]) + "\n"


def folder_of(name: str) -> str:
    """Returns the folder that defines a name of the package itself, or an empty text if a root file does."""
    module: str = getattr(keras_lrscan, name).__module__
    return module.removeprefix("keras_lrscan.").rpartition(".")[0]


def modules(folder: Path) -> str:
    """Returns a table of the modules in a folder; those in the folders below it are included, except at the root."""
    found = folder.glob("*.py") if folder == PACKAGE else folder.rglob("*.py")
    names = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in found}
    rows = [(f"`{name}`", summary(path)) for name, path in sorted(names.items()) if not name.endswith("__init__")]
    return table(("module", "purpose"), rows)


def summary(path: Path) -> str:
    """Returns the first paragraph of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def entry(path: str) -> str:
    """Returns the directive that documents a name."""
    value = pkgutil.resolve_name(path)
    if inspect.isclass(value):
        kind, options = "autoclass", ["   :members:", f"   :exclude-members: {HOOKS}"]
    elif inspect.isfunction(value):
        kind, options = "autofunction", []
    else:
        kind, options = "autodata", ["   :no-value:"]
    return "\n".join(["```{eval-rst}", f".. {kind}:: {path}", *options, "```"])
