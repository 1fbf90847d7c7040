"""Tests the facts about data that are not arrays, which come from the first batches without consuming them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.hosts.host import Host
from keras_lrscan.inspection.first_batches import FirstBatches
from keras_lrscan.scan import LRScan
from tests.support.hosts import BACKEND, IS_TF_KERAS, digits, lent, same_bits, stacked, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keras_lrscan import LRCurve

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

X, Y = digits(320)
X[::8, 0] = 40.0
STEPS = 12


def in_turn() -> Iterator[Any]:
    while True:
        for start in range(0, 320, 32):
            yield X[start : start + 32], Y[start : start + 32]


def weighted(keras: Any) -> Any:
    class Batches(keras.utils.Sequence if IS_TF_KERAS else keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 10

        def __getitem__(self, index: int) -> Any:
            at = slice(32 * index, 32 * index + 32)
            return X[at], Y[at], (np.arange(32) % 4 > 0).astype("float32")

    return Batches()


def pipeline(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def make(_: Any) -> Any:
        tensorflow = pytest.importorskip("tensorflow")
        if BACKEND != "tensorflow":
            pytest.skip("tf.data comes with TensorFlow")
        return change(tensorflow.data.Dataset.from_tensor_slices((X, Y)))

    return make


def loader(*, shuffle: bool) -> Callable[[Any], Any]:
    def make(_: Any) -> Any:
        if BACKEND != "torch":
            pytest.skip("only torch takes these")
        torch = pytest.importorskip("torch")
        pairs = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
        return torch.utils.data.DataLoader(pairs, batch_size=32, shuffle=shuffle)

    return make


SOURCES: dict[str, tuple[Callable[[Any], Any], int | None, bool | None]] = {
    "generator": (lambda _: in_turn(), None, None),
    "sequence": (weighted, None, None),
    "pipeline": (pipeline(lambda data: data.cache().batch(32).prefetch(2)), 320, False),
    "whole batches": (pipeline(lambda data: data.batch(32, drop_remainder=True)), 320, False),
    "filtered": (pipeline(lambda data: data.filter(lambda *_: True).batch(32)), None, False),
    "repeated": (pipeline(lambda data: data.batch(32).repeat()), None, False),
    "shuffled": (pipeline(lambda data: data.shuffle(2, seed=1).batch(32)), 320, True),
    "loader": (loader(shuffle=False), 320, False),
    "shuffled loader": (loader(shuffle=True), 320, True),
}


def curve_of(keras: Any, data: Any, *, has_no_end: bool) -> LRCurve:
    keras.utils.set_random_seed(4)
    model = lent(keras)
    before = weights(model)
    recorder = LRScan(start_lr=1e-4, end_lr=1e-2, num_steps=STEPS, verbose=0)
    options = {"steps_per_epoch": 10} if has_no_end else {}
    model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[recorder], **options)
    assert same_bits(before, weights(model))
    return recorder.curve


@pytest.mark.parametrize("name", SOURCES)
def test_sources_tell_what_their_first_batches_hold_and_lose_none(
    keras: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, num_samples, shuffled = SOURCES[name]
    has_no_end = name in {"generator", "repeated"}
    curve = curve_of(keras, make(keras), has_no_end=has_no_end)
    context = curve.context
    assert (context.num_samples, context.shuffled) == (num_samples, shuffled)
    assert (context.input_high, context.nonfinite_inputs, context.nonfinite_targets) == (40, 0, 0)
    assert (context.bad_labels, context.target_high) == (0, None)
    assert context.majority_share == pytest.approx(0.13, abs=0.03)
    assert context.zero_weight_share == (0.25 if name == "sequence" else 0)
    monkeypatch.setattr(FirstBatches, "look", lambda _, context, args: (context, args))
    blind = curve_of(keras, make(keras), has_no_end=has_no_end)
    assert blind.context.input_high is None
    assert blind.loss.tolist() == curve.loss.tolist()


AMOUNTS = (X[:, :1] + X[:, 1:2]).astype("float32")


@functools.cache
def head(keras: Any, loss: str, units: int) -> Any:
    """Returns a model of one layer, which every scan leaves as it was."""
    activation = None if units == 1 else "softmax"
    return stacked(keras, (8,), lambda k: [k.Dense(units, activation=activation)], loss)


def fed(keras: Any, x: Any, y: Any, *, loss: str, units: int, order: Any = None) -> Any:
    """Returns the context of a scan on a generator."""
    order = np.arange(len(x)) if order is None else order

    def batches() -> Iterator[Any]:
        for start in range(0, len(x), 32):
            yield x[order[start : start + 32]], y[order[start : start + 32]]

    recorder = LRScan(start_lr=1e-7, end_lr=1e-5, num_steps=9, verbose=0)
    head(keras, loss, units).fit(batches(), shuffle=False, verbose=0, callbacks=[recorder])
    return recorder.curve.context


def test_the_first_batches_give_the_chance_level(keras: Any) -> None:
    context = fed(keras, X, AMOUNTS, loss="mse", units=1)
    assert context.data_seen == "first batches"
    assert context.chance_loss == pytest.approx(AMOUNTS[:256].var(), rel=0.01)
    codes = fed(keras, X, Y, loss="sparse_categorical_crossentropy", units=10)
    prior = np.bincount(Y[:256], minlength=10) / 256
    assert codes.chance_loss == pytest.approx(-(prior * np.log(prior)).sum(), rel=0.01)


@pytest.mark.one_host
def test_sorted_first_batches_are_detected_and_give_no_chance_level(keras: Any) -> None:
    order = np.argsort(AMOUNTS[:, 0])
    context = fed(keras, X, AMOUNTS, loss="mse", units=1, order=order)
    assert context.label_runs is not None
    assert context.label_runs > 0.95
    assert context.chance_loss is None


@pytest.mark.one_host
def test_samples_that_come_again_in_the_first_batches_are_seen(keras: Any) -> None:
    context = fed(keras, X, AMOUNTS, loss="mse", units=1, order=np.arange(320) % 40)
    assert (context.num_looked_at, context.num_distinct_inputs, context.contradicting_share) == (256, 40, 0)


@pytest.mark.one_host
def test_labels_of_the_first_batches_are_asked_whether_they_follow_the_inputs(keras: Any) -> None:
    assert fed(keras, X, AMOUNTS, loss="mse", units=1).labels_follow_inputs
    shuffled = np.random.default_rng(0).permutation(AMOUNTS)
    assert not fed(keras, X, shuffled, loss="mse", units=1).labels_follow_inputs


def test_batches_of_a_loop_are_looked_at_too(keras: Any) -> None:
    model = lent(keras)
    recorder = LRScan(start_lr=1e-4, end_lr=1e-2, num_steps=STEPS, verbose=0)
    with recorder.on(model):
        for _, (x, y) in zip(range(STEPS), in_turn(), strict=False):
            model.train_on_batch(x, y)
    assert (recorder.curve.context.input_high, recorder.curve.context.bad_labels) == (40, 0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="an iterator of tf.data comes with TensorFlow")
def test_an_iterator_made_again_is_of_the_same_kind_and_ends_are_left_to_fit(keras: Any) -> None:
    import tensorflow as tf

    def batches() -> Iterator[Any]:
        yield np.ones((2, 3), "float32"), {"y": np.zeros((2,), "int64")}

    signature = (tf.TensorSpec((None, None)), {"y": tf.TensorSpec((None,), "int64")})
    first = FirstBatches(Host(lent(keras)), "loss")
    source = iter(tf.data.Dataset.from_generator(batches, output_signature=signature))
    batch, (again,) = first._peek((source,))
    assert batch is not None
    assert again.element_spec == source.element_spec
    x, y = next(again)
    assert (x.shape, y["y"].shape) == ((2, 3), (2,))
    assert first._peek((source,)) == (None, (source,))
    for odd in (tf.data.Dataset.range(3), tf.data.Dataset.from_tensors(tf.sparse.eye(3))):
        source = iter(odd)
        assert first._peek((source,)) == (None, (source,))
        assert next(source) is not None
