"""Tests that trials start from the same state, use the same batches, and restore the model."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import InvalidOptionError, ScanError
from keras_lrscan.recording.trials import Trials
from keras_lrscan.scan import lr_scan
from tests.support.hosts import (
    BACKEND,
    IS_TF_KERAS,
    classifier,
    compiled,
    digits,
    light,
    replayed_losses,
    same_bits,
    state,
    twin,
    weights,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.keras

STEPS = 12
RANGE: dict[str, Any] = {"start_lr": 1e-5, "end_lr": 1e-1, "num_steps": STEPS, "verbose": 0}


def built(keras: Any, *, rich: bool = False) -> Any:
    """Returns a model with all optimizer slots."""
    model = light(keras, model=classifier(keras, rich=rich))
    x, y = digits(64)
    model.train_on_batch(x, y)
    return model


@pytest.fixture(scope="module", name="same")
def _same(keras: Any) -> Any:
    """Returns a model that every trial must leave unchanged."""
    return built(keras)


def generated(log: list[int], number: int) -> Iterator[Any]:
    x, y = digits(32 * number)
    for at in range(number):
        log.append(at)
        yield x[32 * at : 32 * at + 32], y[32 * at : 32 * at + 32]


def test_every_trial_starts_from_the_same_state_on_the_same_batches(keras: Any) -> None:
    # tf_keras keeps the state of dropout out of reach of Python, torch outside of the variables that `keep` saves
    model = built(keras, rich=not IS_TF_KERAS and BACKEND != "torch")
    before = state(model)
    with Trials(model, *digits(), **RANGE) as trials:
        first, second = trials.scan(), trials.scan()
        straight = trials.train([1e-2] * STEPS)
        there: list[Any] = []
        half = trials.train([1e-2] * (STEPS // 2), then=lambda _: there.append(trials.keep()))
        rest = trials.train([1e-2] * (STEPS // 2), start=there[0], first=STEPS // 2)
    assert first is not None
    assert second is not None
    assert half is not None
    assert rest is not None
    np.testing.assert_array_equal(first.loss, second.loss)
    np.testing.assert_array_equal([*half, *rest], straight)
    assert same_bits(before, state(model))
    assert trials.finished == 5


def test_a_step_gets_as_many_parts_as_fit_gives(keras: Any) -> None:
    class Unpacking(keras.Sequential):  # type: ignore[misc]
        def train_step(self, *args: Any) -> Any:
            *state, data = args
            x, y = data
            return super().train_step(*state, (x, y))

    model = compiled(keras, model=Unpacking(classifier(keras).layers))
    model(digits(1)[0])
    scan = lr_scan(model, *digits(), **RANGE)
    with Trials(model, *digits(), **RANGE) as trials:
        again = trials.scan()
    assert again is not None
    assert again.lr.size == scan.curve.lr.size == STEPS


def test_between_trials_the_model_is_as_it_was_given(same: Any) -> None:
    model, (x, y) = same, digits()
    before, loss = weights(model), float(model.evaluate(x, y, verbose=0))
    trained: list[float] = []
    with Trials(model, x, y, **RANGE) as trials:
        for trial in (
            lambda: trials.scan(stop_on_divergence=False),
            lambda: trials.train([1e-1] * STEPS, then=lambda _: trained.append(float(model.evaluate(x, y, verbose=0)))),
            lambda: trials.train([1e-1] * STEPS),
        ):
            trial()
            assert same_bits(before, weights(model))
            assert float(model.evaluate(x, y, verbose=0)) == pytest.approx(loss, rel=1e-5)
        with pytest.raises(ZeroDivisionError):
            trials.train([1e-1] * STEPS, then=lambda _: 1 / 0)
        assert same_bits(before, weights(model))
    assert abs(trained[0] - loss) > 0.1


@pytest.mark.one_backend
def test_trials_keep_the_record_of_the_last_training(keras: Any) -> None:
    model = light(keras)
    history = model.fit(*digits(64), epochs=2, verbose=0)
    with Trials(model, *digits(), **RANGE) as trials:
        trials.train([1e-2] * STEPS, then=lambda _: model.evaluate(*digits(64), verbose=0))
    assert model.history is history


def test_training_after_trials_equals_training_without_them(keras: Any) -> None:
    ends = []
    for with_trials in (False, True):
        model = compiled(keras, model=classifier(keras, rich=not IS_TF_KERAS), lazily=True)
        if with_trials:
            with Trials(model, *digits(), **RANGE) as trials:
                trials.scan()
                trials.new_batches()
                trials.train([1e-1] * STEPS)
        model.fit(*digits(200, seed=3), batch_size=32, epochs=2, verbose=0)
        ends.append(weights(model))
    assert same_bits(*ends)


def test_a_scan_here_is_the_scan_of_a_fit(same: Any) -> None:
    model, (x, y) = same, digits()
    alone = lr_scan(model, x, y, **RANGE).curve
    with Trials(model, x, y, **RANGE) as trials:
        here = trials.scan()
    assert here is not None
    np.testing.assert_array_equal(here.lr, alone.lr)
    np.testing.assert_allclose(here.loss, alone.loss, rtol=1e-4)
    fields = ("batch_size", "chance_loss", "chance_source", "num_steps", "optimizer_iterations", "steps_per_epoch")
    assert [getattr(here.context, name) for name in fields] == [getattr(alone.context, name) for name in fields]


def test_the_losses_of_a_training_are_those_of_a_training_by_hand(keras: Any, same: Any) -> None:
    rates = [1e-3, 1e-2, 5e-2, 1e-3, 1e-1]
    with Trials(same, *digits(), **RANGE) as trials:
        losses = trials.train(rates)
        assert losses is not None
        batches = [batch[:2] for batch in trials.batches]
    np.testing.assert_allclose(losses, replayed_losses(twin(keras, weights(same)), batches, rates), rtol=1e-4)


def test_other_batches_are_other_batches(same: Any) -> None:
    with Trials(same, *digits(), **RANGE, fit_options={"shuffle": False, "batch_size": 10}) as trials:
        before = [np.asarray(y) for _, y, _ in trials.batches]
        trials.new_batches()
        after = [np.asarray(y) for _, y, _ in trials.batches]
    _, labels = digits()
    np.testing.assert_array_equal(np.concatenate(before).ravel(), labels[:120])
    np.testing.assert_array_equal(np.concatenate(after).ravel(), [*labels[120:], *labels[:40]])


def test_a_generator_loses_the_batches_that_were_used_and_no_more(same: Any) -> None:
    log: list[int] = []
    source = generated(log, 40)
    with Trials(same, source, **RANGE) as trials:
        curve = trials.scan()
        assert len(log) == STEPS
        trials.new_batches()
        assert len(log) == 2 * STEPS
    assert curve is not None
    assert len(curve) == STEPS
    assert "batches of your generator" in curve.context.notes[0]


def test_data_of_fewer_batches_makes_a_shorter_scan(same: Any) -> None:
    with Trials(same, generated([], 9), **RANGE) as trials:
        curve = trials.scan()
    assert curve is not None
    assert (len(curve), curve.stop, trials.num_steps) == (9, StopReason.END_LR, 9)
    assert curve.lr[-1] == pytest.approx(1e-1)


def test_data_without_a_batch_is_refused(same: Any) -> None:
    with pytest.raises(ScanError, match="at least one batch"), Trials(same, generated([], 0), **RANGE):
        pytest.fail("the block must not run")


@pytest.mark.one_host
@pytest.mark.parametrize("option", ["callbacks", "epochs", "validation_data"])
def test_options_that_are_for_a_training_are_refused(same: Any, option: str) -> None:
    with pytest.raises(InvalidOptionError, match=option):
        Trials(same, *digits(), fit_options={option: None})


def test_weights_of_samples_and_classes_reach_the_loss(same: Any) -> None:
    x, y = digits()
    by_class = dict.fromkeys(range(10), 2.0)
    losses = []
    for options in ({}, {"class_weight": by_class}, {"sample_weight": np.full(200, 2.0, "float32")}):
        with Trials(same, x, y, **RANGE, fit_options={"shuffle": False, **options}) as trials:
            trained = trials.train([1e-9])
            assert trained is not None
            losses.append(float(trained[0]))
    np.testing.assert_allclose(losses, losses[0] * np.array([1, 2, 2]), rtol=1e-4)


@pytest.mark.parametrize("trial", [0, 1])
def test_ctrl_c_leaves_the_model_whole_and_keeps_what_was_finished(same: Any, trial: int) -> None:
    before = state(same)
    finished: list[bool] = []

    def run() -> None:
        with Trials(same, *digits(), **RANGE) as trials:
            for number in range(3):
                ctrl_c = functools.partial(signal.raise_signal, signal.SIGINT) if number == trial else None
                curve = trials.scan(after_step=ctrl_c)
                finished.append(curve is not None)
                if trials.interrupted:
                    break

    if trial:
        run()
    else:
        with pytest.raises(KeyboardInterrupt):
            run()
    assert finished == [True] * trial + [False]
    assert same_bits(before, state(same))


def test_an_exception_in_a_trial_puts_the_model_back(same: Any) -> None:
    before = state(same)
    with pytest.raises(ZeroDivisionError), Trials(same, *digits(), **RANGE) as trials:
        trials.scan(after_step=lambda: 1 // 0)
    assert same_bits(before, state(same))


@pytest.mark.one_host
def test_one_progress_bar_covers_all_trials(same: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with Trials(same, *digits(), **{**RANGE, "verbose": 1}, planned_steps=2 * STEPS) as trials:
        trials.scan()
        trials.train([1e-3] * STEPS)
    assert f"{2 * STEPS}/{2 * STEPS}" in capsys.readouterr().out


def test_several_steps_per_execution_and_gathered_gradients_are_handled(keras: Any) -> None:
    if IS_TF_KERAS:
        pytest.skip("tf_keras gathers no gradients")
    options: dict[str, Any] = {} if BACKEND == "torch" else {"steps_per_execution": 3}
    model = compiled(keras, keras.optimizers.SGD(1e-2, gradient_accumulation_steps=2), **options)
    with Trials(model, *digits(), **RANGE) as trials:
        curve = trials.scan()
        assert len(trials.batches) == 2 * STEPS
    assert curve is not None
    assert (len(curve), curve.stop) == (STEPS, StopReason.END_LR)


@pytest.mark.filterwarnings(r"ignore:`build\(\)` was called on layer:UserWarning")
def test_a_layer_that_the_model_never_calls_does_no_harm(keras: Any) -> None:
    class Holder(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = keras.layers.Dense(10, "softmax"), keras.layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.used(inputs)

    with Trials(light(keras, model=Holder()), *digits(), **RANGE) as trials:
        curve = trials.scan()
    assert curve is not None
    assert len(curve) == STEPS
