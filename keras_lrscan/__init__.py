"""Learning-rate range tests for Keras that explain the curve they record."""

from keras_lrscan._version import __version__
from keras_lrscan.analysis import Analysis, analyze, load
from keras_lrscan.callback import LRScan, last_scan, lr_scan
from keras_lrscan.curve import LRCurve, ScanContext, StopReason
from keras_lrscan.errors import (
    CurveTooShortError,
    InvalidCurveError,
    InvalidOptionError,
    LRScanError,
    LRScanWarning,
    MissingDependencyError,
    ScanError,
)
from keras_lrscan.plot import plot_curve

__all__ = [
    "Analysis",
    "CurveTooShortError",
    "InvalidCurveError",
    "InvalidOptionError",
    "LRCurve",
    "LRScan",
    "LRScanError",
    "LRScanWarning",
    "MissingDependencyError",
    "ScanContext",
    "ScanError",
    "StopReason",
    "__version__",
    "analyze",
    "last_scan",
    "load",
    "lr_scan",
    "plot_curve",
]
