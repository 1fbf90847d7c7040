"""Replaces ktrain's `learner.lr_find`, and explains the scans that ktrain recorded."""

from keras_lrscan.integrations.ktrain.adapter import adopt, explain_learner, lr_estimate, lr_find, lr_plot, release

__all__ = ["adopt", "explain_learner", "lr_estimate", "lr_find", "lr_plot", "release"]
