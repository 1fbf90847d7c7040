"""Tests whether every epoch has the same batches, and that a scan knows it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from keras_lrscan.causes.cause import CauseStatus
from keras_lrscan.scan import LRScan
from tests.support.hosts import BACKEND, IS_TF_KERAS, digits, lent, light

pytestmark = [pytest.mark.keras, pytest.mark.minors]


def scanned(keras: Any, *, seeded: bool, **options: Any) -> tuple[bool, LRScan]:
    """Returns whether two epochs had the same batches, and a scan of the same `fit`."""
    x, y = digits(256)
    model = light(keras)
    seen: list[Any] = []

    class Watching(keras.Sequential):  # type: ignore[misc]
        def compute_loss(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
            seen.append(x)
            return super().compute_loss(x, *args, **kwargs)

    watching = light(keras, model=Watching(model.layers), run_eagerly=True)
    scan = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=16, verbose=0)
    if seeded:
        keras.utils.set_random_seed(3)
    elif "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(None)
    watching.fit(x, y, batch_size=32, epochs=2, verbose=0, **options)
    model.fit(x, y, batch_size=32, epochs=2, verbose=0, callbacks=[scan], **options)
    first, second = (list(map(np.asarray, part)) for part in (seen[-16:-8], seen[-8:]))  # some hosts build with a batch
    return all(map(np.array_equal, first, second)), scan


@pytest.mark.skipif(BACKEND != "tensorflow" or IS_TF_KERAS, reason="only Keras 3 on TensorFlow repeats its shuffle")
@pytest.mark.parametrize("seeded", [True, False], ids=["seed", "no seed"])
def test_a_seed_makes_keras_repeat_its_shuffle_and_a_scan_knows(keras: Any, seeded: bool) -> None:
    repeats, scan = scanned(keras, seeded=seeded)
    assert scan.curve.context.order_repeats is repeats is seeded
    (ordered,) = [finding for finding in scan.analysis.excluded if finding.name == "ordered-data"]
    assert ordered.status == CauseStatus.RULED_OUT
    assert any("repeats one random order" in sentence for sentence in ordered.evidence) is seeded


@pytest.mark.skipif(IS_TF_KERAS, reason="tf_keras has another `compute_loss`")
def test_arrays_that_are_not_shuffled_repeat_too(keras: Any) -> None:
    repeats, scan = scanned(keras, seeded=False, shuffle=False)
    assert scan.curve.context.order_repeats is repeats is True


@pytest.mark.skipif(BACKEND == "tensorflow" and not IS_TF_KERAS, reason="Keras 3 on TensorFlow repeats its shuffle")
def test_other_hosts_shuffle_anew_with_a_seed(keras: Any) -> None:
    scan = LRScan(start_lr=1e-5, end_lr=1e-2, num_steps=16, verbose=0)
    keras.utils.set_random_seed(3)
    lent(keras).fit(*digits(256), batch_size=32, epochs=2, verbose=0, callbacks=[scan])
    assert scan.curve.context.order_repeats is False
