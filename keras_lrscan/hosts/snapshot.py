"""Copies the values of variables to memory or disk, and restores them exactly."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from keras_lrscan._typing import Value
from keras_lrscan.errors import unknown_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["PLACES", "Snapshot", "Variable", "checked_place", "read_value"]

PLACES = ("memory", "disk")
"""Places where a snapshot can be stored."""

Place = Literal["memory", "disk"]


class Variable(Protocol):
    """Declares the methods that variables of Keras, TensorFlow and tf_keras share."""

    def numpy(self) -> Value:
        """Returns the value."""

    def assign(self, value: Value) -> Value:
        """Sets the value."""


def checked_place(snapshot: str) -> Place:
    """Returns `snapshot` if it is one of `PLACES`.

    Raises:
        InvalidOptionError: If it is not.
    """
    if snapshot == "memory":
        return "memory"
    if snapshot == "disk":
        return "disk"
    raise unknown_option("snapshot", snapshot, PLACES)


def read_value(variable: Variable) -> NDArray[Any]:
    """Returns the value of a variable of any host, possibly as a view that changes with the variable."""
    value = getattr(variable, "value", None)
    if value is None or callable(value):  # `tf.Variable` has a method named `value`
        return np.asarray(variable.numpy())
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value  # NumPy has no bfloat16
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


class Snapshot:
    """Saves the current values of `variables`.

    In memory, a snapshot takes one copy of all values, except for arrays of one repeated value, such as the slots of a
    new optimizer. On disk, it is one file without a name, which the system removes when the process ends for any
    reason.

    Args:
        variables: The variables. A variable that is given twice is saved once.
        place: `"memory"` or `"disk"`.

    Example:
    >>> class Cell:
    ...     def __init__(self, value):
    ...         self.value = np.array(value)
    ...     def numpy(self):
    ...         return self.value
    ...     def assign(self, value):
    ...         self.value = np.array(value)
    >>> cell = Cell([1.0, 2.0])
    >>> snapshot = Snapshot([cell])
    >>> cell.assign([7.0, 7.0])
    >>> snapshot.restore()
    >>> cell.value.tolist()
    [1.0, 2.0]
    """

    def __init__(self, variables: Iterable[Variable], *, place: Place = "memory") -> None:
        self._file = tempfile.TemporaryFile(prefix="lrscan-") if place == "disk" else None  # noqa: SIM115 - see `close`
        unique = {id(variable): variable for variable in variables}
        self._kept = [(variable, self._keep(read_value(variable).copy())) for variable in unique.values()]
        if self._file is not None:
            self._file.flush()

    @property
    def variables(self) -> list[Variable]:
        """The variables with a saved value."""
        return [variable for variable, _ in self._kept]

    def restore(self) -> None:
        """Assigns every variable its saved value."""
        for variable, load in self._kept:
            variable.assign(load())

    def pairs(self, variables: Iterable[Variable]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yields the saved and the current value of each of `variables` that has a saved one."""
        loads = {id(variable): load for variable, load in self._kept}
        yield from ((loads[id(item)](), read_value(item)) for item in variables if id(item) in loads)

    def close(self) -> None:
        """Discards the saved values."""
        self._kept = []
        if self._file is not None:
            self._file.close()

    def _keep(self, array: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        shape, dtype = array.shape, array.dtype
        if array.dtype == object:  # strings
            return lambda: array
        if array.size > 1 and _is_constant(array):
            value = array.reshape(-1)[0]
            return lambda: np.full(shape, value, dtype)
        file = self._file
        if file is None:
            return lambda: array
        start = file.tell()
        file.write(array.tobytes())

        def load() -> NDArray[Any]:
            file.seek(start)
            return np.frombuffer(file.read(array_bytes), dtype).reshape(shape)

        array_bytes = array.nbytes
        return load


def _is_constant(array: NDArray[Any]) -> bool:
    """Returns whether all values have the same bits, so that `-0.0` differs from `0.0` and identical NaNs are equal."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, array.itemsize)
    return bool((raw == raw[0]).all())
