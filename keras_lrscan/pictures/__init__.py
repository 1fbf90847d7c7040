"""Reads the numbers of a learning-rate plot from a picture of it."""
