"""Records one scan within one `fit`, or runs several trials that start from the same state."""
