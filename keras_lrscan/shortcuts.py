"""`Shortcut`: the train function of a TensorFlow host, without the search for the traced graph at every call."""

from __future__ import annotations

import sys
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Shortcut"]


class Shortcut:
    """Calls `train_function`, from the second batch of an iterator on by way of the graph that was traced for it.

    A `tf.function` compares its arguments with all that it has been traced for, at every call; the graph itself, the
    same computation, is quicker by a fifth of a millisecond. On a tiny model that is more than a scan costs besides.
    Nothing is traced for it, and where there is no such graph, `train_function` is called as it is.

    Args:
        train_function: What the host made: a `tf.function`, or a function around one.
    """

    def __init__(self, train_function: Callable[..., Any]) -> None:
        self._train_function = train_function
        self._direct = train_function
        self._iterator: Any = None
        self._spec: Any = None

    def __call__(self, iterator: Any) -> Any:  # noqa: ANN401 - what the hosts pass and return
        """Does one step."""
        if iterator is self._iterator:
            return self._direct(iterator)
        result = self._train_function(iterator)
        spec = getattr(iterator, "element_spec", None)
        if spec is None or sys.modules["tensorflow"].config.functions_run_eagerly():
            self._direct = self._train_function
        elif spec != self._spec:
            self._direct = _to_graph(self._train_function, iterator)
        self._iterator, self._spec = iterator, spec
        return result


def _to_graph(function: Any, iterator: Any) -> Any:  # noqa: ANN401
    """Returns `function` with the `tf.function` in it, or that it is, exchanged for the graph for `iterator`."""
    if hasattr(function, "get_concrete_function"):
        return function.get_concrete_function(iterator)
    cells = getattr(function, "__closure__", None) or ()
    if not any(hasattr(cell.cell_contents, "get_concrete_function") for cell in cells):
        return function
    direct = tuple(
        CellType(cell.cell_contents.get_concrete_function(iterator))
        if hasattr(cell.cell_contents, "get_concrete_function")
        else cell
        for cell in cells
    )
    return FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, direct)
