"""Defines type aliases for arrays and for objects of other libraries, whose own types would load those libraries."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""Real numbers in an array; each docstring gives the shape."""

CallbackList: TypeAlias = Any
"""The host's list of callbacks in a `fit`."""

DataFrame: TypeAlias = Any
"""A data frame of pandas."""

FitData: TypeAlias = Any
"""Data for `fit`: an array, a nest of arrays, a data set, a generator, or weights of samples or classes."""

FitOption: TypeAlias = Any
"""The value of an argument of `fit`."""

ForeignRecord: TypeAlias = Any
"""An object of another tool that holds learning rates and losses."""

Groups: TypeAlias = Any
"""Groups of weights, given by layers, names or regular expressions, in a list or a dictionary."""

HostFunction: TypeAlias = Any
"""A function of the host or its backend, such as a compiled train step."""

Layer: TypeAlias = Any
"""A layer of Keras 3 or tf_keras."""

Learner: TypeAlias = Any
"""A learner of ktrain."""

Loss: TypeAlias = Any
"""A loss for `compile`: a name, a function or an object."""

Model: TypeAlias = Any
"""A model of Keras 3 or tf_keras."""

Nest: TypeAlias = Any
"""One array of any library, or arrays in nested lists, tuples and dictionaries."""

Optimizer: TypeAlias = Any
"""An optimizer of Keras 3 or tf_keras."""

StepResult: TypeAlias = Any
"""The logs that a train step returns."""

Tensor: TypeAlias = Any
"""A tensor of the backend."""

Value: TypeAlias = Any
"""A value of a type that only another library defines."""

Variable: TypeAlias = Any
"""A variable of the host or its backend."""
