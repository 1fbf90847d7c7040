"""Reads the arguments of the running `fit`, which Keras does not pass to callbacks.

Only this module reads local variables from the stack frames of `fit`. All others take a `FitCall`, or create one if no
`fit` is running.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import FitData, FitOption

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType, FrameType
    from typing import Self

__all__ = ["FitCall", "is_inside_fit", "running_fit", "running_fits"]

MAX_FRAMES = 14
"""Most frames from the caller of this module to `fit`, and from one `fit` of a model to the next one around it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FitCall:
    """Holds the arguments of one call of `fit` that determine its batches.

    With `validation_split`, `x`, `y` and `sample_weight` of a running `fit` hold the training samples only, because
    Keras assigns that part to its own local variables. Keep no `FitCall` longer than needed: it refers to all data.

    Attributes:
        x: Inputs, or a data set, generator or loader.
        y: Targets, or `None`.
        sample_weight: Weights of samples, or `None`.
        class_weight: Weights of classes, or `None`.
        batch_size: Samples in a batch, or `None` for the default of Keras.
        shuffle: Whether and how arrays are shuffled, or `None` if unknown.
        steps_per_epoch: Batches in an epoch, or `None` for as many as the data has.
        validation_split: Share of the samples that is kept for validation.
        code: Code of the running `fit`, or `None` if the call was not read from one.
    """

    x: FitData = None
    y: FitData = None
    sample_weight: FitData = None
    class_weight: Mapping[int, float] | None = None
    batch_size: FitOption = None
    shuffle: FitOption = None
    steps_per_epoch: FitOption = None
    validation_split: FitOption = None
    code: CodeType | None = None

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any], code: CodeType | None = None) -> Self:
        """Reads the call from the local variables of a `fit`, including those in its `**kwargs`.

        Args:
            variables: The local variables by name.
            code: Code of that `fit`.
        """
        others = variables.get("kwargs")
        found = {**(others if isinstance(others, dict) else {}), **variables}
        return cls(**{name: found[name] for name in ARGUMENTS if name in found}, code=code)


ARGUMENTS = tuple(name for name in FitCall.__dataclass_fields__ if name != "code")
"""Arguments of `fit` that a `FitCall` holds."""


def running_fit(model: object) -> FitCall:
    """Returns the innermost running `fit` of `model`, or an empty `FitCall` if none is running."""
    calls = running_fits(model)
    return calls[0] if calls else FitCall()


def running_fits(model: object) -> list[FitCall]:
    """Returns every running `fit` of `model`, innermost first.

    There are several if a subclass of the model overrides `fit` and calls the one it inherits. A method named `fit` of
    any other object is skipped, such as one of the user's own class that trains the model.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - documented for this use
    calls: list[FitCall] = []
    distance = 0
    while frame is not None and distance < MAX_FRAMES:
        distance += 1
        if frame.f_code.co_name == "fit":
            variables = frame.f_locals
            if variables.get("self") is model:
                calls.append(FitCall.from_variables(variables, frame.f_code))
                distance = 0
        frame = frame.f_back
    return calls


def is_inside_fit(frame: FrameType | None, code: CodeType, model: object) -> bool:
    """Returns whether `frame` was called, directly or not, by a `fit` of `model`.

    Args:
        frame: The frame to start from.
        code: Code of that `fit`.
        model: The model.
    """
    while frame is not None:
        if frame.f_code is code and frame.f_locals.get("self") is model:
            return True
        frame = frame.f_back
    return False
