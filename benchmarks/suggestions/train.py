"""Runs the scans and sweeps of one task in JAX, with one compiled loop for all rates, seeds and roles of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from data import load
from keras_formulas import LOSSES, OPTIMIZERS, Loss, Optimizer
from layers import Mode
from models import MODELS, Plan, apply, start
from schedules import batches, one_cycle
from tasks import FRESH, FROZEN, HEAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from data import Data
    from numpy.typing import NDArray
    from tasks import Row, Task

    Array = NDArray[Any]
    Tree = Any

SCAN_SEEDS, SWEEP_SEEDS = 5, 3
SCAN_STEPS, LONG_STEPS = 100, 400
SCAN_RANGE = (1e-7, 1e1)
SWEEP_LR = np.logspace(-6, 2, 25)
"""Rates of a sweep, three per decade."""
ROLES = ("constant", "one-cycle")
SOURCE_RATE, SOURCE_BATCH = 2e-3, 32
"""Learning rate and batch size of the training of start weights: Adam with a cosine decay to a tenth of the rate."""


class Start(NamedTuple):
    """Holds start weights: trainable weights, frozen weights below them, and moving averages."""

    trained: Tree
    frozen: Tree
    moving: Tree


def ramp(steps: int) -> Array:
    """Returns the log-spaced rates of a scan of `steps` steps."""
    return np.geomspace(*SCAN_RANGE, steps)


def updates(rates: Array) -> Array:
    """Returns the rate of each update of a scan. The loss of batch t belongs to the previous update, with rate t."""
    return np.append(rates[1:], rates[-1] ** 2 / rates[-2])


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Combines a model, a loss and data.

    Args:
        row: Row of the table of tasks.
        data: Training and validation data.
        batch_size: Number of examples per step.
        frozen: Whether only the last layer is trained.
    """

    row: Row
    data: Data
    batch_size: int
    frozen: bool = False

    @cached_property
    def layers(self) -> list[Any]:
        """Layers of the model."""
        loss, y = self.loss, self.data.y
        outputs = self.data.classes if self.row.loss.startswith("Sparse") else (y.shape[1] if y.ndim > 1 else 1)
        row = self.row
        plan = Plan(
            self.data.x.shape[1:],
            self.data.tokens,
            (outputs or 1) * loss.units,
            row.normalization,
            row.dropout,
        )
        return MODELS[row.model](plan)

    @property
    def loss(self) -> Loss:
        """Loss of the task."""
        return LOSSES[self.row.loss]

    @property
    def cut(self) -> int:
        """Number of frozen layers."""
        return len(self.layers) - 1 if self.frozen else 0

    @property
    def unit(self) -> float:
        """Factor on the mean loss over examples: the batch size if the loss is a sum, else 1."""
        return float(self.batch_size) if self.row.summed else 1.0

    def fresh(self, seed: int) -> Start:
        """Returns fresh weights."""
        return self.divided(*start(self.layers, self.data.x.shape[1:], jax.random.key(seed)))

    def divided(self, weights: Tree, moving: Tree) -> Start:
        """Splits weights into trainable and frozen ones."""
        return Start(weights[self.cut :], weights[: self.cut], moving)

    def penalty(self, weights: Tree) -> jax.Array:
        """Returns the L2 penalty, the factor times the sum of the squared kernels."""
        leaves = jax.tree_util.tree_leaves_with_path(weights)
        kernels = [leaf for path, leaf in leaves if str(path[-1].key) == "kernel"]
        return self.row.l2 * sum((jnp.sum(kernel**2) for kernel in kernels), jnp.zeros(()))

    def objective(
        self, trained: Tree, here: Start, x: jax.Array, y: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        """Returns the training loss of a batch, with regularization, and the updated moving averages."""
        weights = [*here.frozen, *trained]
        outputs, moving = apply(self.layers, weights, here.moving, x, Mode(train=True, key=key, frozen=self.cut))
        loss = self.loss.each(outputs, y).mean() * self.unit
        return (loss + self.penalty(weights) if self.row.l2 else loss), moving

    def validation(self, here: Start) -> jax.Array:
        """Returns the loss on validation examples, without regularization and dropout."""
        mode = Mode(train=False, key=jax.random.key(0))
        outputs, _ = apply(self.layers, [*here.frozen, *here.trained], here.moving, self.data.x_val, mode)
        return self.loss.each(outputs, self.data.y_val).mean() * self.unit

    def stepper(self, optimizer: Optimizer, key: jax.Array) -> Callable[[Any, Any], tuple[Any, jax.Array]]:
        """Returns the function of a step: ((weights, memory), (rate, rows, number)) → (the same, batch loss before)."""
        x, y = jnp.asarray(self.data.x), jnp.asarray(self.data.y)

        def step(carry: tuple[Start, Tree], now: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            (at, memory), (rate, rows, number) = carry, now
            gradient = jax.value_and_grad(self.objective, has_aux=True)
            (loss, moving), slopes = gradient(at.trained, at, x[rows], y[rows], jax.random.fold_in(key, number))
            change, memory = optimizer.make(rate).update(slopes, memory, at.trained)
            return (Start(optax.apply_updates(at.trained, change), at.frozen, moving), memory), loss

        return step

    def train(
        self, optimizer: Optimizer, here: Start, rates: jax.Array, chosen: jax.Array, key: jax.Array
    ) -> tuple[Start, jax.Array]:
        """Trains the model and returns the final weights and the loss of each batch before its update."""
        memory = optimizer.make(jnp.zeros(())).init(here.trained)
        steps = (rates, chosen, jnp.arange(len(chosen)))
        (after, _), losses = jax.lax.scan(self.stepper(optimizer, key), (here, memory), steps)
        return after, losses

    def watched(
        self, optimizer: Optimizer, here: Start, rates: jax.Array, chosen: jax.Array, key: jax.Array, *, every: int
    ) -> tuple[jax.Array, jax.Array]:
        """Trains the model and returns the loss of each batch before its update, and the validation losses.

        These are computed after every `every` steps, a divisor of the number of steps, with the weights that the
        optimizer evaluates.
        """
        step = self.stepper(optimizer, key)

        def block(carry: Any, now: Any) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            (at, memory), losses = jax.lax.scan(step, carry, now)
            return (at, memory), (losses, self.validation(at._replace(trained=optimizer.evaluated(memory, at.trained))))

        memory = optimizer.make(jnp.zeros(())).init(here.trained)
        steps = (rates, chosen, jnp.arange(len(chosen)))
        blocks = jax.tree_util.tree_map(lambda leaf: leaf.reshape(-1, every, *leaf.shape[1:]), steps)
        _, (losses, val) = jax.lax.scan(block, (here, memory), blocks)
        return losses.reshape(-1), val


def stacked(trees: list[Tree]) -> Tree:
    """Stacks the leaves of several trees along a new first axis."""
    return jax.tree_util.tree_map(lambda *leaves: jnp.stack(leaves), *trees)


def source_weights(task: Task, problem: Problem) -> tuple[Tree, Tree]:
    """Trains on the source data and returns weights and moving averages, with a fresh head if needed."""
    row, source = task.row, task.row.source
    data = load(source.data or row.data, source.changes)
    before = Problem(row=row, data=data, batch_size=SOURCE_BATCH)
    shape = 0.55 + 0.45 * np.cos(np.pi * np.arange(source.steps) / source.steps)
    chosen = batches(len(data.x), SOURCE_BATCH, source.steps, seed=77)
    train = jax.jit(partial(before.train, OPTIMIZERS["Adam"]))
    rates = jnp.asarray(SOURCE_RATE * shape, jnp.float32)
    after, _ = train(before.fresh(99), rates, chosen, jax.random.key(5))
    weights, moving = list(after.trained), list(after.moving)
    if row.start in {HEAD, FROZEN}:
        head, _ = start(problem.layers, problem.data.x.shape[1:], jax.random.key(98))
        weights[-1] = head[-1]
    return weights, moving


def starts(task: Task, problem: Problem) -> list[Start]:
    """Returns the start weights of each seed. Fresh weights differ between seeds, and trained ones do not."""
    if task.row.start == FRESH:
        return [problem.fresh(seed) for seed in range(SCAN_SEEDS)]
    return [problem.divided(*source_weights(task, problem))] * SCAN_SEEDS


def scans(problem: Problem, optimizer: Optimizer, begin: list[Start]) -> tuple[Array, Array]:
    """Returns the losses of the short scans, shape `(seeds, 100)`, and of a long one, shape `(400,)`.

    All scans run in one loop of 400 steps. After its 100 steps, a short one continues with a rate of zero.
    """
    count = len(problem.data.x)
    short = np.append(updates(ramp(SCAN_STEPS)), np.zeros(LONG_STEPS - SCAN_STEPS))
    rates = np.stack([short] * SCAN_SEEDS + [updates(ramp(LONG_STEPS))]).astype(np.float32)
    seeds = [1000 + seed for seed in range(SCAN_SEEDS)] + [1000]
    chosen = np.stack([batches(count, problem.batch_size, LONG_STEPS, seed) for seed in seeds])
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    run = jax.jit(lambda *lanes: jax.lax.map(lambda lane: problem.train(optimizer, *lane)[1], lanes))
    losses = np.asarray(run(stacked([*begin, begin[0]]), rates, chosen, keys))
    return losses[:-1, :SCAN_STEPS], losses[-1]


def sweep(problem: Problem, optimizer: Optimizer, begin: list[Start], steps: int) -> Array:
    """Returns the final validation losses, shape `(roles, seeds, rates)`.

    The batches and the start weights depend only on the seed.
    """
    chosen = np.stack([batches(len(problem.data.x), problem.batch_size, steps, seed) for seed in range(SWEEP_SEEDS)])
    shapes = jnp.asarray(np.stack([np.ones(steps), one_cycle(steps)]), jnp.float32)
    begins, rates = stacked(begin[:SWEEP_SEEDS]), jnp.asarray(SWEEP_LR, jnp.float32)

    def lane(where: jax.Array) -> jax.Array:
        role, seed, rate = where
        here = jax.tree_util.tree_map(lambda leaf: leaf[seed], begins)
        key = jax.random.key(seed)
        after, _ = problem.train(optimizer, here, rates[rate] * shapes[role], jnp.asarray(chosen)[seed], key)
        return problem.validation(after)

    lanes = np.stack(np.meshgrid(*map(np.arange, (len(ROLES), SWEEP_SEEDS, len(SWEEP_LR))), indexing="ij"), axis=-1)
    run = jax.jit(lambda lanes: jax.lax.map(lane, lanes))
    return np.asarray(run(lanes.reshape(-1, 3))).reshape(lanes.shape[:-1])


def count(tree: Tree) -> int:
    """Returns the number of weights."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(tree))


def measure(task: Task) -> tuple[dict[str, Any], dict[str, Array]]:
    """Measures one task.

    Returns:
        A dictionary that describes the task, and its arrays by name.
    """
    row, optimizer = task.row, OPTIMIZERS[task.optimizer]
    data = load(row.data, row.changes)
    size = min(task.batch_size, len(data.x))
    problem = Problem(row=row, data=data, batch_size=size, frozen=row.start == FROZEN)
    begin = starts(task, problem)
    validation = jax.jit(problem.validation)
    start_val = np.array([validation(begin[seed]) for seed in range(SWEEP_SEEDS)])
    scan_loss, long_loss = scans(problem, optimizer, begin)
    sweep_val = sweep(problem, optimizer, begin, row.steps)
    about = {
        "name": task.name,
        "family": task.family,
        "data": ", ".join([row.data, *row.changes]),
        "kind": row.kind,
        "model": row.model,
        "normalisation": row.normalization,  # spelled as in the recorded results
        "optimizer": optimizer.keras,
        "momentum": optimizer.momentum,
        "batch_size": size,
        "start": row.start,
        "loss_name": row.loss,
        "summed": row.summed,
        "num_classes": data.classes if row.loss.startswith(("Sparse", "Binary")) else None,
        "chance_loss": LOSSES[row.loss].constant(data.y) * problem.unit,
        "regularization_loss": float(problem.penalty([*begin[0].frozen, *begin[0].trained])),
        "num_trainable": count(begin[0].trained),
        "num_frozen": count(begin[0].frozen),
        "train_steps": row.steps,
        "default_lr": optimizer.default,
    }
    arrays = {"scan_loss": scan_loss, "long_scan_loss": long_loss, "sweep_val": sweep_val, "start_val": start_val}
    return about, {name: np.asarray(values, np.float32) for name, values in arrays.items()}
