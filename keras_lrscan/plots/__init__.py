"""Draws an analysis with matplotlib, and describes the plot in words."""
