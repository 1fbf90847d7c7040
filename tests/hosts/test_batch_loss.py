"""Tests that a meter recovers the batch loss from the running mean of an epoch, even of a very long one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_lrscan.hosts.batch_loss import StateMeter
from keras_lrscan.hosts.optimizers import RateVariable

SINGLE = np.float32


class Mean:
    """Imitates the `Mean` metric of Keras, as far as a meter uses it."""

    def __init__(self, total: object, count: object) -> None:
        self.name, self.total, self.count = "loss", total, count

    def result(self) -> None:
        """Does nothing."""


def test_precision_does_not_decay_over_a_hundred_thousand_batches() -> None:
    """Imitates a single-precision host that passes the state through the step as on JAX, with a spike in the loss."""
    rate, total, count = object(), object(), object()
    model = SimpleNamespace(
        optimizer=SimpleNamespace(variables=[rate]), metrics=[Mean(total, count)], metrics_variables=[total, count]
    )
    library = SimpleNamespace(metrics=SimpleNamespace(Mean=Mean))
    host: Any = SimpleNamespace(model=model, library=library)
    meter = StateMeter(host, [RateVariable(variable=rate)], "loss")
    random = np.random.default_rng(0)
    losses = random.lognormal(0.0, 1.0, 100_000)
    losses[10] = 1e8
    weights = random.integers(1, 513, len(losses))
    state: tuple[Any, ...] = ([], [], [SINGLE(0)], [SINGLE(0), SINGLE(0)])
    found, logged = [], 0.0
    for loss, weight in zip(losses, weights, strict=True):
        ((_, _, optimizer, (sum_before, count_before)),) = meter.before((state,), 1e-3, 0)
        sum_after = SINGLE(sum_before + SINGLE(loss) * SINGLE(weight))
        count_after = SINGLE(count_before + SINGLE(weight))
        state = ([], [], optimizer, [sum_after, count_after])
        reading = meter.after(({"loss": sum_after / count_after}, state))
        found.append(reading.loss)
        logged = reading.logged
    np.testing.assert_allclose(found, losses, rtol=1e-6)
    np.testing.assert_allclose(logged, np.average(losses, weights=weights), rtol=1e-6)
