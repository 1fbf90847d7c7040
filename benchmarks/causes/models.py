"""Builds small models of many kinds from named bodies and heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bodies
import keras
from keras import layers, ops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from arrays import Data

__all__ = ["build"]

Tensor = Any


def norm(kind: str | None, features: Tensor, **options: Any) -> Tensor:
    """Applies batch or layer normalization, or nothing for `None`."""
    kinds = {"batch": layers.BatchNormalization, "layer": layers.LayerNormalization}
    return features if kind is None else kinds[kind](**options)(features)


def as_numbers(inputs: Tensor, data: Data, width: int = 16) -> Tensor:
    """Embeds tokens and leaves numeric inputs unchanged."""
    return layers.Embedding(data.tokens[0], width, name="embedding")(inputs) if data.tokens else inputs


def mlp(
    inputs: Tensor,
    data: Data,
    *,
    units: tuple[int, ...] = (64, 64),
    activation: Any = "relu",
    normalize: str | None = None,
    norm_options: Mapping[str, Any] | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> Tensor:
    """Applies dense layers."""
    features = layers.Flatten()(as_numbers(inputs, data))
    for width in units:
        features = layers.Dense(width, **options)(features)
        features = norm(normalize, features, **(norm_options or {}))
        features = layers.Activation(activation)(features)
        features = layers.Dropout(dropout)(features) if dropout else features
    return features


def cnn(
    inputs: Tensor,
    data: Data,
    *,
    filters: tuple[int, ...] = (8, 16),
    normalize: str | None = None,
    norm_options: Mapping[str, Any] | None = None,
    pool: str = "mean",
    dropout: float = 0.0,
    **options: Any,
) -> Tensor:
    """Applies convolutions to an image, a series or a text."""
    picture = len(inputs.shape) == 3 and inputs.shape[1] == inputs.shape[2]
    features = layers.Reshape((*inputs.shape[1:], 1))(inputs) if picture else as_numbers(inputs, data)
    convolution, pooling, means = (
        (layers.Conv2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D)
        if picture
        else (layers.Conv1D, layers.MaxPooling1D, layers.GlobalAveragePooling1D)
    )
    for number, width in enumerate(filters):
        features = convolution(width, 3, padding="same", **options)(features)
        features = norm(normalize, features, **(norm_options or {}))
        features = layers.Activation("relu")(features)
        features = pooling(2)(features) if number == 0 else features
    ends = {"mean": means(), "flat": layers.Flatten(), "sum": Total()}
    features = ends[pool](features)
    return layers.Dropout(dropout)(features) if dropout else features


@keras.saving.register_keras_serializable("zoo")
class Total(layers.Layer):
    """Sums over all positions, as a custom pooling layer may do."""

    def call(self, x: Tensor) -> Tensor:
        """Returns the sum."""
        return ops.sum(x, axis=tuple(range(1, len(x.shape) - 1)))


@keras.saving.register_keras_serializable("zoo")
class UnitLength(layers.Layer):
    """Divides each vector by its norm, with the squares summed in the dtype of the inputs."""

    def call(self, x: Tensor) -> Tensor:
        """Returns vectors of norm 1."""
        return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))


@keras.saving.register_keras_serializable("zoo")
class Map(layers.Layer):
    """Applies a function of `keras.ops`, given by name, to the scaled inputs."""

    def __init__(self, name_of: str, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.name_of, self.factor = name_of, factor

    def call(self, x: Tensor) -> Tensor:
        """Returns the function of the scaled inputs."""
        return getattr(ops, self.name_of)(x * self.factor)


def rnn(
    inputs: Tensor,
    data: Data,
    *,
    cell: str = "GRU",
    units: int = 24,
    sequences: bool = False,
    dropout: float = 0.0,
    normalize: str | None = None,
    **options: Any,
) -> Tensor:
    """Applies a recurrent layer."""
    features = layers.Dropout(dropout)(as_numbers(inputs, data)) if dropout else as_numbers(inputs, data)
    return norm(normalize, getattr(layers, cell)(units, return_sequences=sequences, **options)(features))


def transformer(
    inputs: Tensor,
    data: Data,
    *,
    width: int = 32,
    blocks: int = 1,
    dropout: float = 0.0,
    sequences: bool = False,
    normalize: str | None = "layer",
) -> Tensor:
    """Applies attention and dense layers in residual blocks."""
    features = as_numbers(inputs, data, width) if data.tokens else layers.Dense(width)(inputs)
    places = ops.arange(inputs.shape[1])
    features = features + layers.Embedding(inputs.shape[1], width, name="places")(places)
    for _ in range(blocks):
        seen = norm(normalize, features)
        seen = layers.MultiHeadAttention(2, width // 2, dropout=dropout)(seen, seen, use_causal_mask=sequences)
        features = features + seen
        wide = layers.Dense(2 * width, activation="gelu")(norm(normalize, features))
        features = features + layers.Dense(width)(wide)
    features = norm(normalize, features)
    return features if sequences else layers.GlobalAveragePooling1D()(features)


def bag(inputs: Tensor, data: Data, width: int = 32, dropout: float = 0.0, **options: Any) -> Tensor:
    """Averages the word embeddings."""
    embedded = layers.Embedding(data.tokens[0], width, **options)(inputs)
    features = layers.GlobalAveragePooling1D()(embedded)
    return layers.Dropout(dropout)(features) if dropout else features


def attention(inputs: Tensor, data: Data, width: int = 32) -> Tensor:
    """Averages the word embeddings by attention, with padding masked by adding -1e9."""
    words = as_numbers(inputs, data, width)
    padding = ops.expand_dims(ops.cast(ops.equal(inputs, 0), words.dtype), -1)
    shares = ops.softmax(layers.Dense(1)(layers.Dense(width, activation="tanh")(words)) + padding * -1e9, axis=1)
    return ops.sum(shares * words, axis=1)


def factors(inputs: Tensor, data: Data, width: int = 8) -> Tensor:
    """Multiplies the embeddings of user and item, as a recommender does."""
    users, items = data.tokens
    user = layers.Embedding(users, width)(inputs[:, 0])
    item = layers.Embedding(items, width)(inputs[:, 1])
    return layers.Concatenate()([user * item, user, item])


def nothing(inputs: Tensor, data: Data) -> Tensor:
    """Passes the inputs to the head unchanged, which makes a linear model."""
    return layers.Flatten()(as_numbers(inputs, data))


def mapped(inputs: Tensor, data: Data, functions: tuple[Any, ...], **options: Any) -> Tensor:
    """Applies dense layers, then custom functions."""
    features = mlp(inputs, data, **options)
    for function in functions:
        features = UnitLength()(features) if function == "unit length" else Map(*function)(features)
    return features


BODIES: Mapping[str, Callable[..., Tensor]] = {
    "mlp": mlp,
    "cnn": cnn,
    "rnn": rnn,
    "transformer": transformer,
    "bag": bag,
    "attention": attention,
    "factors": factors,
    "linear": nothing,
    "mapped": mapped,
    "residual": bodies.residual,
    "separable": bodies.separable,
    "bidirectional": bodies.bidirectional,
    "wide and deep": bodies.wide_and_deep,
    "towers": bodies.towers,
}


def plain(features: Tensor, data: Data, activation: str | None = "auto", **options: Any) -> Tensor:
    """Applies one dense layer, whose activation fits the targets by default."""
    if activation == "auto":
        activation = None if data.classes is None else ("sigmoid" if data.units == 1 else "softmax")
    return layers.Dense(data.units, activation=activation, name="head", **options)(features)


def double_softmax(features: Tensor, data: Data) -> Tensor:
    """Applies a dense layer with a softmax, and a second softmax after it."""
    return layers.Softmax()(layers.Dense(data.units, activation="softmax", name="head")(features))


def reshaped(features: Tensor, data: Data, activation: str = "sigmoid") -> Tensor:
    """Reshapes the probabilities, so that Keras cannot recover their logits."""
    probabilities = layers.Dense(data.units, activation=activation, name="head")(features)
    return layers.Reshape(probabilities.shape[1:])(probabilities)


def committee(features: Tensor, data: Data, members: int = 3) -> Tensor:
    """Averages several softmaxes."""
    votes = [layers.Dense(data.units, activation="softmax", name=f"head{i}")(features) for i in range(members)]
    return layers.Average()(votes)


def stepped(features: Tensor, data: Data, function: str = "sign", factor: float = 1.0) -> Tensor:
    """Applies a function with zero gradient, such as sign or round, to the outputs."""
    return Map(function, factor)(layers.Dense(data.units, name="head")(features))


def apart(features: Tensor, data: Data, activation: str = "softmax") -> Tensor:
    """Applies a dense layer and a separate activation layer."""
    return layers.Activation(activation)(layers.Dense(data.units, name="head")(features))


def frames(features: Tensor, data: Data, activation: str = "softmax") -> Tensor:
    """Averages the probabilities over the time steps of a sequence."""
    return layers.GlobalAveragePooling1D()(layers.Dense(data.units, activation=activation, name="head")(features))


@keras.saving.register_keras_serializable("zoo")
class ScaledCosine(layers.Layer):
    """Computes class probabilities as a custom softmax of scaled cosines between the inputs and the class vectors."""

    def __init__(self, classes: int, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes, self.scale = classes, scale

    def build(self, shape: tuple[int, ...]) -> None:
        """Creates one vector per class."""
        self.kernel = self.add_weight(shape=(shape[-1], self.classes), name="kernel")

    def call(self, x: Tensor) -> Tensor:
        """Returns the class probabilities."""
        kernel = ops.cast(self.kernel, x.dtype)
        grown = ops.exp(self.scale * ops.matmul(ops.normalize(x, axis=-1), ops.normalize(kernel, axis=0)))
        return grown / ops.sum(grown, axis=-1, keepdims=True)


def cosine(features: Tensor, data: Data, scale: float = 64.0) -> Tensor:
    """Applies a cosine head, as in face recognition."""
    return ScaledCosine(data.units, scale, name="head")(features)


HEADS: Mapping[str, Callable[..., Tensor]] = {
    "plain": plain,
    "double softmax": double_softmax,
    "reshaped": reshaped,
    "committee": committee,
    "stepped": stepped,
    "apart": apart,
    "frames": frames,
    "cosine": cosine,
}


def with_regularizers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options in which each (class name, arguments) has become a regularizer or initializer."""
    kinds = {"regularizer": keras.regularizers, "initializer": keras.initializers}
    made = dict(options)
    for name, value in options.items():
        kind = kinds.get(name.rsplit("_", maxsplit=1)[-1])
        if kind is not None and isinstance(value, tuple):
            made[name] = getattr(kind, value[0])(*value[1:])
    return made


class Whole(keras.Model):
    """Wraps a model in a subclassed model."""

    def __init__(self, inside: keras.Model) -> None:
        super().__init__()
        self.inside = inside

    def call(self, x: Tensor, training: bool | None = None) -> Tensor:
        """Returns the outputs."""
        return self.inside(x, training=training)


def inputs_of(data: Data) -> Any:
    """Returns the model's input, or two inputs if the columns are split."""
    if data.split:
        return [keras.Input((width,)) for width in (data.split, data.x.shape[1] - data.split)]
    return keras.Input(data.x.shape[1:], dtype="int32" if data.tokens else "float32")


def build(data: Data, body: tuple[str, Mapping[str, Any]], head: tuple[str, Mapping[str, Any]]) -> keras.Model:
    """Returns an uncompiled model, wrapped in a subclassed model if the body's options contain `whole`."""
    inputs = inputs_of(data)
    options = with_regularizers(body[1])
    whole = options.pop("whole", False)
    features = BODIES[body[0]](inputs, data, **options)
    model = keras.Model(inputs, HEADS[head[0]](features, data, **with_regularizers(head[1])))
    if whole:
        model = Whole(model)
        model.build((None, *data.x.shape[1:]))
    return model
