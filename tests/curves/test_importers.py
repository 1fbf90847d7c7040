from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan import InvalidCurveError, LRCurve, ScanContext, analyze
from keras_lrscan.curves.averaging import AVERAGES, Average, seeded_moving_average
from keras_lrscan.curves.importers import (
    IMPORTERS,
    from_csv,
    from_fastai,
    from_json,
    from_keras_history,
    from_ktrain,
    from_lightning,
    from_torch_lr_finder,
)
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.explanation.glossary import TERMS
from keras_lrscan.integrations.ktrain.finder import ScanFinder
from tests.support.recorded import DATA, KTRAIN_RUNS, ktrain_run, peer

if TYPE_CHECKING:
    from pathlib import Path


class Scalar:
    """Mimics the scalar tensors of torch and fastai."""

    def __init__(self, value: float) -> None:
        self.value = np.float32(value)

    def __float__(self) -> float:
        return float(self.value)


@dataclass
class Record:
    """Mimics fastai's `Recorder` and ktrain's `LRFinder` by their common attributes."""

    lrs: list[Any]
    losses: list[Any]


@dataclass
class Finder:
    """Mimics torch-lr-finder's `LRFinder`, Lightning's result and a Keras `History`, which differ in one name."""

    history: dict[str, list[Any]] = field(default_factory=dict)
    results: dict[str, list[Any]] = field(default_factory=dict)


@dataclass
class Learner:
    """Mimics the learners of fastai and ktrain, which hold a `Recorder` and an `LRFinder`."""

    recorder: Record | None = None
    lr_finder: Record | None = None
    train_data: Any = None
    batch_size: int = 32


def shifted(record: dict[str, Any], size: int) -> np.ndarray:
    """Returns the batch losses as a curve pairs them with rates: the first two share the first rate."""
    own = np.asarray(record["batch_loss"], dtype=float)[: size + 1]
    return np.concatenate([[own[:2].mean()], own[2:]])


def test_fastai_stores_tensors_of_a_moving_average() -> None:
    record = peer("fastai")
    recorder = Record(record["lr"], [Scalar(value) for value in record["loss"]])
    for curve in (from_fastai(recorder), from_fastai(Learner(recorder=recorder))):
        np.testing.assert_allclose(curve.loss, shifted(record, len(curve)), atol=1e-4)
        np.testing.assert_allclose(curve.lr, record["lr"][:-1])
        assert curve.context.averaging is None
        assert "as fastai stores it" in curve.context.notes[0]


def test_lightning_stores_an_average_that_begins_at_half_the_loss() -> None:
    record = peer("lightning")
    results = {"lr": record["lr"], "loss": record["loss"]}
    for curve in (from_lightning(results), from_lightning(Finder(results=results))):
        np.testing.assert_allclose(curve.loss, shifted(record, len(curve)), atol=1e-5)


def test_torch_lr_finder_stores_an_average_seeded_with_the_first_loss() -> None:
    record = peer("torch_lr_finder")
    history = {"lr": record["lr"], "loss": record["loss"]}
    for curve in (from_torch_lr_finder(history), from_torch_lr_finder(Finder(history=history))):
        np.testing.assert_allclose(curve.loss, shifted(record, len(curve)), atol=1e-5)


def test_torch_lr_finder_may_have_smoothed_otherwise_or_not_at_all() -> None:
    half = Average(name="half", words="half new", stages=(seeded_moving_average(0.5),), lag=1)
    history = {"lr": [1e-3, 1e-2, 1e-1], "loss": [1.0, 1.5, 2.0]}
    assert from_torch_lr_finder(history, averaging=half).loss.tolist() == [1.5, 2.5]
    assert from_torch_lr_finder(history, averaging=None).loss.tolist() == [1.25, 2.0]


@pytest.mark.parametrize("name", KTRAIN_RUNS)
def test_ktrain_is_undone_with_the_epochs_that_are_told(name: str) -> None:
    run = ktrain_run(name)
    record = Record(list(run["lr"].astype(np.float32)), list(run["ktrain_loss"]))
    curve = from_ktrain(record, steps_per_epoch=KTRAIN_RUNS[name])
    np.testing.assert_allclose(curve.loss, shifted(run, len(curve)), atol=5e-3)


