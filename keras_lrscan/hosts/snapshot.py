"""`Snapshot`: values of variables, kept in memory or on disk, and put back to the last bit."""

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
"""Where a snapshot can be kept."""

Place = Literal["memory", "disk"]


class Variable(Protocol):
    """What Keras's, TensorFlow's and tf_keras's variables have in common."""

    def numpy(self) -> Value:
        """Returns the value."""

    def assign(self, value: Value) -> Value:
        """Sets the value."""


def checked_place(snapshot: str) -> Place:
    """Returns `snapshot` when it is one of `PLACES`.

    Raises:
        InvalidOptionError: If it is not.
    """
    if snapshot == "memory":
        return "memory"
    if snapshot == "disk":
        return "disk"
    raise unknown_option("snapshot", snapshot, PLACES)


def read_value(variable: Variable) -> NDArray[Any]:
    """Returns the value of any host's variable; it may be a view of the live value."""
    value = getattr(variable, "value", None)
    if value is None or callable(value):  # a `tf.Variable` has a method of that name
        return np.asarray(variable.numpy())
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value  # NumPy knows no such numbers
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)


class Snapshot:
    """The values that `variables` have now.

    In memory it costs one copy of them, less the arrays that hold one value only, such as the slots of a fresh
    optimizer. On disk it is one file without a name, which the system removes with the process whatever happens to it.

    Args:
        variables: The variables; one that is given twice is kept once.
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
        self._file = tempfile.TemporaryFile(prefix="lrscan-") if place == "disk" else None  # noqa: SIM115 - lives on
        unique = {id(variable): variable for variable in variables}
        self._kept = [(variable, self._keep(read_value(variable).copy())) for variable in unique.values()]
        if self._file is not None:
            self._file.flush()

    @property
    def variables(self) -> list[Variable]:
        """The variables whose values are kept."""
        return [variable for variable, _ in self._kept]

    def restore(self) -> None:
        """Gives every variable its value back."""
        for variable, load in self._kept:
            variable.assign(load())

    def pairs(self, variables: Iterable[Variable]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yields the kept and the present value of those of `variables` that are kept, one pair after the other."""
        loads = {id(variable): load for variable, load in self._kept}
        yield from ((loads[id(item)](), read_value(item)) for item in variables if id(item) in loads)

    def close(self) -> None:
        """Forgets the values."""
        self._kept = []
        if self._file is not None:
            self._file.close()

    def _keep(self, array: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        shape, dtype = array.shape, array.dtype
        if array.dtype == object:  # texts
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
    """Whether all values have the same bits; `-0.0` and `0.0` differ here, and equal NaNs do not."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, array.itemsize)
    return bool((raw == raw[0]).all())
