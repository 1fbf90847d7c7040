from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from keras_lrscan import InvalidCurveError, InvalidOptionError, LRCurve, ScanContext
from keras_lrscan.curves.averaging import (
    AVERAGES,
    Average,
    seeded_moving_average,
    undo_averaging,
    undo_losses,
    without_start_bias,
)
from tests.support.recorded import KTRAIN_RUNS, PEERS, ktrain_run, peer

LOSSES = arrays(np.float64, st.integers(1, 200), elements=st.floats(0.01, 10))


def curve_of(losses: object, **context: object) -> LRCurve:
    loss = np.asarray(losses, dtype=float)
    return LRCurve(lr=np.logspace(-6, 0, loss.size), loss=loss, context=ScanContext(**context))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", AVERAGES)
@given(losses=LOSSES, steps=st.floats(1, 60))
def test_averaging_and_undoing_gives_the_losses_back(name: str, losses: np.ndarray, steps: float) -> None:
    stored = AVERAGES[name].apply(losses, steps)
    undone, _ = AVERAGES[name].undo(stored, steps)
    np.testing.assert_allclose(undone, losses, rtol=1e-9, atol=1e-8)


def test_a_running_mean_weighs_the_last_batch_by_its_size() -> None:
    stored = AVERAGES["running-mean"].apply(np.array([1.0, 2.0, 9.0, 4.0]), 2.5)
    assert stored.tolist() == [1.0, 1.5, (1 + 2 + 0.5 * 9) / 2.5, 4.0]


def test_the_averages_are_those_of_the_tools() -> None:
    losses = np.array([1.0, 2.0, 4.0])
    assert AVERAGES["running-mean"].apply(losses, 3).tolist() == [1.0, 1.5, 7 / 3]
    m1, m2 = 0.02, 0.98 * 0.02 + 0.02 * 2
    assert AVERAGES["ema-0.98"].apply(losses)[:2] == pytest.approx([m1 / 0.02, m2 / (1 - 0.98**2)])
    assert AVERAGES["lightning"].apply(losses)[:2] == pytest.approx([m1 / (1 - 0.98**2), m2 / (1 - 0.98**3)])
    assert AVERAGES["ema-seeded-0.05"].apply(losses)[:2] == pytest.approx([1.0, 1.05])
    assert AVERAGES["keras-one-cycle"].apply(losses)[0] == pytest.approx(50)
    of_means = AVERAGES["ema-0.98"].apply(np.array([1.0, 1.5, 7 / 3]))
    assert AVERAGES["ktrain"].apply(losses, 3) == pytest.approx(of_means)


@pytest.mark.parametrize("name", KTRAIN_RUNS)
@pytest.mark.parametrize(("averaging", "column"), [("running-mean", "keras_loss"), ("ktrain", "ktrain_loss")])
def test_the_batches_own_losses_come_back_from_what_keras_and_ktrain_stored(
    name: str, averaging: str, column: str
) -> None:
    run = ktrain_run(name)
    undone = undo_losses(run[column], AVERAGES[averaging], KTRAIN_RUNS[name])
    error = np.abs(undone.loss - run["batch_loss"])
    assert undone.dropped == 0
    assert np.median(error) < 1e-4
    assert error.max() < 4e-3
    assert np.all(error <= 4 * undone.rounding + 1e-6)


@pytest.mark.parametrize("name", PEERS)
def test_the_batches_own_losses_come_back_from_what_a_peer_stored(name: str) -> None:
    record = peer(name)
    undone = undo_losses(np.array(record["loss"]), AVERAGES[PEERS[name]], None)
    np.testing.assert_allclose(undone.loss, record["batch_loss"][: undone.loss.size], atol=1e-4)


def test_the_curve_that_ktrain_drew_flat_is_a_deep_u() -> None:
    run = ktrain_run("reuters_pretrained_maxep1")
    drawn = LRCurve(lr=run["lr"], loss=run["ktrain_loss"])
    true = undo_averaging(drawn, averaging="ktrain", steps_per_epoch=600)
    before = drawn.lr < 2e-3
    around = [np.median(true.loss[before][i : i + 15]) for i in range(before.sum() - 15)]
    assert np.min(drawn.loss[before]) > 0.75 * drawn.loss[0]
    assert np.min(around) < 0.25 * true.loss[0]
    assert 3e-5 < drawn.lr[int(np.argmin(around)) + 7] < 3e-4
    assert around[-1] > 0.6


