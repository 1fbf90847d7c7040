"""Checks during a scan that the scanned optimizer updates the model and that all weights are finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import StepResult
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.optimizers import batches_seen, trains

if TYPE_CHECKING:
    from keras_lrscan.hosts.batch_loss import Meter
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.hosts.model_state import ModelState

__all__ = ["StepWatch"]

STEPS_TO_JUDGE = 2
"""Number of steps after which an optimizer that updates weights must have counted an update."""
CHECKS_PER_SCAN = 20
"""Number of checks of the weights in one scan; each reads all weights."""
MAX_NAMES = 3
"""Most weights that a note names."""


class StepWatch:
    """Checks model and optimizers after the steps of a scan.

    Args:
        host: The host and its model.
        state: The saved state of the model.
        meter: Meter that reads the return value of a step.
        num_steps: Number of steps of the scan.
    """

    def __init__(self, host: Host, state: ModelState, meter: Meter, num_steps: int) -> None:
        self._host, self._state, self._meter = host, state, meter
        self._every = max(1, num_steps // CHECKS_PER_SCAN)
        self._steps_in_all = 0
        self._steps = self._last_finite = 0
        self._counts = {path: batches_seen(item) for path, item in self._optimizers.items()}
        self._began_finite = self._expects_finite = not self._broken_weights(None)
        self.broken: tuple[str, ...] = ()
        """Names of weights that became NaN or infinite."""

    @property
    def finite_points(self) -> int:
        """Number of losses from the start that were computed with weights known to be finite."""
        return self._last_finite + 1

    @property
    def num_others(self) -> int:
        """Number of optimizers that made updates at rates of their own."""
        others = self._state.other_optimizers.items()
        return sum(trains(item) and batches_seen(item) != self._counts[path] for path, item in others)

    def restart(self, *, expects_finite: bool) -> None:
        """Starts over for another scan of the same model.

        Args:
            expects_finite: Whether non-finite weights end the scan.
        """
        self._steps = self._last_finite = 0
        self._expects_finite = self._began_finite and expects_finite
        self.broken = ()

    def after(self, result: StepResult) -> None:
        """Runs the checks that are due after one step.

        Raises:
            ScanError: If the step created variables that cannot be restored, or if another optimizer trains the model.
        """
        self._steps_in_all += 1
        self._steps += 1
        if self._steps_in_all == 1:
            self._state.check_first_step()
        if self._steps_in_all == STEPS_TO_JUDGE:
            self._check_optimizer(result)
        if self._expects_finite and self._steps % self._every == 0:
            self.broken = self._broken_weights(result)
            self._last_finite = self._last_finite if self.broken else self._steps

    @property
    def _optimizers(self) -> dict[str, Any]:
        return {"model.optimizer": self._host.optimizer, **self._state.other_optimizers}

    def _check_optimizer(self, result: StepResult) -> None:
        host, own = self._host, self._host.optimizer
        if not host.model.trainable_variables or hasattr(own, "inner_optimizer"):
            return  # a loss scale does not count updates with overflowing gradients
        if self._meter.batches_seen(result, own) != next(iter(self._counts.values())):
            return
        moved = [
            f"{path} ({type(item).__name__})"
            for path, item in self._state.other_optimizers.items()
            if batches_seen(item) != self._counts[path]
        ]
        name = type(own).__name__
        others = f"while {', '.join(moved)} did. " if moved else "although the model has trainable weights. "
        how = (
            f"Pass the optimizer to scan, `LRScan(optimizer={moved[0].partition(' ')[0]})`, one at a time."
            if moved
            else "If layers were unfrozen since `compile`, compile the model again. If another optimizer trains it, "
            "pass that one as `LRScan(optimizer=...)`, or use it in `compile`."
        )
        msg = (
            f"Expected the scanned optimizer to update the weights. Received: {name}, which made no update in "
            f"{STEPS_TO_JUDGE} steps, {others}{how}"
        )
        raise ScanError(msg)

    def _broken_weights(self, result: StepResult) -> tuple[str, ...]:
        model = self._host.model
        values = self._meter.weights(result)
        with np.errstate(invalid="ignore", over="ignore"):
            broken = [not np.isfinite(value.sum(dtype=np.float64)) for value in values]
        names = [str(getattr(item, "path", item.name)) for item in model.trainable_variables]
        return tuple(name for name, is_broken in zip(names, broken, strict=True) if is_broken)[:MAX_NAMES]
