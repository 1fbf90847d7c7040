"""Builds small ktrain learners, and scans them with ktrain's own finder or its replacement."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.integrations.ktrain.adapter import lr_find
from tests.support.hosts import classifier, digits, stop_tuning_pipelines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

KTRAIN, OURS = "ktrain", "ours"

IS_MISSING = importlib.util.find_spec("ktrain") is None and os.environ.get("TOX_ENV_NAME") != "ktrain"
"""Whether ktrain is missing and these tests may be skipped, which the ktrain environment forbids."""

MARKS = [
    pytest.mark.ktrain,
    pytest.mark.skipif(IS_MISSING, reason="ktrain is not installed"),
    # importing ktrain and TensorFlow raises many warnings
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning", "ignore::FutureWarning"),
]

WORDS = ("good", "fine", "nice", "great", "bad", "poor", "awful", "sad")


def ktrain() -> Any:
    """Returns the imported package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("dataset", "tabular", "text", "vision"):
            importlib.import_module(f"ktrain.{name}")
    stop_tuning_pipelines()
    return importlib.import_module("ktrain")


def keras() -> Any:
    """Returns the Keras that ktrain uses."""
    import tf_keras

    return tf_keras


def scan(who: str, learner: Any, **options: Any) -> Any:
    """Calls `lr_find` of `who`, without output and ktrain's warnings."""
    if who == OURS:
        return lr_find(learner, **{"verbose": 0, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ktrain().core.Learner.lr_find(learner, **{"verbose": 0, **options})


def short_scan(who: str, learner: Any, **options: Any) -> Any:
    """Scans one epoch with ktrain, or 100 batches of any size with the replacement."""
    return scan(who, learner, **({"max_epochs": 1} if who == KTRAIN else {"lr_mult": 1.2}), **options)


def learner_of(model: Any, data: Any, batch_size: int = 32) -> Any:
    """Returns a learner for `model`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ktrain().get_learner(model, train_data=data, batch_size=batch_size)


def dense(
    *,
    size: int = 200,
    batch_size: int = 32,
    optimizer: Any = None,
    loss: Any = None,
    model: Any = None,
    data: Any = None,
) -> Any:
    """Returns a learner of a small network with array data."""
    x, y = digits(size)
    model = classifier(keras()) if model is None else model
    loss = "sparse_categorical_crossentropy" if loss is None else loss
    model.compile(optimizer=optimizer or keras().optimizers.legacy.Adam(1e-3), loss=loss, metrics=["accuracy"])
    return learner_of(model, (x, y) if data is None else data, batch_size)


@functools.cache
def shared(size: int = 200, batch_size: int = 32) -> Any:
    """Returns a learner that tests share as long as nothing but our scan, which leaves it as it was, is run on it."""
    return dense(size=size, batch_size=batch_size)


def counted_batches(x: NDArray[Any], y: NDArray[Any], batch_size: int, before: Callable[[int], None]) -> Any:
    """Returns a data set that calls `before` with the count of batches before it returns each one."""
    from ktrain.dataset import SequenceDataset

    class Counted(SequenceDataset):  # type: ignore[misc]
        served = 0

        def __len__(self) -> int:
            return math.ceil(len(x) / batch_size)

        def __getitem__(self, at: int) -> tuple[NDArray[Any], NDArray[Any]]:
            Counted.served += 1
            before(Counted.served)
            rows = slice(at * self.batch_size, (at + 1) * self.batch_size)
            return x[rows], y[rows]

        def nsamples(self) -> int:
            return len(x)

        def get_y(self) -> NDArray[Any]:
            return y

    return Counted(batch_size=batch_size)


def texts(size: int) -> tuple[list[str], list[int]]:
    """Returns sentences of positive or negative words, and their labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, size).tolist()
    half = len(WORDS) // 2
    return [" ".join(random.choice(WORDS[half * label : half * (label + 1)], 5)) for label in labels], labels


def transformer(folder: Path, *, size: int = 80, batch_size: int = 8, **compiled: Any) -> Any:
    """Returns a learner of a one-layer BERT for `texts`, and creates its checkpoint in `folder`."""
    import transformers

    if not (folder / "config.json").exists():
        folder.mkdir(exist_ok=True)
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
        transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
        keras().utils.set_random_seed(0)
        config = transformers.BertConfig(
            vocab_size=5 + len(WORDS),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            max_position_embeddings=8,
        )
        model = transformers.TFBertForSequenceClassification(config)
        model(model.dummy_inputs)
        model.save_pretrained(folder)
    keras().utils.set_random_seed(0)
    preprocessor = ktrain().text.Transformer(str(folder), maxlen=8, class_names=["kind", "unkind"])
    data = preprocessor.preprocess_train(*texts(size), verbose=0)
    model = preprocessor.get_classifier()
    if compiled:
        model.compile(**compiled)
    return learner_of(model, data, batch_size)
