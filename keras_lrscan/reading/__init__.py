"""Reads a curve without a model: smooths it, finds landmarks, computes features and classifies the shape."""
