"""Replaces ktrain's `learner.lr_find`, and reads scans that ktrain recorded."""