def test_a_ktrain_learner_with_arrays_knows_its_epochs() -> None:
    run = ktrain_run("digits_dense_adam_defaults")
    learner = Learner(lr_finder=Record(list(run["lr"]), list(run["ktrain_loss"])), train_data=(None, range(1797)))
    np.testing.assert_allclose(from_ktrain(learner).loss, shifted(run, 284), atol=5e-3)


@pytest.mark.parametrize(("name", "count"), [("nsamples", lambda: 4807), ("samples", 4807), ("n", 4807)])
def test_a_ktrain_learner_with_a_data_set_knows_its_epochs(name: str, count: object) -> None:
    run = ktrain_run("reuters_pretrained_maxep1")
    record = Record(list(run["lr"]), list(run["ktrain_loss"]))
    data = SimpleNamespace(batch_size=8, **{name: count})
    curve = from_ktrain(Learner(lr_finder=record, train_data=data))
    np.testing.assert_allclose(curve.loss, from_ktrain(record, steps_per_epoch=600).loss)
    assert "detected from the record" not in curve.context.notes[0]


def test_a_scan_that_took_the_place_of_ktrains_is_returned_as_it_is() -> None:
    analysis = analyze(synthetic_curve("u-shaped"))
    finder = ScanFinder(analysis, model=None, steps_per_epoch=10)
    assert from_ktrain(finder) is from_ktrain(SimpleNamespace(lr_finder=finder, batch_size=8)) is analysis.curve


def test_the_epochs_of_ktrain_are_else_read_off_the_record() -> None:
    run = ktrain_run("reuters_random_maxep2")
    curve = from_ktrain(Record(list(run["lr"]), list(run["ktrain_loss"])))
    np.testing.assert_allclose(curve.loss, shifted(run, 475), atol=5e-3)
    assert "the average restarts every 300 batches" in curve.context.notes[0]


def test_ktrain_is_kept_as_it_is_where_the_epochs_cannot_be_told() -> None:
    curve = from_ktrain(Record([1e-3, 1e-2, 1e-1], [1.0, 1.5, 2.0]))
    assert curve.context.averaging == "ktrain"
    assert curve.loss.tolist() == [1.25, 2.0]
    assert curve.context.notes[-2].endswith("The lag of the average shifts landmarks to the right.")
    assert "since it restarts at every epoch and the number of batches per epoch is unknown" in curve.context.notes[-1]


def test_batches_per_epoch_that_no_average_needs_are_said_not_to_be_used(tmp_path: Path) -> None:
    synthetic_curve("u-shaped").to_csv(tmp_path / "scan.csv")
    curve = from_csv(tmp_path / "scan.csv", steps_per_epoch=57)
    assert curve.context.notes[-1].startswith("The number of batches per epoch (57) was not used, since no average")
    assert from_csv(tmp_path / "scan.csv").context.notes == ()
    synthetic_curve("u-shaped").to_json(tmp_path / "scan.json")
    assert from_json(tmp_path / "scan.json", steps_per_epoch=57).context.notes == curve.context.notes
    named = from_csv(tmp_path / "scan.csv", averaging="running-mean", steps_per_epoch=57)
    assert not any("was not used" in note for note in named.context.notes)


def test_a_mean_that_restarts_lags_by_a_quarter_of_an_epoch(tmp_path: Path) -> None:
    decades = np.linspace(0, 6, 240)
    stored = AVERAGES["running-mean"].apply(decades, 40)
    assert float(np.mean(decades - stored)) == pytest.approx(0.245, abs=0.005)
    LRCurve(lr=1e-6 * 10.0**decades, loss=stored).to_csv(tmp_path / "scan.csv")
    curve = from_csv(tmp_path / "scan.csv", averaging="running-mean", steps_per_epoch=40, undo=False)
    assert curve.context.notes[-1].endswith("shifts landmarks to the right by up to 0.3 decades.")


@pytest.mark.parametrize("rate", ["lr", "learning_rate"])
def test_a_keras_history_has_a_point_an_epoch_and_shared_rates_become_one(rate: str) -> None:
    history = {rate: [1e-4, 1e-3, 1e-3, 1e-2], "loss": [2.3, 1.4, 1.0, 5.0], "accuracy": [0.1, 0.5, 0.6, 0.1]}
    curve = from_keras_history(Finder(history=history), context=ScanContext(optimizer="SGD"))
    assert curve.loss.tolist() == [2.3, 1.2, 5.0]
    assert curve.context.optimizer == "SGD"
    assert "mean over one epoch" in curve.context.notes[0]
    assert (curve.context.averaged_over, curve.context.averaging) == ("epoch", None)


