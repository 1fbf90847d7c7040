"""Draws an analysis, and describes the picture in words."""
