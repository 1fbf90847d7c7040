"""Turns an analysis into text for beginners and experts."""
