"""Learning-rate range tests for Keras that explain the curve they record."""

from keras_lrscan import datasets, integrations
from keras_lrscan._version import __version__
from keras_lrscan.analysis import Analysis, analyze, load
from keras_lrscan.curves import averaging, importers
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve, StopReason
from keras_lrscan.errors import (
    CurveTooShortError,
    InvalidCurveError,
    InvalidOptionError,
    LRScanError,
    LRScanWarning,
    MissingDependencyError,
    ScanError,
)
from keras_lrscan.experiments.contrast import contrast_with_scratch
from keras_lrscan.experiments.layer_groups import scan_groups
from keras_lrscan.experiments.race import race
from keras_lrscan.experiments.repeats import repeat_scans
from keras_lrscan.plots.alt_text import describe_plot
from keras_lrscan.plots.curve_plot import plot_curve
from keras_lrscan.plots.overlay import plot_curves
from keras_lrscan.probes.investigate import investigate
from keras_lrscan.scan import LRScan, last_scan, lr_scan

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
    "averaging",
    "contrast_with_scratch",
    "datasets",
    "describe_plot",
    "importers",
    "integrations",
    "investigate",
    "last_scan",
    "load",
    "lr_scan",
    "plot_curve",
    "plot_curves",
    "race",
    "repeat_scans",
    "scan_groups",
]
