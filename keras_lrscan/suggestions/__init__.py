"""Suggests a learning rate, or a range of rates to search, from a curve."""
