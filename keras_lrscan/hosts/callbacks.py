"""Skips callbacks that a scan would harm or that would harm it, and makes the scan run first and last.

The losses and weights of a scan are discarded. Callbacks that judge, save, control or publish a training are therefore
skipped for this one `fit`, before any of their hooks has run. All others run.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import CallbackList, Model, Value
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
        "EarlyStopping": "it would stop the scan, or replace the restored weights with its own",
        "LearningRateScheduler": "it also sets the learning rate",
        "ModelCheckpoint": "it would save weights that the scan has damaged",
        "ReduceLROnPlateau": "it also sets the learning rate",
        "SwapEMAWeights": "it also swaps the weights",
        "TensorBoard": "it would write the scan into the log of the real training",
    }
)
"""Callbacks of Keras that are skipped during a scan, also as subclasses, and the reason for each."""

LOGS = "it would log the scan as a training run"
KEEPS_RUN = f"{LOGS}; a run that autologging has already opened holds the arguments of `fit` but no result of the scan"

TRACKERS: Mapping[str, str] = MappingProxyType(
    {
        "aim": LOGS,
        "clearml": LOGS,
        "codecarbon": "it would add the scan to the emissions of the training",
        "comet_ml": KEEPS_RUN,
        "dvclive": LOGS,
        "mlflow": KEEPS_RUN,
        "neptune": LOGS,
        "neptune_tensorflow_keras": LOGS,
        "optuna": "it would judge the trial by the losses of the scan",
        "optuna_integration": "it would judge the trial by the losses of the scan",
        "ray": "it would report the scan as a training run",
        "tensorboard": LOGS,
        "transformers": "it would evaluate or publish weights that the scan has damaged",
        "wandb": LOGS,
    }
)
"""Packages whose callbacks are skipped during a scan, also as subclasses, and the reason for each."""

HOSTS = frozenset({"keras", "tf_keras"})

MAX_FRAMES_TO_LIST = 3
"""Most calls between a callback's `set_model` and the list that holds it."""


def _do_nothing(*_: object, **__: object) -> None:
    """Does nothing."""


vars(_do_nothing)["_is_default"] = True  # Keras 3 does not call hooks with this attribute


class Hooks:
    """Base class for callbacks of both Keras 3 and tf_keras that imports neither.

    A hook that a subclass does not define does nothing, and each host recognizes it as a default hook. Once a host is
    loaded, `isinstance` takes an instance for one of its callbacks; `docs/design/0011-passing-for-a-callback.md`
    explains how.
    """

    _supports_tf_logs = True

    @property  # type: ignore[misc]  # nobody gives an instance another type
    def __class__(self) -> type[Self]:
        """The type that `isinstance` sees: a subclass of `Callback` of each host that is loaded."""
        own: Any = type(self)
        seen: type[Self] = _class_for_isinstance(own, _host_callbacks())
        return seen

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles the actual type, not the one that `isinstance` sees."""
        return _new_without_init, (type(self),), self.__getstate__()

    def __getattr__(self, name: str) -> Value:
        """Returns a hook that does nothing for each name that starts with `on_`."""
        if name.startswith("on_"):
            return _do_nothing
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg)

    def set_params(self, params: dict[str, Any] | None) -> None:
        """Receives the parameters of `fit`."""

    def set_model(self, model: Model) -> None:
        """Receives the model."""

    def _implements_train_batch_hooks(self) -> bool:
        return False

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False


def _new_without_init(cls: type[Any]) -> Value:
    return object.__new__(cls)


def _host_callbacks() -> tuple[type[Any], ...]:
    """Returns the `Callback` class of each loaded host; a host that is still being imported may not have it yet."""
    modules = [getattr(sys.modules.get(name), "callbacks", None) for name in sorted(HOSTS)]
    found = [getattr(module, "Callback", None) for module in modules]
    return tuple(dict.fromkeys(item for item in found if isinstance(item, type)))


@functools.cache
def _class_for_isinstance(cls: type[Any], callbacks: tuple[type[Any], ...]) -> Value:
    """Returns a subclass of `cls` and of `callbacks` for `isinstance`; calling it creates a plain `cls`."""
    if not callbacks:
        return cls

    def make(_: Value, *args: Any, **options: Any) -> Value:
        return cls(*args, **options)

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, *callbacks), {**names, "__new__": make})


def callback_list(callback: object) -> CallbackList | None:
    """Returns the host's list of callbacks that is calling a method of `callback`, or `None`.

    Keras gives callbacks no reference to the list, so this function searches the stack frames of its callers.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented for this use
    for _ in range(MAX_FRAMES_TO_LIST):
        frame = frame.f_back if frame is not None else None
        owner = frame.f_locals.get("self") if frame is not None else None
        members = getattr(owner, "callbacks", None)
        if isinstance(members, list) and any(member is callback for member in members):
            return owner
    return None


def rearrange(owner: CallbackList, scan: Hooks, closer: Hooks) -> list[str]:
    """Puts `scan` first and `closer` last in the list, and removes callbacks that conflict with a scan.

    Args:
        owner: The host's list of callbacks.
        scan: The scan's own callback.
        closer: Ends the scan after all other callbacks.

    Returns:
        One sentence for each callback that was removed, and for each unknown one that was kept.

    Raises:
        ScanError: If there is a second scan in the list.
    """
    others = [member for member in owner.callbacks if member is not scan]
    if any(type(member).__name__ == type(scan).__name__ and isinstance(member, Hooks) for member in others):
        msg = "Expected one `LRScan` in a `fit`. Received: two of them, which would both set the learning rate."
        raise ScanError(msg)
    reasons = [(member, _reason(member)) for member in others]
    staying = [member for member, reason in reasons if reason is None]
    owner.callbacks = [scan, *staying, closer]  # a new list, because a loop over the old one is running
    notes = [
        f"{type(member).__name__} {RAN if reason is None else f'was skipped during the scan: {reason}'}."
        for member, reason in reasons
        if reason is not None or _is_of_user(member)
    ]
    return list(dict.fromkeys(notes))


RAN = "ran during the scan and received its losses, because keras_lrscan does not know this callback"
"""Note on a callback of the user's or of an unknown library."""


def _reason(member: object) -> str | None:
    """Returns the reason to skip a callback, or `None`."""
    for cls in type(member).__mro__:
        package = cls.__module__.partition(".")[0]
        reason = SET_ASIDE.get(cls.__name__) if package in HOSTS else TRACKERS.get(package)
        if reason is not None:
            return reason
    return None


def _is_of_user(member: object) -> bool:
    """Returns whether a callback runs code of the user's or of an unknown library."""
    cls = type(member)
    package = cls.__module__.partition(".")[0]
    return package not in {*HOSTS, "keras_lrscan"} or cls.__name__ == "LambdaCallback"


@contextlib.contextmanager
def autologging_paused() -> Iterator[None]:
    """Turns off MLflow's autologging, if loaded, for a `fit` that this package calls itself.

    Autologging opens a run before `fit` begins, so no callback could prevent it.
    """
    utilities = sys.modules.get("mlflow.utils.autologging_utils")
    pause = getattr(utilities, "disable_autologging", contextlib.nullcontext)
    with pause():
        yield
