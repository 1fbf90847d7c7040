"""Restores the model even if the `fit` of a scan ends with an exception from a callback, the data or an interrupt.

Keras calls no hook of a callback if `fit` ends with an exception, so a scan watches three other places. It wraps the
hooks in the host's list of callbacks. It wraps the methods of the model, which restore the model first when they are
called after such a `fit`. And it restores the model when the list itself is deleted, once the exception is handled.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import CallbackList, Model, Value
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.fit_call import is_inside_fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = ["EXHAUSTED", "ModelGuard", "watch_hooks"]

EXHAUSTED = frozenset({"StopIteration", "OutOfRangeError"})
"""Exceptions by which the hosts signal the end of an epoch."""

HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
)
"""Hooks that `fit` calls during training."""

GUARDED = (
    "compile",
    "evaluate",
    "export",
    "fit",
    "get_weights",
    "load_weights",
    "predict",
    "predict_on_batch",
    "save",
    "save_weights",
    "set_weights",
    "test_on_batch",
    "train_on_batch",
)
"""Methods that must not run on a model that a scan has left unrestored."""

REFUSED = ("compile", "fit", "train_on_batch")
"""Methods that must not be called during a scan, because they replace the training step or train at the scan's rate."""

_MISSING = object()


def watch_hooks(owner: CallbackList, on_error: Callable[[], None]) -> None:
    """Calls `on_error` if a hook of any callback raises an exception, and raises that exception again.

    In batch hooks, exceptions that Keras interprets as the end of the data are ignored, because `fit` continues.

    Args:
        owner: The host's list of callbacks.
        on_error: Function that restores the model.
    """
    held = weakref.ref(owner)

    def watched(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Value:
            try:
                return hook(held(), *args, **kwargs)
            except BaseException as error:
                if "batch" not in name or type(error).__name__ not in EXHAUSTED:
                    on_error()
                raise

        return call

    for name in HOOKS:
        setattr(owner, name, watched(name, getattr(type(owner), name)))


class ModelGuard:
    """Wraps the methods of one model during a scan.

    During the scan, the validation of `fit` is skipped, `compile` and other trainings are refused, and all other calls
    pass through. If `fit` ended with an exception that no hook reported, the next call restores the model first.

    Args:
        model: The model.
        fit_code: Code of the running `fit`, or `None` if the batches come from `train_on_batch`. In that case only
            `compile` is wrapped.
        put_back: Function that restores the model and removes the guard.
        on_use: Function to call after a method that may have changed the metrics of the model.
    """

    def __init__(
        self,
        model: Model,
        fit_code: CodeType | None,
        put_back: Callable[[], None],
        on_use: Callable[[], None],
    ) -> None:
        self._model = model
        self._code = fit_code
        self._thread = threading.get_ident()
        self._put_back, self._on_use = put_back, on_use
        self._finalizer: Any = None
        names = [name for name in GUARDED if hasattr(model, name)] if fit_code is not None else ["compile"]
        self._before = {name: vars(model).get(name, _MISSING) for name in names}
        for name in names:
            setattr(model, name, self._guarded(name, getattr(model, name)))

    def follow(self, owner: CallbackList) -> None:
        """Restores the model when `owner`, the list of callbacks of the running `fit`, is deleted."""
        self._finalizer = weakref.finalize(owner, self._put_back)
        self._finalizer.atexit = False

    def remove(self) -> None:
        """Removes the wrappers."""
        if self._finalizer is not None:
            self._finalizer.detach()
        for name, before in self._before.items():
            if before is _MISSING:
                delattr(self._model, name)
            else:
                setattr(self._model, name, before)

    def _guarded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Value:
            caller = sys._getframe(1)  # noqa: SLF001 - documented for this use
            if not self._is_inside(caller):
                self._put_back()
                return getattr(self._model, name)(*args, **kwargs)
            if name in REFUSED and threading.get_ident() == self._thread:
                msg = (
                    f"Expected a model that keeps its optimizer and its training step while a scan runs. Received: a "
                    f"call of `model.{name}` within the scan. Call it before or after the scan."
                )
                raise ScanError(msg)
            if name == "evaluate" and caller.f_code is self._code:
                return {}
            try:
                return method(*args, **kwargs)
            finally:
                self._on_use()

        return call

    def _is_inside(self, frame: FrameType | None) -> bool:
        """Returns whether `fit` is still running; assumed in other threads, where `fit` is not among the callers."""
        if threading.get_ident() != self._thread or self._code is None:
            return True
        return is_inside_fit(frame, self._code, self._model)
