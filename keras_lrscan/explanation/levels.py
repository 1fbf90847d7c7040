"""Names the lengths of a text."""

from __future__ import annotations

__all__ = ["BEGINNER", "EXPERT", "FULL", "LEVELS"]

BEGINNER, FULL, EXPERT = "beginner", "full", "expert"
LEVELS = (BEGINNER, FULL, EXPERT)
"""One screen; everything in words; everything, with all rules and numbers."""
