"""Records the scans of the gallery: one function each, which returns the recorded curve."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from recipes import faults_of_data, faults_of_model, faults_of_test, healthy, pretrained, unusual

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from keras_lrscan import LRCurve

__all__ = ["RECIPES"]

RECIPES: Mapping[str, Callable[[], LRCurve]] = MappingProxyType(
    healthy.RECIPES
    | pretrained.RECIPES
    | faults_of_data.RECIPES
    | faults_of_model.RECIPES
    | faults_of_test.RECIPES
    | unusual.RECIPES
)
"""Name → the function that records the scan."""
