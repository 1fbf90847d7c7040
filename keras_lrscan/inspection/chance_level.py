"""Computes the chance level of a model: the loss of the best constant prediction.

Such a prediction uses the labels only, such as the class frequencies, the mean or the median. The search evaluates the
compiled loss on a few constants, so the result includes class imbalance, label smoothing, loss weights, sample weights
and custom losses. Model, data and random states stay unchanged.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_lrscan.curves.context import OutputStart, ScanContext, uniform_loss
from keras_lrscan.hosts.random_state import RandomStates
from keras_lrscan.inspection.constant_predictions import are_codes, are_distributions, of_codes, of_targets
from keras_lrscan.inspection.loss_sums import NOTHING, OUTPUTS, SAMPLES, adds_up
from keras_lrscan.inspection.targets import (
    TOTAL_LOSS,
    UnknownTargetError,
    loss_function_name,
    monitored_output,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from keras_lrscan.hosts.fit_call import FitCall
    from keras_lrscan.hosts.host import Host
    from keras_lrscan.inspection.targets import Target

    Array = NDArray[Any]

__all__ = ["Chance", "chance_of"]

DEFAULT_BATCH_SIZE = 32
"""Keras's own default."""

DOUBTS = (1e-3, 0.03, 0.1)
"""Probability to spread over all classes. Under label smoothing, slightly uncertain predictions cost least."""

MIN_IMBALANCE = 1e4
"""Ratio of the losses of two outputs from which the total loss hardly contains the smaller one."""

