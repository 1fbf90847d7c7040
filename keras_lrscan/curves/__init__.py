"""The recorded curve and its context: `LRCurve`, `ScanContext`, other tools' averages, and importers."""
