"""Recognizes the text of single lines, with the models that the package `rapidocr` contains."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.errors import missing_dependency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["recognize"]

HEIGHT, MARGIN, SIDE_MARGIN = 40, 4, 12
"""Height of a line of text for the recognizer, and the empty margins around it, in pixels."""

NARROWEST = 96
"""Width that the recognizer pads a line to: a third of its default, which tick labels do not need."""

ONE_AT_A_TIME = threading.Lock()
"""The recognizer keeps state between its steps."""

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""Environment variable without which `onnxruntime` reports its use to its maker: a picture stays on the computer."""


def recognize(lines: Sequence[NDArray[Any]]) -> list[str]:
    """Returns the text of each line, and an empty text for those without.

    Args:
        lines: One grayscale picture per line, from 0 to 255, cut to its ink. Arrays of shape `(height, width)`.

    Raises:
        MissingDependencyError: If `rapidocr` or `onnxruntime` is not installed.
    """
    if not lines:
        return []
    engine = _engine()
    found = []
    for line in lines:
        picture = np.repeat(_prepared(line)[..., None], 3, axis=-1)
        with ONE_AT_A_TIME:
            result = engine(picture, use_det=False, use_cls=False, use_rec=True)
        found.append(result.txts[0].strip() if result.txts else "")
    return found


@functools.cache
def _engine() -> Any:  # noqa: ANN401 - the package has no types
    os.environ.setdefault(NO_TELEMETRY, "1")
    try:
        import onnxruntime
        from rapidocr import RapidOCR
    except ImportError as error:
        purpose = "Reading a picture"
        raise missing_dependency(purpose, "rapidocr and onnxruntime", "pictures") from error

    onnxruntime.disable_telemetry_events()  # for a process that has imported it before
    onnxruntime.set_default_logger_severity(3)
    params = {
        # more threads only wait for each other: a line takes 25 ms on one core
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Rec.rec_img_shape": [3, 48, NARROWEST],
        "Global.log_level": "error",
        "Global.text_score": 0.0,
    }
    return RapidOCR(params=params)


def _prepared(line: NDArray[Any]) -> NDArray[np.uint8]:
    """Returns the line as dark letters on white, in the height that the recognizer expects."""
    from PIL import Image

    values = np.asarray(line, dtype=np.float32)
    paper = float(np.median(np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])))
    ink = np.abs(values - paper)
    ink /= max(float(ink.max()), 1.0)
    image = Image.fromarray((255 * (1 - ink)).astype(np.uint8))
    width = max(4, round(image.width * HEIGHT / image.height))
    image = image.resize((width, HEIGHT), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(image), ((MARGIN, MARGIN), (SIDE_MARGIN, SIDE_MARGIN)), constant_values=255)
