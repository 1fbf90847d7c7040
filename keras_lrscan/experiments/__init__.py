"""Runs several scans or short trainings to settle questions that one curve cannot answer."""
