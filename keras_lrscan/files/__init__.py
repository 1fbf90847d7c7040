"""Reads untrusted files and writes files safely: encodings, JSON and CSV."""
