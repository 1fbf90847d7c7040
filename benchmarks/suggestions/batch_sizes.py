"""Measures how the best constant learning rate moves with the batch size, by optimizer.

`python benchmarks/suggestions/batch_sizes.py` prints the tables, from `batch_sizes.npz`. `--measure` trains the
combinations that have no shard yet, and `--merge` writes the file.

Each row of `tasks.py` that is quick and has one of `MODELS` is combined with each of `OPTIMIZERS`, and trained at
`RATES` with each batch size. Trainings are compared in two ways: after as many examples, as for a fixed number of
epochs (`NUM_STEPS` steps of 32 examples, four times as many steps of 8, a quarter as many of 128), and after as many
steps.

The best rate is the minimum of the parabola through the lowest median regret and its neighbors, on the log axis. Its
exponent is the slope of log(best rate) over log(batch size): 0 if the rate stays, 0.5 for the square-root rule, 1 for
the linear rule. The second table asks what a rule is worth: the regret at a batch size of the best rate for another one
after it was moved by the rule.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from regret import Regret
from shards import add_shard_options, measure_missing, merge_shards, quick_tasks
from tasks import FROZEN, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

BATCH_SIZES = Path(__file__).with_name("batch_sizes.npz")
OPTIMIZERS = ("SGD", "Momentum", "Adam", "AdamW", "RMSprop")
MODELS = ("dense", "linear", "bag of words", "factorisation", "autoencoder")
"""Models of the rows; batches of 8 take too long with convolutions and recurrent layers."""
SIZES, MIDDLE = (8, 32, 128), 32
NUM_STEPS = 256
"""Number of steps of a training with the middle batch size."""
RATES = 10.0 ** np.arange(-2.5, 2.6, 0.5)
"""Learning rates, as multiples of the optimizer's default."""
SEEDS = 2
BUDGETS = ("same examples", "same steps")
RULES: Mapping[str, float] = {"unchanged": 0.0, "square root": 0.5, "linear": 1.0}
"""Name of a rule → its exponent of the batch size."""
MOVES: Mapping[int, tuple[tuple[int, int], ...]] = {4: ((0, 1), (1, 0), (1, 2), (2, 1)), 16: ((0, 2), (2, 0))}
"""Factor between two batch sizes → the pairs of their indices in `SIZES`."""
MIN_GAIN = 0.2
"""Smallest improvement on the start at the best rate, as a share of the start loss, for a task to count."""


def combinations() -> list[Task]:
    """Returns each row with a quick task, combined with each optimizer, in the order of the quick tasks.

    The optimizers come last, so that any first part has all optimizers on the same rows.
    """
    rows = {}
    for task in quick_tasks():
        if task.row.model in MODELS and not task.row.summed:
            rows.setdefault((task.family, task.row.start), task.row)
    return [Task(row=row, optimizer=name, batch_size=MIDDLE) for row in rows.values() for name in OPTIMIZERS]