FREQUENCIES, TARGETS = "label frequencies", "best constant for the targets"
"""Values of the context's `chance_source`."""


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The chance level of a model, and related facts about its loss.

    Attributes:
        loss: Loss of the best constant prediction, without regularization, in the unit of the loss; `None` if unknown.
        source: How `loss` was found; `None` if unknown.
        perfect: Loss of correct and nearly certain predictions, given as probabilities. `None` unless there is a single
            output whose labels are classes.
        adds_up: `"samples"`, `"outputs"` or `"nothing"`, depending on what the loss sums over; `None` if unknown or if
            there are several outputs.
        note: Why the chance level could not be computed from the labels; `None` if it was, or if there are no labels in
            memory.
        output_ratio: Ratio of the largest to the smallest weighted chance level of an output; several outputs only.
        imbalance: Sentence that names the outputs that the total loss hardly contains, or `None`.
        outputs: Chance level of each output with a loss weight, for the total loss of several outputs.
    """

    loss: float | None = None
    source: str | None = None
    perfect: float | None = None
    adds_up: str | None = None
    note: str | None = None
    output_ratio: float | None = None
    imbalance: str | None = None
    outputs: tuple[OutputStart, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes for the context."""
        return tuple(note for note in (self.note, self.imbalance) if note is not None)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts, keyed by fields of `ScanContext`."""
        return {
            "loss_adds_up": self.adds_up,
            "perfect_loss": self.perfect,
            "chance_loss": self.loss,
            "chance_source": self.source,
            "output_loss_ratio": self.output_ratio,
            "outputs": self.outputs,
        }


def chance_of(host: Host, call: FitCall, monitor: str = TOTAL_LOSS) -> Chance:
    """Returns the loss of the best constant prediction on the labels that `fit` was given as arrays in memory.

    Data sets, generators and loaders are not read, since that would consume their batches. For them, and for models
    that override the computation of the loss, the chance level is unknown.

    Args:
        host: The host and its model, built.
        call: The call of `fit`: its `y`, `sample_weight`, `class_weight` and `batch_size` are used.
        monitor: Key of the loss in the logs. For the key of the loss of one output, the chance level is that of this
            output, without its loss weight. For any other key than that of the total loss, it is unknown.
    """
    output = None if monitor == TOTAL_LOSS else monitored_output(host, monitor)
    if output is None and monitor != TOTAL_LOSS:
        return Chance(note=f"The chance level of the monitored key `{monitor}` is unknown.")
    if call.y is None or getattr(host.model, "loss", None) is None:
        return Chance()
    random = RandomStates()
    try:
        parts = list(targets(host, call, output))
        found = [_best_constant(host, target) for target in parts]
    except _errors_of_losses() as error:
        message = (str(error).strip().splitlines() or [""])[-1].strip()  # user code may come before
        is_known = isinstance(error, UnknownTargetError)
        why = message if is_known else f"evaluating the loss on them raised {type(error).__name__}: {message:.100}"
        return Chance(note=f"The chance level could not be computed from the labels: {why}.")
    finally:
        random.restore()
    size = call.batch_size or DEFAULT_BATCH_SIZE
    losses = [best.of_batch(size, best.loss) for best in found]
    weighted = {target.name: target.factor * loss for target, loss in zip(parts, losses, strict=True)}
    only = found[0] if len(found) == 1 else None
    sources = {best.source for best in found}
    whole = Chance() if output is None else chance_of(host, call)
    levels = sorted(abs(loss) for loss in weighted.values() if loss)
    return Chance(
        loss=math.fsum(weighted.values() if output is None else losses),
        source=sources.pop() if len(sources) == 1 else TARGETS,
        perfect=None if only is None or only.perfect is None else only.of_batch(size, only.perfect),
        adds_up=None if only is None else only.adds_up,
        output_ratio=levels[-1] / levels[0] if len(levels) > 1 else whole.output_ratio,
        imbalance=_imbalance(weighted) or whole.imbalance,
        outputs=_outputs(parts, losses),
    )


def _outputs(parts: Sequence[Target], losses: Sequence[float]) -> tuple[OutputStart, ...]:
    """Returns the chance levels of several outputs without their loss weights. One of weight 0 does not train."""
    weighty = [(target, loss) for target, loss in zip(parts, losses, strict=True) if target.factor]
    if len(weighty) <= 1:
        return ()
    return tuple(
        OutputStart(name=target.name, chance_loss=loss, uniform_loss=_uniform_loss(target)) for target, loss in weighty
    )


def _uniform_loss(target: Target) -> float | None:
    name, classes = loss_function_name(target.loss), target.shape[-1] if target.shape else None
    return uniform_loss(ScanContext(loss_name=name, num_classes=classes or None))


def _imbalance(weighted: Mapping[str, float]) -> str | None:
    """Returns a sentence that names the outputs whose loss is tiny next to that of another output, or `None`.

    Args:
        weighted: Output → its chance level times its loss weight; an output with zero is not meant to train.
    """
    levels = {name: abs(loss) for name, loss in weighted.items() if loss}
    largest = max(levels, key=lambda name: levels[name], default="")
    drowned = {name: level for name, level in levels.items() if level * MIN_IMBALANCE <= levels[largest]}
    if not drowned:
        return None
    names = " and ".join(f"`{name}`" for name in drowned)
    ratio = float(f"{levels[largest] / max(drowned.values()):.1g}")
    return (
        f"At the chance level, the weighted loss of output `{largest}` is about {ratio:,.0f} times that of {names}, so "
        f"the layers that they share hardly learn {names}. Scale the targets of `{largest}`, or change `loss_weights` "
        "in `compile`."
    )


def _errors_of_losses() -> tuple[type[Exception], ...]:
    """Returns the errors that a loss raises on unsuitable labels or predictions, in any of the libraries.

    JAX raises subclasses of `TypeError` and `RuntimeError`, torch raises `RuntimeError`, and TensorFlow its own errors.
    """
    tensorflow = sys.modules.get("tensorflow")
    own = (tensorflow.errors.OpError,) if tensorflow is not None else ()
    return (ValueError, TypeError, AttributeError, LookupError, RuntimeError, ArithmeticError, AssertionError, *own)


@dataclass(frozen=True, kw_only=True)
class _BestConstant:
    """The lowest loss of a constant prediction on a sample of the labels.

    Attributes:
        loss: The loss on the sample.
        perfect: The loss of correct predictions on the sample, or `None`.
        num_samples: Size of the sample.
        source: How `loss` was found.
        adds_up: What the loss sums over, or `None`.
    """

    loss: float
    perfect: float | None
    num_samples: int
    source: str
    adds_up: str | None

    def of_batch(self, size: int, loss: float) -> float:
        """Converts a loss on the sample to a loss on a batch of `size` samples."""
        return loss * size / self.num_samples if self.adds_up == SAMPLES else loss


def _best_constant(host: Host, target: Target) -> _BestConstant:
    """Searches the constant prediction with the lowest loss for one output.

    Raises:
        UnknownTargetError: If the labels are unsuitable, or if no constant has a finite loss.
    """
    if are_codes(target.labels, target.shape):
        labels, weights, constants, scale = of_codes(target)
        source = FREQUENCIES
    else:
        labels, weights, constants = of_targets(target)
        source, scale = (FREQUENCIES if are_distributions(labels) else TARGETS), 1.0
    loss_of = _loss_function(host, target, labels)
    loss_at = _evaluator(loss_of, target, labels, weights)
    losses = [loss_at(constant) for constant in constants]
    lowest = min(losses)
    if not math.isfinite(lowest):
        msg = "no constant has a finite loss"
        raise UnknownTargetError(msg)
    sums: str | None = NOTHING
    if not target.has_closed_form:
        best = constants[losses.index(lowest)]
        sums = _sums_of(loss_of, labels, best)
        has_places = math.prod(target.labels.shape[1:]) > 1 and are_codes(target.labels, target.shape)
        if sums is None and has_places:
            msg = "the loss of several labels per sample is neither the sum nor the mean of their losses"
            raise UnknownTargetError(msg)
        lines = _lines(best, constants, beyond=0.5 if target.logits or best.size == 1 else 0.0)
        lowest = min([lowest, *(_lowest_along(loss_at, *line) for line in lines)])
    if sums == OUTPUTS and are_codes(target.labels, target.shape):  # the sample has one place
        scale *= math.prod(target.labels.shape[1:])
    perfect = _perfect(loss_of, labels, target) if source == FREQUENCIES else None
    return _BestConstant(
        loss=scale * lowest,
        perfect=None if perfect is None else scale * perfect,
        num_samples=len(labels),
        source=source,
        adds_up=sums,
    )


def _perfect(loss_of: Callable[[Array, Array], Array], labels: Array, target: Target) -> float | None:
    """Returns the lowest loss of correct predictions over `DOUBTS`, or `None` if one of them is not finite."""
    classes = int(target.shape[-1] or 1)
    right = labels
    if are_codes(target.labels, target.shape):
        codes = labels.astype(np.int64).reshape(labels.shape[: len(target.shape) - 1])
        right = (codes[..., None] == np.arange(classes)).astype(float)
    doubtful = [(1 - doubt) * right + doubt / max(2, classes) for doubt in DOUBTS]
    losses = [float(loss_of(labels, predictions).mean()) for predictions in doubtful]
    return min(losses) if all(map(math.isfinite, losses)) else None


def _sums_of(loss_of: Callable[[Array, Array], Array], labels: Array, constant: Array) -> str | None:
    """Returns what the loss sums over, or `None` if it raises on other numbers of samples or outputs."""
    try:
        return adds_up(loss_of, labels, np.broadcast_to(constant, _full(labels, constant)))
    except _errors_of_losses():
        return None


def _loss_function(host: Host, target: Target, labels: Array) -> Callable[[Array, Array], Array]:
    """Returns the loss as a function of labels and predictions, both NumPy arrays."""
    tensor = _tensor_maker(host)
    kind = labels.dtype if host.is_tf_keras and labels.dtype.kind in "iu" else np.float32
    call = target.loss.call if target.has_closed_form else _compiled(host, target.loss.call)

    def loss_of(truth: Array, predictions: Array) -> Array:
        values = call(tensor(truth.astype(kind)), tensor(predictions.astype(np.float32)))
        return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)

    return loss_of


def _evaluator(
    loss_of: Callable[[Array, Array], Array], target: Target, labels: Array, weights: Array | None
) -> Callable[[Array], float]:
    """Returns the loss as a function of the constant prediction."""
    divisor = weights if getattr(target.loss, "reduction", None) == "mean_with_sample_weight" else None

    def loss_at(constant: Array) -> float:
        loss = mean_at(constant)
        return loss if math.isfinite(loss) else math.inf

    def mean_at(constant: Array) -> float:
        values = loss_of(labels, np.broadcast_to(constant, _full(labels, constant)))
        if weights is None or not values.ndim:
            return float(values.mean())
        rows = values.reshape(len(weights), -1).mean(1)
        return float((rows * weights).sum() / (len(weights) if divisor is None else divisor.sum()))

    return loss_at


def _compiled(host: Host, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles `function` as a whole on JAX, to avoid compiling each of its operations separately."""
    if host.backend != "jax" or host.model.run_eagerly:
        return function
    import jax

    compiled: Callable[..., Any] = jax.jit(function)
    return compiled


