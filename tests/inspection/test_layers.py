"""Tests the facts about layers: which are frozen, which were trained before, and the architecture they come from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from keras_lrscan.hosts.host import Host
from keras_lrscan.inspection.describe import _precision
from keras_lrscan.inspection.layers import _is_used, backbone_of, layer_facts
from keras_lrscan.scan import LRScan
from tests.support.hosts import BACKEND, IS_TF_KERAS, array_of, classifier, compiled, digits

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.keras


def told(model: Any, *, iterations: int = 0) -> dict[str, Any]:
    model.compile(optimizer="sgd", loss="mse")
    return layer_facts(Host(model), iterations)


def body_of(keras: Any) -> Any:
    layers, inputs = keras.layers, keras.Input((8,))
    hidden = layers.Dropout(0.2)(layers.BatchNormalization()(layers.Dense(6, use_bias=False)(inputs)))
    return keras.Model(inputs, layers.Dense(4, activation="relu")(hidden), name="body")


def nested(keras: Any, body: Any) -> Any:
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(2)(body(inputs)))


def flattened(keras: Any, body: Any) -> Any:
    return keras.Model(body.inputs, keras.layers.Dense(2)(body.outputs[0]))


def stacked(keras: Any, body: Any) -> Any:
    return keras.Sequential([body, keras.layers.Dense(2)])


def warmed(body: Any) -> Any:
    """Returns `body` as if trained, with moving statistics and biases off their initial values."""
    body.layers[2].moving_mean.assign(np.full(6, 0.5))
    body.layers[-1].bias.assign(np.full(4, 0.1))
    return body


@pytest.mark.parametrize("built", [nested, flattened, stacked])
def test_a_new_head_on_a_body_that_was_trained(keras: Any, built: Callable[[Any, Any], Any]) -> None:
    body = warmed(body_of(keras))
    body.trainable = False
    facts = told(built(keras, body))
    assert facts == {
        "num_layers": 4,
        "num_frozen_layers": 3,
        "num_used_layers": 2,
        "head_is_fresh": True,
        "head_is_untrained": True,
        "body_is_frozen": True,
        "has_activity_penalty": False,
        "backbone": None,
        "num_normalization_layers": 1,
        "num_dropout_layers": 1,
    }


@pytest.mark.one_backend
def test_a_fresh_model_has_no_used_layers(keras: Any) -> None:
    facts = told(nested(keras, body_of(keras)))
    assert (facts["num_used_layers"], facts["num_frozen_layers"], facts["head_is_fresh"]) == (0, 0, False)


@pytest.mark.one_backend
def test_a_last_layer_that_does_not_train_is_no_new_one(keras: Any) -> None:
    model = stacked(keras, body_of(keras))
    model.layers[-1].trainable = False
    facts = told(model)
    assert facts["num_frozen_layers"] == 1
    assert (facts["head_is_fresh"], facts["head_is_untrained"], facts["body_is_frozen"]) == (None, None, None)


RANDOM_LAYERS: dict[str, Callable[[Any, Any], tuple[Any, tuple[int | None, ...]]]] = {
    "dense": lambda layers, draw: (layers.Dense(40, use_bias=False, kernel_initializer=draw), (None, 30)),
    "convolution": lambda layers, draw: (
        layers.Conv2D(12, 3, use_bias=False, kernel_initializer=draw),
        (None, 9, 9, 8),
    ),
    "depthwise": lambda layers, draw: (
        layers.DepthwiseConv2D(3, use_bias=False, depthwise_initializer=draw),
        (None, 9, 9, 16),
    ),
    "embedding": lambda layers, draw: (layers.Embedding(60, 16, embeddings_initializer=draw), (None, 5)),
}
INITIALIZERS = (
    *("glorot_uniform", "glorot_normal", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"),
    *("random_normal", "random_uniform", "truncated_normal", "orthogonal"),
)


@pytest.mark.one_host
@pytest.mark.parametrize("kind", RANDOM_LAYERS)
def test_weights_as_drawn_are_no_sign_of_training_and_others_are(keras: Any, kind: str) -> None:
    for seed, draw in enumerate(INITIALIZERS):
        keras.utils.set_random_seed(seed)
        layer, shape = RANDOM_LAYERS[kind](keras.layers, draw)
        layer.build(shape)
        assert _is_used(layer) is None, draw
        if draw == "orthogonal":
            continue  # the spread of its draws is not looked at
        values = array_of(layer.weights[0])
        layer.weights[0].assign(1.6 * values)
        assert _is_used(layer), draw
        one = values.copy()
        one.flat[3] = 40 * values.std()
        layer.weights[0].assign(one)
        assert _is_used(layer), draw


@pytest.mark.one_backend
@pytest.mark.one_host
def test_a_trained_body_without_biases_counts_in_full(keras: Any) -> None:
    layers, (x, y) = keras.layers, digits(400)
    keras.utils.set_random_seed(0)
    body = keras.Sequential([keras.Input((8,)), *(layers.Dense(64, "relu", use_bias=False) for _ in range(2))])
    model = keras.Sequential([body, layers.Dense(10, "softmax")])
    assert told(model)["num_used_layers"] == 0
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=20, verbose=0)
    facts = told(keras.Sequential([body, layers.Dense(10, "softmax")]))
    assert (facts["num_used_layers"], facts["num_layers"], facts["head_is_fresh"]) == (2, 3, True)


@pytest.mark.one_backend
def test_new_layers_on_a_frozen_body_are_told_from_a_body_that_trains(keras: Any) -> None:
    layers = keras.layers
    for frozen, head, expected in ((True, 0.0, True), (False, 0.0, False), (True, 0.3, False)):
        body = warmed(body_of(keras))
        body.trainable = not frozen
        inputs = keras.Input((8,))
        model = keras.Model(inputs, layers.Dense(2)(layers.Dense(5, activation="relu")(body(inputs))))
        model.layers[-1].bias.assign(np.full(2, head))
        assert told(model)["body_is_frozen"] is expected


@pytest.mark.one_backend
def test_a_head_that_was_trained_too_is_not_fresh(keras: Any) -> None:
    model = nested(keras, warmed(body_of(keras)))
    model.layers[-1].bias.assign(np.full(2, 0.3))
    facts = told(model)
    assert (facts["head_is_fresh"], facts["head_is_untrained"]) == (False, False)


@pytest.mark.one_backend
def test_a_head_without_a_bias_does_not_tell_whether_it_was_trained(keras: Any) -> None:
    layers, inputs = keras.layers, keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.Dense(4)(inputs)))
    assert told(model)["head_is_untrained"] is None


def test_the_precision_is_that_of_the_layer_that_computes_with_fewest_bits(keras: Any) -> None:
    layers, inputs = keras.layers, keras.Input((8,))
    assert _precision(keras.Model(inputs, layers.Dense(1)(inputs))) == "float32"
    half = layers.Dense(1, dtype=keras.mixed_precision.Policy("mixed_float16"))
    assert _precision(keras.Model(inputs, half(inputs))) == "mixed_float16"


@pytest.mark.one_backend
def test_a_penalty_on_what_a_layer_puts_out_is_seen(keras: Any) -> None:
    layers, inputs = keras.layers, keras.Input((8,))
    hidden = layers.Dense(4, activity_regularizer="l1")(inputs)
    assert told(keras.Model(inputs, layers.Dense(1)(hidden)))["has_activity_penalty"]


@pytest.mark.one_backend
def test_a_head_without_anything_that_tells_is_unknown(keras: Any) -> None:
    layers = keras.layers
    inputs = keras.Input((8,))
    body = warmed(body_of(keras))
    assert told(keras.Model(inputs, layers.Dense(2, use_bias=False)(body(inputs))))["head_is_fresh"] is None


@pytest.mark.one_backend
def test_updates_of_the_optimizer_make_every_layer_that_can_train_a_used_one(keras: Any) -> None:
    model = nested(keras, body_of(keras))
    model.layers[1].layers[1].trainable = False
    facts = told(model, iterations=3)
    assert (facts["num_frozen_layers"], facts["num_used_layers"]) == (1, 3)


@pytest.mark.one_backend
def test_initial_values_that_are_not_zero_are_no_sign_of_training(keras: Any) -> None:
    layers, constant = keras.layers, keras.initializers.Constant(0.3)
    inputs = keras.Input((5, 3))
    hidden = layers.GRU(3)(layers.LSTM(4, dropout=0.1, return_sequences=True)(inputs))
    model = keras.Model(inputs, layers.Dense(2, bias_initializer=constant)(hidden))
    facts = told(model)
    assert (facts["num_layers"], facts["num_used_layers"], facts["num_dropout_layers"]) == (3, 0, 1)
    model.layers[1].set_weights([array_of(variable) + 0.1 for variable in model.layers[1].weights])
    assert told(model)["num_used_layers"] == 1


def test_one_epoch_marks_layers_with_biases_and_a_scan_does_not(keras: Any) -> None:
    model = compiled(keras, model=classifier(keras, rich=True))
    x, y = digits(64)
    recorders = [LRScan(num_steps=8, verbose=0) for _ in range(2)]
    for recorder in recorders:
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[recorder])
        assert recorder.curve.context.num_used_layers == (0 if recorder is recorders[0] else 3)
        model.fit(x, y, verbose=0)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    assert layer_facts(Host(model), 0)["num_used_layers"] == 3


@pytest.mark.one_backend
def test_layers_in_a_model_with_only_a_call_are_found(keras: Any) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [keras.layers.Dense(3), keras.layers.LayerNormalization()]
            self.out = keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            for block in self.blocks:
                inputs = block(inputs)
            return self.out(inputs)

    model = Own()
    model(np.ones((1, 4), "float32"))
    facts = told(model)
    assert (facts["num_layers"], facts["num_normalization_layers"], facts["head_is_fresh"]) == (3, 1, None)


NAMES = {
    "resnet50": "resnet50",
    "mobilenetv2_1.00_224": "mobilenetv2_1.00_224",
    "MobileNetV3Small": "MobileNetV3Small",
    "efficientnetb0": "efficientnetb0",
    "convnext_tiny": "convnext_tiny",
    "conv5_block3_out": "resnet50",
    "block_16_project_BN": "mobilenetv2",
    "my_resnet50_of_sorts": None,
    "dense_1": None,
}


@pytest.mark.one_backend
@pytest.mark.one_backend
@pytest.mark.parametrize("name", NAMES)
def test_names_of_backbones(name: str) -> None:
    assert backbone_of([SimpleNamespace(name="model"), SimpleNamespace(name=name)]) == NAMES[name]


@pytest.mark.one_backend
def test_classes_of_backbones() -> None:
    kinds = {"TFBertMainLayer": "transformers.models.bert.x", "GemmaBackbone": "keras_hub.src.x", "Mine": "my.module"}
    made = [type(name, (), {"__module__": module})() for name, module in kinds.items()]
    assert [backbone_of([item]) for item in made] == ["Bert", "Gemma", None]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="Keras 3 names layers alike on every backend")
def test_an_application_is_known_nested_and_cut_open(keras: Any) -> None:
    options = {"weights": None, "include_top": False, "pooling": "avg", "input_shape": (32, 32, 3), "alpha": 0.35}
    body = keras.applications.MobileNetV2(**options)
    inputs = keras.Input((32, 32, 3))
    assert told(keras.Model(inputs, keras.layers.Dense(2)(body(inputs))))["backbone"] == body.name
    assert told(flattened(keras, body))["backbone"] == "mobilenetv2"


@pytest.mark.skipif(not IS_TF_KERAS, reason="transformers has TensorFlow models for tf_keras only")
def test_a_model_of_transformers(keras: Any) -> None:
    assert keras
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=4, vocab_size=50
    )
    model = transformers.TFBertForSequenceClassification(config)
    model({"input_ids": np.ones((2, 5), "int32")})
    facts = told(model)
    assert (facts["backbone"], facts["num_used_layers"], facts["head_is_fresh"]) == ("Bert", 0, False)
    assert facts["num_normalization_layers"] == 5
    model.bert.encoder.layer[0].intermediate.dense.bias.assign(np.ones(4))
    assert told(model)["head_is_fresh"] is True
