"""Defines the possible causes of a curve in five tables, one for each area, and ranks them on a curve."""
