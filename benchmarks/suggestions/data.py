"""Loads the data sets of the tasks, splits and scales them, and applies named changes.

`load("mnist", ("lower classes",))` returns the digits 0 to 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sources import SOURCES, source

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

MAX_TRAINING, MAX_VALIDATION = 4000, 512


@dataclass(frozen=True, kw_only=True)
class Data:
    """Holds the inputs and targets of one task.

    Args:
        x: Training inputs, with one row per example. Integers are token or item indices.
        y: Training targets.
        x_val: Validation inputs.
        y_val: Validation targets.
        classes: Number of classes, or `None` for numeric targets.
        tokens: Size of the vocabulary, or (users, items). Empty for numeric inputs.
    """

    x: Array
    y: Array
    x_val: Array
    y_val: Array
    classes: int | None
    tokens: tuple[int, ...] = ()


def classes_kept(data: Data, kept: range) -> Data:
    """Returns the examples of some classes, renumbered from 0."""
    train, val = np.isin(data.y, kept), np.isin(data.y_val, kept)
    y, y_val = data.y[train] - kept.start, data.y_val[val] - kept.start
    return replace(data, x=data.x[train], y=y, x_val=data.x_val[val], y_val=y_val, classes=len(kept))


def rows_kept(data: Data, *, low: bool) -> Data:
    """Returns the examples whose first input is at most its median, or those above it."""
    middle = np.median(data.x[:, 0])
    train, val = (data.x[:, 0] <= middle) == low, (data.x_val[:, 0] <= middle) == low
    return replace(data, x=data.x[train], y=data.y[train], x_val=data.x_val[val], y_val=data.y_val[val])


def share_kept(data: Data, part: slice) -> Data:
    """Returns a part of the training examples."""
    return replace(data, x=data.x[part], y=data.y[part])


def inputs_changed(data: Data, change: Callable[[Array], Array]) -> Data:
    """Applies a function to the inputs."""
    return replace(data, x=change(data.x).astype(np.float32), x_val=change(data.x_val).astype(np.float32))


def noisy(x: Array, scale: float) -> Array:
    """Adds normal noise of `scale` times the standard deviation of the inputs."""
    return x + np.random.default_rng(2).normal(0, scale * x.std(), x.shape)


def wrong(y: Array, share: float, classes: int) -> Array:
    """Replaces a share of the labels with random other classes."""
    rng = np.random.default_rng(3)
    moved = (y + rng.integers(1, classes, y.shape)) % classes
    return np.where(rng.random(y.shape) < share, moved, y).astype(y.dtype)


def labels_changed(data: Data, change: Callable[[Array, int], Array]) -> Data:
    """Applies a function to the labels, including those for validation."""
    count = data.classes or 0
    return replace(data, y=change(data.y, count), y_val=change(data.y_val, count))


def lower_half(data: Data) -> range:
    """Returns the first half of the classes."""
    return range((data.classes or 0) // 2)


def upper_half(data: Data) -> range:
    """Returns the second half of the classes."""
    return range((data.classes or 0) // 2, data.classes or 0)


CHANGES: dict[str, Callable[[Data], Data]] = {
    "lower classes": lambda data: classes_kept(data, lower_half(data)),
    "upper classes": lambda data: classes_kept(data, upper_half(data)),
    "low rows": lambda data: rows_kept(data, low=True),
    "high rows": lambda data: rows_kept(data, low=False),
    "first half": lambda data: share_kept(data, slice(0, len(data.x) // 2)),
    "a tenth": lambda data: share_kept(data, slice(0, len(data.x) // 10)),
    "rotated": lambda data: inputs_changed(data, lambda x: np.rot90(x, axes=(1, 2))),
    "inverted": lambda data: inputs_changed(data, lambda x: data.x.max() - x),
    "noise": lambda data: inputs_changed(data, lambda x: noisy(x, 0.7)),
    "shuffled inputs": lambda data: inputs_changed(data, lambda x: np.roll(x, 3, axis=-1)),
    "20 % wrong labels": lambda data: labels_changed(data, lambda y, count: wrong(y, 0.2, count)),
    "40 % wrong labels": lambda data: labels_changed(data, lambda y, count: wrong(y, 0.4, count)),
    "labels moved by one": lambda data: labels_changed(data, lambda y, count: (y + 1) % count),
    "autoencoding": lambda data: replace(
        data, y=data.x.reshape(len(data.x), -1), y_val=data.x_val.reshape(len(data.x_val), -1), classes=None
    ),
}
"""Changes by name, applied after scaling to both training and validation data."""
UNSCALED, UNSCALED_TARGETS = "unscaled", "unscaled targets"


def scaling(x: Array, kind: str | None) -> tuple[Array | float, Array | float]:
    """Returns offset and unit of the inputs: 0 and 255 for pixels, mean and standard deviation for columns."""
    if kind == "columns":
        axes = tuple(range(x.ndim - 1))
        spread = x.std(axes)
        return x.mean(axes), np.where(spread > 0, spread, 1)
    return 0.0, 255.0 if kind == "pixels" else 1.0


def load(name: str, changes: tuple[str, ...] = ()) -> Data:
    """Returns a data set after applying changes in order.

    The split is the same for all changes of a data set, so no change trains on validation examples of another.

    Args:
        name: Key of `SOURCES`.
        changes: Keys of `CHANGES`. "unscaled" and "unscaled targets" leave inputs or targets in their own units.
    """
    raw = source(name)
    order = np.random.default_rng(len(raw.x)).permutation(len(raw.x))
    held = min(MAX_VALIDATION, len(order) // 4)
    val, train = order[:held], order[held : held + MAX_TRAINING]
    x, y = raw.x, raw.y
    if not raw.tokens and UNSCALED not in changes:
        offset, unit = scaling(x[train], SOURCES[name].scale)
        x = ((x - offset) / unit).astype(np.float32)
    if raw.classes is None and UNSCALED_TARGETS not in changes:
        y = ((y - y[train].mean(0)) / y[train].std(0)).astype(np.float32)
    data = Data(x=x[train], y=y[train], x_val=x[val], y_val=y[val], classes=raw.classes, tokens=raw.tokens)
    for change in changes:
        if change not in {UNSCALED, UNSCALED_TARGETS}:
            data = CHANGES[change](data)
    return data
