"""Reads a file of `torch.save`, in its form before torch 1.6, without torch. No code in the file can run."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read"]

KINDS = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
"""Name of a storage → what its numbers are."""


def tensor(
    storage: tuple[str, ...], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> Place:
    """Returns where a tensor lies in the storages, which follow later in the file."""
    return Place(storage[2], offset, shape, strides)


class Place(NamedTuple):
    """Where a tensor lies."""

    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def cut(self, storage: NDArray[Any]) -> NDArray[Any]:
        """Returns the tensor."""
        strides = [stride * storage.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, strides).copy()


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): tensor,
}
"""All that the file may name, beside the kinds of storages."""


class Reader(pickle.Unpickler):  # noqa: S301 - it refuses every name but those allowed
    """Reads the names and places of the tensors."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for a name, if it is allowed."""
        if module == "torch" and name in KINDS:
            return name
        if (module, name) not in ALLOWED:
            msg = f"Expected a file of tensors. Received: a file that names {module}.{name}."
            raise pickle.UnpicklingError(msg)
        return ALLOWED[module, name]

    def persistent_load(self, pid: tuple[str, ...]) -> tuple[str, ...]:
        """Notes the kind of a storage."""
        self.kinds[pid[2]] = KINDS[pid[1]]
        return pid


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the tensors by name."""
    with path.open("rb") as file:
        for _ in range(3):  # a magic number, the version, the machine
            Reader(file).load()
        reader = Reader(file)
        places = reader.load()
        storages = {}
        for key in Reader(file).load():
            (size,) = np.fromfile(file, "<i8", 1)
            storages[key] = np.fromfile(file, reader.kinds[key], size)
    return {name: place.cut(storages[place.key]) for name, place in places.items()}
