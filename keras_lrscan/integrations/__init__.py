"""Connects scans to libraries around Keras: hyperparameter tuners and ktrain."""
