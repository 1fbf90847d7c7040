"""Loads the real data sets of the conditions and applies named changes to them.

This module loads the data sets of scikit-learn. `benchmarks/suggestions` loads all others, if the packages that contain
them are installed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import datasets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

SUGGESTIONS = Path(__file__).parents[1] / "suggestions"


@dataclass(frozen=True, kw_only=True)
class Data:
    """Holds inputs and targets.

    Attributes:
        x: Inputs, with one row per sample. Integers are token or item indices.
        y: Targets: integers for classes, floats otherwise.
        classes: Number of classes, or `None` for numeric targets.
        tokens: Size of the vocabulary, or (users, items). Empty for numeric inputs.
        weights: Weight of each sample, if any.
        split: Number of columns in the first of two inputs, or 0 for a single input.
    """

    x: Array
    y: Array
    classes: int | None
    tokens: tuple[int, ...] = ()
    weights: Array | None = None
    split: int = 0

    @property
    def units(self) -> int:
        """Number of outputs that a model needs."""
        if self.classes is not None:
            return 1 if self.classes == 2 else self.classes
        return int(self.y.shape[-1])


def _bunch(name: str) -> tuple[Array, Array, int | None]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if name == "diabetes":
        return x.astype(np.float32), y[:, None].astype(np.float32), None
    shaped = x.reshape(-1, 8, 8) * (255 / 16) if name == "digits" else x
    return shaped.astype(np.float32), y.astype(np.int32), int(y.max()) + 1


OWN = ("digits", "breast_cancer", "wine", "diabetes", "iris")
"""Data sets of scikit-learn."""
UNSCALED, UNSCALED_TARGETS = "unscaled", "unscaled targets"


def load(name: str, changes: tuple[tuple[str, Any] | str, ...] = ()) -> Data:
    """Returns a shuffled, scaled data set after applying changes in order.

    Args:
        name: One of `OWN`, or of the sources of `benchmarks/suggestions`.
        changes: Keys of `CHANGES`, alone or in a tuple with their arguments. `"unscaled"` and `"unscaled targets"`
            leave inputs or targets in their own units.
    """
    data = _own(name, changes) if name in OWN else _of_packages(name, changes)
    for change in changes:
        kind, *options = (change,) if isinstance(change, str) else change
        if kind not in {UNSCALED, UNSCALED_TARGETS}:
            data = CHANGES[kind](data, *options)
    return data


def _own(name: str, changes: tuple[Any, ...]) -> Data:
    x, y, classes = _bunch(name)
    order = np.random.default_rng(len(x)).permutation(len(x))
    x, y = x[order], y[order]
    if UNSCALED not in changes:
        x = x / 255 if name == "digits" else (x - x.mean(0)) / x.std(0)
    if classes is None and UNSCALED_TARGETS not in changes:
        y = ((y - y.mean(0)) / y.std(0)).astype(np.float32)
    return Data(x=x.astype(np.float32), y=y, classes=classes)


def _of_packages(name: str, changes: tuple[Any, ...]) -> Data:
    if str(SUGGESTIONS) not in sys.path:
        sys.path.append(str(SUGGESTIONS))
    import data  # type: ignore[import-not-found]

    kept = tuple(change for change in changes if change in {UNSCALED, UNSCALED_TARGETS})
    found = data.load(name, kept)
    return Data(x=found.x, y=found.y, classes=found.classes, tokens=found.tokens)


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def of_classes(data: Data, low: int, high: int) -> Data:
    """Returns the samples of classes `low` to `high - 1`, renumbered from 0."""
    kept = (data.y >= low) & (data.y < high)
    return replace(data, x=data.x[kept], y=data.y[kept] - low, classes=high - low)


def of_rows(data: Data, start: int, stop: int | None) -> Data:
    """Returns the samples from `start` to `stop`."""
    return replace(data, x=data.x[start:stop], y=data.y[start:stop])


def permuted(data: Data) -> Data:
    """Returns the data with shuffled targets."""
    return replace(data, y=data.y[_rng().permutation(len(data.y))])


def moved(data: Data, by: int) -> Data:
    """Returns the data with targets shifted by some rows, for example by one."""
    return replace(data, y=np.roll(data.y, by, axis=0))


def integer_division(data: Data, by: int) -> Data:
    """Returns the data with inputs divided by `x // by`, which turns pixels into zeros."""
    return replace(data, x=(data.x // by).astype(data.x.dtype))


def unknown_words(data: Data) -> Data:
    """Returns texts in which a wrong vocabulary maps every word to the unknown token."""
    return replace(data, x=np.where(data.x > 0, 1, 0).astype(data.x.dtype) * 0 + 1)


def missing(data: Data, rows: int, column: int, value: float) -> Data:
    """Returns the data with a placeholder for missing values, such as NaN, in some rows of a column."""
    x = data.x.copy()
    x.reshape(len(x), -1)[_rng().choice(len(x), rows, replace=False), column] = value
    return replace(data, x=x)


def missing_targets(data: Data, rows: int, value: float) -> Data:
    """Returns the data with some targets replaced by a placeholder for missing values, such as NaN or -1."""
    y = data.y.copy()
    y[_rng().choice(len(y), rows, replace=False)] = value
    return replace(data, y=y)


def standardized_blindly(data: Data) -> Data:
    """Standardizes the input columns, including constant ones, where 0 / 0 gives NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        x = (data.x - data.x.mean(0)) / data.x.std(0)
    return replace(data, x=x.astype(np.float32))


def logarithm(data: Data) -> Data:
    """Takes the logarithm of the inputs, which is minus infinity for zeros."""
    with np.errstate(divide="ignore"):
        return replace(data, x=np.log(data.x).astype(np.float32))


