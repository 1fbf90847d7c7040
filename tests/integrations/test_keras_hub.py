"""Tests a KerasHub task built from a config: `fit` and every experiment preprocess its texts once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_lrscan import LRScan, contrast_with_scratch, investigate, lr_scan, race
from tests.support import optional
from tests.support.hosts import same_bits, state

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # raised by KerasHub's dependencies
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning"),  # by KerasHub, in every fit
]

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "good", "bad", "film"]
TEXTS = ["good film", "bad film"] * 16
LABELS = np.array([0, 1] * 16)
FED: dict[str, Any] = {"batch_size": 8, "verbose": 0}


@pytest.fixture(name="task", scope="module")
def _task(keras: Any) -> Any:
    models = optional.module("keras_hub", environment="py").models
    tokenizer = models.BertTokenizer(vocabulary=WORDS)
    keras.utils.set_random_seed(0)
    backbone = models.BertBackbone(
        vocabulary_size=len(WORDS),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=8,
        max_sequence_length=8,
        dropout=0.0,
    )
    task = models.BertTextClassifier(
        backbone=backbone,
        num_classes=2,
        preprocessor=models.BertTextClassifierPreprocessor(tokenizer, sequence_length=8),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    task.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, jit_compile=False)
    return task


def test_texts_are_scanned_in_fit_and_the_task_is_put_back(task: Any) -> None:
    task.fit(TEXTS, LABELS, **FED)
    before = state(task)
    scan = LRScan(num_steps=8, verbose=0)
    task.fit(TEXTS, LABELS, epochs=2, callbacks=[scan], **FED)
    assert len(scan.curve) == 8
    assert scan.curve.context.batch_size == 8
    assert same_bits(before, state(task))


def test_experiments_and_probes_take_texts(task: Any) -> None:
    before = state(task)
    analysis = lr_scan(task, TEXTS, LABELS, num_steps=8, **FED)
    found = investigate(task, TEXTS, LABELS, analysis=analysis, probes=["hold-first-rate"], **FED)
    assert str(found.results[0].outcome) != "not-possible"
    contrast = contrast_with_scratch(task, TEXTS, LABELS, num_steps=8, **FED)
    assert contrast.scratch is not None
    assert race(task, TEXTS, LABELS, candidates=[1e-3, 1e-2], steps=8, **FED).candidates
    assert same_bits(before, state(task))


def test_a_task_without_a_preprocessor_takes_what_it_would_make(task: Any) -> None:
    x, preprocessor = task.preprocessor(TEXTS), task.preprocessor
    task.preprocessor = None
    try:
        analysis = lr_scan(task, x, LABELS, num_steps=8, **FED)
        contrast = contrast_with_scratch(task, x, LABELS, num_steps=8, **FED)
    finally:
        task.preprocessor = preprocessor
    assert len(analysis.curve) == 8
    assert len(contrast.given.curve) == 8
