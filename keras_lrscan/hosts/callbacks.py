"""The other callbacks of the same `fit`: which of them a scan sets aside, and how the scan gets the last word.

A scan's losses and weights are thrown away, so callbacks that judge, keep, steer or publish a training would be harmed
by it or would harm it. They sit out this one `fit`, before any of their hooks has run. All others run.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import CallbackList, Model, Optimizer, Value
from keras_lrscan.errors import ScanError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType
    from typing import Self

__all__ = [
    "SET_ASIDE",
    "TRACKERS",
    "Hooks",
    "autologging_paused",
    "callback_list",
    "rearrange",
]

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

LOGS = "it would log the scan as a training"
KEEPS_RUN = f"{LOGS}; a run that autologging has opened before holds the arguments of `fit` and no result of the scan"

TRACKERS: Mapping[str, str] = MappingProxyType(
    {
        "aim": LOGS,
        "clearml": LOGS,
        "codecarbon": "it would count the scan among the emissions of the training",
        "comet_ml": KEEPS_RUN,
        "dvclive": LOGS,
        "mlflow": KEEPS_RUN,
        "neptune": LOGS,
        "neptune_tensorflow_keras": LOGS,
        "optuna": "it would judge a trial by the losses of the scan",
        "optuna_integration": "it would judge a trial by the losses of the scan",
        "ray": "it would report the scan as a training",
        "tensorboard": LOGS,
        "transformers": "it would evaluate or publish weights that the scan has spoilt",
        "wandb": LOGS,
    }
)
"""Packages whose callbacks, and subclasses of them, sit out a scan, with the reason."""

HOSTS = frozenset({"keras", "tf_keras"})

FRAMES_TO_LIST = 3
"""Calls between a callback's `set_model` and the list that holds it, at most."""


def _skip(*_: object, **__: object) -> None:
    """Does nothing."""


vars(_skip)["_is_default"] = True  # Keras 3 looks for this mark to leave a hook out


class Hooks:
    """What Keras 3 and tf_keras ask of every callback, as a type that needs neither to be installed.

    A hook that a subclass does not define does nothing, and says so in the way that each host looks for. Where a host
    is loaded, an instance passes for one of its callbacks; `docs/design/0011-passing-for-a-callback.md` says how.
    """

    _supports_tf_logs = True

    @property  # type: ignore[misc]  # nobody gives an instance another type
    def __class__(self) -> type[Self]:
        """The type as `isinstance` sees it: also a callback of each host that is loaded."""
        own: Any = type(self)
        passing: type[Self] = _passing(own, _host_callbacks())
        return passing

    def __reduce__(self) -> tuple[Any, ...]:
        """Makes copies of the true type."""
        return _blank, (type(self),), self.__getstate__()

    def __getattr__(self, name: str) -> Value:
        """Returns a hook that does nothing for every name that starts with `on_`."""
        if name.startswith("on_"):
            return _skip
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg)

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Takes what `fit` says of itself."""

    def set_model(self, model: Model) -> None:
        """Takes the model."""

    def _implements_train_batch_hooks(self) -> bool:
        return False

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False


def _blank(cls: Optimizer) -> Value:
    return object.__new__(cls)


def _host_callbacks() -> tuple[type[Any], ...]:
    """Returns the `Callback` of each host that is loaded; one that is loading at the moment has none yet."""
    modules = [getattr(sys.modules.get(name), "callbacks", None) for name in sorted(HOSTS)]
    found = [getattr(module, "Callback", None) for module in modules]
    return tuple(dict.fromkeys(item for item in found if isinstance(item, type)))


@functools.cache
def _passing(cls: Optimizer, callbacks: tuple[type[Any], ...]) -> Value:
    """Returns a class for `isinstance` to look at, which is of `cls` and of `callbacks`; calling it makes a `cls`."""
    if not callbacks:
        return cls

    def make(_: Value, *args: Any, **options: Any) -> Value:
        return cls(*args, **options)

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, *callbacks), {**names, "__new__": make})


def callback_list(callback: object) -> CallbackList | None:
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


def rearrange(owner: CallbackList, scan: Hooks, closer: Hooks) -> list[str]:
    """Puts `scan` first and `closer` last in the list, and sets clashing callbacks aside.

    Args:
        owner: The host's list of callbacks.
        scan: The scan's own callback.
        closer: Gets the last word when training ends.

    Returns:
        A sentence for each callback that was set aside, and for each of the user's own that was not.

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
    notes = [
        f"{type(member).__name__} {RAN_ALONG if reason is None else f'sat out the scan: {reason}'}."
        for member, reason in reasons
        if reason is not None or _is_of_user(member)
    ]
    return list(dict.fromkeys(notes))


RAN_ALONG = "ran along: it is not known here, and was told of the losses of the scan"
"""Said of a callback of the user."""


def _reason(member: object) -> str | None:
    """Returns why a callback sits out, or `None`."""
    for cls in type(member).__mro__:
        package = cls.__module__.partition(".")[0]
        reason = SET_ASIDE.get(cls.__name__) if package in HOSTS else TRACKERS.get(package)
        if reason is not None:
            return reason
    return None


def _is_of_user(member: object) -> bool:
    """Whether a callback does what a user wrote."""
    cls = type(member)
    package = cls.__module__.partition(".")[0]
    return package not in {*HOSTS, "keras_lrscan"} or cls.__name__ == "LambdaCallback"


@contextlib.contextmanager
def autologging_paused() -> Iterator[None]:
    """Keeps MLflow's autologging, where it is loaded, out of a `fit` that the package itself calls.

    Autologging opens a run before `fit` begins, so no callback could keep it from that.
    """
    utilities = sys.modules.get("mlflow.utils.autologging_utils")
    pause = getattr(utilities, "disable_autologging", contextlib.nullcontext)
    with pause():
        yield
