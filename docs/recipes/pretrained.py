"""Models with weights that others trained: MiniLM on headlines, EfficientNet-Lite on handwriting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_lrscan import lr_scan
from recipes import efficientnet, encoder
from recipes.data import handwriting, headlines

if TYPE_CHECKING:
    from keras_lrscan import LRCurve

HEADLINES = {"batch_size": 16, "num_steps": 200, "end_lr": 1.0, "verbose": 0}


def compiled(model: keras.Model, rate: float) -> keras.Model:
    """Returns the model, compiled for classes given as numbers."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def headlines_new_head() -> LRCurve:
    """A pretrained encoder with a new last layer, all of it free to train; earnings or takeover is the question."""
    texts, y = headlines()
    x, kept = encoder.tokens(texts)
    model = compiled(encoder.classifier(kept, num_classes=2, pretrained=True), 5e-5)
    return lr_scan(model, x, y, **HEADLINES).curve


def headlines_fresh() -> LRCurve:
    """The same network without its pretrained weights."""
    texts, y = headlines()
    x, kept = encoder.tokens(texts)
    model = compiled(encoder.classifier(kept, num_classes=2, pretrained=False), 5e-5)
    return lr_scan(model, x, y, **HEADLINES).curve


def headlines_fine_tuned() -> LRCurve:
    """The pretrained encoder once more, after it was trained on these headlines for an epoch."""
    texts, y = headlines()
    x, kept = encoder.tokens(texts)
    model = compiled(encoder.classifier(kept, num_classes=2, pretrained=True), 5e-5)
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)
    return lr_scan(model, x, y, **HEADLINES).curve


def pictures_new_head() -> LRCurve:
    """A pretrained image network, frozen, with a new last layer."""
    x, y = handwriting()
    model = compiled(efficientnet.classifier(num_classes=10, size=64, train_body=False), 0.001)
    return lr_scan(model, x, y, num_steps=150, verbose=0).curve


def pictures_unfrozen() -> LRCurve:
    """The last layer was trained first; then everything was unfrozen, except batch normalization, and scanned again."""
    x, y = handwriting()
    model = compiled(efficientnet.classifier(num_classes=10, size=64, train_body=False), 0.003)
    model.fit(x, y, epochs=2, verbose=0)
    for layer in model.get_layer("efficientnet_lite0").layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return lr_scan(compiled(model, 1e-4), x, y, num_steps=150, verbose=0).curve


def pictures_batch_statistics() -> LRCurve:
    """As before, but batch normalization was unfrozen, too, so it goes by the batch at hand."""
    x, y = handwriting()
    model = compiled(efficientnet.classifier(num_classes=10, size=64, train_body=False), 0.003)
    model.fit(x, y, epochs=2, verbose=0)
    model.get_layer("efficientnet_lite0").trainable = True
    return lr_scan(compiled(model, 1e-4), x, y, num_steps=150, verbose=0).curve


def pictures_still_frozen() -> LRCurve:
    """As before, but it is only the outer model that is unfrozen, which leaves the network inside as it is."""
    x, y = handwriting()
    model = compiled(efficientnet.classifier(num_classes=10, size=64, train_body=False), 0.003)
    model.fit(x, y, epochs=2, verbose=0)
    model.trainable = True
    return lr_scan(compiled(model, 1e-4), x, y, num_steps=150, verbose=0).curve


RECIPES = {
    "headlines-new-head": headlines_new_head,
    "headlines-fresh": headlines_fresh,
    "headlines-fine-tuned": headlines_fine_tuned,
    "pictures-new-head": pictures_new_head,
    "pictures-unfrozen": pictures_unfrozen,
    "pictures-batch-statistics": pictures_batch_statistics,
    "pictures-still-frozen": pictures_still_frozen,
}
