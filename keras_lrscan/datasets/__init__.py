"""Data with known answers: synthetic curves, and the digits of the demo."""
