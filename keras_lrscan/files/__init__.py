"""Reads and validates text, JSON and CSV files, and writes files atomically."""
