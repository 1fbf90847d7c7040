"""Defines the tasks: a pretrained network, data, the part that trains, an optimizer and a batch size."""

from __future__ import annotations

from dataclasses import dataclass

HEAD, LAST, ALL = "head", "last layers", "all"
"""Part that trains: the new last layer on a frozen body, the last block with it, or everything."""
NEW_HEAD, FINE_TUNED, RANDOM = "new head", "fine-tuned", "random"
"""Start: pretrained body with a new last layer, the same after a fine-tuning on other samples, or fresh weights."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Describes one task.

    Args:
        model: Key of `BODIES` in `models.py`.
        data: Key of `DATA` in `data.py`.
        trains: Part that trains.
        optimizer: Key of `OPTIMIZERS` in `train.py`.
        batch_size: Number of samples in a batch.
        steps: Number of training steps in a sweep.
        start: Kind of start weights.
    """

    model: str
    data: str
    trains: str
    optimizer: str
    batch_size: int
    steps: int
    start: str = NEW_HEAD

    @property
    def name(self) -> str:
        """Unique name."""
        parts = (self.model, self.data, f"trains {self.trains}", self.start, self.optimizer, str(self.batch_size))
        return ", ".join(parts)


L3, L6, EFFICIENTNET, MOBILENET = "MiniLM-L3", "MiniLM-L6", "EfficientNet-Lite0", "MobileNetV2"
NEWSWIRES, POSTS, CLOTHES, EMOJI = "newswires", "posts", "clothes", "emoji"
ADAM, ADAMW, SGD = "Adam", "AdamW", "SGD"


def task(model: str, data: str, trains: str, optimizer: str, batch_size: int, *, start: str = NEW_HEAD) -> Task:
    """Returns a task, whose number of steps depends on the part that trains."""
    steps = {HEAD: 64, LAST: 48, ALL: 24}[trains]
    return Task(
        model=model, data=data, trains=trains, optimizer=optimizer, batch_size=batch_size, steps=steps, start=start
    )


TASKS = (
    task(L3, NEWSWIRES, HEAD, ADAM, 32),
    task(L6, POSTS, LAST, ADAMW, 16),
    task(EFFICIENTNET, EMOJI, HEAD, ADAM, 32),
    task(L6, NEWSWIRES, HEAD, ADAM, 16, start=FINE_TUNED),
    task(L3, POSTS, HEAD, SGD, 16),
    task(L3, NEWSWIRES, ALL, ADAMW, 16),
    task(MOBILENET, CLOTHES, HEAD, SGD, 16),
    task(MOBILENET, CLOTHES, HEAD, ADAM, 32, start=FINE_TUNED),
    task(L6, POSTS, HEAD, ADAMW, 32),
    task(L6, POSTS, HEAD, SGD, 16, start=FINE_TUNED),
    task(EFFICIENTNET, CLOTHES, HEAD, SGD, 32),
    task(EFFICIENTNET, CLOTHES, HEAD, ADAM, 16),
    task(MOBILENET, EMOJI, HEAD, ADAMW, 16),
    task(MOBILENET, EMOJI, HEAD, SGD, 32, start=FINE_TUNED),
    task(L3, POSTS, LAST, ADAM, 16, start=FINE_TUNED),
    task(MOBILENET, EMOJI, LAST, ADAM, 16),
    task(L6, NEWSWIRES, HEAD, SGD, 32),
    task(EFFICIENTNET, EMOJI, HEAD, ADAMW, 16, start=FINE_TUNED),
    task(L3, NEWSWIRES, ALL, ADAM, 16, start=RANDOM),
    task(EFFICIENTNET, CLOTHES, LAST, SGD, 16),
    task(L6, NEWSWIRES, LAST, SGD, 16),
    task(L3, POSTS, ALL, ADAM, 16),
    task(L3, NEWSWIRES, ALL, ADAM, 16, start=FINE_TUNED),
    task(L3, POSTS, ALL, SGD, 16),
    task(MOBILENET, CLOTHES, LAST, SGD, 32),
    task(EFFICIENTNET, EMOJI, ALL, SGD, 16),
    task(L6, POSTS, ALL, ADAMW, 16),
)
"""All tasks, the most informative and the cheapest first. An interrupted run leaves out the last ones."""
