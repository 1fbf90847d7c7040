"""Records one scan within one `fit`, or several trials from one state."""