@pytest.mark.parametrize("name", ["lightning", "keras-one-cycle"])
@given(level=st.floats(1e-6, 1e6), size=st.integers(32, 2000))
def test_an_average_of_equal_losses_is_level_without_the_bias_of_its_start(name: str, level: float, size: int) -> None:
    unbiased = without_start_bias(curve_of(AVERAGES[name].apply(np.full(size, level))), name)
    np.testing.assert_allclose(unbiased.loss, level, rtol=1e-6)


@pytest.mark.parametrize(
    "averaging", ["of an unknown kind", "running-mean", "ema-0.98", "ema-seeded-0.05", "lightning"]
)
def test_losses_without_such_a_bias_stay_as_they_are(averaging: str) -> None:
    curve = curve_of(np.linspace(2, 1, 50))
    np.testing.assert_allclose(without_start_bias(curve, averaging).loss, curve.loss)


def test_losses_that_rounding_destroyed_are_left_out_and_the_note_says_so() -> None:
    losses = 0.7 + 0.01 * np.random.default_rng(0).standard_normal(400)
    losses[200:] = 0.0
    losses[200:203] = 1e8
    stored = AVERAGES["ktrain"].apply(losses, 1000).astype(np.float32)
    curve = undo_averaging(curve_of(stored), averaging="ktrain", steps_per_epoch=1000)
    assert 200 <= len(curve) < 260
    np.testing.assert_allclose(curve.loss[:200], losses[:200], atol=0.01)
    assert f"The last {400 - len(curve)} of 400 points" in curve.context.notes[-1]
    assert curve.context.notes[-1].endswith("were left out: their digits do not suffice to recover the losses.")


def test_too_few_digits_are_refused() -> None:
    losses = 0.7 + 0.05 * np.random.default_rng(0).standard_normal(100)
    stored = AVERAGES["ema-0.98"].apply(losses).round(2)
    with pytest.raises(InvalidCurveError, match=r"enough digits .* Received: loss\[\d\]=0\..* Export the"):
        undo_averaging(curve_of(stored), averaging="ema-0.98")


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_record_that_breaks_keeps_the_point_where_it_broke_and_no_more(broken: float) -> None:
    losses = np.array([2.0, 1.5, 1.0, broken, 1.0, 1.0])
    curve = undo_averaging(
        curve_of(AVERAGES["running-mean"].apply(losses, 9)), averaging="running-mean", steps_per_epoch=9
    )
    np.testing.assert_allclose(curve.loss, [2.0, 1.5, 1.0, broken])
    assert "The last 2 of 6 points" in curve.context.notes[-1]


def test_what_is_undone_is_no_longer_an_average_and_says_how_it_came_about() -> None:
    curve = undo_averaging(curve_of([1.0, 1.5], averaging="running-mean", steps_per_epoch=5, optimizer="Adam"))
    assert curve.context.averaging is None
    assert curve.context.optimizer == "Adam"
    assert curve.loss.tolist() == [1.0, 2.0]
    assert "the mean of all batches since the epoch began" in curve.context.notes[0]


def test_an_average_of_ones_own_can_be_undone() -> None:
    mine = Average(name="mine", words="half new", stages=(seeded_moving_average(0.5),), lag=1)
    assert undo_averaging(curve_of([1.0, 1.5]), averaging=mine).loss.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"must be one of 'running-mean', .* Received: averaging=None"),
        ({"averaging": "ema"}, r"Argument `averaging` must be one of .* Received: averaging='ema'"),
        ({"averaging": "ktrain"}, r"`steps_per_epoch` must be at least 1 .* Received: steps_per_epoch=None"),
        ({"averaging": "running-mean", "steps_per_epoch": 0.5}, r"Received: steps_per_epoch=0.5"),
    ],
)
def test_what_cannot_be_undone_says_what_is_missing(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        undo_averaging(curve_of([1.0, 1.5]), **arguments)  # type: ignore[arg-type]
