"""Sets the learning rate of any optimizer, and lists and rebuilds the optimizer's state.

Optimizers nest: a `LossScaleOptimizer` holds one, a `MultiOptimizer` several. The learning rate is either a variable or
a schedule without one. `RateControl` replaces a schedule by a variable, which only a new train function reads.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_lrscan._typing import Optimizer, Value, Variable
from keras_lrscan.curves.optimizer_families import optimizer_family, rate_limit
from keras_lrscan.errors import ScanError
from keras_lrscan.hosts.snapshot import read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


__all__ = [
    "RateControl",
    "RateVariable",
    "batch_counter",
    "batches_seen",
    "build_optimizer",
    "copy_of",
    "initial_state",
    "innermost",
    "is_built",
    "is_built_alike",
    "keeps_averages",
    "largest_rate",
    "optimizer_name",
    "optimizer_notes",
    "optimizer_state",
    "optimizer_variables",
    "python_numbers",
    "rate_of",
    "rate_shares",
    "update_phase",
]

COPYING = "ScheduleFree"
"""Prefix of optimizers that initialize their averages with the weights. Keras on TensorFlow copies the weights in every
step if the first update creates the slots, but only once if the slots exist before."""


def innermost(optimizer: Optimizer) -> list[Any]:
    """Returns the optimizers that update weights, without their wrappers."""
    if hasattr(optimizer, "inner_optimizer"):
        return innermost(optimizer.inner_optimizer)
    if hasattr(optimizer, "optimizers"):
        return [leaf for inner in optimizer.optimizers for leaf in innermost(inner)]
    return [optimizer]


def keeps_averages(optimizer: Optimizer) -> bool:
    """Returns whether `fit` replaces the weights by their averages when it ends."""
    return any(getattr(leaf, "use_ema", False) for leaf in innermost(optimizer))


def copy_of(optimizer: Optimizer, **changes: Any) -> Optimizer:
    """Returns a new optimizer of the same class and config, updated by `changes`."""
    with warnings.catch_warnings():
        # Keras reads the learning rate through a conversion that NumPy deprecates
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        config = optimizer.get_config()
    return type(optimizer).from_config({**config, **changes})


def build_optimizer(optimizer: Optimizer, variables: list[Any]) -> None:
    """Creates the slots of `optimizer` for the trainable `variables`, unless they exist."""
    if hasattr(optimizer, "_create_all_weights"):  # tf_keras's legacy optimizers
        optimizer._create_all_weights(variables)  # noqa: SLF001 - there is no public method
        return
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None and not hasattr(optimizer, "built"):  # tf_keras's loss scaling
        build_optimizer(inner, variables)
        return
    if not getattr(optimizer, "built", getattr(optimizer, "_built", False)):
        optimizer.build(variables)


def is_built(optimizer: Optimizer) -> bool:
    """Returns whether the slots of `optimizer` exist; also true for optimizers without a `build` method."""
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None and not hasattr(optimizer, "built"):  # tf_keras's loss scaling
        return is_built(inner)
    if not hasattr(optimizer, "build"):
        return True
    return bool(getattr(optimizer, "built", getattr(optimizer, "_built", False)))


def is_built_alike(optimizer: Optimizer) -> bool:
    """Returns whether slots created before the first update equal those that the first update would create.

    This holds for optimizers of the hosts, except those that initialize averages with the weights, and for optimizers
    without a `build` method. It is unknown for all others, so they count as different.
    """
    return not hasattr(optimizer, "build") or all(
        type(leaf).__module__.partition(".")[0] in {"keras", "tf_keras"} and not type(leaf).__name__.startswith(COPYING)
        for leaf in innermost(optimizer)
    )


def optimizer_state(optimizer: Optimizer) -> list[Any]:
    """Returns the variables of `optimizer`, each once, without its learning rates."""
    rates = {id(rate_of(leaf)) for leaf in innermost(optimizer)}
    unique = {id(variable): variable for variable in optimizer_variables(optimizer)}
    return [variable for key, variable in unique.items() if key not in rates]


def initial_state(
    optimizer: Optimizer,
    variables: list[Any],
    build: Callable[[Any, list[Any]], None] | None = None,
) -> list[Any]:
    """Returns the values of `optimizer_state` just after the slots for `variables` were created.

    Args:
        optimizer: The optimizer.
        variables: The weights that it updates.
        build: Creates the slots of an optimizer for variables. Defaults to `build_optimizer`.

    Raises:
        ScanError: If the optimizer cannot be recreated from its config.
    """
    twin = copy_of(optimizer)
    (build or build_optimizer)(twin, variables)
    own, other = optimizer_state(optimizer), optimizer_state(twin)
    if [tuple(v.shape) for v in own] != [tuple(v.shape) for v in other]:
        msg = (
            "Expected an optimizer that can be recreated from its config. Received: "
            f"optimizer={type(optimizer).__name__}, which has another state than its copy. Compile the model "
            "again, so that the optimizer is new."
        )
        raise ScanError(msg)
    return [read_value(variable) for variable in other]


def update_phase(optimizer: Optimizer) -> tuple[int, int, int]:
    """Returns the updates made, the batches per update, and the batches accumulated since the last update."""
    batches_per_update = int(getattr(innermost(optimizer)[0], "gradient_accumulation_steps", None) or 1)
    updates, accumulated = divmod(batches_seen(optimizer), batches_per_update)
    return updates, batches_per_update, accumulated


def batches_seen(optimizer: Optimizer) -> int:
    """Returns the number of batches that `optimizer` has received a gradient of."""
    return int(read_value(batch_counter(optimizer)))


def batch_counter(optimizer: Optimizer) -> Variable:
    """Returns the variable that counts batches; the public `iterations` counts updates if gradients are accumulated."""
    leaf = innermost(optimizer)[0]
    counter = getattr(leaf, "_iterations", None)
    return leaf.iterations if counter is None else counter


def optimizer_variables(optimizer: Optimizer) -> Iterator[Variable]:
    """Yields every variable that `optimizer` holds, some more than once.

    In tf_keras, `optimizer.variables` lacks the rate and some counters, so this also searches the attributes.
    """
    variables = optimizer.variables
    yield from variables() if callable(variables) else variables
    parts = [optimizer, *innermost(optimizer), getattr(optimizer, "_loss_scale", None)]
    for part in parts:
        values = [*getattr(part, "__dict__", {}).values(), *getattr(part, "_hyper", {}).values()]
        yield from (value for value in values if is_variable(value))


def optimizer_name(optimizer: Optimizer) -> str:
    """Returns the class name of an optimizer without its wrappers, or those of several, joined by `" + "`."""
    return " + ".join(dict.fromkeys(type(leaf).__name__ for leaf in innermost(optimizer)))


def optimizer_notes(optimizer: Optimizer, last_update: int) -> tuple[str, ...]:
    """Returns one note for each optimizer whose step size depends on more than the learning rate.

    Args:
        optimizer: The optimizer.
        last_update: Number of updates made by the end of the scan.
    """
    leaves = {type(leaf).__name__: leaf for leaf in innermost(optimizer)}
    families = ((optimizer_family(name), leaf) for name, leaf in leaves.items())
    return tuple(
        family.note.format(cap=rate_limit(last_update))
        for family, leaf in families
        if family.note and (not family.caps_rate_if or _has_limit(leaf))
    )


def largest_rate(optimizer: Optimizer, last_update: int) -> float | None:
    """Returns the largest rate that an optimizer takes at an update, or `None` without a limit.

    Args:
        optimizer: The optimizer.
        last_update: Number of the update.
    """
    return rate_limit(last_update) if any(map(_has_limit, innermost(optimizer))) else None


def _has_limit(leaf: Optimizer) -> bool:
    attribute = optimizer_family(type(leaf).__name__).caps_rate_if
    return bool(attribute and getattr(leaf, attribute, False))


def python_numbers(optimizer: Optimizer) -> Callable[[], None]:
    """Saves the integers that optimizers such as tf_keras's Nadam keep outside of variables.

    Returns:
        A function that restores them.
    """
    parts = [vars(part) for part in [optimizer, *innermost(optimizer)]]
    kept = [{name: value for name, value in part.items() if type(value) is int} for part in parts]

    def restore() -> None:
        for part, values in zip(parts, kept, strict=True):
            part.update(values)

    return restore


def is_variable(value: object) -> bool:
    """Returns whether `value` is a variable of one of the hosts."""
    return all(hasattr(value, name) for name in ("assign", "numpy", "shape"))


@dataclass(frozen=True, kw_only=True)
class RateVariable:
    """Describes the learning rate of one optimizer.

    Attributes:
        variable: Variable that holds the rate during the scan.
        share: Rate of this optimizer as a share of the largest rate among several optimizers.
        decay: Inverse-time decay of tf_keras's legacy optimizers, which divide the rate by `1 + decay * iterations`.
    """

    variable: Any
    share: float = 1.0
    decay: float = 0.0

    def value_for(self, rate: float, iterations: int) -> float:
        """Returns the value of `variable` that makes the update at `iterations` use `rate`."""
        return rate * self.share * (1.0 + self.decay * iterations)


class RateControl:
    """Finds the variables that hold the rate of `optimizer`, and creates them in place of schedules.

    Args:
        optimizer: The model's optimizer, built.
        make_variable: Creates a scalar variable that the host's train function reads, for a given optimizer.

    Raises:
        ScanError: If the rate cannot be set.
    """

    def __init__(self, optimizer: Optimizer, make_variable: Callable[[Any], Any]) -> None:
        self._replaced: list[tuple[Any, Any, Any]] = []
        leaves = innermost(optimizer)
        rates = [rate_of(leaf) for leaf in leaves]
        known = [float(read_value(rate)) if is_variable(rate) else None for rate in rates]
        self.lr = known[0] if len(known) == 1 else max((rate for rate in known if rate is not None), default=None)
        """Rate of the optimizer before the scan, or `None` with a schedule."""
        self.iterations = update_phase(optimizer)[0]
        """Number of updates that the optimizer has made."""
        self.name = optimizer_name(optimizer)
        """Class name of the optimizer."""
        momentum = getattr(leaves[0], "momentum", None) if len(leaves) == 1 else None
        self.momentum = (
            float(read_value(momentum) if is_variable(momentum) else momentum) if momentum is not None else None
        )
        """Momentum of the optimizer, or `None` if it has no such setting, like Adam."""
        self.variables: list[RateVariable] = []
        for leaf, rate, own, share in zip(leaves, rates, known, rate_shares(known), strict=True):
            variable = rate if own is not None else self._replace(leaf, rate, make_variable)
            decay = float(getattr(leaf, "_initial_decay", 0.0) or 0.0)
            self.variables.append(RateVariable(variable=variable, share=share, decay=decay))

    @property
    def replaces_schedule(self) -> bool:
        """Whether a variable replaces a schedule, which only a newly traced train function reads."""
        return bool(self._replaced)

    def restore(self) -> None:
        """Restores the schedules."""
        for leaf, schedule, variable in self._replaced:
            _put_rate(leaf, schedule)
            tracked = getattr(leaf, "_variables", None)
            if tracked is not None and any(item is variable for item in tracked):
                leaf._untrack_variable(variable)  # noqa: SLF001 - checkpoints would keep the variable otherwise
        self._replaced = []

    def _replace(self, leaf: Optimizer, schedule: Value, make_variable: Callable[[Any], Any]) -> Value:
        if not callable(schedule):
            msg = (
                "Expected an optimizer with a number or a schedule as its learning rate. "
                f"Received: optimizer={type(leaf).__name__} with learning_rate={schedule!r}."
            )
            raise ScanError(msg)
        variable = make_variable(leaf)
        self._replaced.append((leaf, schedule, variable))
        _put_rate(leaf, variable)
        return variable


def rate_shares(known: Sequence[float | None]) -> list[float]:
    """Returns the rate of each of several optimizers as a share of the largest; 1 for a schedule (`None`).

    An optimizer of rate 0 stays at 0, as for frozen groups, unless all have that rate.

    >>> rate_shares([0.4, 0.1, 0.0, None]), rate_shares([0.1]), rate_shares([0.0]), rate_shares([None])
    ([1.0, 0.25, 0.0, 1.0], [1.0], [1.0], [1.0])
    """
    top = max((rate for rate in known if rate is not None), default=0.0)
    return [1.0 if own is None or not top else own / top for own in known]


def rate_of(leaf: Optimizer) -> Value:
    """Returns the learning rate of one optimizer: a variable, a schedule, or an object of the user's."""
    if hasattr(leaf, "_hyper"):
        return leaf._hyper["learning_rate"]  # noqa: SLF001 - the public name computes a value
    return getattr(leaf, "_learning_rate", None)


def trains(optimizer: Optimizer) -> bool:
    """Returns whether an optimizer has another learning rate than the number 0, at which it changes no weight."""
    rate = rate_of(innermost(optimizer)[0])
    return not is_variable(rate) or float(read_value(rate)) != 0


def _put_rate(leaf: Optimizer, rate: Value) -> None:
    """Sets the attribute behind `learning_rate`; the public setter would remove the variable from checkpoints."""
    if hasattr(leaf, "_hyper"):
        leaf._hyper["learning_rate"] = rate  # noqa: SLF001 - see above
    else:
        object.__setattr__(leaf, "_learning_rate", rate)
