"""Tests that a scan also restores state that the hosts do not track, or refuses the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keras_lrscan.curves.curve import StopReason
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.host import Host
from keras_lrscan.hosts.layer_tree import layers_in
from keras_lrscan.hosts.reachable import reachable_from
from keras_lrscan.recording.trials import Trials
from keras_lrscan.scan import LRScan, lr_scan
from tests.support.hosts import BACKEND, IS_TF_KERAS, array_of, compiled, digits, given_input, same_bits, state, weights

pytestmark = pytest.mark.keras

on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="written for TensorFlow")


def fit(model: Any, x: Any, y: Any = None, *callbacks: Any, epochs: int = 1) -> Any:
    return model.fit(x, y, batch_size=32, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks))


def scan_of(model: Any, x: Any, y: Any = None, **options: Any) -> LRScan:
    scan = LRScan(start_lr=1e-4, end_lr=1.0, num_steps=8, verbose=0, **options)
    fit(model, x, y, scan, epochs=4)
    return scan


def test_the_memory_of_a_stateful_layer_comes_back(keras: Any) -> None:
    if BACKEND in {"jax", "torch"}:
        pytest.skip("Keras itself keeps no such memory on JAX, and cannot train with one on torch")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    first = layers.InputLayer(batch_input_shape=(32, 4, 2)) if IS_TF_KERAS else layers.Input(batch_shape=(32, 4, 2))
    model = keras.Sequential([first, layers.LSTM(3, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 4, 2)).astype("float32")
    fit(model, x, x[:, 0, :1])
    memory = [array_of(item) for item in model.layers[-2].states]
    scan_of(model, x, x[:, 0, :1])
    assert any(value.any() for value in memory)
    assert same_bits(memory, [array_of(item) for item in model.layers[-2].states])


def counting_layer(keras: Any) -> Any:
    class Counting(keras.layers.Layer):  # type: ignore[misc]
        """Counts its calls in Python and, on TensorFlow, in a variable that no layer of Keras 3 tracks."""

        def __init__(self) -> None:
            super().__init__()
            self.num_calls = 0
            self.seen: list[int] = []
            if BACKEND == "tensorflow":
                import tensorflow as tf

                self.counter = tf.Variable(0.0, trainable=False)
                self.generator = tf.random.Generator.from_seed(3)

        def call(self, inputs: Any) -> Any:
            self.num_calls += 1
            self.seen.append(len(self.seen))
            if BACKEND != "tensorflow":
                return inputs
            self.counter.assign_add(1.0)
            return inputs + 0.01 * self.generator.normal((8,))

    return Counting()


@pytest.mark.parametrize("eager", [False, True], ids=["graph", "eager"])
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_counters_and_variables_that_nobody_tracks_come_back(keras: Any, eager: bool, used: bool) -> None:
    if BACKEND == "jax":
        pytest.skip("a step on JAX has no such state")
    ends = []
    x, y = digits(96)
    for with_scan in (False, True):
        keras.utils.set_random_seed(0)
        layer = counting_layer(keras)
        # without a metric, the step of a fresh model is traced once less after a scan, which the layer would count
        model = compiled(
            keras,
            model=keras.Sequential([given_input(keras, (8,)), layer, keras.layers.Dense(10, "softmax")]),
            metrics=["accuracy"],
            lazily=True,
        )
        model.run_eagerly = eager
        if used:
            fit(model, x, y)
        if with_scan:
            scan_of(model, x, y)
        history = fit(model, x, y).history
        held = [layer.counter.numpy(), layer.generator.state.numpy()] if BACKEND == "tensorflow" else []
        ends.append((state(model), held, layer.num_calls, list(layer.seen), history))
    assert same_bits(ends[0][0], ends[1][0])
    assert same_bits(ends[0][1], ends[1][1])
    assert ends[0][2:] == ends[1][2:]


def test_a_metric_that_never_resets_is_as_it_was(keras: Any) -> None:
    class Total(keras.metrics.Metric):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="total")
            self.total = self.add_weight(shape=(), initializer="zeros", name="total")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.total.assign(self.total + 1.0)

        def result(self) -> Any:
            return self.total + 0.0

        def reset_state(self) -> None:
            """Accumulates the total."""

    metric = Total()
    model = compiled(keras, metrics=[metric])
    x, y = digits(96)
    fit(model, x, y)
    scan_of(model, x, y)
    assert float(array_of(metric.total)) == 3.0


@on_tensorflow
def test_a_variable_made_in_the_first_step_is_refused_by_name(keras: Any) -> None:
    if IS_TF_KERAS:
        pytest.skip("tf_keras lists such variables, and its layers make them while the model is built")
    import tensorflow as tf

    class Late(keras.layers.Layer):  # type: ignore[misc]
        late: Any = None

        def call(self, inputs: Any) -> Any:
            if self.late is None and tf.inside_function() and not isinstance(inputs, keras.KerasTensor):
                with tf.init_scope():
                    self.late = tf.Variable(0.0)
            return inputs if self.late is None else inputs + self.late.assign_add(1.0)

    model = compiled(
        keras, model=keras.Sequential([given_input(keras, (8,)), Late(), keras.layers.Dense(10, "softmax")])
    )
    before = state(model)
    if model.layers[0].late is not None:
        pytest.skip("this Keras traces layers when they are connected")
    with pytest.raises(ScanError, match=r"1 created in the first step: model\..*late"):
        scan_of(model, *digits(96))
    assert same_bits(before, state(model))


def gan(keras: Any, *, call: bool = False) -> Any:
    """Returns a model with two parts and an optimizer for each, in addition to the optimizer of `compile`."""
    import tensorflow as tf

    class Gan(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            layers = keras.layers
            self.generator = keras.Sequential([given_input(keras, (2,)), layers.Dense(8)])
            self.discriminator = keras.Sequential([given_input(keras, (8,)), layers.Dense(1)])

        def compile(self, d_optimizer: Any, g_optimizer: Any) -> None:
            super().compile()
            self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

        def train_step(self, data: Any) -> dict[str, Any]:
            real = data[0] if isinstance(data, tuple) else data
            latent = tf.ones((tf.shape(real)[0], 2))
            with tf.GradientTape(persistent=True) as tape:
                fake = self.discriminator(self.generator(latent))
                cross = tf.nn.sigmoid_cross_entropy_with_logits
                d_loss = tf.reduce_mean(
                    cross(tf.ones_like(fake), self.discriminator(real)) + cross(tf.zeros_like(fake), fake)
                )
                g_loss = tf.reduce_mean(cross(tf.ones_like(fake), fake))
            parts = (
                (self.discriminator, self.d_optimizer, d_loss),
                (self.generator, self.g_optimizer, g_loss),
            )
            for part, optimizer, loss in parts:
                trained = part.trainable_variables
                optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))
            return {"d_loss": d_loss, "g_loss": g_loss}

    def called(self: Any, latent: Any) -> Any:  # the data of `fit` are not latent vectors
        return self.generator(latent)

    if call:
        Gan.call = called
    keras.utils.set_random_seed(3)
    model = Gan()
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.SGD(1e-2, momentum=0.9))
    return model


def optimizer_values(model: Any) -> list[Any]:
    values = []
    for optimizer in (model.d_optimizer, model.g_optimizer):
        variables = optimizer.variables() if callable(optimizer.variables) else optimizer.variables
        values += [array_of(variable) for variable in variables]
    return values


@on_tensorflow
@pytest.mark.parametrize("call", [False, True], ids=["without a call", "with the call of its generator"])
def test_a_model_that_trains_with_other_optimizers_is_refused_until_one_is_named(keras: Any, call: bool) -> None:
    model = gan(keras, call=call)
    before = state(model)
    with pytest.raises(ScanError, match=r"no update in 2 steps, while .*LRScan\(optimizer=model.d_optimizer\)"):
        scan_of(model, digits(96)[0], monitor="g_loss")
    assert same_bits(before, state(model))
    assert not int(array_of(model.d_optimizer.iterations))


@pytest.mark.one_host
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
def test_a_model_that_was_unfrozen_but_not_compiled_again_is_told_to_be(keras: Any) -> None:
    x, y = digits(96)
    model = compiled(keras)
    model.trainable = False
    compiled(keras, model=model, lazily=True)
    fit(model, x, y)
    model.trainable = True
    before = weights(model)
    fit(model, x, y)
    assert same_bits(before, weights(model))
    with pytest.raises(ScanError, match=r"unfrozen since `compile`, compile the model again"):
        scan_of(model, x, y)
    scan = scan_of(compiled(keras, model=model), x, y)
    assert scan.curve.loss.size == 8


@on_tensorflow
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_each_of_two_optimizers_can_be_scanned(keras: Any, used: bool) -> None:
    x = digits(96)[0]
    ends, curves = [], []
    for name in (None, "d_optimizer", "g_optimizer"):
        model = gan(keras)
        if used:
            fit(model, x)
        if name is not None:
            scan = scan_of(model, x, monitor="d_loss", optimizer=getattr(model, name))
            curves.append(scan.curve)
            assert scan.curve.context.optimizer == type(getattr(model, name)).__name__
            assert scan.curve.context.optimizer_path == f"model.{name}"
            assert scan.curve.context.num_other_optimizers == 1
            assert any("Other optimizers kept their learning rate" in note for note in scan.curve.context.notes)
        fit(model, x)
        ends.append([*state(model), *optimizer_values(model)])
    assert same_bits(ends[0], ends[1])
    assert same_bits(ends[0], ends[2])
    assert not np.array_equal(curves[0].loss, curves[1].loss)


@on_tensorflow
def test_the_scanned_optimizer_has_the_rates_of_the_scan(keras: Any) -> None:
    model, seen = gan(keras), []

    class Spy(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            rates = [optimizer.learning_rate for optimizer in (model.d_optimizer, model.g_optimizer)]
            seen.append([float(array_of(rate)) for rate in rates])

    scan = LRScan(start_lr=1e-4, end_lr=1.0, num_steps=8, verbose=0, monitor="d_loss", optimizer=model.g_optimizer)
    fit(model, digits(96)[0], None, scan, Spy(), epochs=4)
    assert [rates[1] for rates in seen][:7] == pytest.approx(scan.curve.lr[1:].tolist(), rel=1e-5)
    assert [rates[0] for rates in seen] == pytest.approx([1e-3] * len(seen))


@pytest.mark.parametrize("wrong", ["sgd", 0.1])
def test_an_optimizer_that_is_none_is_refused(keras: Any, wrong: Any) -> None:
    with pytest.raises(ScanError, match="Argument `optimizer` must be an optimizer"):
        lr_scan(compiled(keras), *digits(64), optimizer=wrong, verbose=0)


@on_tensorflow
def test_an_unbuilt_optimizer_that_cannot_be_made_again_is_refused_before_the_first_step(keras: Any) -> None:
    class Odd(keras.optimizers.SGD):  # type: ignore[misc]
        def __init__(self, *, needed: int) -> None:
            super().__init__(0.1)
            self.needed = needed

    model = compiled(keras, Odd(needed=1), lazily=True)
    before = weights(model)
    with pytest.raises(ScanError, match="is built or can be recreated from its config"):
        scan_of(model, *digits(96))
    assert same_bits(before, weights(model))
    model.optimizer.build(model.trainable_variables)
    assert len(scan_of(model, *digits(96)).curve) == 8


@pytest.mark.skipif(BACKEND != "jax", reason="JAX hands the state of one optimizer to the step")
def test_another_optimizer_is_refused_on_jax(keras: Any) -> None:
    with pytest.raises(ScanError, match="on JAX Keras passes no other"):
        lr_scan(compiled(keras), *digits(64), optimizer=keras.optimizers.SGD(0.1), verbose=0)


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_an_optimizer_that_begins_its_averages_with_the_weights_comes_back(keras: Any, used: bool) -> None:
    if not hasattr(keras.optimizers, "ScheduleFreeAdamW"):
        pytest.skip("this Keras has no such optimizer")
    ends = []
    x, y = digits(96)
    for with_scan in (False, True):
        model = compiled(keras, keras.optimizers.ScheduleFreeAdamW(1e-2), lazily=True)
        if used:
            fit(model, x, y)
        if with_scan:
            scan_of(model, x, y)
        fit(model, x, y, epochs=2)
        ends.append(state(model))
    assert same_bits(*ends)


def with_a_weight_that_breaks(keras: Any) -> Any:
    import tensorflow as tf

    class Half(keras.layers.Layer):  # type: ignore[misc]
        """Has a weight that never affects the output, but has a gradient of NaN."""

        def build(self, _: Any) -> None:
            self.unused = self.add_weight(shape=(), initializer="ones", name="unused")
            self.built = True

        def call(self, inputs: Any) -> Any:
            @tf.custom_gradient  # type: ignore[untyped-decorator]
            def ignored(weight: Any) -> Any:
                return tf.zeros_like(weight), lambda upstream: upstream * float("nan")

            return inputs + ignored(tf.convert_to_tensor(self.unused))

    return compiled(
        keras,
        keras.optimizers.SGD(1e-3),
        model=keras.Sequential([given_input(keras, (8,)), Half(), keras.layers.Dense(10)]),
    )


@on_tensorflow
def test_weights_that_stop_being_numbers_end_the_scan_and_are_named(keras: Any) -> None:
    model = with_a_weight_that_breaks(keras)
    before = weights(model)
    scan = LRScan(num_steps=40, verbose=0)
    fit(model, *digits(96), scan, epochs=14)
    assert scan.curve.stop is StopReason.NON_FINITE_WEIGHTS
    assert np.isfinite(scan.curve.loss).all()
    assert len(scan.curve) < 4
    assert any("unused" in note for note in scan.curve.context.notes)
    assert same_bits(before, weights(model))


@on_tensorflow
def test_one_of_several_scans_in_which_weights_break_does_not_end_the_next(keras: Any) -> None:
    model = with_a_weight_that_breaks(keras)
    with Trials(model, *digits(128), num_steps=8, verbose=0, fit_options={"batch_size": 16}) as trials:
        curves = [trials.scan() for _ in range(2)]
        losses = trials.train([1e-3] * 8)
    assert [curve.stop for curve in curves if curve is not None] == [StopReason.NON_FINITE_WEIGHTS] * 2
    assert losses is not None
    assert np.isfinite(losses).all()
    assert len(losses) == 8


@pytest.mark.skipif(BACKEND != "torch", reason="a module of torch")
def test_the_buffers_of_a_module_of_torch_come_back(keras: Any) -> None:
    import torch

    module = torch.nn.BatchNorm1d(8)
    layer = keras.layers.TorchModuleWrapper(module)
    model = compiled(
        keras, model=keras.Sequential([given_input(keras, (8,)), layer, keras.layers.Dense(10, "softmax")])
    )
    x, y = digits(96)
    fit(model, x, y)
    before = [array_of(item) for item in Host(model).buffers()]
    scan_of(model, x, y)
    assert len(before) == 3
    assert same_bits(before, [array_of(item) for item in Host(model).buffers()])


def test_layers_are_found_without_the_method_of_the_host(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = keras.Sequential([given_input(keras, (8,)), keras.layers.Dense(4), keras.layers.Dropout(0.1)])
    model = keras.Sequential([given_input(keras, (8,)), inner, keras.layers.Dense(2)])
    by_host = {layer.name for layer in layers_in(model)}
    below = {layer.name for layer in layers_in(model, include_self=False, recursive=False)}
    monkeypatch.delattr(keras.layers.Layer, "_flatten_layers")
    assert {layer.name for layer in layers_in(model)} >= by_host
    assert {layer.name for layer in layers_in(model, include_self=False, recursive=False)} >= below - {model.name}
    assert layers_in(object()) == []


def test_what_a_model_reaches_includes_all_that_its_host_lists(keras: Any) -> None:
    model = compiled(keras)
    fit(model, *digits(32))
    found = {id(variable) for variable in reachable_from(model).variables.values()}
    assert {id(variable) for variable in model.variables} <= found
    assert list(reachable_from(model).optimizers.values()) == [model.optimizer]
