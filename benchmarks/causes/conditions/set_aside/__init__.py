"""Collects the conditions that no rule may be tuned on.

Their authors had not seen the rules. Once somebody uses a condition, its scans, or its score to change a rule, move the
condition to `conditions.tuned` and have new ones written.
"""

from __future__ import annotations

from conditions.set_aside import batches, data, healthy, model, records, scan_settings, training

__all__ = ["SET_ASIDE"]

SET_ASIDE = healthy.ROWS + data.ROWS + batches.ROWS + model.ROWS + scan_settings.ROWS + training.ROWS + records.ROWS
