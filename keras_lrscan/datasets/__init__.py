"""Provides curves with known answers, and the handwritten digits of the demo."""

from keras_lrscan.datasets import digits, synthetic

__all__ = ["digits", "synthetic"]
