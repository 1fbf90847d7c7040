"""Asks the model and its data the questions that a curve leaves open: `investigate`."""
