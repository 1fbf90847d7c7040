"""Tests the proof that a logged value is the loss of one batch, on simulated steps without a host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.logged_loss import _prove

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LOSSES = st.floats(0.01, 100.0)
METER: Any = SimpleNamespace(monitor="loss")


class FakeStage:
    """Simulates a step with a loss that depends on its weights, and logs it through the function `log`."""

    def __init__(self, loss: float, log: Callable[[float], float], *, slope: float = 1.0) -> None:
        self.first: list[NDArray[Any]] = []
        self._loss, self._log, self._slope = loss, log, slope

    def run(self, *, push: float = 0.0, left: Sequence[int] = (), rate: float | None = None) -> float:
        """Returns the logged loss of one step."""
        return self._log(self._loss * (1.0 + self._slope * push))

    def changed(self) -> list[int]:
        """Reports no variables."""
        return []


def proves(loss: float, log: Callable[[float], float], *, slope: float = 1.0) -> bool:
    stage: Any = FakeStage(loss, log, slope=slope)
    try:
        _prove(stage, METER)
    except ScanError:
        return False
    return True


@given(loss=LOSSES, scale=st.floats(0.01, 1000.0), slope=st.floats(0.1, 10.0) | st.floats(-10.0, -0.1))
def test_a_value_that_hangs_on_the_batch_alone_is_taken(loss: float, scale: float, slope: float) -> None:
    assert proves(loss, lambda value: scale * value, slope=slope)


@given(loss=LOSSES, history=st.lists(LOSSES, max_size=50))
def test_the_mean_of_all_batches_is_not(loss: float, history: list[float]) -> None:
    seen = list(history)

    def log(value: float) -> float:
        seen.append(value)
        return sum(seen) / len(seen)

    assert not proves(loss, log)


@given(loss=LOSSES, decay=st.floats(0.01, 0.999), start=st.none() | st.just(0.0) | LOSSES)
def test_a_fading_average_is_not(loss: float, decay: float, start: float | None) -> None:
    kept = [start]

    def log(value: float) -> float:
        before = kept[0]
        after = value if before is None else decay * before + (1.0 - decay) * value
        kept[0] = after
        return after

    assert not proves(loss, log)


@given(loss=LOSSES, window=st.integers(2, 20))
def test_the_mean_of_the_last_batches_is_not(loss: float, window: int) -> None:
    seen: list[float] = []

    def log(value: float) -> float:
        seen.append(value)
        last = seen[-window:]
        return sum(last) / len(last)

    assert not proves(loss, log)


@given(loss=LOSSES, lag=st.integers(1, 5), every=st.integers(2, 10))
def test_an_earlier_loss_is_not(loss: float, lag: int, every: int) -> None:
    seen: list[float] = []

    def lagged(value: float) -> float:
        seen.append(value)
        return seen[max(0, len(seen) - 1 - lag)]

    assert not proves(loss, lagged)
    numbers: list[float] = []

    def renewed(value: float) -> float:
        numbers.append(value)
        return numbers[(len(numbers) - 1) // every * every]

    assert not proves(loss, renewed)


@given(loss=LOSSES)
def test_the_highest_or_lowest_loss_so_far_is_not(loss: float) -> None:
    seen: list[float] = []

    def highest(value: float) -> float:
        seen.append(value)
        return max(seen)

    def lowest(value: float) -> float:
        seen.append(value)
        return min(seen)

    assert not proves(loss, highest)
    seen.clear()
    assert not proves(loss, lowest)


def test_a_value_that_never_changes_is_not() -> None:
    assert not proves(1.0, lambda _: 3.0)


def test_a_value_that_is_not_finite_ends_the_scan_by_itself() -> None:
    assert proves(1.0, lambda _: float("nan"))


@given(seed=st.integers(0, 1000), noise=st.floats(0.001, 0.02))
def test_noise_that_cannot_be_put_back_is_told_from_memory(seed: int, noise: float) -> None:
    import random

    generator = random.Random(seed)
    assert proves(1.0, lambda value: value + noise * generator.uniform(-1, 1), slope=3.0)
    kept = [1.0]

    def log(value: float) -> float:
        kept[0] = 0.9 * kept[0] + 0.1 * (value + noise * generator.uniform(-1, 1))
        return kept[0]

    assert not proves(1.0, log, slope=3.0)


def test_a_loss_that_explodes_when_the_weights_change_is_still_told_from_a_mean() -> None:
    def explodes(value: float) -> float:
        return value if value < 2 else float("inf")

    assert proves(1.5, explodes, slope=100.0)
    seen: list[float] = []

    def log(value: float) -> float:
        seen.append(explodes(value))
        return sum(seen) / len(seen)

    assert not proves(1.5, log, slope=100.0)
