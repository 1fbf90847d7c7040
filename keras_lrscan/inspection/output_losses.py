"""Reads the loss of each output at the start of a scan from the logs of its first batches, at no cost."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from keras_lrscan.inspection.first_batches import MAX_BATCHES, scalar
from keras_lrscan.inspection.targets import TOTAL_LOSS, logged_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keras_lrscan.curves.context import ScanContext
    from keras_lrscan.hosts.host import Host

__all__ = ["OutputLosses"]

MIN_SAMPLES = 64
"""Samples below which the mean of their losses scatters too much to be compared with a chance level."""

FIRST_RATES = 10.0
"""Multiple of the first learning rate up to which a batch belongs to the start."""


class OutputLosses:
    """Reads the losses of the outputs from the logs of the first batches of a `fit`.

    Keras logs the loss of each output as the mean over the epoch so far. So the logs of the last of the first batches
    have the mean over all of them. They end with the first epoch, and once other code has used the metrics.

    Args:
        host: The host and its model.
        monitor: Key of the loss in the logs; without the total loss, no output is read.
    """

    def __init__(self, host: Host, monitor: str) -> None:
        self._host = host
        self._is_open = monitor == TOTAL_LOSS and host.strategy is None
        self._batches = 0
        self._means: dict[str, float | None] = {}

    def close(self) -> None:
        """Ends the first batches."""
        self._is_open = False

    def read(self, context: ScanContext, logs: Mapping[str, Any], *, rate: float, batch: int) -> ScanContext:
        """Returns the context with the mean losses of the outputs, as far as they are known.

        Args:
            context: The facts that are known; the chance levels may come later than the losses.
            logs: The logs after a batch.
            rate: Learning rate of the batch.
            batch: Number of the batch in its epoch, from 1.
        """
        is_next = batch == self._batches + 1 and batch <= MAX_BATCHES
        self._is_open = self._is_open and is_next and rate <= FIRST_RATES * (context.start_lr or 0.0)
        if self._is_open:
            self._batches = batch
            self._means = {key: scalar(value) for key, value in logs.items() if key.endswith("_loss")}
        if not context.outputs or self._batches * (context.batch_size or 0) < MIN_SAMPLES:
            return context
        outputs = tuple(
            dataclasses.replace(output, start_loss=self._means.get(f"{output.name}_loss")) for output in context.outputs
        )
        if outputs == context.outputs or not logged_outputs(self._host):
            return context
        return dataclasses.replace(context, outputs=outputs)
