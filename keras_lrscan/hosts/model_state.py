"""Saves and restores all state of a model that a training step can change.

Variables must exist before the first step. A variable that the first step creates has no earlier value to restore, so
the scan is refused after that step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import HostFunction, Optimizer, Value, Variable
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.optimizers import (
    copy_of,
    initial_state,
    is_built,
    is_built_alike,
    optimizer_state,
    optimizer_variables,
)
from keras_lrscan.hosts.reachable import keep_numbers, reachable_from
from keras_lrscan.hosts.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.snapshot import Place

__all__ = ["ModelState"]

MAX_NAMES = 3
"""Most variables that an error message names."""


class ModelState:
    """Saves the current values of a model, its optimizers, and all other state reachable from it.

    Args:
        host: The host and its model.
        train_function: The compiled step, which may use variables that are not reachable from the model.
        place: Where to store the values, `"memory"` or `"disk"`.
    """

    def __init__(self, host: Host, train_function: HostFunction, *, place: Place) -> None:
        model = host.model
        self.host = host
        """The host and its model."""
        reached = self._reached = reachable_from(model)
        self.other_optimizers = {
            path: item for path, item in reached.optimizers.items() if item not in (host.optimizer, model.optimizer)
        }
        """Optimizers other than the scanned one, by path."""
        if not self.other_optimizers and is_built_alike(host.optimizer):
            host.build_optimizer()
            reached = self._reached = reachable_from(model)  # some optimizers store their slots in lists
        optimizers = [host.optimizer, model.optimizer, *self.other_optimizers.values()]
        listed = [*model.variables, *(variable for item in optimizers for variable in optimizer_variables(item))]
        if host.strategy is None:
            listed += [*reached.variables.values(), *host.buffers()]
            listed += host.other_variables(train_function, listed)
        self.snapshot = Snapshot({self._key(item): item for item in reversed(listed)}.values(), place=place)
        unbuilt = [item for item in _each_once(optimizers) if not is_built(item)]
        for item in unbuilt:
            _check_copy(item)
        self._builds = [_BuildWatch(item) for item in unbuilt]
        self.owners = reached.owners
        """Custom objects reachable from the model, by path."""
        self.restore_numbers = keep_numbers(reached.owners)
        """Function that restores the counters in Python."""

    @property
    def optimizer_path(self) -> str | None:
        """Path of the scanned optimizer; `None` for the one that the model was compiled with."""
        if self.host.optimizer is self.host.model.optimizer:
            return None
        return next((path for path, item in self._reached.optimizers.items() if item is self.host.optimizer), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence on optimizers that the scan does not control, if there are any."""
        if not self.other_optimizers:
            return ()
        others = ", ".join(f"{path} ({type(item).__name__})" for path, item in self.other_optimizers.items())
        name = type(self.host.optimizer).__name__
        return (f"The scan set the learning rate of {name}. Other optimizers kept their learning rate: {others}.",)

    def check_first_step(self) -> None:
        """Checks after the first step that all state can be restored.

        Raises:
            ScanError: If the first step created a variable, because its earlier value is unknown.
        """
        host = self.host
        if host.strategy is not None:
            return
        reached = reachable_from(host.model)
        self._reached = reached
        known = {self._key(variable) for variable in self.snapshot.variables}
        known |= {self._key(variable) for item in reached.optimizers.values() for variable in optimizer_variables(item)}
        known |= {self._key(variable) for metric in reached.metrics.values() for variable in metric.variables}
        made = {path: item for path, item in reached.variables.items() if self._key(item) not in known}
        listed = {str(getattr(item, "path", item.name)): item for item in host.model.variables}
        made |= {path: item for path, item in listed.items() if self._key(item) not in known}
        if made:
            shown = ", ".join(list(made)[:MAX_NAMES]) + (", ..." if len(made) > MAX_NAMES else "")
            msg = (
                "Expected a model with variables that exist before its first step, so that they can be restored. "
                f"Received: {len(made)} created in the first step: {shown}. Call the model, or each of its parts, on "
                "one batch before the scan."
            )
            raise ScanError(msg)

    def _key(self, variable: Variable) -> int:
        """Returns an identifier that is the same for a Keras variable and the TensorFlow variable inside it."""
        if self.host.backend != "tensorflow" or callable(variable.value):
            return id(variable)
        return id(variable.value)

    def restore(self) -> None:
        """Restores all values, and resets optimizers and metrics that were first built during the scan."""
        for metric in self._reached.metrics.values():
            metric.reset_state()
        self.snapshot.restore()
        self.renew()

    def renew(self) -> None:
        """Resets optimizers that were built in the meantime to their state just after being built."""
        for build in self._builds:
            build.renew(self.host)

    def close(self) -> None:
        """Discards the saved values."""
        for build in self._builds:
            build.forget()
        self.snapshot.close()


class _BuildWatch:
    """Records the weights that an optimizer is built for, so that its initial state can be restored.

    Args:
        optimizer: An optimizer that is not built.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._built_for: list[Any] | None = None
        self._is_watching = True
        build = optimizer.build

        def watched(variables: Iterable[Any], *args: Any, **kwargs: Any) -> Value:
            self._built_for = list(variables)
            return build(variables, *args, **kwargs)

        optimizer.build = watched

    def renew(self, host: Host) -> None:
        """Resets the optimizer to its state just after being built, if it was built."""
        if self._built_for is None:
            return
        values = initial_state(self._optimizer, self._built_for, host.build_in_step)
        for variable, value in zip(optimizer_state(self._optimizer), values, strict=True):
            variable.assign(value)

    def forget(self) -> None:
        """Stops recording."""
        if self._is_watching:
            self._is_watching = False
            del self._optimizer.build


def _check_copy(optimizer: Optimizer) -> None:
    """Checks that the initial state of an optimizer can be restored after the scan.

    Raises:
        ScanError: If the optimizer cannot be recreated from its config.
    """
    try:
        copy_of(optimizer)
    except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError) as error:
        msg = (
            "Expected an optimizer that is built or can be recreated from its config. Received: "
            f"optimizer={type(optimizer).__name__}: {error}. Call its `build` with the weights that it updates first."
        )
        raise ScanError(msg) from error


def _each_once(items: list[Any]) -> list[Any]:
    """Returns the items without repetitions."""
    return list({id(item): item for item in items}.values())
