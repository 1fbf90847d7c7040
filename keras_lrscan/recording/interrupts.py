"""Ends a scan between two batches on Ctrl-C, and restores the model first."""

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
    """Treats the first Ctrl-C as a request to stop, and passes the second one on.

    A `KeyboardInterrupt` in the middle of a step can leave a model half updated, or without its arrays on JAX. Outside
    the main thread, the guard does nothing, because Python allows no signal handlers there.

    Args:
        model: The scanned model.
        fit_code: Code of the running `fit`, or `None` if there is none. Ctrl-C outside of this `fit`, after it ended
            with an exception, is passed on to the previous handler.
        on_stray: Function to call before a Ctrl-C is passed on.
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
        """Restores the previous handler; does nothing the second time."""
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
