"""Prepares a scan of a ktrain learner: its training data, the plan of the scan, its callbacks and its context."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import FitData, Learner, Model, Value
from keras_lrscan.curves.context import KTRAIN, ScanContext
from keras_lrscan.errors import InvalidCurveError, InvalidOptionError, ScanError
from keras_lrscan.hosts.callbacks import Hooks
from keras_lrscan.hosts.fit_call import FitCall
from keras_lrscan.hosts.host import Host
from keras_lrscan.hosts.optimizers import RateControl
from keras_lrscan.inspection.chance_level import chance_of
from keras_lrscan.inspection.describe import data_notes, describe
from keras_lrscan.integrations.ktrain.finder import ScanFinder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from keras_lrscan.scan import LRScan

__all__ = [
    "LearnerData",
    "StopFactor",
    "batch_size_of",
    "check_learner",
    "context_after_ktrain",
    "not_scanned",
    "planned",
    "progress",
    "under_ktrain",
    "with_chance",
]

INFINITE = -1
"""Cardinality of a `tf.data` data set that repeats forever."""

NUM_STEPS = 100
"""Minimum batches of a scan without `lr_mult`. The margins of the suggestions were calibrated on this number."""

NUM_SAMPLES = 3200
"""Samples in a scan without `lr_mult`: 100 batches of 32. Smaller batches are noisier, so it takes more of them."""

MAX_STEPS = 370
"""Maximum batches of a scan without `lr_mult`: a fifth of what ktrain's own scan may take."""

END_LR = 10.0
"""Last learning rate of ktrain's scans."""

KTRAIN_MULT = 1.01
"""ktrain's default factor from one rate to the next."""

POSITION_ATTRIBUTES = ("indices", "index_array", "batch_index", "total_batches_seen")
"""Attributes in which ktrain's data sets and Keras's image iterators keep their position."""

POSITIONED_LIBRARIES = ("ktrain.", "tf_keras.", "keras.")
"""Prefixes of modules whose data sets keep their position in these attributes only."""

SECONDS_PER_FRAME = 0.2
"""Minimum time between two updates of the progress bar."""