def history_of(low: float, high: float, num_points: int) -> dict[str, list[float]]:
    """Returns the history of a scheduler that raised the rate at every epoch, with a fall around 1e-3."""
    x = np.linspace(low, high, num_points)
    noise = 0.02 * np.random.default_rng(0).standard_normal(num_points)
    return {"learning_rate": (10.0**x).tolist(), "loss": (1.4 - 0.9 * np.tanh((x + 3) / 0.6) + noise).tolist()}


def test_means_of_epochs_are_not_called_averages_that_lag() -> None:
    analysis = analyze(from_keras_history(history_of(-6, 0, 60)))
    assert "averaging" not in [finding.name for finding in analysis.findings]
    assert "averaging" in [finding.name for finding in analysis.excluded]
    text = " ".join(analysis.explain(level="full").split())
    assert "each point is the mean loss of one epoch" in text
    assert "recorded the loss of every batch" not in text
    assert "averages" not in text


def test_the_plot_of_means_of_epochs_says_so() -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    ax = analyze(from_keras_history(history_of(-6, 0, 60))).plot()
    assert " ".join(ax.get_ylabel().split()) == "mean loss of an epoch (lower is better)"
    assert "after every epoch" in " ".join(ax.get_xlabel().split())


@pytest.mark.parametrize(
    ("high", "num", "said"),
    [
        (
            -6.0,
            1,
            f"recorded the mean loss of a single epoch ({TERMS['epoch']}), at a rate of 1e-6.",
        ),
        (
            -6.0 + 1e-6,
            2,
            f"recorded the mean loss of 2 epochs ({TERMS['epoch']}), all at rates close to 1e-6.",
        ),
    ],
)
def test_epochs_at_one_rate_are_not_called_batches(high: float, num: int, said: str) -> None:
    text = " ".join(analyze(from_keras_history(history_of(-6, high, num))).explain().split())
    assert said in text
    assert "loss of every batch" not in text


def test_many_points_over_a_narrow_range_need_a_wider_range_not_more_points() -> None:
    for low, high in ((-3.2, -2.0), (-3.0, -2.0)):
        first = analyze(from_keras_history(history_of(low, high, 40))).findings[0]
        assert (first.name, first.status) == ("range-too-short", "likely")
    for context in (None, ScanContext(averaged_over=None)):
        history = history_of(-2.9, -2.0, 40)
        curve = LRCurve(lr=history["learning_rate"], loss=history["loss"], context=context or ScanContext())
        text = " ".join(analyze(curve).explain(level="full").split())
        assert "The rates span less than a factor of ten" in text
        assert "Scan a wide range of rates" in text
        assert "at least 100 batches" not in text
        assert "too few points" not in text


def test_a_record_that_was_cut_short_does_not_show_how_wide_its_range_was_to_be() -> None:
    x = np.linspace(-5, -2.5, 60)
    loss = 2.0 - 0.5 * np.tanh((x + 4) / 0.3) + 30 * np.maximum(x + 3, 0) ** 2
    assert "range-too-short" not in [finding.name for finding in analyze(LRCurve(lr=10**x, loss=loss)).findings]


def test_few_means_of_epochs_need_another_scan() -> None:
    text = " ".join(analyze(from_keras_history(history_of(-6, 0, 12))).explain(level="full").split())
    assert "Scan again with `LRScan`" in text
    assert "more epochs in `fit`" not in text
    assert "each point is the loss of one batch" not in text


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 on JAX with numpy 2
def test_a_real_keras_history_is_read(keras: Any) -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * 10.0**epoch)
    history = model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=3, callbacks=[scheduler], verbose=0)
    curve = from_keras_history(history)
    np.testing.assert_allclose(curve.lr, [1e-3, 1e-2, 1e-1], rtol=1e-5)
    np.testing.assert_allclose(curve.loss, history.history["loss"])


def test_what_is_not_undone_is_declared_with_how_far_it_lags() -> None:
    record = peer("lightning")
    curve = from_lightning({"lr": record["lr"], "loss": record["loss"]}, undo=False)
    assert curve.context.averaging == "lightning"
    assert curve.loss[1] == record["loss"][2]
    assert curve.context.notes[-1].endswith("shifts landmarks to the right by up to 4 decades.")