def log_targets(data: Data) -> Data:
    """Takes the logarithm of targets shifted to start at zero, so the smallest becomes minus infinity."""
    with np.errstate(divide="ignore"):
        return replace(data, y=np.log(data.y - data.y.min()).astype(np.float32))


def counted_from(data: Data, first: int) -> Data:
    """Renumbers the labels to start at `first` instead of 0."""
    return replace(data, y=data.y + first)


def in_order(data: Data) -> Data:
    """Sorts the samples by label or target."""
    order = np.argsort(data.y.reshape(len(data.y), -1)[:, 0], kind="stable")
    return replace(data, x=data.x[order], y=data.y[order])


def by_column(data: Data, column: int) -> Data:
    """Sorts the samples by one input column."""
    order = np.argsort(data.x.reshape(len(data.x), -1)[:, column], kind="stable")
    return replace(data, x=data.x[order], y=data.y[order])


def copied(data: Data, times: int) -> Data:
    """Repeats each sample several times in random order, so the data set looks larger than it is."""
    rows = _rng().permutation(np.tile(np.arange(len(data.x)), times))
    return replace(data, x=data.x[rows], y=data.y[rows])


def square_root(data: Data) -> Data:
    """Takes the square root of the inputs, which is NaN for negative ones."""
    with np.errstate(invalid="ignore"):
        return replace(data, x=np.sqrt(data.x).astype(np.float32))


def one_label(data: Data, wanted: int) -> Data:
    """Turns the targets of a sequence into binary labels for the class `wanted`."""
    return replace(data, y=(data.y == wanted).astype(np.int32)[..., None], classes=2)


def rare(data: Data, wanted: int, share: float) -> Data:
    """Turns the targets into binary labels for the class `wanted`, thinned to a share of all samples."""
    y = (data.y == wanted).astype(np.int32)
    return thinned(replace(data, y=y, classes=2), y == 1, share)


def dominated(data: Data, common: int, share: float) -> Data:
    """Thins all classes except `common` until together they make up a share of all samples."""
    return thinned(data, data.y != common, share)


def thinned(data: Data, few: Array, share: float) -> Data:
    """Drops samples marked by `few` until they make up a share of all samples."""
    others, rng = np.flatnonzero(~few), _rng()
    kept = min(int(few.sum()), round(share / (1 - share) * len(others)))
    rows = rng.permutation(np.concatenate([others, rng.choice(np.flatnonzero(few), kept, replace=False)]))
    return replace(data, x=data.x[rows], y=data.y[rows])


def autoencoding(data: Data) -> Data:
    """Uses the inputs as targets."""
    return replace(data, y=data.x.reshape(len(data.x), -1), classes=None)


def first_columns(data: Data, count: int) -> Data:
    """Turns the first columns into binary targets, which gives several labels per sample."""
    return replace(data, x=data.x[:, count:], y=(data.x[:, :count] > 0).astype(np.float32), classes=None)


def split(data: Data, columns: int) -> Data:
    """Splits the inputs for a model with two inputs, giving `columns` columns to the first."""
    return replace(data, split=columns)


def by_file_name(data: Data) -> Data:
    """Reorders the labels by file name as in 1, 10, 100, 1000, 1001, and leaves the inputs in place."""
    return replace(data, y=data.y[np.argsort(np.arange(len(data.y)).astype(str), kind="stable")])


def shares(data: Data) -> Data:
    """Divides each row of word counts by its sum, where an empty text gives 0 / 0."""
    with np.errstate(invalid="ignore"):
        return replace(data, x=(data.x / data.x.sum(axis=1, keepdims=True)).astype(np.float32))


def as_numbers(data: Data) -> Data:
    """One-hot encodes the class labels, also as targets of a regression."""
    return replace(data, y=np.eye(data.classes or 0, dtype=np.float32)[data.y], classes=None)


def scaled(data: Data, offset: float, factor: float) -> Data:
    """Converts the inputs to another unit."""
    return replace(data, x=(data.x * factor + offset).astype(np.float32))


def scaled_targets(data: Data, offset: float, factor: float) -> Data:
    """Converts the targets to another unit."""
    return replace(data, y=(data.y * factor + offset).astype(np.float32))


def noisy(data: Data, spread: float) -> Data:
    """Adds normal noise to the inputs."""
    return replace(data, x=(data.x + _rng().normal(0, spread, data.x.shape)).astype(np.float32))


def wrong_labels(data: Data, share: float) -> Data:
    """Returns the data with a share of the labels replaced by random ones, as by careless annotators."""
    labels, random = data.y.copy(), _rng()
    chosen = random.random(len(labels)) < share
    labels[chosen] = random.integers(0, data.classes or 0, int(chosen.sum()))
    return replace(data, y=labels)


CHANGES: Mapping[str, Callable[..., Data]] = {
    "classes": of_classes,
    "rows": of_rows,
    "permuted": permuted,
    "moved": moved,
    "integer division": integer_division,
    "unknown words": unknown_words,
    "missing": missing,
    "missing targets": missing_targets,
    "standardized blindly": standardized_blindly,
    "logarithm": logarithm,
    "log targets": log_targets,
    "counted from": counted_from,
    "in order": in_order,
    "by column": by_column,
    "copied": copied,
    "square root": square_root,
    "one label": one_label,
    "rare": rare,
    "dominated": dominated,
    "autoencoding": autoencoding,
    "first columns": first_columns,
    "as numbers": as_numbers,
    "one-hot": as_numbers,
    "split": split,
    "by file name": by_file_name,
    "shares": shares,
    "scaled": scaled,
    "scaled targets": scaled_targets,
    "noisy": noisy,
    "wrong labels": wrong_labels,
}
"""Changes by name."""
