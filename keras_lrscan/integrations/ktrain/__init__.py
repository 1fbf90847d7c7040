"""Replaces ktrain's `learner.lr_find`, and reads the scans that ktrain recorded."""
