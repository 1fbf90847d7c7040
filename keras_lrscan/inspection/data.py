"""What the data that `fit` was given tell, without taking anything out of them.

Arrays in memory are looked at in evenly spread rows: all of them up to four million numbers for extremes and NaN, up to
a million for means and counts. Generators and data sets are not touched here; of those a scan looks at the first
batches that it trains on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Layer, Model, Tensor
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.topology import class_names, first_layers
from keras_lrscan.inspection.arrays import Range, array_of, even_rows, nonfinite_share, parts_of, range_of
from keras_lrscan.inspection.label_dependence import labels_follow_inputs
from keras_lrscan.inspection.labels import label_facts
from keras_lrscan.inspection.settings import compiled_losses, loss_name
from keras_lrscan.inspection.targets import loss_setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.fit_call import FitCall
    from keras_lrscan.hosts.host import Host

    Array = NDArray[Any]

__all__ = ["Given", "array_facts", "duplicate_facts", "given_to_fit", "label_ties", "shuffles_anew", "source_facts"]

LOOKS_UP = re.compile(r"Embedding|Lookup$|^(CategoryEncoding|Hashing|HashedCrossing|TextVectorization|Discretization)$")
"""Layers that take their input for the number of something, or put it in a drawer."""
SCALES = re.compile(r"^(Normalization|Rescaling|(Batch|Layer|Group|RMS|Unit)Normalization)$")
"""Layers after which the size of an input is no longer what it was."""
SELF_SCALING = frozenset({"Normalization", "Rescaling"})
"""Those among them that are made for inputs."""
PICTURE = 4
"""Axes of an array of pictures: numbers of words have fewer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Data as `fit` takes them.

    Attributes:
        x: Inputs, nested as the user nests them.
        y: Targets, likewise.
        sample_weight: Weights of samples, or `None`.
        class_weight: Weights of classes, or `None`.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: Mapping[int, float] | None = None


def given_to_fit(call: FitCall) -> Given | None:
    """Returns the data that `fit` was given, or `None` where they are not arrays in memory."""
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
    """Returns what the numbers themselves tell, by fields of the context.

    Args:
        host: The host and its model.
        given: All data, or some of them.
    """
    inputs = [array for part in parts_of(given.x) if (array := array_of(part)) is not None]
    targets = [array for part in parts_of(given.y) if (array := array_of(part)) is not None]
    return {
        "nonfinite_inputs": nonfinite_share(inputs),
        "nonfinite_targets": nonfinite_share(targets),
        **duplicate_facts(inputs, targets),
        **_input_facts(host.model, given.x),
        **(_label_facts(host, targets[0]) if len(targets) == 1 else {}),
        "zero_weight_share": _zero_weight_share(given, targets),
    }


def _input_facts(model: Model, x: FitData) -> dict[str, Any]:
    """Describes the measurements among the inputs; of several the one with the largest numbers."""
    found: list[Range] = []
    for part, tensor in _with_symbols(model, x):
        array = array_of(part)
        if array is not None and _is_measurement(model, tensor, array) and (lies := range_of(array)) is not None:
            found.append(lies)
    if not found:
        return {}
    worst = max(found, key=lambda item: item.size)
    return {
        "input_low": worst.low,
        "input_high": worst.high,
        "input_mean": worst.mean,
        "input_std": worst.std,
        "input_spread_ratio": worst.spread_ratio,
    }


def _with_symbols(model: Model, x: FitData) -> Iterator[tuple[Any, Any]]:
    """Yields each input with the symbolic tensor of the model that it goes into, `None` where that is not known."""
    tensors = list(getattr(model, "inputs", None) or [])
    if isinstance(x, dict):
        struct = getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None))
        named = struct if isinstance(struct, dict) else {tensor.name.partition(":")[0]: tensor for tensor in tensors}
        yield from ((part, named.get(name)) for name, part in x.items())
        return
    parts = parts_of(x)
    matches = len(parts) == len(tensors)
    yield from zip(parts, tensors if matches else [None] * len(parts), strict=True)


def _is_measurement(model: Model, tensor: Tensor, array: Array) -> bool:
    """Whether an input holds amounts whose size matters to the model, rather than numbers of words or flags."""
    if array.dtype.kind == "b":
        return False
    kinds = {_kind(layer, array) for layer in first_layers(model, tensor)} if tensor is not None else set()
    if not kinds:
        layers = layers_in(model, include_self=False)
        names = {name for layer in layers for name in class_names(layer)}
        return not names & SELF_SCALING and not (any(map(LOOKS_UP.search, names)) and _may_be_numbers_of_words(array))
    return kinds == {"plain"}


def _kind(layer: Layer, array: Array) -> str:
    """What a layer does first to `array`."""
    if any(map(SCALES.search, class_names(layer))):
        return "scales"
    inner = layers_in(layer)
    if any(LOOKS_UP.search(name) for item in inner for name in class_names(item)) and _may_be_numbers_of_words(array):
        return "looks up"
    return "plain" if getattr(layer, "weights", None) else "unknown"


def _may_be_numbers_of_words(array: Array) -> bool:
    if array.ndim >= PICTURE:
        return False
    sample = array.reshape(len(array), -1)[:100]
    return array.dtype.kind in "iu" or bool((sample == np.floor(sample)).all())


def _label_facts(host: Host, labels: Array) -> dict[str, Any]:
    losses = compiled_losses(host)
    shape = getattr(host.model, "output_shape", None)
    width = shape[-1] if isinstance(shape, tuple) and shape and isinstance(shape[-1], int) else None
    ignored = loss_setting(losses[0], "ignore_class") if len(losses) == 1 else None
    return label_facts(loss_name(host), labels, width, ignored)


