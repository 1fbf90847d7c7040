"""Answers questions that the curve leaves open, by training and evaluating the model (`investigate`)."""
