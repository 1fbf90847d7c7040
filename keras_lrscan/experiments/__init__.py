"""Runs several scans or short trainings of a model to answer questions that one curve leaves open."""
