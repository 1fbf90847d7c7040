"""Collects the conditions of the benchmark: fits with a known cause.

Rules may be tuned on the conditions of `conditions.tuned`, but never on those of `conditions.set_aside`.
"""

from __future__ import annotations

from conditions.condition import Condition, Training
from conditions.set_aside import SET_ASIDE
from conditions.tuned import TUNED

__all__ = ["CONDITIONS", "HEALTHY", "SEEDS", "SET_ASIDE", "SET_ASIDE_NAMES", "TUNED", "Condition", "Training"]

SEEDS = (0, 1, 2)
HEALTHY = (
    "fresh-start",
    "new-head",
    "frozen-features",
    "hardly-trained",
    "partly-trained",
    "already-good",
    "slow-start",
)
"""Causes of healthy fits."""

CONDITIONS = TUNED + SET_ASIDE
SET_ASIDE_NAMES = frozenset(condition.name for condition in SET_ASIDE)
