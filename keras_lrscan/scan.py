"""Runs a learning-rate range test, as the callback `LRScan` or as the function `lr_scan`."""

from __future__ import annotations

import contextlib
import sys
import weakref
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import FitData, FitOption, Model, Optimizer
from keras_lrscan.analysis import Analysis, analyze
from keras_lrscan.errors import InvalidOptionError, ScanError
from keras_lrscan.hosts.callbacks import Hooks, autologging_paused, callback_list, rearrange
from keras_lrscan.hosts.host import Host, keep_history, keep_next_fit_first
from keras_lrscan.hosts.snapshot import checked_place
from keras_lrscan.plots.curve_plot import plot_curve
from keras_lrscan.probes.investigate import investigate
from keras_lrscan.recording.batch_source import check_data
from keras_lrscan.recording.ramp import checked_ramp, ramp_name
from keras_lrscan.recording.scope import watch_hooks
from keras_lrscan.recording.session import Session, check_not_in_loop, checked_monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.axes import Axes

    from keras_lrscan.curves.curve import LRCurve
    from keras_lrscan.probes.investigation import Investigation

__all__ = ["LRScan", "last_scan", "lr_scan"]

_finished: list[LRScan] = []


class LRScan(Hooks):
    """Callback that turns one `fit` into a learning-rate range test and restores the model afterwards.

    The scan raises the rate from `start_lr` to `end_lr`, one step per update, and records the loss of each batch alone.
    It stops `fit` when the loss diverges or becomes non-finite, or when the rate reaches `end_lr`. It then restores
    weights, optimizer, learning rate or schedule, metrics, random states and compiled functions exactly.
    `docs/design/0004-as-if-no-scan-had-been.md` lists the state that no callback can restore. The callback works in
    `fit` of Keras 3 and of tf_keras.

    During the scan, validation data is not evaluated. Callbacks that a scan would harm or that would harm the scan
    (`ModelCheckpoint`, `EarlyStopping`, schedulers, those of MLflow, W&B and other trackers, ...) are skipped. Your own
    callbacks run. `curve.context.notes` names both kinds.

    Args:
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates. If `fit` has fewer, the ramp is shortened to them.
        ramp: String. How the rate rises: `"exponential"`, by equal factors, or `"linear"`, by equal amounts. A linear
            ramp needs a range of few decades, since its first steps already cross most of them.
        stop_on_divergence: Boolean. Whether to stop when the loss diverges. A non-finite loss always stops the scan.
        snapshot: String. Where to store the state to restore: `"memory"` for one copy of it, or `"disk"` for a
            temporary file without a name.
        monitor: String. Key of the loss in the logs of `fit`. Names of metrics that rise as a model learns, such as
            `"accuracy"`, are refused.
        optimizer: The optimizer to scan, for models that train with several, such as `model.generator_optimizer`. The
            others keep their rates. Defaults to the optimizer that the model was compiled with.
        verbose: 0 or 1. With 1, a summary of three lines is printed at the end.

    Raises:
        InvalidOptionError: If an argument has an invalid value.

    Example:
    ```python
    scan = LRScan()
    model.fit(x, y, epochs=3, callbacks=[scan])
    print(scan.analysis.explain())
    ```

    >>> LRScan(num_steps=200)  # doctest: +NORMALIZE_WHITESPACE
    LRScan(start_lr=1e-07, end_lr=10, num_steps=200, ramp='exponential', stop_on_divergence=True, snapshot='memory',
           monitor='loss', state='no scan yet', points=0)
    >>> LRScan(start_lr=1.0, end_lr=0.1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    keras_lrscan.errors.InvalidOptionError: Argument `end_lr` must be above ... Received: start_lr=1.0, end_lr=0.1.
    """

    def __init__(
        self,
        *,
        start_lr: float = 1e-7,
        end_lr: float = 10.0,
        num_steps: int = 100,
        ramp: str = "exponential",
        stop_on_divergence: bool = True,
        snapshot: str = "memory",
        monitor: str = "loss",
        optimizer: Optimizer = None,
        verbose: int = 1,
    ) -> None:
        self._ramp = checked_ramp(start_lr, end_lr, num_steps, ramp)
        self._place = checked_place(snapshot)
        if verbose not in {0, 1}:
            msg = f"Argument `verbose` must be 0 or 1. Received: verbose={verbose!r}."
            raise InvalidOptionError(msg)
        self.stop_on_divergence = bool(stop_on_divergence)
        self.monitor = checked_monitor(monitor)
        self.verbose = verbose
        self.params: dict[str, Any] = {}
        self._optimizer = optimizer
        self._model: Any = None
        self._owner: Callable[[], Any] = _nothing
        self._notes: tuple[str, ...] = ()
        self._has_closer = False
        self._has_begun = False
        self._session: Session | None = None
        self._curve: LRCurve | None = None
        self._analysis: Analysis | None = None
        self._scanned: weakref.ref[Any] | None = None

    def __repr__(self) -> str:
        """Returns the settings, the state of the scan and the number of points recorded so far."""
        ramp, curve = self._ramp, self._recorded()
        settings = f"start_lr={ramp.start_lr:g}, end_lr={ramp.end_lr:g}, num_steps={ramp.num_steps}"
        others = {
            "ramp": ramp_name(ramp),
            "stop_on_divergence": self.stop_on_divergence,
            "snapshot": self._place,
            "monitor": self.monitor,
        }
        state = "running" if self._session is not None else "finished" if self._has_begun else "no scan yet"
        points = 0 if curve is None else len(curve)
        named = [f"{name}={value!r}" for name, value in others.items()]
        return f"LRScan({', '.join([settings, *named])}, state={state!r}, points={points})"

    def __getstate__(self) -> dict[str, Any]:
        """Excludes the model and a running scan from copies."""
        left_out = {"_model": None, "_session": None, "_scanned": None, "_owner": _nothing, "_optimizer": None}
        return {**self.__dict__, **left_out, "_curve": self._recorded()}

    @property
    def curve(self) -> LRCurve:
        """The recorded `LRCurve`, up to the exception if one ended the scan.

        Raises:
            ScanError: If nothing has been recorded yet.
        """
        curve = self._recorded()
        if curve is None:
            missing = (
                "a `fit` that trained on no batch. The data may be empty, or a generator exhausted."
                if self._has_begun
                else "no scan yet. Pass it to `fit` in `callbacks` first."
            )
            msg = f"Expected a scan that has recorded a batch. Received: {missing}"
            raise ScanError(msg)
        return curve

    @property
    def analysis(self) -> Analysis:
        """The `Analysis` of the curve, computed on first use.

        Raises:
            ScanError: If nothing has been recorded yet.
        """
        if self._session is not None:
            return analyze(self.curve)
        if self._analysis is None:
            self._analysis = analyze(self.curve)
        return self._analysis

    def plot(self, ax: Axes | None = None, **options: FitOption) -> Axes:
        """Plots the curve and its analysis.

        Args:
            ax: The axes to draw on. Defaults to a new figure.
            **options: Passed to `plot_curve`.

        Returns:
            The axes.
        """
        return plot_curve(self.analysis, ax=ax, **options)

    def investigate(
        self,
        x: FitData = None,
        y: FitData = None,
        *,
        probes: Sequence[str] | None = None,
        verbose: int = 1,
        **options: FitOption,
    ) -> Investigation:
        """Tests model and data with probes, to confirm or rule out causes that the curve alone leaves open.

        Probes train the scanned model many times for a few hundred steps, and restore it exactly each time. The scan
        holds only a weak reference to the model.

        Args:
            x: Input data, as for `fit`.
            y: Target data, as for `fit`.
            probes: Names of `keras_lrscan.probes.table.PROBES` to run. Defaults to the probes that could settle a
                finding.
            verbose: 0 or 1. With 1, one line is printed for each probe.
            **options: Passed to `keras_lrscan.investigate`, such as `batch_size`. The arguments `batch_size`,
                `shuffle`, `class_weight`, `steps_per_epoch` and `validation_split` default to those of the scanned
                `fit`. If that `fit` had a `sample_weight`, it must be passed again.

        Returns:
            An `Investigation`: the result of each probe, and the analysis with its causes confirmed or ruled out.

        Raises:
            InvalidOptionError: If a probe is unknown, or `sample_weight` is missing.
            ScanError: If nothing has been recorded, or if the scanned model no longer exists.

        Example:
        ```python
        found = scan.investigate(x, y)
        print(found.explain())
        ```
        """
        analysis = self.analysis
        model = self._scanned() if self._scanned is not None else None
        if model is None:
            msg = (
                "Expected the model that was scanned. Received: a scan that was copied or loaded, or a model that no "
                "longer exists. Call `keras_lrscan.investigate(model, x, y, analysis=scan.analysis)`."
            )
            raise ScanError(msg)
        given = {"monitor": self.monitor, **options}
        return investigate(model, x, y, analysis=analysis, probes=probes, verbose=verbose, **given)

    def restore(self) -> None:
        """Restores the model to its state before the scan.

        A scan calls this itself when `fit` ends. The only exception is an error in the data outside of a training step:
        the model then remains unrestored until it is next used, or until the error is handled. Call this method to
        restore it at once. It does nothing if the model is already restored.
        """
        if self._session is not None:
            self._session.restore()

    @property
    def is_over(self) -> bool:
        """Whether the scan has ended or, within `on`, needs no more batches."""
        return self._session is None or self._session.is_over

    @contextlib.contextmanager
    def on(self, model: Model) -> Iterator[LRScan]:
        """Scans your own loop over `model.train_on_batch` instead of `fit`.

        Within the `with` block, each call of `train_on_batch` is one step of the scan, at its rate, and returns the
        loss of that batch alone. At the end of the block, also after an exception, the model is restored as after a
        `fit`.

        Args:
            model: A compiled model with weights.

        Yields:
            This scan. Leave the loop when its `is_over` becomes true.

        Raises:
            ScanError: If the model is not compiled, has no weights yet, or is within another such block.
            KeyboardInterrupt: If Ctrl-C was pressed in the block, after the model is restored.

        Example:
        ```python
        scan = LRScan()
        with scan.on(model):
            for x, y in batches:
                model.train_on_batch(x, y)
                if scan.is_over:
                    break
        print(scan.analysis.explain())
        ```
        """
        self._model, self._notes, self.params, self._owner = model, (), {}, _nothing
        session = self._begin(in_fit=False)
        session.start_epoch(epochs_left=1)
        try:
            yield self
        except BaseException:
            session.abort()
            raise
        self._close()

    def set_model(self, model: Model) -> None:
        """Receives the model, and reorders the list of callbacks."""
        self._model = model
        owner = callback_list(self)
        self._has_closer = owner is not None
        self._owner = _nothing if owner is None else weakref.ref(owner)
        self._notes = ()
        if owner is not None:
            self._notes = tuple(rearrange(owner, self, _Closer(self)))
            watch_hooks(owner, self._fail)

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Receives the parameters of `fit`, such as the numbers of epochs and of steps per epoch."""
        self.params = dict(params or {})

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Saves the state of the model and takes control of the learning rate."""
        self._begin(in_fit=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Determines the length of the ramp in the first epoch."""
        if self._session is not None:
            self._session.start_epoch(epochs_left=int(self.params.get("epochs") or 1) - epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends the scan if the data have ended."""
        if self._session is not None:
            self._session.end_epoch()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Does nothing, but makes Keras 3 call the batch hooks in order instead of in threads."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restores the model, unless a later callback does."""
        if not self._has_closer:
            self._close()

    def _begin(self, *, in_fit: bool) -> Session:
        check_not_in_loop(self._model)
        self.restore()
        self._curve = self._analysis = None
        self._has_begun = True
        self._scanned = weakref.ref(self._model)
        session = Session(
            Host(self._model, self._optimizer),
            ramp=self._ramp,
            stop_on_divergence=self.stop_on_divergence,
            place=self._place,
            monitor=self.monitor,
            on_end=self._keep,
            in_fit=in_fit,
        )
        self._session = session
        session.begin(steps_per_epoch=self.params.get("steps"), notes=self._notes, owner=self._owner())
        return session

    def _fail(self) -> None:
        if self._session is not None:
            self._session.fail()

    def _close(self) -> None:
        if self._session is None:
            return
        self._session.end()
        if self.verbose and self._curve is not None:
            sys.stdout.write(self.analysis.summary() + "\n")

    def _recorded(self) -> LRCurve | None:
        return self._curve if self._session is None else self._session.curve

    def _keep(self) -> None:
        """Keeps the curve of a session that has restored the model."""
        self._curve = self._recorded()
        self._session = self._model = None
        if self._curve is not None:
            _finished[:] = [self]


def _nothing() -> None:
    """Returns `None`, like a weak reference to a deleted object."""


class _Closer(Hooks):
    """Ends the scan as the last callback, so that no other changes the model after it is restored."""

    def __init__(self, scan: LRScan) -> None:
        self._scan = scan

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Ends the scan."""
        self._scan._close()  # noqa: SLF001 - `_Closer` is a part of `LRScan`


def _callbacks(given: object) -> list[Any]:
    """Returns the callbacks in an argument of `fit`: one callback, several, nested lists, or a `CallbackList`."""
    is_list = any(cls.__name__ == "CallbackList" for cls in type(given).__mro__)
    members: Any = vars(given)["callbacks"] if is_list else given
    if hasattr(members, "__iter__"):
        return [callback for member in members for callback in _callbacks(member)]
    return [] if given is None else [given]


def last_scan() -> LRScan | None:
    """Returns the most recently finished `LRScan` of this process, or `None`."""
    return _finished[0] if _finished else None


def lr_scan(
    model: Model,
    x: FitData = None,
    y: FitData = None,
    *,
    start_lr: float = 1e-7,
    end_lr: float = 10.0,
    num_steps: int = 100,
    ramp: str = "exponential",
    stop_on_divergence: bool = True,
    snapshot: str = "memory",
    monitor: str = "loss",
    optimizer: Optimizer = None,
    verbose: int = 1,
    **fit_options: FitOption,
) -> Analysis:
    """Runs a learning-rate range test of `model`, restores the model, and returns the analysis.

    Args:
        model: A compiled model of Keras 3 or tf_keras.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        start_lr: Float. First learning rate.
        end_lr: Float. Last learning rate.
        num_steps: Integer, at least 8. Number of updates.
        ramp: String. How the rate rises, `"exponential"` or `"linear"`; see `LRScan`.
        stop_on_divergence: Boolean. Whether to stop when the loss diverges.
        snapshot: String. Where to store the state to restore, `"memory"` or `"disk"`.
        monitor: String. Key of the loss in the logs of `fit`.
        optimizer: The optimizer to scan, for models that train with several; see `LRScan`.
        verbose: 0 or 1. With 1, a summary of three lines is printed at the end.
        **fit_options: Passed to `fit`, such as `batch_size`, `sample_weight` or `callbacks`. By default, `epochs` is
            large enough for all steps, and the scan stops `fit` after the last one.

    Returns:
        The `Analysis`, with the curve in its attribute `curve`.

    Raises:
        InvalidOptionError: If an argument has an invalid value.
        ScanError: If the model is not compiled, if no batch could be recorded, or if this version of Keras cannot run
            `fit` under the distribution strategy of the model.

    Example:
    ```python
    analysis = lr_scan(model, x, y, batch_size=32)
    print(analysis.suggestion.lr)
    ```
    """
    scan = LRScan(
        start_lr=start_lr,
        end_lr=end_lr,
        num_steps=num_steps,
        ramp=ramp,
        stop_on_divergence=stop_on_divergence,
        snapshot=snapshot,
        monitor=monitor,
        optimizer=optimizer,
        verbose=verbose,
    )
    if getattr(model, "optimizer", None) is None:
        msg = (
            "Argument `model` must be a compiled model. Received: a model without an optimizer. "
            "Call `model.compile(optimizer=..., loss=...)` first."
        )
        raise ScanError(msg)
    check_data(x)
    callbacks = [*_callbacks(fit_options.pop("callbacks", None)), scan]
    defaults: dict[str, Any] = {"epochs": num_steps}
    if hasattr(x, "__next__"):
        is_one_epoch = fit_options.get("steps_per_epoch") is None
        defaults = {"epochs": 1 if is_one_epoch else num_steps, "shuffle": False}
    options = {"verbose": 0, **defaults, **fit_options}
    try:
        with autologging_paused(), keep_history(model), keep_next_fit_first(model):
            try:
                model.fit(x, y, callbacks=callbacks, **options)
            finally:
                scan.restore()
    except Exception as error:
        if y is None and hasattr(x, "shape"):
            error.add_note("No `y` was passed. A loss that compares predictions with targets needs it.")
        strategy = getattr(model, "distribute_strategy", None)
        if "PerReplica" in str(error) and getattr(strategy, "cluster_resolver", None) is not None:
            msg = (
                "Expected a Keras that can run `fit` on several workers. Received: MultiWorkerMirroredStrategy with a "
                "version of Keras 3 that does not support it, with or without a scan. Scan in one process, or use "
                "tf_keras."
            )
            raise ScanError(msg) from error
        raise
    return scan.analysis
