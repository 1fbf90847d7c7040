"""Tests that the start of each output is read from the logs of the first batches, on models with two heads."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.reading.start_state import StartState
from keras_lrscan.scan import LRScan
from tests.support.hosts import BACKEND, compiled, same_bits, weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keras_lrscan.curves.context import OutputStart

pytestmark = [
    pytest.mark.keras,
    # Keras's own code for JAX and torch uses an outdated NumPy protocol
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*will be ignored since the data `x` was provided as a generator:UserWarning"),
]

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(192, 6)).astype("float32")
KINDS = ((X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)).astype("int32")
SIZES = (2.0 * X[:, 2:3] + X[:, 3:4]).astype("float32")
LABELS = {"kind": KINDS, "size": SIZES}
LOSSES = {"kind": "sparse_categorical_crossentropy", "size": "mean_squared_error"}
PRIOR = np.bincount(KINDS) / KINDS.size
ENTROPY = float(-np.sum(PRIOR * np.log(PRIOR)))


@functools.cache
def trained_weights(keras: Any) -> list[Any]:
    """Returns the weights of a model that knows the kind of a sample."""
    model = untrained(keras, keras.Model, by_key=False)
    model.compile(keras.optimizers.Adam(0.03), loss=LOSSES, loss_weights={"kind": 1.0, "size": 0.0})
    model.fit(X, LABELS, epochs=40, batch_size=32, verbose=0)
    return list(model.get_weights())


def untrained(keras: Any, base: Any, *, by_key: bool) -> Any:
    """Builds a model with two heads, of which the second answers with zero."""
    keras.utils.set_random_seed(2)
    layers = keras.layers
    start = keras.Input((6,))
    kind = layers.Dense(3, activation="softmax", name="kind")(layers.Dense(16, activation="tanh")(start))
    size = layers.Dense(1, name="size", kernel_initializer="zeros")(layers.Dense(8, activation="tanh")(start))
    return base(start, {"kind": kind, "size": size} if by_key else [kind, size])


def two_heads(keras: Any, *, by_key: bool = False, base: Any = None, **options: Any) -> Any:
    """Builds a model whose first head is trained, while the second answers with zero."""
    model = untrained(keras, base or keras.Model, by_key=by_key)
    model.set_weights(trained_weights(keras))
    return compiled(keras, keras.optimizers.SGD(0.01), model=model, **{"loss": LOSSES, **options})


@functools.cache
def shared(keras: Any) -> Any:
    """Returns the model with two heads that tests share, because each new one is compiled again."""
    return two_heads(keras)


def scan(model: Any, *data: Any, monitor: str = "loss", callbacks: tuple[Any, ...] = (), **options: Any) -> LRScan:
    recorder = LRScan(start_lr=1e-6, end_lr=1.0, num_steps=40, monitor=monitor, verbose=0)
    given = {} if len(data) == 1 else {"batch_size": 32}
    model.fit(*(data or (X, LABELS)), verbose=0, callbacks=[recorder, *callbacks], **{"epochs": 7, **given, **options})
    return recorder


def starts(recorder: LRScan) -> dict[str, OutputStart]:
    return {output.name: output for output in recorder.curve.context.outputs}


@pytest.mark.parametrize(
    "by_key",
    [pytest.param(False, id="list"), pytest.param(True, id="keys", marks=pytest.mark.one_backend)],
)
def test_each_output_is_judged_by_its_own_loss(keras: Any, *, by_key: bool) -> None:
    model = two_heads(keras, by_key=by_key, loss_weights={"kind": 3.0, "size": 0.5})
    before = weights(model)
    recorder = scan(model)
    assert same_bits(before, weights(model))
    found = starts(recorder)
    assert list(found) == ["kind", "size"]
    assert found["kind"].chance_loss == pytest.approx(ENTROPY, rel=2e-3)
    assert found["kind"].uniform_loss == pytest.approx(np.log(3))
    assert found["size"].chance_loss == pytest.approx(SIZES.var(), rel=1e-3)
    assert found["size"].uniform_loss is None
    wrong = model.predict(X, verbose=0)
    kinds = np.asarray(wrong["kind"] if by_key else wrong[0])
    at_start = -np.log(kinds[np.arange(len(X)), KINDS]).mean()
    assert found["kind"].start_loss == pytest.approx(at_start, rel=0.02)  # 6 batches make up the data
    assert found["size"].start_loss == pytest.approx(np.mean(SIZES**2), rel=0.02)
    analysis = recorder.analysis
    assert analysis.verdict.start_state is StartState.MIXED
    assert "already-good" not in {finding.name for finding in analysis.findings}
    text = " ".join(analysis.explain().split())
    assert "Output `kind` starts at 0." in text
    assert "Output `size` starts at 1.0 times its chance level, so it does no better than guessing." in text


def test_training_after_a_scan_equals_training_without_one(keras: Any) -> None:
    ends = []
    for with_scan in (False, True):
        model = two_heads(keras)
        if with_scan:
            scan(model)
        model.fit(X, LABELS, epochs=1, shuffle=False, verbose=0)
        ends.append(weights(model))
    assert same_bits(*ends)


def test_the_history_of_a_scan_has_the_running_mean_of_each_output(keras: Any) -> None:
    recorder = LRScan(num_steps=8, start_lr=1e-8, end_lr=1e-7, verbose=0)
    history = shared(keras).fit(X, LABELS, batch_size=24, verbose=0, callbacks=[recorder]).history
    for name, output in starts(recorder).items():
        assert output.start_loss == pytest.approx(history[f"{name}_loss"][0], rel=1e-5)


def test_batches_of_a_generator_tell_the_starts(keras: Any) -> None:
    def batches() -> Iterator[Any]:
        for first in range(0, 32 * 50, 32):
            rows = np.arange(first, first + 32) % len(X)
            yield X[rows], {name: array[rows] for name, array in LABELS.items()}

    recorder = scan(shared(keras), batches(), epochs=1)
    assert recorder.analysis.verdict.start_state is StartState.MIXED
    assert all(output.start_loss is not None for output in starts(recorder).values())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data")
@pytest.mark.one_backend
def test_a_data_set_tells_the_starts(keras: Any) -> None:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(32)
    assert scan(shared(keras), data, shuffle=False).analysis.verdict.start_state is StartState.MIXED


@pytest.mark.one_backend
def test_sample_weights_count_in_the_chance_level_and_in_the_loss(keras: Any) -> None:
    weight = np.where(KINDS == 1, 3.0, 0.5).astype("float32")
    found = starts(scan(shared(keras), X, [KINDS, SIZES], sample_weight=[weight, weight]))
    assert found["size"].start_loss == pytest.approx(np.mean(weight * SIZES[:, 0] ** 2), rel=0.02)
    level = np.sum(weight * SIZES[:, 0]) / weight.sum()
    assert found["size"].chance_loss == pytest.approx(np.mean(weight * (SIZES[:, 0] - level) ** 2), rel=1e-2)


@pytest.mark.one_backend
@pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
def test_outputs_without_a_loss_or_without_weight_are_left_out(keras: Any) -> None:
    alone = scan(two_heads(keras, loss={"kind": LOSSES["kind"], "size": None}))
    assert starts(alone) == {}
    assert starts(scan(two_heads(keras, loss_weights={"kind": 1.0, "size": 0.0}))) == {}


@pytest.mark.one_host
def test_a_scan_of_one_output_judges_no_other(keras: Any) -> None:
    recorder = scan(shared(keras), monitor="size_loss")
    assert starts(recorder) == {}
    assert recorder.analysis.verdict.start_state is StartState.AT_CHANCE


@pytest.mark.one_host
def test_few_samples_are_not_compared_with_a_chance_level(keras: Any) -> None:
    found = starts(scan(shared(keras), batch_size=4, epochs=1))
    assert {output.start_loss for output in found.values()} == {None}


@pytest.mark.one_host
def test_high_rates_do_not_belong_to_the_start(keras: Any) -> None:
    recorder = LRScan(num_steps=8, verbose=0)
    shared(keras).fit(X, LABELS, epochs=2, batch_size=48, verbose=0, callbacks=[recorder])
    assert {output.start_loss for output in starts(recorder).values()} == {None}  # a single batch, too few samples


@pytest.mark.one_backend
def test_metrics_that_other_code_uses_do_not_tell_the_start(keras: Any) -> None:
    class Evaluating(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                self.model.evaluate(X[:8], {"kind": KINDS[:8], "size": 100 * SIZES[:8]}, verbose=0)

    found = starts(scan(shared(keras), callbacks=(Evaluating(),)))
    assert {output.start_loss for output in found.values()} == {None}


@pytest.mark.one_backend
def test_batches_of_a_loop_of_your_own_do_not_tell_the_start(keras: Any) -> None:
    model, recorder = shared(keras), LRScan(num_steps=10, verbose=0)
    with recorder.on(model):
        while not recorder.is_over:
            model.train_on_batch(X[:64], [KINDS[:64], SIZES[:64]])
    assert {output.start_loss for output in starts(recorder).values()} <= {None}


@pytest.mark.one_backend
def test_nothing_is_known_of_a_model_with_its_own_loss(keras: Any) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def compute_loss(self, *args: Any, **options: Any) -> Any:
            return 2 * super().compute_loss(*args, **options)

    assert starts(scan(two_heads(keras, base=Own))) == {}


@pytest.mark.one_host
def test_a_negative_loss_is_not_judged(keras: Any) -> None:
    losses = {"kind": LOSSES["kind"], "size": "cosine_similarity"}
    recorder = scan(two_heads(keras, loss=losses))
    assert "outputs start differently" not in " ".join(recorder.analysis.explain(level="full").split())


@pytest.mark.one_host
def test_a_probe_of_the_total_loss_confirms_nothing(keras: Any) -> None:
    recorder = scan(shared(keras))
    found = recorder.investigate(X, LABELS, probes=["start-against-chance"], verbose=0)
    assert "the total loss cannot tell" in " ".join(found.explain().split())
    confirmed = [finding.name for finding in found.analysis.findings if finding.status == "confirmed"]
    assert confirmed == []
