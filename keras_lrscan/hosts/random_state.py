"""Saves and restores the state of every random generator that a `fit` may draw from."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan._typing import Value
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Callable

    Restore = Callable[[], None]

__all__ = ["RandomStates", "global_seed_generator"]

SEED_GENERATOR = "global_seed_generator"
"""Name in Keras 3 of the generator for `keras.random` calls without a seed; `set_random_seed` removes it."""


class RandomStates:
    """Saves the current states of the random generators of Python, NumPy, and all loaded backends and hosts."""

    def __init__(self) -> None:
        self._restores = [restore for keep in GENERATORS if (restore := keep()) is not None]

    def restore(self) -> None:
        """Restores the saved states."""
        for restore in self._restores:
            restore()


def global_seed_generator() -> Value | None:
    """Returns the generator for `keras.random` calls without a seed, or `None` before the first such call."""
    state = sys.modules.get("keras.src.backend.common.global_state")
    return state.get_global_attribute(SEED_GENERATOR) if state is not None else None


def _keep_python() -> Restore:
    state = random.getstate()
    return lambda: random.setstate(state)


def _keep_numpy() -> Restore:
    state = np.random.get_state()  # noqa: NPY002 - Keras draws from this generator
    return lambda: np.random.set_state(state)  # noqa: NPY002 - see above


def _keep_torch() -> Restore | None:
    torch = sys.modules.get("torch")
    return _keep(torch.get_rng_state, torch.set_rng_state) if torch is not None else None


def _keep_cuda() -> Restore | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return _keep(torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)


def _keep_keras() -> Restore | None:
    module = sys.modules.get("keras.src.backend.common.global_state")
    if module is None:
        return None
    generator = global_seed_generator()
    state = read_value(generator.state).copy() if generator is not None else None

    def restore() -> None:
        module.set_global_attribute(SEED_GENERATOR, generator)
        if generator is not None:
            generator.state.assign(state)

    return restore


def _keep_tf_keras() -> Restore | None:
    """Saves the generator that tf_keras draws the seeds of layers and initializers from."""
    backend = sys.modules.get("tf_keras.src.backend")
    generator = getattr(getattr(backend, "_SEED_GENERATOR", None), "generator", None)
    return _keep(generator.getstate, generator.setstate) if generator is not None else None


def _keep_tensorflow_seeds() -> Restore | None:
    """Saves the generator that seeds TensorFlow's random kernels outside of graphs after `tf.random.set_seed`."""
    module = sys.modules.get("tensorflow.python.eager.context")
    generator = getattr(module.context(), "_rng", None) if module is not None else None
    return _keep(generator.getstate, generator.setstate) if generator is not None else None


def _keep_tensorflow_generator() -> Restore | None:
    """Saves `tf.random.get_global_generator`, if it was ever used."""
    module = sys.modules.get("tensorflow.python.ops.stateful_random_ops")
    generator = getattr(module, "global_generator", None)
    return _keep(generator.state.numpy, generator.state.assign) if generator is not None else None


def _keep(read: Callable[[], Any], write: Callable[[Any], Any]) -> Restore:
    state = read()
    return lambda: write(state)


GENERATORS: tuple[Callable[[], Restore | None], ...] = (
    _keep_python,
    _keep_numpy,
    _keep_torch,
    _keep_cuda,
    _keep_keras,
    _keep_tf_keras,
    _keep_tensorflow_seeds,
    _keep_tensorflow_generator,
)