def test_the_rate_of_a_batch_that_was_not_finished_is_left_out() -> None:
    assert len(from_torch_lr_finder({"lr": [1e-3, 1e-2, 1e-1], "loss": [1.0, 1.5]}, averaging=None)) == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"lr": [1e-3]},
            r"one of the keys 'lr', 'lrs', 'learning_rate', .* Received: keys=\['lr'\]. Run the",
        ),
        ({"lr": [1e-3, 1e-2], "loss": ["high", 1.0]}, r"`loss` to be a sequence of numbers. Received: loss=\['high'"),
        ({"lr": [1e-3], "loss": [1.0, 2.0]}, r"one learning rate per loss. Received: 1 rates, 2 losses"),
        (None, r"Received: keys=\[\]"),
    ],
)
def test_a_record_that_is_none_says_what_was_expected(record: object, message: str) -> None:
    with pytest.raises(InvalidCurveError, match=message):
        from_torch_lr_finder(record)


def test_an_object_without_a_scan_says_what_was_expected() -> None:
    with pytest.raises(InvalidCurveError, match=r"attributes 'lrs', 'losses'. Received: recorder=.*without \['lrs'"):
        from_fastai(object())


def test_a_csv_file_of_ktrains_losses_is_recognized_and_undone(tmp_path: Path) -> None:
    run = ktrain_run("reuters_pretrained_maxep1")
    curve = from_csv(DATA / "ktrain_runs" / "reuters_pretrained_maxep1.csv", loss_column="ktrain_loss")
    np.testing.assert_allclose(curve.loss, run["batch_loss"], atol=5e-3)
    assert curve.context.notes[0].startswith("Averages were detected: ")
    LRCurve(lr=run["lr"], loss=run["batch_loss"]).to_csv(tmp_path / "own.csv")
    own = from_csv(tmp_path / "own.csv")
    np.testing.assert_array_equal(own.loss, run["batch_loss"])
    assert own.context.notes == ()


def test_averages_that_cannot_be_told_apart_are_read_as_they_are_with_a_note() -> None:
    path = DATA / "ktrain_runs" / "reuters_pretrained_maxep1.csv"
    curve = from_csv(path, loss_column="keras_loss")
    np.testing.assert_array_equal(curve.loss, ktrain_run("reuters_pretrained_maxep1")["keras_loss"])
    assert "averages that could not be undone" in curve.context.notes[0]
    assert "shifts landmarks to the right" in curve.context.notes[0]
    told = from_csv(path, loss_column="keras_loss", averaging="running-mean", steps_per_epoch=600)
    np.testing.assert_allclose(told.loss, ktrain_run("reuters_pretrained_maxep1")["batch_loss"], atol=1e-4)


@pytest.mark.parametrize(("rate", "loss"), [("lr", "loss"), ("lrs", "losses"), ("learning_rate", "loss")])
def test_a_json_file_of_two_lists_is_read(tmp_path: Path, rate: str, loss: str) -> None:
    record = peer("lightning")
    (tmp_path / "scan.json").write_text(json.dumps({rate: record["lr"], loss: record["loss"]}))
    curve = from_json(tmp_path / "scan.json", averaging="lightning")
    np.testing.assert_allclose(curve.loss, record["batch_loss"][: len(curve)], atol=1e-5)


def test_a_json_file_of_this_package_is_read_unchanged(tmp_path: Path) -> None:
    curve = synthetic_curve("u-shaped")
    curve.to_json(tmp_path / "scan.json")
    again = from_json(tmp_path / "scan.json")
    np.testing.assert_array_equal(again.loss, curve.loss)
    assert (again.context, again.stop) == (curve.context, curve.stop)


def test_a_json_file_that_declares_an_average_is_undone(tmp_path: Path) -> None:
    true = synthetic_curve("u-shaped")
    context = ScanContext(averaging="ema-0.98", optimizer="Adam")
    stored = LRCurve(lr=true.lr, loss=AVERAGES["ema-0.98"].apply(true.loss), stop="diverged", context=context)
    stored.to_json(tmp_path / "scan.json")
    curve = from_json(tmp_path / "scan.json")
    np.testing.assert_allclose(curve.loss, true.loss, atol=1e-8)
    assert (curve.context.averaging, curve.context.optimizer, curve.stop) == (None, "Adam", "diverged")


def test_every_importer_is_in_the_table_and_documented() -> None:
    assert len(IMPORTERS) == 8
    for importer in IMPORTERS.values():
        assert "Raises:" in (importer.__doc__ or "")
