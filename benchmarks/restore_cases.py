"""Compares training after a scan with training without one, for random models, optimizers and states.

Every case trains twice from the same seeds, with and without a scan before it. All variables of the model and of every
optimizer it reaches, its Python counters (where each step runs Python code) and its history must then be identical to
the last bit. The script counts the cases that a scan refuses or announces in a note or warning. Any other difference is
a failure.

Run with: KERAS_BACKEND=jax python benchmarks/restore_cases.py [NUMBER [SEED]]
Set TF_USE_LEGACY_KERAS=1 to test tf_keras.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan import LRScan
from keras_lrscan.errors import LRScanWarning, ScanError
from keras_lrscan.hosts.optimizers import optimizer_variables
from keras_lrscan.hosts.reachable import reachable_from
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Callable

IS_TF_KERAS = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
STEPS = 8
NAMED = ("ScheduleFreeAdamW", "made in the first step")
"""Parts of notes and warnings that announce a difference."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Describes one random case.

    Attributes:
        model: Key of `MODELS`.
        optimizer: Key of the dictionary that `optimizers` returns.
        used: Whether the model trains before the scan.
        eager: Whether the model is compiled with `run_eagerly=True`.
        place: Storage of the snapshot, `"memory"` or `"disk"`.
        steps_per_execution: Number of batches per call of the train function.
        seed: Seed of all random numbers.
    """

    model: str
    optimizer: str
    used: bool
    eager: bool
    place: str
    steps_per_execution: int
    seed: int


def _input(keras: Any, shape: tuple[int, ...], **options: Any) -> Any:
    layers = keras.layers
    if not IS_TF_KERAS:
        return layers.Input(shape, **options)
    return layers.InputLayer(input_shape=shape, **options)


def dense(keras: Any) -> Any:
    """Builds two dense layers."""
    layers = keras.layers
    return keras.Sequential([_input(keras, (6,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")])


def rich(keras: Any) -> Any:
    """Builds a model with batch normalization and dropout."""
    layers = keras.layers
    middle = [layers.Dense(5, "relu"), layers.BatchNormalization(), layers.Dropout(0.3)]
    return keras.Sequential([_input(keras, (6,)), *middle, layers.Dense(3, "softmax")])


def unbuilt(keras: Any) -> Any:
    """Builds a model without an input shape, which stays unbuilt until the first batch."""
    layers = keras.layers
    return keras.Sequential([layers.Dense(5, "relu"), layers.Dense(3, "softmax")])


def stateful(keras: Any) -> Any:
    """Builds a stateful recurrent layer."""
    layers = keras.layers
    shape = {"batch_input_shape": (16, 6)} if IS_TF_KERAS else {"batch_shape": (16, 6)}
    first = layers.InputLayer(**shape)
    return keras.Sequential([first, layers.Reshape((3, 2)), layers.LSTM(4, stateful=True), layers.Dense(3, "softmax")])


def frozen(keras: Any) -> Any:
    """Builds a model with a frozen body."""
    model = dense(keras)
    model.layers[0].trainable = False
    return model


def counting(keras: Any) -> Any:
    """Builds a model with a layer that counts its calls in Python."""

    class Counting(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.num_calls = 0
            self.trace: list[int] = []

        def call(self, inputs: Any) -> Any:
            self.num_calls += 1
            self.trace.append(self.num_calls)
            return inputs

    return keras.Sequential([_input(keras, (6,)), Counting(), keras.layers.Dense(3, "softmax")])


def untracked(keras: Any) -> Any:
    """Builds a model with a layer that has its own `tf.Variable` and `tf.random.Generator`."""
    import tensorflow as tf

    class Untracked(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.counter = tf.Variable(0.0, trainable=False)
            self.generator = tf.random.Generator.from_seed(3)

        def call(self, inputs: Any) -> Any:
            shift = self.counter.assign_add(1.0)
            return inputs + 0.01 * self.generator.normal((6,)) + 1e-3 * shift

    return keras.Sequential([_input(keras, (6,)), Untracked(), keras.layers.Dense(3, "softmax")])


def noisy(keras: Any) -> Any:
    """Builds a model with a layer that uses a Keras `SeedGenerator`."""

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seeds = keras.random.SeedGenerator(5)

        def call(self, inputs: Any) -> Any:
            return inputs + 0.1 * keras.random.normal((6,), seed=self.seeds)

    return keras.Sequential([_input(keras, (6,)), Noise(), keras.layers.Dense(3, "softmax")])


def two_optimizers(keras: Any) -> Any:
    """Builds a model whose train step uses a second optimizer besides the compiled one."""
    import tensorflow as tf

    class Split(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = keras.Sequential([_input(keras, (6,)), keras.layers.Dense(5, "relu")])
            self.head = keras.Sequential([_input(keras, (5,)), keras.layers.Dense(3, "softmax")])
            self.second = keras.optimizers.SGD(0.05, momentum=0.9)

        def call(self, inputs: Any) -> Any:
            return self.head(self.body(inputs))

        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, self(x, training=True)))
            for part, optimizer in ((self.body, self.optimizer), (self.head, self.second)):
                weights = part.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"loss": loss}

    return Split()


MODELS: dict[str, Callable[[Any], Any]] = {
    "dense": dense,
    "rich": rich,
    "unbuilt": unbuilt,
    "stateful": stateful,
    "frozen": frozen,
    "counting": counting,
    "untracked": untracked,
    "noisy": noisy,
    "two optimizers": two_optimizers,
}
ON_TENSORFLOW = ("untracked", "two optimizers", "stateful")
NOT_TF_KERAS = ("noisy",)


def user_optimizer(keras: Any) -> Any:
    """Returns a custom optimizer that initializes its averages with the weights."""

    class Averaged(keras.optimizers.Optimizer):  # type: ignore[misc]
        def __init__(self, learning_rate: float = 0.01, **options: Any) -> None:
            super().__init__(learning_rate=learning_rate, name="averaged", **options)

        def build(self, variables: Any) -> None:
            if self.built:
                return
            super().build(variables)
            self.averages = [
                self.add_variable_from_reference(reference_variable=item, name="average") for item in variables
            ]
            for average, item in zip(self.averages, variables, strict=True):
                self.assign(average, item)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            average = self.averages[self._get_variable_index(variable)]
            step = keras.ops.multiply(gradient, keras.ops.cast(learning_rate, variable.dtype))
            self.assign(average, 0.9 * average + 0.1 * variable)
            self.assign(variable, variable - step - 0.01 * (variable - average))

        def get_config(self) -> dict[str, Any]:
            return {"learning_rate": float(read_value(self._learning_rate))}

    return Averaged()


def optimizers(keras: Any) -> dict[str, Callable[[], Any]]:
    """Returns every optimizer of the installed Keras, and settings that change its state."""
    kinds = keras.optimizers
    names = "SGD RMSprop Adam AdamW Adadelta Adagrad Adamax Adafactor Nadam Ftrl Lion Lamb Muon ScheduleFreeAdamW"
    found: dict[str, Callable[[], Any]] = {
        name: lambda name=name: getattr(kinds, name)(learning_rate=0.01)
        for name in names.split()
        if hasattr(kinds, name)
    }
    schedule = kinds.schedules.ExponentialDecay(0.01, 5, 0.9)
    found |= {
        "momentum": lambda: kinds.SGD(0.01, momentum=0.9, nesterov=True),
        "averages": lambda: kinds.Adam(0.01, use_ema=True, ema_momentum=0.9),
        "schedule": lambda: kinds.Adam(schedule),
    }
    if not IS_TF_KERAS:
        found |= {
            "gathering": lambda: kinds.Adam(0.01, gradient_accumulation_steps=2),
            "loss scale": lambda: kinds.LossScaleOptimizer(kinds.SGD(0.01), initial_scale=256.0),
            "of the user": lambda: user_optimizer(keras),
        }
    return found


def draw(keras: Any, random: np.random.Generator, backend: str) -> Case:
    """Draws a case for this host."""
    models = [
        name
        for name in MODELS
        if (backend == "tensorflow" or name not in ON_TENSORFLOW) and not (IS_TF_KERAS and name in NOT_TF_KERAS)
    ]
    return Case(
        model=str(random.choice(models)),
        optimizer=str(random.choice(list(optimizers(keras)))),
        used=bool(random.integers(2)),
        eager=bool(random.random() < 0.4),
        place=str(random.choice(["memory", "disk"])),
        steps_per_execution=int(random.choice([1, 1, 1, 2])) if backend != "torch" else 1,
        seed=int(random.integers(2**16)),
    )


def trained(keras: Any, case: Case, *, with_scan: bool) -> tuple[list[bytes], tuple[str, ...]]:
    """Trains a model and returns the bits of its final state, with the notes and warnings of the scan, if any."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(case.seed)
    random = np.random.default_rng(case.seed)
    x, y = random.normal(size=(64, 6)).astype("float32"), random.integers(0, 3, 64).astype("int32")
    model = MODELS[case.model](keras)
    model.compile(
        optimizers(keras)[case.optimizer](),
        "sparse_categorical_crossentropy",
        run_eagerly=case.eager,
        steps_per_execution=case.steps_per_execution,
    )
    options: dict[str, Any] = {"batch_size": 16, "shuffle": False, "verbose": 0}
    if case.used:
        model.fit(x, y, **options)
    notes: tuple[str, ...] = ()
    if with_scan:
        scan = LRScan(start_lr=1e-4, end_lr=1.0, num_steps=STEPS, snapshot=case.place, verbose=0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", LRScanWarning)
            model.fit(x, y, epochs=3, callbacks=[scan], **options)
        notes = (*scan.curve.context.notes, *(str(item.message) for item in caught if item.category is LRScanWarning))
    history = model.fit(x, y, epochs=2, **options).history
    reached = reachable_from(model)
    held = [item for one in reached.optimizers.values() for item in optimizer_variables(one)]
    variables = {id(item): item for item in [*model.variables, *held, *reached.variables.values()]}
    counts = case.eager or keras_backend(keras) == "torch"  # a traced step counts traces, not calls
    counters = [(item.num_calls, item.trace) for item in model.layers if counts and hasattr(item, "num_calls")]
    return [*(read_value(item).tobytes() for item in variables.values()), repr((history, counters)).encode()], notes


def outcome(keras: Any, case: Case) -> str:
    """Returns `same`, `refused`, `named`, `host fails`, or `DIFFERENT` for one case."""
    try:
        plain, _ = trained(keras, case, with_scan=False)
    except Exception as error:  # noqa: BLE001 - the host itself cannot train some random cases
        return f"host fails ({type(error).__name__})"
    try:
        after, notes = trained(keras, case, with_scan=True)
    except ScanError:
        return "refused"
    if plain == after:
        return "same"
    return "named" if any(word in text for text in notes for word in NAMED) else "DIFFERENT"


def keras_backend(keras: Any) -> str:
    """Returns the name of the backend."""
    return "tensorflow" if IS_TF_KERAS else str(keras.backend.backend())


def main() -> None:
    """Prints the number of cases by outcome, lists those that are not the same, and exits with 1 if one differs."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    random = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    keras = importlib.import_module("tf_keras" if IS_TF_KERAS else "keras")
    backend = keras_backend(keras)
    counts: Counter[str] = Counter()
    while sum(count for name, count in counts.items() if not name.startswith("host")) < number:
        case = draw(keras, random, backend)
        result = outcome(keras, case)
        counts[result] += 1
        if result != "same":
            print(result, case, flush=True)
    print(f"{keras.__name__} {keras.__version__} on {backend}: {dict(counts)}")
    sys.exit("DIFFERENT" in counts)


if __name__ == "__main__":
    main()
