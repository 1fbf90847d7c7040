"""Where the data of `fit` come from: how many samples there are and whether they are shuffled, without taking any."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from keras_lrscan.arrays import array_of, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["shuffles_anew", "source_facts"]

MAKES_ITS_OWN = re.compile(r"FlatMap|Interleave")
"""Steps of a `tf.data` pipeline that may run code of the user, which may shuffle."""
REPEATS = re.compile(r"Repeat")


def source_facts(local: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how many samples there are and whether `fit` shuffles them, each `None` where it cannot be told.

    Args:
        local: The local variables of `fit`.
    """
    data: Any = local.get("x")
    parts = parts_of(data)
    if parts and all(array_of(part) is not None for part in parts):
        lengths = {len(part) for part in parts}
        shuffle = local.get("shuffle")
        return _facts(lengths.pop() if len(lengths) == 1 else None, None if shuffle is None else bool(shuffle))
    if hasattr(data, "element_spec"):
        return _of_pipeline(data)
    library = type(data).__module__.partition(".")[0]
    if library == "torch" and hasattr(data, "dataset"):
        return _of_loader(data)
    if library in {"keras", "tf_keras"} and hasattr(data, "n") and hasattr(data, "shuffle"):  # pictures of a folder
        return _facts(int(data.n), bool(data.shuffle))
    return {}


def shuffles_anew(data: Any) -> bool:  # noqa: ANN401 - whatever `fit` takes
    """Whether a `tf.data` pipeline shuffles anywhere, in another order at each pass."""
    return any(
        "Shuffle" in type(item).__name__ and getattr(item, "_reshuffle_each_iteration", True) is not False
        for item in _steps(data)
    )


def _facts(num_samples: int | None, shuffled: bool | None) -> dict[str, Any]:  # noqa: FBT001 - a value, not a switch
    return {"num_samples": num_samples, "shuffled": shuffled}


def _steps(data: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yields a `tf.data` pipeline from its end to its sources."""
    waiting = [data] if hasattr(data, "element_spec") else []
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(getattr(item, "_inputs", list)())


def _of_pipeline(data: Any) -> dict[str, Any]:  # noqa: ANN401
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


def _of_loader(loader: Any) -> dict[str, Any]:  # noqa: ANN401
    """Of a `DataLoader` of torch."""
    sampler = type(getattr(loader, "sampler", None)).__name__
    known = {"RandomSampler": True, "SequentialSampler": False}
    return _facts(len(loader.dataset) if hasattr(loader.dataset, "__len__") else None, known.get(sampler))
