"""Keeps the whole state of a model that a training step can change, and puts it back.

What can be kept is known before the first step, or after it at the latest: a variable that the first step makes has
values that nobody has seen before.
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
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.snapshot import Place

__all__ = ["ModelState"]

NAMES_SHOWN = 3
"""Variables that an error names, at most."""


class ModelState:
    """The values that a model, its optimizers and all that it reaches have now.

    Args:
        host: The host and its model.
        train_function: The compiled step, which may use variables that the model does not reach.
        place: Where the values are kept.
    """

    def __init__(self, host: Host, train_function: HostFunction, *, place: Place) -> None:
        model = host.model
        self.host = host
        """The host and its model."""
        reached = self._reached = reachable_from(model)
        self.other_optimizers = {
            path: item for path, item in reached.optimizers.items() if item not in (host.optimizer, model.optimizer)
        }
        """Optimizers besides the one whose rate the scan sets, by path."""
        if not self.other_optimizers and is_built_alike(host.optimizer):
            host.build_optimizer()
            reached = self._reached = reachable_from(model)  # some optimizers keep their slots in lists
        optimizers = [host.optimizer, model.optimizer, *self.other_optimizers.values()]
        listed = [*model.variables, *(variable for item in optimizers for variable in optimizer_variables(item))]
        if host.strategy is None:
            listed += [*reached.variables.values(), *host.buffers()]
            listed += host.other_variables(train_function, listed)
        self.snapshot = Snapshot({self._key(item): item for item in reversed(listed)}.values(), place=place)
        unbuilt = [item for item in _each_once(optimizers) if not is_built(item)]
        for item in unbuilt:
            _check_copy(item)
        self._builds = [_Build(item) for item in unbuilt]
        self.owners = reached.owners
        """Objects of the user's that the model reaches, by path."""
        self.restore_numbers = keep_numbers(reached.owners)
        """Puts the counters of Python back."""

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on the optimizers whose rate the scan does not set."""
        if not self.other_optimizers:
            return ()
        others = ", ".join(f"{path} ({type(item).__name__})" for path, item in self.other_optimizers.items())
        return (f"The scan set the rate of {type(self.host.optimizer).__name__}; others kept theirs: {others}.",)

    def check_first_step(self) -> None:
        """Makes sure, after the first step, that everything it made can be put back.

        Raises:
            ScanError: If the first step made a variable whose first value is not known.
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
            shown = ", ".join(list(made)[:NAMES_SHOWN]) + (", ..." if len(made) > NAMES_SHOWN else "")
            msg = (
                "Expected a model whose variables exist before its first step, so that they can be put back. Received: "
                f"{len(made)} made in the first step: {shown}. Call the model, or each of its parts, on one batch "
                "before the scan."
            )
            raise ScanError(msg)

    def _key(self, variable: Variable) -> int:
        """Returns what tells variables apart; Keras's own and the one of TensorFlow inside of it are the same."""
        if self.host.backend != "tensorflow" or callable(variable.value):
            return id(variable)
        return id(variable.value)

    def restore(self) -> None:
        """Puts all values back, and those of optimizers and metrics that the scan was the first to build."""
        for metric in self._reached.metrics.values():
            metric.reset_state()
        self.snapshot.restore()
        self.renew()

    def renew(self) -> None:
        """Gives optimizers that were built meanwhile the state that they had just after that."""
        for build in self._builds:
            build.renew(self.host)

    def close(self) -> None:
        """Forgets the values."""
        for build in self._builds:
            build.forget()
        self.snapshot.close()


class _Build:
    """Watches for the weights that an optimizer is built for, so that it can be as new again.

    Args:
        optimizer: An optimizer that is not built.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._built_for: list[Any] | None = None
        self._is_watching = True
        build = optimizer.build

        def watched(variables: Variable, *args: Any, **kwargs: Any) -> Value:
            self._built_for = list(variables)
            return build(variables, *args, **kwargs)

        optimizer.build = watched

    def renew(self, host: Host) -> None:
        """Gives an optimizer that was built the state that it had just after that."""
        if self._built_for is None:
            return
        values = initial_state(self._optimizer, self._built_for, host.build_in_step)
        for variable, value in zip(optimizer_state(self._optimizer), values, strict=True):
            variable.assign(value)

    def forget(self) -> None:
        """Ends the watch."""
        if self._is_watching:
            self._is_watching = False
            del self._optimizer.build


def _check_copy(optimizer: Optimizer) -> None:
    """Makes sure that an optimizer can be as new again after the scan.

    Raises:
        ScanError: If it cannot be made again from its config.
    """
    try:
        copy_of(optimizer)
    except (TypeError, ValueError, AttributeError, KeyError, NotImplementedError) as error:
        msg = (
            "Expected an optimizer that is built, or that can be made again from its config. Received: "
            f"optimizer={type(optimizer).__name__}: {error}. Call its `build` with the weights that it updates first."
        )
        raise ScanError(msg) from error


def _each_once(items: list[Any]) -> list[Any]:
    """Returns items without repetitions."""
    return list({id(item): item for item in items}.values())
