"""Collects the batches that `fit` would train on, from any kind of data, through the host's own `fit`."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import FitData, Nest, Value
from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.hosts.callbacks import Hooks, autologging_paused
from keras_lrscan.hosts.fit_call import running_fit, running_fits
from keras_lrscan.inspection.chance_level import chance_of
from keras_lrscan.inspection.data import source_facts
from keras_lrscan.inspection.describe import data_notes
from keras_lrscan.inspection.feeding import feeding_of
from keras_lrscan.inspection.targets import TOTAL_LOSS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keras_lrscan.hosts.host import Host

    Batch = tuple[Any, ...]

__all__ = ["DATA_OPTIONS", "BatchSource", "check_data"]

DATA_OPTIONS = ("batch_size", "class_weight", "sample_weight", "shuffle", "steps_per_epoch", "validation_split")
"""Arguments of `fit`, other than `x` and `y`, that determine the batches."""


class BatchSource:
    """Collects batches from `x` and `y` as `fit` would produce them, and keeps them in memory.

    Arrays, `Sequence` and `PyDataset` objects, `tf.data`, loaders and generators all pass through the host's own `fit`,
    with a training step that stores the batch instead of training. A replayed batch is therefore identical to one in a
    training: shuffled, augmented, with its class weights. Only as many batches are taken from a generator as are kept,
    and a note states that the generator has lost them.

    Args:
        host: The host and its model.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        fit_options: Arguments of `fit` among `DATA_OPTIONS`.
        monitor: Key of the loss in the logs.

    Raises:
        InvalidOptionError: If an option is not in `DATA_OPTIONS`.
    """

    def __init__(
        self, host: Host, x: FitData, y: FitData, fit_options: dict[str, Any], monitor: str = TOTAL_LOSS
    ) -> None:
        unknown = sorted(set(fit_options) - set(DATA_OPTIONS))
        if unknown:
            msg = (
                f"Expected only arguments of `fit` that determine its batches: {', '.join(DATA_OPTIONS)}. "
                f"Received: {', '.join(unknown)}. Remove them: the number of batches is chosen automatically, and "
                "callbacks and validation are not used here."
            )
            raise InvalidOptionError(msg)
        check_data(x)
        self.host, self.monitor = host, monitor
        self.known: dict[str, Any] = {}
        """Facts about the run from the first `fit`, for the context of a curve."""
        self.notes: tuple[str, ...] = ()
        """Notes on data that cannot be restored and on facts that could not be determined."""
        self._num_parts: int | None = None
        self._data, self._options = (x, y), dict(fit_options)
        self._is_stream = hasattr(x, "__next__")

    def take(self, number: int, *, skip: int = 0, is_over: Callable[[], bool] = lambda: False) -> list[Batch]:
        """Returns the next batches, each as inputs, targets and sample weights, of which the last two may be `None`.

        Data that can be iterated again starts from its beginning, and repeats if it has too few batches.

        Args:
            number: Number of batches.
            skip: Number of batches to skip before them. Ignored for a generator, which continues at its position.
            is_over: Function that is called after every batch, and stops the collection when it returns true.

        Returns:
            The batches. There are fewer if a generator or `is_over` ends early, and none if a data set is empty.
        """
        x, y = self._data
        if self._is_stream:
            given = list(itertools.islice(x, 1))
            if not given:
                return []
            x = (batch for batch in itertools.chain(given, itertools.islice(x, number - 1)))
        collector = _Collector(self, number, 0 if self._is_stream else skip, is_over)
        options = {**self._options, "epochs": 1 if self._is_stream else max(1, number + skip)}
        if self._is_stream:
            options.setdefault("shuffle", False)
            options.pop("steps_per_epoch", None)  # all batches belong to one epoch
        if options.get("validation_split"):
            options["validation_freq"] = options["epochs"] + 1
        with collector.restoring_model(), autologging_paused(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Your input ran out of data")  # expected, and checked by the caller
            self.host.model.fit(x, y, verbose=0, callbacks=[collector], **options)
        return collector.batches

    def as_given(self, batch: Batch) -> Nest:
        """Returns a batch in the form in which `fit` gives it to `train_step`, which may unpack just two values."""
        return batch[0] if self._num_parts is None else batch[: self._num_parts]

    def note_form(self, batch: Nest) -> None:
        """Notes whether `fit` gives inputs alone, or one to three parts."""
        self._num_parts = len(batch) if isinstance(batch, tuple | list) else None


def check_data(x: FitData) -> None:
    """Checks that there are input data.

    Raises:
        InvalidOptionError: If there are none.
    """
    if x is None:
        msg = "Argument `x` must be input data, as for `fit`. Received: x=None. Pass the data after the model."
        raise InvalidOptionError(msg)


class _Collector(Hooks):
    """Replaces the training step of one `fit` by a function that stores batches."""

    def __init__(self, source: BatchSource, number: int, skip: int, is_over: Callable[[], bool]) -> None:
        self.batches: list[Batch] = []
        self._source, self._host = source, source.host
        self._wanted, self._skip, self._is_over = number, skip, is_over

    @contextlib.contextmanager
    def restoring_model(self) -> Iterator[None]:
        """Restores everything in the model that `fit` and the hooks change."""
        model = self._host.model
        functions = self._host.train_functions()
        model.get_metrics_result = dict  # overrides the method on the instance, because there are no results
        try:
            yield
        finally:
            del model.get_metrics_result
            if hasattr(model, "jax_state_sync"):
                model.jax_state_sync()
            for name, value in functions.items():
                setattr(model, name, value)
            model.stop_training = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Replaces the training step."""
        self._host.model.train_function = self._take

    def _take(self, *args: Any) -> Nest:
        """Stores the batches for one call of the train function, and returns logs without training."""
        host, data = self._host, args[-1]
        if not host.is_built:
            host.build(data)
        if not self._source.known:
            self._read_fit_call()
        batches = data if isinstance(data, list) else list(itertools.islice(data, host.batches_per_execution))
        if not batches:
            raise StopIteration  # signals the end of the epoch to the host
        self._source.note_form(batches[0])
        for batch in batches:
            if self._skip:
                self._skip -= 1
            elif len(self.batches) < self._wanted:
                self.batches.append(self._parts(batch))
        if len(self.batches) >= self._wanted or self._is_over():
            host.model.stop_training = True
        logs = {"loss": 0.0}
        return (logs, args[0]) if host.backend == "jax" else logs

    def _read_fit_call(self) -> None:
        """Records the facts that are available only during the running `fit`."""
        source, model = self._source, self._host.model
        call = running_fit(model)
        chance = chance_of(self._host, call, source.monitor)
        source.known = {
            **chance.facts,
            **{name: value for name, value in source_facts(call).items() if value is not None},
            "feeding": feeding_of(running_fits(model)),
            "steps_per_epoch": getattr(self, "params", {}).get("steps"),
        }
        source.notes = (*data_notes(call.x), *chance.notes)

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Receives the parameters of `fit`, such as the number of steps in an epoch."""
        self.params = dict(params or {})

    def _parts(self, batch: Nest) -> Batch:
        """Returns inputs, targets and weights; TensorFlow wraps missing ones in an optional."""
        x, y, weights = self._host.library.utils.unpack_x_y_sample_weight(batch)
        return x, _value_or_none(y), _value_or_none(weights)


def _value_or_none(value: Value) -> Value:
    if not hasattr(value, "has_value"):
        return value
    return value.get_value() if value.has_value() else None
