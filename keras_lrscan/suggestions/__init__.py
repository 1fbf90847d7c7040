"""Methods that read a learning rate, or a range to search, off a curve."""
