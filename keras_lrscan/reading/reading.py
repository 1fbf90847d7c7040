"""`Reading`: everything that was read from one curve before its causes and a rate are looked for."""

from __future__ import annotations

from dataclasses import dataclass

from keras_lrscan.curves.curve import LRCurve
from keras_lrscan.reading.features import CurveFeatures
from keras_lrscan.reading.landmarks import Landmarks
from keras_lrscan.reading.shapes import ShapeVerdict
from keras_lrscan.reading.smoothing import SmoothedCurve

__all__ = ["Reading"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Holds the curve, its smooth line, and the landmarks, features and shape read from them.

    Attributes:
        curve: The recorded curve.
        smoothed: The curve without its batch-to-batch noise.
        landmarks: Descent start, steepest fall, minimum and elbow.
        features: The numbers that the rules tested.
        verdict: The shape, with its confidence, start state, traits and evidence.
    """

    curve: LRCurve
    smoothed: SmoothedCurve
    landmarks: Landmarks
    features: CurveFeatures
    verdict: ShapeVerdict
