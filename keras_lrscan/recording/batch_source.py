"""`BatchSource`: the batches that `fit` would train on, taken out of any data by the host's own `fit`."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import FitData, Nest, Value
from keras_lrscan.errors import InvalidOptionError
from keras_lrscan.hosts.callbacks import Hooks, autologging_paused
from keras_lrscan.hosts.fit_call import running_fit, running_fits
from keras_lrscan.inspection.describe import data_notes
from keras_lrscan.inspection.feeding import feeding_of
from keras_lrscan.inspection.guessing_loss import chance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keras_lrscan.hosts.host import Host

    Batch = tuple[Any, ...]

__all__ = ["DATA_OPTIONS", "BatchSource"]

DATA_OPTIONS = ("batch_size", "class_weight", "sample_weight", "shuffle", "steps_per_epoch", "validation_split")
"""Arguments of `fit`, besides `x` and `y`, that say which batches it trains on."""


class BatchSource:
    """Takes batches out of `x` and `y`, as `fit` would make them, and keeps them in memory.

    Arrays, `Sequence`s and `PyDataset`s, `tf.data`, loaders and generators all go through the host's own `fit`, with a
    function in the place of the training step that keeps the batch and trains on nothing. So a replayed batch is what
    a training would have seen: shuffled, augmented, with its class weights. From a generator no more is taken than is
    kept; that is gone from it, and a note says so.

    Args:
        host: The host and its model.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        fit_options: Arguments of `fit` among `DATA_OPTIONS`.

    Raises:
        InvalidOptionError: If an option is none of `DATA_OPTIONS`.
    """

    def __init__(self, host: Host, x: FitData, y: FitData, fit_options: dict[str, Any]) -> None:
        unknown = sorted(set(fit_options) - set(DATA_OPTIONS))
        if unknown:
            msg = (
                f"Expected only arguments of `fit` that say which batches it trains on: {', '.join(DATA_OPTIONS)}. "
                f"Received: {', '.join(unknown)}. Leave them out: as many batches are taken as are needed, and "
                "callbacks and validation are for a training."
            )
            raise InvalidOptionError(msg)
        self.host = host
        self.known: dict[str, Any] = {}
        """What the first `fit` told about the run, for the context of a curve."""
        self.notes: tuple[str, ...] = ()
        """Sentences on what of the data cannot be put back, and what could not be told."""
        self._data, self._options = (x, y), dict(fit_options)
        self._is_stream = hasattr(x, "__next__")

    def take(self, number: int, *, skip: int = 0, is_over: Callable[[], bool] = lambda: False) -> list[Batch]:
        """Returns the next batches, each as inputs, targets and sample weights; the last two may be `None`.

        Data that can be gone through again starts from its beginning, and over again where it is shorter than that.

        Args:
            number: How many batches.
            skip: Batches to leave out before them; of a generator, which goes on where it was, none are left out.
            is_over: Asked after every batch; where it turns true, there are fewer.

        Returns:
            The batches; fewer where a generator has no more, or where a data set holds none.
        """
        x, y = self._data
        if self._is_stream:
            given = list(itertools.islice(x, 1))
            if not given:
                return []
            x = (batch for batch in itertools.chain(given, itertools.islice(x, number - 1)))
        keeper = _Keeper(self, number, 0 if self._is_stream else skip, is_over)
        options = {**self._options, "epochs": 1 if self._is_stream else max(1, number + skip)}
        if self._is_stream:
            options.setdefault("shuffle", False)
            options.pop("steps_per_epoch", None)  # there is one epoch, as long as it takes
        if options.get("validation_split"):
            options["validation_freq"] = options["epochs"] + 1
        with keeper.in_charge(), autologging_paused(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Your input ran out of data")  # how much there is, is known here
            self.host.model.fit(x, y, verbose=0, callbacks=[keeper], **options)
        return keeper.batches


class _Keeper(Hooks):
    """Stands in for the training step of one `fit`."""

    def __init__(self, source: BatchSource, number: int, skip: int, is_over: Callable[[], bool]) -> None:
        self.batches: list[Batch] = []
        self._source, self._host = source, source.host
        self._wanted, self._skip, self._is_over = number, skip, is_over

    @contextlib.contextmanager
    def in_charge(self) -> Iterator[None]:
        """Puts back what `fit` and the hooks change of the model."""
        model = self._host.model
        functions = self._host.train_functions()
        model.get_metrics_result = dict  # an instance's attribute, over the method of its class: there is no result
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
        """Takes the place of the training step."""
        self._host.model.train_function = self._take

    def _take(self, *args: Any) -> Nest:
        """Keeps what one call of the train function would train on; returns what that would, without a training."""
        host, data = self._host, args[-1]
        if not host.is_built:
            host.build(data)
        if not self._source.known:
            self._look_at_fit()
        batches = data if isinstance(data, list) else list(itertools.islice(data, host.batches_per_execution))
        if not batches:
            raise StopIteration  # tells the host that the epoch is over
        for batch in batches:
            if self._skip:
                self._skip -= 1
            elif len(self.batches) < self._wanted:
                self.batches.append(self._parts(batch))
        if len(self.batches) >= self._wanted or self._is_over():
            host.model.stop_training = True
        logs = {"loss": 0.0}
        return (logs, args[0]) if host.backend == "jax" else logs

    def _look_at_fit(self) -> None:
        """Learns what only the variables of the running `fit` tell."""
        source, model = self._source, self._host.model
        call = running_fit(model)
        chance = chance_of(self._host, call)
        source.known = {
            **chance.facts,
            "feeding": feeding_of(running_fits(model)),
            "steps_per_epoch": getattr(self, "params", {}).get("steps"),
        }
        source.notes = (*data_notes(call.x), *([chance.note] if chance.note is not None else []))

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Takes the number of steps in an epoch, where it is known."""
        self.params = dict(params or {})

    def _parts(self, batch: Nest) -> Batch:
        """Returns inputs, targets and weights; TensorFlow hands on a wrapper where there is nothing."""
        x, y, weights = self._host.library.utils.unpack_x_y_sample_weight(batch)
        return x, _value_or_none(y), _value_or_none(weights)


def _value_or_none(value: Value) -> Value:
    if not hasattr(value, "has_value"):
        return value
    return value.get_value() if value.has_value() else None
