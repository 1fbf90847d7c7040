"""Connects scans to libraries around Keras: hyperparameter tuners and ktrain."""

from keras_lrscan.integrations import ktrain, tuners

__all__ = ["ktrain", "tuners"]
