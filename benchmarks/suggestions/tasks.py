"""Defines the tasks of the benchmark as rows, each of which becomes three tasks with different optimizers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import cycle, islice

OPTIMIZERS = (
    *("Adam", "SGD", "Momentum", "AdamW", "RMSprop", "Adam", "Momentum", "Lion", "SGD"),
    *("AdamW", "RMSprop", "Nadam", "Adam", "SGD", "Momentum", "AdamW", "RMSprop", "Adagrad"),
)
"""Optimizers, assigned in this order with three per row, so that every kind of task uses all of them."""
FRESH, SAME, HEAD, SHIFTED, FROZEN = "fresh", "same-task", "new-head", "shifted", "frozen-body"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Describes the training of the start weights with Adam: data, changes and number of steps."""

    data: str | None = None
    changes: tuple[str, ...] = ()
    steps: int = 400


@dataclass(frozen=True, kw_only=True)
class Row:
    """Describes a data set, a model and a loss.

    Args:
        kind: Kind of task.
        data: Key of `SOURCES` in `sources.py`.
        model: Key of `MODELS` in `models.py`.
        loss: Key of `LOSSES` in `keras_formulas.py`.
        batches: Batch size of each of its tasks.
        steps: Number of training steps in a sweep.
        changes: Keys of `CHANGES` in `data.py`.
        normalization: "none", "batch" or "layer".
        dropout: Dropout rate before the output layer.
        l2: Factor of the squared kernels in the loss.
        summed: Whether the loss is the sum over the batch instead of its mean.
        start: Kind of start weights.
        source: Training of the start weights, unless they are fresh.
    """

    kind: str
    data: str
    model: str
    loss: str = "SparseCategoricalCrossentropy"
    batches: tuple[int, ...] = (16, 32, 64)
    steps: int = 400
    changes: tuple[str, ...] = ()
    normalization: str = "none"
    dropout: float = 0.0
    l2: float = 0.0
    summed: bool = False
    start: str = FRESH
    source: Source = field(default_factory=Source)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Combines a row with one optimizer and one batch size."""

    row: Row
    optimizer: str
    batch_size: int

    @property
    def name(self) -> str:
        """Unique name, composed of all settings that differ from the defaults."""
        row = self.row
        extras = [*row.changes, f"{row.normalization} norm" * (row.normalization != "none")]
        extras += [f"dropout {row.dropout}" * (row.dropout > 0), f"L2 {row.l2}" * (row.l2 > 0), "summed" * row.summed]
        start = row.start if row.start == FRESH else f"{row.start} after {row.source.steps} steps"
        parts = [row.data, row.model, row.loss, start, *extras, self.optimizer, str(self.batch_size)]
        return ", ".join(part for part in parts if part)

    @property
    def family(self) -> str:
        """Name shared by all tasks that are held out together."""
        return f"{self.row.data}, {self.row.model}"


BINARY, SQUARED, ABSOLUTE = "BinaryCrossentropy", "MeanSquaredError", "MeanAbsoluteError"
HUBER, COSINE, NORMAL = "Huber", "CosineSimilarity", "GaussianNLL"
SMALL, MIDDLE, LARGE, WIDE = (4, 16, 32), (16, 32, 64), (32, 64, 128), (8, 64, 256)

FRESH_ROWS = (
    Row(kind="tabular", data="breast_cancer", model="dense", loss=BINARY, batches=(8, 32, 64), steps=300),
    Row(kind="tabular", data="wine", model="linear", batches=SMALL, steps=300),
    Row(kind="tabular", data="titanic", model="dense", loss=BINARY, batches=WIDE, normalization="batch"),
    Row(kind="tabular", data="letters", model="dense", batches=WIDE, steps=500),
    Row(kind="tabular", data="letters", model="dense", changes=("20 % wrong labels",), normalization="batch"),
    Row(kind="tabular", data="segment", model="dense", batches=MIDDLE, dropout=0.3),
    Row(kind="tabular", data="phishing", model="linear", loss=BINARY, batches=(4, 32, 128), steps=300),
    Row(kind="tabular", data="satellite", model="dense", changes=("unscaled",), batches=LARGE),
    Row(kind="tabular", data="hr", model="dense", batches=LARGE, l2=1e-3),
    Row(kind="tabular", data="default", model="dense", loss=BINARY, batches=(32, 64, 256)),
    Row(kind="tabular", data="wine", model="dense", changes=("unscaled",), batches=(16, 32, 64), steps=300),
    Row(kind="regression", data="diabetes", model="linear", loss=SQUARED, batches=SMALL, steps=300),
    Row(kind="regression", data="bikes", model="dense", loss=SQUARED, batches=WIDE),
    Row(kind="regression", data="bikes", model="dense", loss=ABSOLUTE, normalization="layer"),
    Row(kind="regression", data="apartments", model="dense", loss=HUBER, changes=("unscaled targets",)),
    Row(kind="regression", data="fifa_value", model="dense", loss=NORMAL, batches=LARGE),
    Row(kind="regression", data="wage", model="dense", loss=SQUARED, changes=("unscaled targets",), batches=LARGE),
    Row(kind="regression", data="fifa_value", model="dense", loss=HUBER, normalization="batch"),
    Row(kind="image", data="digits", model="dense", batches=(8, 32, 128), steps=300),
    Row(kind="image", data="digits", model="CNN", normalization="batch", steps=300),
    Row(kind="image", data="mnist", model="CNN", batches=SMALL),
    Row(kind="image", data="mnist", model="dense", changes=("unscaled",), batches=LARGE, steps=300),
    Row(kind="image", data="fashion", model="CNN", normalization="batch", batches=MIDDLE, steps=300),
    Row(kind="image", data="fashion", model="dense", summed=True, batches=MIDDLE, steps=300),
    Row(kind="image", data="fashion", model="dense", changes=("40 % wrong labels",), batches=(16, 64, 256)),
    Row(kind="image", data="mnist", model="dense", dropout=0.3, l2=1e-3, steps=300),
    Row(kind="image", data="mnist", model="transformer", normalization="layer", batches=(16, 32, 32), steps=300),
    Row(kind="image", data="fashion", model="CNN", changes=("20 % wrong labels",), batches=(8, 16, 32), steps=300),
    Row(kind="text", data="reuters8", model="bag of words", batches=MIDDLE),
    Row(kind="text", data="newsgroups", model="bag of words", batches=MIDDLE, steps=500),
    Row(kind="text", data="reuters8", model="GRU", batches=SMALL, steps=300),
    Row(kind="text", data="newsgroups", model="transformer", normalization="layer", batches=(16, 32, 32)),
    Row(kind="text", data="newsgroups_counts", model="linear", batches=LARGE, steps=300),
    Row(kind="text", data="reuters52", model="CNN", batches=(16, 16, 32), steps=300),
    Row(kind="sequence", data="mnist", model="GRU", batches=(16, 16, 32), steps=300),
    Row(kind="sequence", data="vowels", model="GRU", normalization="layer", batches=SMALL, steps=300),
    Row(kind="sequence", data="power", model="simple RNN", loss=BINARY, batches=(8, 16, 32), steps=300),
    Row(kind="sequence", data="vowels", model="CNN", normalization="batch", batches=MIDDLE, steps=300),
    Row(kind="sequence", data="nyse", model="GRU", loss=SQUARED, batches=MIDDLE, steps=300),
    Row(kind="sequence", data="water", model="CNN", loss=ABSOLUTE, batches=SMALL, steps=300),
    Row(kind="autoencoding", data="digits", model="autoencoder", loss=SQUARED, changes=("autoencoding",)),
    Row(kind="autoencoding", data="mnist", model="autoencoder", loss=BINARY, changes=("autoencoding",), batches=LARGE),
    Row(kind="autoencoding", data="fashion", model="autoencoder", loss=COSINE, changes=("autoencoding",)),
    Row(kind="autoencoding", data="segment", model="autoencoder", loss=ABSOLUTE, changes=("autoencoding",)),
    Row(kind="recommender", data="ratings", model="factorisation", loss=SQUARED, batches=WIDE, steps=600),
    Row(kind="recommender", data="ratings", model="factorisation", loss=HUBER, batches=LARGE, steps=600),
    Row(kind="recommender", data="occurrences", model="factorisation", loss=BINARY, batches=LARGE, steps=600),
    Row(kind="language model", data="grimm", model="GRU language model", batches=(8, 16, 32), steps=300),
    Row(
        kind="language model",
        data="grimm",
        model="transformer language model",
        normalization="layer",
        batches=(8, 16, 32),
        steps=300,
    ),
)


def continued(row: Row, *, after: int, steps: int, changes: tuple[str, ...] = ("first half",)) -> Row:
    """Returns a row that continues with weights trained for `after` steps on part of its own data."""
    source = Source(changes=(*row.changes, *changes), steps=after)
    return Row(**(vars(row) | {"start": SAME, "steps": steps, "source": source}))


def moved(
    row: Row, *, to: str = "", away: str = "", data: str | None = None, after: int = 400, steps: int = 200
) -> Row:
    """Returns a row that continues with weights trained on other data.

    Args:
        row: Row of the data set and model.
        to: Change applied to the data of the new training.
        away: Change applied to the data of the earlier training.
        data: Data set of the new training, if another one.
        after: Number of steps of the earlier training.
        steps: Number of steps of a sweep.
    """
    source = Source(data=row.data, changes=(*row.changes, *((away,) if away else ())), steps=after)
    changes = (*row.changes, *((to,) if to else ()))
    here = {"start": SHIFTED, "steps": steps, "source": source, "data": data or row.data, "changes": changes}
    return Row(**(vars(row) | here))


def new_head(row: Row, *, frozen: bool = False, after: int = 400, steps: int = 200) -> Row:
    """Returns a row with a body trained on one half of the classes and a new head for the other half."""
    source = Source(data=row.data, changes=(*row.changes, "lower classes"), steps=after)
    start = FROZEN if frozen else HEAD
    changes = (*row.changes, "upper classes")
    return Row(**(vars(row) | {"start": start, "steps": steps, "source": source, "changes": changes}))


IMAGE_CNN = Row(kind="image", data="mnist", model="CNN")
IMAGE_CNN_BATCH = Row(kind="image", data="fashion", model="CNN", normalization="batch")
LETTERS = Row(kind="tabular", data="letters", model="dense", batches=LARGE)
BIKES = Row(kind="regression", data="bikes", model="dense", loss=SQUARED)
GRIMM_GRU = Row(kind="language model", data="grimm", model="GRU language model", batches=(4, 8, 16))
GRIMM_TRANSFORMER = Row(
    kind="language model", data="grimm", model="transformer language model", normalization="layer", batches=(8, 16, 32)
)
NEWS_BAG = Row(kind="text", data="newsgroups", model="bag of words")
NEWS_TRANSFORMER = Row(kind="text", data="newsgroups", model="transformer", normalization="layer", batches=(16, 32, 32))
VOWELS = Row(kind="sequence", data="vowels", model="GRU", batches=SMALL)
RATINGS = Row(kind="recommender", data="ratings", model="factorisation", loss=SQUARED, batches=LARGE)

PRETRAINED_ROWS = (
    continued(IMAGE_CNN, after=150, steps=300),
    continued(IMAGE_CNN_BATCH, after=100, steps=200),
    continued(LETTERS, after=200, steps=300),
    continued(BIKES, after=100, steps=300),
    continued(NEWS_BAG, after=1500, steps=300),
    continued(NEWS_TRANSFORMER, after=150, steps=250),
    continued(VOWELS, after=60, steps=200),
    continued(
        Row(kind="autoencoding", data="digits", model="autoencoder", loss=SQUARED, changes=("autoencoding",)),
        after=150,
        steps=300,
    ),
    continued(
        Row(kind="autoencoding", data="fashion", model="autoencoder", loss=COSINE, changes=("autoencoding",)),
        after=300,
        steps=300,
    ),
    continued(
        Row(kind="autoencoding", data="mnist", model="autoencoder", loss=BINARY, changes=("autoencoding",)),
        after=400,
        steps=300,
    ),
    continued(Row(kind="regression", data="fifa_value", model="dense", loss=NORMAL), after=100, steps=300),
    continued(RATINGS, after=300, steps=300),
    continued(GRIMM_GRU, after=150, steps=250),
    continued(GRIMM_TRANSFORMER, after=150, steps=250),
    new_head(Row(kind="image", data="digits", model="CNN"), after=300, steps=150),
    new_head(IMAGE_CNN, steps=150),
    new_head(IMAGE_CNN_BATCH, steps=200),
    new_head(LETTERS, after=600, steps=200),
    new_head(NEWS_BAG, after=1500, steps=300),
    new_head(NEWS_TRANSFORMER, steps=250),
    new_head(VOWELS, after=200, steps=150),
    new_head(IMAGE_CNN, frozen=True, steps=200),
    new_head(LETTERS, frozen=True, after=600, steps=300),
    moved(IMAGE_CNN, to="rotated"),
    moved(IMAGE_CNN, data="fashion"),
    moved(IMAGE_CNN_BATCH, to="noise"),
    moved(Row(kind="image", data="mnist", model="dense", batches=LARGE), to="labels moved by one"),
    moved(LETTERS, to="noise", after=600),
    moved(BIKES, away="low rows", to="high rows"),
    moved(Row(kind="tabular", data="satellite", model="dense", batches=LARGE), to="shuffled inputs"),
    moved(Row(kind="text", data="reuters8", model="GRU", batches=SMALL), to="20 % wrong labels"),
    moved(GRIMM_GRU, data="excerpts", after=600),
    moved(GRIMM_TRANSFORMER, data="excerpts", after=600),
)

FEW, HALF = ("a tenth",), ("first half",)
SEGMENT = Row(kind="tabular", data="segment", model="dense", normalization="batch")
DIGITS = Row(kind="image", data="digits", model="dense")
DIGITS_CODE = Row(kind="autoencoding", data="digits", model="autoencoder", loss=SQUARED, changes=("autoencoding",))

WELL_TRAINED_ROWS = (
    continued(DIGITS, after=400, steps=200, changes=HALF),
    continued(Row(kind="image", data="digits", model="CNN", normalization="batch"), after=300, steps=150, changes=FEW),
    continued(IMAGE_CNN, after=500, steps=250, changes=FEW),
    continued(Row(kind="image", data="fashion", model="dense"), after=400, steps=300, changes=FEW),
    continued(LETTERS, after=3000, steps=300, changes=HALF),
    continued(Row(kind="tabular", data="satellite", model="dense"), after=600, steps=300, changes=FEW),
    continued(
        Row(kind="tabular", data="segment", model="dense", normalization="batch"), after=400, steps=200, changes=FEW
    ),
    continued(Row(kind="tabular", data="breast_cancer", model="dense", loss=BINARY), after=150, steps=150, changes=FEW),
    continued(Row(kind="text", data="reuters8", model="bag of words"), after=1000, steps=300, changes=FEW),
    continued(VOWELS, after=300, steps=200, changes=HALF),
    continued(BIKES, after=600, steps=300, changes=FEW),
    continued(DIGITS_CODE, after=1500, steps=300, changes=HALF),
    continued(RATINGS, after=1000, steps=300, changes=HALF),
)
"""Rows that start far below the chance level: trained for long, or on few examples, and then on all of them."""

WIDE_OPTIMIZERS = ("Adam", "AdamW", "RMSprop", "Adam", "Lion", "AdamW", "Nadam", "RMSprop", "Momentum", "Adam", "AdamW")
TWO = (16, 32)
WIDE_CNN = Row(kind="image", data="fashion", model="wide CNN", batches=TWO, steps=200)
WIDE_LETTERS = Row(kind="tabular", data="letters", model="wider dense", batches=(32, 64), steps=300)
WIDE_BAG = Row(kind="text", data="newsgroups", model="wide bag of words", batches=TWO, steps=300)
WIDE_TRANSFORMER = Row(
    kind="text", data="reuters8", model="wide transformer", normalization="layer", batches=(16,), steps=200
)

WIDE_ROWS = (
    Row(kind="image", data="mnist", model="wide dense", batches=(16, 32, 64), steps=300),
    Row(kind="image", data="fashion", model="wider dense", normalization="batch", batches=TWO, steps=200),
    WIDE_LETTERS,
    WIDE_CNN,
    WIDE_BAG,
    WIDE_TRANSFORMER,
    Row(kind="image", data="mnist", model="widest dense", batches=TWO, steps=200),
    Row(kind="image", data="mnist", model="wide CNN", normalization="batch", batches=(16,), steps=200),
    Row(kind="sequence", data="vowels", model="wide GRU", batches=(16,), steps=200),
    Row(kind="regression", data="bikes", model="wide dense", loss=SQUARED, batches=TWO, steps=300),
    Row(
        kind="autoencoding",
        data="mnist",
        model="wide autoencoder",
        loss=BINARY,
        changes=("autoencoding",),
        batches=TWO,
        steps=300,
    ),
    continued(Row(kind="image", data="mnist", model="wide dense", batches=TWO), after=200, steps=200, changes=FEW),
    continued(WIDE_LETTERS, after=500, steps=200, changes=HALF),
    continued(WIDE_BAG, after=400, steps=200, changes=HALF),
    continued(WIDE_TRANSFORMER, after=150, steps=150, changes=HALF),
    new_head(WIDE_CNN, steps=150),
    new_head(WIDE_LETTERS, steps=200),
    moved(Row(kind="image", data="mnist", model="wider dense", batches=TWO), to="rotated", steps=150),
    moved(WIDE_CNN, to="noise", steps=150),
)
"""Rows of models with 70,000 to 1,300,000 weights."""


def all_tasks() -> list[Task]:
    """Returns all tasks of small models in a fixed shuffled order, so that the first tasks are always a fair sample."""
    return _shuffled((*FRESH_ROWS, *PRETRAINED_ROWS, *WELL_TRAINED_ROWS), OPTIMIZERS)


def wide_tasks() -> list[Task]:
    """Returns the tasks of wide models in a fixed shuffled order."""
    return _shuffled(WIDE_ROWS, WIDE_OPTIMIZERS)


def _shuffled(rows: tuple[Row, ...], names: tuple[str, ...]) -> list[Task]:
    """Returns a task for each batch size of each row, with the optimizers in turn."""
    optimizers = cycle(names)
    tasks = [
        Task(row=row, optimizer=optimizer, batch_size=size)
        for row in rows
        for size, optimizer in zip(row.batches, islice(optimizers, len(row.batches)), strict=True)
    ]
    random.Random(0).shuffle(tasks)  # noqa: S311 - an order, not a secret
    return tasks
