"""Pairs each batch loss with its learning rate, and ends the scan; independent of models and hosts."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve, StopReason
from keras_lrscan.errors import LRScanWarning
from keras_lrscan.formatting import LARGEST
from keras_lrscan.recording.divergence_watch import DivergenceWatch

if TYPE_CHECKING:
    from keras_lrscan.recording.ramp import Ramp

__all__ = ["FEW_STEPS", "Recorder", "warn_of_few_steps"]

FEW_STEPS = 30
"""A curve with fewer points is hard to read."""


class Recorder:
    """Collects the points of one scan.

    The loss of batch `t` is measured before the update of batch `t`, so it shows the effect of the previous update.
    Point `t` of the curve is `(ramp(t), loss of batch t)` and the update of batch `t` uses the rate `ramp(t + 1)`.
    Each loss is therefore recorded at the rate of the update that led to it. If the optimizer accumulates the gradients
    of several batches for one update, a point is the mean of their losses.

    Args:
        ramp: The learning rates.
        batches_per_update: Number of batches that the optimizer accumulates for one update.
        batches_accumulated: Number of batches that it has already accumulated.
        stop_on_divergence: Whether to end when the loss diverges. A non-finite loss always ends the scan.
        has_outliers: Whether a few samples have far larger losses than the rest.

    Example:
    >>> from keras_lrscan.recording.ramp import ExponentialRamp
    >>> recorder = Recorder(ExponentialRamp(1e-3, 1e-1, 3))
    >>> for loss in [2.3, 1.1, 0.7]:
    ...     rate = recorder.rate
    ...     recorder.add(loss)
    >>> recorder.curve().lr.round(6).tolist(), str(recorder.stop)
    ([0.001, 0.01, 0.1], 'end-lr')
    """

    def __init__(
        self,
        ramp: Ramp,
        *,
        batches_per_update: int = 1,
        batches_accumulated: int = 0,
        stop_on_divergence: bool = True,
        has_outliers: bool = False,
    ) -> None:
        self.ramp = ramp
        self.stop: StopReason | None = None
        self._batches_per_update = batches_per_update
        self._accumulated = batches_accumulated
        self._group: list[float] = []
        self._losses: list[float] = []
        self._watch = DivergenceWatch(ramp.num_steps, has_outliers=has_outliers)
        self._stop_on_divergence = stop_on_divergence

    @property
    def rate(self) -> float:
        """Learning rate for the update with the next batch."""
        return self.ramp(len(self._losses) + 1)

    @property
    def num_points(self) -> int:
        """Number of recorded points."""
        return len(self._losses)

    @property
    def losses(self) -> tuple[float, ...]:
        """Recorded losses, one per point."""
        return tuple(self._losses)

    def add(self, loss: float) -> None:
        """Records the loss of one batch, and sets `stop` if it is the last one."""
        if self.stop is not None:
            return
        self._group.append(loss)
        self._accumulated += 1
        if not math.isfinite(loss):
            self._losses.append(loss)
            self.stop = StopReason.NON_FINITE
            return
        if self._accumulated < self._batches_per_update:
            return
        self._add_point(math.fsum(self._group) / len(self._group))
        self._group.clear()
        self._accumulated = 0

    def cut(self, num_points: int, reason: StopReason) -> None:
        """Ends the scan and keeps only its first `num_points` points."""
        del self._losses[num_points:]
        self.stop = reason

    def end(self, reason: StopReason) -> None:
        """Sets the reason for the end of the scan, unless it is already set."""
        if self.stop is None:
            self.stop = reason

    def curve(self, context: ScanContext | None = None) -> LRCurve:
        """Returns the recorded curve.

        A scan without a reason for its end counts as interrupted, and a loss beyond 1e100 as infinite.

        Raises:
            CurveTooShortError: If there is no point yet.
        """
        rates = [self.ramp(step) for step in range(len(self._losses))]
        losses = [math.copysign(math.inf, loss) if abs(loss) > LARGEST else loss for loss in self._losses]
        stop = self.stop or StopReason.INTERRUPTED
        return LRCurve(lr=rates, loss=losses, stop=stop, context=context or ScanContext())

    def _add_point(self, loss: float) -> None:
        self._losses.append(loss)
        self._watch.add(loss)
        if len(self._losses) >= self.ramp.num_steps:
            self.stop = StopReason.END_LR
        elif self._stop_on_divergence and self._watch.diverged:
            self.stop = StopReason.DIVERGED


def warn_of_few_steps(steps: int, wanted: int, steps_per_epoch: float) -> None:
    """Warns that a `fit` has too few updates for a scan, and suggests a number of epochs."""
    msg = (
        f"Expected at least {FEW_STEPS} steps, so that the curve can be read. Received: {steps} updates in all epochs "
        f"of this fit. Pass `epochs={math.ceil(wanted / steps_per_epoch)}`, or smaller batches, for a scan of "
        f"{wanted} steps; the scan stops `fit` after the last one."
    )
    warnings.warn(msg, LRScanWarning, stacklevel=2)
