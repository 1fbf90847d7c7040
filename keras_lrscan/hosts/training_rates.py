"""Gives a model the learning rate to train with: a constant rate in its optimizer, or a one-cycle schedule for one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from keras_lrscan._typing import Optimizer, Value
from keras_lrscan.errors import MissingDependencyError, ScanError, unknown_option, whole_number
from keras_lrscan.hosts.optimizers import innermost, is_variable, rate_of, rate_shares, update_phase
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from typing import SupportsIndex

    from keras_lrscan.hosts.host import Host

__all__ = ["LIBRARIES", "one_cycle_schedule", "set_constant_rate"]

LIBRARIES = ("keras", "tf_keras")
"""Libraries whose schedules are available, by the name of their module."""

WARM_UP, START_FACTOR, END_FACTOR = 0.25, 1 / 25, 1e-5
"""Share of the steps up to the peak, and first and last rate as shares of the peak, as in fastai's one-cycle.

`benchmarks/suggestions` measured the peaks of such schedules.
"""

MIN_STEPS = 2
"""Fewest steps of a one-cycle schedule: one up, one down."""


def set_constant_rate(host: Host, lr: float, *, replace_schedule: bool) -> None:
    """Sets the learning rate with which the optimizer makes its next updates, through its public attribute.

    Several optimizers in one keep the ratios of their rates: the largest becomes `lr`, as in a scan. For the
    inverse-time decay of tf_keras's legacy optimizers, `lr` is the rate of the next update.

    Args:
        host: The compiled model.
        lr: Float. The rate.
        replace_schedule: Boolean. Whether a constant may replace a schedule.

    Raises:
        ScanError: If the rate is a schedule that must not be replaced, or neither a number nor a schedule, or if an
            optimizer that chooses among several has not seen the weights of the model.
    """
    leaves = innermost(host.optimizer)
    if not leaves and host.is_built:  # a `MultiOptimizer` chooses its optimizers by the weights
        host.build_optimizer()
        leaves = innermost(host.optimizer)
    if not leaves:
        msg = (
            "Expected a model with weights, by which its optimizer chooses among several. Received: model.built=False. "
            "Call the model on one batch first."
        )
        raise ScanError(msg)
    known = [_number(leaf) for leaf in leaves]
    if None in known and not replace_schedule:
        leaf = leaves[known.index(None)]
        msg = (
            "Expected an optimizer whose learning rate is a number. Received: "
            f"optimizer={type(leaf).__name__} with learning_rate={type(rate_of(leaf)).__name__}, a schedule. Compile "
            f"the model with a schedule that starts from {lr:.2g}, or pass `replace_schedule=True` to train at this "
            "constant rate instead."
        )
        raise ScanError(msg)
    updates = update_phase(host.optimizer)[0]
    for leaf, own, share in zip(leaves, known, rate_shares(known), strict=True):
        decay = float(getattr(leaf, "_initial_decay", 0.0) or 0.0)
        value = lr * share * (1.0 + decay * updates)
        leaf.learning_rate = value if own is not None else _constant_schedule(host, value)
    if None in known:  # the compiled training step computes the rates of the old schedule
        host.model.make_train_function(force=True)


def one_cycle_schedule(peak: float, num_steps: SupportsIndex, *, library: str) -> Value:
    """Returns a one-cycle schedule: a linear warm-up to `peak`, then a cosine decay to nearly zero.

    Args:
        peak: Float. Highest learning rate.
        num_steps: Integer, at least 2. Number of training steps (batches) that the schedule covers.
        library: One of `"keras"` and `"tf_keras"`.

    Returns:
        A `CosineDecay` of that library.

    Raises:
        InvalidOptionError: If `num_steps` is not such an integer, or `library` is unknown.
        MissingDependencyError: If the library cannot be imported.

    References:
        Smith and Topin (2019), "Super-Convergence", for the shape; fastai's `fit_one_cycle` for its numbers.
    """
    if library not in LIBRARIES:
        raise unknown_option("library", library, LIBRARIES)
    remedy = "Pass the number of epochs times the number of batches in an epoch."
    steps = whole_number("num_steps", num_steps, MIN_STEPS, remedy)
    try:
        schedules = importlib.import_module(library).optimizers.schedules
    except ImportError as error:
        msg = f"Expected {library} to be installed, whose schedule is returned. Received: {error}."
        raise MissingDependencyError(msg) from error
    warm_up = max(1, round(WARM_UP * steps))
    return schedules.CosineDecay(
        peak * START_FACTOR, steps - warm_up, alpha=END_FACTOR, warmup_target=peak, warmup_steps=warm_up
    )


def _constant_schedule(host: Host, lr: float) -> Value:
    """Returns a schedule that stays at `lr`; a number cannot take the place of a schedule in an optimizer of Keras."""
    return host.library.optimizers.schedules.PolynomialDecay(lr, 1, end_learning_rate=lr)


def _number(leaf: Optimizer) -> float | None:
    """Returns the learning rate of an optimizer, or `None` with a schedule or a function.

    Raises:
        ScanError: If it is neither.
    """
    rate = rate_of(leaf)
    if is_variable(rate):
        return float(read_value(rate))
    if callable(rate):
        return None
    try:
        return float(rate)
    except (TypeError, ValueError) as error:
        msg = (
            "Expected an optimizer with a number or a schedule as its learning rate. "
            f"Received: optimizer={type(leaf).__name__} with learning_rate={rate!r}."
        )
        raise ScanError(msg) from error
