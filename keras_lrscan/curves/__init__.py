"""Holds a recorded curve and its context, imports records of other tools, and undoes their averages."""
