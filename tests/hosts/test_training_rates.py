"""Tests that `apply` and `one_cycle` make every host train at the suggested rate, and refuse where there is none."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_lrscan import Analysis, InvalidCurveError, InvalidOptionError, LRCurve, ScanContext, ScanError, analyze
from keras_lrscan.datasets.synthetic import synthetic_curve
from keras_lrscan.scan import lr_scan
from tests.support import hosts
from tests.support.hosts import array_of, classifier, compiled, digits, same_bits, state, weights

CURVES = Path(__file__).parents[2] / "docs" / "curves"
LIBRARY = "tf_keras" if hosts.IS_TF_KERAS else "keras"


@functools.cache
def read(shape: str = "u-shaped") -> Analysis:
    """Returns the analysis of a curve that the host's Keras recorded, by what its context says."""
    curve = synthetic_curve(shape)
    return analyze(dataclasses.replace(curve, context=ScanContext(framework=f"{LIBRARY} 9.9")))


def suggested(role: str = "constant") -> float:
    lr = read().suggest(role=role).lr
    assert lr is not None
    return lr


def schedule(keras: Any, lr: float = 0.5) -> Any:
    return keras.optimizers.schedules.ExponentialDecay(lr, 1, 0.5)


def after_training(model: Any) -> list[Any]:
    """Returns the weights after an epoch of batches in order."""
    model.fit(*digits(), batch_size=50, shuffle=False, verbose=0)
    return weights(model)


def agree(first: list[Any], second: list[Any]) -> bool:
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(first, second, strict=True))


OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda keras, lr: keras.optimizers.SGD(lr),
    "Adam": lambda keras, lr: keras.optimizers.Adam(lr),
    "legacy Adam": lambda keras, lr: keras.optimizers.legacy.Adam(lr),
}
HERE = [name for name in OPTIMIZERS if hosts.IS_TF_KERAS or not name.startswith("legacy")]


@pytest.mark.keras
@pytest.mark.minors
@pytest.mark.parametrize("name", HERE)
def test_a_scanned_model_trains_at_the_suggested_rate(keras: Any, name: str) -> None:
    make = OPTIMIZERS[name]
    model, twin = compiled(keras, make(keras, 1e-3)), compiled(keras, make(keras, suggested()))
    lr_scan(model, *digits(), num_steps=10, verbose=0)
    assert read().apply(model) == suggested()
    assert array_of(model.optimizer.learning_rate) == pytest.approx(suggested(), rel=1e-6)
    assert agree(after_training(model), after_training(twin))


@pytest.mark.keras
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.one_backend if name == "Adam" else ()) for name in HERE]
)
def test_a_schedule_is_kept_unless_it_may_be_replaced(keras: Any, name: str) -> None:
    make = OPTIMIZERS[name]
    model, twin = compiled(keras, make(keras, schedule(keras))), compiled(keras, make(keras, suggested()))
    initial = weights(model)
    after_training(model)  # compiles the step with the schedule
    for variable, value in zip(model.variables, initial, strict=True):
        variable.assign(value)
    before = state(model)
    with pytest.raises(ScanError, match=r"learning_rate=ExponentialDecay, a schedule.*`replace_schedule=True`"):
        read().apply(model)
    assert same_bits(state(model), before)
    read().apply(model, replace_schedule=True)
    if name == "SGD":  # the others remember the first epoch
        assert agree(after_training(model), after_training(twin))
    else:
        moved = rate_of_next_step(keras, model)
        assert moved == pytest.approx(suggested(), rel=1e-3)


def rate_of_next_step(keras: Any, model: Any) -> float:
    """Returns the rate that the optimizer's schedule gives for its next update."""
    found = model.optimizer._hyper["learning_rate"] if hasattr(model.optimizer, "_hyper") else None
    found = model.optimizer._learning_rate if found is None else found
    return float(array_of_tensor(found(model.optimizer.iterations)))


def array_of_tensor(value: Any) -> Any:
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


@pytest.mark.keras
def test_a_function_as_learning_rate_counts_as_a_schedule(keras: Any) -> None:
    if hosts.IS_TF_KERAS:
        pytest.skip("tf_keras calls the function once and keeps its value")
    model = compiled(keras, keras.optimizers.SGD(lambda: 0.5))
    with pytest.raises(ScanError, match="learning_rate=function, a schedule"):
        read().apply(model)
    read().apply(model, replace_schedule=True)
    assert agree(after_training(model), after_training(compiled(keras, keras.optimizers.SGD(suggested()))))


