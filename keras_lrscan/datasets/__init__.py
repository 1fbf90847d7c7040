"""Generates synthetic curves of known shapes, and loads the data of the demo."""
