"""Adapters for libraries around Keras: hyper-parameter tuners and ktrain."""
