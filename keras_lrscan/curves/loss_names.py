"""Groups Keras's names of losses by what they compare, for rules that depend on the kind of loss."""

from __future__ import annotations

__all__ = ["CATEGORICAL_CROSSENTROPIES", "CROSSENTROPIES", "REGRESSION_LOSSES", "UNLIMITED_LOSSES", "WITH_LOGARITHM"]

CROSSENTROPIES = (
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
)
"""Every cross-entropy of Keras. Each can take probabilities or logits."""

CATEGORICAL_CROSSENTROPIES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
"""Cross-entropies over K classes whose uniform prediction has a loss of ln K. The focal variants scale that loss."""

REGRESSION_LOSSES = (
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
)
"""Losses of Keras that compare real-valued targets with predictions."""

WITH_LOGARITHM = (
    *CROSSENTROPIES,
    "kl_divergence",
    "kullback_leibler_divergence",
    "mean_squared_logarithmic_error",
    "poisson",
)
"""Losses of Keras with a logarithm of the predictions, unless they take logits. Some limit their predictions first."""

UNLIMITED_LOSSES = (
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "squared_hinge",
)
"""Losses of Keras that are defined for all finite predictions."""