def _full(labels: Array, constant: Array) -> tuple[int, ...]:
    """Returns the shape of the predictions for `labels`."""
    if constant.ndim == labels.ndim and constant.shape[-1] == labels.shape[-1]:
        return labels.shape
    return (len(labels), *constant.shape[1:])


def _tensor_maker(host: Host) -> Callable[[Array], Any]:
    if not host.is_tf_keras:
        make: Callable[[Array], Any] = host.library.ops.convert_to_tensor
        return make
    import tensorflow as tf

    convert: Callable[[Array], Any] = tf.convert_to_tensor
    return convert


def _lines(best: Array, constants: list[Array], *, beyond: float) -> Iterator[tuple[Array, Array]]:
    """Yields the ends of the lines to search for a lower loss.

    Each line goes from the best constant to another, and extends in both directions by the share `beyond` of their
    distance. For probabilities `beyond` must be 0, so that they stay valid. Scalars have a single line, from the lower
    to the upper neighbor of the best constant, which extends by `beyond` on a side without a neighbor.
    """
    others = [other for other in constants if not np.array_equal(other, best)]
    if best.size == 1:
        distances = sorted((other - best).item() for other in others)
        nearest = [max((d for d in distances if d < 0), default=0.0), min((d for d in distances if d > 0), default=0.0)]
        reach = beyond * max(map(abs, nearest))
        yield best + (nearest[0] or -reach), best + (nearest[1] or reach)
        return
    for other in others:
        yield best - beyond * (other - best), best + (1 + beyond) * (other - best)


def _lowest_along(loss_at: Callable[[Array], float], begin: Array, end: Array) -> float:
    """Returns the lowest loss on the line between two constants."""
    from scipy.optimize import minimize_scalar

    def at(share: float) -> float:
        return loss_at(begin + share * (end - begin))

    return float(minimize_scalar(at, bounds=(0, 1), method="bounded", options={"xatol": 5e-3, "maxiter": 12}).fun)
