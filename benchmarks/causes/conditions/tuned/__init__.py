"""Collects the conditions that rules may be tuned on.

They include conditions that were set aside at first, and joined these once a change of the rules had used them.
"""

from __future__ import annotations

from conditions.tuned import batches, data, healthy, model, records, scan_settings, training

__all__ = ["TUNED"]

TUNED = healthy.ROWS + data.ROWS + batches.ROWS + model.ROWS + scan_settings.ROWS + training.ROWS + records.ROWS
