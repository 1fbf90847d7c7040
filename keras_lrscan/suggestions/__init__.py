"""Reads a learning rate, or a range of rates to search, off a curve."""
