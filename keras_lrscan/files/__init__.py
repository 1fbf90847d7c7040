"""Reads and writes files without trusting their content: encodings, JSON, CSV, safe outputs."""
