"""Tests scans on data of known and unknown length, in every form that `fit` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.scan import LRScan, lr_scan
from tests.support.hosts import BACKEND, IS_TF_KERAS, digits, lent, same_bits, weights

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

STEPS = 12


def endless() -> Iterator[Any]:
    x, y = digits(320)
    while True:
        for start in range(0, 320, 32):
            yield x[start : start + 32], y[start : start + 32]


def scan(model: Any, data: Any, **options: Any) -> LRScan:
    recorder = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=STEPS, verbose=0)
    model.fit(data, verbose=0, shuffle=False, callbacks=[recorder], **options)
    return recorder


def test_an_endless_generator_is_left_when_the_scan_is_done(keras: Any) -> None:
    model = lent(keras)
    before = weights(model)
    recorder = scan(model, endless(), steps_per_epoch=1000)
    assert (len(recorder.curve), recorder.curve.stop) == (STEPS, StopReason.END_LR)
    assert "batches of your generator" in recorder.curve.context.notes[0]
    assert same_bits(before, weights(model))


def test_an_iterator_of_unknown_length_runs_the_steps_that_were_asked_for(keras: Any) -> None:
    batches = endless()
    recorder = scan(lent(keras), (next(batches) for _ in range(40)))
    assert (len(recorder.curve), recorder.curve.stop) == (STEPS, StopReason.END_LR)
    assert recorder.curve.context.steps_per_epoch is None


def test_the_function_takes_a_generator(keras: Any) -> None:
    batches = endless()
    analysis = lr_scan(lent(keras), (next(batches) for _ in range(40)), num_steps=STEPS, verbose=0)
    assert len(analysis.curve) == STEPS


def test_a_sequence_of_batches(keras: Any) -> None:
    x, y = digits(320)

    class Batches(keras.utils.Sequence if IS_TF_KERAS else keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Any:
            start = 32 * index
            return x[start : start + 32], y[start : start + 32]

    recorder = scan(lent(keras), Batches(), epochs=3)
    assert len(recorder.curve) == STEPS
    assert recorder.curve.context.steps_per_epoch == 5


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.data comes with TensorFlow")
@pytest.mark.parametrize("kind", ["known", "unknown", "repeated", "shuffled"])
def test_tf_data_of_known_and_unknown_length(keras: Any, kind: str) -> None:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices(digits(320)).batch(32)
    data = {
        "known": data,
        "unknown": data.filter(lambda *_: True),
        "repeated": data.repeat(),
        "shuffled": data.shuffle(10).prefetch(1),
    }[kind]
    options = {"steps_per_epoch": 10} if kind == "repeated" else {}
    recorder = scan(lent(keras), data, epochs=2, **options)
    assert (len(recorder.curve), recorder.curve.stop) == (STEPS, StopReason.END_LR)
    noted = any("shuffle draws a new order" in note for note in recorder.curve.context.notes)
    assert noted == (kind == "shuffled")
