from __future__ import annotations

import numpy as np
import pytest

from keras_lrscan import LRCurve, ScanContext
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.curves.detect_averaging import detect_averaging
from keras_lrscan.datasets.synthetic import SYNTHETIC_LOSSES, synthetic_curve
from tests.support.recorded import KTRAIN_RUNS, PEERS, ktrain_run, peer


def losses(size: int, seed: int = 0) -> np.ndarray:
    return np.asarray(2.3 + 0.1 * np.random.default_rng(seed).standard_normal(size))


def curve_of(loss: np.ndarray, **context: object) -> LRCurve:
    return LRCurve(lr=np.logspace(-7, 0, loss.size), loss=loss, context=ScanContext(**context))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KTRAIN_RUNS)
def test_what_ktrain_stored_is_recognized_with_the_length_of_its_epochs(name: str) -> None:
    run = ktrain_run(name)
    seen = detect_averaging(LRCurve(lr=run["lr"], loss=run["ktrain_loss"]))
    restarts = KTRAIN_RUNS[name] < run["lr"].size
    assert (seen.averaged, seen.averaging) == (True, "ktrain")
    assert seen.steps_per_epoch == (np.ceil(KTRAIN_RUNS[name]) if restarts else run["lr"].size + 1)
    assert seen.evidence[-1].startswith("the average restarts" if restarts else "undone as 'ktrain'")


@pytest.mark.parametrize("name", KTRAIN_RUNS)
def test_losses_of_single_batches_are_not_taken_for_averages(name: str) -> None:
    run = ktrain_run(name)
    assert not detect_averaging(LRCurve(lr=run["lr"], loss=run["batch_loss"])).averaged


@pytest.mark.parametrize("name", PEERS)
def test_losses_that_a_peer_was_handed_are_not_taken_for_averages(name: str) -> None:
    assert not detect_averaging(curve_of(np.array(peer(name)["batch_loss"]))).averaged


@pytest.mark.parametrize("shape", [shape for shape in SYNTHETIC_LOSSES if shape != "diverges-at-once"])
@pytest.mark.parametrize("num_steps", [60, 100, 200, 1000])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_synthetic_scans_are_not_taken_for_averages(shape: str, num_steps: int, noise: float) -> None:
    for seed in range(3):
        curve = synthetic_curve(shape, num_steps=num_steps, noise=noise, seed=seed)
        assert not detect_averaging(curve).averaged


@pytest.mark.parametrize("name", ["ema-0.98", "lightning", "ema-seeded-0.05"])
def test_moving_averages_are_told_apart(name: str) -> None:
    curves = [synthetic_curve("u-shaped", num_steps=300, noise=0.05, seed=seed) for seed in range(10)]
    named = [detect_averaging(curve_of(AVERAGES[name].apply(curve.loss))).averaging for curve in curves]
    assert named.count(name) >= 4
    assert set(named) <= {name, None}


def test_averages_that_could_be_either_are_not_named() -> None:
    seen = detect_averaging(curve_of(AVERAGES["ema-0.98"].apply(losses(300))))
    assert (seen.averaged, seen.averaging) == (True, None)
    assert seen.evidence[-1].endswith("so the average cannot be identified")


@pytest.mark.parametrize("name", ["running-mean", "ktrain"])
@pytest.mark.parametrize("steps", [25, 60, 110])
def test_the_length_of_an_epoch_is_read_off_the_restarts(name: str, steps: int) -> None:
    seen = [detect_averaging(curve_of(AVERAGES[name].apply(losses(400, seed), steps))) for seed in range(10)]
    assert sum((one.averaging, one.steps_per_epoch) == (name, steps) for one in seen) >= 7


def test_a_record_too_long_to_be_read_whole_leaves_the_length_of_its_epochs_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    curve = curve_of(AVERAGES["ktrain"].apply(losses(300), 9000))
    assert detect_averaging(curve).steps_per_epoch == 301
    monkeypatch.setattr("keras_lrscan.curves.detect_averaging.MAX_POINTS", 250)
    seen = detect_averaging(curve)
    assert (seen.averaging, seen.steps_per_epoch) == ("ktrain", None)


def test_what_is_declared_is_believed() -> None:
    seen = detect_averaging(curve_of(losses(100), averaging="lightning"))
    assert (seen.averaged, seen.averaging) == (True, "lightning")
    assert seen.evidence == ("the context declares averaging='lightning'",)
    unknown = detect_averaging(curve_of(losses(100), averaging="by hand"))
    assert (unknown.averaged, unknown.averaging) == (True, None)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (np.ones(10), "10 points are too few"),
        (np.full(100, 2.3), "no noise"),
        (np.linspace(2, 1, 100), "no noise"),
        (np.full(100, np.nan), "0 points are too few"),
    ],
)
def test_a_record_that_says_nothing_is_not_taken_for_averages(loss: np.ndarray, reason: str) -> None:
    seen = detect_averaging(curve_of(loss))
    assert not seen.averaged
    assert reason in seen.evidence[0]


def test_a_broken_end_does_not_matter() -> None:
    stored = np.append(AVERAGES["lightning"].apply(losses(300)), [np.inf, np.nan, np.nan])
    assert detect_averaging(curve_of(stored)).averaging == "lightning"
