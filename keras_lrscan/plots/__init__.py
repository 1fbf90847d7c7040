"""Draws an analysis as a Matplotlib plot, and describes the plot in words."""
