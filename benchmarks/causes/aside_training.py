"""Fits that are set aside: written by somebody who had not seen the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conditions import Condition

ROWS: tuple[Condition, ...] = ()
"""All of them."""
