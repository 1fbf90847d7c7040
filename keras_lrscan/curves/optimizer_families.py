"""Lists what a scan must know about each optimizer: a class name → `OptimizerFamily`.

A curve depends on the optimizer as well as on the model. Momentum delays the curve, an optimizer that fixes the length
of its steps hides the rate at which training breaks, and the first steps of Adam are its largest. Suggestions, causes,
probes and notes all read these properties here. To support another optimizer, add a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = [
    "ADAM_LIKE",
    "FIXED_STEP",
    "OPTIMIZER_FAMILIES",
    "PER_LAYER",
    "PLAIN",
    "OptimizerFamily",
    "optimizer_family",
    "rate_limit",
]

ADAPTIVE_RATE, PLAIN_RATE = 1e-3, 1e-2
"""Learning rates that train most models: for most optimizers, and for those that need a larger one."""

JOINT = " + "
"""Separates the names of several optimizers that train one model."""


@dataclass(frozen=True, kw_only=True)
class OptimizerFamily:
    """The properties of one optimizer. The defaults are those of an unknown optimizer.

    Attributes:
        name: Class name of the optimizer, such as `"Adam"`.
        is_adaptive: Whether its steps do not grow with the gradient, because it divides by the gradient's size.
        is_adam_like: Whether it averages the gradients and divides by their size, as Adam does. The first update then
            moves every weight by the full learning rate.
        fixes_step: Whether it sets the length of its steps itself, so that the loss hardly ever explodes.
        is_per_layer: Whether it scales the step of each layer separately. Only set where `fixes_step` is.
        momentum_share: By what share of the usual delay momentum moves a curve to the right, from 0 to 1.
        usual_rate: A learning rate that trains most models.
        prior_rate: A learning rate near which small models train best, toward which suggestions for them are drawn;
            `None` where it was not measured. Those of larger models follow from it. Each lies half a decade below the
            median of the best constant rates in `benchmarks/suggestions`, rounded. Gradient descent has none: its best
            rate depends on the unit of the loss.
        note: A sentence for users, where something besides the learning rate decides how far it moves the weights.
            `{cap}` stands for its largest rate.
        caps_rate_if: Attribute of the optimizer that, if true, limits the rate to one over the square root of the
            number of updates. If it is false, there is neither a limit nor a note.
        why_no_rate: Reason why no curve of this optimizer shows a good rate, after "none;"; empty for all others.
        instead: What to do then, after "Next:".
    """

    name: str
    is_adaptive: bool = True
    is_adam_like: bool = False
    fixes_step: bool = False
    is_per_layer: bool = False
    momentum_share: float = 1.0
    usual_rate: float = ADAPTIVE_RATE
    prior_rate: float | None = None
    note: str = ""
    caps_rate_if: str = ""
    why_no_rate: str = ""
    instead: str = ""


OPTIMIZER_FAMILIES: tuple[OptimizerFamily, ...] = (
    # Keras
    OptimizerFamily(name="Adadelta", momentum_share=0.0),
    OptimizerFamily(
        name="Adafactor",
        fixes_step=True,
        momentum_share=0.0,
        note=(
            "Adafactor with relative_step=True takes no learning rate above 1/sqrt(updates), {cap:.2g} at the end of "
            "this scan, so a scan that begins below it ends there at the latest. Pass relative_step=False to scan "
            "higher rates."
        ),
        caps_rate_if="relative_step",
    ),
    OptimizerFamily(name="Adagrad", momentum_share=0.0, prior_rate=0.1),
    OptimizerFamily(name="Adam", is_adam_like=True, prior_rate=3e-3),
    OptimizerFamily(name="AdamW", is_adam_like=True, prior_rate=3e-3),
    OptimizerFamily(name="Adamax", is_adam_like=True),
    OptimizerFamily(
        name="Ftrl",
        momentum_share=0.0,
        usual_rate=PLAIN_RATE,
        note=(
            "Ftrl computes all weights anew from the gradients so far, so the small first rates of a scan set them to "
            "nearly zero. Read no rate from the curve: train with some rates around 0.1 instead."
        ),
        why_no_rate="with Ftrl, the small first rates of a scan erase the weights.",
        instead="train with some rates around 0.1, and compare the validation losses.",
    ),
    OptimizerFamily(name="Lamb", is_adam_like=True, fixes_step=True, is_per_layer=True),
    OptimizerFamily(name="Lion", fixes_step=True, prior_rate=1e-3),
    OptimizerFamily(name="Muon", fixes_step=True),
    OptimizerFamily(name="Nadam", is_adam_like=True, prior_rate=3e-3),
    OptimizerFamily(name="RMSprop", momentum_share=0.0, prior_rate=3e-3),
    # half where the momentum is unknown: SGD is used with and without it
    OptimizerFamily(name="SGD", is_adaptive=False, momentum_share=0.5, usual_rate=PLAIN_RATE),
    OptimizerFamily(
        name="ScheduleFreeAdamW",
        note=(
            "ScheduleFreeAdamW also moves the weights by averaging them, even at a learning rate of zero. The loss "
            "reacts late to the learning rate, so read the curve's right-hand end with care."
        ),
    ),
    # Transformers and TensorFlow Addons
    OptimizerFamily(name="AdamWeightDecay", is_adam_like=True),
    OptimizerFamily(name="LAMB", is_adam_like=True, fixes_step=True, is_per_layer=True),
    OptimizerFamily(name="NovoGrad", fixes_step=True, is_per_layer=True),
    OptimizerFamily(name="RectifiedAdam", is_adam_like=True),
    OptimizerFamily(name="SGDW", is_adaptive=False, usual_rate=PLAIN_RATE),
    # other libraries, for imported records
    OptimizerFamily(name="Fromage", fixes_step=True),
    OptimizerFamily(name="LARC", fixes_step=True, is_per_layer=True),
    OptimizerFamily(name="LARS", fixes_step=True, is_per_layer=True),
    OptimizerFamily(name="Momentum", is_adaptive=False, usual_rate=PLAIN_RATE),
    OptimizerFamily(name="NGD", fixes_step=True),
    OptimizerFamily(name="NormalizedSGD", fixes_step=True),
    OptimizerFamily(name="Rprop", fixes_step=True),
    OptimizerFamily(name="SignSGD", fixes_step=True),
    OptimizerFamily(name="Signum", fixes_step=True),
)
"""Every optimizer that differs from an unknown one, and every optimizer of Keras."""

BY_NAME = {family.name: family for family in OPTIMIZER_FAMILIES}

PLAIN = tuple(family.name for family in OPTIMIZER_FAMILIES if not family.is_adaptive)
"""Names of the optimizers whose steps grow with the gradient."""
ADAM_LIKE = tuple(family.name for family in OPTIMIZER_FAMILIES if family.is_adam_like)
"""Names of Adam and its relatives."""
FIXED_STEP = tuple(family.name for family in OPTIMIZER_FAMILIES if family.fixes_step)
"""Names of the optimizers that set the length of their steps themselves."""
PER_LAYER = tuple(family.name for family in OPTIMIZER_FAMILIES if family.is_per_layer)
"""Names of those that do so for each layer."""


def rate_limit(num_updates: int) -> float:
    """Returns the largest rate that an optimizer with a limit takes at an update: one over the root of its number."""
    return 1 / math.sqrt(max(1, num_updates))


def optimizer_family(name: str | None) -> OptimizerFamily:
    """Returns the row of an optimizer, by its exact class name.

    Args:
        name: Class name as `ScanContext.optimizer` stores it, without wrappers such as `LossScaleOptimizer`. The names
            of several optimizers that train one model are joined by `" + "`.

    Returns:
        The row. An unknown optimizer gets the defaults. So do several optimizers, except that they get the largest of
        their usual rates.

    Example:
    >>> optimizer_family("SGD").is_adaptive
    False
    >>> optimizer_family("SGD + Adam").usual_rate
    0.01
    """
    if name is None:
        return OptimizerFamily(name="")
    if name in BY_NAME:
        return BY_NAME[name]
    rates = (BY_NAME[part].usual_rate for part in name.split(JOINT) if part in BY_NAME)
    return OptimizerFamily(name=name, usual_rate=max(rates, default=ADAPTIVE_RATE))