def planned(start_lr: float, lr_mult: float | None, batch_size: int) -> tuple[int, float]:
    """Returns the number of batches of a scan, and its last learning rate.

    Raises:
        InvalidOptionError: If `lr_mult` is not above 1.
    """
    end_lr = END_LR if start_lr < END_LR else start_lr * END_LR
    if lr_mult is None or not start_lr > 0:  # the scan itself rejects such a rate
        return min(max(NUM_STEPS, -(-NUM_SAMPLES // batch_size)), MAX_STEPS), end_lr
    if not lr_mult > 1:
        msg = f"Argument `lr_mult` must be above 1. Received: lr_mult={lr_mult!r}. ktrain's tutorials use 1.01 to 1.05."
        raise InvalidOptionError(msg)
    return 1 + math.ceil(math.log(end_lr / start_lr) / math.log(lr_mult)), end_lr


@dataclass(frozen=True, kw_only=True)
class LearnerData:
    """A learner's training data, in the form that `fit` takes.

    Attributes:
        x: First argument of `fit`.
        y: Second argument of `fit`.
        options: Further arguments of `fit`.
        labels: All labels as one array; `None` if they are not an array.
        epoch_size: Number of samples divided by the batch size.
        put_back: A function that restores the order and the counters of the data set.
        is_put_back: Whether `put_back` restores the data set completely.
    """

    x: Any
    y: Any
    options: Mapping[str, Any]
    labels: Any
    epoch_size: float
    put_back: Callable[[], None]
    is_put_back: bool

    @property
    def num_batches(self) -> int:
        """Batches in an epoch, including a smaller last one."""
        return max(1, math.ceil(self.epoch_size))

    @property
    def wrong_notes(self) -> tuple[str, ...]:
        """Notes that a scan adds for such data, but that are wrong because `put_back` restores the data."""
        return data_notes(self.x) if self.is_put_back else ()

    @classmethod
    def of(cls, learner: Learner) -> LearnerData:
        """Returns the training data of a learner.

        Raises:
            ScanError: If it has none.
        """
        utils, data = sys.modules["ktrain.utils"], learner.train_data
        if data is None:
            msg = "Expected a learner with training data. Received: learner.train_data=None. Pass it to `get_learner`."
            raise ScanError(msg)
        size = utils.nsamples_from_data(data) / batch_size_of(learner)
        prepared = learner._prepare(data)  # noqa: SLF001 - the first step of ktrain's own `fit`
        is_pair = not utils.is_iter(data)
        options: dict[str, Any] = {"batch_size": learner.batch_size}
        if not is_pair:
            options = {"workers": learner.workers, "use_multiprocessing": learner.use_multiprocessing}
        if hasattr(prepared, "cardinality") and int(prepared.cardinality()) == INFINITE:
            options["steps_per_epoch"] = max(1, math.ceil(size))
        labels = utils.y_from_data(data)
        return cls(
            x=prepared[0] if is_pair else prepared,
            y=prepared[1] if is_pair else None,
            options=options,
            labels=labels if isinstance(labels, np.ndarray) else None,
            epoch_size=size,
            put_back=_save_position(data),
            is_put_back=type(data).__module__.startswith(POSITIONED_LIBRARIES) and type(data).__name__ != "TFDataset",
        )


def batch_size_of(learner: Learner) -> int:
    """Returns the batch size of the learner's training data."""
    return int(getattr(learner.train_data, "batch_size", None) or learner.batch_size)


def _save_position(data: FitData) -> Callable[[], None]:
    """Saves the order of the samples and the counters of a data set. Returns a function that restores them."""
    values = getattr(data, "__dict__", {})
    kept = {name: copy.copy(values[name]) for name in POSITION_ATTRIBUTES if name in values}
    return lambda: values.update(kept)


class _BatchHooks(Hooks):
    """A callback that Keras calls on every batch."""

    def __init__(self, scan: LRScan) -> None:
        self.scan = scan

    def _implements_train_batch_hooks(self) -> bool:
        return True


class StopFactor(_BatchHooks):
    """Stops a scan by ktrain's rule, applied to batch losses. Does nothing if `factor` is `None`.

    ktrain's moving average (0.98) covers a fifth of a decade of its default ramp, which multiplies the learning rate by
    1.01 on each batch. The average here covers the same share of a decade on every ramp.

    Args:
        scan: The scan.
        factor: The scan stops when the average exceeds this multiple of its lowest value.
        lr_mult: Factor from one learning rate of the scan to the next.

    Raises:
        InvalidOptionError: If `factor` is not above 1.
    """

    def __init__(self, scan: LRScan, factor: float | None, lr_mult: float) -> None:
        super().__init__(scan)
        if factor is not None and not factor > 1:
            msg = f"Argument `stop_factor` must be above 1. Received: stop_factor={factor!r}."
            raise InvalidOptionError(msg)
        self.fired = False
        self._factor = factor
        self._beta = ScanFinder.beta ** (math.log(lr_mult) / math.log(KTRAIN_MULT))
        self._average, self._best, self._count = 0.0, math.inf, 0
        self._model: Any = None

    def set_model(self, model: Model) -> None:
        """Stores the model."""
        self._model = model

    def on_train_batch_end(self, batch: int, logs: Value = None) -> None:
        """Stops the scan if the average is too high."""
        if self._factor is None:
            return
        self._count += 1
        self._average = self._beta * self._average + (1 - self._beta) * float(self.scan.curve.loss[-1])
        smooth = self._average / (1 - self._beta**self._count)
        if smooth > self._factor * self._best:
            self.fired = self._model.stop_training = True
        self._best = min(self._best, smooth)


class _Bar(_BatchHooks):
    """Draws one progress bar for the whole scan. `fit` would draw one per epoch."""

    def __init__(self, scan: LRScan, bar: Value) -> None:
        super().__init__(scan)
        self._bar = bar
        self._next = 0.0

    def on_train_batch_end(self, batch: int, logs: Value = None) -> None:
        """Draws the bar, at most every `SECONDS_PER_FRAME`."""
        if self._bar is not None and time.monotonic() >= self._next:
            self.draw()
            self._next = time.monotonic() + SECONDS_PER_FRAME

    def draw(self, *, last: bool = False) -> None:
        """Draws the bar with the latest learning rate and loss."""
        if self._bar is None:
            return
        with contextlib.suppress(ScanError):  # no batch is recorded yet
            curve = self.scan.curve
            shown = [("learning_rate", float(curve.lr[-1])), ("loss", float(curve.loss[-1]))]
            self._bar.update(len(curve), values=shown, finalize=last)


@contextlib.contextmanager
def progress(model: Model, scan: LRScan, num_steps: int, verbose: int) -> Iterator[_Bar]:
    """Yields a callback that draws a progress bar, or nothing if `verbose` is 0."""
    make = Host(model).library.utils.Progbar
    names = ["learning_rate", "loss"]
    bar = _Bar(scan, make(num_steps, stateful_metrics=names, unit_name="batch") if verbose else None)
    try:
        yield bar
    finally:
        bar.draw(last=True)


def with_chance(context: ScanContext, host: Host, data: LearnerData, class_weight: FitData) -> ScanContext:
    """Adds the chance level, computed from all labels of the learner's data, if they are an array."""
    if data.labels is None:
        return context
    chance = chance_of(host, FitCall(y=data.labels, class_weight=class_weight))
    notes = tuple(dict.fromkeys((*context.notes, *chance.notes)))
    return dataclasses.replace(context, **chance.facts, notes=notes)


def context_after_ktrain(learner: Learner, data: LearnerData) -> ScanContext:
    """Returns the context of a scan by ktrain, without the optimizer's state before it, which ktrain does not keep."""
    host = Host(learner.model)
    host.build_optimizer()
    control = RateControl(learner.model.optimizer, host.make_rate_variable)
    planned = ScanContext(batch_size=batch_size_of(learner), steps_per_epoch=data.num_batches)
    known = describe(host, control, planned)
    control.restore()
    known = dataclasses.replace(under_ktrain(known), optimizer_lr=None, optimizer_iterations=None)
    return with_chance(known, host, data, None)


def under_ktrain(context: ScanContext) -> ScanContext:
    """Adds to the framework that a learner of ktrain trains the model, so that advice names its own methods."""
    return dataclasses.replace(context, framework=f"{context.framework}, {KTRAIN}")


def not_scanned(learner: object) -> InvalidCurveError:
    """Returns the error for functions that need a scan, with ktrain's wording."""
    msg = f"Please call lr_find first. Received: learner={learner!r:.80}, which has no scan yet."
    return InvalidCurveError(msg)


def check_learner(learner: object) -> None:
    """Checks that `learner` is a learner of ktrain.

    Raises:
        InvalidOptionError: If it is not.
    """
    if not all(hasattr(learner, name) for name in ("lr_finder", "model", "train_data", "batch_size")):
        msg = f"Argument `learner` must be a learner of ktrain. Received: learner={learner!r:.80}."
        raise InvalidOptionError(msg)
