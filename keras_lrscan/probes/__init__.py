"""Settles likely causes by tests on the model and its data: `investigate`."""
