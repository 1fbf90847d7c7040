"""Hides the differences between Keras 3 and tf_keras: models, optimizers, their state, callbacks and batch losses."""
