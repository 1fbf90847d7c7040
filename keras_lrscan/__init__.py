"""Learning-rate range tests for Keras that explain the curve they record."""

from keras_lrscan._version import __version__
from keras_lrscan.analysis import Analysis, analyze, load
from keras_lrscan.curves.averaging import AVERAGES, Average, undo_averaging
from keras_lrscan.curves.context import ScanContext
from keras_lrscan.curves.curve import LRCurve, StopReason
from keras_lrscan.curves.detect_averaging import DetectedAveraging, detect_averaging
from keras_lrscan.curves.importers import (
    IMPORTERS,
    from_csv,
    from_fastai,
    from_json,
    from_keras_history,
    from_ktrain,
    from_lightning,
    from_torch_lr_finder,
)
from keras_lrscan.errors import (
    CurveTooShortError,
    InvalidCurveError,
    InvalidOptionError,
    LRScanError,
    LRScanWarning,
    MissingDependencyError,
    ScanError,
)
from keras_lrscan.experiments.contrast import Contrast, contrast_with_scratch
from keras_lrscan.experiments.layer_groups import LayerGroups, scan_groups
from keras_lrscan.experiments.race import race
from keras_lrscan.experiments.race_result import RaceResult
from keras_lrscan.experiments.repeats import Repeats, repeat_scans
from keras_lrscan.integrations.tuners import hp_float, suggest_float
from keras_lrscan.plots.alt_text import describe_plot
from keras_lrscan.plots.curve_plot import plot_curve
from keras_lrscan.probes.investigate import investigate
from keras_lrscan.probes.investigation import Investigation, ProbeResult
from keras_lrscan.probes.table import PROBES
from keras_lrscan.scan import LRScan, last_scan, lr_scan
from keras_lrscan.suggestions.search_range import SearchRange

__all__ = [
    "AVERAGES",
    "IMPORTERS",
    "PROBES",
    "Analysis",
    "Average",
    "Contrast",
    "CurveTooShortError",
    "DetectedAveraging",
    "InvalidCurveError",
    "InvalidOptionError",
    "Investigation",
    "LRCurve",
    "LRScan",
    "LRScanError",
    "LRScanWarning",
    "LayerGroups",
    "MissingDependencyError",
    "ProbeResult",
    "RaceResult",
    "Repeats",
    "ScanContext",
    "ScanError",
    "SearchRange",
    "StopReason",
    "__version__",
    "analyze",
    "contrast_with_scratch",
    "describe_plot",
    "detect_averaging",
    "from_csv",
    "from_fastai",
    "from_json",
    "from_keras_history",
    "from_ktrain",
    "from_lightning",
    "from_torch_lr_finder",
    "hp_float",
    "investigate",
    "last_scan",
    "load",
    "lr_scan",
    "plot_curve",
    "race",
    "repeat_scans",
    "scan_groups",
    "suggest_float",
    "undo_averaging",
]
