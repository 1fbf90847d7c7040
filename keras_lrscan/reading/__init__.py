"""Reads a curve without a model: smooths it, finds its landmarks, measures its features and names its shape."""