def mapped(keras: Any, variables: list[Any], rates: list[float]) -> tuple[list[Any], Any]:
    """Returns optimizers and a `MultiOptimizer` of them: the last for all weights, the others for one weight each."""
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    *firsts, rest = [keras.optimizers.SGD(rate) for rate in rates]
    chosen = keras.optimizers.OptimizerMap(rest)
    for first, variable in zip(firsts, variables, strict=False):
        chosen[variable.path] = first
    return [*firsts, rest], keras.optimizers.MultiOptimizer(chosen)


@pytest.mark.keras
def test_several_optimizers_keep_the_ratios_of_their_rates_and_frozen_weights_stay_frozen(keras: Any) -> None:
    model = classifier(keras)
    optimizers, together = mapped(keras, model.trainable_variables, [0.0, 1e-3, 1e-2])
    compiled(keras, together, model=model)
    read().apply(model)
    rates = [float(array_of(item.learning_rate)) for item in optimizers]
    assert rates == pytest.approx([0.0, suggested() / 10, suggested()], rel=1e-6)


@pytest.mark.keras
@pytest.mark.parametrize("given_input", [True, False])
def test_a_function_that_chooses_optimizers_needs_a_model_with_weights(keras: Any, given_input: bool) -> None:
    if not hasattr(keras.optimizers, "MultiOptimizer"):
        pytest.skip("this Keras has no MultiOptimizer")
    only = keras.optimizers.SGD(1e-3)
    together = keras.optimizers.MultiOptimizer(lambda variable: only)
    model = compiled(keras, together, model=classifier(keras, given_input=given_input))
    if given_input:
        read().apply(model)
        assert array_of(only.learning_rate) == pytest.approx(suggested(), rel=1e-6)
        return
    with pytest.raises(ScanError, match="Expected a model with weights, by which its optimizer chooses among several"):
        read().apply(model)


@pytest.mark.keras
def test_the_optimizer_within_a_loss_scaling_one_gets_the_rate(keras: Any) -> None:
    mixed = keras.mixed_precision if hosts.IS_TF_KERAS else keras.optimizers
    inner = keras.optimizers.SGD(1e-3)
    model = compiled(keras, mixed.LossScaleOptimizer(inner))
    read().apply(model)
    assert array_of(inner.learning_rate) == pytest.approx(suggested(), rel=1e-6)


@pytest.mark.keras
def test_the_decay_of_a_legacy_optimizer_starts_again_from_the_rate(keras: Any) -> None:
    if not hosts.IS_TF_KERAS:
        pytest.skip("only tf_keras has such optimizers")
    model = compiled(keras, keras.optimizers.legacy.SGD(1e-3, decay=0.1))
    after_training(model)  # four updates
    read().apply(model)
    assert array_of(model.optimizer.learning_rate) / (1 + 0.1 * 4) == pytest.approx(suggested(), rel=1e-6)


@pytest.mark.keras
def test_one_of_two_optimizers_can_be_chosen(keras: Any) -> None:
    model = compiled(keras, keras.optimizers.SGD(1e-3))
    other = keras.optimizers.SGD(1e-3)
    if hosts.BACKEND == "jax":
        with pytest.raises(ScanError, match="on JAX Keras passes no other to the training step"):
            read().apply(model, optimizer=other)
        return
    read().apply(model, optimizer=other)
    rates = [array_of(item.learning_rate) for item in (model.optimizer, other)]
    assert rates == pytest.approx([1e-3, suggested()], rel=1e-6)


@pytest.mark.keras
def test_a_model_without_an_optimizer_is_refused(keras: Any) -> None:
    with pytest.raises(ScanError, match="Expected a compiled model"):
        read().apply(classifier(keras))


def test_something_else_than_a_model_is_refused() -> None:
    with pytest.raises(ScanError, match=r"Expected a model of Keras 3 or tf_keras. Received: model of type 'dict'"):
        read().apply({})


