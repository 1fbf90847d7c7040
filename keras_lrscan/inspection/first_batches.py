"""Inspects the first batches of a scan without consuming them, for a `fit` without arrays.

Each inspected batch still goes into the train function.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Layer, Nest, Value
from keras_lrscan.curves.context import BATCHES_SEEN
from keras_lrscan.hosts.fit_call import FitCall
from keras_lrscan.hosts.next_batch import peek
from keras_lrscan.inspection.array_statistics import even_rows, thinned
from keras_lrscan.inspection.arrays import array_of, mapped, parts_of
from keras_lrscan.inspection.chance_level import chance_of
from keras_lrscan.inspection.data import Given, array_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from keras_lrscan.curves.context import ScanContext
    from keras_lrscan.hosts.host import Host

__all__ = ["MAX_BATCHES", "FirstBatches", "scalar"]

MAX_BATCHES = 8
"""Batches that are inspected at most."""

MAX_SAMPLES = 512
"""Samples after which no further batch is inspected."""

MAX_KEPT = 50_000
"""Numbers to keep of each array in a batch."""

MAX_LABEL_RUNS = 0.2
"""Run share below which the first batches represent the class frequencies of all data. Sorted data have more."""

MIN_LABELS = 10
"""Labels per class needed to estimate the class frequencies."""


class FirstBatches:
    """Inspects the first batches of a scan on their way into the train function.

    Args:
        host: The host and its model.
        monitor: Key of the loss in the logs.

    Attributes:
        given: The inspected batches, joined; `None` before the first of them.
    """

    def __init__(self, host: Host, monitor: str) -> None:
        self._host = host
        self._monitor = monitor
        self._batches: list[tuple[Any, Any, Any]] = []
        self._samples = 0
        self._is_done = host.strategy is not None
        self._has_metrics = False
        self.given: Given | None = None

    def look(self, context: ScanContext, args: tuple[Any, ...]) -> tuple[ScanContext, tuple[Any, ...]]:
        """Inspects the next batch, unless the data are already known or enough batches were inspected.

        Args:
            context: The facts that are known.
            args: The arguments of the train function.

        Returns:
            The context with new facts, and arguments that yield the same batches.
        """
        if self._is_done or (not self._batches and context.nonfinite_inputs is not None):
            self._is_done = True
            return context, args
        batch, args = self._peek(args)
        if batch is None:
            self._is_done = True
            return context, args
        x, y, weight = self._host.library.utils.unpack_x_y_sample_weight(batch)
        self._samples += len(next(iter(parts_of(x)), ()))
        self._batches.append(_kept(x, y, weight))
        self._is_done = len(self._batches) >= MAX_BATCHES or self._samples >= MAX_SAMPLES
        if not self._is_done and len(self._batches) > 1:
            return context, args
        x, y, weight = (_joined([batch[at] for batch in self._batches]) for at in range(3))
        self.given = Given(x=x, y=y, sample_weight=weight)
        context = dataclasses.replace(context, data_seen=BATCHES_SEEN, **array_facts(self._host, self.given))
        return (self._with_chance(context) if self._is_done else context), args

    def _with_chance(self, context: ScanContext) -> ScanContext:
        """Adds the chance level, if it is unknown and the labels are in random order and numerous enough."""
        given = self.given
        if given is None or context.chance_loss is not None or (context.label_runs or 0.0) >= MAX_LABEL_RUNS:
            return context
        size = sum(array.size for part in parts_of(given.y) if (array := array_of(part)) is not None)
        if size < MIN_LABELS * (context.num_classes or 1):
            return context
        call = FitCall(y=given.y, sample_weight=given.sample_weight, batch_size=context.batch_size)
        chance = chance_of(self._host, call, self._monitor)
        more = () if chance.imbalance is None else (chance.imbalance,)
        return dataclasses.replace(context, **chance.facts, notes=(*context.notes, *more))

    def metrics(self, context: ScanContext, logs: Mapping[str, Any]) -> ScanContext:
        """Adds the metrics of the first batch, from the logs after it."""
        if self._has_metrics:
            return context
        self._has_metrics = True
        container = getattr(self._host.model, "_compile_loss", None) or getattr(self._host.model, "compiled_loss", None)
        losses = {"loss", self._monitor, *(metric.name for metric in getattr(container, "metrics", []))}
        found = {name: scalar(value) for name, value in logs.items() if name not in losses}
        known = {name: value for name, value in found.items() if value is not None}
        return dataclasses.replace(context, metric_names=tuple(found), start_metrics=known)

    def _peek(self, args: tuple[Any, ...]) -> tuple[Any | None, tuple[Any, ...]]:
        """Returns the next batch or `None`, and arguments that still start with that batch."""
        *state, source = args
        peeked = peek(source)
        return (None, args) if peeked is None else (peeked.batch, (*state, peeked.source))


def _kept(*parts: Nest) -> tuple[Any, ...]:
    """Copies the same rows of each array in a batch."""
    arrays = [array for part in parts_of(list(parts)) if (array := array_of(part)) is not None]
    length = len(arrays[0]) if arrays else 0
    rows = even_rows(length, max(1, MAX_KEPT // max((array[0].size for array in arrays), default=1)))

    def copy(value: Value) -> NDArray[Any] | None:
        array = array_of(value)
        return None if array is None else np.array(array[rows] if len(array) == length else thinned(array, MAX_KEPT))

    return tuple(mapped(copy, part) for part in parts)


def _joined(batches: list[Any]) -> Nest:
    """Joins batches of the same structure. Leaves out arrays whose samples differ in shape from the first batch."""
    columns: Iterator[tuple[Any, ...]] = zip(*(parts_of(batch) for batch in batches), strict=True)

    def joined(first: Layer) -> Nest:
        if first is None:
            return None
        arrays = next(columns)
        return np.concatenate([array for array in arrays if array.shape[1:] == first.shape[1:]])

    return mapped(joined, batches[0])


def scalar(value: Value) -> float | None:
    """Returns the number in a value of the logs, or `None` if it is not a single finite number."""
    if getattr(value, "shape", ()) != ():
        return None
    try:
        number = float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
