"""The other callbacks of the same `fit`: which of them a scan sets aside, and how the scan gets the last word.

A scan's losses and weights are thrown away, so callbacks that judge, keep or steer a training would be harmed by it or
would harm it. They sit out this one `fit`, before any of their hooks has run.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan.errors import ScanError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

__all__ = ["SET_ASIDE", "Hooks", "callback_list", "fit_frame", "rearrange"]

SET_ASIDE: Mapping[str, str] = MappingProxyType(
    {
        "BackupAndRestore": "it would delete the backup of the real training",
        "CSVLogger": "it would write the scan into the log of the real training",
        "EarlyStopping": "it would stop the scan, or put its own weights in the place of the restored ones",
        "LearningRateScheduler": "it sets the learning rate as well",
        "ModelCheckpoint": "it would save weights that the scan has spoilt",
        "ReduceLROnPlateau": "it sets the learning rate as well",
        "SwapEMAWeights": "it exchanges the weights as well",
        "TensorBoard": "it would write the scan into the log of the real training",
    }
)
"""Callbacks of Keras, and subclasses of them, that sit out a scan, with the reason."""

FRAMES_TO_LIST = 3
"""Calls between a callback's `set_model` and the list that holds it, at most."""
FRAMES_TO_FIT = 12
"""Calls between a callback's hook and `fit`, at most."""


def _skip(*_: object, **__: object) -> None:
    """Does nothing."""


vars(_skip)["_is_default"] = True  # Keras 3 looks for this mark to leave a hook out


class Hooks:
    """What Keras 3 and tf_keras ask of every callback, as a type that needs neither to be installed.

    A hook that a subclass does not define does nothing, and says so in the way that each host looks for.
    """

    _supports_tf_logs = True

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any hook
        """Returns a hook that does nothing for every name that starts with `on_`."""
        if name.startswith("on_"):
            return _skip
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg)

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Takes what `fit` says of itself."""

    def set_model(self, model: Any) -> None:  # noqa: ANN401
        """Takes the model."""

    def _implements_train_batch_hooks(self) -> bool:
        return False

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False


def callback_list(callback: object) -> Any | None:  # noqa: ANN401
    """Returns the host's list of callbacks that is calling a method of `callback` now, or `None`.

    Keras gives a callback no reference to the list, so this looks at the callers.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented for this use
    for _ in range(FRAMES_TO_LIST):
        frame = frame.f_back if frame is not None else None
        owner = frame.f_locals.get("self") if frame is not None else None
        members = getattr(owner, "callbacks", None)
        if isinstance(members, list) and any(member is callback for member in members):
            return owner
    return None


def fit_frame() -> FrameType | None:
    """Returns the frame of the `fit` that is calling, or `None`."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented for this use
    for _ in range(FRAMES_TO_FIT):
        frame = frame.f_back if frame is not None else None
        if frame is None or (frame.f_code.co_name == "fit" and "self" in frame.f_locals):
            return frame
    return None


def rearrange(owner: Any, scan: Hooks, closer: Hooks) -> list[str]:  # noqa: ANN401
    """Puts `scan` first and `closer` last in the list, and sets clashing callbacks aside.

    Args:
        owner: The host's list of callbacks.
        scan: The scan's own callback.
        closer: Gets the last word when training ends.

    Returns:
        A sentence for each callback that was set aside.

    Raises:
        ScanError: If there is a second scan in the list.
    """
    others = [member for member in owner.callbacks if member is not scan]
    if any(type(member).__name__ == type(scan).__name__ and isinstance(member, Hooks) for member in others):
        msg = "Expected one `LRScan` in a `fit`. Received: two of them, and both would set the learning rate."
        raise ScanError(msg)
    reasons = [(member, _reason(member)) for member in others]
    staying = [member for member, reason in reasons if reason is None]
    owner.callbacks = [scan, *staying, closer]  # a new list: a loop over the old one, going on now, is not disturbed
    return [f"{type(member).__name__} sat out the scan: {reason}." for member, reason in reasons if reason is not None]


def _reason(member: object) -> str | None:
    names = (cls.__name__ for cls in type(member).__mro__ if cls.__module__.partition(".")[0] in {"keras", "tf_keras"})
    return next((SET_ASIDE[name] for name in names if name in SET_ASIDE), None)
