"""Describes the data that `fit` was given, without taking batches from generators, pipelines or loaders.

Arrays in memory are sampled. Of `tf.data` pipelines, torch loaders and Keras's image iterators only the settings are
read: how many samples they hold, and whether they shuffle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Nest
from keras_lrscan.inspection.array_statistics import nonfinite_share
from keras_lrscan.inspection.arrays import array_of, parts_of
from keras_lrscan.inspection.duplicates import duplicate_facts
from keras_lrscan.inspection.inputs import input_facts, looks_up_inputs
from keras_lrscan.inspection.label_dependence import labels_follow_inputs
from keras_lrscan.inspection.label_noise import suspect_share
from keras_lrscan.inspection.labels import label_facts
from keras_lrscan.inspection.settings import compiled_losses, loss_name
from keras_lrscan.inspection.targets import loss_setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from keras_lrscan.hosts.fit_call import FitCall
    from keras_lrscan.hosts.host import Host

    Array = NDArray[Any]

__all__ = ["Given", "array_facts", "given_to_fit", "label_ties", "shuffles_anew", "source_facts"]

MAKES_ITS_OWN = re.compile(r"FlatMap|Interleave")
"""Steps of a `tf.data` pipeline that may run the user's own code, which may shuffle."""

REPEATS = re.compile(r"Repeat")
"""Steps of a `tf.data` pipeline that repeat the samples."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Holds data in the form that `fit` takes.

    Attributes:
        x: Inputs, in the user's own nesting.
        y: Targets, in the user's own nesting.
        sample_weight: Sample weights, or `None`.
        class_weight: Class weights, or `None`.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: Mapping[int, float] | None = None


def given_to_fit(call: FitCall) -> Given | None:
    """Returns the data of a `fit`, or `None` unless all inputs are arrays in memory."""
    parts = parts_of(call.x)
    if not parts or any(array_of(part) is None for part in parts):
        return None
    return Given(
        x=call.x,
        y=call.y,
        sample_weight=call.sample_weight,
        class_weight=call.class_weight,
    )


def array_facts(host: Host, given: Given) -> dict[str, Any]:
    """Describes the numbers in inputs, labels and weights, keyed by fields of `ScanContext`.

    Args:
        host: The host and its model.
        given: The data, or some of its batches.
    """
    inputs, targets = _arrays_in(given.x), _arrays_in(given.y)
    return {
        "nonfinite_inputs": nonfinite_share(inputs),
        "nonfinite_targets": nonfinite_share(targets),
        **duplicate_facts(inputs, targets),
        **input_facts(host.model, given.x),
        **(_label_facts(host, targets[0]) if len(targets) == 1 else {}),
        "suspect_labels": _suspect_labels(host, inputs, targets[0]) if len(targets) == 1 else None,
        "zero_weight_share": _zero_weight_share(given, targets),
        "mean_weight": _mean_weight(given),
    }


def label_ties(host: Host, given: Given) -> bool | None:
    """Returns whether simple models predict the labels from the inputs better than shuffled labels.

    This takes some tenths of a second, so a scan calls it only if the loss did not fall.

    Args:
        host: The host and its model.
        given: The data, or some of its batches.

    Returns:
        The answer, or `None` if there are several targets or the test is inconclusive.
    """
    inputs, targets = _arrays_in(given.x), _arrays_in(given.y)
    if len(targets) != 1:
        return None
    return labels_follow_inputs(loss_name(host), inputs, targets[0], are_words=looks_up_inputs(host.model))


def source_facts(call: FitCall) -> dict[str, Any]:
    """Returns the number of samples and whether `fit` shuffles them, each `None` if it is unknown.

    Args:
        call: The call of `fit`.
    """
    data: Any = call.x
    parts = parts_of(data)
    if parts and all(array_of(part) is not None for part in parts):
        lengths = {len(part) for part in parts}
        shuffle = call.shuffle
        return _facts(lengths.pop() if len(lengths) == 1 else None, None if shuffle is None else bool(shuffle))
    if hasattr(data, "element_spec"):
        return _of_pipeline(data)
    library = type(data).__module__.partition(".")[0]
    if library == "torch" and hasattr(data, "dataset"):
        return _of_loader(data)
    if library in {"keras", "tf_keras"} and hasattr(data, "n") and hasattr(data, "shuffle"):  # images from a directory
        return _facts(int(data.n), bool(data.shuffle))
    return {}


def shuffles_anew(data: FitData) -> bool:
    """Returns whether a step of a `tf.data` pipeline shuffles in another order on each pass."""
    return any(
        "Shuffle" in type(item).__name__ and getattr(item, "_reshuffle_each_iteration", True) is not False
        for item in _steps(data)
    )


def _arrays_in(nest: Nest) -> list[Array]:
    return [array for part in parts_of(nest) if (array := array_of(part)) is not None]


def _label_facts(host: Host, labels: Array) -> dict[str, Any]:
    losses = compiled_losses(host)
    shape = getattr(host.model, "output_shape", None)
    width = shape[-1] if isinstance(shape, tuple) and shape and isinstance(shape[-1], int) else None
    ignored = loss_setting(losses[0], "ignore_class") if len(losses) == 1 else None
    return label_facts(loss_name(host), labels, width, ignored)


def _suspect_labels(host: Host, inputs: list[Array], labels: Array) -> float | None:
    """Returns the share of labels that contradict those of similar samples; `None` unless each sample has a class."""
    name = loss_name(host) or ""
    if labels.ndim == 2 and name.startswith("categorical"):
        labels = labels.argmax(1)
    is_class = "crossentropy" in name and labels.size == len(labels) and bool(np.isfinite(labels).all())
    if not is_class or looks_up_inputs(host.model):  # texts that share words need not share a label
        return None
    return suspect_share(inputs, labels.reshape(-1))


def _zero_weight_share(given: Given, targets: list[Array]) -> float | None:
    """Returns the share of samples with a weight of zero from `sample_weight` or `class_weight`."""
    if not targets:
        return None
    zeros = [float((array == 0).mean()) for array in _arrays_in(given.sample_weight)]
    empty = [number for number, weight in (given.class_weight or {}).items() if weight == 0]
    if empty:
        labels = targets[0].reshape(len(targets[0]), -1)
        classes = labels.argmax(1) if labels.shape[1] > 1 else labels[:, 0]
        zeros.append(float(np.isin(classes, empty).mean()))
    return max(zeros, default=0.0)


def _mean_weight(given: Given) -> float | None:
    """Returns the smallest mean of the finite sample weights of an output; `None` without such weights."""
    finite = (array[np.isfinite(array)] for array in _arrays_in(given.sample_weight))
    return min((float(array.mean()) for array in finite if array.size), default=None)


def _facts(num_samples: int | None, shuffled: bool | None) -> dict[str, Any]:  # noqa: FBT001 - a value, not a switch
    return {"num_samples": num_samples, "shuffled": shuffled}


def _steps(data: FitData) -> Iterator[Any]:
    """Yields the steps of a `tf.data` pipeline from its end to its sources."""
    waiting = [data] if hasattr(data, "element_spec") else []
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(getattr(item, "_inputs", list)())


def _of_pipeline(data: FitData) -> dict[str, Any]:
    """Reads a `tf.data` pipeline. Its samples are the elements that enter its only `batch` step."""
    steps = list(_steps(data))
    names = [type(step).__name__ for step in steps]
    shuffled = any("Shuffle" in name for name in names)
    unknown = any(map(MAKES_ITS_OWN.search, names))
    batches = [step for step, name in zip(steps, names, strict=True) if "Batch" in name]
    samples = None
    if len(batches) == 1 and not any(map(REPEATS.search, names)):
        into = next(iter(batches[0]._inputs()))  # noqa: SLF001 - there is no public way to list the steps
        whole = int(data.cardinality()) == int(batches[0].cardinality())
        samples = int(into.cardinality()) if whole else None
    known = samples is not None and samples >= 0
    return _facts(samples if known else None, True if shuffled else (None if unknown else False))


def _of_loader(loader: FitData) -> dict[str, Any]:
    """Reads a `DataLoader` of torch."""
    sampler = type(getattr(loader, "sampler", None)).__name__
    known = {"RandomSampler": True, "SequentialSampler": False}
    return _facts(len(loader.dataset) if hasattr(loader.dataset, "__len__") else None, known.get(sampler))
