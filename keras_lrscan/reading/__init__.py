"""Smooths a recorded curve, finds its landmarks, computes its features and classifies its shape."""
