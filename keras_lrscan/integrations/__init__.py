"""Connects scans to libraries around Keras: hyperparameter tuners, experiment trackers and ktrain."""

from keras_lrscan.integrations import ktrain, trackers, tuners

__all__ = ["ktrain", "trackers", "tuners"]
