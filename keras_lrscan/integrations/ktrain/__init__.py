"""Replaces ktrain's `learner.lr_find`, explains the scans that ktrain recorded, and trains at the suggested peak."""

from keras_lrscan.integrations.ktrain.adapter import adopt, explain_learner, lr_estimate, lr_find, lr_plot, release
from keras_lrscan.integrations.ktrain.training import autofit, fit_onecycle

__all__ = ["adopt", "autofit", "explain_learner", "fit_onecycle", "lr_estimate", "lr_find", "lr_plot", "release"]