def measure(task: Task) -> dict[str, Array]:
    """Returns the validation losses by budget, batch size, seed and rate, and those before any training."""
    import jax
    import jax.numpy as jnp
    from data import load
    from keras_formulas import OPTIMIZERS as KNOWN
    from train import Problem, batches, stacked, starts

    optimizer, data = KNOWN[task.optimizer], load(task.row.data, task.row.changes)
    problem = Problem(row=task.row, data=data, batch_size=MIDDLE, frozen=task.row.start == FROZEN)
    begin = stacked(starts(task, problem)[:SEEDS])
    found = np.zeros((len(BUDGETS), len(SIZES), SEEDS, len(RATES)))
    for number, size in enumerate(SIZES):
        examples = NUM_STEPS * MIDDLE // size
        steps, every = max(examples, NUM_STEPS), min(examples, NUM_STEPS)
        chosen = jnp.stack([batches(len(data.x), size, steps, seed) for seed in range(SEEDS)])
        one = dataclasses.replace(problem, batch_size=min(size, len(data.x)))

        def lane(where: jax.Array, one: Problem = one, chosen: Array = chosen, every: int = every) -> jax.Array:
            seed, rate = where
            here = jax.tree_util.tree_map(lambda leaf: leaf[seed], begin)
            rates = jnp.full(chosen.shape[1], jnp.asarray(optimizer.default * RATES, jnp.float32)[rate])
            return one.watched(optimizer, here, rates, chosen[seed], jax.random.key(seed), every=every)[1]

        lanes = np.stack(np.meshgrid(np.arange(SEEDS), np.arange(len(RATES)), indexing="ij"), axis=-1)
        val = np.asarray(jax.jit(lambda lanes, lane=lane: jax.lax.map(lane, lanes))(lanes.reshape(-1, 2)))
        for at, until in enumerate((examples, NUM_STEPS)):
            found[at, number] = val[:, until // every - 1].reshape(lanes.shape[:-1])
    return {"val": found, "start_val": jax.jit(jax.vmap(problem.validation))(begin)}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Swept:
    """Holds the sweeps of one combination for one budget.

    Attributes:
        optimizer: Name of the optimizer.
        family: Data set and model.
        best: log10 of the best rate for each batch size; NaN if it lies at an end of the grid.
        regrets: Regret of a rate for each batch size.
    """

    optimizer: str
    family: str
    best: Array
    regrets: list[Regret]

    @property
    def exponent(self) -> float:
        """Slope of log(best rate) over log(batch size)."""
        return float(np.polyfit(np.log10(SIZES), self.best, 1)[0])


def best_place(regret: Regret) -> float:
    """Returns the place of the lowest regret on the log axis, refined by a parabola; NaN at an end of the grid."""
    at = int(np.argmin(regret.values))
    if at in {0, len(regret.values) - 1}:
        return math.nan
    left, low, right = regret.values[at - 1 : at + 2]
    step = regret.log10_lr[1] - regret.log10_lr[0]
    return float(regret.log10_lr[at] + step * (left - right) / (2 * (left - 2 * low + right) or 1.0))


def sweeps(measured: Mapping[str, Any], budget: int) -> Iterator[Swept]:
    """Yields the combinations that learn with every batch size."""
    known = {task.name: task for task in combinations()}
    defaults = json.loads(str(measured["defaults"]))
    for name, val, start in zip(
        json.loads(str(measured["tasks"])), measured["val"][:, budget], measured["start_val"], strict=True
    ):
        task, level = known[name], float(np.median(start))
        lr = defaults[task.optimizer] * RATES
        regrets = [Regret.from_sweep(lr, np.asarray(one, float), level) for one in val]
        best = [np.median(np.where(np.isfinite(one), one, np.inf), axis=0).min() for one in val]
        whole = [one for one in regrets if one is not None]
        if len(whole) < len(regrets) or any(level - low < MIN_GAIN * abs(level) for low in best):
            continue
        places = np.array([best_place(one) for one in whole])
        yield Swept(optimizer=task.optimizer, family=task.family, best=places, regrets=whole)


def report(measured: Mapping[str, Any]) -> None:
    """Prints the exponents by optimizer, and the regret of each rule."""
    print("| budget | optimizer | tasks | exponent, median | middle two thirds |\n|---|---|--:|--:|---|")
    found = {budget: list(sweeps(measured, at)) for at, budget in enumerate(BUDGETS)}
    for budget, every in found.items():
        for optimizer in (*OPTIMIZERS, "all"):
            some = [one for one in every if optimizer in {one.optimizer, "all"} and np.isfinite(one.best).all()]
            if some:
                low, middle, high = np.quantile([one.exponent for one in some], [1 / 6, 1 / 2, 5 / 6])
                print(f"| {budget} | {optimizer} | {len(some)} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    print(f"\n| budget | optimizer | change | {' | '.join(RULES)} |\n|---|---|--:|{'--:|' * len(RULES)}")
    for budget, every in found.items():
        for optimizer in (*OPTIMIZERS, "all"):
            some = [one for one in every if optimizer in {one.optimizer, "all"}]
            for factor, moves in MOVES.items():
                cells = [np.mean(list(moved_regrets(some, moves, exponent))) for exponent in RULES.values()]
                print(f"| {budget} | {optimizer} | {factor} | {' | '.join(f'{value:.3f}' for value in cells)} |")


def moved_regrets(some: Iterable[Swept], moves: Iterable[tuple[int, int]], exponent: float) -> Iterator[float]:
    """Yields the regret at one batch size of the best rate for another one, moved by a rule."""
    for one in some:
        for first, last in moves:
            if math.isfinite(one.best[first]):
                place = one.best[first] + exponent * math.log10(SIZES[last] / SIZES[first])
                yield one.regrets[last](10.0**place)


def main() -> None:
    """Runs the command-line interface."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=int, metavar="N", help="train the first N combinations")
    add_shard_options(parser, "batch_sizes", BATCH_SIZES)
    options = parser.parse_args()
    if options.measure is not None:
        measure_missing(combinations()[: options.measure], options.shards, measure, minutes=options.minutes)
    elif options.merge:
        from keras_formulas import OPTIMIZERS as KNOWN

        defaults = json.dumps({name: KNOWN[name].default for name in OPTIMIZERS})
        merge_shards(combinations(), options.shards, options.results, defaults=defaults)
    else:
        with np.load(options.results) as file:
            report(dict(file))


if __name__ == "__main__":
    main()
