"""Writes an analysis to one self-contained HTML page."""
