"""Inspects model, data and loss without training, to fill the `ScanContext` of a scan."""
