"""Bundles the results of reading one curve, on which causes and suggestions are based: `Reading`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.reading.facts import facts
from keras_lrscan.reading.features import CurveFeatures
from keras_lrscan.reading.landmarks import Landmarks
from keras_lrscan.reading.shapes import ShapeVerdict
from keras_lrscan.reading.smoothing import SmoothedCurve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Reading", "facts_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Holds a curve with its smoothed curve, landmarks, features and shape.

    Attributes:
        curve: The recorded curve.
        smoothed: The curve without batch-to-batch noise.
        landmarks: Start of the descent, steepest point, minimum and elbow.
        features: The numbers that the rules test.
        verdict: The shape with its confidence, start state, traits and evidence.
    """

    curve: LRCurve
    smoothed: SmoothedCurve
    landmarks: Landmarks
    features: CurveFeatures
    verdict: ShapeVerdict


def facts_of(reading: Reading, detected_averaging: str | None) -> Mapping[str, Any]:
    """Returns the facts that the rules may test, with the running average that was detected in the losses, if any."""
    context = reading.curve.context
    if detected_averaging is not None:
        context = dataclasses.replace(context, averaging=detected_averaging)
    return facts(reading.features, context, shape=reading.verdict.shape)
