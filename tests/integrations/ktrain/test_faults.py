"""Demonstrates each fault of ktrain's own finder, and its absence in ours."""

from __future__ import annotations

import signal
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from keras_lrscan import LRCurve, analyze
from keras_lrscan.curves.averaging import AVERAGES
from keras_lrscan.integrations.ktrain.finder import ScanFinder, ktrain_estimate
from tests.support.hosts import batches_of, classifier, compiled, digits, replayed_losses, same_bits, state, weights
from tests.support.learners import (
    KTRAIN,
    MARKS,
    OURS,
    counted_batches,
    dense,
    keras,
    ktrain,
    learner_of,
    scan,
    short_scan,
    transformer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = MARKS

both = pytest.mark.parametrize("who", [KTRAIN, OURS])


def fault(shown: bool, who: str) -> None:
    """Asserts that a fault occurs in ktrain's own finder, and only there."""
    assert bool(shown) == (who == KTRAIN)


@both
def test_the_losses_are_those_of_no_batch(who: str) -> None:
    import tensorflow as tf

    x, y = digits(128)
    stream = ktrain().dataset.TFDataset(tf.data.Dataset.from_tensor_slices((x, y)).batch(32).repeat(), n=128, y=y)
    learner = dense(data=stream, optimizer=keras().optimizers.legacy.SGD(0.01))
    scan(who, learner, start_lr=1e-3)
    finder, batches = learner.lr_finder, batches_of(x, y, size=32, epochs=25)
    rates = finder.lrs if who == KTRAIN else [*finder.lrs[1:], 10.0]
    twin = compiled(keras(), keras().optimizers.legacy.SGD(0.01))
    true = replayed_losses(twin, batches, np.array(rates, float)[:20])
    fault(not np.allclose(finder.losses[:20], true, rtol=1e-3), who)


def recorded(who: str, curve: LRCurve, steps_per_epoch: int) -> tuple[float | None, float | None, float | None]:
    """Returns the three rates that `who` estimates from the same scan."""
    if who == OURS:
        return ScanFinder(analyze(curve), model=None, steps_per_epoch=steps_per_epoch).estimate_lr()
    return ktrain_estimate(curve.lr.tolist(), AVERAGES["ktrain"].apply(curve.loss, steps_per_epoch).tolist())


def valley(num_points: int) -> LRCurve:
    x = np.linspace(-7, 0, num_points)
    noise = np.random.default_rng(0).normal(0, 0.02, num_points)
    return LRCurve(lr=10.0**x, loss=2.3 - 1.5 * np.exp(-(((x + 2) / 0.8) ** 2)) + 10.0 ** (3 * x + 1) + noise)


@both
def test_the_steepest_point_is_taken_from_a_list_that_begins_elsewhere(who: str) -> None:
    ktrain()
    x = np.linspace(-7, 0, 1600)
    loss = 2.3 - 1.5 / (1 + np.exp(-6 * (x + 3))) + 10.0 ** (3 * x + 1)
    rates, losses = (10.0**x).tolist(), loss.tolist()  # no averages, to test only the index
    ours = ScanFinder(analyze(LRCurve(lr=rates, loss=losses)), model=None, steps_per_epoch=1600)
    estimate = ours.estimate_lr() if who == OURS else ktrain_estimate(rates, losses)
    assert estimate[0] is not None
    steps_off = (np.log10(estimate[0]) - x[np.argmin(np.gradient(loss))]) / (x[1] - x[0])
    fault(abs(steps_off + 32) < 2, who)
    assert who == KTRAIN or abs(steps_off) < 32


@both
def test_the_same_curve_in_fewer_batches_gets_another_rate(who: str) -> None:
    ktrain()
    many, few = (recorded(who, valley(size), 150)[1] for size in (3000, 300))
    assert many is not None
    assert few is not None
    fault(abs(np.log10(few / many)) > 0.5, who)
    assert who == KTRAIN or abs(np.log10(few / many)) < 0.1


@both
def test_nan_does_not_end_the_scan(who: str) -> None:
    x, y = digits(96)
    x[5] = np.nan
    linear = keras().Sequential([keras().layers.Dense(10, activation="softmax", input_shape=(8,))])
    learner = dense(data=(x, y), batch_size=8, model=linear)
    scan(who, learner, max_epochs=3)
    fault(len(learner.lr_finder.lrs) == 36, who)
    assert np.isnan(learner.lr_finder.losses[-1])
    assert who == KTRAIN or learner.lr_finder.analysis.curve.stop == "non-finite"


@both
def test_a_trained_model_gets_a_rate_that_was_never_tried(who: str) -> None:
    learner = dense(optimizer=keras().optimizers.legacy.Adam(1e-2), batch_size=8)
    learner.model.fit(*learner.train_data, epochs=60, verbose=0)
    learner.model.optimizer.learning_rate = 1e-3
    scan(who, learner)
    finder = learner.lr_finder
    estimates = [lr for lr in finder.estimate_lr() if lr is not None]
    fault(any(lr < finder.lrs[0] for lr in estimates), who)
    assert who == KTRAIN or finder.analysis.suggestion.lr > 1e-5


@both
def test_a_plot_has_no_points(who: str) -> None:
    """ktrain leaves out more points than it has, or, from the end, all of them."""
    learner = dense(size=20, batch_size=10)
    scan(who, learner)
    for options in ({}, {"n_skip_end": 0}):
        lines = learner.lr_plot(return_fig=True, **options).axes[0].lines
        fault(len(lines[0].get_xdata()) == 0, who)


class Scanned(NamedTuple):
    """Holds a learner that was scanned, who scanned it, its model before that, and the folder of temporary files."""

    who: str
    learner: Any
    model: Any
    folder: Path


@pytest.fixture(scope="module", params=[KTRAIN, OURS], name="scanned")
def _scanned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Returns one scan of each, for the tests that look at what it left behind."""
    learner, folder = dense(), tmp_path_factory.mktemp("files")
    model = learner.model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        short_scan(request.param, learner)
    return Scanned(request.param, learner, model, folder)


def test_the_learner_gets_another_model(scanned: Scanned) -> None:
    fault(scanned.learner.model is not scanned.model, scanned.who)


def test_the_models_optimizer_keeps_what_the_scan_did_to_it(scanned: Scanned) -> None:
    fault(scanned.model.optimizer.iterations.numpy() > 0, scanned.who)


def test_files_are_left_behind(scanned: Scanned) -> None:
    fault(any(scanned.folder.iterdir()), scanned.who)


@both
def test_a_transformer_is_compiled_as_ktrain_likes_it(who: str, tmp_path: Path) -> None:
    loss = keras().losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    learner = transformer(tmp_path, optimizer=keras().optimizers.legacy.SGD(1e-3), loss=loss, metrics=["AUC"])
    short_scan(who, learner)
    kept = learner.model.loss is loss and type(learner.model.optimizer).__name__ == "SGD"
    fault(not kept, who)


@both
def test_the_optimizer_that_all_learners_share_has_counted_the_scan(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = keras().optimizers.legacy.Adam()  # as in a new process, before any test used it
    monkeypatch.setattr(ktrain().utils, "DEFAULT_OPT", shared)
    learner = transformer(tmp_path)
    assert learner.model.optimizer is shared
    before = int(shared.iterations.numpy()) if who == OURS else 0  # reading it earlier would hide ktrain's fault
    short_scan(who, learner)
    fault(int(shared.iterations.numpy()) > before, who)


@both
def test_with_restore_weights_only_the_optimizer_goes_on_from_the_scan(who: str) -> None:
    learner = dense()
    short_scan(who, learner, restore_weights_only=True)
    fault(learner.model.optimizer.iterations.numpy() > 0, who)


@both
def test_weight_decay_reaches_what_was_excluded_from_it(who: str) -> None:
    learner = dense()
    with pytest.warns(UserWarning, match="recompiling"):
        learner.set_weight_decay(0.01)
    assert learner.model.optimizer._exclude_from_weight_decay
    short_scan(who, learner)
    fault(not learner.model.optimizer._exclude_from_weight_decay, who)


def own_loss(true: Any, predicted: Any) -> Any:
    return keras().losses.sparse_categorical_crossentropy(true, predicted)


def subclassed() -> Any:
    class Net(keras().Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.out = keras().layers.Dense(10, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.out(x)

    return Net()


def scheduled() -> Any:
    return keras().optimizers.legacy.Adam(keras().optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9))


REFUSED: dict[str, Callable[[], Any]] = {
    "a loss function": lambda: dense(loss=own_loss),
    "a model of a class of one's own": lambda: dense(model=subclassed()),
    "a learning-rate schedule": lambda: dense(optimizer=scheduled()),
    "fewer samples than a batch": lambda: dense(data=counted_batches(*digits(20), 32, lambda _: None)),
}


@both
@pytest.mark.parametrize("what", REFUSED)
def test_an_error_meets(who: str, what: str) -> None:
    learner = REFUSED[what]()
    rate = learner.model.optimizer._hyper["learning_rate"]
    if who == KTRAIN:
        with pytest.raises(Exception, match=r"SavedModel|Functional|dtype|zero"):
            scan(who, learner, max_epochs=None if "fewer" in what else 1)
        return
    assert short_scan(who, learner).curve.stop in {"diverged", "end-lr"}
    if callable(rate):
        assert learner.model.optimizer._hyper["learning_rate"] is rate


@both
def test_ctrl_c_throws_away_what_was_recorded(who: str) -> None:
    learner = dense(size=640, batch_size=8)
    reset, calls = learner.model.reset_metrics, []

    def press_in_the_second_epoch() -> None:  # `fit` calls this at the start of each epoch, in the main thread
        calls.append(1)
        if len(calls) == 2 and who == KTRAIN:
            raise KeyboardInterrupt  # the effect of the key, but reliable
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        reset()

    learner.model.reset_metrics = press_in_the_second_epoch
    if who == KTRAIN:
        assert scan(who, learner, max_epochs=3) is None
        assert len(learner.lr_finder.lrs) >= 80
        with pytest.raises(ValueError, match="Please call lr_find first"):
            learner.lr_plot()
        return
    before = state(learner.model)
    with pytest.raises(KeyboardInterrupt):
        scan(who, learner)
    assert same_bits(state(learner.model)[: len(before)], before)
    assert len(learner.lr_finder.lrs) >= 80
    assert learner.lr_plot(return_fig=True) is not None


@both
def test_an_error_in_the_scan_leaves_the_scans_weights(who: str) -> None:
    def fail(batch: int) -> None:
        if batch == 60:
            msg = "the disk is gone"
            raise OSError(msg)

    learner = dense(data=counted_batches(*digits(640), 8, fail), batch_size=8)
    before = weights(learner.model)
    with pytest.raises(Exception, match="the disk is gone"):
        short_scan(who, learner)
    fault(not same_bits(weights(learner.model), before), who)


@both
def test_a_second_scan_by_the_same_finder_ends_at_once(who: str) -> None:
    learner = dense(batch_size=8)
    scan(who, learner)
    finder = learner.lr_finder
    first = len(finder.lrs)
    if who == KTRAIN:
        with pytest.warns(UserWarning, match="too small to calculate"):
            finder.find(learner.train_data, 25, max_epochs=5, batch_size=8, verbose=0)
    else:
        scan(who, learner)
    fault(len(learner.lr_finder.lrs) < first / 2, who)


@both
def test_a_scan_takes_a_thousand_batches(who: str) -> None:
    learner = dense(size=1100, batch_size=16)
    scan(who, learner)
    fault(len(learner.lr_finder.lrs) > 1000, who)
    assert who == KTRAIN or len(learner.lr_finder.lrs) <= 200


@both
def test_nothing_is_returned_and_nothing_is_explained(who: str) -> None:
    answer = scan(
        who, learner_of(compiled(keras(), keras().optimizers.legacy.Adam(), model=classifier(keras())), digits())
    )
    fault(answer is None, who)
    assert who == KTRAIN or "What you see" in answer.explain()
