"""The tables of causes, by the area they lie in, and their ranking on one curve."""
