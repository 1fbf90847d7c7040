"""Bundles the results of reading one curve, on which causes and suggestions are based: `Reading`."""

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