@pytest.mark.parametrize("name", ["frozen-layers", "nan-in-data", "twenty-steps"])
def test_without_a_suggestion_both_refuse_with_the_reason_of_the_analysis(name: str) -> None:
    analysis = analyze(LRCurve.from_json(CURVES / f"{name}.json"))
    assert analysis.suggestion.lr is None
    for call in (lambda: analysis.apply(None), lambda: analysis.one_cycle(100)):
        with pytest.raises(InvalidCurveError) as error:
            call()
        assert f"of the shape '{analysis.verdict.shape}'. {analysis.suggestion.reason} " in str(error.value)


def rates_of(made: Any, steps: int) -> list[float]:
    return [float(array_of_tensor(made(step))) for step in range(steps)]


@pytest.mark.keras
@pytest.mark.minors
def test_a_one_cycle_schedule_rises_for_a_quarter_of_the_steps_and_falls_to_almost_nothing(keras: Any) -> None:
    peak = suggested("one-cycle")
    rates = rates_of(read().one_cycle(100), 101)
    assert rates[0] == pytest.approx(peak / 25, rel=1e-4)
    assert rates[25] == max(rates) == pytest.approx(peak, rel=1e-4)
    assert np.allclose(np.diff(rates[:26]), (peak - peak / 25) / 25, rtol=1e-3)
    assert (np.diff(rates[25:]) < 0).all()
    assert rates[62] == pytest.approx(peak / 2, rel=0.05)
    assert rates[100] == pytest.approx(peak * 1e-5, rel=0.05)


@pytest.mark.keras
@given(num_steps=st.integers(2, 10**6))
def test_a_one_cycle_schedule_of_any_length_stays_below_its_peak(keras: Any, num_steps: int) -> None:
    made = read().one_cycle(num_steps)
    assert made.warmup_steps + made.decay_steps == num_steps
    ends = [float(array_of_tensor(made(step))) for step in (0, made.warmup_steps, num_steps)]
    assert max(ends) == ends[1] == pytest.approx(suggested("one-cycle"), rel=1e-4)


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras when it saves
def test_a_one_cycle_schedule_is_saved_with_its_model_and_trains(keras: Any, tmp_path: Path) -> None:
    made = read().one_cycle(np.int64(8))
    model = compiled(keras, keras.optimizers.SGD(made))
    first = after_training(model)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config()["learning_rate"] == model.optimizer.get_config()["learning_rate"]
    assert not agree(first, after_training(again))
    assert agree(weights(again), after_training(model))


@pytest.mark.keras
def test_the_schedule_is_one_of_the_library_that_was_scanned(keras: Any) -> None:
    assert type(read().one_cycle(10)) is keras.optimizers.schedules.CosineDecay
    foreign = analyze(LRCurve(lr=read().curve.lr, loss=read().curve.loss))
    assert isinstance(foreign.one_cycle(10, library=LIBRARY), keras.optimizers.schedules.CosineDecay)


@pytest.mark.parametrize("num_steps", [1, 0, -3, 2.0, True, "10", None])
def test_a_number_of_steps_that_is_none_is_refused(num_steps: Any) -> None:
    with pytest.raises(InvalidOptionError, match=r"Argument `num_steps` must be an integer of at least 2. Received: "):
        read().one_cycle(num_steps)


def test_an_unknown_library_or_role_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="Argument `library` must be one of 'keras', 'tf_keras'"):
        read().one_cycle(10, library="torch")
    with pytest.raises(InvalidOptionError, match="Argument `role` must be one of 'constant', 'one-cycle'"):
        read().rate_for("peak")


@pytest.mark.keras
@pytest.mark.one_backend
def test_another_optimizer_than_the_one_that_was_scanned_gets_no_rate_unless_it_is_passed(keras: Any) -> None:
    model = compiled(keras, keras.optimizers.SGD(0.5))
    analysis = read()
    context = dataclasses.replace(analysis.curve.context, optimizer="Adam")
    of_adam = analyze(dataclasses.replace(analysis.curve, context=context), num_copies=1)
    with pytest.raises(ScanError, match=r"optimizer that was scanned, Adam\. Received: a model compiled with SGD\."):
        of_adam.apply(model)
    assert array_of(model.optimizer.learning_rate) == pytest.approx(0.5)
    other = keras.optimizers.Adam(0.5)
    assert of_adam.apply(model, optimizer=other) == pytest.approx(float(array_of(other.learning_rate)))