def label_ties(host: Host, given: Given) -> bool | None:
    """Returns whether simple rules foretell the labels from the inputs, `None` where that cannot be told.

    Takes some tenths of a second, so it is asked only where the loss did not fall.

    Args:
        host: The host and its model.
        given: All data.
    """
    inputs = [array for part in parts_of(given.x) if (array := array_of(part)) is not None]
    targets = [array for part in parts_of(given.y) if (array := array_of(part)) is not None]
    layers = layers_in(host.model, include_self=False)
    are_words = any(map(LOOKS_UP.search, (name for layer in layers for name in class_names(layer))))
    return labels_follow_inputs(loss_name(host), inputs, targets[0], are_words=are_words) if len(targets) == 1 else None


def _zero_weight_share(given: Given, targets: list[Array]) -> float | None:
    """The share of samples that `sample_weight` or `class_weight` gives a weight of zero."""
    if not targets:
        return None
    weights = [array for part in parts_of(given.sample_weight) if (array := array_of(part)) is not None]
    zeros = [float((array == 0).mean()) for array in weights]
    empty = [number for number, weight in (given.class_weight or {}).items() if weight == 0]
    if empty:
        labels = targets[0].reshape(len(targets[0]), -1)
        classes = labels.argmax(1) if labels.shape[1] > 1 else labels[:, 0]
        zeros.append(float(np.isin(classes, empty).mean()))
    return max(zeros, default=0.0)


MAX_SAMPLES = 1000
"""Samples that are compared."""
MAX_NUMBERS = 2_000_000
"""Numbers in the inputs of those; of larger samples fewer are compared, but `MIN_SAMPLES`."""
MIN_SAMPLES = 64


def duplicate_facts(inputs: Sequence[Array], targets: Sequence[Array]) -> dict[str, Any]:
    """Returns how many samples differ, by fields of the context; empty without arrays of one length.

    Of many samples evenly spread ones are compared, always the same.

    Args:
        inputs: Arrays of shape `(n, ...)`.
        targets: Arrays of shape `(n, ...)`.

    Example:
    >>> import numpy as np
    >>> x, y = np.array([[1.0], [1.0], [2.0], [1.0]]), np.array([0, 1, 0, 0])
    >>> duplicate_facts([x], [y])
    {'num_looked_at': 4, 'num_distinct_inputs': 2, 'contradicting_share': 0.25}
    """
    if not inputs or len({len(array) for array in (*inputs, *targets)}) != 1:
        return {}
    width = sum(array[0].size for array in inputs)
    rows = even_rows(len(inputs[0]), min(MAX_SAMPLES, max(MIN_SAMPLES, MAX_NUMBERS // max(1, width))))
    first: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}
    wanted = list(zip(*(_as_bytes(array, rows) for array in targets), strict=True)) or [()] * len(rows)
    contradicting = 0
    for number, sample in enumerate(zip(*(_as_bytes(array, rows) for array in inputs), strict=True)):
        contradicting += first.setdefault(sample, wanted[number]) != wanted[number]
    return {
        "num_looked_at": len(rows),
        "num_distinct_inputs": len(first),
        "contradicting_share": contradicting / len(rows) if targets else None,
    }


def _as_bytes(array: Array, rows: Array) -> list[bytes]:
    return [row.tobytes() for row in array[rows]]


MAKES_ITS_OWN = re.compile(r"FlatMap|Interleave")
"""Steps of a `tf.data` pipeline that may run code of the user, which may shuffle."""
REPEATS = re.compile(r"Repeat")


def source_facts(call: FitCall) -> dict[str, Any]:
    """Returns how many samples there are and whether `fit` shuffles them, each `None` where it cannot be told.

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
    if library in {"keras", "tf_keras"} and hasattr(data, "n") and hasattr(data, "shuffle"):  # pictures of a folder
        return _facts(int(data.n), bool(data.shuffle))
    return {}


def shuffles_anew(data: FitData) -> bool:
    """Whether a `tf.data` pipeline shuffles anywhere, in another order at each pass."""
    return any(
        "Shuffle" in type(item).__name__ and getattr(item, "_reshuffle_each_iteration", True) is not False
        for item in _steps(data)
    )


def _facts(num_samples: int | None, shuffled: bool | None) -> dict[str, Any]:  # noqa: FBT001 - a value, not a switch
    return {"num_samples": num_samples, "shuffled": shuffled}


def _steps(data: FitData) -> Iterator[Any]:
    """Yields a `tf.data` pipeline from its end to its sources."""
    waiting = [data] if hasattr(data, "element_spec") else []
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(getattr(item, "_inputs", list)())


def _of_pipeline(data: FitData) -> dict[str, Any]:
    """Of a `tf.data` pipeline: the samples are what goes into its only `batch`."""
    steps = list(_steps(data))
    names = [type(step).__name__ for step in steps]
    shuffled = any("Shuffle" in name for name in names)
    unknown = any(map(MAKES_ITS_OWN.search, names))
    batches = [step for step, name in zip(steps, names, strict=True) if "Batch" in name]
    samples = None
    if len(batches) == 1 and not any(map(REPEATS.search, names)):
        into = next(iter(batches[0]._inputs()))  # noqa: SLF001 - pipelines tell their steps by no public name
        whole = int(data.cardinality()) == int(batches[0].cardinality())
        samples = int(into.cardinality()) if whole else None
    known = samples is not None and samples >= 0
    return _facts(samples if known else None, True if shuffled else (None if unknown else False))


def _of_loader(loader: FitData) -> dict[str, Any]:
    """Of a `DataLoader` of torch."""
    sampler = type(getattr(loader, "sampler", None)).__name__
    known = {"RandomSampler": True, "SequentialSampler": False}
    return _facts(len(loader.dataset) if hasattr(loader.dataset, "__len__") else None, known.get(sampler))
