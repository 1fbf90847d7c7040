"""`InterruptGuard`: lets Ctrl-C end a scan between two batches, with the model put back first."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Model
from keras_lrscan.hosts.fit_call import is_inside_fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = ["InterruptGuard"]


class InterruptGuard:
    """Takes the first Ctrl-C for a request to stop, and hands the second one on.

    A `KeyboardInterrupt` in the middle of a step can leave a model half updated, or on JAX without its arrays. Outside
    the main thread, where Python allows no signal handlers, the guard does nothing.

    Args:
        model: The model that is scanned.
        fit_code: Code of the running `fit`. Ctrl-C outside of it, after a `fit` that ended by an exception, goes to the
            handler that was there before; `None` when it is not known.
        on_stray: Called before a Ctrl-C is handed on.
    """

    def __init__(self, model: Model, fit_code: CodeType | None, on_stray: Callable[[], None]) -> None:
        self._model = model
        self.requested = False
        self._fit_code = fit_code
        self._on_stray = on_stray
        self._before: Any = None
        self._installed = False
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
            self._installed = True

    def remove(self) -> None:
        """Puts the handler back that was there before; does nothing the second time."""
        if self._installed and threading.current_thread() is threading.main_thread():
            self._installed = False
            signal.signal(signal.SIGINT, signal.SIG_DFL if self._before is None else self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested and self._in_fit(frame):
            self.requested = True
            return
        self.remove()
        self._on_stray()
        if callable(self._before):
            self._before(number, frame)
        else:
            signal.raise_signal(number)

    def _in_fit(self, frame: FrameType | None) -> bool:
        return self._fit_code is None or is_inside_fit(frame, self._fit_code, self._model)
